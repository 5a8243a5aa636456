// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// How groups are coordinated and what they may cost (reliability.md H19). Times are in milliseconds, as in Kafka.
@frozen
public struct GroupSettings: Hashable, Sendable {
    public var initialRebalanceDelay = Setting.groupInitialDelay.initial
    public var sessionTimeoutMin = Setting.groupSessionTimeoutMin.initial
    public var sessionTimeoutMax = Setting.groupSessionTimeoutMax.initial
    /// Members of one classic group.
    public var sizeMax = Setting.groupSizeMax.initial
    /// Groups of one partition of `__consumer_offsets`.
    public var countMax = Setting.groupCountMax.initial
    /// Of all members of one group together.
    public var metadataBytesMax = Setting.groupMetadataBytesMax.initial
    public var consumer = ConsumerGroupSettings()
    public var offsets = OffsetsSettings()

    public init() {}
}

/// How groups of the consumer protocol (KIP-848) are coordinated. Times are in milliseconds.
@frozen
public struct ConsumerGroupSettings: Hashable, Sendable {
    public var sessionTimeout = Setting.consumerGroupSessionTimeout.initial
    public var sessionTimeoutMin = Setting.consumerGroupSessionTimeoutMin.initial
    public var sessionTimeoutMax = Setting.consumerGroupSessionTimeoutMax.initial
    public var heartbeatInterval = Setting.consumerGroupHeartbeatInterval.initial
    public var heartbeatIntervalMin = Setting.consumerGroupHeartbeatIntervalMin.initial
    public var heartbeatIntervalMax = Setting.consumerGroupHeartbeatIntervalMax.initial
    public var sizeMax = Setting.consumerGroupSizeMax.initial
    /// The first serves members that ask for none.
    public var assignors = Setting.consumerGroupAssignors.initial
    public var migrationPolicy = Setting.consumerGroupMigrationPolicy.initial

    public init() {}
}

/// How committed offsets are kept.
@frozen
public struct OffsetsSettings: Hashable, Sendable {
    public var metadataBytesMax = Setting.offsetMetadataBytesMax.initial
    public var retentionMinutes = Setting.offsetsRetention.initial
    /// In milliseconds.
    public var retentionCheckInterval = Setting.offsetsRetentionInterval.initial
    public var topicPartitions = Setting.offsetsTopicPartitions.initial
    public var topicReplicationFactor = Setting.offsetsTopicReplicationFactor.initial
    public var topicSegmentBytes = Setting.offsetsTopicSegmentBytes.initial

    public init() {}
}

/// An assignor that runs on the coordinator (KIP-848).
public enum GroupAssignor: String, SettingValue, CaseIterable {
    case uniform, range

    public static var form: String { allCases.map(\.rawValue).joined(separator: " or ") }
    public init?(setting text: String) { self.init(rawValue: text) }
    public var settingText: String { rawValue }
}

/// Whether groups change their protocol while members are in them (KIP-848, online migration).
public enum GroupMigrationPolicy: String, SettingValue, CaseIterable {
    case disabled, upgrade, downgrade, bidirectional

    public static var form: String { allCases.map(\.rawValue).joined(separator: ", ") }
    /// Reads a policy whatever its case, as Kafka does.
    public init?(setting text: String) { self.init(rawValue: text.lowercased()) }
    public var settingText: String { rawValue }

    public var allowsUpgrade: Bool { self == .upgrade || self == .bidirectional }
    public var allowsDowngrade: Bool { self == .downgrade || self == .bidirectional }
}
