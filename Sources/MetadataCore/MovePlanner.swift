// SPDX-License-Identifier: Apache-2.0

import LogModel

/// The work of one plan. Nodes are named by their position in the order of ids.
struct MovePlanner {
    private struct Row {
        let partition: PartitionID
        let topic: Int
        let original: [Int]
        var members: [Int]
        let isMovable: Bool
        var isChanged = false
    }

    private let state: ClusterState
    private let goal: MoveGoal
    private let rackOf: [Int]
    private let rackCount: Int
    /// Whether the node may be given replicas, and whether it must give up its own.
    private let takes: [Bool]
    private let leaves: [Bool]
    private var rows: [Row] = []
    private var replicas: [Int]
    private var leaders: [Int]
    /// Replicas of each topic on each node.
    private var inTopic: [[Int]] = []
    /// The rows in which a node is a member; those that it has left since are skipped.
    private var rowsOn: [[Int]]
    private var changed: [Int] = []
    private var result = MovePlan()

    init(_ state: ClusterState, _ goal: MoveGoal) {
        self.state = state
        self.goal = goal
        let nodes = state.nodes
        let emptying = Set(goal.emptying + state.drainingNodes)
        let usable = Set(goal.usable)
        leaves = nodes.map { emptying.contains($0.id) }
        takes = nodes.map { usable.contains($0.id) && !emptying.contains($0.id) }
        var racks: [String?] = []
        rackOf = nodes.map { node in
            if let known = racks.firstIndex(of: node.rack) { return known }
            racks.append(node.rack)
            return racks.count - 1
        }
        rackCount = racks.count
        replicas = Array(repeating: 0, count: nodes.count)
        leaders = replicas
        rowsOn = Array(repeating: [], count: nodes.count)
        for (number, topic) in state.allTopics.enumerated() {
            inTopic.append(Array(repeating: 0, count: nodes.count))
            for (index, placement) in topic.partitions.enumerated() {
                let members = placement.wanted.compactMap(position)
                let row = Row(
                    partition: PartitionID(topic: topic.id, index: Int32(index)), topic: number, original: members,
                    members: members, isMovable: !placement.isMoving)
                for member in members {
                    replicas[member] += 1
                    inTopic[number][member] += 1
                    rowsOn[member].append(rows.count)
                }
                if let first = members.first { leaders[first] += 1 }
                rows.append(row)
            }
        }
    }

    private func position(of node: NodeID) -> Int? {
        let at = state.nodes.firstPosition { $0.id >= node }
        return at < state.nodes.count && state.nodes[at].id == node ? at : nil
    }

    mutating func plan() -> MovePlan {
        empty()
        if goal.isEven {
            spreadOverRacks()
            evenReplicas()
        }
        evenLeaders()
        for row in changed.sorted(by: isEarlier) where rows[row].members != rows[row].original {
            guard result.moves.count < goal.limit else { break }
            result.moves.append(
                PlannedMove(
                    partition: rows[row].partition, from: rows[row].original.map { state.nodes[$0].id },
                    to: rows[row].members.map { state.nodes[$0].id }))
        }
        return result
    }

    private func isEarlier(_ left: Int, _ right: Int) -> Bool {
        let (first, second) = (isEmptying(left), isEmptying(right))
        return first == second ? left < right : first
    }

    private func isEmptying(_ row: Int) -> Bool { rows[row].original.contains { leaves[$0] } }

    private var hasEnough: Bool { changed.count >= goal.limit }

    // MARK: - Steps

    private mutating func empty() {
        for row in rows.indices where rows[row].isMovable && rows[row].members.contains(where: { leaves[$0] }) {
            guard !hasEnough else { return }
            var isStuck = false
            for leaver in rows[row].original where leaves[leaver] {
                if let taker = bestTaker(for: row, instead: leaver) {
                    replace(leaver, by: taker, in: row)
                } else {
                    isStuck = true
                }
            }
            if isStuck { result.stuck.append(rows[row].partition) }
            // Whoever has come instead of the preferred leader need not become it.
            if rows[row].members.first != rows[row].original.first { leadByLeastLoaded(row) }
        }
    }

    private mutating func spreadOverRacks() {
        for row in rows.indices where rows[row].isMovable {
            while !hasEnough, let (giver, taker) = rackExchange(in: row) { replace(giver, by: taker, in: row) }
        }
    }

    /// A member that shares its rack, and the node that would keep the partition in another rack.
    private func rackExchange(in row: Int) -> (giver: Int, taker: Int)? {
        let members = rows[row].members
        var inRack = Array(repeating: 0, count: rackCount)
        for member in members { inRack[rackOf[member]] += 1 }
        guard inRack.contains(where: { $0 > 1 }), inRack.contains(0) else { return nil }
        let giver = members.filter { inRack[rackOf[$0]] > 1 }.max { replicas[$0] < replicas[$1] }
        let taker = takes.indices.filter { takes[$0] && inRack[rackOf[$0]] == 0 }.min { replicas[$0] < replicas[$1] }
        guard let giver, let taker else { return nil }
        return (giver, taker)
    }

    /// Each step takes from a node with at least two more than the one it gives to, so none gives and takes both.
    private mutating func evenReplicas() {
        while !hasEnough, let (row, giver, taker) = evener() { replace(giver, by: taker, in: row) }
    }

    private func evener() -> (row: Int, giver: Int, taker: Int)? {
        let takers = takes.indices.filter { takes[$0] }.sorted { (replicas[$0], $0) < (replicas[$1], $1) }
        let givers = replicas.indices.filter { !leaves[$0] }.sorted { (replicas[$1], $0) < (replicas[$0], $1) }
        for giver in givers {
            for taker in takers {
                guard replicas[giver] >= replicas[taker] + 2 else { break }
                if let row = exchange(from: giver, to: taker) { return (row, giver, taker) }
            }
        }
        return nil
    }

    /// The partition that had best go: of the topic that the giver has most of and the taker least, a few looked at.
    private func exchange(from giver: Int, to taker: Int) -> Int? {
        var best: (row: Int, gain: Int)?
        var seen = 0
        for row in rowsOn[giver] where rows[row].isMovable {
            let members = rows[row].members
            guard members.contains(giver), !members.contains(taker), keepsRacks(members, giver, taker) else { continue }
            let gain = inTopic[rows[row].topic][giver] - inTopic[rows[row].topic][taker]
            if gain > best?.gain ?? .min { best = (row, gain) }
            seen += 1
            if seen == 64 { break }
        }
        return best?.row
    }

    /// Whether the partition lies in as many racks afterwards.
    private func keepsRacks(_ members: [Int], _ giver: Int, _ taker: Int) -> Bool {
        let others = members.filter { $0 != giver }.map { rackOf[$0] }
        return others.contains(rackOf[giver]) || !others.contains(rackOf[taker])
    }

    private func bestTaker(for row: Int, instead leaver: Int) -> Int? {
        let members = rows[row].members
        let others = members.filter { $0 != leaver }
        func cost(_ node: Int) -> (Int, Int, Int, UInt64) {
            (
                others.count { rackOf[$0] == rackOf[node] }, replicas[node], inTopic[rows[row].topic][node],
                Self.mixed(row, node)
            )
        }
        return takes.indices.filter { takes[$0] && !members.contains($0) }.min { cost($0) < cost($1) }
    }

    private mutating func replace(_ old: Int, by new: Int, in row: Int) {
        guard let at = rows[row].members.firstIndex(of: old) else { return }
        note(row)
        rows[row].members[at] = new
        replicas[old] -= 1
        replicas[new] += 1
        inTopic[rows[row].topic][old] -= 1
        inTopic[rows[row].topic][new] += 1
        rowsOn[new].append(row)
        if at == 0 {
            leaders[old] -= 1
            leaders[new] += 1
        }
    }

    private mutating func note(_ row: Int) {
        guard !rows[row].isChanged else { return }
        rows[row].isChanged = true
        changed.append(row)
    }

    private mutating func lead(_ row: Int, by member: Int) {
        guard let at = rows[row].members.firstIndex(of: member), at > 0 else { return }
        note(row)
        leaders[rows[row].members[0]] -= 1
        leaders[member] += 1
        rows[row].members.swapAt(0, at)
    }

    private mutating func leadByLeastLoaded(_ row: Int) {
        let able = rows[row].members.filter { !leaves[$0] }
        if let least = able.min(by: { (leaders[$0], replicas[$0]) < (leaders[$1], replicas[$1]) }) {
            if leaders[least] + 1 < leaders[rows[row].members[0]] { lead(row, by: least) }
        }
    }

    // MARK: - Leaders

    /// Takes one leadership from a node with more to one with at least two fewer, along a path of partitions that hand
    /// theirs on, until there is no such path. When nodes are only emptied, what stays where it is keeps its order.
    private mutating func evenLeaders() {
        let mayLead = goal.isEven ? rows.indices.filter { rows[$0].isMovable } : changed
        var handing = HandingOver(nodes: leaders.count)
        for row in mayLead { handing.note(row, rows[row].members) }
        while !(goal.isEven && hasEnough),
            let path = handing.path(
                leaders, able: leaves.map { !$0 },
                in: { row in
                    rows[row].members
                })
        {
            for (row, member) in path {
                lead(row, by: member)
                handing.note(row, rows[row].members)
            }
        }
    }

    /// Mixes who keeps partitions together, so that what one node kept falls on all others.
    private static func mixed(_ row: Int, _ node: Int) -> UInt64 {
        var mixed = UInt64(row) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(node) &* 0xD1B5_4A32_D192_ED03
        // SplitMix64's finaliser.
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
