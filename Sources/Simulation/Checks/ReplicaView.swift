// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import RaftCore

/// What one replica shows of itself after an event.
public struct ReplicaView: Hashable, Sendable {
    public var node: NodeID
    public var term: Term
    public var role: RaftNode.Role
    public var leader: NodeID?
    public var commit: LogIndex
    public var durable: LogIndex
    public var start: LogIndex
    public var end: LogIndex
    /// In Kafka offsets; shown by leaders only.
    public var highWatermark: Offset?
    /// The log's own translation of `commit`.
    public var commitOffset: Offset
    /// Who belongs to the group, as far as the replica knows; `nil` where that is not looked at.
    public var members: RaftMembers?
    /// Of a leader: whose majority it counts, and of whom it needs another one while the members change. Empty where
    /// they never change.
    public var voters: [NodeID] = []
    public var outgoing: [NodeID] = []
    /// Of a leader: the members at the commit index. A commit may move and have the members change in one event; then
    /// these are whose majority was counted.
    public var membersAtCommit: RaftMembers?

    public init(
        node: NodeID, term: Term, role: RaftNode.Role, leader: NodeID?, commit: LogIndex, durable: LogIndex,
        start: LogIndex, end: LogIndex, highWatermark: Offset?, commitOffset: Offset
    ) {
        self.node = node
        self.term = term
        self.role = role
        self.leader = leader
        self.commit = commit
        self.durable = durable
        self.start = start
        self.end = end
        self.highWatermark = highWatermark
        self.commitOffset = commitOffset
    }
}

/// One entry of a replica's log, as the checks remember it.
public struct LoggedEntry: Hashable, Sendable {
    public var start: LogIndex
    public var end: LogIndex
    public var term: Term
    public var isMarker: Bool
    public var baseOffset: Offset
    public var nextOffset: Offset
    public var crc: UInt32
    /// Who produced it, and its number there; of a marker both are −1.
    public var batch: BatchName
    /// Who belongs to the group from here on, where the entry says that.
    public var members: RaftMembers?

    public init(
        start: LogIndex, end: LogIndex, term: Term, isMarker: Bool, baseOffset: Offset, nextOffset: Offset,
        crc: UInt32, batch: BatchName
    ) {
        self.start = start
        self.end = end
        self.term = term
        self.isMarker = isMarker
        self.baseOffset = baseOffset
        self.nextOffset = nextOffset
        self.crc = crc
        self.batch = batch
    }
}

/// A batch that a simulated producer sends: no two are alike.
public struct BatchName: Hashable, Sendable, CustomStringConvertible {
    public var producer: Int64
    public var number: Int32

    public init(producer: Int64, number: Int32) {
        self.producer = producer
        self.number = number
    }

    public var description: String { "p\(producer)#\(number)" }
}

extension BatchName {
    /// Ids from here on are of producers that send one batch and no more. The name is in the id.
    private static let singles: Int64 = 1 << 62

    /// The producer id and sequence number that a batch which is sent once is to carry.
    var stampOfSingle: (id: Int64, sequence: Int32) { (Self.singles | producer << 32 | Int64(number), 0) }

    /// What a batch with this producer id and sequence number is called. The name of an idempotent producer's batch is
    /// its sequence number.
    init(id: Int64, sequence: Int32) {
        guard id >= Self.singles else {
            self.init(producer: id, number: sequence)
            return
        }
        self.init(producer: id >> 32 & 0xffff, number: Int32(truncatingIfNeeded: id & 0x7fff_ffff))
    }

    /// Idempotent producers have ids from here on, up to `singles`.
    static let firstRetrier: Int64 = 1 << 20

    /// Whether its producer sends it until it is acknowledged.
    var isRetried: Bool { producer >= Self.firstRetrier }
}
