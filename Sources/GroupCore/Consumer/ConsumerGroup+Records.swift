// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import RegularExpressions

/// What the log keeps of a consumer group.
extension ConsumerGroup {
    /// Takes in one record. Who holds what is put together once the whole log is read: until then two members may seem
    /// to have one partition.
    mutating func replay(_ record: CoordinatorRecord) {
        switch record {
        case .consumerGroupMetadata(_, let value?):
            groupEpoch = value.epoch
            metadataHash = value.metadataHash
        case .consumerGroupMemberMetadata(_, let member, let value): replay(member, metadata: value)
        case .consumerGroupTargetAssignmentMetadata(_, let value): assignmentEpoch = value?.assignmentEpoch ?? 0
        case .consumerGroupTargetAssignmentMember(_, let member, let value):
            targets[member] = value.map { PartitionSet($0.topicPartitions) }
        case .consumerGroupCurrentMemberAssignment(_, let member, let value): replay(member, assignment: value)
        case .consumerGroupRegularExpression(_, let pattern, let value): replay(expression: pattern, value)
        // The topics' own table is looked at instead of what was written of it before Kafka 4.1.
        default: break
        }
    }

    private mutating func replay(_ id: String, metadata: ConsumerGroupMemberMetadataValue?) {
        guard let metadata else {
            let target = targets[id]
            take(id)
            targets[id] = target
            return
        }
        var member = members[id] ?? ConsumerMember(id: id, since: .zero)
        member.metadata = metadata
        member.metadata.subscribedTopicNames = Set(metadata.subscribedTopicNames).sorted()
        putLoading(member)
    }

    private mutating func replay(_ id: String, assignment: ConsumerGroupCurrentMemberAssignmentValue?) {
        // A tombstone without the member's own follows it.
        guard var member = members[id] ?? assignment.map({ _ in ConsumerMember(id: id, since: .zero) }) else { return }
        if let assignment {
            member.restore(assignment)
        } else {
            member.assigned = PartitionSet()
            member.revoking = PartitionSet()
        }
        putLoading(member)
    }

    private mutating func putLoading(_ member: ConsumerMember) {
        holders.removeAll()
        // Only the tables of subscriptions matter here.
        var bare = member
        bare.assigned = PartitionSet()
        bare.revoking = PartitionSet()
        members[member.id]?.assigned = PartitionSet()
        members[member.id]?.revoking = PartitionSet()
        put(bare)
        members[member.id] = member
    }

    private mutating func replay(expression pattern: String, _ value: ConsumerGroupRegularExpressionValue?) {
        guard let value else {
            // Who subscribes to it still does; nobody has said what it matches.
            if expressions[pattern]?.subscribers ?? 0 > 0 {
                expressions[pattern]?.topics = []
            } else {
                expressions[pattern] = nil
            }
            return
        }
        if expressions[pattern] == nil {
            expressions[pattern] = Expression(compiled: try? RegularExpression(pattern))
        }
        expressions[pattern]?.topics = value.topics.sorted()
    }

    /// Puts together who has what. A partition that two seem to have, which no log written here says, is the first's.
    mutating func rebuildHolders() {
        holders.removeAll()
        for member in sortedMembers {
            for partition in member.assigned.union(member.revoking).partitions where holders[partition] == nil {
                holders[partition] = member.id
            }
            let isMine = { (topic: TopicID, partition: Int32) in
                self.holders[PartitionID(topic: topic, index: partition)] == member.id
            }
            let assigned = member.assigned.filter(isMine)
            let revoking = member.revoking.filter(isMine)
            if assigned != member.assigned { members[member.id]?.assigned = assigned }
            if revoking != member.revoking { members[member.id]?.revoking = revoking }
        }
        for id in targets.keys.sorted() where members[id] == nil { targets[id] = nil }
    }

    // MARK: Tombstones

    func appendTombstones(ofMember member: String, into effects: inout GroupEffects) {
        effects.append(.consumerGroupCurrentMemberAssignment(group: id, member: member, nil))
        effects.append(.consumerGroupTargetAssignmentMember(group: id, member: member, nil))
        effects.append(.consumerGroupMemberMetadata(group: id, member: member, nil))
    }

    /// What takes the group out of the log, with its members.
    var tombstones: [CoordinatorRecord] {
        let ids = members.keys.sorted()
        var records = ids.map { CoordinatorRecord.consumerGroupCurrentMemberAssignment(group: id, member: $0, nil) }
        records += ids.map { .consumerGroupTargetAssignmentMember(group: id, member: $0, nil) }
        records.append(.consumerGroupTargetAssignmentMetadata(id, nil))
        records += ids.map { .consumerGroupMemberMetadata(group: id, member: $0, nil) }
        records += expressions.keys.sorted().map {
            .consumerGroupRegularExpression(group: id, regularExpression: $0, nil)
        }
        records.append(.consumerGroupPartitionMetadata(id, nil))
        records.append(.consumerGroupMetadata(id, nil))
        return records
    }

    /// Everything that the log is to have of a group that has just come to be.
    func store(into effects: inout GroupEffects) {
        let sorted = sortedMembers
        for member in sorted {
            effects.append(.consumerGroupMemberMetadata(group: id, member: member.id, member.metadata))
        }
        effects.append(
            .consumerGroupMetadata(
                id, ConsumerGroupMetadataValue(epoch: groupEpoch, metadataHash: metadataHash)))
        for member in sorted {
            effects.append(
                .consumerGroupTargetAssignmentMember(
                    group: id, member: member.id,
                    ConsumerGroupTargetAssignmentMemberValue(
                        topicPartitions: (targets[member.id] ?? PartitionSet()).topics)))
        }
        effects.append(
            .consumerGroupTargetAssignmentMetadata(
                id, ConsumerGroupTargetAssignmentMetadataValue(assignmentEpoch: assignmentEpoch)))
        for member in sorted {
            effects.append(
                .consumerGroupCurrentMemberAssignment(group: id, member: member.id, member.assignmentValue))
        }
    }
}
