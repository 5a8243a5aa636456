// SPDX-License-Identifier: Apache-2.0

// `uniform`: as even as subscriptions allow, and moving as little as that allows (KIP-848).

/// Members that all subscribe to the same topics: their counts differ by at most one.
///
/// Who may keep the one more that some have is whoever has it already, so that only what must move moves: the
/// partitions of those who left, and those above a member's share.
struct EvenSharing {
    private let problem: AssignmentProblem

    init(_ problem: AssignmentProblem) { self.problem = problem }

    func solve() -> [PartitionSet] {
        let topics = problem.members[0].topics
        let total = topics.reduce(0) { $0 + problem.topics[$1].partitionCount }
        var (kept, taken) = problem.kept()
        let quotas = quotas(total, counts: kept.map { $0.reduce(0) { $0 + $1.count } })
        for place in kept.indices {
            var quota = quotas[place]
            for slot in topics.indices {
                while kept[place][slot].count > quota {
                    taken[topics[slot]][Int(kept[place][slot].removeLast())] = false
                }
                quota -= kept[place][slot].count
            }
        }
        fill(&kept, topics, taken, quotas)
        return zip(problem.members, kept).map { problem.partitionSet(of: $0, $1) }
    }

    private func quotas(_ total: Int, counts: [Int]) -> [Int] {
        let (share, extra) = total.quotientAndRemainder(dividingBy: counts.count)
        var quotas = Array(repeating: share, count: counts.count)
        var left = extra
        for place in counts.indices where counts[place] > share && left > 0 {
            quotas[place] += 1
            left -= 1
        }
        for place in counts.indices where quotas[place] == share && left > 0 {
            quotas[place] += 1
            left -= 1
        }
        return quotas
    }

    /// Hands what nobody has to those below their quota, both in order.
    private func fill(_ kept: inout [[[Int32]]], _ topics: [Int], _ taken: [[Bool]], _ quotas: [Int]) {
        var room = zip(quotas, kept).map { quota, kept in quota - kept.reduce(0) { $0 + $1.count } }
        var place = 0
        for slot in topics.indices {
            for partition in taken[topics[slot]].indices where !taken[topics[slot]][partition] {
                while room[place] == 0 { place += 1 }
                kept[place][slot].append(Int32(partition))
                room[place] -= 1
            }
        }
    }
}

/// Members with different subscriptions: no partition could go to another subscriber that has two fewer.
///
/// Topic by topic, the subscribers' counts are levelled as far as this topic's partitions go, like water poured onto
/// uneven ground, until nothing moves any more. Each move makes the sum of the squares of the counts smaller, so this
/// ends; a number of rounds bounds it besides.
struct BalancedSharing {
    private static let maximumRounds = 64

    private let problem: AssignmentProblem
    /// For each topic, its subscribers: their places, and the slot that the topic has with each.
    private var subscribers: [[(member: Int, slot: Int)]]
    private var counts: [Int]
    private var kept: [[[Int32]]]
    private var free: [[Int32]]

    init(_ problem: AssignmentProblem) {
        self.problem = problem
        subscribers = Array(repeating: [], count: problem.topics.count)
        for (place, member) in problem.members.enumerated() {
            for (slot, topic) in member.topics.enumerated() { subscribers[topic].append((place, slot)) }
        }
        let (kept, taken) = problem.kept()
        self.kept = kept
        counts = kept.map { $0.reduce(0) { $0 + $1.count } }
        free = taken.map { taken in taken.indices.filter { !taken[$0] }.map { Int32($0) } }
    }

    consuming func solve() -> [PartitionSet] {
        // Topics that few can have come first: the others are levelled around them.
        let order = problem.topics.indices
            .filter { !subscribers[$0].isEmpty }
            .sorted { (subscribers[$0].count, $0) < (subscribers[$1].count, $1) }
        for _ in 0..<Self.maximumRounds {
            var moved = false
            for topic in order where level(topic) { moved = true }
            if !moved { break }
        }
        return zip(problem.members, kept).map { problem.partitionSet(of: $0, $1) }
    }

    /// Levels one topic. Returns whether anything moved.
    private mutating func level(_ topic: Int) -> Bool {
        let wanted = wanted(topic)
        let before = free[topic].count
        var moved = before > 0
        for (place, (member, slot)) in subscribers[topic].enumerated() {
            while kept[member][slot].count > wanted[place], let last = kept[member][slot].popLast() {
                free[topic].append(last)
                counts[member] -= 1
                moved = true
            }
        }
        guard moved else { return false }
        free[topic].sort(by: >)
        for (place, (member, slot)) in subscribers[topic].enumerated() {
            while kept[member][slot].count < wanted[place], let next = free[topic].popLast() {
                kept[member][slot].append(next)
                counts[member] += 1
            }
        }
        return true
    }

    /// How many partitions of a topic each subscriber is to have.
    private func wanted(_ topic: Int) -> [Int] {
        let others = subscribers[topic].map { counts[$0.member] - kept[$0.member][$0.slot].count }
        let ground = others.sorted()
        var left = problem.topics[topic].partitionCount
        // The water's level, and how many stand in it.
        var level = ground[0]
        var wet = 1
        while wet < ground.count, (ground[wet] - level) * wet <= left {
            left -= (ground[wet] - level) * wet
            level = ground[wet]
            wet += 1
        }
        level += left / wet
        left %= wet
        var wanted = others.map { max(0, level - $0) }
        // What is left goes to those in the water that have it already, then to the others in their order.
        for keeps in [true, false] {
            for place in others.indices where left > 0 && others[place] <= level {
                let (member, slot) = subscribers[topic][place]
                let base = level - others[place]
                guard wanted[place] == base, (kept[member][slot].count > base) == keeps else { continue }
                wanted[place] += 1
                left -= 1
            }
        }
        return wanted
    }
}
