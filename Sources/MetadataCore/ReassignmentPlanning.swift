// SPDX-License-Identifier: Apache-2.0

import LogModel

/// A partition's new nodes as a client asks for them: nothing in it has been checked.
public struct ReassignmentRequest: Hashable, Sendable {
    public var topic: String
    public var partition: Int32
    /// The preferred leader first; `nil` cancels what is under way.
    public var replicas: [Int32]?

    public init(topic: String, partition: Int32, replicas: [Int32]?) {
        self.topic = topic
        self.partition = partition
        self.replicas = replicas
    }
}

extension ClusterState {
    /// How many partitions one request may move.
    public static let movesPerRequestMax = 10_000

    /// Works out what AlterPartitionReassignments asks for, each partition by itself.
    ///
    /// The rules and their errors are those of Kafka's controller (`ReplicationControlManager`), and in addition
    /// nothing goes to a node that is being emptied.
    /// - Parameter allowsFactorChange: whether a partition may have another number of replicas afterwards (KIP-860).
    /// - Returns: one answer a request, in the order of `requests`.
    public func planReassignments(
        _ requests: [ReassignmentRequest], allowsFactorChange: Bool
    ) -> [Result<PartitionMove, TopicRefusal>] {
        var seen: Set<PartitionID> = []
        return requests.enumerated().map { place, request in
            Result { () throws(TopicRefusal) in
                guard place < Self.movesPerRequestMax else {
                    throw TopicRefusal(
                        .policyViolation, "a request may move \(Self.movesPerRequestMax) partitions at a time")
                }
                let move = try move(request, allowsFactorChange)
                guard seen.insert(move.partition).inserted else {
                    throw TopicRefusal(.invalidRequest, "the request names the same partition more than once")
                }
                return move
            }
        }
    }

    private func move(
        _ request: ReassignmentRequest, _ allowsFactorChange: Bool
    ) throws(TopicRefusal) -> PartitionMove {
        let topic = try topic(named: request.topic).get()
        guard topic.partitions.indices.contains(Int(request.partition)) else {
            throw TopicRefusal(.unknownTopic, "the topic has no partition \(request.partition)")
        }
        let partition = PartitionID(topic: topic.id, index: request.partition)
        let placement = topic.partitions[Int(request.partition)]
        guard let replicas = request.replicas else {
            guard placement.target != nil else {
                throw TopicRefusal(.noReassignmentInProgress, "No partition reassignment is in progress.")
            }
            return PartitionMove(partition: partition, target: nil)
        }
        let target = try legal(replicas, instead: placement)
        guard allowsFactorChange || target.count == placement.replicas.count else {
            throw TopicRefusal(
                .invalidReplicationFactor,
                "the partition has \(placement.replicas.count) replicas, not \(target.count), and that is not to change"
            )
        }
        return PartitionMove(partition: partition, target: target)
    }

    private func legal(
        _ replicas: [Int32], instead placement: PartitionPlacement
    ) throws(TopicRefusal) -> [NodeID] {
        guard !replicas.isEmpty else {
            throw TopicRefusal(.invalidReplicaAssignment, "a partition is assigned no replicas")
        }
        guard replicas.count <= Self.replicationFactorMax else {
            throw TopicRefusal(
                .invalidReplicaAssignment, "a partition has at most \(Self.replicationFactorMax) replicas")
        }
        guard Set(replicas).count == replicas.count else {
            throw TopicRefusal(.invalidReplicaAssignment, "a partition is assigned to one node more than once")
        }
        var target: [NodeID] = []
        for number in replicas {
            guard number >= 0, node(NodeID(number)) != nil else {
                throw TopicRefusal(.invalidReplicaAssignment, "node \(number) has not registered")
            }
            let node = NodeID(number)
            guard !isDraining(node) || placement.wanted.contains(node) || placement.replicas.contains(node) else {
                throw TopicRefusal(.invalidReplicaAssignment, "node \(number) is being emptied")
            }
            target.append(node)
        }
        return target
    }
}
