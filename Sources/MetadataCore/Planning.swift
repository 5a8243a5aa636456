// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import Settings

/// A topic as a client asks for it: nothing in it has been checked.
public struct TopicRequest: Hashable, Sendable {
    public struct Assignment: Hashable, Sendable {
        public var partition: Int32
        public var replicas: [Int32]

        public init(partition: Int32, replicas: [Int32]) {
            self.partition = partition
            self.replicas = replicas
        }
    }

    public struct Config: Hashable, Sendable {
        public var name: String
        public var value: String?

        public init(name: String, value: String?) {
            self.name = name
            self.value = value
        }
    }

    public var name: String
    /// −1 asks for the default.
    public var partitions: Int32
    /// −1 asks for the default.
    public var replicationFactor: Int16
    /// Not empty when the client has placed the replicas itself.
    public var assignments: [Assignment]
    public var configs: [Config]

    public init(
        name: String, partitions: Int32 = -1, replicationFactor: Int16 = -1, assignments: [Assignment] = [],
        configs: [Config] = []
    ) {
        self.name = name
        self.partitions = partitions
        self.replicationFactor = replicationFactor
        self.assignments = assignments
        self.configs = configs
    }
}

/// Partitions as a client asks for them: nothing in it has been checked.
public struct PartitionsRequest: Hashable, Sendable {
    public var name: String
    /// How many partitions the topic shall have in all.
    public var count: Int32
    /// One list of replicas for each new partition; `nil` when the cluster shall choose.
    public var assignments: [[Int32]]?

    public init(name: String, count: Int32, assignments: [[Int32]]? = nil) {
        self.name = name
        self.count = count
        self.assignments = assignments
    }
}

/// A legal topic with its place, that lacks only its id.
public struct PlannedTopic: Hashable, Sendable {
    public let name: TopicName
    public let partitions: [PartitionPlacement]
    public let configs: TopicConfigs

    public var replicationFactor: Int { partitions.first?.replicas.count ?? 0 }

    /// The command that creates it.
    public func command(id: TopicID, created: Timestamp) -> MetadataCommand {
        .createTopic(NewTopic(id: id, name: name, partitions: partitions, configs: configs, created: created))
    }
}

/// Why a request for a topic is refused, in Kafka's terms.
public struct TopicRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// Each is one of Kafka's error codes.
    public enum Kind: Hashable, Sendable, CaseIterable {
        case invalidTopic
        case topicAlreadyExists
        case unknownTopic
        case invalidPartitions
        case invalidReplicationFactor
        case invalidReplicaAssignment
        case invalidConfig
        case policyViolation
        case invalidRequest
        case noReassignmentInProgress
    }

    public let kind: Kind
    /// For people; safe to print.
    public let message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}
