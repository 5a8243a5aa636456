// SPDX-License-Identifier: Apache-2.0

/// Which partition of `__consumer_offsets` a group belongs to. Its leader is the group's coordinator.
enum GroupPlace {
    /// Kafka's name of the topic that holds groups and their offsets.
    static let topic = "__consumer_offsets"

    /// The partition of a group, as Kafka finds it, so that tools which work it out themselves look in the right place:
    /// Java's `String.hashCode` (over UTF-16 units), without its sign bit, modulo the number of partitions.
    static func partition(of group: String, count: Int) -> Int32 {
        precondition(count > 0, "a topic has partitions")
        var hash: Int32 = 0
        for unit in group.utf16 { hash = hash &* 31 &+ Int32(unit) }
        return (hash & Int32.max) % Int32(count)
    }
}
