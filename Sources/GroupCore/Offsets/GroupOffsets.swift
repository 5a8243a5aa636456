// SPDX-License-Identifier: Apache-2.0

import LogModel

/// A committed offset as it is kept in memory.
struct CommittedOffset: Hashable, Sendable {
    var offset: Int64
    /// In milliseconds since 1970.
    var committedAt: Int64
    /// In milliseconds since 1970; −1 when the broker's retention decides.
    var expiresAt: Int64
    var metadata: String
    /// −1 when the committer did not say.
    var leaderEpoch: Int32
}

/// The offsets that one group has committed.
struct GroupOffsets: Sendable {
    private(set) var topics: [String: [Int32: CommittedOffset]] = [:]

    init() {}

    var isEmpty: Bool { topics.isEmpty }

    /// - Complexity: that of walking the topics.
    var count: Int { topics.values.reduce(0) { $0 + $1.count } }

    subscript(topic: String, partition: Int32) -> CommittedOffset? { topics[topic]?[partition] }

    mutating func set(_ topic: String, _ partition: Int32, to offset: CommittedOffset) {
        topics[topic, default: [:]][partition] = offset
    }

    mutating func remove(_ topic: String, _ partition: Int32) {
        guard topics[topic]?.removeValue(forKey: partition) != nil else { return }
        if topics[topic]?.isEmpty ?? false { topics[topic] = nil }
    }

    /// Names of topics, in order.
    var sortedTopics: [String] { topics.keys.sorted() }

    /// Partitions with an offset, in order.
    func sortedPartitions(of topic: String) -> [Int32] { topics[topic]?.keys.sorted() ?? [] }

    /// Partitions whose offset is such, in order.
    func partitions(of topic: String, where isSuch: (CommittedOffset) -> Bool) -> [Int32] {
        (topics[topic] ?? [:]).filter { isSuch($0.value) }.keys.sorted()
    }
}

extension CommittedOffset {
    init(_ value: OffsetCommitValue) {
        offset = value.offset
        committedAt = value.commitTimestamp
        expiresAt = value.expireTimestamp
        metadata = value.metadata
        leaderEpoch = value.leaderEpoch
    }

    var value: OffsetCommitValue {
        OffsetCommitValue(
            offset: offset, leaderEpoch: leaderEpoch, metadata: metadata, commitTimestamp: committedAt,
            expireTimestamp: expiresAt)
    }
}
