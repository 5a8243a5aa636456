// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import RegularExpressions
import Settings

/// A heartbeat that has been looked at as far as one can without its group.
struct CheckedHeartbeat: Sendable {
    let request: ConsumerGroupHeartbeatRequest
    /// The expression that it subscribes to, if it names one.
    let expression: RegularExpression?
    let owned: PartitionSet?

    static let leaveEpoch: Int32 = -1

    /// - Throws: INVALID_REQUEST, UNSUPPORTED_ASSIGNOR or INVALID_REGULAR_EXPRESSION.
    init(
        _ request: ConsumerGroupHeartbeatRequest, version: Int16, settings: GroupSettings
    ) throws(GroupRefusal) {
        func refuse(_ reason: String) -> GroupRefusal { GroupRefusal(.invalidRequest, reason) }
        guard !request.groupID.isEmpty else { throw refuse("GroupId can't be empty.") }
        guard request.instanceID != "" else { throw refuse("InstanceId can't be empty.") }
        guard request.rackID != "" else { throw refuse("RackId can't be empty.") }
        // v0 lets the coordinator choose the id of who joins.
        guard !request.memberID.isEmpty || version == 0 && request.memberEpoch == 0 else {
            throw refuse("MemberId can't be empty.")
        }
        switch request.memberEpoch {
        case 0:
            guard request.rebalanceTimeout != -1 else {
                throw refuse("RebalanceTimeoutMs must be provided in first request.")
            }
            guard request.topicPartitions?.isEmpty ?? false else {
                throw refuse("TopicPartitions must be empty when (re-)joining.")
            }
            guard request.subscribedTopicNames != nil || request.subscribedTopicRegex != nil else {
                throw refuse(
                    "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
            }
        case ConsumerMember.absentEpoch:
            guard request.instanceID != nil else { throw refuse("InstanceId can't be null.") }
        case Self.leaveEpoch, 1...: break
        default: throw refuse("MemberEpoch is invalid.")
        }
        guard request.rebalanceTimeout >= -1 else { throw refuse("RebalanceTimeoutMs is invalid.") }
        let offered = settings.consumer.assignors.map(\.rawValue)
        if let assignor = request.serverAssignor, !offered.contains(assignor) {
            throw GroupRefusal(
                .unsupportedAssignor,
                "ServerAssignor \(assignor) is not supported. Supported assignors: "
                    + offered.joined(separator: ", ") + ".")
        }
        self.request = request
        owned = request.topicPartitions.map { PartitionSet($0) }
        guard let pattern = request.subscribedTopicRegex, !pattern.isEmpty else {
            expression = nil
            return
        }
        do {
            expression = try RegularExpression(pattern)
        } catch {
            throw GroupRefusal(
                .invalidRegularExpression,
                "SubscribedTopicRegex `\(pattern.prefix(200))` is not a valid regular expression: \(error.reason).")
        }
    }

    var joins: Bool { request.memberEpoch == 0 }
    var leaves: Bool { request.memberEpoch < 0 }
}

/// ConsumerGroupHeartbeat (KIP-848; as in Kafka's GroupMetadataManager).
extension ConsumerGroup {
    /// - Parameter memberID: the request's, or one made for it.
    mutating func heartbeat(
        _ heartbeat: CheckedHeartbeat, memberID: String, _ call: GroupCall, _ topics: TopicsImage,
        _ event: GroupEvent, into effects: inout GroupEffects
    ) throws(GroupRefusal) -> ConsumerGroupHeartbeatResponse {
        let request = heartbeat.request
        let known = try admit(heartbeat, memberID)
        let before = try subscriber(heartbeat, memberID, known, event)
        var member = before
        member.update(from: request, call)
        try checkRoom(for: member, insteadOf: known, event)
        let matched = try resolve(heartbeat.expression, topics)
        // From here on nothing is refused.
        if let known, known.id != memberID { replace(known, with: before, into: &effects) }
        update(
            member, from: before, isNew: known == nil, expression: heartbeat.expression, matched: matched, topics,
            event, into: &effects)
        let after = try reconcile(memberID, topics, owned: heartbeat.owned, event, into: &effects)
        timers.set(
            Timer(member: memberID, kind: .session),
            to: event.now.advanced(byMilliseconds: event.settings.consumer.sessionTimeout))
        timers.remove(Timer(member: memberID, kind: .join))
        timers.remove(Timer(member: memberID, kind: .sync))

        var response = ConsumerGroupHeartbeatResponse()
        response.memberID = memberID
        response.memberEpoch = after.epoch
        response.heartbeatInterval = Int32(clamping: event.settings.consumer.heartbeatInterval)
        // Who says all of itself has joined or has missed something, as has who is in the epoch before.
        let isFull =
            request.memberEpoch != before.epoch || request.memberEpoch == 0
            || request.rebalanceTimeout != -1 && request.topicPartitions != nil
                && (request.subscribedTopicNames != nil || request.subscribedTopicRegex != nil)
        if isFull || after.assigned != before.assigned {
            var assignment = ConsumerGroupHeartbeatResponse.Assignment()
            assignment.topicPartitions = after.assigned.wire
            response.assignment = assignment
        }
        return response
    }

    // MARK: Who speaks

    /// The member that is meant, under whatever id; `nil` for a new one.
    private func admit(_ heartbeat: CheckedHeartbeat, _ memberID: String) throws(GroupRefusal) -> ConsumerMember? {
        let request = heartbeat.request
        guard let instance = request.instanceID else {
            let member = members[memberID]
            guard member != nil || heartbeat.joins else {
                throw GroupRefusal(.unknownMemberID, "Member \(memberID) is not a member of group \(id).")
            }
            return member
        }
        guard let current = staticMembers[instance].flatMap({ members[$0] }) else {
            guard heartbeat.joins else {
                throw GroupRefusal(.unknownMemberID, "Instance id \(instance) is unknown.")
            }
            return members[memberID]
        }
        guard current.id != memberID else { return current }
        guard heartbeat.joins else {
            throw GroupRefusal(
                .fencedInstanceID,
                "Static member \(memberID) with instance id \(instance) was fenced by member \(current.id).")
        }
        guard current.isAbsent || current.isClassic else {
            throw GroupRefusal(
                .unreleasedInstanceID,
                "Static member \(memberID) with instance id \(instance) cannot join the group because the instance id "
                    + "is owned by \(current.id) member.")
        }
        return current
    }

    /// The member as it is before this heartbeat, under the id that it now has.
    private func subscriber(
        _ heartbeat: CheckedHeartbeat, _ memberID: String, _ known: ConsumerMember?, _ event: GroupEvent
    ) throws(GroupRefusal) -> ConsumerMember {
        guard let known else { return ConsumerMember(id: memberID, since: event.now) }
        if known.id != memberID { return known.successor(memberID, event.now) }
        // Who joins says that it has nothing: it may have been fenced, or have missed the reply to its join.
        if !heartbeat.joins { try checkEpoch(of: known, heartbeat) }
        return known
    }

    private func checkEpoch(of member: ConsumerMember, _ heartbeat: CheckedHeartbeat) throws(GroupRefusal) {
        let received = heartbeat.request.memberEpoch
        if received == member.epoch { return }
        // The reply that would have told it of its epoch was lost.
        let mayHaveMissedOne =
            received < member.epoch && received == member.previousEpoch
            && heartbeat.owned?.isSubset(of: member.assigned) ?? false
        guard mayHaveMissedOne else {
            throw GroupRefusal(
                .fencedMemberEpoch,
                "The consumer group member has a \(received > member.epoch ? "greater" : "smaller") member epoch "
                    + "(\(received)) than the one known by the group coordinator (\(member.epoch)). "
                    + "The member must abandon all its partitions and rejoin.")
        }
    }

    func checkRoom(
        for member: ConsumerMember, insteadOf known: ConsumerMember?, _ event: GroupEvent
    ) throws(GroupRefusal) {
        let settings = event.settings
        guard known != nil || members.count < settings.consumer.sizeMax else {
            throw GroupRefusal(
                .groupMaxSizeReached,
                "The consumer group has reached its maximum capacity of \(settings.consumer.sizeMax) members.")
        }
        let grown = member.footprint - (known?.footprint ?? 0)
        guard grown <= 0 || footprint + grown <= Int(settings.metadataBytesMax.rawValue) else {
            throw GroupRefusal(
                .groupMaxSizeReached,
                "The subscriptions of the consumer group would hold more than \(settings.metadataBytesMax.rawValue) "
                    + "bytes.")
        }
    }

    /// What a new expression matches; `nil` when there is none, or it is known already.
    private func resolve(
        _ expression: RegularExpression?, _ topics: TopicsImage
    ) throws(GroupRefusal) -> [String]? {
        guard let expression, expressions[expression.pattern] == nil else { return nil }
        guard let matched = Self.matches(of: expression, in: topics.topics.lazy.map(\.name)) else {
            throw GroupRefusal(
                .invalidRegularExpression,
                "SubscribedTopicRegex `\(expression.pattern.prefix(200))` takes too long to match against all topics.")
        }
        return matched
    }

    // MARK: What changes

    /// Gives a static member's place to the process that now speaks for it.
    mutating func replace(_ old: ConsumerMember, with new: ConsumerMember, into effects: inout GroupEffects) {
        let target = targets[old.id] ?? PartitionSet()
        take(old.id)
        appendTombstones(ofMember: old.id, into: &effects)
        put(new)
        targets[new.id] = target
        effects.append(.consumerGroupMemberMetadata(group: id, member: new.id, new.metadata))
        effects.append(
            .consumerGroupTargetAssignmentMember(
                group: id, member: new.id, ConsumerGroupTargetAssignmentMemberValue(topicPartitions: target.topics)))
        effects.append(.consumerGroupCurrentMemberAssignment(group: id, member: new.id, new.assignmentValue))
    }

    /// Takes in what a member now says of itself; a change of what it subscribes to begins a new epoch.
    mutating func update(
        _ member: ConsumerMember, from before: ConsumerMember, isNew: Bool, expression: RegularExpression?,
        matched: [String]?, _ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        var bumps = groupEpoch == 0 || isNew
        if isNew || member.metadata != before.metadata {
            put(member, compiling: expression)
            effects.append(.consumerGroupMemberMetadata(group: id, member: member.id, member.metadata))
            bumps =
                bumps || member.metadata.subscribedTopicNames != before.metadata.subscribedTopicNames
                || member.expression != before.expression
        }
        if let pattern = member.expression, let matched, resolve(pattern, to: matched, event, into: &effects) {
            bumps = true
        }
        if bumps {
            dropUnusedExpressions(into: &effects)
            bumpEpoch(hash: computeMetadataHash(topics), event, into: &effects)
        }
    }

    /// Takes a member a step towards its target, which is computed first if the group has a new epoch.
    mutating func reconcile(
        _ memberID: String, _ topics: TopicsImage, owned: PartitionSet?, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) throws(GroupRefusal) -> ConsumerMember {
        if groupEpoch > assignmentEpoch { assign(topics, event, into: &effects) }
        guard let member = members[memberID] else {
            preconditionFailure("who is reconciled is a member")
        }
        let next = member.reconciled(
            to: targets[memberID] ?? PartitionSet(), epoch: assignmentEpoch, owned: owned
        ) { topic, partition in
            holders[PartitionID(topic: topic, index: partition)].map { $0 == memberID } ?? true
        }
        guard var next else {
            throw GroupRefusal(
                .fencedMemberEpoch,
                "The consumer group member is in a unknown state. "
                    + "The member must abandon all its partitions and rejoin."
            )
        }
        guard
            next.state != member.state || next.epoch != member.epoch || next.assigned != member.assigned
                || next.revoking != member.revoking
        else { return member }
        if next.state != member.state || next.epoch != member.epoch { next.stateSince = event.now }
        put(next)
        effects.append(.consumerGroupCurrentMemberAssignment(group: id, member: memberID, next.assignmentValue))
        let timer = Timer(member: memberID, kind: .rebalance)
        if next.state == .unrevokedPartitions && !next.isClassic {
            timers.set(timer, to: event.now.advanced(byMilliseconds: max(0, next.metadata.rebalanceTimeout)))
        } else {
            timers.remove(timer)
        }
        return next
    }

    // MARK: Leaving

    mutating func leave(
        _ heartbeat: CheckedHeartbeat, _ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects
    ) throws(GroupRefusal) -> ConsumerGroupHeartbeatResponse {
        let request = heartbeat.request
        guard var member = try admit(heartbeat, request.memberID) else {
            preconditionFailure("only who joins can be new")
        }
        if request.memberEpoch == ConsumerMember.absentEpoch {
            // It comes back under another id before its session ends, or is removed then.
            member.epoch = ConsumerMember.absentEpoch
            member.revoking = PartitionSet()
            member.stateSince = event.now
            put(member)
            timers.remove(Timer(member: member.id, kind: .rebalance))
            effects.append(.consumerGroupCurrentMemberAssignment(group: id, member: member.id, member.assignmentValue))
        } else {
            remove([member.id], topics, event, into: &effects)
        }
        var response = ConsumerGroupHeartbeatResponse()
        response.memberID = member.id
        response.memberEpoch = request.memberEpoch
        return response
    }

    /// Removes members: what they had is free at once.
    mutating func remove(
        _ ids: [String], _ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        for id in ids {
            take(id)
            appendTombstones(ofMember: id, into: &effects)
        }
        dropUnusedExpressions(into: &effects)
        bumpEpoch(hash: computeMetadataHash(topics), event, into: &effects)
    }

    // MARK: Time

    mutating func tick(_ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects) {
        var gone: Set<String> = []
        while let timer = timers.popDue(at: event.now) { gone.insert(timer.member) }
        guard !gone.isEmpty else { return }
        remove(gone.sorted(), topics, event, into: &effects)
    }

    /// Takes up a group as the log has it: members are given whole timeouts again.
    mutating func resume(_ topics: TopicsImage, _ event: GroupEvent, into effects: inout GroupEffects) {
        rebuildHolders()
        for member in sortedMembers {
            members[member.id]?.stateSince = event.now
            let session = member.metadata.classicMember.map { Int($0.sessionTimeout) }
            timers.set(
                Timer(member: member.id, kind: .session),
                to: event.now.advanced(byMilliseconds: session ?? event.settings.consumer.sessionTimeout))
            if member.state == .unrevokedPartitions && !member.isClassic {
                timers.set(
                    Timer(member: member.id, kind: .rebalance),
                    to: event.now.advanced(byMilliseconds: max(0, member.metadata.rebalanceTimeout)))
            }
        }
        epochSince = event.now
        resolveAll(topics, event, into: &effects)
    }
}

extension ConsumerMember {
    /// What a heartbeat says; what it leaves out stays.
    fileprivate mutating func update(from request: ConsumerGroupHeartbeatRequest, _ call: GroupCall) {
        if let instance = request.instanceID { metadata.instanceID = instance }
        if let rack = request.rackID { metadata.rackID = rack }
        if request.rebalanceTimeout >= 0 { metadata.rebalanceTimeout = request.rebalanceTimeout }
        if let assignor = request.serverAssignor { metadata.serverAssignor = assignor }
        if let names = request.subscribedTopicNames {
            let isOrdered = zip(names, names.dropFirst()).allSatisfy { $0 < $1 }
            metadata.subscribedTopicNames = isOrdered ? names : Set(names).sorted()
        }
        if let expression = request.subscribedTopicRegex { metadata.subscribedTopicRegex = expression }
        metadata.clientID = call.clientID
        metadata.clientHost = call.clientHost
        metadata.classicMember = nil
    }

    /// The same static member under the id of the process that now speaks for it; it has nothing in its hands yet.
    func successor(_ id: String, _ now: Moment) -> Self {
        var next = Self(id: id, since: now)
        next.metadata = metadata
        next.state = state
        next.assigned = assigned
        next.revoking = revoking
        return next
    }
}
