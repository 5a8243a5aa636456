// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings
import Testing

/// A cluster drawn from a seed: nodes in racks or without, topics with replicas wherever chance put them.
private struct RandomCluster {
    var state: ClusterState
    var random: SeededRandom
    let racks: [String]

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        let nodes = Int32.random(in: 3...9, using: &random)
        racks = [[], ["a", "b", "c"], ["a", "b"]][Int.random(in: 0..<3, using: &random)]
        state = ClusterState.formed(nodes: nodes, racks: racks)
        for topic in 1...UInt64.random(in: 1...5, using: &random) {
            let factor = Int.random(in: 1...min(3, Int(nodes)), using: &random)
            let partitions = (0..<Int.random(in: 1...20, using: &random)).map { _ in
                // Skewed: low ids are drawn more often, as in a cluster that has grown.
                let order = (1...nodes).sorted { left, right in
                    Int32.random(in: 0...4, using: &random) + left / 2 < Int32.random(in: 0...4, using: &random)
                        + right / 2
                }
                return PartitionPlacement(replicas: order.prefix(factor).map { NodeID($0) })
            }
            state.apply(newTopic("t\(topic)", id: topic, partitions))
        }
    }

    var usable: [NodeID] { state.nodes.map(\.id) }

    /// The whole plan carried out at once.
    func after(_ plan: MovePlan) -> ClusterState {
        var next = state
        for planned in plan.moves {
            next.apply(.reassign([PartitionMove(partition: planned.partition, target: planned.to)]))
            next.apply(.completeReassignment(planned.partition, planned.to))
        }
        return next
    }
}

extension ClusterState {
    fileprivate func count(_ isCounted: (PartitionPlacement, NodeID) -> Bool) -> [NodeID: Int] {
        var counts: [NodeID: Int] = [:]
        for node in nodes {
            counts[node.id] = allTopics.reduce(0) { $0 + $1.partitions.count { isCounted($0, node.id) } }
        }
        return counts
    }

    fileprivate var replicaCounts: [NodeID: Int] { count { $0.replicas.contains($1) } }
    fileprivate var leaderCounts: [NodeID: Int] { count { $0.preferredLeader == $1 } }

    fileprivate func rackCount(_ placement: PartitionPlacement) -> Int {
        Set(placement.replicas.map { node($0)?.rack }).count
    }
}

@Suite struct MovePlanningTests {
    @Test(arguments: 0..<150 as Range<UInt64>)
    func anEmptiedNodeKeepsNothingAndOthersAreDisturbedAsLittleAsCanBe(seed: UInt64) throws {
        var cluster = RandomCluster(seed: seed)
        let leaver = try #require(cluster.usable.randomElement(using: &cluster.random))
        let plan = cluster.state.plan(MoveGoal(emptying: [leaver], usable: cluster.usable))
        let others = cluster.usable.count - 1
        let next = cluster.after(plan)
        for topic in cluster.state.allTopics {
            for (index, placement) in topic.partitions.enumerated() {
                let partition = PartitionID(topic: topic.id, index: Int32(index))
                let moved = try #require(next.placement(of: partition))
                guard placement.replicas.contains(leaver) else {
                    #expect(moved == placement, "nobody asked for it")
                    continue
                }
                if placement.replicas.count > others {
                    #expect(plan.stuck.contains(partition) && moved == placement)
                    continue
                }
                #expect(!moved.replicas.contains(leaver))
                #expect(Set(moved.replicas).subtracting(placement.replicas).count == 1, "one copy is made")
                #expect(moved.replicas.count == placement.replicas.count)
                let free = cluster.usable.filter { $0 != leaver && !placement.replicas.contains($0) }
                let stay = Set(placement.replicas.filter { $0 != leaver }.map { cluster.state.node($0)?.rack })
                if free.contains(where: { !stay.contains(cluster.state.node($0)?.rack) }) {
                    #expect(next.rackCount(moved) == stay.count + 1)
                }
            }
        }
        // Whoever has got something had fewest: without racks nobody can be two above one that could have had it.
        if cluster.racks.isEmpty, plan.stuck.isEmpty {
            let (before, after) = (cluster.state.replicaCounts, next.replicaCounts)
            for node in cluster.usable where node != leaver && after[node, default: 0] > before[node, default: 0] {
                let lowest = cluster.usable.filter { $0 != leaver }.map { after[$0, default: 0] }.min() ?? 0
                let widest = cluster.state.allTopics.map(\.replicationFactor).max() ?? 1
                if widest == 1 { #expect(after[node, default: 0] <= lowest + 1) }
            }
        }
    }

    @Test(arguments: 0..<150 as Range<UInt64>)
    func afterABalanceReplicasAndLeadersAreEvenAndNoRackIsLost(seed: UInt64) throws {
        let cluster = RandomCluster(seed: seed)
        let plan = cluster.state.plan(MoveGoal(isEven: true, usable: cluster.usable))
        let next = cluster.after(plan)
        let (before, after) = (cluster.state.replicaCounts, next.replicaCounts)
        if cluster.racks.isEmpty {
            let counts = cluster.usable.map { after[$0, default: 0] }
            #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
            // No more copies than the excess of those who have too much.
            let total = counts.reduce(0, +)
            let (least, rest) = total.quotientAndRemainder(dividingBy: counts.count)
            let sorted = cluster.usable.map { before[$0, default: 0] }.sorted(by: >)
            let excess = sorted.enumerated().reduce(0) { $0 + max(0, $1.element - least - ($1.offset < rest ? 1 : 0)) }
            #expect(plan.moves.reduce(0) { $0 + $1.adding.count } == excess)
        }
        let racks = Set(cluster.state.nodes.map(\.rack)).count
        for topic in cluster.state.allTopics {
            for (index, placement) in topic.partitions.enumerated() {
                let moved = try #require(next.placement(of: PartitionID(topic: topic.id, index: Int32(index))))
                #expect(next.rackCount(moved) >= cluster.state.rackCount(placement))
                #expect(next.rackCount(moved) == min(racks, placement.replicas.count))
            }
        }
        #expect(next.plan(MoveGoal(isEven: true, usable: cluster.usable)).moves.isEmpty, "an even cluster rests")
        let spread = next.leaderCounts.values.max().map { $0 - (next.leaderCounts.values.min() ?? 0) } ?? 0
        if next.allTopics.allSatisfy({ $0.replicationFactor == cluster.usable.count }) { #expect(spread <= 1) }
    }

    /// The controller plans anew after each few moves; all in all it must come to an end, and to the same goal.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func movesMadeAFewAtATimeComeToAnEnd(seed: UInt64) throws {
        var cluster = RandomCluster(seed: seed)
        let leaver = try #require(cluster.usable.randomElement(using: &cluster.random))
        if Bool.random(using: &cluster.random) { cluster.state.apply(.setNodeState(leaver, .draining)) }
        cluster.state.apply(.setRebalancing(true))
        let perNode = Int.random(in: 1...3, using: &cluster.random)
        var rounds = 0
        while true {
            rounds += 1
            try #require(rounds < 500)
            let moves = cluster.state.nextMoves(usable: cluster.usable, perNode: perNode)
            if !moves.isEmpty {
                let change = cluster.state.apply(.reassign(moves))
                guard case .placementsChanged = change else {
                    Issue.record("\(change)")
                    return
                }
            }
            let moving = cluster.state.movingPartitions
            for node in cluster.usable {
                let busy = moving.compactMap { cluster.state.placement(of: $0) }
                    .count { $0.adding.contains(node) || $0.removing.contains(node) }
                #expect(busy <= perNode)
            }
            guard let done = moving.randomElement(using: &cluster.random) else {
                if moves.isEmpty { break }
                continue
            }
            let wanted = try #require(cluster.state.placement(of: done)?.wanted)
            cluster.state.apply(.completeReassignment(done, wanted.sorted()))
        }
        let kept = cluster.state.partitions(on: leaver).compactMap { cluster.state.placement(of: $0) }
        if cluster.state.state(of: leaver) == .draining {
            #expect(kept.allSatisfy { $0.replicas.count == cluster.usable.count }, "only what has nowhere to go stays")
        } else if cluster.racks.isEmpty {
            let counts = cluster.usable.map { cluster.state.replicaCounts[$0, default: 0] }
            #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
        }
        #expect(cluster.state.plan(MoveGoal(isEven: true, usable: cluster.usable)).moves.isEmpty)
    }

    @Test func leadersAreEvenedByTheOrderOfReplicasAlone() throws {
        var state = ClusterState.formed(nodes: 3)
        state.apply(newTopic("a", id: 1, Array(repeating: placements([1, 2, 3])[0], count: 9)))
        let plan = state.plan(MoveGoal(isEven: true, usable: nodes(1, 2, 3)))
        #expect(plan.moves.count == 6 && plan.moves.allSatisfy { $0.adding.isEmpty && $0.removing.isEmpty })
        state.apply(.reassign(plan.moves.map { PartitionMove(partition: $0.partition, target: $0.to) }))
        #expect(state.movingCount == 0)
        #expect(nodes(1, 2, 3).map { state.leaderCounts[$0] } == [3, 3, 3])
    }

    @Test func aNewNodeIsGivenItsShareAndTheOthersGiveToNobodyElse() {
        var state = ClusterState.formed(nodes: 4)
        state.apply(newTopic("a", id: 1, Array(repeating: placements([1, 2, 3])[0], count: 8)))
        let plan = state.plan(MoveGoal(isEven: true, usable: nodes(1, 2, 3, 4)))
        #expect(plan.moves.allSatisfy { $0.adding.allSatisfy { $0 == NodeID(4) } })
        #expect(plan.moves.reduce(0) { $0 + $1.adding.count } == 6)
    }

    @Test func aNodeThatIsDownIsGivenNothing() {
        var state = ClusterState.formed(nodes: 5)
        state.apply(newTopic("a", id: 1, Array(repeating: placements([1, 2, 3])[0], count: 8)))
        let plan = state.plan(MoveGoal(emptying: nodes(1), isEven: true, usable: nodes(1, 2, 3, 5)))
        #expect(!plan.moves.isEmpty && plan.moves.allSatisfy { !$0.to.contains(NodeID(4)) })
        #expect(plan.moves.allSatisfy { !$0.to.contains(NodeID(1)) })
    }

    @Test func newTopicsKeepOffANodeThatIsBeingEmptied() throws {
        var state = ClusterState.formed(nodes: 4)
        state.apply(.setNodeState(NodeID(2), .draining))
        let settings = NodeSettings().topics
        let plans = state.planTopics(
            [
                TopicRequest(name: "a", partitions: 12, replicationFactor: 3),
                TopicRequest(name: "b", partitions: 1, replicationFactor: 4),
            ], settings: settings, usable: nodes(1, 2, 3, 4), seed: 1)
        #expect(try plans[0].get().partitions.allSatisfy { !$0.replicas.contains(NodeID(2)) })
        #expect(throws: TopicRefusal.self) { try plans[1].get() }
    }

    @Test func aQuietClusterPlansNothing() {
        var state = ClusterState.formed(nodes: 4)
        state.apply(newTopic("a", id: 1, Array(repeating: placements([1, 2, 3])[0], count: 8)))
        #expect(state.nextMoves(usable: nodes(1, 2, 3, 4), perNode: 4).isEmpty)
        state.apply(.setNodeState(NodeID(4), .draining))
        #expect(state.nextMoves(usable: nodes(1, 2, 3, 4), perNode: 4).isEmpty, "it keeps nothing")
    }
}
