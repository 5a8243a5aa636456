// SPDX-License-Identifier: Apache-2.0

/// One config that is to have another value, as it is stored: judged already, like all overrides that are stored.
public struct ConfigChange: Hashable, Sendable {
    public let name: String
    /// `nil` gives the config its default back.
    public let value: String?

    public init(name: String, value: String?) {
        self.name = name
        self.value = value
    }
}

extension TopicConfigs {
    /// The overrides after `changes`, which are not judged; a later one of the same name counts.
    ///
    /// - Returns: `nil` when they would be beyond the bounds of what is stored.
    public func applying(_ changes: [ConfigChange]) -> TopicConfigs? {
        TopicConfigs(stored: overrides.applying(changes))
    }
}

extension [TopicConfigs.Override] {
    fileprivate func applying(_ changes: [ConfigChange]) -> [TopicConfigs.Override] {
        var overrides = self
        for change in changes {
            let at = overrides.firstIndex { $0.name >= change.name } ?? overrides.endIndex
            if at < overrides.endIndex, overrides[at].name == change.name { overrides.remove(at: at) }
            guard let value = change.value else { continue }
            overrides.insert(TopicConfigs.Override(name: change.name, value: value), at: at)
        }
        return overrides
    }
}

/// What a consumer group's owner has set for it (KIP-848), in the order of the names.
public struct GroupConfigs: Hashable, Sendable {
    /// Strictly ascending in name.
    public let overrides: [TopicConfigs.Override]

    /// No overrides.
    public init() { overrides = [] }

    /// Overrides as they were stored; `nil` when they are not ascending or beyond the bounds.
    public init?(stored: [TopicConfigs.Override]) {
        guard let sound = TopicConfigs(stored: stored) else { return nil }
        overrides = sound.overrides
    }

    /// The overrides after `changes`, which are not judged. See `TopicConfigs.applying`.
    public func applying(_ changes: [ConfigChange]) -> GroupConfigs? {
        GroupConfigs(stored: overrides.applying(changes))
    }

    public func override(of name: String) -> String? { overrides.first { $0.name == name }?.value }

    /// In milliseconds; `nil` where the node's default holds.
    public var sessionTimeout: Int64? { override(of: GroupConfig.sessionTimeout.name).flatMap { Int64($0) } }
    /// In milliseconds; `nil` where the node's default holds.
    public var heartbeatInterval: Int64? { override(of: GroupConfig.heartbeatInterval.name).flatMap { Int64($0) } }
}

/// One of Kafka's configs of a single consumer group (GroupConfig.java): its default, bounds and meaning.
public struct GroupConfig: Hashable, Sendable {
    public let name: String
    /// In milliseconds. The default of the `group.consumer.…` setting that stands behind it.
    public let initial: Int64
    /// In milliseconds, from the default of `group.consumer.min.…` to that of `group.consumer.max.…`.
    public let bounds: ClosedRange<Int64>
    public let documentation: String

    public static let sessionTimeout = GroupConfig(
        name: "consumer.session.timeout.ms", initial: 45_000, bounds: 45_000...60_000,
        documentation: "After how long without a heartbeat a member of the group counts as failed, in milliseconds.")

    public static let heartbeatInterval = GroupConfig(
        name: "consumer.heartbeat.interval.ms", initial: 2_000, bounds: 1_000...15_000,
        documentation: "How often a member of the group is told to send a heartbeat, in milliseconds.")

    /// In the order of their names.
    public static let all = [heartbeatInterval, sessionTimeout]

    public static func named(_ name: String) -> GroupConfig? { all.first { $0.name == name } }

    /// `value` in the form it is kept in, if it is legal.
    public func validated(_ value: String) throws(TopicConfigError) -> String {
        guard let number = Int64(value.trimmed) else { throw .notANumber(name, value: value.clipped) }
        guard bounds.contains(number) else { throw .outOfBounds(name, value: value.clipped, bounds: bounds) }
        return "\(number)"
    }
}
