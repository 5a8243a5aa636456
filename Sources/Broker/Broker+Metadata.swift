// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import MetadataCore
import Settings

extension Broker {
    /// Metadata (API key 3). Any node answers, from its own view.
    func metadata(_ call: Call<Files>) throws(WireError) {
        let request = try MetadataRequest.decode(call.body, version: call.version)
        var response = MetadataResponse()
        response.clusterID = view.cluster.clusterID.map(\.description)
        response.controllerID = view.controller?.rawValue ?? -1
        response.brokers = view.offered.map { node in
            var broker = MetadataResponse.Broker()
            broker.nodeID = node.id.rawValue
            broker.host = node.kafka.host
            broker.port = Int32(node.kafka.port)
            broker.rack = node.rack
            return broker
        }
        if request.asksForAllTopics(version: call.version) {
            response.topics = view.topics.map { describe($0) }
        } else if call.version < 12, let topics = request.topics,
            topics.contains(where: { $0.name == nil || $0.id != .zero })
        {
            // Versions 10 and 11 have a field for the id that no broker has ever looked at.
            response.topics = topics.map { asked in
                var answer = MetadataResponse.Topic()
                answer.name = asked.name ?? ""
                answer.id = asked.id
                answer.error = .invalidRequest
                return answer
            }
        } else {
            var missing: [TopicName] = []
            response.topics = (request.topics ?? []).map {
                describe($0, allowsCreation: request.allowsTopicCreation, &missing)
            }
            if !missing.isEmpty { createMissing(missing) }
        }
        // Whoever asks for all topics looks after the cluster rather than for a leader.
        if view.isCutOff, !request.asksForAllTopics(version: call.version),
            response.topics.contains(where: { $0.partitions.contains { $0.error == .leaderNotAvailable } })
        {
            return sendElsewhere(call)
        }
        if request.includesClusterOperations { response.clusterOperations = Operations.cluster }
        if request.includesTopicOperations {
            for place in response.topics.indices where response.topics[place].error == .none {
                response.topics[place].operations = Operations.topic
            }
        }
        call.reply(response)
    }

    /// Has the client ask another node.
    ///
    /// A client whose partitions this node led has no other connection, and librdkafka asks for metadata where it has
    /// sent something last: told again and again that nobody leads, it would stay for as long as this node is cut off.
    func sendElsewhere(_ call: Call<Files>) {
        Mark.hit("Broker.sent-elsewhere")
        call.close("this node is cut off from the cluster: others know who leads")
    }

    private func describe(
        _ asked: MetadataRequest.Topic, allowsCreation: Bool, _ missing: inout [TopicName]
    ) -> MetadataResponse.Topic {
        // The Java client asks for an id beside an empty name.
        if let name = asked.name, asked.id == .zero {
            if let topic = view.topic(named: name) { return describe(topic) }
            var answer = MetadataResponse.Topic()
            answer.name = name
            guard let legal = try? TopicName(name) else {
                answer.error = .invalidTopic
                return answer
            }
            answer.error = .unknownTopicOrPartition
            // The cluster makes its own topics itself, when they are needed.
            if allowsCreation, settings.topics.autoCreate, !ClusterState.reservedTopicNames.contains(name) {
                // Kafka's answer while a topic is being made; clients ask again.
                answer.error = .leaderNotAvailable
                missing.append(legal)
            }
            return answer
        }
        if let topic = view.topic(id: asked.id) { return describe(topic) }
        var answer = MetadataResponse.Topic()
        answer.name = nil
        answer.id = asked.id
        answer.error = .unknownTopicID
        return answer
    }

    private func describe(_ topic: TopicView) -> MetadataResponse.Topic {
        var answer = MetadataResponse.Topic()
        answer.name = topic.name
        answer.id = topic.id
        answer.isInternal = topic.isInternal
        answer.partitions = topic.partitions.indices.map { state(of: topic, $0) }
        return answer
    }

    /// Who leads a partition and who follows, as far as this node knows.
    func state(of topic: TopicView, _ index: Int) -> MetadataResponse.Partition {
        let replicas = topic.partitions[index]
        var partition = MetadataResponse.Partition()
        partition.index = Int32(index)
        partition.replicas = replicas.map(\.rawValue)
        // Raft has no set of in-sync replicas: those that are in touch and keep up stand for it, but not who is still
        // to catch up.
        let id = PartitionID(topic: topic.id, index: Int32(index))
        let adding = view.adding(to: id)
        partition.inSyncReplicas = replicas.filter { view.isInSync($0, of: id) && !adding.contains($0) }
            .map(\.rawValue)
        partition.offlineReplicas = replicas.filter { !view.alive.contains($0) }.map(\.rawValue)
        if let (leader, term) = view.leader(of: PartitionID(topic: topic.id, index: Int32(index))) {
            partition.leaderID = leader.rawValue
            partition.leaderEpoch = term.rawValue
        } else {
            partition.leaderID = -1
            partition.error = .leaderNotAvailable
        }
        return partition
    }

    /// Makes topics that a client has asked for by name (`auto.create.topics`), with the cluster's defaults.
    private func createMissing(_ names: [TopicName]) {
        var request = CreateTopicsRequest()
        request.timeout = 5_000
        request.topics = names.map { name in
            var topic = CreateTopicsRequest.Topic()
            topic.name = name.rawValue
            topic.partitionCount = -1
            topic.replicationFactor = -1
            return topic
        }
        guard let frame = try? request.encodeFrame(correlationID: 0, clientID: nil, version: 7).bytes else { return }
        administer(frame) { _ in }
    }

    /// DescribeCluster (API key 60).
    func describeCluster(_ call: Call<Files>) throws(WireError) {
        let request = try DescribeClusterRequest.decode(call.body, version: call.version)
        var response = DescribeClusterResponse()
        guard request.endpointType == 1 else {
            response.error = request.endpointType == 2 ? .mismatchedEndpointType : .unsupportedEndpointType
            response.errorMessage = "only brokers can be asked for here"
            return call.reply(response)
        }
        response.clusterID = view.cluster.clusterID.map(\.description) ?? ""
        response.controllerID = view.controller?.rawValue ?? -1
        if request.includesClusterOperations { response.clusterOperations = Operations.cluster }
        response.brokers = view.cluster.nodes
            .filter { request.includesFencedBrokers || view.alive.contains($0.id) }
            .map { node in
                var broker = DescribeClusterResponse.Broker()
                broker.id = node.id.rawValue
                broker.host = node.kafka.host
                broker.port = Int32(node.kafka.port)
                broker.rack = node.rack
                broker.isFenced = !view.alive.contains(node.id)
                return broker
            }
        call.reply(response)
    }
}
