// SPDX-License-Identifier: Apache-2.0

import KafkaWire
public import LogModel
import LogStorage
import MetadataCore
import RaftCore
import Replication

/// Moves of partitions: those that clients ask for, and those that empty a node or even out the cluster.
extension Controller {
    // MARK: - AlterPartitionReassignments (API key 45)

    func alterReassignments(
        _ request: AlterPartitionReassignmentsRequest, done: @escaping (AlterPartitionReassignmentsResponse) -> Void
    ) {
        let asked = request.topics.flatMap { topic in
            topic.partitions.map {
                ReassignmentRequest(topic: topic.name, partition: $0.index, replicas: $0.replicas)
            }
        }
        let plans = state.planReassignments(asked, allowsFactorChange: request.allowsReplicationFactorChange)
        var response = AlterPartitionReassignmentsResponse()
        response.allowsReplicationFactorChange = request.allowsReplicationFactorChange
        var moves: [PartitionMove] = []
        var planned = plans.makeIterator()
        for topic in request.topics {
            var answer = AlterPartitionReassignmentsResponse.Topic()
            answer.name = topic.name
            for partition in topic.partitions {
                var result = AlterPartitionReassignmentsResponse.Partition()
                result.index = partition.index
                switch planned.next() {
                case .success(let move): moves.append(move)
                case .failure(let refusal):
                    result.error = ErrorCode(refusal.kind)
                    result.errorMessage = refusal.message
                case nil: break
                }
                answer.partitions.append(result)
            }
            response.topics.append(answer)
        }
        guard !moves.isEmpty else { return done(response) }
        propose(.reassign(moves)) { result in
            for topic in response.topics.indices {
                for place in response.topics[topic].partitions.indices
                where response.topics[topic].partitions[place].error == .none {
                    response.topics[topic].partitions[place].note(result)
                }
            }
            done(response)
        }
    }

    // MARK: - ListPartitionReassignments (API key 46)

    /// What is asked for and does not move, or does not exist, is left out, as by Kafka.
    func reassignments(_ request: ListPartitionReassignmentsRequest) -> ListPartitionReassignmentsResponse {
        var response = ListPartitionReassignmentsResponse()
        guard let asked = request.topics else {
            let moving = Dictionary(grouping: state.movingPartitions, by: \.topic)
            response.topics = state.allTopics.compactMap { topic in
                moving[topic.id].flatMap { Self.reassignments(of: topic, $0.map(\.index)) }
            }
            return response
        }
        response.topics = asked.compactMap { asked in
            guard let name = try? TopicName(asked.name), let topic = state.topic(named: name) else { return nil }
            return Self.reassignments(of: topic, asked.partitions)
        }
        return response
    }

    private static func reassignments(
        of topic: Topic, _ indexes: [Int32]
    ) -> ListPartitionReassignmentsResponse.Topic? {
        var answer = ListPartitionReassignmentsResponse.Topic()
        answer.name = topic.name.rawValue
        for index in indexes where topic.partitions.indices.contains(Int(index)) {
            let placement = topic.partitions[Int(index)]
            guard placement.isMoving else { continue }
            var partition = ListPartitionReassignmentsResponse.Partition()
            partition.index = index
            partition.replicas = placement.hosts.map(\.rawValue)
            partition.adding = placement.adding.map(\.rawValue)
            partition.removing = placement.removing.map(\.rawValue)
            answer.partitions.append(partition)
        }
        return answer.partitions.isEmpty ? nil : answer
    }

    // MARK: - BalanceCluster (API key 10002)

    /// How many moves one answer lists.
    private static var listedMoves: Int { 2_000 }

    func balance(
        _ request: BalanceClusterRequest, in context: PlanningContext, done: @escaping (BalanceClusterResponse) -> Void
    ) {
        func refuse(_ error: ErrorCode, _ reason: String) {
            var response = describeBalance(MovePlan())
            response.error = error
            response.errorMessage = reason
            done(response)
        }
        guard let action = BalanceAction(rawValue: request.action) else {
            return refuse(.invalidRequest, "there is no action \(request.action)")
        }
        var goal = MoveGoal(isEven: state.isRebalancing, usable: context.usable)
        let command: MetadataCommand?
        switch action {
        case .look: command = nil
        case .rebalance:
            goal.isEven = true
            command = .setRebalancing(true)
        case .stopRebalancing:
            goal.isEven = false
            command = .setRebalancing(false)
        case .drain, .stopDraining, .removeNode:
            guard request.nodeID >= 0, state.node(NodeID(request.nodeID)) != nil else {
                return refuse(.brokerIDNotRegistered, "node \(request.nodeID) does not belong to the cluster")
            }
            let node = NodeID(request.nodeID)
            switch action {
            case .drain:
                goal.emptying = [node]
                command = .setNodeState(node, .draining)
            case .stopDraining: command = .setNodeState(node, .active)
            default: command = .removeNode(node)
            }
        }
        let plan = action == .stopDraining || action == .removeNode ? MovePlan() : state.plan(goal)
        if action == .drain, let partition = plan.stuck.first, let topic = state.topic(partition.topic) {
            let reason =
                "\(plan.stuck.count) partitions have no other node to go to, the first of them is "
                + "\(topic.name)-\(partition.index) with \(topic.replicationFactor) replicas: add a node first, "
                + "or give them fewer replicas"
            var response = describeBalance(plan)
            response.error = .invalidReplicationFactor
            response.errorMessage = reason
            return done(response)
        }
        guard let command, !request.validateOnly else { return done(describeBalance(plan)) }
        propose(command) { result in
            var response = self.describeBalance(plan)
            response.note(result)
            done(response)
        }
    }

    private func describeBalance(_ plan: MovePlan) -> BalanceClusterResponse {
        var response = BalanceClusterResponse()
        response.isRebalancing = state.isRebalancing
        response.movingCount = Int32(state.movingCount)
        response.plannedCount = Int32(clamping: plan.moves.count)
        response.planned = plan.moves.prefix(Self.listedMoves).map { move in
            describe(move.partition, from: move.from, to: move.to)
        }
        response.stuck = plan.stuck.prefix(Self.listedMoves).map { partition in
            describe(partition, from: state.placement(of: partition)?.wanted ?? [], to: [])
        }
        var nodes: [NodeID: BalanceClusterResponse.Node] = [:]
        let voters = replica?.raft.members.voters ?? []
        for node in state.nodes {
            var answer = BalanceClusterResponse.Node()
            answer.id = node.id.rawValue
            answer.isDraining = state.isDraining(node.id)
            answer.isVoter = voters.contains(node.id)
            nodes[node.id] = answer
        }
        for topic in state.allTopics {
            for placement in topic.partitions {
                for host in placement.hosts { nodes[host]?.replicas += 1 }
                for node in placement.adding { nodes[node]?.gaining += 1 }
                for node in placement.removing { nodes[node]?.losing += 1 }
                if let preferred = placement.preferredLeader { nodes[preferred]?.leaders += 1 }
            }
        }
        response.nodes = state.nodes.compactMap { nodes[$0.id] }
        return response
    }

    private func describe(_ partition: PartitionID, from: [NodeID], to: [NodeID]) -> BalanceClusterResponse.Move {
        var answer = BalanceClusterResponse.Move()
        answer.topic = state.topic(partition.topic)?.name.rawValue ?? ""
        answer.partition = partition.index
        answer.from = from.map(\.rawValue)
        answer.to = to.map(\.rawValue)
        return answer
    }

    // MARK: - The queue

    /// How often it is looked at whether more moves can begin.
    private static var paceInterval: UInt64 { 100_000_000 }

    /// Begins the next moves that draining nodes and the wish for balance call for, as far as no node takes part in
    /// more than `perNode` at a time. To be called now and then on the node whose controller this is.
    ///
    /// What is left to do follows from the state alone, so it outlasts whoever has asked for it and every controller.
    public func pace(usable: [NodeID], perNode: Int) {
        noteQuorum()
        guard isLeader, !isPacing, let replica, replica.highWatermark == replica.log.endOffset else { return }
        let now = shard.environment.now
        if let nextPace, now < nextPace { return }
        nextPace = now.advanced(byNanoseconds: Self.paceInterval)
        let moves = state.nextMoves(usable: usable, perNode: perNode)
        if !moves.isEmpty {
            pace(.reassign(moves))
        } else if state.isRebalancing, state.movingCount == 0 {
            pace(.setRebalancing(false))
        }
    }

    private func pace(_ command: MetadataCommand) {
        isPacing = true
        propose(command) { _ in self.isPacing = false }
    }
}

extension AlterPartitionReassignmentsResponse.Partition: ProposalAnswer {}
extension BalanceClusterResponse: ProposalAnswer {}
