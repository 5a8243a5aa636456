// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings
import Testing

/// How replicas and leaders are spread, seen through the planning functions.
@Suite struct PlacementTests {
    private struct Spread {
        var replicas: [NodeID: Int] = [:]
        var leaders: [NodeID: Int] = [:]

        init(_ partitions: [PartitionPlacement], over nodes: [NodeID]) {
            for node in nodes { (replicas[node], leaders[node]) = (0, 0) }
            for partition in partitions {
                for replica in partition.replicas { replicas[replica, default: 0] += 1 }
                if let leader = partition.preferredLeader { leaders[leader, default: 0] += 1 }
            }
        }

        static func width(_ counts: some Collection<Int>) -> Int { (counts.max() ?? 0) - (counts.min() ?? 0) }
    }

    private func plan(
        _ state: ClusterState, partitions: Int32, factor: Int16, usable: [NodeID]? = nil, seed: UInt64 = 1
    ) throws -> [PartitionPlacement] {
        let request = TopicRequest(name: "t", partitions: partitions, replicationFactor: factor)
        let plans = state.planTopics(
            [request], settings: TopicSettings(), usable: usable ?? state.nodes.map(\.id), seed: seed)
        return try #require(plans.first).get().partitions
    }

    private static let shapes: [(nodes: Int32, partitions: Int32, factor: Int16)] = [
        (1, 5, 1), (2, 3, 2), (3, 1, 3), (3, 6, 3), (3, 7, 2), (4, 6, 3), (5, 12, 3), (5, 1, 5), (6, 100, 3),
        (7, 50, 2), (9, 31, 5),
    ]

    @Test(arguments: shapes)
    func replicasAndLeadersAreEven(nodes: Int32, partitions: Int32, factor: Int16) throws {
        let state = ClusterState.formed(nodes: nodes)
        for seed in 0..<10 as Range<UInt64> {
            let placed = try plan(state, partitions: partitions, factor: factor, seed: seed)
            #expect(placed.count == Int(partitions))
            for partition in placed {
                #expect(partition.replicas.count == Int(factor) && Set(partition.replicas).count == Int(factor))
            }
            let spread = Spread(placed, over: state.nodes.map(\.id))
            #expect(Spread.width(spread.replicas.values) <= 1, "\(spread.replicas)")
            #expect(Spread.width(spread.leaders.values) <= 1, "\(spread.leaders)")
        }
    }

    @Test(
        arguments: [
            (3, ["a", "b", "c"], 3), (6, ["a", "b", "c"], 3), (6, ["a", "b"], 3), (7, ["a", "b", "c"], 2),
            (5, ["a", "a", "a", "a", "b"], 2), (4, ["a"], 3),
        ] as [(Int32, [String], Int16)])
    func everyPartitionReachesAsManyRacksAsThereAre(nodes: Int32, racks: [String], factor: Int16) throws {
        let state = ClusterState.formed(nodes: nodes, racks: racks)
        for seed in 0..<10 as Range<UInt64> {
            let placed = try plan(state, partitions: 24, factor: factor, seed: seed)
            for partition in placed {
                let reached = Set(partition.replicas.map { state.node($0)?.rack })
                #expect(reached.count == min(Set(racks).count, Int(factor)))
            }
            // Where no rack has to hold more than its share, nodes come out even too.
            if Set(racks).count == racks.count, Int(nodes) % racks.count == 0 {
                let spread = Spread(placed, over: state.nodes.map(\.id))
                #expect(Spread.width(spread.replicas.values) <= 1, "\(spread.replicas)")
                #expect(Spread.width(spread.leaders.values) <= 1, "\(spread.leaders)")
            }
        }
    }

    @Test func theSameSeedGivesTheSamePlacesAndAnotherGivesOthers() throws {
        let state = ClusterState.formed(nodes: 5)
        let first = try plan(state, partitions: 8, factor: 3, seed: 4)
        #expect(try plan(state, partitions: 8, factor: 3, seed: 4) == first)
        let starts = try Set(
            (0..<40 as Range<UInt64>).map { seed in
                try plan(state, partitions: 1, factor: 1, seed: seed)
            })
        #expect(starts.count == 5, "single partitions begin at every node")
    }

    @Test func manySmallTopicsAreAsEvenAsOneLargeOne() throws {
        var state = ClusterState.formed(nodes: 5)
        for number in 0..<50 as Range<UInt64> {
            let request = TopicRequest(name: "t\(number)", partitions: 1, replicationFactor: 3)
            let plan = state.planTopics(
                [request], settings: TopicSettings(), usable: state.nodes.map(\.id), seed: number)[0]
            state.apply(try plan.get().command(id: topicID(number + 1), created: Timestamp(milliseconds: 0)))
        }
        let spread = Spread(state.allTopics.flatMap(\.partitions), over: state.nodes.map(\.id))
        #expect(Spread.width(spread.replicas.values) <= 1, "\(spread.replicas)")
        #expect(Spread.width(spread.leaders.values) <= 2, "\(spread.leaders)")
    }

    @Test func topicsOfOneRequestSeeEachOther() throws {
        let state = ClusterState.formed(nodes: 4)
        let requests = (0..<40).map { TopicRequest(name: "t\($0)", partitions: 1, replicationFactor: 1) }
        let plans = try state.planTopics(
            requests, settings: TopicSettings(), usable: state.nodes.map(\.id), seed: 3
        ).map { try $0.get() }
        let spread = Spread(plans.flatMap(\.partitions), over: state.nodes.map(\.id))
        #expect(Set(spread.replicas.values) == [10])
    }

    @Test func aNewNodeIsFilledFirst() throws {
        var state = ClusterState.formed(nodes: 3)
        state.apply(newTopic("old", id: 1, placements([1, 2, 3], [2, 3, 1], [3, 1, 2])))
        state.apply(.registerNode(registration(4)))
        let placed = try plan(state, partitions: 4, factor: 2)
        // Within one topic evenness comes first; the spare replica goes to the node that keeps nothing.
        let spread = Spread(placed, over: state.nodes.map(\.id))
        #expect(spread.replicas[NodeID(4)] == 2)
        #expect(try plan(state, partitions: 1, factor: 1) == placements([4]))
    }

    @Test func aDeadNodeGetsReplicasOnlyWhereTooFewOthersAreAndNeverLeads() throws {
        let state = ClusterState.formed(nodes: 4)
        let alive = [1, 2, 3].map { NodeID($0) }
        let spared = try plan(state, partitions: 12, factor: 3, usable: alive)
        #expect(spared.allSatisfy { !$0.replicas.contains(NodeID(4)) })
        let needed = try plan(state, partitions: 12, factor: 4, usable: alive)
        #expect(needed.allSatisfy { $0.replicas.contains(NodeID(4)) && $0.preferredLeader != NodeID(4) })
        #expect(Spread.width(Spread(needed, over: alive).leaders.values.filter { $0 > 0 }) <= 1)
    }

    @Test func addedPartitionsGoWhereTheTopicHasFewest() throws {
        var state = ClusterState.formed(nodes: 3)
        state.apply(newTopic("t", id: 1, placements([1], [1], [2])))
        let plan = state.planPartitions(
            [PartitionsRequest(name: "t", count: 9)], settings: TopicSettings(), usable: state.nodes.map(\.id), seed: 1)
        let added = try plan[0].get()
        #expect(added.after == 3 && added.topic == topicID(1) && added.partitions.count == 6)
        state.apply(.createPartitions(added))
        let spread = Spread(state.allTopics[0].partitions, over: state.nodes.map(\.id))
        #expect(Set(spread.replicas.values) == [3] && Set(spread.leaders.values) == [3])
    }

    @Test func addedPartitionsGoToTheRackWithRoom() throws {
        var state = ClusterState.formed(nodes: 3, racks: ["a", "b", "b"])
        state.apply(newTopic("t", id: 1, placements([2], [2])))
        for seed in 0..<20 as Range<UInt64> {
            let plan = state.planPartitions(
                [PartitionsRequest(name: "t", count: 3)], settings: TopicSettings(), usable: state.nodes.map(\.id),
                seed: seed)
            #expect(try plan[0].get().partitions == placements([1]), "not beside the replicas of the full rack")
        }
    }

    @Test func whatIsPlannedIsTaken() throws {
        for seed in 0..<20 as Range<UInt64> {
            var state = ClusterState.formed(nodes: 5, racks: ["a", "b", "c"])
            var random = SeededRandom(seed: seed)
            for number in 1...10 as ClosedRange<UInt64> {
                let request = TopicRequest(
                    name: "t\(number)", partitions: Int32.random(in: 1...9, using: &random),
                    replicationFactor: Int16.random(in: 1...5, using: &random))
                let planned = try state.planTopics(
                    [request], settings: TopicSettings(), usable: state.nodes.map(\.id), seed: random.next())[0].get()
                let change = state.apply(planned.command(id: topicID(number), created: Timestamp(milliseconds: 0)))
                guard case .topicCreated(let topic) = change else {
                    Issue.record("\(change)")
                    continue
                }
                #expect(topic.partitions.count == Int(request.partitions))
                #expect(topic.replicationFactor == Int(request.replicationFactor))
            }
        }
    }
}
