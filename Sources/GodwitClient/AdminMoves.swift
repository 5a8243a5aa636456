// SPDX-License-Identifier: Apache-2.0
public import KafkaWire
import NIOCore

/// A partition that is being moved from some nodes to others.
public struct Reassignment: Sendable {
    public let place: TopicPartition
    /// All that keep it for now: those that shall, then those that will go.
    public let replicas: [Int32]
    public let adding: [Int32]
    public let removing: [Int32]
}

/// How far a node has come in the metadata group.
public struct QuorumReplica: Hashable, Sendable {
    public let id: Int32
    public let isVoter: Bool
    /// `nil` when it is not known.
    public let logEndOffset: Int64?
    /// In milliseconds since 1970; `nil` when it is not known, as below.
    public let lastFetch: Int64?
    public let lastCaughtUp: Int64?
}

/// The metadata group.
public struct QuorumDescription: Sendable {
    /// `nil` while there is none.
    public let leader: Int32?
    public let leaderEpoch: Int32
    public let highWatermark: Int64
    /// In order of their ids, voters first.
    public let replicas: [QuorumReplica]
    /// Where the nodes listen for each other, in order of their ids.
    public let peers: [QuorumPeer]
}

/// Where a node listens for the others.
public struct QuorumPeer: Hashable, Sendable {
    public let id: Int32
    public let address: BrokerAddress
}

extension Admin {
    // MARK: Moving partitions

    /// Has partitions kept by other nodes, the preferred leader first; `nil` cancels a move that is under way. Returns
    /// once the cluster has taken the wishes; the moves themselves take their time.
    ///
    /// - Returns: what was refused, by partition.
    public func reassign(
        _ wishes: [TopicPartition: [Int32]?]
    ) async throws(ClientError) -> [TopicPartition: ClientError] {
        var request = AlterPartitionReassignmentsRequest()
        request.timeout = 30_000
        let byTopic = Dictionary(grouping: wishes.keys, by: \.topic)
        request.topics = byTopic.keys.sorted().map { name in
            var topic = AlterPartitionReassignmentsRequest.Topic()
            topic.name = name
            topic.partitions = (byTopic[name] ?? []).sorted { $0.partition < $1.partition }.map { place in
                var partition = AlterPartitionReassignmentsRequest.Partition()
                partition.index = place.partition
                partition.replicas = wishes[place] ?? nil
                return partition
            }
            return topic
        }
        let answer = try await askController(request) {
            ($0.error, $0.errorMessage)
        } subject: {
            "the reassignment"
        }
        var refused: [TopicPartition: ClientError] = [:]
        for topic in answer.topics {
            for partition in topic.partitions where partition.error != .none {
                let place = TopicPartition(topic: topic.name, partition: partition.index)
                refused[place] = .refused(partition.error, subject: "\(place)", message: partition.errorMessage)
            }
        }
        return refused
    }

    /// What is being moved, in the order of topics and partitions.
    public func listReassignments() async throws(ClientError) -> [Reassignment] {
        let answer = try await askController(ListPartitionReassignmentsRequest()) {
            ($0.error, $0.errorMessage)
        } subject: {
            "the list of reassignments"
        }
        return answer.topics.sorted { $0.name < $1.name }.flatMap { topic in
            topic.partitions.sorted { $0.index < $1.index }.map { partition in
                Reassignment(
                    place: TopicPartition(topic: topic.name, partition: partition.index),
                    replicas: partition.replicas, adding: partition.adding, removing: partition.removing)
            }
        }
    }

    /// How far moves are, as the leaders of the partitions see it; without those whose leader could not be asked.
    /// Only Godwit's nodes can say it.
    public func describeMoves(
        of places: [TopicPartition]
    ) async throws(ClientError) -> [TopicPartition: DescribeMovesResponse.Move] {
        guard !places.isEmpty else { return [:] }
        let wanted = Set(places)
        var byLeader: [Int32: [String: [Int32]]] = [:]
        for topic in try await listTopics() {
            for partition in topic.partitions {
                let place = TopicPartition(topic: topic.name, partition: partition.index)
                guard wanted.contains(place), let leader = partition.leader else { continue }
                byLeader[leader, default: [:]][topic.name, default: []].append(partition.index)
            }
        }
        var found: [TopicPartition: DescribeMovesResponse.Move] = [:]
        for leader in byLeader.keys.sorted() {
            var request = DescribeMovesRequest()
            request.topics = (byLeader[leader] ?? [:]).sorted { $0.key < $1.key }.map { name, partitions in
                var topic = DescribeMovesRequest.Topic()
                topic.name = name
                topic.partitions = partitions
                return topic
            }
            let asked = request
            let result: Result<DescribeMovesResponse, ClientError> = await client.onLoop { core, done in
                guard let node = core.map.nodes[leader] else { return done(.failure(.noBroker(tried: []))) }
                core.connection(to: node.address, .control)
                    .send(asked, timeout: core.configuration.requestTimeout, then: done)
            }
            // The others' moves are worth showing all the same.
            guard case .success(let answer) = result else { continue }
            for move in answer.moves where move.error == .none {
                found[TopicPartition(topic: move.topic, partition: move.partition)] = move
            }
        }
        return found
    }

    /// Has the controller even out the cluster or empty a node, or say what that would take. Only Godwit's nodes can.
    ///
    /// - Parameter execute: whether to do it; otherwise the answer says what would happen.
    public func balance(
        _ action: BalanceAction, node: Int32 = -1, execute: Bool = false
    ) async throws(ClientError) -> BalanceClusterResponse {
        var request = BalanceClusterRequest()
        request.action = action.rawValue
        request.nodeID = node
        request.validateOnly = !execute
        let asked = request
        let result: Result<BalanceClusterResponse, ClientError> = await client.onLoop { core, done in
            var hangUps = 0
            core.retrying(
                { finish in
                    core.askController(asked) { result in
                        if case .failure(.connectionClosed) = result {
                            hangUps += 1
                            // Once may be a node that died; a broker that does not know the question does it always.
                            if hangUps >= 3 { return finish(.failure(.notSupported("balancing the cluster"))) }
                        }
                        finish(
                            result.flatMap { answer in
                                guard answer.error.isRetriable else { return .success(answer) }
                                return .failure(
                                    .refused(answer.error, subject: "the cluster", message: answer.errorMessage))
                            })
                    }
                }, then: done)
        }
        let answer = try result.get()
        guard answer.error == .none else {
            let subject = node >= 0 ? "node \(node)" : "the cluster"
            throw .refused(answer.error, subject: subject, message: answer.errorMessage)
        }
        return answer
    }

    // MARK: Leaders and voters

    /// Gives partitions to their preferred leaders; all partitions when none is named.
    ///
    /// - Returns: what was refused, by partition. Those that were led so already are left out.
    public func electPreferredLeaders(
        _ places: [TopicPartition]? = nil
    ) async throws(ClientError) -> [TopicPartition: ClientError] {
        var request = ElectLeadersRequest()
        request.timeout = 10_000
        request.topics = places.map { places in
            let byTopic = Dictionary(grouping: places, by: \.topic)
            return byTopic.keys.sorted().map { name in
                var topic = ElectLeadersRequest.Topic()
                topic.name = name
                topic.partitions = (byTopic[name] ?? []).map(\.partition).sorted()
                return topic
            }
        }
        let answer = try await askController(request) {
            ($0.error, nil)
        } subject: {
            "the election"
        }
        var refused: [TopicPartition: ClientError] = [:]
        for topic in answer.topics {
            for partition in topic.partitions
            where partition.error != .none && partition.error != .electionNotNeeded {
                let place = TopicPartition(topic: topic.name, partition: partition.index)
                refused[place] = .refused(partition.error, subject: "\(place)", message: partition.errorMessage)
            }
        }
        return refused
    }

    /// Who votes in the metadata group, and how far each has come.
    public func describeQuorum() async throws(ClientError) -> QuorumDescription {
        var request = DescribeQuorumRequest()
        var topic = DescribeQuorumRequest.Topic()
        topic.name = "__cluster_metadata"
        topic.partitions = [DescribeQuorumRequest.Partition()]
        request.topics = [topic]
        let answer = try await askController(request) { answer in
            guard answer.error == .none else { return (answer.error, answer.errorMessage) }
            return answer.topics.first?.partitions.first.map { ($0.error, $0.errorMessage) }
        } subject: {
            "the quorum"
        }
        guard let partition = answer.topics.first?.partitions.first else { throw .badAnswer("no quorum") }
        func describe(_ replica: DescribeQuorumResponse.Replica, isVoter: Bool) -> QuorumReplica {
            QuorumReplica(
                id: replica.id, isVoter: isVoter, logEndOffset: replica.logEndOffset < 0 ? nil : replica.logEndOffset,
                lastFetch: replica.lastFetchTimestamp < 0 ? nil : replica.lastFetchTimestamp,
                lastCaughtUp: replica.lastCaughtUpTimestamp < 0 ? nil : replica.lastCaughtUpTimestamp)
        }
        return QuorumDescription(
            leader: partition.leaderID < 0 ? nil : partition.leaderID, leaderEpoch: partition.leaderEpoch,
            highWatermark: partition.highWatermark,
            replicas: partition.voters.sorted { $0.id < $1.id }.map { describe($0, isVoter: true) }
                + partition.observers.sorted { $0.id < $1.id }.map { describe($0, isVoter: false) },
            peers: answer.nodes.sorted { $0.id < $1.id }.compactMap { node in
                node.listeners.first.map { listener in
                    QuorumPeer(
                        id: node.id, address: BrokerAddress(host: listener.host, port: Int(listener.port)))
                }
            })
    }
}
