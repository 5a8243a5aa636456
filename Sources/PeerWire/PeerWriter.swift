// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore
public import RaftCore

/// Collects everything a turn has to say to one peer into as few buffers as can be, for one gathering write.
///
/// Letters that follow each other share a frame. Small payloads are copied in; large ones stay the buffers they are:
///
///     pieces   [ frame head · letters · letter head ] [ payload, not copied ] [ letters · frame … ]
public struct PeerWriter: Sendable {
    /// Payloads from this size on are passed through instead of being copied.
    public static let sharedPayloadSize = 1024

    /// The size of a frame without its length, above which a new one is begun. A single letter may be larger.
    public let preferredFrameSize: Int
    private let allocator: ByteBufferAllocator
    private var pieces: [ByteBuffer] = []
    private var head: ByteBuffer
    /// The letters or leaders frame that can still grow.
    private var open: OpenFrame?

    private struct OpenFrame: Sendable {
        var kind: UInt8
        /// Which piece holds the length, and where; `pieces.count` means `head`.
        var piece: Int
        var offset: Int
        /// Of what follows the length.
        var size: Int
    }

    public init(preferredFrameSize: Int = 1 << 20, allocator: ByteBufferAllocator = ByteBufferAllocator()) {
        self.preferredFrameSize = preferredFrameSize
        self.allocator = allocator
        head = allocator.buffer(capacity: 512)
    }

    public var isEmpty: Bool { pieces.isEmpty && head.readableBytes == 0 }

    /// All that was added since the last call, ready to be written in this order.
    public mutating func take() -> [ByteBuffer] {
        close()
        shelveHead()
        let taken = pieces
        pieces = []
        return taken
    }

    // MARK: - Adding

    public mutating func add(_ hello: Hello) {
        begin(FrameKind.hello)
        write(hello)
        close()
    }

    public mutating func add(_ reply: HelloReply) {
        begin(FrameKind.helloReply)
        write(reply.hello)
        head.writeInteger(reply.refusal?.rawValue ?? (reply.isGuest ? HelloReply.guestCode : 0))
        grow(by: 1)
        close()
    }

    private mutating func write(_ hello: Hello) {
        let start = head.writerIndex
        head.writeInteger(hello.version)
        let cluster = hello.cluster ?? .zero
        head.writeMultipleIntegers(cluster.high, cluster.low, UInt32(hello.node.rawValue))
        head.writeMultipleIntegers(hello.directory.high, hello.directory.low, hello.shard)
        head.writeInteger(UInt8((hello.lane == .heartbeat ? 1 : 0) | (hello.fresh ? 2 : 0)))
        grow(by: head.writerIndex - start)
    }

    /// Adds a letter; `payload` is all that travels beside the message.
    public mutating func add(_ message: Message, of group: PartitionID, payload: [ByteBuffer] = []) {
        let payloadSize = payload.reduce(0) { $0 + $1.readableBytes }
        roomInFrame(FrameKind.letters, for: 64 + payloadSize)
        let start = head.writerIndex
        head.write(group)
        head.write(message, payloadSize: payloadSize)
        grow(by: head.writerIndex - start)
        add(payload)
    }

    public mutating func add(_ leader: LeaderAnnouncement) {
        roomInFrame(FrameKind.leaders, for: 42 + 5 * leader.lagging.count)
        let start = head.writerIndex
        head.write(leader.group)
        head.writeVarint(leader.term)
        head.writeVarint(UInt64(leader.leader.rawValue))
        head.writeVarint(UInt64(leader.lagging.count))
        for node in leader.lagging { head.writeVarint(UInt64(node.rawValue)) }
        grow(by: head.writerIndex - start)
    }

    public mutating func add(forward: Forward) { add(forward, as: FrameKind.forward) }
    public mutating func add(forwardReply: Forward) { add(forwardReply, as: FrameKind.forwardReply) }

    private mutating func add(_ forward: Forward, as kind: UInt8) {
        begin(kind)
        let start = head.writerIndex
        head.writeMultipleIntegers(forward.id, forward.kind)
        grow(by: head.writerIndex - start)
        add([forward.bytes])
        close()
    }

    private mutating func add(_ payload: [ByteBuffer]) {
        for buffer in payload where buffer.readableBytes > 0 {
            grow(by: buffer.readableBytes)
            if buffer.readableBytes < Self.sharedPayloadSize {
                head.writeImmutableBuffer(buffer)
            } else {
                shelveHead()
                pieces.append(buffer)
            }
        }
    }

    // MARK: - Frames

    private mutating func roomInFrame(_ kind: UInt8, for size: Int) {
        if let frame = open, frame.kind == kind, frame.size + size <= preferredFrameSize { return }
        begin(kind)
    }

    private mutating func begin(_ kind: UInt8) {
        close()
        open = OpenFrame(kind: kind, piece: pieces.count, offset: head.writerIndex, size: 1)
        head.writeMultipleIntegers(UInt32(0), kind)
    }

    private mutating func grow(by size: Int) { open?.size += size }

    private mutating func close() {
        guard let frame = open else { return }
        open = nil
        guard let length = UInt32(exactly: frame.size) else { preconditionFailure("a frame is smaller than 4 GiB") }
        if frame.piece == pieces.count {
            head.setInteger(length, at: frame.offset)
        } else {
            pieces[frame.piece].setInteger(length, at: frame.offset)
        }
    }

    private mutating func shelveHead() {
        guard head.readableBytes > 0 else { return }
        pieces.append(head)
        head = allocator.buffer(capacity: 512)
    }
}

extension Message {
    /// The one flag that travels in the kind's own byte.
    fileprivate var isFlagged: Bool {
        switch self {
        case .appendReply(let letter): letter.isRebuilding
        case .heartbeat(let letter): letter.isComplete
        case .heartbeatReply(let letter): letter.isRebuilding
        default: false
        }
    }
}

extension ByteBuffer {
    mutating func write(_ group: PartitionID) {
        writeMultipleIntegers(group.topic.high, group.topic.low, UInt32(group.index))
    }

    mutating func writeVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writeInteger(UInt8(rest))
    }

    mutating func writeVarint(_ term: Term) { writeVarint(UInt64(term.rawValue)) }
    mutating func writeVarint(_ index: LogIndex) { writeVarint(UInt64(index.rawValue)) }
    mutating func writeVarint(_ flag: Bool) { writeVarint(flag ? 1 : 0) }

    mutating func writeVarint(_ position: LogPosition) {
        writeVarint(position.term)
        writeVarint(position.end)
    }

    mutating func write(_ message: Message, payloadSize: Int) {
        let kindAt = writerIndex
        writeInteger(UInt8(0))
        if payloadSize > 0 { writeVarint(UInt64(payloadSize)) }
        writeVarint(message.term)
        var kind = writeFields(of: message)
        if message.isFlagged { kind |= MessageKind.isFlagged }
        setInteger(kind | (payloadSize > 0 ? MessageKind.hasPayload : 0), at: kindAt)
    }

    /// Writes what follows the term and returns the message's kind.
    private mutating func writeFields(of message: Message) -> UInt8 {
        switch message {
        case .preVote(let letter):
            writeVarint(letter.last)
            writeVarint(letter.leaderLost)
            writeVarint(UInt64(letter.round))
            return MessageKind.preVote
        case .preVoteReply(_, let granted, let round):
            writeVarint(granted)
            writeVarint(UInt64(round))
            return MessageKind.preVoteReply
        case .vote(let letter):
            writeVarint(letter.last)
            writeVarint(letter.isTransfer)
            return MessageKind.vote
        case .voteReply(_, let granted):
            writeVarint(granted)
            return MessageKind.voteReply
        case .append(let letter):
            writeVarint(letter.prev)
            writeVarint(letter.commit)
            writeVarint(UInt64(letter.runs.count))
            for run in letter.runs { writeVarint(LogPosition(term: run.term, end: run.end)) }
            return MessageKind.append
        case .appendReply(let letter): return writeOutcome(letter.outcome)
        case .heartbeat(let letter):
            writeVarint(letter.commit)
            writeVarint(letter.sequence)
            return MessageKind.heartbeat
        case .heartbeatReply(let letter):
            writeVarint(letter.sequence)
            writeVarint(letter.held)
            writeVarint(letter.matched)
            return MessageKind.heartbeatReply
        case .snapshot(let letter):
            writeVarint(letter.anchor.position)
            writeVarint(UInt64(letter.anchor.offset.rawValue))
            for nodes in [letter.members.voters, letter.members.outgoing, letter.members.learners] {
                writeVarint(UInt64(nodes.count))
                for node in nodes { writeVarint(UInt64(node.rawValue)) }
            }
            return MessageKind.snapshot
        case .timeoutNow: return MessageKind.timeoutNow
        case .repair(.request(let number, let range)):
            writeVarint(number)
            writeVarint(range.lowerBound)
            writeVarint(range.upperBound)
            return MessageKind.repairRequest
        case .repair(.answer(let number, let answer)):
            writeVarint(number)
            writeVarint(UInt64(answer.rawValue))
            return MessageKind.repairAnswer
        }
    }

    private mutating func writeOutcome(_ outcome: AppendReply.Outcome) -> UInt8 {
        switch outcome {
        case .matched(let index):
            writeVarint(index)
            return MessageKind.matched
        case .rejected(let prev, let hint):
            writeVarint(prev)
            writeVarint(hint)
            return MessageKind.rejected
        }
    }
}
