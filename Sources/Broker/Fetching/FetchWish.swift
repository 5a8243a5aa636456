// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

/// A topic as a fetch names it: by its name up to version 12, by its id since.
enum FetchTopic: Hashable, Sendable {
    case name(String)
    case id(TopicID)
}

/// One partition as a fetch names it. It need not exist.
struct FetchKey: Hashable, Sendable {
    let topic: FetchTopic
    let index: Int32
}

/// What a client wants of one partition: a part of a request, or what a session remembers of one.
struct FetchWish: Hashable, Sendable {
    let key: FetchKey
    var offset: Int64
    /// The leader epoch that the client believes in; −1 when it does not say.
    var leaderEpoch: Int32
    /// The epoch of the record before `offset`; −1 when the client does not say.
    var lastFetchedEpoch: Int32
    var limit: Int32
}

extension FetchRequest {
    func topic(_ topic: Topic, version: Int16) -> FetchTopic { version >= 13 ? .id(topic.id) : .name(topic.name) }

    /// Everything the request names, in its order.
    func wishes(version: Int16) -> [FetchWish] {
        var wishes: [FetchWish] = []
        wishes.reserveCapacity(topics.reduce(0) { $0 + $1.partitions.count })
        for topic in topics {
            let name = self.topic(topic, version: version)
            for partition in topic.partitions {
                wishes.append(
                    FetchWish(
                        key: FetchKey(topic: name, index: partition.index), offset: partition.fetchOffset,
                        leaderEpoch: partition.currentLeaderEpoch, lastFetchedEpoch: partition.lastFetchedEpoch,
                        limit: partition.maxBytes))
            }
        }
        return wishes
    }

    /// What a session shall no longer tell about.
    func forgotten(version: Int16) -> [FetchKey] {
        forgottenTopics.flatMap { topic in
            let name = version >= 13 ? FetchTopic.id(topic.id) : .name(topic.name)
            return topic.partitions.map { FetchKey(topic: name, index: $0) }
        }
    }
}
