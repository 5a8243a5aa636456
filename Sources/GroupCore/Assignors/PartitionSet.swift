// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

/// A set of partitions, by topic: topics in ascending order of their ids, none of them empty, partitions ascending.
///
/// Two of them are compared and combined in one pass over both.
struct PartitionSet: Hashable, Sendable {
    private(set) var topics: [AssignedTopicPartitions] = []

    init() {}

    /// - Parameter topics: in any order; what comes twice counts once, and what is no partition does not count.
    init(_ topics: [AssignedTopicPartitions]) {
        let isOrdered = zip(topics, topics.dropFirst()).allSatisfy { $0.topicID < $1.topicID }
        guard !isOrdered || !topics.allSatisfy({ Self.isStrict($0.partitions) }) else {
            self.topics = topics
            return
        }
        var byTopic: [TopicID: Set<Int32>] = [:]
        for topic in topics { byTopic[topic.topicID, default: []].formUnion(topic.partitions.filter { $0 >= 0 }) }
        self.topics = byTopic.filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }
            .map { AssignedTopicPartitions(topicID: $0.key, partitions: $0.value.sorted()) }
    }

    init(_ topics: [ConsumerGroupPartitions]) {
        self.init(topics.map { AssignedTopicPartitions(topicID: $0.topicID, partitions: $0.partitions) })
    }

    var isEmpty: Bool { topics.isEmpty }
    var count: Int { topics.reduce(0) { $0 + $1.partitions.count } }
    var partitions: [PartitionID] {
        topics.flatMap { topic in topic.partitions.map { PartitionID(topic: topic.topicID, index: $0) } }
    }

    func contains(_ topic: TopicID, _ partition: Int32) -> Bool {
        topics.first { $0.topicID == topic }?.partitions.contains(partition) ?? false
    }

    /// As the heartbeat's reply has it.
    var wire: [ConsumerGroupPartitions] {
        topics.map { topic in
            var partitions = ConsumerGroupPartitions()
            partitions.topicID = topic.topicID
            partitions.partitions = topic.partitions
            return partitions
        }
    }

    func intersection(_ other: Self) -> Self { combined(other, keepsMine: false, keepsBoth: true) }
    func subtracting(_ other: Self) -> Self { combined(other, keepsMine: true, keepsBoth: false) }
    func isDisjoint(with other: Self) -> Bool { intersection(other).isEmpty }
    func isSubset(of other: Self) -> Bool { subtracting(other).isEmpty }

    func union(_ other: Self) -> Self { other.isEmpty ? self : isEmpty ? other : Self(topics + other.topics) }

    func filter(_ isIncluded: (TopicID, Int32) -> Bool) -> Self {
        var result = Self()
        for topic in topics {
            let partitions = topic.partitions.filter { isIncluded(topic.topicID, $0) }
            if !partitions.isEmpty {
                result.topics.append(AssignedTopicPartitions(topicID: topic.topicID, partitions: partitions))
            }
        }
        return result
    }

    /// Walks both sets side by side.
    private func combined(_ other: Self, keepsMine: Bool, keepsBoth: Bool) -> Self {
        var result = Self()
        var place = 0
        for topic in topics {
            while place < other.topics.count, other.topics[place].topicID < topic.topicID { place += 1 }
            let theirs =
                place < other.topics.count && other.topics[place].topicID == topic.topicID
                ? other.topics[place].partitions : []
            var theirPlace = 0
            let partitions = topic.partitions.filter { partition in
                while theirPlace < theirs.count, theirs[theirPlace] < partition { theirPlace += 1 }
                return theirPlace < theirs.count && theirs[theirPlace] == partition ? keepsBoth : keepsMine
            }
            if !partitions.isEmpty {
                result.topics.append(AssignedTopicPartitions(topicID: topic.topicID, partitions: partitions))
            }
        }
        return result
    }

    private static func isStrict(_ partitions: [Int32]) -> Bool {
        guard let first = partitions.first, first >= 0 else { return false }
        return zip(partitions, partitions.dropFirst()).allSatisfy { $0 < $1 }
    }
}
