// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import LogStorage
public import RaftCore

/// What a node is told to keep: one partition, with whom, and by which rules.
public struct ReplicaAssignment: Sendable {
    public var partition: PartitionID
    /// The preferred leader first.
    public var replicas: [NodeID]
    /// Nodes that follow without a vote.
    public var learners: [NodeID]
    /// Where the log lives.
    public var directory: String
    public var limits: LogLimits
    public var retention: Retention
    /// If there is no log at `directory`, one was there and is lost: see `Rebuilding`.
    public var mayHaveForgotten: Bool

    /// How long and how much of a log is kept. `nil` is without limit.
    public struct Retention: Hashable, Sendable {
        public var milliseconds: Int64?
        public var bytes: ByteCount?

        public init(milliseconds: Int64? = nil, bytes: ByteCount? = nil) {
            self.milliseconds = milliseconds
            self.bytes = bytes
        }
    }

    public init(
        partition: PartitionID, replicas: [NodeID], learners: [NodeID] = [], directory: String, limits: LogLimits,
        retention: Retention = Retention(), mayHaveForgotten: Bool = false
    ) {
        precondition(!replicas.isEmpty, "a partition has at least one replica")
        self.partition = partition
        self.replicas = replicas
        self.learners = learners
        self.directory = directory
        self.limits = limits
        self.retention = retention
        self.mayHaveForgotten = mayHaveForgotten
    }
}

/// The rules of consensus that all groups of a shard share.
public struct ShardSettings: Sendable {
    public var node: NodeID
    public var timing: RaftTiming
    public var limits: RaftLimits
    /// How often leadership is offered back to preferred leaders, and retention looked at, in nanoseconds.
    public var balanceInterval: UInt64
    public var retentionInterval: UInt64
    public var checkpointInterval: UInt64
    /// How long an idempotent producer may be silent before it is forgotten, in milliseconds.
    public var producerExpiration: Int64
    /// Makes the elections of this shard's groups differ from its peers'.
    public var seed: UInt64

    public init(
        node: NodeID, timing: RaftTiming, limits: RaftLimits, balanceInterval: UInt64, retentionInterval: UInt64,
        checkpointInterval: UInt64, producerExpiration: Int64 = 86_400_000, seed: UInt64
    ) {
        self.node = node
        self.timing = timing
        self.limits = limits
        self.balanceInterval = balanceInterval
        self.retentionInterval = retentionInterval
        self.checkpointInterval = checkpointInterval
        self.producerExpiration = producerExpiration
        self.seed = seed
    }
}
