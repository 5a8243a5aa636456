// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore

/// What the group tells of itself.
extension ClassicGroup {
    func describe() -> DescribeGroupsResponse.Group {
        var description = DescribeGroupsResponse.Group()
        description.groupID = id
        description.groupState = state.name
        description.protocolType = protocolType ?? ""
        // Between generations members and their subscriptions do not belong together.
        let isStable = state == .stable
        if isStable { description.protocolData = protocolName ?? "" }
        description.members = rankedMembers.map { member in
            var item = DescribeGroupsResponse.Member()
            item.memberID = member.id
            item.groupInstanceID = member.groupInstanceID
            item.clientID = member.clientID
            item.clientHost = member.clientHost
            if isStable {
                item.memberMetadata = member.metadata(for: protocolName) ?? ByteBuffer()
                item.memberAssignment = member.assignment
            }
            return item
        }
        return description
    }

    /// Who or what the group waits for, since when, and what happens when its patience ends.
    func explain(at now: Moment) -> GroupExplanation {
        var explanation = GroupExplanation()
        explanation.groupID = id
        explanation.state = state.name
        explanation.protocolType = protocolType ?? ""
        switch phase {
        case .initialDelay?:
            var wait = wait(since: phaseSince, due: phaseDue, now)
            wait.reason = "the group was empty, and more members are given time to join"
            wait.next =
                members.count == 1
                ? "the rebalance goes on with the one member that has joined"
                : "the rebalance goes on with the \(members.count) members that have joined"
            explanation.waits = [wait]
        case .joining?: explanation.waits = rankedMembers.filter { $0.awaitingJoin == nil }.map { absent($0, now) }
        case .syncing?:
            explanation.waits = rankedMembers.filter { pendingSync.contains($0.id) }.map { unsynced($0, now) }
        case nil: break
        }
        if state == .preparingRebalance { explanation.waits += pendingMembers.keys.sorted().map { pending($0, now) } }
        return explanation
    }

    private func absent(_ member: ClassicMember, _ now: Moment) -> GroupWait {
        var wait = wait(for: member, since: phaseSince, due: phaseDue, now)
        wait.reason = "it has not joined again since the rebalance began" + lastHeard(member, now)
        if member.groupInstanceID == nil {
            wait.next = "it is removed from the group, and the rebalance goes on without it"
        } else {
            wait.next = "the rebalance goes on without it; as a static member it keeps its place until its session ends"
        }
        return wait
    }

    private func unsynced(_ member: ClassicMember, _ now: Moment) -> GroupWait {
        var wait = wait(for: member, since: phaseSince, due: phaseDue, now)
        if member.id == leader && state == .completingRebalance {
            wait.reason = "it leads the group and has not handed in the assignment; the others wait for it"
        } else {
            wait.reason = "it has not asked for its assignment"
        }
        wait.reason += lastHeard(member, now)
        wait.next = "it is removed from the group, and the group rebalances"
        return wait
    }

    private func pending(_ id: String, _ now: Moment) -> GroupWait {
        var wait = wait(since: pendingMembers[id] ?? now, due: sessions[id], now)
        wait.memberID = id
        wait.reason = "it was given its member id and has not joined with it"
        wait.next = "its id is forgotten, and the rebalance waits for it no longer"
        return wait
    }

    private func lastHeard(_ member: ClassicMember, _ now: Moment) -> String {
        guard !member.isNew, let due = sessions[member.id] else { return "" }
        let left = Int64(due.nanoseconds(since: now) / 1_000_000)
        return "; last heard of \(max(0, Int64(member.sessionTimeout) - left)) ms ago"
    }

    private func wait(for member: ClassicMember, since: Moment, due: Moment?, _ now: Moment) -> GroupWait {
        // Whose session ends first does not see the end of the rebalance.
        let session = sessions[member.id]
        var wait = wait(since: since, due: [due, session].compactMap(\.self).min(), now)
        wait.memberID = member.id
        wait.clientID = member.clientID
        wait.clientHost = member.clientHost
        return wait
    }

    private func wait(since: Moment, due: Moment?, _ now: Moment) -> GroupWait {
        var wait = GroupWait()
        wait.sinceMilliseconds = now.milliseconds(since: since)
        wait.dueMilliseconds = due.map { $0.milliseconds(since: now) } ?? -1
        return wait
    }
}
