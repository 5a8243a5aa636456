// SPDX-License-Identifier: Apache-2.0

import GroupCore
import KafkaWire
import LogModel
import NIOCore
import Replication

extension Broker {
    // MARK: - OffsetCommit (API key 8)

    /// The coordinator knows topics by name, and only those that exist; ids and unknown partitions are seen to here.
    func offsetCommit(_ call: Call<Files>) throws(WireError) {
        let request = try OffsetCommitRequest.decode(call.body, version: call.version)
        var known = request
        known.topics = []
        var response = OffsetCommitResponse()
        var unknown: [[Int32: ErrorCode]] = []
        for topic in request.topics {
            let found = call.version >= 10 ? view.topic(id: topic.id) : view.topic(named: topic.name)
            var refused: [Int32: ErrorCode] = [:]
            var kept = topic
            kept.name = found?.name ?? topic.name
            kept.partitions = []
            for partition in topic.partitions {
                if found?.hasPartition(partition.index) == true {
                    kept.partitions.append(partition)
                } else {
                    refused[partition.index] =
                        found == nil && call.version >= 10 ? .unknownTopicID : .unknownTopicOrPartition
                }
            }
            unknown.append(refused)
            if !kept.partitions.isEmpty { known.topics.append(kept) }
            var answer = OffsetCommitResponse.Topic()
            answer.name = kept.name
            answer.id = topic.id
            response.topics.append(answer)
        }
        // A node that does not coordinate the group may have heard of nothing yet: it has no say in what is unknown.
        let nothing: [[Int32: ErrorCode]] = Array(repeating: [:], count: unknown.count)
        guard !known.topics.isEmpty || request.topics.isEmpty else {
            let coordinator = coordinatorPlace(of: request.groupID).flatMap { view.leader(of: $0)?.node }
            let isHere = coordinator == settings.node
            return call.reply(Self.filled(response, request, isHere ? unknown : nothing) { _, _ in .notCoordinator })
        }
        coordinate(.offsetCommit(known), group: request.groupID, call) { outcome in
            switch outcome {
            case .refused(let error): call.reply(Self.filled(response, request, nothing) { _, _ in error })
            case .reply:
                let answer: OffsetCommitResponse = outcome.message { _ in OffsetCommitResponse() }
                let errors = CommitErrors(answer)
                call.reply(Self.filled(response, request, unknown) { errors.error(of: $0, $1) })
            }
        }
    }

    /// What the coordinator said of each partition.
    private struct CommitErrors {
        private var errors: [String: [Int32: ErrorCode]] = [:]

        init(_ response: OffsetCommitResponse) {
            for topic in response.topics {
                for partition in topic.partitions {
                    errors[topic.name, default: [:]][partition.index] = partition.error
                }
            }
        }

        func error(of topic: String, _ partition: Int32) -> ErrorCode {
            errors[topic]?[partition] ?? .unknownServerError
        }
    }

    private static func filled(
        _ response: OffsetCommitResponse, _ request: OffsetCommitRequest, _ unknown: [[Int32: ErrorCode]],
        error: (String, Int32) -> ErrorCode
    ) -> OffsetCommitResponse {
        var response = response
        for (place, topic) in request.topics.enumerated() {
            let name = response.topics[place].name
            response.topics[place].partitions = topic.partitions.map { partition in
                var answer = OffsetCommitResponse.Partition()
                answer.index = partition.index
                answer.error = unknown[place][partition.index] ?? error(name, partition.index)
                return answer
            }
        }
        return response
    }

    // MARK: - OffsetFetch (API key 9)

    func offsetFetch(_ call: Call<Files>) throws(WireError) {
        let request = try OffsetFetchRequest.decode(call.body, version: call.version)
        let asked = request.groups.map { (group: $0.groupID, request: named($0, byID: call.version >= 10)) }
        let requests = asked.map { item in
            (item.group, GroupRequest.offsetFetch(item.request, requireStable: request.requireStable))
        }
        coordinate(each: requests, call) { outcomes in
            var response = OffsetFetchResponse()
            response.groups = zip(request.groups, outcomes).map { group, outcome in
                self.answer(group, outcome, version: call.version)
            }
            call.reply(response)
        }
    }

    /// The request with the names of its topics; ids that nobody knows are left out.
    private func named(_ group: OffsetFetchRequest.Group, byID: Bool) -> OffsetFetchRequest.Group {
        guard byID, let topics = group.topics else { return group }
        var named = group
        named.topics = topics.compactMap { topic in
            guard let found = view.topic(id: topic.id) else { return nil }
            var topic = topic
            topic.name = found.name
            return topic
        }
        return named
    }

    private func answer(
        _ group: OffsetFetchRequest.Group, _ outcome: GroupOutcome, version: Int16
    ) -> OffsetFetchResponse.Group {
        var answer: OffsetFetchResponse.Group = outcome.message { error in
            var refused = OffsetFetchResponse.Group()
            refused.groupID = group.groupID
            refused.error = error
            return refused
        }
        answer.groupID = group.groupID
        if version == 1, answer.error != .none {
            answer.topics = Self.topics(group.topics ?? [], error: answer.error)
        }
        guard version >= 10 else { return answer }
        // Offsets of topics that are gone have no id to be told by.
        answer.topics = answer.topics.compactMap { topic in
            guard let found = view.topic(named: topic.name) else { return nil }
            var topic = topic
            topic.id = found.id
            return topic
        }
        if answer.error == .none {
            let unknown = (group.topics ?? []).filter { view.topic(id: $0.id) == nil }
            answer.topics += Self.topics(unknown, error: .unknownTopicID)
        }
        return answer
    }

    private static func topics(
        _ topics: [OffsetFetchRequest.Topic], error: ErrorCode
    ) -> [OffsetFetchResponse.Topic] {
        topics.map { topic in
            var answer = OffsetFetchResponse.Topic()
            answer.name = topic.name
            answer.id = topic.id
            answer.partitions = topic.partitions.map { index in
                var partition = OffsetFetchResponse.Partition()
                partition.index = index
                partition.committedOffset = -1
                partition.error = error
                return partition
            }
            return answer
        }
    }
}
