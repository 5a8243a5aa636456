// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// Everything one node was told, read once at start-up. Hot paths hold the part they need by value.
public struct NodeSettings: Hashable, Sendable {
    public var node = NodeIdentity()
    public var kafka = ListenerSettings(listen: .kafkaListen, advertise: .kafkaAdvertise)
    public var peer = ListenerSettings(listen: .peerListen, advertise: .peerAdvertise)
    public var cluster = ClusterSettings()
    public var output = OutputSettings()
    public var raft = RaftSettings()
    public var storage = StorageSettings()
    public var connections = ConnectionLimits()
    public var requests = RequestLimits()
    public var fetches = FetchLimits()
    public var topics = TopicSettings()
    public var groups = GroupSettings()

    public init() {}

    /// `cluster.voters`: who forms the cluster. Empty on a node that joins one.
    public var voters: [Voter] {
        get { cluster.voters }
        set { cluster.voters = newValue }
    }

    /// Where peers reach this node.
    ///
    /// `peer.advertise` when it is set, else what `cluster.voters` says about this node, else `peer.listen`.
    public var peerAddress: NetworkAddress {
        peer.advertise ?? voters.first { $0.id == node.id }?.address ?? peer.listen
    }
}

/// Which node this is.
@frozen
public struct NodeIdentity: Hashable, Sendable {
    public var id = Setting.nodeID.initial
    public var data = Setting.nodeData.initial
    /// `nil` when the node is in no rack.
    public var rack = Setting.nodeRack.initial
    /// 0 means one per core.
    public var shards = Setting.nodeShards.initial

    public init() {}
}

/// How a node comes to its cluster, and who votes in the metadata.
@frozen
public struct ClusterSettings: Hashable, Sendable {
    /// Who forms the cluster. Once the rules have been checked, exactly one of this and `seeds` is empty.
    public var voters = Setting.clusterVoters.initial
    /// Peer listeners of a cluster that this node joins.
    public var seeds = Setting.clusterSeeds.initial
    public var metadataVoters = Setting.metadataVoters.initial
    public var voterPatience = Setting.metadataVoterPatience.initial

    public init() {}
}

/// One port of a node.
@frozen
public struct ListenerSettings: Hashable, Sendable {
    public var listen: NetworkAddress
    public var advertise: NetworkAddress?

    init(listen: Setting<NetworkAddress>, advertise: Setting<NetworkAddress?>) {
        self.listen = listen.initial
        self.advertise = advertise.initial
    }

    /// What others are told to connect to. A listener on port 0 knows it only once it listens.
    public var advertised: NetworkAddress { advertise ?? listen }
}

/// The node's own log.
@frozen
public struct OutputSettings: Hashable, Sendable {
    public var level = Setting.outputLevel.initial
    public var format = Setting.outputFormat.initial

    public init() {}
}

/// Timing of elections and heartbeats, and how much is on its way to one follower.
@frozen
public struct RaftSettings: Hashable, Sendable {
    public var electionTimeout = Setting.electionTimeout.initial
    public var heartbeatInterval = Setting.heartbeatInterval.initial
    public var reconnectDelay = Setting.reconnectDelay.initial
    public var appendBytes = Setting.appendBytes.initial
    public var inflightBytes = Setting.appendInflightBytes.initial
    public var inflightAppends = Setting.appendInflight.initial
    public var leaderBalanceInterval = Setting.leaderBalanceInterval.initial
    /// 0 is without limit.
    public var catchUpBytesPerSecond = Setting.catchUpBytesPerSecond.initial
    public var catchUpPartitions = Setting.catchUpPartitions.initial

    public init() {}
}

/// Segments, the tail in memory and upkeep.
@frozen
public struct StorageSettings: Hashable, Sendable {
    public var segmentBytes = Setting.segmentBytes.initial
    public var tailBytes = Setting.tailBytes.initial
    public var checkpointInterval = Setting.checkpointInterval.initial
    public var retentionInterval = Setting.retentionInterval.initial
    public var threads = Setting.diskThreads.initial
    /// In milliseconds.
    public var producerExpiration = Setting.producerExpiration.initial
    public var producersMax = Setting.producersPerPartitionMax.initial
    public var cleanerInterval = Setting.cleanerInterval.initial
    public var cleanerMapBytes = Setting.cleanerMapBytes.initial
    /// 0 is without limit.
    public var cleanerBytesPerSecond = Setting.cleanerBytesPerSecond.initial
    /// Of the whole node; shared evenly by its shards.
    public var scrubBytesPerSecond = Setting.scrubBytesPerSecond.initial
    public var reserve = Setting.storageReserve.initial
    public var slowSync = Setting.slowSync.initial
    public var slowSyncRecovery = Setting.slowSyncRecovery.initial
    public var stuckSync = Setting.stuckSync.initial

    public init() {}
}

/// What clients' connections may cost (reliability.md H2–H4, H23, H25).
@frozen
public struct ConnectionLimits: Hashable, Sendable {
    public var max = Setting.connectionsMax.initial
    public var maxPerIP = Setting.connectionsMaxPerIP.initial
    /// New connections a second.
    public var acceptRate = Setting.connectionsAcceptRate.initial
    public var idleTimeout = Setting.connectionIdleTimeout.initial
    /// How long a request or an answer may make no progress.
    public var stallTimeout = Setting.connectionStallTimeout.initial
    public var requestsInflight = Setting.connectionRequestsInflight.initial
    public var responseBacklog = Setting.responseBacklog.initial

    public init() {}
}

/// What requests may cost (reliability.md H1–H3, H9, H14, H24).
@frozen
public struct RequestLimits: Hashable, Sendable {
    public var bytesMax = Setting.requestBytesMax.initial
    /// Of all connections together.
    public var bytesInflight = Setting.requestBytesInflight.initial
    /// The default of `max.message.bytes`.
    public var messageBytesMax = Setting.messageBytesMax.initial
    public var decompressedBytesMax = Setting.decompressedBytesMax.initial
    public var produceWaitMax = Setting.produceWaitMax.initial
    public var clientIDBytesMax = Setting.clientIDBytesMax.initial
    public var shutdownTimeout = Setting.shutdownTimeout.initial

    public init() {}
}

/// What fetches may cost (reliability.md H15).
@frozen
public struct FetchLimits: Hashable, Sendable {
    public var bytesMax = Setting.fetchBytesMax.initial
    public var waitMax = Setting.fetchWaitMax.initial
    public var sessionSlots = Setting.fetchSessionSlots.initial
    public var replicaSelector = Setting.replicaSelector.initial

    public init() {}
}

/// How topics are made, and how many (reliability.md H20).
@frozen
public struct TopicSettings: Hashable, Sendable {
    public var autoCreate = Setting.autoCreateTopics.initial
    public var defaultPartitions = Setting.defaultPartitions.initial
    /// 0 means three, or as many as there are nodes.
    public var defaultReplicationFactor = Setting.defaultReplicationFactor.initial
    public var topicsMax = Setting.topicsMax.initial
    public var partitionsMax = Setting.partitionsMax.initial
    public var partitionsPerTopicMax = Setting.partitionsPerTopicMax.initial
    public var partitionsPerRequestMax = Setting.partitionsPerRequestMax.initial

    public init() {}
}
