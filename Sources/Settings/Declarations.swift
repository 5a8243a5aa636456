// SPDX-License-Identifier: Apache-2.0

public import LogModel

// Every setting of a node, once. `SettingDeclaration.all` says where each value goes.

extension Setting<NodeID> {
    public static let nodeID = Setting(
        "node.id", "This node's number in the cluster; Kafka clients see it as the broker id.", initial: NodeID(1),
        legal: "0 to \(Int32.max)", change: .never, isRequired: true)
}

extension Setting<String> {
    public static let nodeData = Setting(
        "node.data", "The directory that holds everything this node stores.", initial: "./godwit-data",
        legal: "a path", change: .restart, isLegal: { !$0.isEmpty && !$0.utf8.contains(0) })
}

extension Setting<String?> {
    public static let nodeRack = Setting(
        "node.rack", "Where this node stands; replicas of a partition are spread over racks.", initial: nil,
        legal: "a name of up to 255 bytes", change: .restart, isLegal: { ($0?.utf8.count ?? 0) <= 255 })
}

extension Setting<NetworkAddress> {
    public static let kafkaListen = Setting(
        "kafka.listen", "Where Kafka clients are answered; port 0 takes a free one.",
        initial: NetworkAddress(host: "127.0.0.1", port: 9092), change: .restart)

    public static let peerListen = Setting(
        "peer.listen", "Where the other nodes are answered; port 0 takes a free one.",
        initial: NetworkAddress(host: "127.0.0.1", port: 19092), change: .restart)
}

extension Setting<NetworkAddress?> {
    public static let kafkaAdvertise = Setting(
        "kafka.advertise", "What clients are told to connect to; as kafka.listen when empty.", initial: nil,
        change: .restart, isLegal: isConnectable)

    public static let peerAdvertise = Setting(
        "peer.advertise",
        "What the other nodes are told to connect to; when empty, as cluster.voters says, else as peer.listen.",
        initial: nil, change: .restart, isLegal: isConnectable)

    @Sendable private static func isConnectable(_ address: NetworkAddress?) -> Bool {
        address.map { $0.port != 0 && !$0.isWildcard } ?? true
    }
}

extension Setting<[Voter]> {
    public static let clusterVoters = Setting(
        "cluster.voters",
        "The nodes that form a new cluster, the same list on each of them. Who has a vote later is decided by itself.",
        initial: [], legal: "1 to 101 voters id@host:port, each id once", change: .cluster,
        isLegal: { voters in voters.count <= 101 && Set(voters.map(\.id)).count == voters.count })
}

extension Setting<[NetworkAddress]> {
    public static let clusterSeeds = Setting(
        "cluster.seeds",
        "Peer listeners of a running cluster, for a node that joins it: one that answers is enough.",
        initial: [], legal: "1 to 101 addresses host:port", change: .restart,
        isLegal: { seeds in seeds.count <= 101 && seeds.allSatisfy { $0.port != 0 && !$0.isWildcard } })
}

extension Setting<MetadataVoters> {
    public static let metadataVoters = Setting(
        "cluster.metadata.voters",
        "How many of the healthy nodes vote in the cluster's metadata; auto keeps five where five vote, else three.",
        initial: .auto, change: .cluster)
}

extension Setting<LogLevel> {
    public static let outputLevel = Setting(
        "log.level", "How much the node says in its own log.", initial: .info, change: .restart)
}

extension Setting<LogFormat> {
    public static let outputFormat = Setting(
        "log.format", "How a line of the node's own log looks.", initial: .text, change: .restart)
}

extension Setting<Bool> {
    public static let autoCreateTopics = Setting(
        "auto.create.topics", "Whether a topic is made when a client first asks for it.", initial: true,
        change: .restart)
}

extension Setting<Duration> {
    public static let electionTimeout = Setting(
        "raft.election.timeout",
        "How long a follower waits without word before it stands for election; drawn from 1 to 2 times this.",
        initial: .seconds(1), bounds: .milliseconds(50) ... .seconds(60), change: .cluster)

    public static let heartbeatInterval = Setting(
        "raft.heartbeat.interval", "How often a leader speaks; at most a fifth of raft.election.timeout.",
        initial: .milliseconds(100), bounds: .milliseconds(5) ... .seconds(12), change: .cluster)

    public static let reconnectDelay = Setting(
        "raft.reconnect.delay",
        "When a leader's connection breaks, its followers stand for election one after another, this far apart.",
        initial: .milliseconds(10), bounds: .milliseconds(1) ... .seconds(10), change: .restart)

    public static let leaderBalanceInterval = Setting(
        "leader.balance.interval", "How often leadership is offered back to the preferred replica.",
        initial: .seconds(5), bounds: .milliseconds(100) ... .seconds(86_400), change: .restart)

    public static let checkpointInterval = Setting(
        "log.checkpoint.interval",
        "How often a log notes how far it is sound; after a crash only what follows is scanned.",
        initial: .seconds(30), bounds: .milliseconds(100) ... .seconds(3_600), change: .restart)

    public static let retentionInterval = Setting(
        "log.retention.check.interval", "How often segments past retention.ms or retention.bytes are looked for.",
        initial: .seconds(60), bounds: .milliseconds(100) ... .seconds(86_400), change: .restart)

    public static let slowSync = Setting(
        "storage.sync.slow",
        "A disk whose syncs take longer than this, and longer than the peers', gives its leaderships away.",
        initial: .milliseconds(500), bounds: .milliseconds(1) ... .seconds(3_600), change: .restart)

    public static let slowSyncRecovery = Setting(
        "storage.sync.slow.recovery", "How long a slow disk must have been fast before it leads again.",
        initial: .seconds(30), bounds: .milliseconds(100) ... .seconds(3_600), change: .restart)

    public static let stuckSync = Setting(
        "storage.sync.stuck", "A sync that takes longer than this is given up, and its replica with it.",
        initial: .seconds(10), bounds: .milliseconds(100) ... .seconds(3_600), change: .restart)

    public static let cleanerInterval = Setting(
        "log.cleaner.interval", "How often logs that are to be compacted are looked for, when there was none.",
        initial: .seconds(15), bounds: .milliseconds(100) ... .seconds(86_400), change: .restart)

    public static let connectionIdleTimeout = Setting(
        "connection.idle.timeout", "How long a client may be silent before its connection is closed.",
        initial: .seconds(600), bounds: .seconds(1) ... .seconds(604_800), change: .restart)

    public static let connectionStallTimeout = Setting(
        "connection.stall.timeout",
        "How long a half-sent request or an unread answer may make no progress before its connection is closed.",
        initial: .seconds(30), bounds: .milliseconds(100) ... .seconds(3_600), change: .restart)

    public static let fetchWaitMax = Setting(
        "fetch.wait.max", "The longest a fetch waits for records; longer wishes are cut to it.",
        initial: .seconds(60), bounds: .milliseconds(1) ... .seconds(3_600), change: .restart)

    public static let produceWaitMax = Setting(
        "produce.wait.max", "The longest a produce waits for its replicas; longer wishes are cut to it.",
        initial: .seconds(120), bounds: .milliseconds(1) ... .seconds(3_600), change: .restart)

    public static let metadataVoterPatience = Setting(
        "cluster.metadata.voter.patience",
        "How long a metadata voter may be gone before a healthy node gets its vote.",
        initial: .seconds(300), bounds: .seconds(1) ... .seconds(604_800), change: .cluster)

    public static let shutdownTimeout = Setting(
        "shutdown.timeout", "How long a stopping node takes to hand over leadership and close its logs.",
        initial: .seconds(30), bounds: .milliseconds(100) ... .seconds(3_600), change: .restart)
}

extension Setting<ByteCount> {
    /// The bounds are those of `segment.bytes`.
    public static let segmentBytes = Setting(
        "log.segment.bytes", "How long a segment of a log grows; the default of the topic config segment.bytes.",
        initial: .gibibytes(1), bounds: .kibibytes(16)...ByteCount(Int64(Int32.max)), change: .cluster)

    public static let cleanerMapBytes = Setting(
        "log.cleaner.dedupe.buffer.size",
        "The memory for keys of the one log that a node compacts at a time; keys beyond wait for the next pass.",
        initial: .mebibytes(64), bounds: .mebibytes(1) ... .gibibytes(16), change: .restart)

    public static let storageReserve = Setting(
        "storage.reserve.bytes",
        "Room on the disk that records never take, and as much again kept in a file; at most a twentieth of the disk.",
        initial: .mebibytes(64), bounds: .zero ... .gibibytes(1_024), change: .restart)

    public static let catchUpBytesPerSecond = Setting(
        "replication.catchup.bytes.per.second",
        "How fast this node sends followers what they lack of the past, all together; 0 is without limit.",
        initial: .mebibytes(256), bounds: .zero ... .gibibytes(1_024), change: .restart)

    public static let cleanerBytesPerSecond = Setting(
        "log.cleaner.io.max.bytes.per.second", "How fast a node may read logs to compact them; 0 is without limit.",
        initial: .zero, bounds: .zero ... .gibibytes(1_024), change: .restart)

    public static let scrubBytesPerSecond = Setting(
        "storage.scrub.bytes.per.second",
        "How fast a node reads all it stores, again and again, to find what has rotted; 0 lets it be.",
        initial: .mebibytes(4), bounds: .zero ... .gibibytes(64), change: .restart)

    public static let tailBytes = Setting(
        "log.tail.bytes", "How much of the newest records of a partition is kept in memory for its followers.",
        initial: .mebibytes(4), bounds: .zero ... .gibibytes(1), change: .restart)

    public static let appendBytes = Setting(
        "raft.append.bytes", "The most that one letter carries to one follower; a longer batch goes alone.",
        initial: .mebibytes(1), bounds: .kibibytes(4) ... .mebibytes(64), change: .restart)

    public static let appendInflightBytes = Setting(
        "raft.append.inflight.bytes", "The most that may be on its way to one follower of one partition.",
        initial: .mebibytes(8), bounds: .kibibytes(4) ... .gibibytes(1), change: .restart)

    public static let requestBytesMax = Setting(
        "request.bytes.max", "The longest request a client may send; a longer one closes its connection.",
        initial: .mebibytes(100), bounds: .kibibytes(64) ... .gibibytes(1), change: .restart)

    public static let requestBytesInflight = Setting(
        "request.bytes.inflight",
        "The memory that requests of all clients together may hold; reading stops when it is used up.",
        initial: .mebibytes(256), bounds: .mebibytes(1) ... .gibibytes(1_024), change: .restart)

    public static let responseBacklog = Setting(
        "response.backlog.bytes", "Unread answers of one connection above which no more requests are read from it.",
        initial: .mebibytes(16), bounds: .kibibytes(64) ... .gibibytes(1), change: .restart)

    /// Kafka's default: 1 MiB and the overhead of one record batch with one record, near enough.
    public static let messageBytesMax = Setting(
        "message.bytes.max", "The longest record batch accepted; the default of the topic config max.message.bytes.",
        initial: ByteCount(1_048_588), bounds: .kibibytes(1) ... .gibibytes(1), change: .cluster)

    public static let decompressedBytesMax = Setting(
        "message.decompressed.bytes.max", "The most that one record batch may unpack to where it must be read.",
        initial: .mebibytes(128), bounds: .mebibytes(1) ... .gibibytes(2), change: .restart)

    public static let fetchBytesMax = Setting(
        "fetch.bytes.max", "The most records one fetch is answered with; larger wishes are cut to it.",
        initial: .mebibytes(55), bounds: .kibibytes(1) ... .gibibytes(1), change: .restart)
}

extension Setting<ReplicaSelector> {
    public static let replicaSelector = Setting(
        "replica.selector.class",
        "Which replica a consumer is sent to: the leader, or one in the rack that the consumer names.",
        initial: .leader, change: .restart)
}

extension Setting<Int> {
    public static let fetchSessionSlots = Setting(
        "max.incremental.fetch.session.cache.slots",
        "How many clients' fetches are remembered, so that they need only say and be told what has changed.",
        initial: 1_000, bounds: 0...100_000, change: .restart)

    public static let nodeShards = Setting(
        "node.shards", "How many event loops share the partitions; 0 is one per core.", initial: 0,
        bounds: 0...1_024, change: .restart)

    public static let appendInflight = Setting(
        "raft.append.inflight", "How many letters may be on their way to one follower of one partition.",
        initial: 64, bounds: 1...10_000, change: .restart)

    public static let catchUpPartitions = Setting(
        "replication.catchup.partitions",
        "To how many followers this node sends the past at a time; the others wait for their turn.",
        initial: 16, bounds: 1...10_000, change: .restart)

    public static let diskThreads = Setting(
        "disk.threads", "How many threads flush, open, delete and recover files.", initial: 4, bounds: 1...256,
        change: .restart)

    /// Named as in Kafka, and so in milliseconds.
    public static let producerExpiration = Setting(
        "producer.id.expiration.ms",
        "How long a partition remembers an idempotent producer that is silent, at least, in milliseconds.",
        initial: 86_400_000, bounds: 1_000...31_536_000_000, change: .restart)

    public static let producersPerPartitionMax = Setting(
        "producers.per.partition.max",
        "How many idempotent producers a partition remembers; of more, those silent longest are forgotten.",
        initial: 10_000, bounds: 1...1_000_000, change: .restart)

    public static let connectionsMax = Setting(
        "connections.max", "How many clients may be connected.", initial: 10_000, bounds: 1...10_000_000,
        change: .restart)

    public static let connectionsMaxPerIP = Setting(
        "connections.max.per.ip", "How many clients may be connected from one IP address.", initial: 5_000,
        bounds: 1...10_000_000, change: .restart)

    public static let connectionsAcceptRate = Setting(
        "connections.accept.rate", "How many new connections a second are taken; more wait in the system's queue.",
        initial: 2_000, bounds: 1...1_000_000, change: .restart)

    public static let connectionRequestsInflight = Setting(
        "connection.requests.inflight.max", "How many unanswered requests one connection may have.", initial: 128,
        bounds: 1...100_000, change: .restart)

    public static let clientIDBytesMax = Setting(
        "client.id.bytes.max", "How much of a client's own name is kept for logs and metrics.", initial: 255,
        bounds: 0...32_767, change: .restart)

    public static let defaultPartitions = Setting(
        "default.partitions", "How many partitions a topic has when its creator does not say.", initial: 1,
        bounds: 1...10_000, change: .cluster)

    public static let defaultReplicationFactor = Setting(
        "default.replication.factor",
        "How many replicas a partition has when its creator does not say; 0 is three, or one per node if fewer.",
        initial: 0, bounds: 0...15, change: .cluster)

    public static let topicsMax = Setting(
        "topics.max", "How many topics the cluster may have.", initial: 50_000, bounds: 1...1_000_000,
        change: .cluster)

    public static let partitionsMax = Setting(
        "partitions.max", "How many partitions all topics together may have.", initial: 200_000,
        bounds: 1...10_000_000, change: .cluster)

    public static let partitionsPerTopicMax = Setting(
        "partitions.per.topic.max", "How many partitions one topic may have.", initial: 10_000,
        bounds: 1...100_000, change: .cluster)

    public static let partitionsPerRequestMax = Setting(
        "partitions.per.request.max", "How many partitions one request may create.", initial: 10_000,
        bounds: 1...100_000, change: .cluster)
}
