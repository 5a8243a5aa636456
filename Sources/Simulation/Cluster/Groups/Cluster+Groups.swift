// SPDX-License-Identifier: Apache-2.0

import Broker
import GroupCore
import LogModel
import Replication

/// Coordinators on the nodes, and what happens to the members of groups.
extension Cluster {
    // MARK: - Nodes

    /// Gives a node that starts its coordinators.
    func startCoordinators(at place: Int) {
        guard let groups, let shard = nodes[place].shard else { return }
        nodes[place].groups = GroupCoordinators(on: shard, settings: groups.climate.settings)
        nodes[place].groups?.follow(topicsImage(partitions: groups.visiblePartitions))
    }

    private func topicsImage(partitions: Int) -> TopicsImage {
        TopicsImage([
            TopicsImage.Topic(
                id: topic, name: GroupWorld.topicName, partitionRacks: Array(repeating: [], count: partitions))
        ])
    }

    /// A node takes in who leads the partitions of `__consumer_offsets`, a moment after that has changed.
    func followCoordination(at place: Int) {
        guard let groups else { return }
        schedule(on: place, life: nodes[place].life, after: random.next() % 200_000) {
            self.nodes[place].groups?.follow(offsets: self.offsetsTopic, partitions: groups.climate.offsetsPartitions)
        }
    }

    /// The coordinators append what they have written before the logs are written out, as `Broker.endOfTurn` has it.
    func endTurn(of place: Int) {
        nodes[place].groups?.flush()
        nodes[place].shard?.endOfTurn()
    }

    func tick(_ place: Int) {
        nodes[place].shard?.tick()
        nodes[place].groups?.tick()
    }

    func nextTick(of place: Int, after now: Moment) -> Moment? {
        guard let shard = nodes[place].shard else { return nil }
        let next = shard.nextTick(after: now)
        return nodes[place].groups?.nextDeadline.map { min($0, next) } ?? next
    }

    // MARK: - Members

    func scheduleGroups() {
        guard let groups else { return }
        for member in groups.members {
            schedule(after: climate.electionTimeout + random.span(mean: climate.electionTimeout)) { member.start() }
        }
        for admin in groups.admins { admin.schedule() }
        groups.scheduleVigil()
        scheduleMisfortune(groups)
        guard groups.climate.expands else { return }
        schedule(after: climate.storm / 2) { self.expandTopic(groups) }
    }

    private func expandTopic(_ groups: GroupWorld) {
        groups.visiblePartitions = climate.partitions
        say("the topic has \(climate.partitions) partitions")
        for place in nodes.indices where nodes[place].isUp {
            schedule(on: place, life: nodes[place].life, after: random.span(mean: 30_000_000)) {
                self.nodes[place].groups?.follow(self.topicsImage(partitions: self.climate.partitions))
            }
        }
    }

    private func scheduleMisfortune(_ groups: GroupWorld) {
        guard groups.climate.faultInterval > 0 else { return }
        schedule(after: 1 + random.span(mean: groups.climate.faultInterval)) {
            guard !self.isCalm else { return }
            self.strike(self.random.pick(groups.members), groups)
            self.scheduleMisfortune(groups)
        }
    }

    private func strike(_ member: GroupMember, _ groups: GroupWorld) {
        let session = groups.climate.patience.session
        let rest = random.span(mean: session)
        switch random.below(10) {
        case 0...2:
            member.crash()
            schedule(after: rest) { member.start() }
        case 3, 4:
            member.stop()
            schedule(after: 100_000_000 + rest) { member.start() }
        case 5...7: member.pause(for: session / 2 + random.span(mean: session))
        default:
            // The whole group goes home, so that administrators find it empty.
            for other in groups.members where other.group == member.group {
                other.stop()
                schedule(after: 2 * session + rest) { other.start() }
            }
        }
    }

    // MARK: - Calm

    /// How long a coordinator may take to read its log once it leads and nothing stands in its way.
    var loadingBound: UInt64 { 6 * climate.electionTimeout + 500_000_000 + backlogTime }

    /// V6: each group reads and commits all there is within a bounded time of the faults' end, and says so when asked.
    func drainGroups() -> Bool {
        guard let groups else { return true }
        for member in groups.members { member.start() }
        let patience = groups.climate.patience.session * 3 + groups.climate.patience.rebalance * 3
        let bound = now + patience + 20 * climate.electionTimeout + 3_000_000_000 + backlogTime
        while !groups.climate.groups.indices.allSatisfy({ self.hasDrained($0, groups) }) {
            guard now < bound else {
                for group in groups.climate.groups.indices where !hasDrained(group, groups) {
                    broke(Violation(.drained, "g\(group) has not read all that there is:\(state(of: group, groups))"))
                }
                return false
            }
            guard run(until: now + 20_000_000) else { return false }
        }
        return askForOffsets(groups, until: bound)
    }

    private func hasDrained(_ group: Int, _ groups: GroupWorld) -> Bool {
        let ends = (0..<climate.partitions).map { consensus[$0].committedOffset.rawValue }
        let members = groups.members.filter { $0.group == group && $0.isUp }
        let owned = Set(members.flatMap(\.owned))
        return owned.count == climate.partitions && members.allSatisfy { $0.hasDrained(ends) }
    }

    private func state(of group: Int, _ groups: GroupWorld) -> String {
        var lines = ""
        for member in groups.members where member.group == group {
            let places = member.owned.map { number in
                let position = member.positions[number]
                return "\(number) at \(position?.next ?? -1), committed \(position?.committed ?? -1)"
            }
            let whether = member.isUp ? "" : ", which is down"
            lines += "\n    \(member.client.name) in \(member.epoch)\(whether): \(places)"
        }
        return lines + "\n    the logs end at \((0..<climate.partitions).map { consensus[$0].committedOffset })"
    }

    /// What any client is told in the end is what the members have committed.
    private func askForOffsets(_ groups: GroupWorld, until bound: UInt64) -> Bool {
        var told: [Int: [Int32: Int64]] = [:]
        for (group, admin) in groups.admins.enumerated() { ask(admin) { told[group] = $0 } }
        guard run(until: bound + 1_000_000_000, orUntil: { told.count == groups.admins.count }) else { return false }
        for group in groups.admins.indices {
            guard let offsets = told[group] else {
                broke(Violation(.drained, "nobody tells the offsets of g\(group)"))
                return false
            }
            for number in 0..<climate.partitions {
                let end = consensus[number].committedOffset.rawValue
                guard max(0, offsets[Int32(number)] ?? -1) != end else { continue }
                broke(Violation(.groupOffsets, "g\(group) committed \(end) of partition \(number), told \(offsets)"))
                return false
            }
        }
        return violation == nil
    }

    private func ask(_ admin: GroupAdmin, then: @escaping ([Int32: Int64]) -> Void) {
        var isDone = false
        admin.look { offsets in
            guard !isDone else { return }
            isDone = true
            if let offsets { then(offsets) } else { self.schedule(after: 20_000_000) { self.ask(admin, then: then) } }
        }
    }
}
