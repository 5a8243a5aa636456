// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import MetadataCore
import NIOCore

extension Broker {
    /// IncrementalAlterConfigs (API key 44). The controller decides.
    func incrementalAlterConfigs(_ call: Call<Files>) throws(WireError) {
        let request = try IncrementalAlterConfigsRequest.decode(call.body, version: call.version)
        let frame = try request.encodeFrame(
            correlationID: call.header.correlationID, clientID: nil, version: call.version
        ).bytes
        administer(frame) { reply in
            if let reply { return call.relay(reply) }
            var response = IncrementalAlterConfigsResponse()
            response.results = request.resources.map { resource in
                var result = IncrementalAlterConfigsResponse.Result()
                result.type = resource.type
                result.name = resource.name
                result.error = .requestTimedOut
                result.errorMessage = Self.unreachedMessage
                return result
            }
            call.reply(response)
        }
    }

    /// AlterConfigs (API key 33). The controller decides.
    func alterConfigs(_ call: Call<Files>) throws(WireError) {
        let request = try AlterConfigsRequest.decode(call.body, version: call.version)
        let frame = try request.encodeFrame(
            correlationID: call.header.correlationID, clientID: nil, version: call.version
        ).bytes
        administer(frame) { reply in
            if let reply { return call.relay(reply) }
            var response = AlterConfigsResponse()
            response.results = request.resources.map { resource in
                var result = AlterConfigsResponse.Result()
                result.type = resource.type
                result.name = resource.name
                result.error = .requestTimedOut
                result.errorMessage = Self.unreachedMessage
                return result
            }
            call.reply(response)
        }
    }

    /// ListConfigResources (API key 74): everything that has configs of its own (KIP-1142).
    func listConfigResources(_ call: Call<Files>) throws(WireError) {
        let request = try ListConfigResourcesRequest.decode(call.body, version: call.version)
        var response = ListConfigResourcesResponse()
        // Version 0 asks for subscriptions to clients' metrics, of which there are none.
        let known: [ConfigResourceType] = [.topic, .broker, .brokerLogger, .clientMetrics, .group]
        let types = call.version == 0 ? [.clientMetrics] : request.resourceTypes
        guard types.allSatisfy({ known.contains($0) }) else {
            response.error = .unsupportedVersion
            return call.reply(response)
        }
        func list(_ names: [String], _ type: ConfigResourceType) {
            guard types.isEmpty || types.contains(type) else { return }
            response.resources += names.map { name in
                var resource = ListConfigResourcesResponse.Resource()
                resource.name = name
                resource.type = type
                return resource
            }
        }
        list(view.topics.map(\.name), .topic)
        list(view.alive.map { "\($0.rawValue)" }, .broker)
        list(view.cluster.configuredGroups.map(\.name), .group)
        call.reply(response)
    }
}
