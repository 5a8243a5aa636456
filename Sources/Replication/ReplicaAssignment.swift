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
    public var policy: LogPolicy
    /// If there is no log at `directory`, one was there and is lost: see `Rebuilding`.
    public var mayHaveForgotten: Bool

    public init(
        partition: PartitionID, replicas: [NodeID], learners: [NodeID] = [], directory: String, limits: LogLimits,
        policy: LogPolicy = LogPolicy(), mayHaveForgotten: Bool = false
    ) {
        precondition(!replicas.isEmpty, "a partition has at least one replica")
        self.partition = partition
        self.replicas = replicas
        self.learners = learners
        self.directory = directory
        self.limits = limits
        self.policy = policy
        self.mayHaveForgotten = mayHaveForgotten
    }

    /// Whether the log is kept by other rules than `other` says: those that `Replica.adopt` takes over.
    public func keepsOtherwise(than other: ReplicaAssignment) -> Bool {
        limits != other.limits || policy != other.policy
    }
}

/// What becomes of a log's older part (`cleanup.policy`). Without both halves it is kept forever.
public struct LogPolicy: Hashable, Sendable {
    /// How long and how much of it is kept.
    public var retention: Retention
    /// How it is compacted; `nil` when it is not.
    public var compaction: CleaningRules?

    public struct Retention: Hashable, Sendable {
        /// `nil` is without limit, as below.
        public var milliseconds: Int64?
        public var bytes: ByteCount?

        public init(milliseconds: Int64? = nil, bytes: ByteCount? = nil) {
            self.milliseconds = milliseconds
            self.bytes = bytes
        }
    }

    public init(retention: Retention = Retention(), compaction: CleaningRules? = nil) {
        self.retention = retention
        self.compaction = compaction
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
    public var cleaner: CleanerSettings
    /// How long an idempotent producer may be silent before it is forgotten, in milliseconds.
    public var producerExpiration: Int64
    /// Makes the elections of this shard's groups differ from its peers'.
    public var seed: UInt64
    public var scrub: ScrubSettings

    public init(
        node: NodeID, timing: RaftTiming, limits: RaftLimits, balanceInterval: UInt64, retentionInterval: UInt64,
        checkpointInterval: UInt64, producerExpiration: Int64 = 86_400_000, seed: UInt64, cleaner: CleanerSettings,
        scrub: ScrubSettings = ScrubSettings()
    ) {
        self.node = node
        self.timing = timing
        self.limits = limits
        self.balanceInterval = balanceInterval
        self.retentionInterval = retentionInterval
        self.checkpointInterval = checkpointInterval
        self.producerExpiration = producerExpiration
        self.seed = seed
        self.cleaner = cleaner
        self.scrub = scrub
    }
}
