// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import LogStorage
public import RaftCore

/// What a node is told to keep: one partition, with whom, and by which rules.
public struct ReplicaAssignment: Sendable {
    public var partition: PartitionID
    /// The replicas that the partition was created with: who votes while its log does not say otherwise. Empty on a
    /// node that was told none, which then never stands, and learns from the leader who does.
    public var founders: [NodeID]
    /// Who should vote, the preferred leader first: the leader sees to it. Empty for no wish, which keeps the members
    /// in force.
    public var replicas: [NodeID]
    /// Who should follow without a vote.
    public var learners: [NodeID]
    /// The metadata knows of no move under way, and so `replicas` are the members in force.
    public var isSettled: Bool
    /// Where the log lives.
    public var directory: String
    public var limits: LogLimits
    public var policy: LogPolicy
    /// If there is no log at `directory`, one was there and is lost: see `Rebuilding`.
    public var mayHaveForgotten: Bool

    public init(
        partition: PartitionID, founders: [NodeID]? = nil, replicas: [NodeID], learners: [NodeID] = [],
        isSettled: Bool? = nil, directory: String, limits: LogLimits, policy: LogPolicy = LogPolicy(),
        mayHaveForgotten: Bool = false
    ) {
        self.founders = founders ?? replicas
        self.isSettled = isSettled ?? (founders == nil)
        self.partition = partition
        self.replicas = replicas
        self.learners = learners
        self.directory = directory
        self.limits = limits
        self.policy = policy
        self.mayHaveForgotten = mayHaveForgotten
    }

    /// Whether the log is kept by other rules, or with others, than `other` says: what `Replica.adopt` takes over.
    public func keepsOtherwise(than other: ReplicaAssignment) -> Bool {
        limits != other.limits || policy != other.policy || replicas != other.replicas || learners != other.learners
            || isSettled != other.isSettled
    }

    /// Whether `replicas` are in force for certain, whatever a lost log may have said.
    ///
    /// That the metadata lags behind does no harm where it counts, in groups of one or two: nothing can have been
    /// changed there without this replica.
    var knowsMembers: Bool {
        isSettled && !replicas.isEmpty && (founders.isEmpty || founders.sorted() == replicas.sorted())
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
    public var disk: DiskSettings
    public var catchUp: CatchUpSettings
    public var scrub: ScrubSettings

    public init(
        node: NodeID, timing: RaftTiming, limits: RaftLimits, balanceInterval: UInt64, retentionInterval: UInt64,
        checkpointInterval: UInt64, producerExpiration: Int64 = 86_400_000, seed: UInt64, cleaner: CleanerSettings,
        disk: DiskSettings = DiskSettings(), catchUp: CatchUpSettings = CatchUpSettings(),
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
        self.disk = disk
        self.catchUp = catchUp
        self.scrub = scrub
    }
}
