// SPDX-License-Identifier: Apache-2.0

/// A setting whatever its type, and its place in `NodeSettings`.
public struct SettingDeclaration: Sendable {
    public let name: String
    public let summary: String
    /// The initial value as an operator would write it; empty when there is none.
    public let initialText: String
    public let boundsText: String
    public let change: SettingChange
    public let isRequired: Bool
    /// Whether a file may also write it as a sequence.
    public let isList: Bool
    /// The type that Kafka's clients are told. Sizes and times are texts: they are written with their unit.
    public let kind: TopicConfig.Kind
    private let assignment: @Sendable (String, inout NodeSettings) throws(SettingError) -> Void
    private let reading: @Sendable (NodeSettings) -> String

    init<Value>(_ setting: Setting<Value>, _ place: any WritableKeyPath<NodeSettings, Value> & Sendable) {
        name = setting.name
        summary = setting.summary
        initialText = setting.initial.settingText
        boundsText = setting.boundsText
        change = setting.change
        isRequired = setting.isRequired
        isList = Value.isList
        kind = Value.isList ? .list : Value.self == Bool.self ? .boolean : Value.self == Int.self ? .int : .string
        assignment = { (text, settings) throws(SettingError) in
            settings[keyPath: place] = try setting.parse(text)
        }
        reading = { $0[keyPath: place].settingText }
    }

    /// Reads `text` into its place.
    public func assign(_ text: String, in settings: inout NodeSettings) throws(SettingError) {
        try assignment(text, &settings)
    }

    /// The value in `settings`, as an operator would write it.
    public func text(in settings: NodeSettings) -> String { reading(settings) }

    /// The declaration named `name`.
    public static func named(_ name: String) -> SettingDeclaration? { byName[name] }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// Every setting, in the order of the table that `--explain` prints.
    public static let all = nodeSettings + groupSettings + offsetsSettings

    private static let nodeSettings: [SettingDeclaration] = [
        SettingDeclaration(.nodeID, \.node.id),
        SettingDeclaration(.nodeData, \.node.data),
        SettingDeclaration(.nodeRack, \.node.rack),
        SettingDeclaration(.nodeShards, \.node.shards),
        SettingDeclaration(.kafkaListen, \.kafka.listen),
        SettingDeclaration(.kafkaAdvertise, \.kafka.advertise),
        SettingDeclaration(.peerListen, \.peer.listen),
        SettingDeclaration(.peerAdvertise, \.peer.advertise),
        SettingDeclaration(.clusterVoters, \.cluster.voters),
        SettingDeclaration(.clusterSeeds, \.cluster.seeds),
        SettingDeclaration(.metadataVoters, \.cluster.metadataVoters),
        SettingDeclaration(.metadataVoterPatience, \.cluster.voterPatience),
        SettingDeclaration(.outputLevel, \.output.level),
        SettingDeclaration(.outputFormat, \.output.format),
        SettingDeclaration(.autoCreateTopics, \.topics.autoCreate),
        SettingDeclaration(.defaultPartitions, \.topics.defaultPartitions),
        SettingDeclaration(.defaultReplicationFactor, \.topics.defaultReplicationFactor),
        SettingDeclaration(.topicsMax, \.topics.topicsMax),
        SettingDeclaration(.partitionsMax, \.topics.partitionsMax),
        SettingDeclaration(.partitionsPerTopicMax, \.topics.partitionsPerTopicMax),
        SettingDeclaration(.partitionsPerRequestMax, \.topics.partitionsPerRequestMax),
        SettingDeclaration(.segmentBytes, \.storage.segmentBytes),
        SettingDeclaration(.tailBytes, \.storage.tailBytes),
        SettingDeclaration(.checkpointInterval, \.storage.checkpointInterval),
        SettingDeclaration(.retentionInterval, \.storage.retentionInterval),
        SettingDeclaration(.cleanerInterval, \.storage.cleanerInterval),
        SettingDeclaration(.cleanerMapBytes, \.storage.cleanerMapBytes),
        SettingDeclaration(.cleanerBytesPerSecond, \.storage.cleanerBytesPerSecond),
        SettingDeclaration(.scrubBytesPerSecond, \.storage.scrubBytesPerSecond),
        SettingDeclaration(.diskThreads, \.storage.threads),
        SettingDeclaration(.storageReserve, \.storage.reserve),
        SettingDeclaration(.slowSync, \.storage.slowSync),
        SettingDeclaration(.slowSyncRecovery, \.storage.slowSyncRecovery),
        SettingDeclaration(.stuckSync, \.storage.stuckSync),
        SettingDeclaration(.producerExpiration, \.storage.producerExpiration),
        SettingDeclaration(.producersPerPartitionMax, \.storage.producersMax),
        SettingDeclaration(.electionTimeout, \.raft.electionTimeout),
        SettingDeclaration(.heartbeatInterval, \.raft.heartbeatInterval),
        SettingDeclaration(.reconnectDelay, \.raft.reconnectDelay),
        SettingDeclaration(.appendBytes, \.raft.appendBytes),
        SettingDeclaration(.appendInflightBytes, \.raft.inflightBytes),
        SettingDeclaration(.appendInflight, \.raft.inflightAppends),
        SettingDeclaration(.leaderBalanceInterval, \.raft.leaderBalanceInterval),
        SettingDeclaration(.catchUpBytesPerSecond, \.raft.catchUpBytesPerSecond),
        SettingDeclaration(.catchUpPartitions, \.raft.catchUpPartitions),
        SettingDeclaration(.connectionsMax, \.connections.max),
        SettingDeclaration(.connectionsMaxPerIP, \.connections.maxPerIP),
        SettingDeclaration(.connectionsAcceptRate, \.connections.acceptRate),
        SettingDeclaration(.connectionIdleTimeout, \.connections.idleTimeout),
        SettingDeclaration(.connectionStallTimeout, \.connections.stallTimeout),
        SettingDeclaration(.connectionRequestsInflight, \.connections.requestsInflight),
        SettingDeclaration(.responseBacklog, \.connections.responseBacklog),
        SettingDeclaration(.requestBytesMax, \.requests.bytesMax),
        SettingDeclaration(.requestBytesInflight, \.requests.bytesInflight),
        SettingDeclaration(.messageBytesMax, \.requests.messageBytesMax),
        SettingDeclaration(.decompressedBytesMax, \.requests.decompressedBytesMax),
        SettingDeclaration(.produceWaitMax, \.requests.produceWaitMax),
        SettingDeclaration(.clientIDBytesMax, \.requests.clientIDBytesMax),
        SettingDeclaration(.shutdownTimeout, \.requests.shutdownTimeout),
        SettingDeclaration(.fetchBytesMax, \.fetches.bytesMax),
        SettingDeclaration(.fetchWaitMax, \.fetches.waitMax),
        SettingDeclaration(.fetchSessionSlots, \.fetches.sessionSlots),
        SettingDeclaration(.replicaSelector, \.fetches.replicaSelector),
    ]

    private static let groupSettings = [
        SettingDeclaration(.groupInitialDelay, \.groups.initialRebalanceDelay),
        SettingDeclaration(.groupSessionTimeoutMin, \.groups.sessionTimeoutMin),
        SettingDeclaration(.groupSessionTimeoutMax, \.groups.sessionTimeoutMax),
        SettingDeclaration(.groupSizeMax, \.groups.sizeMax),
        SettingDeclaration(.groupCountMax, \.groups.countMax),
        SettingDeclaration(.groupMetadataBytesMax, \.groups.metadataBytesMax),
        SettingDeclaration(.consumerGroupSessionTimeout, \.groups.consumer.sessionTimeout),
        SettingDeclaration(.consumerGroupSessionTimeoutMin, \.groups.consumer.sessionTimeoutMin),
        SettingDeclaration(.consumerGroupSessionTimeoutMax, \.groups.consumer.sessionTimeoutMax),
        SettingDeclaration(.consumerGroupHeartbeatInterval, \.groups.consumer.heartbeatInterval),
        SettingDeclaration(.consumerGroupHeartbeatIntervalMin, \.groups.consumer.heartbeatIntervalMin),
        SettingDeclaration(.consumerGroupHeartbeatIntervalMax, \.groups.consumer.heartbeatIntervalMax),
        SettingDeclaration(.consumerGroupSizeMax, \.groups.consumer.sizeMax),
        SettingDeclaration(.consumerGroupAssignors, \.groups.consumer.assignors),
        SettingDeclaration(.consumerGroupMigrationPolicy, \.groups.consumer.migrationPolicy),
    ]

    private static let offsetsSettings = [
        SettingDeclaration(.offsetMetadataBytesMax, \.groups.offsets.metadataBytesMax),
        SettingDeclaration(.offsetsRetention, \.groups.offsets.retentionMinutes),
        SettingDeclaration(.offsetsRetentionInterval, \.groups.offsets.retentionCheckInterval),
        SettingDeclaration(.offsetsTopicPartitions, \.groups.offsets.topicPartitions),
        SettingDeclaration(.offsetsTopicReplicationFactor, \.groups.offsets.topicReplicationFactor),
        SettingDeclaration(.offsetsTopicSegmentBytes, \.groups.offsets.topicSegmentBytes),
    ]
}
