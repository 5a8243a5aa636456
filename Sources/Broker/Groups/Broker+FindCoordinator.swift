// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import MetadataCore
import NIOCore
import Replication
import Settings

extension Broker {
    /// FindCoordinator (API key 10). Any node answers, from its own view.
    func findCoordinator(_ call: Call<Files>) throws(WireError) {
        let request = try FindCoordinatorRequest.decode(call.body, version: call.version)
        let keys = call.version >= 4 ? request.coordinatorKeys : [request.key]
        let found = keys.map { coordinator(of: $0, type: request.keyType) }
        if view.isCutOff, found.contains(where: { $0.error == .coordinatorNotAvailable }) {
            return sendElsewhere(call)
        }
        var response = FindCoordinatorResponse()
        if call.version >= 4 {
            response.coordinators = found
        } else if let only = found.first {
            response.error = only.error
            response.errorMessage = only.errorMessage
            response.nodeID = only.nodeID
            response.host = only.host
            response.port = only.port
        }
        call.reply(response)
    }

    private static var groupKey: Int8 { 0 }
    private static var transactionKey: Int8 { 1 }

    private func coordinator(of key: String, type: Int8) -> FindCoordinatorResponse.Coordinator {
        var answer = FindCoordinatorResponse.Coordinator()
        answer.key = key
        answer.nodeID = -1
        answer.port = -1
        guard type == Self.groupKey else {
            answer.error = .invalidRequest
            answer.errorMessage =
                type == Self.transactionKey
                ? "transactions are not served: produce without a transactional.id"
                : "there are no coordinators of type \(type)"
            return answer
        }
        guard let place = coordinatorPlace(of: key) else {
            createOffsetsTopic()
            answer.error = .coordinatorNotAvailable
            answer.errorMessage =
                offsetsTopicRefusal.map { "\(GroupPlace.topic) cannot be made: \($0)" }
                ?? "\(GroupPlace.topic) is being made; ask again"
            return answer
        }
        guard let leader = view.leader(of: place)?.node, let node = view.cluster.node(leader) else {
            answer.error = .coordinatorNotAvailable
            answer.errorMessage = "partition \(place.index) of \(GroupPlace.topic) has no leader; ask again"
            return answer
        }
        answer.nodeID = leader.rawValue
        answer.host = node.kafka.host
        answer.port = Int32(node.kafka.port)
        return answer
    }

    /// Makes the topic that holds groups and their offsets, when the first client asks for a coordinator.
    private func createOffsetsTopic() {
        guard !createsOffsetsTopic else { return }
        createsOffsetsTopic = true
        var topic = CreateTopicsRequest.Topic()
        topic.name = GroupPlace.topic
        topic.partitionCount = Int32(settings.groups.offsets.topicPartitions)
        // A cluster of fewer nodes than replicas, such as a single one, has as many as it can.
        let registered = view.cluster.nodes.count
        let nodes = view.cluster.removedNodes.isEmpty ? max(registered, settings.voters) : registered
        topic.replicationFactor = Int16(min(settings.groups.offsets.topicReplicationFactor, nodes))
        topic.configs = [
            ("cleanup.policy", "compact"),
            ("segment.bytes", "\(settings.groups.offsets.topicSegmentBytes.rawValue)"),
        ].map { name, value in
            var config = CreateTopicsRequest.Config()
            config.name = name
            config.value = value
            return config
        }
        var request = CreateTopicsRequest()
        request.timeout = 5_000
        request.topics = [topic]
        guard
            let frame = try? request.encodeFrame(
                correlationID: 0, clientID: ControllerRequest.ownClientID, version: 7
            ).bytes
        else {
            preconditionFailure("our own request can be encoded")
        }
        administer(frame) { reply in
            self.createsOffsetsTopic = false
            self.offsetsTopicRefusal = reply.flatMap(Self.refusal)
        }
    }

    /// Why the topic was not made, if it was not.
    private static func refusal(in reply: ByteBuffer) -> String? {
        var body = reply
        body.moveReaderIndex(forwardBy: 4)
        guard (try? ResponseHeader.decode(from: &body, apiKey: .createTopics, version: 7)) != nil,
            let topic = try? CreateTopicsResponse.decode(body, version: 7).topics.first
        else { return "the controller's answer cannot be read" }
        guard topic.error != .none, topic.error != .topicAlreadyExists else { return nil }
        return topic.errorMessage ?? "\(topic.error)"
    }
}
