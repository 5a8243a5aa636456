// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import Settings

/// What the group tells of itself.
extension ConsumerGroup {
    func describe(_ topics: TopicsImage, _ settings: GroupSettings) -> ConsumerGroupDescribeResponse.Group {
        var description = ConsumerGroupDescribeResponse.Group()
        description.groupID = id
        description.groupState = stateName
        description.groupEpoch = groupEpoch
        description.assignmentEpoch = assignmentEpoch
        description.assignorName = preferredAssignor ?? settings.consumer.assignors.first?.rawValue ?? ""
        description.members = sortedMembers.map { member in
            var item = ConsumerGroupDescribeResponse.Member()
            item.memberID = member.id
            item.instanceID = member.instanceID
            item.rackID = member.metadata.rackID
            item.memberEpoch = member.epoch
            item.clientID = member.metadata.clientID
            item.clientHost = member.metadata.clientHost
            item.subscribedTopicNames = member.metadata.subscribedTopicNames
            item.subscribedTopicRegex = member.metadata.subscribedTopicRegex
            item.assignment = Self.describe(member.assigned, topics)
            item.targetAssignment = Self.describe(targets[member.id] ?? PartitionSet(), topics)
            item.memberType = member.isClassic ? 0 : 1
            return item
        }
        return description
    }

    /// Topics that are gone have no name and are left out, as in Kafka.
    private static func describe(
        _ set: PartitionSet, _ topics: TopicsImage
    ) -> ConsumerGroupDescribeResponse.Assignment {
        var assignment = ConsumerGroupDescribeResponse.Assignment()
        assignment.topicPartitions = set.topics.compactMap { item in
            guard let topic = topics.topic(id: item.topicID) else { return nil }
            var partitions = ConsumerGroupDescribeResponse.TopicPartitions()
            partitions.topicID = topic.id
            partitions.topicName = topic.name
            partitions.partitions = item.partitions
            return partitions
        }
        return assignment
    }

    // MARK: Why

    /// Who the group waits for, since when, and what happens when its patience ends. First whoever others wait for.
    func explain(at now: Moment, _ topics: TopicsImage) -> GroupExplanation {
        var explanation = GroupExplanation()
        explanation.groupID = id
        explanation.state = stateName
        explanation.protocolType = ClassicGroup.consumerProtocolType
        let sorted = sortedMembers
        explanation.waits = sorted.filter { $0.state == .unrevokedPartitions }.map { revoking($0, now, topics) }
        if groupEpoch > assignmentEpoch, !isEmpty {
            var wait = GroupWait()
            wait.reason =
                "members, subscriptions or topics have changed, and nobody has been heard of since"
            wait.next = "the next heartbeat of any member has the assignment of epoch \(groupEpoch) computed"
            wait.sinceMilliseconds = now.milliseconds(since: epochSince)
            explanation.waits.append(wait)
        }
        explanation.waits += sorted.filter { $0.state == .unreleasedPartitions }.map { waiting($0, now, topics) }
        explanation.waits += sorted.filter { $0.state == .stable && $0.epoch != assignmentEpoch }.map { late($0, now) }
        return explanation
    }

    private func revoking(_ member: ConsumerMember, _ now: Moment, _ topics: TopicsImage) -> GroupWait {
        var wait = wait(for: member, kinds: [.rebalance, .join, .sync, .session], now)
        wait.reason = "it still holds \(Self.names(member.revoking.partitions, topics)), which it is to give back"
        wait.next = "it is removed from the group, and these partitions go to others"
        return wait
    }

    private func waiting(_ member: ConsumerMember, _ now: Moment, _ topics: TopicsImage) -> GroupWait {
        var wait = wait(for: member, kinds: [], now)
        let blocked = blockers(of: member)
        let others = Set(blocked.compactMap { holders[$0] }).sorted()
        if blocked.isEmpty {
            wait.reason = "all that it is to get is free"
            wait.next = "it gets it with its next heartbeat"
        } else {
            wait.reason =
                "it is to get \(Self.names(blocked, topics)), which \(Self.list(others)) still "
                + (others.count == 1 ? "holds" : "hold")
            wait.next = "it gets each as soon as it is given back, or its holder is removed"
            let dues = others.compactMap { other in
                [Timer.Kind.rebalance, .join, .sync, .session].compactMap { timers[Timer(member: other, kind: $0)] }
                    .min()
            }
            wait.dueMilliseconds = dues.max().map { $0.milliseconds(since: now) } ?? -1
        }
        return wait
    }

    private func late(_ member: ConsumerMember, _ now: Moment) -> GroupWait {
        var wait = wait(for: member, kinds: [.join, .sync, .session], now)
        if member.isAbsent {
            wait.reason = "it has left for a while, as a static member, and its partitions wait for it"
            wait.next = "it is removed from the group, and its partitions go to others"
        } else {
            wait.reason =
                "it is in epoch \(member.epoch) and has not been heard of since epoch \(assignmentEpoch) began"
            wait.next = "it moves on with its next heartbeat, or is removed from the group when its session ends"
        }
        return wait
    }

    private func wait(for member: ConsumerMember, kinds: [Timer.Kind], _ now: Moment) -> GroupWait {
        var wait = GroupWait()
        wait.memberID = member.id
        wait.clientID = member.metadata.clientID
        wait.clientHost = member.metadata.clientHost
        wait.sinceMilliseconds = now.milliseconds(since: member.stateSince)
        let due = kinds.compactMap { timers[Timer(member: member.id, kind: $0)] }.min()
        wait.dueMilliseconds = due.map { $0.milliseconds(since: now) } ?? -1
        return wait
    }

    private static func names(_ partitions: [PartitionID], _ topics: TopicsImage) -> String {
        list(partitions.map { "\(topics.topic(id: $0.topic)?.name ?? "a deleted topic")-\($0.index)" })
    }

    /// At most ten of many, so that a sentence stays one.
    private static func list(_ items: [String]) -> String {
        let shown = items.prefix(10).joined(separator: ", ")
        return items.count > 10 ? "\(shown) and \(items.count - 10) more" : shown
    }
}
