// SPDX-License-Identifier: Apache-2.0

import LogModel
public import Settings

/// One step of IncrementalAlterConfigs (KIP-339): nothing in it has been checked.
public struct ConfigEdit: Hashable, Sendable {
    public enum Operation: Hashable, Sendable {
        case set
        /// Back to the default.
        case delete
        /// Put values at the end of a list, those that are not in it.
        case append
        /// Take values out of a list.
        case subtract
    }

    public var name: String
    public var operation: Operation
    public var value: String?

    public init(name: String, operation: Operation, value: String?) {
        self.name = name
        self.operation = operation
        self.value = value
    }
}

/// What has configs that are kept in the cluster's state.
public enum ConfigOwner: Hashable, Sendable {
    case topic(String)
    case group(String)
}

extension ClusterState {
    /// The longest name of a group whose configs are stored, in bytes of UTF-8.
    public static let groupNameBytesMax = 1_024

    /// How many groups may have configs of their own.
    public static let configuredGroupsMax = 10_000

    /// Works out what IncrementalAlterConfigs asks of one owner. Nothing happens unless all of it is legal.
    ///
    /// The rules and their errors are those of Kafka's controller (`ConfigurationControlManager`), but that giving an
    /// unknown config its default back is refused too.
    /// - Complexity: O(*n*²) in edits, of which there can be as many as there are configs.
    public func planEdits(
        _ edits: [ConfigEdit], of owner: ConfigOwner, defaults: TopicDefaults
    ) -> Result<MetadataCommand, TopicRefusal> {
        Result { () throws(TopicRefusal) in
            try Self.checkDistinct(edits.map(\.name))
            for edit in edits where edit.operation != .delete && edit.value == nil {
                throw TopicRefusal(.invalidRequest, "Null value not supported for : \(edit.name.forMessage)")
            }
            switch owner {
            case .topic(let name):
                let topic = try configurableTopic(named: name)
                var configs = topic.configs
                for edit in edits { try Self.apply(edit, to: &configs, defaults) }
                return .changeTopicConfigs(topic.id, try Self.judged(configs, defaults).changes(for: edits))
            case .group(let name):
                try checkConfigurableGroup(named: name)
                var changes: [ConfigChange] = []
                for edit in edits { changes.append(try Self.change(ofGroup: edit)) }
                return .changeGroupConfigs(name, try judged(changes, ofGroup: name))
            }
        }
    }

    /// Works out what AlterConfigs asks of one owner: what is not named goes back to its default.
    public func planReplacement(
        _ configs: [(name: String, value: String?)], of owner: ConfigOwner, defaults: TopicDefaults
    ) -> Result<MetadataCommand, TopicRefusal> {
        Result { () throws(TopicRefusal) in
            try Self.checkDistinct(configs.map(\.name))
            for config in configs where config.value == nil {
                throw TopicRefusal(.invalidRequest, "Null value not supported for : \(config.name.forMessage)")
            }
            switch owner {
            case .topic(let name):
                let topic = try configurableTopic(named: name)
                let replaced: TopicConfigs
                do throws(TopicConfigError) {
                    replaced = try TopicConfigs(validating: configs)
                } catch {
                    throw TopicRefusal(.invalidConfig, error.description)
                }
                return .alterTopicConfigs(topic.id, try Self.judged(replaced, defaults))
            case .group(let name):
                try checkConfigurableGroup(named: name)
                var changes = groupConfigs(of: name).overrides.map { ConfigChange(name: $0.name, value: nil) }
                for config in configs {
                    let edit = ConfigEdit(name: config.name, operation: .set, value: config.value)
                    let change = try Self.change(ofGroup: edit)
                    changes.removeAll { $0.name == change.name }
                    changes.append(change)
                }
                return .changeGroupConfigs(name, try judged(changes, ofGroup: name))
            }
        }
    }

    private static func checkDistinct(_ names: [String]) throws(TopicRefusal) {
        guard names.count <= TopicConfigs.countMax else {
            throw TopicRefusal(.invalidRequest, "\(names.count) configs are more than there are")
        }
        guard Set(names).count == names.count else {
            throw TopicRefusal(.invalidRequest, "Error due to duplicate config keys")
        }
    }

    // MARK: - Topics

    private func configurableTopic(named text: String) throws(TopicRefusal) -> Topic {
        guard !text.isEmpty else {
            throw TopicRefusal(.invalidRequest, "Default topic resources are not allowed.")
        }
        let name: TopicName
        do { name = try TopicName(text) } catch { throw TopicRefusal(.invalidTopic, error.description) }
        guard let topic = topic(named: name) else {
            throw TopicRefusal(.unknownTopic, "The topic '\(name)' does not exist.")
        }
        return topic
    }

    private static func apply(
        _ edit: ConfigEdit, to configs: inout TopicConfigs, _ defaults: TopicDefaults
    ) throws(TopicRefusal) {
        do throws(TopicConfigError) {
            guard let config = TopicConfig.named(edit.name) else { throw .unknown(edit.name.forMessage) }
            switch edit.operation {
            case .delete: try configs.remove(edit.name)
            case .set: try configs.set(edit.name, to: edit.value ?? "")
            case .append, .subtract:
                guard config.kind == .list else {
                    throw .notAList(edit.name)
                }
                let current = configs.described(defaults).first { $0.config.name == edit.name }?.value ?? ""
                let named = values(in: edit.value ?? "")
                var list = values(in: current)
                if edit.operation == .append {
                    for value in named where !list.contains(value) { list.append(value) }
                } else {
                    list.removeAll { named.contains($0) }
                }
                try configs.set(edit.name, to: list.joined(separator: ","))
            }
        } catch {
            throw TopicRefusal(.invalidConfig, error.description)
        }
    }

    private static func values(in list: String) -> [String] {
        list.split(separator: ",").map { $0.trimmed }.filter { !$0.isEmpty }
    }

    /// The configs, if they can all hold together.
    static func judged(_ configs: TopicConfigs, _ defaults: TopicDefaults) throws(TopicRefusal) -> TopicConfigs {
        func number(_ name: String) -> Int64? {
            let described = configs.described(defaults).first { $0.config.name == name }
            return described.flatMap { Int64($0.value) }
        }
        let (least, most) = ("min.compaction.lag.ms", "max.compaction.lag.ms")
        if let low = number(least), let high = number(most), low > high {
            throw TopicRefusal(.invalidConfig, "\(least) (\(low)) must not be larger than \(most) (\(high))")
        }
        return configs
    }

    // MARK: - Groups

    private func checkConfigurableGroup(named name: String) throws(TopicRefusal) {
        guard !name.isEmpty else {
            throw TopicRefusal(.invalidRequest, "Default group resources are not allowed.")
        }
        guard name.utf8.count <= Self.groupNameBytesMax else {
            throw TopicRefusal(.invalidRequest, "the group's name is longer than \(Self.groupNameBytesMax) bytes")
        }
        guard groupConfigs(of: name) != GroupConfigs() || configuredGroups.count < Self.configuredGroupsMax else {
            throw TopicRefusal(
                .policyViolation, "\(Self.configuredGroupsMax) groups have configs of their own, and no more may")
        }
    }

    private static func change(ofGroup edit: ConfigEdit) throws(TopicRefusal) -> ConfigChange {
        guard let config = GroupConfig.named(edit.name) else {
            throw TopicRefusal(.invalidConfig, "Unknown group config name: \(edit.name.forMessage)")
        }
        do throws(TopicConfigError) {
            switch edit.operation {
            case .delete: return ConfigChange(name: edit.name, value: nil)
            case .set: return ConfigChange(name: edit.name, value: try config.validated(edit.value ?? ""))
            case .append, .subtract: throw .notAList(edit.name)
            }
        } catch {
            throw TopicRefusal(.invalidConfig, error.description)
        }
    }

    private func judged(_ changes: [ConfigChange], ofGroup name: String) throws(TopicRefusal) -> [ConfigChange] {
        let after = groupConfigs(of: name).applying(changes) ?? GroupConfigs()
        let session = after.sessionTimeout ?? GroupConfig.sessionTimeout.initial
        let heartbeat = after.heartbeatInterval ?? GroupConfig.heartbeatInterval.initial
        guard session > heartbeat else {
            throw TopicRefusal(
                .invalidConfig, "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms")
        }
        return changes
    }
}

extension TopicConfigs {
    /// What a command must say so that the configs named by `edits` become as they are here.
    fileprivate func changes(for edits: [ConfigEdit]) -> [ConfigChange] {
        edits.map { ConfigChange(name: $0.name, value: override(of: $0.name)) }
    }
}

extension StringProtocol {
    fileprivate var trimmed: String {
        var rest = Substring(self)
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return String(rest)
    }

    /// Short enough for a message, whatever a stranger sent, and without control characters.
    fileprivate var forMessage: String {
        let clean = unicodeScalars.prefix(80).map { $0.value < 0x20 || $0.value == 0x7F ? "?" : String($0) }
        return clean.joined()
    }
}
