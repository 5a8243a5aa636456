// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import Settings

/// One step of the cluster's life, complete: whoever proposes it has already drawn ids and chosen placements, so that
/// applying it needs nothing but the state.
public enum MetadataCommand: Hashable, Sendable {
    case formCluster(ClusterID)
    /// A node introduces itself, at first or with something changed.
    case registerNode(NodeRegistration)
    case createTopic(NewTopic)
    case deleteTopic(TopicID)
    case createPartitions(AddedPartitions)
    /// Replaces all overrides of a topic.
    case alterTopicConfigs(TopicID, TopicConfigs)
    /// Changes some overrides of a topic and leaves the others, so that two who change different ones do not meet.
    case changeTopicConfigs(TopicID, [ConfigChange])
    /// Changes some overrides of a consumer group, whether or not there is such a group.
    case changeGroupConfigs(String, [ConfigChange])
    /// Gives a node the next `ProducerIDBlock`.
    case allocateProducerIDs(ProducerIDClaim)
    /// Wants partitions to be kept by other nodes, all of them or none.
    case reassign([PartitionMove])
    /// These are the partition's voters now, in force and committed: a move has come to its end.
    case completeReassignment(PartitionID, [NodeID])
    case setNodeState(NodeID, NodeState)
    /// Takes a node that keeps nothing out of the cluster for good.
    case removeNode(NodeID)
    /// Has the controller even out replicas over the nodes, or stop doing so.
    case setRebalancing(Bool)
    /// Somebody wants a node to vote in the metadata group, or not to; `nil` takes that back.
    case wishVoter(NodeID, VoterWish?)
}

/// A topic that is to be.
public struct NewTopic: Hashable, Sendable {
    public var id: TopicID
    public var name: TopicName
    public var partitions: [PartitionPlacement]
    public var configs: TopicConfigs
    public var created: Timestamp

    public init(
        id: TopicID, name: TopicName, partitions: [PartitionPlacement], configs: TopicConfigs, created: Timestamp
    ) {
        self.id = id
        self.name = name
        self.partitions = partitions
        self.configs = configs
        self.created = created
    }
}

/// Partitions that are to follow a topic's last one.
public struct AddedPartitions: Hashable, Sendable {
    public var topic: TopicID
    /// How many partitions the topic had when these were planned. With another number they are refused.
    public var after: Int
    public var partitions: [PartitionPlacement]

    public init(topic: TopicID, after: Int, partitions: [PartitionPlacement]) {
        self.topic = topic
        self.after = after
        self.partitions = partitions
    }
}

/// What a command did.
public enum MetadataChange: Hashable, Sendable {
    case clusterFormed(ClusterID)
    /// `previous` is what the node had said before; another `directory` there means that it has lost its disk.
    case nodeRegistered(NodeRegistration, previous: NodeRegistration?)
    case topicCreated(Topic)
    case topicDeleted(Topic)
    /// `from` is the index of the first new partition.
    case partitionsCreated(Topic, from: Int)
    case topicConfigsAltered(Topic)
    case groupConfigsChanged(String, GroupConfigs)
    case producerIDsAllocated(ProducerIDBlock, for: ProducerIDClaim)
    /// What these partitions' placements say has changed.
    case placementsChanged([PartitionID])
    case nodeStateChanged(NodeID, NodeState)
    case nodeRemoved(NodeRegistration)
    case rebalancingChanged(Bool)
    case voterWished(NodeID, VoterWish?)
    /// The state said so already: a proposal came twice.
    case nothing
    /// The offset lies before the state's end: a log is being read again after a snapshot.
    case alreadyApplied
    /// The state forbids it. Nothing has changed.
    case refused(MetadataRefusal)
}

/// Why a command was refused when its turn came, because another one came first.
public enum MetadataRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    case clusterAlreadyFormed(ClusterID)
    case clusterNotFormed
    case topicAlreadyExists(TopicName)
    /// A topic differs from the new one only in `.` and `_`.
    case topicNameCollides(with: TopicName)
    case topicIDInUse(TopicID)
    case unknownTopic(TopicID)
    case unknownNode(NodeID)
    /// No partitions, no replicas, a node twice, or too many of either.
    case invalidPlacement
    /// The topic has another number of partitions than was thought.
    case partitionCountChanged(now: Int)
    /// More overrides than can be stored.
    case tooManyConfigs
    /// All 2⁶³ have been given out.
    case producerIDsExhausted
    case unknownPartition(PartitionID)
    case noReassignmentInProgress(PartitionID)
    /// Another move has begun since: these voters are not what is wanted now.
    case votersNotWanted(PartitionID)
    case nodeKeepsReplicas(NodeID, count: Int)
    /// The node left for good, and this is the data directory it had.
    case nodeWasRemoved(NodeID)

    public var description: String {
        switch self {
        case .clusterAlreadyFormed(let id): "the cluster has formed already, as \(id)"
        case .clusterNotFormed: "the cluster has not formed yet"
        case .topicAlreadyExists(let name): "topic '\(name)' already exists"
        case .topicNameCollides(let name): "the name collides with existing topic '\(name)'"
        case .topicIDInUse(let id): "topic id \(id) is in use"
        case .unknownTopic(let id): "there is no topic with id \(id)"
        case .unknownNode(let node): "node \(node.rawValue) has not registered"
        case .invalidPlacement: "the placement of replicas is invalid"
        case .tooManyConfigs: "these are more configs than can be stored"
        case .partitionCountChanged(let now): "the topic has \(now) partitions by now"
        case .producerIDsExhausted: "there are no producer ids left"
        case .unknownPartition(let partition): "there is no partition \(partition)"
        case .noReassignmentInProgress(let partition): "no reassignment of \(partition) is in progress"
        case .votersNotWanted(let partition): "\(partition) is to be kept by other nodes by now"
        case .nodeKeepsReplicas(let node, let count): "node \(node.rawValue) still keeps \(count) replicas"
        case .nodeWasRemoved(let node):
            "node \(node.rawValue) was removed from the cluster; with a new data directory it may join again"
        }
    }
}

/// Why bytes are no command, or no snapshot.
public enum MetadataDecodingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Written by a later version of Godwit.
    case unknownVersion(UInt8)
    /// A kind of command that this version does not know.
    case unknownCommand(UInt8)
    case truncated
    case trailingBytes(Int)
    /// A count or length beyond its bound.
    case tooLarge(String)
    /// A part that breaks its own rules.
    case malformed(String)

    public var description: String {
        switch self {
        case .unknownVersion(let version): "version \(version) of the metadata format is unknown"
        case .unknownCommand(let kind): "metadata command \(kind) is unknown"
        case .truncated: "the bytes end too early"
        case .trailingBytes(let count): "\(count) bytes follow the end"
        case .tooLarge(let part): "\(part) is beyond its bound"
        case .malformed(let part): "\(part) is malformed"
        }
    }
}
