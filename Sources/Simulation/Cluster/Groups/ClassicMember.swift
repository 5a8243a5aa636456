// SPDX-License-Identifier: Apache-2.0

import GroupCore
import KafkaWire
import NIOCore

/// A member that speaks the classic protocol, as a Java consumer with the range assignor does: on every rebalance it
/// gives up all of its partitions, joins, and is told its new ones by whichever member leads the group.
final class ClassicMember: GroupMember {
    private enum Phase { case outside, joining, stable }

    private var phase = Phase.outside
    private var id = ""
    private var generation: Int32 = -1
    /// Counts the times it began to join; what an earlier time brings is too late.
    private var round = 0
    private var knownPartitions = 0
    private var isLeading = false

    override var epoch: Int32 { generation }
    override var memberID: String { id }

    override func begin() {
        id = ""
        generation = -1
        join()
        scheduleHeartbeat()
    }

    // MARK: - Joining

    private func join() {
        phase = .joining
        round += 1
        forgetPositions()
        let round = round
        var request = JoinGroupRequest()
        request.groupID = world.name(of: group)
        request.sessionTimeout = Int32(climate.sessionTimeout)
        request.rebalanceTimeout = Int32(climate.rebalanceTimeout)
        request.memberID = id
        request.groupInstanceID = instance
        request.protocolType = "consumer"
        request.protocols = [Self.rangeProtocol()]
        ask(.joinGroup(request), version: 9) { [self] reply in
            guard round == self.round else { return }
            guard case .joinGroup(let response)? = reply else { return joinLater() }
            joined(response)
        }
    }

    private func joinLater() {
        let round = round
        after(backoff) { if round == self.round { self.join() } }
    }

    private func joined(_ response: JoinGroupResponse) {
        switch response.error {
        case .none:
            id = response.memberID
            generation = response.generationID
            // A sync that is sent again changes nothing: the coordinator may have taken the first one.
            knownPartitions = world.visiblePartitions
            sync(response)
        case .memberIDRequired:
            id = response.memberID
            join()
        default: refused(response.error)
        }
    }

    private func sync(_ joined: JoinGroupResponse) {
        isLeading = joined.leader == id
        let round = round
        var request = SyncGroupRequest()
        request.groupID = world.name(of: group)
        request.generationID = generation
        request.memberID = id
        request.groupInstanceID = instance
        request.protocolType = "consumer"
        request.protocolName = joined.protocolName
        if isLeading, joined.skipsAssignment {
            world.noteReturn(of: group, in: generation)
        } else if isLeading {
            request.assignments = Self.range(joined.members, knownPartitions)
            world.noteDivision(of: group, in: generation, over: knownPartitions)
        }
        ask(.syncGroup(request), version: 5) { [self] reply in
            guard round == self.round else { return }
            guard case .syncGroup(let response)? = reply else {
                return after(backoff) { self.syncAgain(joined, round) }
            }
            guard response.error == .none else { return refused(response.error) }
            phase = .stable
            own(Self.partitions(of: response.assignment))
        }
    }

    private func syncAgain(_ joined: JoinGroupResponse, _ round: Int) {
        if round == self.round { sync(joined) }
    }

    // MARK: - Staying

    private func scheduleHeartbeat() {
        after(UInt64(climate.heartbeatInterval) * 1_000_000) {
            self.heartbeat()
            self.scheduleHeartbeat()
        }
    }

    private func heartbeat() {
        guard phase == .stable else { return }
        // Whoever leads watches the topic.
        if isLeading, knownPartitions != world.visiblePartitions { return giveUp() }
        var request = HeartbeatRequest()
        request.groupID = world.name(of: group)
        request.generationID = generation
        request.memberID = id
        request.groupInstanceID = instance
        let round = round
        ask(.heartbeat(request), version: 4) { [self] reply in
            guard round == self.round, phase == .stable, case .heartbeat(let response)? = reply else { return }
            if response.error == .rebalanceInProgress { return giveUp() }
            if response.error != .none { refused(response.error) }
        }
    }

    /// Commits what it has, then joins again.
    private func giveUp() {
        let round = round
        commit { [self] in
            if round == self.round { join() }
        }
    }

    override func refused(_ error: ErrorCode) {
        switch error {
        case .unknownMemberID:
            id = ""
            generation = -1
        // Its session ended, and an administrator deleted the group that was left empty.
        case .groupIDNotFound where world.deletedGroups.contains(group):
            id = ""
            generation = -1
        case .illegalGeneration: generation = -1
        case .rebalanceInProgress: break
        case .fencedInstanceID:
            // Another process goes by its name.
            return crash()
        default: return surprised(by: error, to: "\(phase) in \(generation)")
        }
        phase = .joining
        round += 1
        forgetPositions()
        joinLater()
    }

    override func leave() {
        guard generation >= 0 else { return }
        var request = LeaveGroupRequest()
        request.groupID = world.name(of: group)
        var member = LeaveGroupRequest.Member()
        member.memberID = id
        member.groupInstanceID = instance
        request.members = [member]
        ask(.leaveGroup(request), version: 5) { _ in self.crash() }
    }

    // MARK: - The embedded protocol

    private static func rangeProtocol() -> JoinGroupRequest.JoinProtocol {
        var subscription = ConsumerProtocolSubscription()
        subscription.topics = [GroupWorld.topicName]
        var range = JoinGroupRequest.JoinProtocol()
        range.name = "range"
        range.metadata = (try? subscription.encode(version: 1)) ?? ByteBuffer()
        return range
    }

    /// The range assignor: members in the order of their names, each with a row of partitions.
    private static func range(
        _ members: [JoinGroupResponse.Member], _ partitions: Int
    ) -> [SyncGroupRequest.Assignment] {
        let ordered = members.sorted { ($0.groupInstanceID ?? $0.memberID) < ($1.groupInstanceID ?? $1.memberID) }
        guard !ordered.isEmpty else { return [] }
        var next = 0
        return ordered.enumerated().map { place, member in
            let share = partitions / ordered.count + (place < partitions % ordered.count ? 1 : 0)
            var topic = ConsumerProtocolTopicPartitions()
            topic.topic = GroupWorld.topicName
            topic.partitions = (next..<next + share).map(Int32.init)
            next += share
            var content = ConsumerProtocolAssignment()
            content.assignedPartitions = share > 0 ? [topic] : []
            var assignment = SyncGroupRequest.Assignment()
            assignment.memberID = member.memberID
            assignment.assignment = (try? content.encode(version: 1)) ?? ByteBuffer()
            return assignment
        }
    }

    static func partitions(of assignment: ByteBuffer) -> [Int32] {
        guard let content = try? ConsumerProtocolAssignment.decode(assignment) else { return [] }
        return content.data.assignedPartitions.flatMap(\.partitions)
    }
}
