// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel

/// What the client believes about the cluster: its nodes, and who leads which partition. A value; no effects.
struct ClusterMap {
    struct Node: Equatable {
        let id: Int32
        let address: BrokerAddress
        let rack: String?
    }

    struct Partition: Equatable {
        var error = ErrorCode.none
        /// −1 when there is none.
        var leader: Int32 = -1
        var leaderEpoch: Int32 = -1
        var replicas: [Int32] = []
        var inSync: [Int32] = []
        var offline: [Int32] = []
    }

    struct Topic: Equatable {
        var id = TopicID.zero
        var error = ErrorCode.none
        var isInternal = false
        var partitions: [Int32: Partition] = [:]
    }

    private(set) var clusterID: String?
    private(set) var controller: Int32 = -1
    private(set) var nodes: [Int32: Node] = [:]
    private(set) var topics: [String: Topic] = [:]
    private var names: [TopicID: String] = [:]

    func name(of id: TopicID) -> String? { names[id] }

    /// Who leads a partition, and where.
    func leader(of topic: String, _ partition: Int32) -> (node: Node, epoch: Int32)? {
        guard let place = topics[topic]?.partitions[partition], place.leader >= 0, let node = nodes[place.leader] else {
            return nil
        }
        return (node, place.leaderEpoch)
    }

    /// Takes in an answer. Nodes are replaced, topics are added to; of two leaders the one of the higher term counts.
    mutating func apply(_ answer: MetadataResponse, maxNodes: Int) {
        clusterID = answer.clusterID ?? clusterID
        controller = answer.controllerID
        var fresh: [Int32: Node] = [:]
        for broker in answer.brokers.prefix(maxNodes) where broker.nodeID >= 0 {
            guard (1...65_535).contains(broker.port), !broker.host.isEmpty else { continue }
            let address = BrokerAddress(host: broker.host, port: Int(broker.port))
            fresh[broker.nodeID] = Node(id: broker.nodeID, address: address, rack: broker.rack)
        }
        if !fresh.isEmpty { nodes = fresh }
        for topic in answer.topics {
            guard let name = topic.name else { continue }
            apply(topic, name)
        }
    }

    private mutating func apply(_ topic: MetadataResponse.Topic, _ name: String) {
        let before = topics[name]
        var after = Topic(id: topic.id, error: topic.error, isInternal: topic.isInternal)
        // A topic made anew under an old name begins with terms of its own.
        let isSame = before?.id == topic.id
        for partition in topic.partitions where partition.index >= 0 {
            var place = Partition(
                error: partition.error, leader: partition.leaderID, leaderEpoch: partition.leaderEpoch,
                replicas: partition.replicas, inSync: partition.inSyncReplicas, offline: partition.offlineReplicas)
            if isSame, let known = before?.partitions[partition.index], partition.leaderEpoch >= 0,
                known.leaderEpoch > partition.leaderEpoch
            {
                place.leader = known.leader
                place.leaderEpoch = known.leaderEpoch
            }
            after.partitions[partition.index] = place
        }
        if let before, before.id != .zero { names[before.id] = nil }
        if topic.id != .zero { names[topic.id] = name }
        topics[name] = after
    }

    mutating func forget(_ name: String) {
        if let id = topics[name]?.id { names[id] = nil }
        topics[name] = nil
    }

    /// Takes a broker's word for who leads now (KIP-951). A hint that is not newer than what is known counts nothing,
    /// so that brokers cannot send the client round in circles.
    ///
    /// - Returns: whether anything changed.
    mutating func apply(
        hint: LeaderIDAndEpoch, endpoints: [NodeEndpoint], topic: String, partition: Int32
    ) -> Bool {
        guard hint.leaderID >= 0, hint.leaderEpoch >= 0,
            let known = topics[topic]?.partitions[partition], hint.leaderEpoch > known.leaderEpoch
        else { return false }
        if nodes[hint.leaderID] == nil, let place = endpoints.first(where: { $0.nodeID == hint.leaderID }),
            (1...65_535).contains(place.port), !place.host.isEmpty
        {
            nodes[hint.leaderID] = Node(
                id: hint.leaderID, address: BrokerAddress(host: place.host, port: Int(place.port)), rack: place.rack)
        }
        guard nodes[hint.leaderID] != nil else { return false }
        topics[topic]?.partitions[partition]?.leader = hint.leaderID
        topics[topic]?.partitions[partition]?.leaderEpoch = hint.leaderEpoch
        return true
    }
}
