// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings

/// One of the node's settings, as DescribeConfigs shows it.
public struct ShownSetting: Sendable {
    public var name: String
    public var value: String
    public var isDefault: Bool
    public var documentation: String

    public init(name: String, value: String, isDefault: Bool, documentation: String) {
        self.name = name
        self.value = value
        self.isDefault = isDefault
        self.documentation = documentation
    }
}

extension Broker {
    /// DescribeConfigs (API key 32): topics, and this node.
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
            default:
                result.error = .invalidRequest
                result.errorMessage = "only topics (2) and brokers (4) have configs here"
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
        for described in topic.overrides.described(settings.topicDefaults) {
            guard resource.asks(for: described.config.name) else { continue }
            var config = DescribeConfigsResponse.Config()
            config.name = described.config.name
            config.value = described.value
            config.isReadOnly = described.isReadOnly
            config.source = described.isDefault ? .builtInDefault : .dynamicTopic
            config.type = ConfigType(rawValue: described.config.kind.rawValue)
            if request.includesDocumentation { config.documentation = described.config.documentation }
            if request.includesSynonyms { config.synonyms = synonyms(of: described) }
            result.configs.append(config)
        }
    }

    private func synonyms(of described: DescribedTopicConfig) -> [DescribeConfigsResponse.Synonym] {
        var synonyms: [DescribeConfigsResponse.Synonym] = []
        if let override = described.override {
            synonyms.append(.init(name: described.config.name, value: override, source: .dynamicTopic))
        }
        let name = described.config.synonym ?? described.config.name
        let isSet = settings.shown.contains { $0.name == name && !$0.isDefault }
        synonyms.append(.init(name: name, value: described.initial, source: isSet ? .staticBroker : .builtInDefault))
        return synonyms
    }

    private func describeNode(
        _ resource: DescribeConfigsRequest.Resource, _ request: DescribeConfigsRequest,
        _ result: inout DescribeConfigsResponse.Result
    ) {
        guard resource.name.isEmpty || resource.name == "\(settings.node.rawValue)" else {
            result.error = .invalidRequest
            result.errorMessage = "ask broker \(resource.name.prefix(16)) itself; this is \(settings.node.rawValue)"
            return
        }
        // The empty name asks for what is set for all brokers together, which nothing is.
        guard !resource.name.isEmpty else { return }
        for setting in settings.shown where resource.asks(for: setting.name) {
            var config = DescribeConfigsResponse.Config()
            config.name = setting.name
            config.value = setting.value
            config.isReadOnly = true
            config.source = setting.isDefault ? .builtInDefault : .staticBroker
            config.type = .string
            if request.includesDocumentation { config.documentation = setting.documentation }
            if request.includesSynonyms {
                config.synonyms = [.init(name: setting.name, value: setting.value, source: config.source)]
            }
            result.configs.append(config)
        }
    }
}

extension DescribeConfigsRequest.Resource {
    fileprivate func asks(for name: String) -> Bool { configurationKeys?.contains(name) ?? true }
}

extension DescribeConfigsResponse.Synonym {
    fileprivate init(name: String, value: String, source: ConfigSource) {
        self.init()
        self.name = name
        self.value = value
        self.source = source
    }
}
