// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import PeerWire
import RaftCore
import Testing

@Suite struct PeerWireTests {
    static let group = PartitionID(topic: TopicID(high: 0x0102_0304_0506_0708, low: 9), index: 7)
    static let position = LogPosition(term: Term(3), end: LogIndex(1 << 40))
    static let hello = Hello(
        cluster: TopicID(high: 1, low: 2), node: NodeID(3), directory: TopicID(high: 4, low: 5), shard: 6,
        lane: .heartbeat, fresh: true)

    static let messages: [Message] = [
        .preVote(PreVote(term: Term(4), last: position, leaderLost: true, round: .max)),
        .preVoteReply(term: Term(.max), granted: true, round: 300),
        .vote(Vote(term: Term(4), last: position, isTransfer: true)),
        .voteReply(term: Term(4), granted: false),
        .append(
            Append(
                term: Term(9), prev: position,
                runs: [
                    TermRun(term: Term(3), end: LogIndex(1 << 41)), TermRun(term: Term(9), end: LogIndex(.max)),
                ], commit: LogIndex(127))),
        .append(Append(term: Term(9), prev: .empty, runs: [], commit: .zero)),
        .appendReply(AppendReply(term: Term(9), outcome: .matched(LogIndex(128)))),
        .appendReply(AppendReply(term: Term(9), outcome: .matched(LogIndex(128)), isRebuilding: true)),
        .appendReply(
            AppendReply(term: Term(9), outcome: .rejected(prev: position, hint: .empty), isRebuilding: true)),
        .heartbeat(Heartbeat(term: Term(9), commit: LogIndex(4), sequence: 77, isComplete: true)),
        .heartbeatReply(
            HeartbeatReply(
                term: Term(9), sequence: 1 << 62, held: LogIndex(12), matched: LogIndex(11), isRebuilding: true)),
        .appendReply(AppendReply(term: Term(9), outcome: .rejected(prev: position, hint: .empty))),
        .heartbeat(Heartbeat(term: Term(9), commit: LogIndex(16_384), sequence: .max)),
        .heartbeatReply(
            HeartbeatReply(term: Term(9), sequence: 1 << 62, held: LogIndex(12), matched: LogIndex(11))),
        .snapshot(
            Snapshot(
                term: Term(9), anchor: LogAnchor(position: position, offset: Offset(5)),
                members: RaftMembers(
                    voters: [NodeID(1), NodeID(200), NodeID(3)], outgoing: [NodeID(1), NodeID(7)],
                    learners: [NodeID(7), NodeID(90_000)]))),
        .snapshot(
            Snapshot(term: Term(9), anchor: LogAnchor(position: position, offset: Offset(5)), members: .none)),
        .timeoutNow(term: Term(9)),
        .repair(.request(number: .max, range: LogIndex(127)..<LogIndex(.max))),
        .repair(.answer(number: 128, .entries)),
        .repair(.answer(number: 0, .unable)),
    ]

    static let frames: [PeerFrame] =
        [
            .hello(hello), .helloReply(HelloReply(hello)), .helloReply(HelloReply(hello, refusal: .otherCluster)),
            .helloReply(HelloReply(hello, isGuest: true)),
            .hello(
                Hello(
                    cluster: nil, node: NodeID(0), directory: .zero, shard: 0, lane: .bulk, fresh: false)),
            .letters(messages.map { PeerLetter(group: group, message: $0) }),
            .leaders([
                LeaderAnnouncement(group: group, term: Term(300), leader: NodeID(2)),
                LeaderAnnouncement(group: .metadata, term: Term(1), leader: NodeID(1000)),
            ]),
            .forward(Forward(id: 77, kind: 3, bytes: ByteBuffer(string: "create topic"))),
            .forwardReply(Forward(id: 77, kind: 4, bytes: ByteBuffer())),
        ] + messages.map { .letters([PeerLetter(group: group, message: $0, payload: ByteBuffer(string: "payload"))]) }

    static func add(_ frame: PeerFrame, to writer: inout PeerWriter) {
        switch frame {
        case .hello(let hello): writer.add(hello)
        case .helloReply(let reply): writer.add(reply)
        case .letters(let letters):
            for letter in letters { writer.add(letter.message, of: letter.group, payload: [letter.payload]) }
        case .leaders(let leaders):
            for leader in leaders { writer.add(leader) }
        case .forward(let forward): writer.add(forward: forward)
        case .forwardReply(let forward): writer.add(forwardReply: forward)
        }
    }

    static func bytes(of frames: [PeerFrame], preferredFrameSize: Int = 1 << 20) -> ByteBuffer {
        var writer = PeerWriter(preferredFrameSize: preferredFrameSize)
        for frame in frames { add(frame, to: &writer) }
        var all = ByteBuffer()
        for piece in writer.take() { all.writeImmutableBuffer(piece) }
        return all
    }

    static func read(_ bytes: ByteBuffer) throws(PeerWireError) -> [PeerFrame] {
        var rest = bytes
        var frames: [PeerFrame] = []
        while let frame = try PeerFrame.next(from: &rest, maximumSize: 1 << 22) { frames.append(try PeerFrame(frame)) }
        return frames
    }

    static func letters(in frames: [PeerFrame]) -> [PeerLetter] {
        frames.flatMap { frame -> [PeerLetter] in
            guard case .letters(let letters) = frame else { return [] }
            return letters
        }
    }

    @Test func refusalsKeepTheirNumbers() {
        #expect(HelloReply.Refusal.allCases.map(\.rawValue) == Array(1...7))
    }

    @Test(arguments: frames)
    func everyFrameComesBackAsItWas(frame: PeerFrame) throws {
        #expect(try Self.read(Self.bytes(of: [frame])) == [frame])
    }

    @Test func framesOfATurnShareOneWrite() throws {
        var writer = PeerWriter()
        for frame in Self.frames { Self.add(frame, to: &writer) }
        #expect(writer.take().count == 1)
        #expect(writer.isEmpty)
        let read = try Self.read(Self.bytes(of: Self.frames))
        // Letters that follow each other came together in one frame.
        #expect(Self.letters(in: read) == Self.letters(in: Self.frames))
        #expect(read.count == 10)
    }

    @Test func largePayloadsAreNotCopied() throws {
        let payload = ByteBuffer(repeating: 7, count: 100_000)
        let address = payload.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        var writer = PeerWriter()
        writer.add(Self.messages[4], of: Self.group, payload: [payload, payload])
        writer.add(Self.messages[8], of: Self.group)
        let pieces = writer.take()
        #expect(pieces.count == 4)
        #expect(pieces[1].withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) } == address)
        var all = ByteBuffer()
        for piece in pieces { all.writeImmutableBuffer(piece) }
        let both = ByteBuffer(repeating: 7, count: 200_000)
        #expect(
            try Self.read(all) == [
                .letters([
                    PeerLetter(group: Self.group, message: Self.messages[4], payload: both),
                    PeerLetter(group: Self.group, message: Self.messages[8]),
                ])
            ])
    }

    @Test func longTurnsAreCutIntoFrames() throws {
        let letters = (0..<1000).map { PeerLetter(group: Self.group, message: Self.messages[$0 % Self.messages.count]) }
        let read = try Self.read(Self.bytes(of: [.letters(letters)], preferredFrameSize: 1000))
        #expect(read.count > 30)
        #expect(Self.letters(in: read) == letters)
    }

    @Test func anIdleGroupsHeartbeatIsSmall() {
        let beat = Message.heartbeat(Heartbeat(term: Term(12), commit: LogIndex(1 << 30), sequence: 1 << 50))
        let one = Self.bytes(of: [.letters([PeerLetter(group: Self.group, message: beat)])]).readableBytes
        #expect(one <= 5 + 36)
    }

    @Test(arguments: frames)
    func everyShorterFrameIsRefused(frame: PeerFrame) throws {
        var whole = Self.bytes(of: [frame])
        guard let body = try PeerFrame.next(from: &whole, maximumSize: 1 << 20) else {
            Issue.record("no frame")
            return
        }
        for length in 0..<body.readableBytes {
            guard let cut = body.getSlice(at: body.readerIndex, length: length) else { continue }
            // Lists end where the frame ends, and what is forwarded is not looked into.
            if let read = try? PeerFrame(cut) { #expect(Self.isPrefix(read, of: frame), "\(length)") }
        }
    }

    private static func isPrefix(_ read: PeerFrame, of frame: PeerFrame) -> Bool {
        switch (read, frame) {
        case (.letters(let short), .letters(let long)): long.starts(with: short) && short.count < long.count
        case (.leaders(let short), .leaders(let long)): long.starts(with: short) && short.count < long.count
        case (.forward(let short), .forward(let long)), (.forwardReply(let short), .forwardReply(let long)):
            short.id == long.id && long.bytes.readableBytesView.starts(with: short.bytes.readableBytesView)
        default: false
        }
    }

    @Test func framesInPartsAreAwaited() throws {
        let all = Self.bytes(of: [Self.frames[0]])
        for length in 0..<all.readableBytes {
            guard var arrived = all.getSlice(at: 0, length: length) else { continue }
            #expect(try PeerFrame.next(from: &arrived, maximumSize: 1 << 20) == nil)
            #expect(arrived.readableBytes == length)
        }
    }

    @Test func framesBeyondTheLimitAreRefusedByTheirLengthAlone() {
        var arrived = ByteBuffer(integer: UInt32(101))
        #expect(throws: PeerWireError.frameTooLarge(size: 101, limit: 100)) {
            try PeerFrame.next(from: &arrived, maximumSize: 100)
        }
        var empty = ByteBuffer(integer: UInt32(0))
        #expect(throws: PeerWireError.emptyFrame) { try PeerFrame.next(from: &empty, maximumSize: 100) }
    }

    @Test func trailingBytesAndOtherVersionsAreRefused() throws {
        var body = Self.bytes(of: [Self.frames[0]])
        body.moveReaderIndex(forwardBy: 4)
        var longer = body
        longer.writeInteger(UInt8(0))
        #expect(throws: PeerWireError.trailingBytes) { try PeerFrame(longer) }
        let other = peerProtocolVersion + 1
        body.setInteger(other, at: body.readerIndex + 1)
        #expect(throws: PeerWireError.unsupportedVersion(other)) { try PeerFrame(body) }
    }

    /// What comes beside a snapshot's anchor: no list is believed beyond what its bytes have earned.
    @Test(arguments: [
        ([0, 0, 1, 5], PeerWireError.outOfRange(field: "a number of voters")),
        ([2, 5, 5, 0, 0], .outOfRange(field: "a node's place")),
        ([2, 5, 4, 0, 0], .outOfRange(field: "a node's place")),
        ([0x81, 8, 1, 1, 1], .outOfRange(field: "a number of nodes")),
        ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], .outOfRange(field: "a number of nodes")),
        ([1, 5, 0, 1, 5], .outOfRange(field: "a learner")),
        ([100, 1, 2, 3], .truncated),
        ([1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0], .outOfRange(field: "a node id")),
    ])
    func badMembersAreRefused(bytes: [UInt8], error: PeerWireError) {
        var body = ByteBuffer(bytes: [3])
        body.writeMultipleIntegers(UInt64(1), UInt64(2), UInt32(3))
        // A snapshot in term 9 whose anchor is at 4 of term 3, offset 4.
        body.writeBytes([10, 9, 3, 4, 4])
        body.writeBytes(bytes)
        #expect(throws: error) { try PeerFrame(body) }
    }

    @Test func onlyAnswersAndHeartbeatsAreFlagged() throws {
        for message in Self.messages {
            var body = Self.bytes(of: [.letters([PeerLetter(group: Self.group, message: message)])])
            body.moveReaderIndex(forwardBy: 4)
            let place = body.readerIndex + 21
            let kind = try #require(body.getInteger(at: place, as: UInt8.self))
            body.setInteger(kind | 0x40, at: place)
            let isFlaggable = [6, 7, 8, 9].contains(kind & 0x3f)
            #expect(((try? PeerFrame(body)) != nil) == isFlaggable, "\(message)")
        }
    }

    /// Reading never traps, and what it accepts it writes back byte for byte.
    @Test func damagedFramesAreRefusedOrMeanWhatTheySay() throws {
        var random = SeededRandom(seed: 1)
        var refused = 0
        for round in 0..<20_000 {
            var body = Self.bytes(of: [Self.frames[round % Self.frames.count]])
            for _ in 0...random.below(3) {
                body.setInteger(UInt8(random.below(256)), at: 4 + random.below(body.readableBytes - 4))
            }
            body.moveReaderIndex(forwardBy: 4)
            guard let frame = try? PeerFrame(body) else {
                refused += 1
                continue
            }
            if case .letters(let letters) = frame, letters.isEmpty { continue }
            if case .leaders(let leaders) = frame, leaders.isEmpty { continue }
            var again = Self.bytes(of: [frame])
            again.moveReaderIndex(forwardBy: 4)
            #expect(again == body)
        }
        #expect(refused > 1000)
    }

    @Test func noiseIsRefusedOrMeansWhatItSays() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<50_000 {
            var noise = ByteBuffer(integer: UInt8(random.below(8)))
            for _ in 0..<random.below(80) { noise.writeInteger(UInt8(truncatingIfNeeded: random.next() >> 20)) }
            _ = try? PeerFrame(noise)
            _ = try? PeerFrame.next(from: &noise, maximumSize: 1000)
        }
    }
}

/// SplitMix64: the same numbers everywhere.
struct SeededRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
