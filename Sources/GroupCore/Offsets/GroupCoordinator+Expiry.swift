// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings

/// How long offsets are kept without anybody who needs them (KIP-211).
extension GroupCoordinator {
    /// How many offsets one tick lets go: the rest goes with the next, and other requests come in between.
    private static let expiryBatch = 10_000

    mutating func expireOffsets(_ event: GroupEvent, into effects: inout GroupEffects) {
        let recordsBefore = effects.records.count
        var isComplete = true
        for place in table.occupied {
            guard effects.records.count - recordsBefore < Self.expiryBatch else {
                isComplete = false
                break
            }
            expireOffsets(at: place, event, into: &effects)
        }
        nextExpiry =
            isComplete ? event.now.advanced(byMilliseconds: settings.offsets.retentionCheckInterval) : event.now
    }

    private mutating func expireOffsets(at place: Int, _ event: GroupEvent, into effects: inout GroupEffects) {
        guard let group = table[place] else { return }
        let retention = Int64(settings.offsets.retentionMinutes) * 60_000
        let now = event.wallClock.milliseconds
        if let emptySince = group.offsetsNeededUntil {
            let subscription = group.subscription
            for topic in table.offsets[place].sortedTopics where !subscription.contains(topic) {
                let expired = table.offsets[place].partitions(of: topic) { offset in
                    // A commit after the last member has gone, by an administrator, counts from itself.
                    offset.expiresAt >= 0
                        ? now >= offset.expiresAt : now - max(offset.committedAt, emptySince) >= retention
                }
                for partition in expired { forget(topic, partition, at: place, into: &effects) }
            }
        }
        // Kafka's broker lets an empty group go with its last offset.
        guard group.isEmpty, table.offsets[place].isEmpty, !group.hasPendingMembers else { return }
        appendTombstones(of: group, into: &effects)
        drop(place)
    }
}
