// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import Settings

/// The cluster as its metadata group knows it: who belongs to it, which topics there are and where their replicas lie.
///
/// A value: equal logs of commands give equal states. It changes only by `apply`; what ought to change is worked out
/// beforehand by the planning functions, on the leader, and proposed as a `MetadataCommand`.
///
/// Who leads a partition is not here: see `LeaderTable`.
public struct ClusterState: Hashable, Sendable {
    /// `nil` until the first leader has drawn one.
    public internal(set) var clusterID: ClusterID?
    /// The metadata log's offset up to which commands have been applied, exclusive.
    public internal(set) var end: Offset = .zero
    /// Ascending in id.
    public internal(set) var nodes: [NodeRegistration] = []
    /// Ascending. `Metadata` without names answers in this order.
    public internal(set) var topicNames: [TopicName] = []
    /// How many partitions all topics have together.
    public internal(set) var partitionCount = 0
    /// The groups that have configs of their own, ascending in name.
    public internal(set) var configuredGroups: [ConfiguredGroup] = []
    /// The first producer id that no node has been given.
    public internal(set) var nextProducerID: Int64 = 0
    /// The nodes that are being emptied, ascending.
    public internal(set) var drainingNodes: [NodeID] = []
    /// The nodes that have left for good, the latest last. Only so many are remembered.
    public internal(set) var removedNodes: [RemovedNode] = []
    /// Who shall or shall not vote in the metadata group, ascending in id. Others may or may not.
    public internal(set) var voterWishes: [WishedVoter] = []
    /// Whether the controller is evening out replicas over the nodes.
    public internal(set) var isRebalancing = false
    /// How many partitions are being moved.
    public internal(set) var movingCount = 0

    // Looked up, never iterated: their order differs from process to process.
    var ids: [TopicName: TopicID] = [:]
    var topics: [TopicID: Topic] = [:]
    var collisionKeys: [String: TopicName] = [:]
    /// Where in the metadata log each node first came with the data directory that it has now.
    var directoriesSince: [NodeID: Offset] = [:]

    /// A cluster that has not formed yet.
    public init() {}

    public func node(_ id: NodeID) -> NodeRegistration? {
        let at = nodes.firstPosition { $0.id >= id }
        return at < nodes.count && nodes[at].id == id ? nodes[at] : nil
    }

    /// Whether `node`, with the data directory `directory`, cannot have what was written to `topic` at first: the
    /// directory came later, in the place of one that is lost.
    public func hasLost(_ topic: Topic, on node: NodeID, directory: DirectoryID) -> Bool {
        guard let known = self.node(node), let since = directoriesSince[node] else { return false }
        return known.directory != directory || topic.createdAt < since
    }

    public func state(of node: NodeID) -> NodeState? {
        guard self.node(node) != nil else { return nil }
        return drainingNodes.contains(node) ? .draining : .active
    }

    public func isDraining(_ node: NodeID) -> Bool { drainingNodes.contains(node) }

    /// Whether a node with this data directory left for good.
    public func wasRemoved(_ node: NodeID, directory: DirectoryID) -> Bool {
        removedNodes.contains(RemovedNode(id: node, directory: directory))
    }

    public func topic(_ id: TopicID) -> Topic? { topics[id] }

    public func topic(named name: TopicName) -> Topic? { ids[name].flatMap { topics[$0] } }

    /// Every topic in the order of names.
    /// - Complexity: O(*n*) in topics.
    public var allTopics: [Topic] { topicNames.compactMap { topic(named: $0) } }

    /// What has been set for a consumer group.
    /// - Complexity: O(log *n*) in groups with configs.
    public func groupConfigs(of group: String) -> GroupConfigs {
        let at = configuredGroups.firstPosition { $0.name >= group }
        guard at < configuredGroups.count, configuredGroups[at].name == group else { return GroupConfigs() }
        return configuredGroups[at].configs
    }

    public func placement(of partition: PartitionID) -> PartitionPlacement? {
        guard let topic = topics[partition.topic], topic.partitions.indices.contains(Int(partition.index)) else {
            return nil
        }
        return topic.partitions[Int(partition.index)]
    }

    /// The partitions that `node` keeps, those it gains or loses included, in the order of topic names, then indexes.
    /// - Complexity: O(*n*) in replicas of the cluster.
    public func partitions(on node: NodeID) -> [PartitionID] {
        allTopics.flatMap { topic in
            topic.partitions.indices.lazy.filter { topic.partitions[$0].isKept(by: node) }
                .map { PartitionID(topic: topic.id, index: Int32($0)) }
        }
    }

    /// The partitions that are being moved, in the order of topic names, then indexes.
    /// - Complexity: O(*n*) in partitions; O(1) when none is.
    public var movingPartitions: [PartitionID] {
        guard movingCount > 0 else { return [] }
        return allTopics.flatMap { topic in
            topic.partitions.indices.lazy.filter { topic.partitions[$0].isMoving }
                .map { PartitionID(topic: topic.id, index: Int32($0)) }
        }
    }
}

/// The cluster's identity, drawn at random when it forms.
public struct ClusterID: Hashable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// 22 characters of URL-safe base64, the form that Kafka's tools print and compare.
    public var description: String { Base64.text(high: high, low: low) }
}

/// A node as it has introduced itself.
public struct NodeRegistration: Hashable, Sendable {
    public var id: NodeID
    /// Where clients reach it.
    public var kafka: NetworkAddress
    /// Where the other nodes reach it.
    public var peer: NetworkAddress
    public var rack: String?
    /// Drawn when the node's data directory is created: another one means that the node has lost its disk.
    public var directory: DirectoryID

    public init(id: NodeID, kafka: NetworkAddress, peer: NetworkAddress, rack: String?, directory: DirectoryID) {
        self.id = id
        self.kafka = kafka
        self.peer = peer
        self.rack = rack
        self.directory = directory
    }
}

/// The identity of a data directory.
public struct DirectoryID: Hashable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public var description: String { Base64.text(high: high, low: low) }
}

/// A topic and where its replicas lie.
public struct Topic: Hashable, Sendable {
    public let id: TopicID
    public let name: TopicName
    /// By partition index.
    public internal(set) var partitions: [PartitionPlacement]
    public internal(set) var configs: TopicConfigs
    /// The leader's clock when it proposed the topic.
    public let created: Timestamp
    /// The offset of the command that created it, in the metadata log.
    public let createdAt: Offset

    /// The wanted replicas of the first partition. All partitions have as many, unless somebody has assigned them by
    /// hand otherwise.
    public var replicationFactor: Int { partitions.first?.wanted.count ?? 0 }
}

/// A consumer group with configs of its own.
public struct ConfiguredGroup: Hashable, Sendable {
    public let name: String
    public internal(set) var configs: GroupConfigs
}

/// URL-safe base64 of 128 bits without padding (RFC 4648 §5): what Kafka's `Uuid.toString` prints.
enum Base64 {
    static func text(high: UInt64, low: UInt64) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        var text = ""
        var bits = (high: high, low: low)
        for _ in 0..<22 {
            text.append(digits[Int(bits.high >> 58)])
            bits = (bits.high << 6 | bits.low >> 58, bits.low << 6)
        }
        return text
    }
}

extension Array {
    /// The first position whose element is right, when all wrong ones come before all right ones.
    func firstPosition(where isRight: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isRight(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
