// SPDX-License-Identifier: Apache-2.0

import Settings

/// The consumer groups of one run, and what happens to their members.
public struct GroupClimate: Sendable, CustomStringConvertible {
    /// How the members of a group speak with their coordinator.
    public enum Speech: String, Sendable {
        /// JoinGroup, SyncGroup and Heartbeat; the members divide the partitions among themselves.
        case classic
        /// ConsumerGroupHeartbeat (KIP-848); the coordinator divides them.
        case consumer
    }

    public struct Shape: Sendable {
        public var speech: Speech
        public var members: Int
        /// Members have names of their own that outlive them (KIP-345).
        public var isStatic: Bool
    }

    /// Of `__consumer_offsets`.
    public var offsetsPartitions: Int
    public var groups: [Shape]

    // In milliseconds, as Kafka has them.
    public var sessionTimeout: Int
    public var rebalanceTimeout: Int
    public var heartbeatInterval: Int
    public var initialRebalanceDelay: Int

    // In nanoseconds.
    public var pollInterval: UInt64
    public var commitInterval: UInt64
    /// When a client gives a request up and closes the connection; one that joins waits longer.
    public var requestTimeout: UInt64
    public var delay: UInt64
    /// The mean span between two misfortunes of members, or 0 for none.
    public var faultInterval: UInt64
    public var adminInterval: UInt64

    /// Of requests, and of replies: lost with their connection.
    public var lossPerMille: Int
    /// The topic begins with one partition less than it has later.
    public var expands: Bool

    init(seed: UInt64, climate: Climate) {
        var random = SimRandom(seed: SimRandom.mix(seed ^ 0x6709))
        let milliseconds: UInt64 = 1_000_000
        offsetsPartitions = random.pick([1, 1, 2])
        groups = (0..<random.pick([1, 1, 2])).map { _ in
            Shape(
                speech: random.pick([.classic, .consumer]), members: random.within(1...4),
                isStatic: random.chance(perMille: 300))
        }
        // A commit of each member may stand before a heartbeat in the log.
        let queue = Int(16 * climate.batchInterval / milliseconds)
        sessionTimeout = random.within(250...700) + queue
        rebalanceTimeout = random.within(300...900) + queue
        heartbeatInterval = sessionTimeout / random.within(4...8)
        initialRebalanceDelay = random.pick([0, 0, 50, 200])
        pollInterval = UInt64(random.within(10...40)) * milliseconds
        commitInterval = UInt64(random.within(30...120)) * milliseconds
        requestTimeout = 2 * climate.electionTimeout + UInt64(random.within(100...500) + queue) * milliseconds
        delay = min(climate.delay, 2 * milliseconds)
        faultInterval = random.pick([0, 150, 300, 600]) * milliseconds
        adminInterval = random.pick([100, 300, 2_000]) * milliseconds
        lossPerMille = random.pick([0, 0, 5, 30])
        expands = climate.partitions > 1 && random.chance(perMille: 300)
    }

    /// What the brokers of this run are told.
    var settings: GroupSettings {
        var settings = GroupSettings()
        settings.initialRebalanceDelay = initialRebalanceDelay
        settings.sessionTimeoutMin = 1
        settings.consumer.sessionTimeout = sessionTimeout
        settings.consumer.sessionTimeoutMin = 1
        settings.consumer.heartbeatInterval = heartbeatInterval
        settings.consumer.heartbeatIntervalMin = 1
        return settings
    }

    var patience: GroupChecks.Patience {
        .init(session: UInt64(sessionTimeout) * 1_000_000, rebalance: UInt64(rebalanceTimeout) * 1_000_000)
    }

    public var description: String {
        let shapes = groups.map { "\($0.members) \($0.isStatic ? "static " : "")\($0.speech.rawValue)" }
        return """
            groups of \(shapes.joined(separator: ", ")) in \(offsetsPartitions), session \(sessionTimeout) ms, \
            rebalance \(rebalanceTimeout) ms, heartbeat \(heartbeatInterval) ms, \
            commit \(commitInterval / 1_000_000) ms, members' faults \(faultInterval / 1_000_000) ms, \
            clients lose \(lossPerMille)‰\(expands ? ", the topic grows" : "")
            """
    }
}
