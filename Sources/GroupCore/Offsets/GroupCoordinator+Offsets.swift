// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import Settings

/// Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete.
extension GroupCoordinator {
    /// Since which version a group that is not there is named as such (KIP-848).
    private static let missingGroupIsNamedSince: Int16 = 9

    // MARK: Commit

    mutating func commit(
        _ request: OffsetCommitRequest, _ call: GroupCall, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        var response = OffsetCommitResponse()
        response.topics.reserveCapacity(request.topics.count)
        var place = table.place(of: request.groupID)
        let error: ErrorCode
        if let place {
            error = checkCommit(request, at: place, call, event)
        } else if request.generationIDOrMemberEpoch >= 0 {
            error = call.version >= Self.missingGroupIsNamedSince ? .groupIDNotFound : .illegalGeneration
        } else if table.count >= settings.countMax {
            error = .policyViolation
        } else {
            // Somebody who shares out the work without a group, and keeps only offsets here.
            place = table.insert(.classic(ClassicGroup(id: request.groupID)))
            error = .none
        }
        for topic in request.topics {
            response.topics.append(commit(topic, of: request, at: place, error: error, event, into: &effects))
        }
        if let place { settle(place) }
        effects.reply(call.id, .offsetCommit(response))
    }

    private mutating func checkCommit(
        _ request: OffsetCommitRequest, at place: Int, _ call: GroupCall, _ event: GroupEvent
    ) -> ErrorCode {
        if table.kind(at: place) == .classic {
            return table.withClassic(at: place) { $0.checkCommit(request, event) }
        }
        guard case .consumer(let group)? = table[place] else { return .groupIDNotFound }
        return group.validateCommit(
            memberID: request.memberID, groupInstanceID: request.groupInstanceID,
            memberEpoch: request.generationIDOrMemberEpoch, version: call.version)
    }

    private mutating func commit(
        _ topic: OffsetCommitRequest.Topic, of request: OffsetCommitRequest, at place: Int?, error: ErrorCode,
        _ event: GroupEvent, into effects: inout GroupEffects
    ) -> OffsetCommitResponse.Topic {
        var answer = OffsetCommitResponse.Topic()
        answer.name = topic.name
        answer.id = topic.id
        answer.partitions.reserveCapacity(topic.partitions.count)
        let partitionCount = topics.topic(named: topic.name)?.partitionCount ?? 0
        let noteMax = Int(settings.offsets.metadataBytesMax.rawValue)
        let now = event.wallClock.milliseconds
        let (end, overflow) = now.addingReportingOverflow(request.retentionTime)
        let expiry = request.retentionTime < 0 ? -1 : overflow ? .max : end
        for partition in topic.partitions {
            var result = OffsetCommitResponse.Partition()
            result.index = partition.index
            let note = partition.committedMetadata ?? ""
            if error != .none {
                result.error = error
            } else if partition.index < 0 || Int(partition.index) >= partitionCount {
                result.error = .unknownTopicOrPartition
            } else if note.utf8.count > noteMax {
                result.error = .offsetMetadataTooLarge
            } else if let place {
                let committed = CommittedOffset(
                    offset: partition.committedOffset, committedAt: now, expiresAt: expiry, metadata: note,
                    leaderEpoch: partition.committedLeaderEpoch)
                table.offsets[place].set(topic.name, partition.index, to: committed)
                effects.append(
                    .offsetCommit(
                        group: request.groupID, topic: topic.name, partition: partition.index, committed.value))
            }
            answer.partitions.append(result)
        }
        return answer
    }

    // MARK: Fetch

    func fetch(_ request: OffsetFetchRequest.Group, _ call: GroupCall) -> OffsetFetchResponse.Group {
        var response = OffsetFetchResponse.Group()
        response.groupID = request.groupID
        let place = table.place(of: request.groupID)
        if let place, case .consumer(let group)? = table[place] {
            response.error = group.validateFetch(memberID: request.memberID, memberEpoch: request.memberEpoch)
            guard response.error == .none else { return response }
        }
        let offsets = place.map { table.offsets[$0] } ?? GroupOffsets()
        if let wanted = request.topics {
            response.topics = wanted.map { answer($0.name, $0.id, $0.partitions, from: offsets) }
        } else {
            response.topics = offsets.sortedTopics.map { name in
                let id = topics.topic(named: name)?.id ?? .zero
                return answer(name, id, offsets.sortedPartitions(of: name), from: offsets)
            }
        }
        return response
    }

    private func answer(
        _ name: String, _ id: TopicID, _ partitions: [Int32], from offsets: GroupOffsets
    ) -> OffsetFetchResponse.Topic {
        var answer = OffsetFetchResponse.Topic()
        answer.name = name
        answer.id = id
        let known = offsets.topics[name]
        answer.partitions = partitions.map { index in
            var item = OffsetFetchResponse.Partition()
            item.index = index
            let committed = known?[index]
            item.committedOffset = committed?.offset ?? -1
            item.committedLeaderEpoch = committed?.leaderEpoch ?? -1
            item.metadata = committed?.metadata ?? ""
            return item
        }
        return answer
    }

    // MARK: Delete

    mutating func deleteOffsets(
        _ request: OffsetDeleteRequest, into effects: inout GroupEffects
    ) -> OffsetDeleteResponse {
        var response = OffsetDeleteResponse()
        guard let place = table.place(of: request.groupID), let group = table[place] else {
            response.error = .groupIDNotFound
            return response
        }
        guard group.allowsOffsetDelete else {
            response.error = .nonEmptyGroup
            return response
        }
        let subscription = group.subscription
        for topic in request.topics {
            var answer = OffsetDeleteResponse.Topic()
            answer.name = topic.name
            let isRead = subscription.contains(topic.name)
            for partition in topic.partitions {
                var result = OffsetDeleteResponse.Partition()
                result.index = partition.index
                if isRead {
                    result.error = .groupSubscribedToTopic
                } else if table.offsets[place][topic.name, partition.index] != nil {
                    forget(topic.name, partition.index, at: place, into: &effects)
                } else if topics.topic(named: topic.name) == nil {
                    result.error = .unknownTopicOrPartition
                }
                answer.partitions.append(result)
            }
            response.topics.append(answer)
        }
        settle(place)
        return response
    }

    /// Removes one offset, here and from the log.
    mutating func forget(_ topic: String, _ partition: Int32, at place: Int, into effects: inout GroupEffects) {
        guard let group = table[place] else { return }
        table.offsets[place].remove(topic, partition)
        effects.append(.offsetCommit(group: group.id, topic: topic, partition: partition, nil))
    }

    /// Removes all offsets of a topic, here and from the log.
    mutating func forget(_ topic: String, at place: Int, into effects: inout GroupEffects) {
        for partition in table.offsets[place].sortedPartitions(of: topic) {
            forget(topic, partition, at: place, into: &effects)
        }
    }
}

/// What a group reads.
enum GroupSubscription: Sendable {
    case topics(Set<String>)
    /// It reads something, and what is not known; or it reads nothing that could be known.
    case everything
    case nothing

    func contains(_ topic: String) -> Bool {
        switch self {
        case .topics(let topics): topics.contains(topic)
        case .everything: true
        case .nothing: false
        }
    }
}
