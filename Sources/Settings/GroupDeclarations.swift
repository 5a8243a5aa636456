// SPDX-License-Identifier: Apache-2.0

public import LogModel

// The settings of group coordination, each once. Names, units and defaults are Kafka's where Kafka has the setting;
// a name that ends in `.ms` or `.minutes` takes a plain number.

extension Setting<Int> {
    public static let groupInitialDelay = Setting(
        "group.initial.rebalance.delay.ms",
        "How long an empty group waits for more members after the first has joined, in milliseconds.",
        initial: 3_000, bounds: 0...3_600_000, change: .cluster)

    public static let groupSessionTimeoutMin = Setting(
        "group.min.session.timeout.ms", "The shortest session timeout a member of a classic group may ask for.",
        initial: 6_000, bounds: 1...86_400_000, change: .cluster)

    public static let groupSessionTimeoutMax = Setting(
        "group.max.session.timeout.ms", "The longest session timeout a member of a classic group may ask for.",
        initial: 1_800_000, bounds: 1...86_400_000, change: .cluster)

    /// Kafka's default is no limit at all.
    public static let groupSizeMax = Setting(
        "group.max.size", "How many members a classic group may have.", initial: 10_000, bounds: 1...1_000_000,
        change: .cluster)

    public static let groupCountMax = Setting(
        "group.max.count", "How many groups one partition of __consumer_offsets may keep.", initial: 1_000_000,
        bounds: 1...100_000_000, change: .cluster)

    public static let consumerGroupSessionTimeout = Setting(
        "group.consumer.session.timeout.ms", "The session timeout of members of consumer groups (KIP-848).",
        initial: 45_000, bounds: 1...86_400_000, change: .cluster)

    public static let consumerGroupSessionTimeoutMin = Setting(
        "group.consumer.min.session.timeout.ms", "The least that group.consumer.session.timeout.ms may be.",
        initial: 45_000, bounds: 1...86_400_000, change: .cluster)

    public static let consumerGroupSessionTimeoutMax = Setting(
        "group.consumer.max.session.timeout.ms", "The most that group.consumer.session.timeout.ms may be.",
        initial: 60_000, bounds: 1...86_400_000, change: .cluster)

    /// Kafka's default is 5 seconds. A member hears of a change only when it speaks, so this is how long a group of any
    /// size takes to settle; two seconds cost a thousand members 500 small requests a second.
    public static let consumerGroupHeartbeatInterval = Setting(
        "group.consumer.heartbeat.interval.ms", "How often members of consumer groups (KIP-848) are told to speak.",
        initial: 2_000, bounds: 1...86_400_000, change: .cluster)

    public static let consumerGroupHeartbeatIntervalMin = Setting(
        "group.consumer.min.heartbeat.interval.ms", "The least that group.consumer.heartbeat.interval.ms may be.",
        initial: 1_000, bounds: 1...86_400_000, change: .cluster)

    public static let consumerGroupHeartbeatIntervalMax = Setting(
        "group.consumer.max.heartbeat.interval.ms", "The most that group.consumer.heartbeat.interval.ms may be.",
        initial: 15_000, bounds: 1...86_400_000, change: .cluster)

    /// Kafka's default is no limit at all.
    public static let consumerGroupSizeMax = Setting(
        "group.consumer.max.size", "How many members a consumer group (KIP-848) may have.", initial: 10_000,
        bounds: 1...1_000_000, change: .cluster)

    public static let offsetsRetention = Setting(
        "offsets.retention.minutes",
        "How long committed offsets outlive the last member of their group, or their commit where there are none.",
        initial: 10_080, bounds: 1...Int(Int32.max), change: .cluster)

    public static let offsetsRetentionInterval = Setting(
        "offsets.retention.check.interval.ms", "How often committed offsets past their retention are looked for.",
        initial: 600_000, bounds: 1...86_400_000, change: .restart)

    public static let offsetsTopicPartitions = Setting(
        "offsets.topic.num.partitions",
        "How many partitions __consumer_offsets is made with; it must not change once the topic exists.",
        initial: 50, bounds: 1...10_000, change: .never)

    public static let offsetsTopicReplicationFactor = Setting(
        "offsets.topic.replication.factor",
        "How many replicas __consumer_offsets is made with; as many as there are nodes when they are fewer.",
        initial: 3, bounds: 1...15, change: .cluster)
}

extension Setting<ByteCount> {
    public static let groupMetadataBytesMax = Setting(
        "group.metadata.max.bytes",
        "The most that the subscriptions and assignments of all members of one group may hold together.",
        initial: .mebibytes(8), bounds: .kibibytes(16) ... .gibibytes(1), change: .cluster)

    public static let offsetMetadataBytesMax = Setting(
        "offset.metadata.max.bytes", "The longest note that a committed offset may carry.", initial: ByteCount(4_096),
        bounds: .zero...ByteCount(32_767), change: .cluster)

    public static let offsetsTopicSegmentBytes = Setting(
        "offsets.topic.segment.bytes", "The segment.bytes that __consumer_offsets is made with.",
        initial: .mebibytes(100), bounds: .kibibytes(16)...ByteCount(Int64(Int32.max)), change: .cluster)
}

extension Setting<[GroupAssignor]> {
    public static let consumerGroupAssignors = Setting(
        "group.consumer.assignors",
        "The assignors that members of consumer groups (KIP-848) may ask for; the first serves those that do not.",
        initial: [.uniform, .range], legal: "uniform and range in any order, each at most once", change: .cluster,
        isLegal: { !$0.isEmpty && Set($0).count == $0.count })
}

extension Setting<GroupMigrationPolicy> {
    public static let consumerGroupMigrationPolicy = Setting(
        "group.consumer.migration.policy",
        "Whether groups change between the classic and the consumer protocol while members are in them.",
        initial: .bidirectional, change: .cluster)
}
