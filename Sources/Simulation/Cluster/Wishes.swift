// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Replication

/// Groups are to have other members, while everything else goes wrong as well.
extension Cluster {
    func scheduleWishes() {
        guard climate.wishInterval > 0 else { return }
        schedule(after: 1 + random.span(mean: climate.wishInterval)) {
            guard !self.isCalm else { return }
            self.wish(for: self.random.below(self.climate.partitions))
            self.scheduleWishes()
        }
    }

    /// Every node hears of it at a time of its own, as of what the metadata says.
    private func wish(for number: Int) {
        let count = min(nodes.count, max(climate.minimumInSync, random.pick([1, 2, 3, 3, 3, 4, 5])))
        var voters: [NodeID] = []
        while voters.count < count {
            let node = nodes[random.below(nodes.count)].id
            if !voters.contains(node) { voters.append(node) }
        }
        say("partition \(number) should be kept by \(voters)")
        statistics.wishes += 1
        wishes[number] = voters
        for place in nodes.indices {
            schedule(on: place, life: nodes[place].life, after: random.span(mean: 20_000_000)) {
                self.hearWish(for: number, at: place)
            }
        }
    }

    /// A node follows what is wished now: when it hears of it, and once its log is open, which may take longer.
    func hearWish(for number: Int, at place: Int) {
        guard let replica = nodes[place].shard?.replica(partition(number)),
            replica.assignment.replicas != wishes[number]
        else { return }
        var rules = replica.assignment
        rules.replicas = wishes[number]
        replica.adopt(rules)
    }

    /// Whether the group's leader says that the wished members are in force for certain.
    func hasWishedMembers(_ number: Int) -> Bool {
        guard climate.wishInterval > 0 else { return true }
        let wanted = wishes[number].sorted()
        return nodes.contains { node in
            guard let replica = node.shard?.replica(partition(number)), replica.isLeader else { return false }
            return replica.membersCommitted?.voters == wanted
        }
    }

    /// The nodes whose copies must be whole in the end.
    func keepers(of number: Int) -> [Int] {
        wishes[number].map { Int($0.rawValue) }.sorted()
    }
}
