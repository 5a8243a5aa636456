// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings

// Groups that change their protocol while members are in them (KIP-848, online migration).

extension ConsumerGroup {
    /// A classic group as a consumer group: its members go on with what they have, in the generation they are in.
    ///
    /// - Throws: GROUP_ID_NOT_FOUND when what the members say of themselves cannot be read.
    init(upgrading classic: ClassicGroup, _ topics: TopicsImage, _ event: GroupEvent) throws(GroupRefusal) {
        self.init(id: classic.id)
        groupEpoch = classic.generation
        assignmentEpoch = classic.generation
        epochSince = event.now
        for old in classic.rankedMembers {
            var member = ConsumerMember(id: old.id, since: event.now)
            guard let metadata = old.metadata(for: classic.protocolName) ?? old.protocols.first?.metadata,
                let subscription = try? ConsumerProtocolSubscription.decode(metadata).data
            else { throw Self.malformed(classic.id) }
            member.metadata.instanceID = old.groupInstanceID
            member.metadata.rackID = subscription.rackID.flatMap { $0.isEmpty ? nil : $0 }
            member.metadata.clientID = old.clientID
            member.metadata.clientHost = old.clientHost
            member.metadata.rebalanceTimeout = old.rebalanceTimeout
            member.metadata.subscribedTopicNames = Set(subscription.topics).sorted()
            member.metadata.classicMember = .init(
                sessionTimeout: old.sessionTimeout,
                protocols: old.protocols.map { .init(name: $0.name, metadata: $0.metadata) })
            member.epoch = classic.generation
            member.previousEpoch = classic.generation
            // What another has already, by a faulty assignor, and what is gone, nobody can go on with.
            member.assigned = try Self.assignment(of: old, classic.id, topics).filter {
                holders[PartitionID(topic: $0, index: $1)] == nil
            }
            put(member)
            targets[member.id] = member.assigned
            timers.set(
                Timer(member: member.id, kind: .session), to: event.now.advanced(byMilliseconds: old.sessionTimeout))
        }
        metadataHash = computeMetadataHash(topics)
    }

    private static func malformed(_ id: String) -> GroupRefusal {
        GroupRefusal(
            .groupIDNotFound,
            "Cannot upgrade the classic group \(id) to consumer group because the embedded consumer protocol is "
                + "malformed."
        )
    }

    private static func assignment(
        of member: ClassicMember, _ group: String, _ topics: TopicsImage
    ) throws(GroupRefusal) -> PartitionSet {
        guard member.assignment.readableBytes > 0 else { return PartitionSet() }
        guard let assignment = try? ConsumerProtocolAssignment.decode(member.assignment).data else {
            throw malformed(group)
        }
        return PartitionSet(
            assignment.assignedPartitions.compactMap { item in
                topics.topic(named: item.topic).map { topic in
                    AssignedTopicPartitions(
                        topicID: topic.id, partitions: item.partitions.filter { $0 < topic.partitionCount })
                }
            })
    }

    /// Whether nobody is left who speaks the consumer protocol, and the group may go back.
    func canDowngrade(_ settings: GroupSettings) -> Bool {
        !members.isEmpty && classicCount == members.count && settings.consumer.migrationPolicy.allowsDowngrade
            && members.count <= settings.sizeMax
    }
}

extension ClassicGroup {
    /// A consumer group whose members all speak the classic protocol as a classic group, in the generation that is the
    /// group's epoch.
    init(downgrading group: ConsumerGroup, _ topics: TopicsImage, _ event: GroupEvent) {
        self.init(id: group.id)
        generation = group.groupEpoch
        for old in group.sortedMembers {
            guard let classic = old.metadata.classicMember else {
                preconditionFailure("only a group whose members all speak the classic protocol becomes classic")
            }
            var member = ClassicMember(
                id: old.id, groupInstanceID: old.instanceID, clientID: old.metadata.clientID,
                clientHost: old.metadata.clientHost, rebalanceTimeout: old.metadata.rebalanceTimeout,
                sessionTimeout: classic.sessionTimeout,
                protocols: classic.protocols.map { .init(name: $0.name, metadata: $0.metadata) }, rank: nextRank)
            nextRank += 1
            member.isNew = false
            member.assignment = ConsumerGroup.classicAssignment(of: old, topics)
            add(member, protocolType: ClassicGroup.consumerProtocolType)
        }
        protocolName = selectProtocol()
        move(to: .stable, event)
    }

    /// Whether a member of the consumer protocol may turn this group into one.
    func canUpgrade(_ settings: GroupSettings) -> Bool {
        settings.consumer.migrationPolicy.allowsUpgrade && isConsumer && members.count < settings.consumer.sizeMax
    }

    /// Answers everybody that waits: the group they wait for is about to go.
    mutating func refuseAllWaiting(into effects: inout GroupEffects) {
        for member in rankedMembers {
            completeJoin(
                of: member.id, with: JoinGroupResponse(error: .rebalanceInProgress, memberID: member.id), into: &effects
            )
            guard let waiting = member.awaitingSync else { continue }
            members[member.id]?.awaitingSync = nil
            effects.reply(waiting.id, .syncGroup(SyncGroupResponse(error: .rebalanceInProgress)))
        }
    }
}

extension GroupCoordinator {
    /// Makes a classic group one of the consumer protocol; one without members just makes room.
    ///
    /// - Throws: GROUP_ID_NOT_FOUND when it must stay what it is.
    mutating func upgrade(
        at place: Int, _ event: GroupEvent, into effects: inout GroupEffects
    ) throws(GroupRefusal) {
        guard case .classic(var classic)? = table[place] else { return }
        var next = ConsumerGroup(id: classic.id)
        if !classic.isEmpty || !classic.pendingMembers.isEmpty && !classic.members.isEmpty {
            guard classic.canUpgrade(settings) else {
                throw GroupRefusal(.groupIDNotFound, "Group \(classic.id) is not a consumer group.")
            }
            next = try ConsumerGroup(upgrading: classic, topics, event)
            classic.refuseAllWaiting(into: &effects)
        }
        if classic.isStored { effects.append(.groupMetadata(classic.id, nil)) }
        if !next.isEmpty { next.store(into: &effects) }
        table.replace(at: place, with: .consumer(next))
    }

    /// Ends every event of a consumer group: once nobody is left who speaks its protocol, it becomes a classic one.
    mutating func settleConsumer(_ place: Int, _ event: GroupEvent, into effects: inout GroupEffects) {
        let settings = settings
        if table.withConsumer(at: place, { $0.canDowngrade(settings) }), case .consumer(let group)? = table[place] {
            for record in group.tombstones { effects.append(record) }
            var classic = ClassicGroup(downgrading: group, topics, event)
            classic.store(event, into: &effects)
            classic.resume(event, into: &effects)
            let isSettled = group.groupEpoch == group.assignmentEpoch && group.stateName == "Stable"
            if !isSettled, classic.state == .stable { classic.prepareRebalance(event, into: &effects) }
            table.replace(at: place, with: .classic(classic))
        }
        settle(place)
    }
}
