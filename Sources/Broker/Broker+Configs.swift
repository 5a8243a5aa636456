// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import MetadataCore
import NIOCore
public import Settings

/// One of the node's settings, as DescribeConfigs shows it.
public struct ShownSetting: Sendable {
    public var name: String
    public var value: String
    public var isDefault: Bool
    public var documentation: String
    /// What holds when nobody says otherwise; `nil` where that is nothing.
    public var initial: String?
    public var kind: TopicConfig.Kind

    public init(
        name: String, value: String, isDefault: Bool, documentation: String, initial: String? = nil,
        kind: TopicConfig.Kind = .string
    ) {
        self.name = name
        self.value = value
        self.isDefault = isDefault
        self.documentation = documentation
        self.initial = initial
        self.kind = kind
    }
}

extension Broker {
    private typealias Config = DescribeConfigsResponse.Config

    /// DescribeConfigs (API key 32): topics, consumer groups, and this node.
    func describeConfigs(_ call: Call<Files>) throws(WireError) {
        let request = try DescribeConfigsRequest.decode(call.body, version: call.version)
        var response = DescribeConfigsResponse()
        response.results = request.resources.map { resource in
            var result = DescribeConfigsResponse.Result()
            result.type = resource.type
            result.name = resource.name
            switch resource.type {
            case .topic: describeTopic(resource, request, &result)
            case .broker: describeNode(resource, request, &result)
            case .group: describeGroup(resource, request, &result)
            case .brokerLogger: result.refuse("the levels of single loggers cannot be set: see the setting log.level")
            case .clientMetrics: result.refuse("clients' metrics are not collected")
            default: result.refuse("resources of type \(resource.type.rawValue) have no configs here")
            }
            return result
        }
        call.reply(response)
    }

    private func describeTopic(
        _ resource: DescribeConfigsRequest.Resource, _ request: DescribeConfigsRequest,
        _ result: inout DescribeConfigsResponse.Result
    ) {
        guard let topic = view.topic(named: resource.name) else {
            result.error = (try? TopicName(resource.name)) == nil ? .invalidTopic : .unknownTopicOrPartition
            result.errorMessage = "there is no topic of this name"
            return
        }
        for described in topic.overrides.described(settings.topicDefaults) where resource.asks(for: described.name) {
            var config = Config()
            config.name = described.name
            config.value = described.value
            config.isReadOnly = described.isReadOnly
            config.type = ConfigType(rawValue: described.config.kind.rawValue)
            if request.includesDocumentation { config.documentation = described.config.documentation }
            let synonyms = synonyms(of: described)
            config.source = synonyms.first?.source ?? .builtInDefault
            if request.includesSynonyms { config.synonyms = synonyms }
            result.configs.append(config)
        }
    }

    /// Where the config's value could come from, what counts first (KIP-226): the topic, the node, Kafka's default.
    private func synonyms(of described: DescribedTopicConfig) -> [DescribeConfigsResponse.Synonym] {
        var synonyms: [DescribeConfigsResponse.Synonym] = []
        if let override = described.override {
            synonyms.append(.init(name: described.name, value: override, source: .dynamicTopic))
        }
        let name = described.config.synonym ?? described.name
        if let setting = settings.shown.first(where: { $0.name == name }), !setting.isDefault {
            synonyms.append(.init(name: name, value: described.initial, source: .staticBroker))
        }
        synonyms.append(.init(name: name, value: described.config.initial, source: .builtInDefault))
        return synonyms
    }

    private func describeGroup(
        _ resource: DescribeConfigsRequest.Resource, _ request: DescribeConfigsRequest,
        _ result: inout DescribeConfigsResponse.Result
    ) {
        guard !resource.name.isEmpty else { return result.refuse("Group name must not be empty") }
        let set = view.cluster.groupConfigs(of: resource.name)
        for group in GroupConfig.all where resource.asks(for: group.name) {
            var synonyms: [DescribeConfigsResponse.Synonym] = []
            if let value = set.override(of: group.name) {
                synonyms.append(.init(name: group.name, value: value, source: .dynamicGroup))
            }
            synonyms.append(.init(name: group.name, value: "\(group.initial)", source: .builtInDefault))
            var config = Config()
            config.name = group.name
            config.value = synonyms.first?.value
            config.source = synonyms.first?.source ?? .builtInDefault
            config.type = .int
            if request.includesDocumentation { config.documentation = group.documentation }
            if request.includesSynonyms { config.synonyms = synonyms }
            result.configs.append(config)
        }
    }

    private func describeNode(
        _ resource: DescribeConfigsRequest.Resource, _ request: DescribeConfigsRequest,
        _ result: inout DescribeConfigsResponse.Result
    ) {
        let node = settings.node.rawValue
        guard resource.name.isEmpty || resource.name == "\(node)" else {
            return result.refuse(
                "Unexpected broker id, expected \(node) or empty string, but received \(resource.name.prefix(16))")
        }
        // The empty name asks for what is set for all brokers together, which nothing is.
        guard !resource.name.isEmpty else { return }
        for setting in settings.shown + underKafkaNames where resource.asks(for: setting.name) {
            var config = Config()
            config.name = setting.name
            config.value = setting.value
            config.isReadOnly = true
            config.source = setting.isDefault ? .builtInDefault : .staticBroker
            config.type = ConfigType(rawValue: setting.kind.rawValue)
            if request.includesDocumentation { config.documentation = setting.documentation }
            if request.includesSynonyms {
                if !setting.isDefault {
                    config.synonyms.append(.init(name: setting.name, value: setting.value, source: .staticBroker))
                }
                if let initial = setting.initial {
                    config.synonyms.append(.init(name: setting.name, value: initial, source: .builtInDefault))
                }
            }
            result.configs.append(config)
        }
    }

    /// What tools ask every broker for under Kafka's own names, as the cluster knows it.
    private var underKafkaNames: [ShownSetting] {
        guard let node = view.cluster.node(settings.node) else { return [] }
        var shown = [
            ShownSetting(
                name: "advertised.listeners", value: "PLAINTEXT://\(node.kafka)", isDefault: false,
                documentation: "Where clients are told to connect: kafka.advertise, else kafka.listen.", kind: .list),
            ShownSetting(
                name: "log.dirs", value: settings.logDirectory, isDefault: false,
                documentation: "Where the logs of the partitions are: within node.data.", kind: .list),
        ]
        if let rack = node.rack {
            shown.append(
                ShownSetting(
                    name: "broker.rack", value: rack, isDefault: false,
                    documentation: "Where the node stands: node.rack."))
        }
        return shown
    }
}

extension DescribeConfigsRequest.Resource {
    /// No names at all ask for every config, as Kafka's clients say it.
    fileprivate func asks(for name: String) -> Bool {
        guard let keys = configurationKeys, !keys.isEmpty else { return true }
        return keys.contains(name)
    }
}

extension DescribedTopicConfig {
    fileprivate var name: String { config.name }
}

extension DescribeConfigsResponse.Result {
    fileprivate mutating func refuse(_ reason: String) {
        error = .invalidRequest
        errorMessage = reason
    }
}

extension DescribeConfigsResponse.Synonym {
    fileprivate init(name: String, value: String, source: ConfigSource) {
        self.init()
        self.name = name
        self.value = value
        self.source = source
    }
}
