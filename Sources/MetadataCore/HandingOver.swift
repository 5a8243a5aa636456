// SPDX-License-Identifier: Apache-2.0

/// Which node could hand the leadership of which partition to which other one.
struct HandingOver {
    private let nodes: Int
    /// By leader and member: the partitions, some of which may be led by others by now.
    private var stacks: [[Int]]

    init(nodes: Int) {
        self.nodes = nodes
        stacks = Array(repeating: [], count: nodes * nodes)
    }

    mutating func note(_ row: Int, _ members: [Int]) {
        guard let leader = members.first else { return }
        for member in members.dropFirst() { stacks[leader * nodes + member].append(row) }
    }

    /// A partition that `leader` leads and `member` keeps.
    private mutating func partition(of leader: Int, with member: Int, _ members: (Int) -> [Int]) -> Int? {
        let at = leader * nodes + member
        while let row = stacks[at].last {
            let now = members(row)
            if now.first == leader, now.contains(member) { return row }
            stacks[at].removeLast()
        }
        return nil
    }

    /// Partitions and their next leaders, which take one from a node with most to one with at least two fewer.
    /// - Complexity: O(*n*³) in nodes at worst, when nothing is left to gain.
    mutating func path(
        _ leaders: [Int], able: [Bool], in members: (Int) -> [Int]
    ) -> [(row: Int, member: Int)]? {
        let order = leaders.indices.sorted { (leaders[$1], $0) < (leaders[$0], $1) }
        for source in order where leaders[source] >= 2 || !able[source] {
            var cameBy = [(row: Int, from: Int)?](repeating: nil, count: nodes)
            var queue = [source]
            var next = 0
            while next < queue.count {
                let node = queue[next]
                next += 1
                let isRelief = leaders[source] >= leaders[node] + 2 || (!able[source] && leaders[source] > 0)
                if node != source, isRelief { return steps(to: node, from: source, cameBy) }
                for member in leaders.indices where member != source && cameBy[member] == nil && able[member] {
                    guard let row = partition(of: node, with: member, members) else { continue }
                    cameBy[member] = (row, node)
                    queue.append(member)
                }
            }
        }
        return nil
    }

    private func steps(
        to target: Int, from source: Int, _ cameBy: [(row: Int, from: Int)?]
    ) -> [(row: Int, member: Int)] {
        var steps: [(row: Int, member: Int)] = []
        var node = target
        while node != source, let step = cameBy[node] {
            steps.append((step.row, node))
            node = step.from
        }
        return steps
    }
}
