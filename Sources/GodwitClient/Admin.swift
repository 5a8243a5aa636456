// SPDX-License-Identifier: Apache-2.0
import KafkaWire
public import LogModel
import NIOCore

/// The cluster as its brokers describe it.
public struct ClusterDescription: Sendable {
    public struct Node: Hashable, Sendable {
        public let id: Int32
        public let address: BrokerAddress
        public let rack: String?
        /// Whether the cluster counts the node as living. Older brokers name only those that live.
        public let isAlive: Bool
    }

    public let clusterID: String?
    /// `nil` when there is none.
    public let controller: Int32?
    /// In order of their ids.
    public let nodes: [Node]
}

/// A topic as the brokers describe it.
public struct TopicDescription: Sendable {
    public struct Partition: Sendable {
        public let index: Int32
        /// `nil` while there is none.
        public let leader: Int32?
        /// `nil` when the broker does not tell.
        public let leaderEpoch: Int32?
        public let replicas: [Int32]
        public let inSync: [Int32]
        public let offline: [Int32]
    }

    public let name: String
    /// `nil` when the broker knows no topic ids.
    public let id: TopicID?
    public let isInternal: Bool
    /// In order of their indices.
    public let partitions: [Partition]
}

/// A setting of a topic or a broker.
public struct ConfigEntry: Sendable {
    public let name: String
    /// `nil` for a secret.
    public let value: String?
    public let isReadOnly: Bool
    /// Whether nobody has set it.
    public let isDefault: Bool
}

/// A point in a partition's log that a broker can find.
public enum OffsetQuery: Hashable, Sendable {
    /// The first record that is still held.
    case earliest
    /// After the last record that consumers may see.
    case latest
    /// The first record of this time or later, in milliseconds since 1970; the end when there is none.
    case timestamp(Int64)

    var wireValue: Int64 {
        switch self {
        case .latest: -1
        case .earliest: -2
        case .timestamp(let milliseconds): max(0, milliseconds)
        }
    }
}

/// Topics, configurations and the cluster itself. What can be tried again is tried again until the delivery timeout.
public struct Admin: Sendable {
    let client: KafkaClient

    // MARK: Looking

    /// Living and known nodes. Uses DescribeCluster (KIP-700), or Metadata where a broker lacks it.
    public func describeCluster() async throws(ClientError) -> ClusterDescription {
        var request = DescribeClusterRequest()
        request.includesFencedBrokers = true
        let asked = request
        let result: Result<DescribeClusterResponse, ClientError> = await client.onLoop { core, done in
            core.askAny(asked, timeout: core.configuration.requestTimeout, then: done)
        }
        if case .failure(.notSupported) = result {
            let answer = try await metadata([])
            return ClusterDescription(
                clusterID: answer.clusterID, controller: answer.controllerID < 0 ? nil : answer.controllerID,
                nodes: answer.brokers.sorted { $0.nodeID < $1.nodeID }.map { broker in
                    ClusterDescription.Node(
                        id: broker.nodeID, address: BrokerAddress(host: broker.host, port: Int(broker.port)),
                        rack: broker.rack, isAlive: true)
                })
        }
        let answer = try result.get()
        guard answer.error == .none else {
            throw .refused(answer.error, subject: "the cluster", message: answer.errorMessage)
        }
        return ClusterDescription(
            clusterID: answer.clusterID, controller: answer.controllerID < 0 ? nil : answer.controllerID,
            nodes: answer.brokers.sorted { $0.id < $1.id }.map { broker in
                ClusterDescription.Node(
                    id: broker.id, address: BrokerAddress(host: broker.host, port: Int(broker.port)),
                    rack: broker.rack, isAlive: !broker.isFenced)
            })
    }

    /// All topics in order of their names.
    public func listTopics() async throws(ClientError) -> [TopicDescription] {
        let answer = try await metadata(nil)
        return answer.topics.filter { $0.error == .none || $0.error.isRetriable }
            .compactMap(Self.description).sorted { $0.name < $1.name }
    }

    /// Describes topics in the order asked for. A topic that does not exist is an error.
    public func describeTopics(_ names: [String]) async throws(ClientError) -> [TopicDescription] {
        guard !names.isEmpty else { return [] }
        let answer = try await metadata(names)
        var found: [TopicDescription] = []
        for name in names {
            guard let topic = answer.topics.first(where: { $0.name == name }) else {
                throw .badAnswer("metadata without topic '\(name)'")
            }
            // A partition without a leader is a state to be shown, not a failure of the question.
            guard topic.error == .none || topic.error == .leaderNotAvailable, let description = Self.description(topic)
            else { throw .refused(topic.error, subject: name, message: nil) }
            found.append(description)
        }
        return found
    }

    private func metadata(_ names: [String]?) async throws(ClientError) -> MetadataResponse {
        let result: Result<MetadataResponse, ClientError> = await client.onLoop { core, done in
            core.describe(names, then: done)
        }
        return try result.get()
    }

    private static func description(_ topic: MetadataResponse.Topic) -> TopicDescription? {
        guard let name = topic.name else { return nil }
        return TopicDescription(
            name: name, id: topic.id == .zero ? nil : topic.id, isInternal: topic.isInternal,
            partitions: topic.partitions.sorted { $0.index < $1.index }.map { partition in
                TopicDescription.Partition(
                    index: partition.index, leader: partition.leaderID < 0 ? nil : partition.leaderID,
                    leaderEpoch: partition.leaderEpoch < 0 ? nil : partition.leaderEpoch,
                    replicas: partition.replicas, inSync: partition.inSyncReplicas,
                    offline: partition.offlineReplicas)
            })
    }

    /// A topic's settings, in order of their names.
    public func topicConfigs(_ name: String) async throws(ClientError) -> [ConfigEntry] {
        var resource = DescribeConfigsRequest.Resource()
        resource.type = ConfigResourceType(rawValue: 2)
        resource.name = name
        resource.configurationKeys = nil
        var request = DescribeConfigsRequest()
        request.resources = [resource]
        let asked = request
        let result: Result<DescribeConfigsResponse, ClientError> = await client.onLoop { core, done in
            core.askAny(asked, timeout: core.configuration.requestTimeout, then: done)
        }
        let answer = try result.get()
        guard let topic = answer.results.first else { throw .badAnswer("no configs for topic '\(name)'") }
        guard topic.error == .none else { throw .refused(topic.error, subject: name, message: topic.errorMessage) }
        return topic.configs.sorted { $0.name < $1.name }.map { config in
            // 5 is DEFAULT_CONFIG.
            ConfigEntry(
                name: config.name, value: config.value, isReadOnly: config.isReadOnly,
                isDefault: config.source.rawValue == 5)
        }
    }

    /// Asks the leaders where each place lies. Partitions without an answer in time are missing from the result.
    ///
    /// - Parameter patience: how long leaderless partitions are waited for, in milliseconds.
    public func offsets(
        _ places: [TopicPartition], _ query: OffsetQuery, patience: Int64 = 30_000
    ) async throws(ClientError) -> [TopicPartition: Int64] {
        let result: Result<[TopicPartition: Int64], ClientError> = await client.onLoop { core, done in
            let search = OffsetSearch(core, patience: .milliseconds(patience), then: done)
            search.start(places.map { ($0, query.wireValue) })
        }
        return try result.get()
    }

    // MARK: Changing

    /// Makes a topic. −1 leaves a count to the cluster.
    ///
    /// - Returns: the new topic's id, where the cluster has ids.
    @discardableResult
    public func createTopic(
        _ name: String, partitions: Int32 = -1, replicationFactor: Int16 = -1, configs: [(String, String)] = []
    ) async throws(ClientError) -> TopicID? {
        var topic = CreateTopicsRequest.Topic()
        topic.name = name
        topic.partitionCount = partitions
        topic.replicationFactor = replicationFactor
        topic.configs = configs.map { name, value in
            var config = CreateTopicsRequest.Config()
            config.name = name
            config.value = value
            return config
        }
        var request = CreateTopicsRequest()
        request.topics = [topic]
        request.timeout = 30_000
        let answer = try await askController(request) { answer in
            answer.topics.first.map { ($0.error, $0.errorMessage) }
        } subject: {
            name
        }
        guard let made = answer.topics.first, made.id != .zero else { return nil }
        return made.id
    }

    /// Deletes a topic and its records.
    public func deleteTopic(_ name: String) async throws(ClientError) {
        var topic = DeleteTopicsRequest.Topic()
        topic.name = name
        var request = DeleteTopicsRequest()
        request.topics = [topic]
        request.topicNames = [name]
        request.timeout = 30_000
        _ = try await askController(request) { answer in
            answer.topics.first.map { ($0.error, $0.errorMessage) }
        } subject: {
            name
        }
    }

    /// Widens a topic to `count` partitions in all.
    public func addPartitions(_ name: String, upTo count: Int32) async throws(ClientError) {
        var topic = CreatePartitionsRequest.Topic()
        topic.name = name
        topic.count = count
        topic.assignments = nil
        var request = CreatePartitionsRequest()
        request.topics = [topic]
        request.timeout = 30_000
        _ = try await askController(request) { answer in
            answer.results.first.map { ($0.error, $0.errorMessage) }
        } subject: {
            name
        }
    }

    /// Sends a request to the controller and again to the next one while the answer says that it moved.
    func askController<Request: WireRequest>(
        _ request: Request, verdict: @escaping @Sendable (Request.Response) -> (ErrorCode, String?)?,
        subject: @escaping @Sendable () -> String
    ) async throws(ClientError) -> Request.Response {
        let result: Result<Request.Response, ClientError> = await client.onLoop { core, done in
            core.retrying(
                { finish in
                    core.askController(request) { result in
                        finish(
                            result.flatMap { answer in
                                guard let (code, message) = verdict(answer) else {
                                    return .failure(.badAnswer("an answer without '\(subject())'"))
                                }
                                // An unknown topic stays unknown: only a lost controller or a wait is tried again.
                                if code == .none { return .success(answer) }
                                let error = ClientError.refused(code, subject: subject(), message: message)
                                let isLasting = code == .unknownTopicOrPartition
                                return .failure(isLasting ? .invalid("\(error)") : error)
                            })
                    }
                }, then: done)
        }
        return try result.get()
    }
}

extension ClientCore {
    /// Asks the controller, or anybody while it is not known. Brokers since Kafka 2.7 pass the request on (KIP-590).
    func askController<Request: WireRequest>(_ request: Request, then: @escaping Done<Request.Response>) {
        refresh { result in
            if case .failure(let error) = result { return then(.failure(error)) }
            let timeout = self.configuration.requestTimeout
            guard let node = self.map.nodes[self.map.controller] else {
                return self.askAny(request, timeout: timeout, then: then)
            }
            self.connection(to: node.address, .control).send(request, timeout: timeout) { result in
                // A controller that cannot be reached may have a successor that nobody has announced yet.
                if case .failure(.noBroker) = result {
                    return then(.failure(.connectionClosed("\(node.address)")))
                }
                then(result)
            }
        }
    }
}
