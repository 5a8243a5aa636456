// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import MetadataCore
import NIOCore
import RaftCore
import Replication
import Settings
import Testing

extension OneController {
    /// A cluster of nodes 1 to 4, of which only the first is real, and a topic of two partitions on it.
    static func withFourNodes() throws -> OneController {
        let one = try OneController()
        one.form()
        for id in 2...4 as ClosedRange<Int32> {
            _ = one.propose(
                .registerNode(
                    NodeRegistration(
                        id: NodeID(id), kafka: NetworkAddress(host: "h\(id)", port: 9_092),
                        peer: NetworkAddress(host: "p\(id)", port: 19_092), rack: nil,
                        directory: DirectoryID(high: UInt64(id), low: 1))))
        }
        _ = try one.answer(creation("events", partitions: 2), version: 7)
        return one
    }

    func placement(_ index: Int = 0) throws -> PartitionPlacement {
        try #require(controller.state.topic(named: try TopicName("events"))).partitions[index]
    }

    /// Asks for one partition's new nodes; answers with the error and its explanation.
    func reassign(
        _ replicas: [Int32]?, topic: String = "events", partition: Int32 = 0, allowsFactorChange: Bool = true
    ) throws -> (error: ErrorCode, message: String?) {
        var request = AlterPartitionReassignmentsRequest()
        request.allowsReplicationFactorChange = allowsFactorChange
        request.topics = [reassignment(topic, [(partition, replicas)])]
        let answer = try answer(request, version: 1)
        #expect(answer.error == .none && answer.allowsReplicationFactorChange == allowsFactorChange)
        let result = try #require(answer.topics.first?.partitions.first)
        #expect(answer.topics.first?.name == topic && result.index == partition)
        return (result.error, result.errorMessage)
    }

    func complete(_ voters: [Int32], partition: Int32 = 0) throws {
        let topic = try #require(controller.state.topic(named: try TopicName("events")))
        _ = propose(
            .completeReassignment(PartitionID(topic: topic.id, index: partition), voters.map { NodeID($0) }))
    }
}

func reassignment(
    _ name: String, _ partitions: [(Int32, [Int32]?)]
) -> AlterPartitionReassignmentsRequest.Topic {
    var topic = AlterPartitionReassignmentsRequest.Topic()
    topic.name = name
    topic.partitions = partitions.map { index, replicas in
        var partition = AlterPartitionReassignmentsRequest.Partition()
        partition.index = index
        partition.replicas = replicas
        return partition
    }
    return topic
}

@Suite struct ReassignmentTests {
    /// What the controller before it has decided may not have been applied here yet, and moves that are under way
    /// would pass for done.
    @Test func aControllerThatHasJustBeenElectedAnswersOnceItKnowsWhatWasDecided() throws {
        let one = try OneController.withFourNodes()
        _ = try one.reassign([2])
        let shard = one.node.shard
        let environment = one.node.environment
        let replica = try #require(shard.replica(.metadata))
        shard.receive(
            .voteReply(term: replica.term.next, granted: false), of: replica.id, payload: nil, from: NodeID(9))
        one.node.settle()
        #expect(!one.controller.isLeader)
        for _ in 0..<500 where !one.controller.isLeader {
            environment.now = environment.now.advanced(byNanoseconds: 10_000_000)
            shard.tick()
            one.node.settleDiskExcluded()
            // Its vote is stored; its first entry is not yet.
            let work = environment.pending
            environment.pending = []
            for job in work { job() }
        }
        #expect(one.controller.isLeader && replica.highWatermark == nil)
        var frame = try ListPartitionReassignmentsRequest().encodeFrame(
            correlationID: 3, clientID: nil, version: 0
        ).bytes
        frame.moveReaderIndex(forwardBy: 4)
        var answers: [ByteBuffer?] = []
        one.controller.answer(frame, in: one.context) { answers.append($0) }
        #expect(answers == [nil])
        one.node.settle()
        #expect(try one.answer(ListPartitionReassignmentsRequest(), version: 0).topics.first?.partitions.count == 1)
    }

    @Test(arguments: AlterPartitionReassignmentsRequest.versions)
    func aMoveIsTakenAndListedUntilItsEnd(version: Int16) throws {
        let one = try OneController.withFourNodes()
        var request = AlterPartitionReassignmentsRequest()
        request.topics = [reassignment("events", [(0, [2, 3]), (1, [1])])]
        let answer = try one.answer(request, version: version)
        #expect(answer.topics.first?.partitions.map(\.error) == [.none, .none])
        #expect(try one.placement().target == [NodeID(2), NodeID(3)])
        let all = try one.answer(ListPartitionReassignmentsRequest(), version: 0)
        let moving = try #require(all.topics.first?.partitions.first)
        #expect(all.topics.count == 1 && all.topics[0].partitions.count == 1, "nothing was asked of partition 1")
        #expect(moving.replicas == [2, 3, 1] && moving.adding == [2, 3] && moving.removing == [1])
        try one.complete([3, 2])
        #expect(try one.placement().replicas == [NodeID(2), NodeID(3)])
        #expect(try one.answer(ListPartitionReassignmentsRequest(), version: 0).topics.isEmpty)
    }

    @Test func onlyWhatIsAskedForIsListed() throws {
        let one = try OneController.withFourNodes()
        #expect(try one.reassign([2]).error == .none)
        #expect(try one.reassign([3], partition: 1).error == .none)
        var request = ListPartitionReassignmentsRequest()
        var topic = ListPartitionReassignmentsRequest.Topic()
        (topic.name, topic.partitions) = ("events", [1, 7])
        var missing = topic
        missing.name = "missing"
        request.topics = [topic, missing]
        let answer = try one.answer(request, version: 0)
        #expect(answer.topics.map(\.name) == ["events"] && answer.topics[0].partitions.map(\.index) == [1])
        request.topics = []
        #expect(try one.answer(request, version: 0).topics.isEmpty)
    }

    @Test func aMoveIsCancelledAndStaysListedUntilNobodyCountsOnTheNewNodes() throws {
        let one = try OneController.withFourNodes()
        #expect(try one.reassign([2, 3]).error == .none)
        #expect(try one.reassign(nil).error == .none)
        let listed = try one.answer(ListPartitionReassignmentsRequest(), version: 0).topics.first?.partitions.first
        #expect(listed?.replicas == [1, 2, 3] && listed?.adding == [] && listed?.removing == [2, 3])
        try one.complete([1])
        #expect(try !one.placement().isMoving)
    }

    @Test func noReassignmentInProgress() throws {
        let one = try OneController.withFourNodes()
        #expect(try one.reassign(nil).error == .noReassignmentInProgress)
        #expect(try one.reassign([2]).error == .none)
        #expect(try one.reassign(nil).error == .none)
        #expect(try one.reassign(nil).error == .noReassignmentInProgress)
    }

    @Test func unknownTopicOrPartition() throws {
        let one = try OneController.withFourNodes()
        #expect(try one.reassign([2], topic: "missing").error == .unknownTopicOrPartition)
        #expect(try one.reassign([2], topic: "a/b").error == .unknownTopicOrPartition)
        #expect(try one.reassign([2], partition: 2).error == .unknownTopicOrPartition)
        #expect(try one.reassign([2], partition: -1).error == .unknownTopicOrPartition)
        #expect(try one.reassign(nil, partition: .max).error == .unknownTopicOrPartition)
    }

    @Test(arguments: [[], [2, 2], [9], [-1], [2, 9], Array(1...16)] as [[Int32]])
    func invalidReplicaAssignment(replicas: [Int32]) throws {
        let one = try OneController.withFourNodes()
        let (error, message) = try one.reassign(replicas)
        #expect(error == .invalidReplicaAssignment && message != nil)
        #expect(try !one.placement().isMoving)
    }

    @Test func aNodeThatIsBeingEmptiedIsGivenNothing() throws {
        let one = try OneController.withFourNodes()
        _ = one.propose(.setNodeState(NodeID(4), .draining))
        let (error, message) = try one.reassign([4])
        #expect(error == .invalidReplicaAssignment && message == "node 4 is being emptied")
    }

    @Test func invalidReplicationFactorWhenItIsNotToChange() throws {
        let one = try OneController.withFourNodes()
        #expect(try one.reassign([2, 3], allowsFactorChange: false).error == .invalidReplicationFactor)
        #expect(try one.reassign([2], allowsFactorChange: false).error == .none)
        #expect(try one.reassign(nil, allowsFactorChange: false).error == .none)
    }

    @Test func aRefusedPartitionDoesNotKeepTheOthersFromMoving() throws {
        let one = try OneController.withFourNodes()
        var request = AlterPartitionReassignmentsRequest()
        request.topics = [reassignment("events", [(0, []), (1, [2]), (1, [3]), (5, [2])])]
        let errors = try one.answer(request, version: 0).topics.first?.partitions.map(\.error)
        #expect(errors == [.invalidReplicaAssignment, .none, .invalidRequest, .unknownTopicOrPartition])
        #expect(try one.placement(1).target == [NodeID(2)])
    }

    @Test func metadataShowsBothOldAndNewNodesDuringAMove() throws {
        let node = try OneNode()
        for id in 2...3 as ClosedRange<Int32> {
            node.apply(
                .registerNode(
                    NodeRegistration(
                        id: NodeID(id), kafka: NetworkAddress(host: "h\(id)", port: 1),
                        peer: NetworkAddress(host: "p\(id)", port: 2), rack: nil,
                        directory: DirectoryID(high: 1, low: UInt64(id)))))
        }
        let id = try node.topic("events")
        let partition = PartitionID(topic: id, index: 0)
        node.apply(.reassign([PartitionMove(partition: partition, target: [NodeID(2), NodeID(3)])]))
        var all = MetadataRequest()
        all.topics = nil
        let shown = try node.ask(all, version: 12).topics.first?.partitions.first
        #expect(shown?.replicas == [2, 3, 1] && shown?.offlineReplicas == [2, 3] && shown?.inSyncReplicas == [1])
        node.apply(.completeReassignment(partition, [NodeID(2), NodeID(3)]))
        #expect(try node.ask(all, version: 12).topics.first?.partitions.first?.replicas == [2, 3])
    }

    @Test func withoutAControllerTheAnswerSaysSo() throws {
        let node = try OneNode()
        var request = AlterPartitionReassignmentsRequest()
        request.topics = [reassignment("events", [(0, [2])])]
        #expect(try node.ask(request, version: 1).error == .requestTimedOut)
        #expect(try node.ask(ListPartitionReassignmentsRequest(), version: 0).error == .requestTimedOut)
        #expect(try node.ask(DescribeQuorumRequest(), version: 2).error == .requestTimedOut)
        #expect(try node.ask(AddRaftVoterRequest(), version: 1).error == .requestTimedOut)
        #expect(try node.ask(RemoveRaftVoterRequest(), version: 0).error == .requestTimedOut)
        #expect(try node.ask(BalanceClusterRequest(), version: 0).error == .requestTimedOut)
    }
}

@Suite struct BalanceTests {
    private func ask(
        _ one: OneController, _ action: BalanceAction, node: Int32 = -1, execute: Bool = true,
        usable: [Int32] = [1, 2, 3, 4]
    ) throws -> BalanceClusterResponse {
        var request = BalanceClusterRequest()
        (request.action, request.nodeID, request.validateOnly) = (action.rawValue, node, !execute)
        return try one.answer(request, version: 0, usable: usable.map { NodeID($0) })
    }

    @Test func aPlanIsShownAndNothingIsDone() throws {
        let one = try OneController.withFourNodes()
        let plan = try ask(one, .drain, node: 1, execute: false)
        #expect(plan.error == .none && plan.plannedCount == 2 && plan.planned.count == 2)
        #expect(plan.planned.allSatisfy { $0.topic == "events" && $0.from == [1] && !$0.to.contains(1) })
        #expect(plan.nodes.map(\.id) == [1, 2, 3, 4] && plan.nodes.map(\.replicas) == [2, 0, 0, 0])
        #expect(plan.nodes.map(\.isVoter) == [true, false, false, false])
        #expect(one.controller.state.drainingNodes.isEmpty && one.controller.state.movingCount == 0)
    }

    @Test func aNodeIsEmptiedByTheControllerAFewPartitionsAtATime() throws {
        let one = try OneController.withFourNodes()
        #expect(try ask(one, .drain, node: 1).error == .none)
        #expect(one.controller.state.drainingNodes == [NodeID(1)])
        let usable = [1, 2, 3, 4].map { NodeID($0) }
        func pace() {
            one.node.pass(milliseconds: 200)
            one.controller.pace(usable: usable, perNode: 1)
            one.node.settle()
        }
        pace()
        #expect(one.controller.state.movingCount == 1)
        pace()
        #expect(one.controller.state.movingCount == 1, "node 1 takes part in one move at a time")
        let look = try ask(one, .look)
        #expect(look.movingCount == 1 && look.plannedCount == 1)
        #expect(look.nodes.first { $0.id == 1 }.map { $0.isDraining && $0.losing == 1 } == true)
        for partition in 0..<2 as Range<Int32> {
            try one.complete(try one.placement(Int(partition)).wanted.map(\.rawValue), partition: partition)
            pace()
        }
        #expect(
            try (0..<2).allSatisfy { try !one.placement($0).hosts.contains(NodeID(1)) || one.placement($0).isMoving })
    }

    @Test func aNodeWhoseReplicasHaveNowhereToGoIsNotEmptied() throws {
        let one = try OneController.withFourNodes()
        let answer = try ask(one, .drain, node: 1, usable: [1])
        #expect(answer.error == .invalidReplicationFactor && answer.stuck.count == 2)
        #expect(answer.errorMessage?.contains("events-0") == true)
        #expect(one.controller.state.drainingNodes.isEmpty)
    }

    @Test func theWishForBalanceEndsWhenTheClusterIsEven() throws {
        let one = try OneController.withFourNodes()
        #expect(try ask(one, .rebalance).plannedCount == 1)
        #expect(one.controller.state.isRebalancing)
        for _ in 0..<3 {
            one.node.pass(milliseconds: 200)
            one.controller.pace(usable: [1, 2, 3, 4].map { NodeID($0) }, perNode: 4)
            one.node.settle()
            for partition in 0..<2 where try one.placement(partition).isMoving {
                try one.complete(try one.placement(partition).wanted.map(\.rawValue), partition: Int32(partition))
            }
        }
        #expect(!one.controller.state.isRebalancing)
        #expect(try Set((0..<2).map { try one.placement($0).replicas }).count == 2)
    }

    @Test func wishesAreTakenBack() throws {
        let one = try OneController.withFourNodes()
        _ = try ask(one, .rebalance)
        _ = try ask(one, .drain, node: 2)
        #expect(try ask(one, .stopRebalancing).isRebalancing == false)
        #expect(try ask(one, .stopDraining, node: 2).nodes.allSatisfy { !$0.isDraining })
    }

    @Test func aNodeIsRemovedOnceItKeepsNothing() throws {
        let one = try OneController.withFourNodes()
        #expect(try ask(one, .removeNode, node: 1).error == .invalidRequest)
        #expect(try ask(one, .removeNode, node: 4).error == .none)
        #expect(try ask(one, .removeNode, node: 4).error == .brokerIDNotRegistered)
        #expect(try ask(one, .drain, node: -1).error == .brokerIDNotRegistered)
        var request = BalanceClusterRequest()
        request.action = 99
        #expect(try one.answer(request, version: 0).error == .invalidRequest)
    }
}
