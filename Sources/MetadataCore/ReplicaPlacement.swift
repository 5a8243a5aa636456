// SPDX-License-Identifier: Apache-2.0

import LogModel

/// Chooses nodes for the replicas of new partitions, evenly and over racks.
///
/// In order of weight: replicas of a partition lie in as many racks as there are; the replicas of a topic are spread
/// evenly over racks (by their size) and nodes; nodes that keep less in all come first. Then the leaders of a topic are
/// spread: since every partition of a topic has as many replicas, a choice with at most one leader more on one node
/// than on another exists whenever the replicas are spread so, and moving leaders along augmenting paths finds it.
struct ReplicaPlacement {
    /// What one node already keeps.
    struct Load {
        let node: NodeID
        let rack: String?
        /// Replicas and preferred leaders in the whole cluster.
        var replicas = 0
        var leaders = 0
        /// A node that is down gets replicas only where there are too few others, and never leads.
        var isUsable = true
    }

    private(set) var loads: [Load]
    private let rackOf: [Int]
    private let rackSizes: [Int]
    private let seed: UInt64

    /// - Parameter loads: the nodes to choose from, ascending in id.
    init(loads: [Load], seed: UInt64) {
        var racks: [String?] = []
        var rackOf: [Int] = []
        for load in loads {
            if let known = racks.firstIndex(of: load.rack) {
                rackOf.append(known)
            } else {
                rackOf.append(racks.count)
                racks.append(load.rack)
            }
        }
        self.loads = loads
        self.rackOf = rackOf
        self.rackSizes = racks.indices.map { rack in
            max(1, loads.indices.count { rackOf[$0] == rack && loads[$0].isUsable })
        }
        self.seed = seed
    }

    /// Places `count` partitions that follow `existing` ones of the same topic, and counts them as load.
    ///
    /// - Precondition: `1 ... loads.count` contains `replicationFactor`.
    /// - Complexity: O(*count* · *replicationFactor* · *nodes*), when leaders come out even at once.
    mutating func place(_ count: Int, replicationFactor: Int, after existing: [PartitionPlacement])
        -> [PartitionPlacement]
    {
        precondition((1...max(loads.count, 1)).contains(replicationFactor) && !loads.isEmpty, "there are enough nodes")
        var inTopic = [Int](repeating: 0, count: loads.count)
        var led = [Int](repeating: 0, count: loads.count)
        var inRack = [Int](repeating: 0, count: rackSizes.count)
        for placement in existing {
            for (rank, replica) in placement.wanted.enumerated() {
                let at = loads.firstPosition { $0.node >= replica }
                guard at < loads.count, loads[at].node == replica else { continue }
                inTopic[at] += 1
                inRack[rackOf[at]] += 1
                if rank == 0 { led[at] += 1 }
            }
        }
        var chosen: [[Int]] = []
        chosen.reserveCapacity(count)
        for partition in existing.count..<(existing.count + count) {
            var members = choose(replicationFactor, partition: partition, inTopic: &inTopic, inRack: &inRack)
            let leader = members.indices.min { left, right in
                let (left, right) = (members[left], members[right])
                if loads[left].isUsable != loads[right].isUsable { return loads[left].isUsable }
                return (led[left], loads[left].leaders) < (led[right], loads[right].leaders)
            }
            members.swapAt(0, leader ?? 0)
            led[members[0]] += 1
            loads[members[0]].leaders += 1
            chosen.append(members)
        }
        levelLeaders(of: &chosen, led: &led)
        return chosen.map { members in PartitionPlacement(replicas: members.map { loads[$0].node }) }
    }

    private mutating func choose(
        _ count: Int, partition: Int, inTopic: inout [Int], inRack: inout [Int]
    ) -> [Int] {
        var members: [Int] = []
        var inSet = [Int](repeating: 0, count: rackSizes.count)
        for _ in 0..<count {
            var best: Int?
            for candidate in loads.indices where !members.contains(candidate) {
                guard let other = best else {
                    best = candidate
                    continue
                }
                if isBetter(candidate, than: other, partition, inTopic, inRack, inSet) { best = candidate }
            }
            guard let best else { break }
            members.append(best)
            inSet[rackOf[best]] += 1
            inTopic[best] += 1
            inRack[rackOf[best]] += 1
            loads[best].replicas += 1
        }
        return members
    }

    private func isBetter(
        _ left: Int, than right: Int, _ partition: Int, _ inTopic: [Int], _ inRack: [Int], _ inSet: [Int]
    ) -> Bool {
        if loads[left].isUsable != loads[right].isUsable { return loads[left].isUsable }
        let (leftRack, rightRack) = (rackOf[left], rackOf[right])
        if inSet[leftRack] != inSet[rightRack] { return inSet[leftRack] < inSet[rightRack] }
        // Replicas a node in either rack, as fractions.
        let leftFill = inRack[leftRack] * rackSizes[rightRack]
        let rightFill = inRack[rightRack] * rackSizes[leftRack]
        if leftFill != rightFill { return leftFill < rightFill }
        if inTopic[left] != inTopic[right] { return inTopic[left] < inTopic[right] }
        if loads[left].replicas != loads[right].replicas { return loads[left].replicas < loads[right].replicas }
        return rank(left, partition) < rank(right, partition)
    }

    /// Mixes who keeps partitions together, so that the load of a dead node falls on all others.
    private func rank(_ candidate: Int, _ partition: Int) -> UInt64 {
        var mixed = seed &+ UInt64(partition) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(candidate) &* 0xD1B5_4A32_D192_ED03
        // SplitMix64's finaliser.
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Moves leadership between replicas until no path of moves makes it more even.
    ///
    /// Each round lowers the topic's spread, or the cluster's without raising the topic's, so it ends.
    private mutating func levelLeaders(of chosen: inout [[Int]], led: inout [Int]) {
        var ledBy = [[Int]](repeating: [], count: loads.count)
        for (partition, members) in chosen.enumerated() { ledBy[members[0]].append(partition) }
        while let path = pathToEvener(chosen, led, ledBy) {
            for (partition, successor) in path {
                let leader = chosen[partition][0]
                guard let at = chosen[partition].firstIndex(of: successor) else { continue }
                chosen[partition].swapAt(0, at)
                ledBy[leader].removeAll { $0 == partition }
                ledBy[successor].append(partition)
                led[leader] -= 1
                led[successor] += 1
                loads[leader].leaders -= 1
                loads[successor].leaders += 1
            }
        }
    }

    /// Moves (partition, new leader) that take one leader from a node with more to one with fewer.
    private func pathToEvener(_ chosen: [[Int]], _ led: [Int], _ ledBy: [[Int]]) -> [(partition: Int, leader: Int)]? {
        let order = loads.indices.filter { loads[$0].isUsable }
            .sorted { (led[$0], loads[$0].leaders, $0) > (led[$1], loads[$1].leaders, $1) }
        for source in order where !ledBy[source].isEmpty {
            // Nobody further down the order has leaders to spare.
            guard let least = order.last, led[source] > led[least] else { return nil }
            var cameBy = [(partition: Int, from: Int)?](repeating: nil, count: loads.count)
            var queue = [source]
            var next = 0
            while next < queue.count {
                let node = queue[next]
                next += 1
                let more = led[source] - led[node]
                if more >= 2 || (more == 1 && loads[source].leaders - loads[node].leaders >= 2) {
                    return steps(to: node, from: source, cameBy)
                }
                for partition in ledBy[node] {
                    for member in chosen[partition].dropFirst()
                    where member != source && cameBy[member] == nil && loads[member].isUsable {
                        cameBy[member] = (partition, node)
                        queue.append(member)
                    }
                }
            }
        }
        return nil
    }

    private func steps(
        to target: Int, from source: Int, _ cameBy: [(partition: Int, from: Int)?]
    ) -> [(partition: Int, leader: Int)] {
        var steps: [(partition: Int, leader: Int)] = []
        var node = target
        while node != source, let step = cameBy[node] {
            steps.append((step.partition, node))
            node = step.from
        }
        return steps
    }
}
