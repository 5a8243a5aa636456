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
