// SPDX-License-Identifier: Apache-2.0

import LogModel
public import NIOCore
import RaftCore

extension PeerFrame {
    /// Takes the next whole frame out of what has arrived, its length cut off; `nil` while it is not all there.
    ///
    /// - Parameter maximumSize: a longer frame is refused as soon as its length is known, before any room is made.
    public static func next(
        from arrived: inout ByteBuffer, maximumSize: Int
    ) throws(PeerWireError) -> ByteBuffer? {
        guard let length = arrived.getInteger(at: arrived.readerIndex, as: UInt32.self) else { return nil }
        guard length > 0 else { throw .emptyFrame }
        guard length <= maximumSize else { throw .frameTooLarge(size: Int(length), limit: maximumSize) }
        guard arrived.readableBytes - 4 >= Int(length) else { return nil }
        arrived.moveReaderIndex(forwardBy: 4)
        return arrived.readSlice(length: Int(length))
    }

    /// Reads one frame as `next` returned it.
    ///
    /// Total: whatever the bytes, it gives a frame or throws. What it allocates is bounded by the frame's size, and
    /// payloads are slices of it.
    public init(_ frame: ByteBuffer) throws(PeerWireError) {
        var reader = PeerReader(frame: frame)
        let kind: UInt8
        do { kind = try reader.integer() } catch { throw .emptyFrame }
        switch kind {
        case FrameKind.hello: self = .hello(try reader.hello())
        case FrameKind.helloReply: self = .helloReply(try reader.helloReply())
        case FrameKind.letters:
            var letters: [PeerLetter] = []
            while reader.hasMore { letters.append(try reader.letter()) }
            self = .letters(letters)
        case FrameKind.leaders:
            var leaders: [LeaderAnnouncement] = []
            while reader.hasMore {
                leaders.append(
                    LeaderAnnouncement(
                        group: try reader.group(), term: try reader.term(), leader: try reader.node(),
                        lagging: try reader.nodes()))
            }
            self = .leaders(leaders)
        case FrameKind.forward: self = .forward(try reader.forward())
        case FrameKind.forwardReply: self = .forwardReply(try reader.forward())
        default: throw .unknownKind(kind)
        }
        guard !reader.hasMore else { throw .trailingBytes }
    }
}

struct PeerReader {
    var frame: ByteBuffer

    var hasMore: Bool { frame.readableBytes > 0 }

    // MARK: - Fields

    mutating func integer<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(PeerWireError) -> Number
    {
        guard let value = frame.readInteger(as: type) else { throw .truncated }
        return value
    }

    mutating func varint() throws(PeerWireError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let byte: UInt8 = try integer()
            let bits = UInt64(byte & 0x7F)
            guard shift < 63 || bits <= 1 else { throw .badVarint }
            value |= bits << shift
            if byte < 0x80 {
                guard byte != 0 || shift == 0 else { throw .badVarint }
                return value
            }
        }
        throw .badVarint
    }

    mutating func term() throws(PeerWireError) -> Term {
        guard let value = Int32(exactly: try varint()) else { throw .outOfRange(field: "a term") }
        return Term(value)
    }

    mutating func index() throws(PeerWireError) -> LogIndex {
        guard let value = Int64(exactly: try varint()) else { throw .outOfRange(field: "an index") }
        return LogIndex(value)
    }

    mutating func position() throws(PeerWireError) -> LogPosition {
        LogPosition(term: try term(), end: try index())
    }

    mutating func flag() throws(PeerWireError) -> Bool {
        switch try varint() {
        case 0: return false
        case 1: return true
        default: throw .outOfRange(field: "a flag")
        }
    }

    mutating func round() throws(PeerWireError) -> UInt32 {
        guard let value = UInt32(exactly: try varint()) else { throw .outOfRange(field: "a round") }
        return value
    }

    mutating func node() throws(PeerWireError) -> NodeID {
        guard let value = Int32(exactly: try varint()) else { throw .outOfRange(field: "a node id") }
        return NodeID(value)
    }

    mutating func id() throws(PeerWireError) -> TopicID {
        TopicID(high: try integer(), low: try integer())
    }

    mutating func group() throws(PeerWireError) -> PartitionID {
        let topic = try id()
        guard let index = Int32(exactly: try integer(UInt32.self)) else {
            throw .outOfRange(field: "a partition index")
        }
        return PartitionID(topic: topic, index: index)
    }

    // MARK: - Frames

    mutating func hello() throws(PeerWireError) -> Hello {
        let version: UInt16 = try integer()
        // Another version may say something else from here on.
        guard version == peerProtocolVersion else { throw .unsupportedVersion(version) }
        let cluster = try id()
        guard let node = Int32(exactly: try integer(UInt32.self)) else { throw .outOfRange(field: "a node id") }
        let directory = try id()
        let shard: UInt32 = try integer()
        let flags: UInt8 = try integer()
        guard flags < 4 else { throw .outOfRange(field: "a hello's flags") }
        return Hello(
            version: version, cluster: cluster, node: NodeID(node), directory: directory, shard: shard,
            lane: flags & 1 == 1 ? .heartbeat : .bulk, fresh: flags & 2 == 2)
    }

    mutating func helloReply() throws(PeerWireError) -> HelloReply {
        let hello = try hello()
        let code: UInt8 = try integer()
        if code == HelloReply.guestCode { return HelloReply(hello, isGuest: true) }
        let refusal = HelloReply.Refusal(rawValue: code)
        guard code == 0 || refusal != nil else { throw .outOfRange(field: "a refusal") }
        return HelloReply(hello, refusal: refusal)
    }

    mutating func forward() throws(PeerWireError) -> Forward {
        let id: UInt64 = try integer()
        let kind: UInt8 = try integer()
        defer { frame.moveReaderIndex(to: frame.writerIndex) }
        return Forward(id: id, kind: kind, bytes: frame.slice())
    }

    mutating func letter() throws(PeerWireError) -> PeerLetter {
        let group = try group()
        let kind: UInt8 = try integer()
        var size = 0
        if kind & MessageKind.hasPayload != 0 {
            guard let announced = Int(exactly: try varint()), announced > 0 else {
                throw .outOfRange(field: "a payload's size")
            }
            size = announced
        }
        let isFlagged = kind & MessageKind.isFlagged != 0
        let message = try message(kind & ~(MessageKind.hasPayload | MessageKind.isFlagged), isFlagged: isFlagged)
        guard let payload = frame.readSlice(length: size) else { throw .truncated }
        return PeerLetter(group: group, message: message, payload: payload)
    }

    private mutating func message(_ kind: UInt8, isFlagged: Bool) throws(PeerWireError) -> Message {
        let isKnown = MessageKind.preVote...MessageKind.timeoutNow ~= kind
        guard isKnown || MessageKind.repairRequest...MessageKind.repairAnswer ~= kind else {
            throw .unknownMessage(kind)
        }
        guard !isFlagged || MessageKind.flagged.contains(kind) else { throw .outOfRange(field: "a message's flag") }
        if let letter = try repair(kind) { return .repair(letter) }
        let term = try term()
        switch kind {
        case MessageKind.preVote:
            return .preVote(
                PreVote(term: term, last: try position(), leaderLost: try flag(), round: try round()))
        case MessageKind.preVoteReply:
            return .preVoteReply(term: term, granted: try flag(), round: try round())
        case MessageKind.vote:
            return .vote(Vote(term: term, last: try position(), isTransfer: try flag()))
        case MessageKind.voteReply: return .voteReply(term: term, granted: try flag())
        case MessageKind.append: return .append(try append(term))
        case MessageKind.matched:
            return .appendReply(
                AppendReply(term: term, outcome: .matched(try index()), isRebuilding: isFlagged))
        case MessageKind.rejected:
            return .appendReply(
                AppendReply(
                    term: term, outcome: .rejected(prev: try position(), hint: try position()),
                    isRebuilding: isFlagged))
        case MessageKind.heartbeat:
            return .heartbeat(
                Heartbeat(term: term, commit: try index(), sequence: try varint(), isComplete: isFlagged))
        case MessageKind.heartbeatReply:
            return .heartbeatReply(
                HeartbeatReply(
                    term: term, sequence: try varint(), held: try index(), matched: try index(),
                    isRebuilding: isFlagged))
        case MessageKind.snapshot:
            let position = try position()
            let offset = try index()
            return .snapshot(
                Snapshot(
                    term: term, anchor: LogAnchor(position: position, offset: Offset(offset.rawValue)),
                    members: try members()))
        default: return .timeoutNow(term: term)
        }
    }

    private mutating func members() throws(PeerWireError) -> RaftMembers {
        let (voters, outgoing, learners) = (try nodes(), try nodes(), try nodes())
        let members = RaftMembers(voters: voters, outgoing: outgoing, learners: learners)
        guard !voters.isEmpty || members == .none else { throw .outOfRange(field: "a number of voters") }
        // A voter is no learner.
        guard members.learners == learners else { throw .outOfRange(field: "a learner") }
        return members
    }

    mutating func nodes() throws(PeerWireError) -> [NodeID] {
        let count = try varint()
        guard count <= MessageKind.maximumMembers else { throw .outOfRange(field: "a number of nodes") }
        guard count <= frame.readableBytes else { throw .truncated }
        var nodes: [NodeID] = []
        nodes.reserveCapacity(Int(count))
        for _ in 0..<count {
            let node = try node()
            if let last = nodes.last, node <= last { throw .outOfRange(field: "a node's place") }
            nodes.append(node)
        }
        return nodes
    }

    private mutating func repair(_ kind: UInt8) throws(PeerWireError) -> RepairLetter? {
        guard kind == MessageKind.repairRequest || kind == MessageKind.repairAnswer else { return nil }
        guard try term() == .zero else { throw .outOfRange(field: "a repair's term") }
        let number = try varint()
        guard kind == MessageKind.repairRequest else {
            guard let code = UInt8(exactly: try varint()), let answer = RepairAnswer(rawValue: code) else {
                throw .outOfRange(field: "a repair's answer")
            }
            return .answer(number: number, answer)
        }
        let (from, to) = (try index(), try index())
        guard from < to else { throw .outOfRange(field: "a repair's range") }
        return .request(number: number, range: from..<to)
    }

    private mutating func append(_ term: Term) throws(PeerWireError) -> Append {
        let prev = try position()
        let commit = try index()
        // Each run takes at least two bytes, so a count cannot ask for more room than the frame has earned.
        guard let count = Int(exactly: try varint()), count <= frame.readableBytes / 2 else { throw .truncated }
        var runs: [TermRun] = []
        runs.reserveCapacity(count)
        for _ in 0..<count { runs.append(TermRun(term: try self.term(), end: try index())) }
        return Append(term: term, prev: prev, runs: runs, commit: commit)
    }
}
