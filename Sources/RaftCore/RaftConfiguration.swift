// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// The spans of time a group lives by, in nanoseconds.
public struct RaftTiming: Hashable, Sendable {
    /// A follower that has heard nothing for this long, and up to twice as long by lot, stands for election; a leader
    /// that has heard no majority for this long steps down.
    public var electionTimeout: UInt64
    /// Heartbeats are due at multiples of this on the node's clock, so that all groups of a node speak together.
    public var heartbeatInterval: UInt64
    /// How long the member of rank *r* waits after the leader's connection broke: *r* + 1 times this.
    public var reconnectDelay: UInt64

    public init(
        electionTimeout: UInt64 = 1_000_000_000, heartbeatInterval: UInt64 = 100_000_000,
        reconnectDelay: UInt64 = 10_000_000
    ) {
        precondition(heartbeatInterval > 0, "heartbeats need a beat")
        precondition(electionTimeout >= 2 * heartbeatInterval, "two heartbeats must fit into an election timeout")
        precondition(electionTimeout <= 1 << 50, "an election timeout is no matter of weeks")
        precondition(reconnectDelay <= electionTimeout, "the short way must be the shorter one")
        self.electionTimeout = electionTimeout
        self.heartbeatInterval = heartbeatInterval
        self.reconnectDelay = reconnectDelay
    }
}

/// How much may be on its way to one peer.
public struct RaftLimits: Hashable, Sendable {
    /// Of one append. A single entry that is larger still goes.
    public var maxAppendBytes: ByteCount
    /// Sent to one peer and not answered.
    public var maxInflightBytes: ByteCount
    public var maxInflightAppends: Int

    public init(
        maxAppendBytes: ByteCount = .mebibytes(1), maxInflightBytes: ByteCount = .mebibytes(8),
        maxInflightAppends: Int = 64
    ) {
        precondition(maxInflightAppends > 0, "at least one append must be on its way")
        self.maxAppendBytes = maxAppendBytes
        self.maxInflightBytes = maxInflightBytes
        self.maxInflightAppends = maxInflightAppends
    }
}

/// The log as storage recovered it.
public struct RaftLogView: Sendable {
    public var start: LogAnchor
    public var end: LogIndex
    public var durable: LogIndex
    public var terms: TermTable
    /// What is in force where the log begins; `nil` while that are the group's founders.
    public var membersAtStart: RaftMembers?
    /// The configurations that the log's own entries say, ascending.
    public var changes: [MembersEntry]

    public init(
        start: LogAnchor = .origin, end: LogIndex = .zero, durable: LogIndex = .zero, terms: TermTable = .init(),
        membersAtStart: RaftMembers? = nil, changes: [MembersEntry] = []
    ) {
        self.start = start
        self.end = end
        self.durable = durable
        self.terms = terms
        self.membersAtStart = membersAtStart
        self.changes = changes
    }
}
