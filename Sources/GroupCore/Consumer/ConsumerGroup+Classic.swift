// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings

/// Members that speak the classic protocol in a group of the consumer protocol (KIP-848, online migration).
///
/// A JoinGroup is to them what a full heartbeat is to the others, and a SyncGroup fetches the assignment. The
/// coordinator is everybody's leader: nobody is told to lead.
extension ConsumerGroup {
    private static let joinsTwiceSince: Int16 = 4

    // MARK: JoinGroup

    /// - Returns: the reply, and whether a static member took the place of one that spoke the consumer protocol.
    mutating func join(
        _ request: JoinGroupRequest, _ call: GroupCall, _ topics: TopicsImage, _ event: GroupEvent,
        _ random: inout GroupRandom, into effects: inout GroupEffects
    ) throws(GroupRefusal) -> JoinGroupResponse {
        let isAnonymous = request.memberID.isEmpty
        let memberID = isAnonymous ? random.memberID(after: request.groupInstanceID ?? call.clientID) : request.memberID
        guard supports(request) else {
            throw GroupRefusal(.inconsistentGroupProtocol, "Member \(memberID)'s protocols are not supported.")
        }
        guard let first = request.protocols.first,
            let subscription = try? ConsumerProtocolSubscription.decode(first.metadata).data
        else { throw GroupRefusal(.inconsistentGroupProtocol, "Malformed embedded consumer protocol.") }
        if isAnonymous && request.groupInstanceID == nil && call.version >= Self.joinsTwiceSince {
            var response = JoinGroupResponse(error: .memberIDRequired, memberID: memberID)
            if members.count >= event.settings.consumer.sizeMax {
                response = JoinGroupResponse(error: .groupMaxSizeReached, memberID: "")
            }
            return response
        }
        let known = try admitClassic(memberID, isAnonymous: isAnonymous, request.groupInstanceID)
        let before = known.map { $0.id == memberID ? $0 : $0.successor(memberID, event.now) }
        var member = before ?? ConsumerMember(id: memberID, since: event.now)
        member.update(from: request, subscription, call)
        try checkRoom(for: member, insteadOf: known, event)
        if let known, let before, known.id != memberID { replace(known, with: before, into: &effects) }
        update(
            member, from: before ?? ConsumerMember(id: memberID, since: event.now), isNew: known == nil,
            expression: nil, matched: nil, topics, event, into: &effects)
        let owned = PartitionSet(
            subscription.ownedPartitions.compactMap { item in
                topics.topic(named: item.topic)
                    .map { AssignedTopicPartitions(topicID: $0.id, partitions: item.partitions) }
            })
        let after = try reconcile(memberID, topics, owned: owned, event, into: &effects)
        timers.remove(Timer(member: memberID, kind: .join))
        timers.set(
            Timer(member: memberID, kind: .session), to: event.now.advanced(byMilliseconds: request.sessionTimeout))
        timers.set(
            Timer(member: memberID, kind: .sync),
            to: event.now.advanced(byMilliseconds: max(0, member.metadata.rebalanceTimeout)))

        var response = JoinGroupResponse(error: .none, memberID: memberID)
        response.generationID = after.epoch
        response.protocolType = ClassicGroup.consumerProtocolType
        response.protocolName = first.name
        return response
    }

    /// Whether one of the protocols is known to all members that speak the classic one.
    private func supports(_ request: JoinGroupRequest) -> Bool {
        guard request.protocolType == ClassicGroup.consumerProtocolType else { return false }
        return request.protocols.contains { protocolVotes[$0.name, default: 0] == classicCount }
    }

    private func admitClassic(
        _ memberID: String, isAnonymous: Bool, _ instance: String?
    ) throws(GroupRefusal) -> ConsumerMember? {
        guard let instance else { return members[memberID] }
        guard let current = staticMembers[instance].flatMap({ members[$0] }) else {
            guard isAnonymous else {
                throw GroupRefusal(.unknownMemberID, "Instance id \(instance) is unknown.")
            }
            return nil
        }
        guard isAnonymous || current.id == memberID else {
            throw GroupRefusal(.fencedInstanceID, "Instance id \(instance) belongs to member \(current.id).")
        }
        return current
    }

    // MARK: SyncGroup

    mutating func sync(
        _ request: SyncGroupRequest, _ topics: TopicsImage, _ event: GroupEvent
    ) throws(GroupRefusal) -> SyncGroupResponse {
        let (member, classic) = try classicMember(request.memberID, request.groupInstanceID)
        guard request.generationID == member.epoch else {
            throw GroupRefusal(.illegalGeneration, "The member is in epoch \(member.epoch).")
        }
        let name = classic.protocols.first?.name
        guard request.protocolType == nil || request.protocolType == ClassicGroup.consumerProtocolType,
            request.protocolName == nil || request.protocolName == name
        else { throw GroupRefusal(.inconsistentGroupProtocol, "The member joined with another protocol.") }
        // Who has to give something back does so first.
        if groupEpoch > member.epoch && member.state != .unrevokedPartitions {
            setJoinTimer(member, event)
            throw GroupRefusal(.rebalanceInProgress, "The group is in epoch \(groupEpoch).")
        }
        timers.remove(Timer(member: member.id, kind: .sync))
        timers.set(
            Timer(member: member.id, kind: .session), to: event.now.advanced(byMilliseconds: classic.sessionTimeout))
        var response = SyncGroupResponse(error: .none)
        response.protocolType = request.protocolType
        response.protocolName = request.protocolName
        response.assignment = Self.classicAssignment(of: member, topics)
        return response
    }

    /// What a member may have, as the consumers' own protocol says it, in the version that the member speaks.
    static func classicAssignment(of member: ConsumerMember, _ topics: TopicsImage) -> ByteBuffer {
        var assignment = ConsumerProtocolAssignment()
        assignment.assignedPartitions = member.assigned.topics.compactMap { item in
            guard let topic = topics.topic(id: item.topicID) else { return nil }
            var partitions = ConsumerProtocolTopicPartitions()
            partitions.topic = topic.name
            partitions.partitions = item.partitions
            return partitions
        }
        let metadata = member.metadata.classicMember?.protocols.first?.metadata
        let version = metadata.flatMap { try? ConsumerProtocolSubscription.decode($0).version } ?? 0
        let known = ConsumerProtocolAssignment.versions
        do {
            return try assignment.encode(version: min(max(version, known.lowerBound), known.upperBound))
        } catch {
            preconditionFailure("names of topics and numbers of partitions can be written")
        }
    }

    // MARK: Heartbeat

    mutating func heartbeat(_ request: HeartbeatRequest, _ event: GroupEvent) throws(GroupRefusal) {
        let (member, classic) = try classicMember(request.memberID, request.groupInstanceID)
        guard request.generationID == member.epoch else {
            throw GroupRefusal(.illegalGeneration, "The member is in epoch \(member.epoch).")
        }
        timers.set(
            Timer(member: member.id, kind: .session), to: event.now.advanced(byMilliseconds: classic.sessionTimeout))
        let mustJoin =
            member.epoch < groupEpoch || member.state == .unrevokedPartitions
            || member.state == .unreleasedPartitions && blockers(of: member).isEmpty
        guard mustJoin else { return }
        setJoinTimer(member, event)
        throw GroupRefusal(.rebalanceInProgress, "The member has to join again.")
    }

    /// Partitions that a member is to get and that others still have.
    func blockers(of member: ConsumerMember) -> [PartitionID] {
        (targets[member.id] ?? PartitionSet()).subtracting(member.assigned).partitions
            .filter { holders[$0].map { $0 != member.id } ?? false }
    }

    private mutating func setJoinTimer(_ member: ConsumerMember, _ event: GroupEvent) {
        let timer = Timer(member: member.id, kind: .join)
        guard timers[timer] == nil else { return }
        timers.set(timer, to: event.now.advanced(byMilliseconds: max(0, member.metadata.rebalanceTimeout)))
    }

    private func classicMember(
        _ memberID: String, _ instance: String?
    ) throws(GroupRefusal) -> (ConsumerMember, ConsumerGroupMemberMetadataValue.ClassicMember) {
        if let instance {
            guard let current = staticMembers[instance] else {
                throw GroupRefusal(.unknownMemberID, "Instance id \(instance) is unknown.")
            }
            guard current == memberID else {
                throw GroupRefusal(.fencedInstanceID, "Instance id \(instance) belongs to member \(current).")
            }
        }
        guard let member = members[memberID], let classic = member.metadata.classicMember else {
            throw GroupRefusal(.unknownMemberID, "Member \(memberID) does not use the classic protocol.")
        }
        return (member, classic)
    }

    // MARK: LeaveGroup

    mutating func leave(
        _ request: LeaveGroupRequest, _ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects
    ) -> LeaveGroupResponse {
        var response = LeaveGroupResponse()
        var leaving: [String] = []
        for leaver in request.members {
            var answer = LeaveGroupResponse.Member()
            answer.memberID = leaver.memberID
            answer.groupInstanceID = leaver.groupInstanceID
            var memberID = leaver.memberID
            // An administrator names a static member by its instance id alone.
            if memberID.isEmpty, let named = leaver.groupInstanceID.flatMap({ staticMembers[$0] }) { memberID = named }
            do throws(GroupRefusal) {
                let (member, _) = try classicMember(memberID, leaver.groupInstanceID)
                answer.memberID = member.id
                if !leaving.contains(member.id) { leaving.append(member.id) }
            } catch {
                answer.error = error.error
            }
            response.members.append(answer)
        }
        if !leaving.isEmpty { remove(leaving, topics, event, into: &effects) }
        return response
    }
}

extension ConsumerMember {
    fileprivate mutating func update(
        from request: JoinGroupRequest, _ subscription: ConsumerProtocolSubscription, _ call: GroupCall
    ) {
        if let instance = request.groupInstanceID { metadata.instanceID = instance }
        if let rack = subscription.rackID, !rack.isEmpty { metadata.rackID = rack }
        metadata.rebalanceTimeout = request.patience(in: call.version)
        metadata.subscribedTopicNames = Set(subscription.topics).sorted()
        metadata.subscribedTopicRegex = nil
        metadata.serverAssignor = nil
        metadata.clientID = call.clientID
        metadata.clientHost = call.clientHost
        metadata.classicMember = .init(
            sessionTimeout: request.sessionTimeout,
            protocols: request.stored.map { .init(name: $0.name, metadata: $0.metadata) })
    }
}
