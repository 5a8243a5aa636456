// SPDX-License-Identifier: Apache-2.0

/// How a run goes for groups: members come, meet misfortune, and in calm must read and commit everything.
extension GroupWorld {
    func begin() {
        for member in members {
            cluster.schedule(after: cluster.electionTimeout + cluster.random.span(mean: cluster.electionTimeout)) {
                member.start()
            }
        }
        for admin in admins { admin.schedule() }
        scheduleVigil()
        scheduleMisfortune()
    }

    private func scheduleMisfortune() {
        guard climate.faultInterval > 0 else { return }
        cluster.schedule(after: 1 + cluster.random.span(mean: climate.faultInterval)) {
            guard !self.cluster.isCalm else { return }
            self.strike(self.cluster.random.pick(self.members))
            self.scheduleMisfortune()
        }
    }

    private func strike(_ member: GroupMember) {
        let session = climate.patience.session
        let rest = cluster.random.span(mean: session)
        switch cluster.random.below(10) {
        case 0...2:
            member.crash()
            cluster.schedule(after: rest) { member.start() }
        case 3, 4:
            member.stop()
            cluster.schedule(after: 100_000_000 + rest) { member.start() }
        case 5...7: member.pause(for: session / 2 + cluster.random.span(mean: session))
        default:
            // The whole group goes home, so that administrators find it empty.
            for other in members where other.group == member.group {
                other.stop()
                cluster.schedule(after: 2 * session + rest) { other.start() }
            }
        }
    }

    // MARK: - Calm

    /// How long a coordinator may take to read its log once it leads and nothing stands in its way.
    var loadingBound: UInt64 { 6 * cluster.electionTimeout + 500_000_000 + cluster.backlogTime }

    /// V6: each group reads and commits all there is within a bounded time of the faults' end, and says so when asked.
    func drain() -> Bool {
        for member in members { member.start() }
        let patience = climate.patience.session * 3 + climate.patience.rebalance * 3
        let bound = cluster.now + patience + 20 * cluster.electionTimeout + 3_000_000_000 + cluster.backlogTime
        while !climate.groups.indices.allSatisfy({ self.hasDrained($0) }) {
            guard cluster.now < bound else {
                for group in climate.groups.indices where !hasDrained(group) {
                    cluster.broke(
                        Violation(.drained, "g\(group) has not read all that there is:\(state(of: group))"))
                }
                return false
            }
            guard cluster.run(until: cluster.now + 20_000_000, orUntil: { false }) else { return false }
        }
        return askForOffsets(until: bound)
    }

    private var ends: [Int64] { (0..<cluster.partitionCount).map { cluster.committedOffset(of: $0) } }

    private func hasDrained(_ group: Int) -> Bool {
        let ends = ends.prefix(expectedPartitions(of: group))
        let members = members.filter { $0.group == group && $0.isUp }
        let owned = Set(members.flatMap(\.owned))
        return owned.count == ends.count && members.allSatisfy { $0.hasDrained(Array(ends)) }
    }

    private func state(of group: Int) -> String {
        var lines = ""
        for member in members where member.group == group {
            let places = member.owned.map { number in
                let position = member.positions[number]
                return "\(number) at \(position?.next ?? -1), committed \(position?.committed ?? -1)"
            }
            let whether = member.isUp ? "" : ", which is down"
            lines += "\n    \(member.client.name) in \(member.epoch)\(whether): \(places)"
        }
        return lines + "\n    the logs end at \(ends)"
    }

    /// What any client is told in the end is what the members have committed.
    private func askForOffsets(until bound: UInt64) -> Bool {
        var told: [Int: [Int32: Int64]] = [:]
        for (group, admin) in admins.enumerated() { ask(admin) { told[group] = $0 } }
        guard cluster.run(until: bound + 1_000_000_000, orUntil: { told.count == admins.count }) else { return false }
        for group in admins.indices {
            guard let offsets = told[group] else {
                cluster.broke(Violation(.drained, "nobody tells the offsets of g\(group)"))
                return false
            }
            for (number, end) in ends.prefix(expectedPartitions(of: group)).enumerated()
            where max(0, offsets[Int32(number)] ?? -1) != end {
                cluster.broke(
                    Violation(.groupOffsets, "g\(group) committed \(end) of partition \(number), told \(offsets)"))
                return false
            }
        }
        return true
    }

    private func ask(_ admin: GroupAdmin, then: @escaping ([Int32: Int64]) -> Void) {
        var isDone = false
        admin.look { offsets in
            guard !isDone else { return }
            isDone = true
            if let offsets {
                then(offsets)
            } else {
                self.cluster.schedule(after: 20_000_000) { self.ask(admin, then: then) }
            }
        }
    }
}
