// SPDX-License-Identifier: Apache-2.0

import LogModel

/// The weather of one run, itself drawn from the seed, so that a thousand seeds are a thousand climates.
///
/// Zero is a frequent value: a run in which only one thing goes wrong shows what a run full of noise hides.
/// All spans are nanoseconds of virtual time.
public struct Climate: Sendable, CustomStringConvertible {
    public var nodes: Int
    public var partitions: Int
    /// How long the faults go on. Calm follows.
    public var storm: UInt64

    // The group's own spans of time.
    public var electionTimeout: UInt64
    public var heartbeatInterval: UInt64
    public var reconnectDelay: UInt64
    public var timerLateness: UInt64
    public var balanceInterval: UInt64

    /// The first partition keeps a state machine, with snapshots.
    public var isStateful: Bool

    // The network.
    /// Letters of a connection keep their order and are lost only with it, as on TCP. Else each letter is on its own.
    public var isStream: Bool
    public var delay: UInt64
    public var lossPerMille: Int
    public var repetitionPerMille: Int
    /// A byte of a letter's entries is changed on the way.
    public var damagePerMille: Int

    // The disk.
    public var syncDelay: UInt64

    /// The mean span between two faults, or 0 for none at all.
    public var faultInterval: UInt64
    public var faults: [Fault]

    // The load.
    public var producers: Int
    public var produceInterval: UInt64
    public var acksAllPerMille: Int
    public var minimumInSync: Int
    public var consumers: Int
    public var payloadBytes: Int
    /// Idempotent producers, which send a batch until it is acknowledged.
    public var retriers: Int
    /// How many batches of one of them may be under way.
    public var retrierWindow: Int
    /// How many answers they never get.
    public var lostAnswersPerMille: Int

    // Small bounds, so that their edges are met.
    public var segmentBytes: Int64
    public var tailBytes: Int64
    public var indexIntervalBytes: Int64
    public var checkpointBytes: Int64
    public var retentionBytes: Int64?
    public var maxAppendBytes: Int64
    public var maxInflightBytes: Int64
    public var maxInflightAppends: Int

    /// Whether logs are compacted; the state machine's never is.
    public var isCompacted: Bool
    /// The mean span between two requests to delete records, or 0 for none.
    public var trimInterval: UInt64
    /// The consumer groups, where there are some.
    public var groups: GroupClimate?
    /// The nodes that each partition's group begins with, out of all; the others learn of it later.
    public var foundingNodes: Int
    /// The mean span between two wishes for other members of a group, or 0 for none.
    public var wishInterval: UInt64 = 0

    /// What may go wrong at a random moment.
    public enum Fault: String, CaseIterable, Sendable {
        /// The process dies; what it wrote stays in the page cache.
        case kill
        /// The machine dies: what was not synced may be gone.
        case powerLoss
        /// All machines at once.
        case powerLossEverywhere
        /// An orderly stop: leaderships are handed over, logs closed.
        case stop
        case pause
        case slowDisk
        /// Some syncs or writes fail; the machine is restarted later.
        case failingDisk
        /// Nothing more fits; the machine is restarted later.
        case fullDisk
        case oneWayCut
        case partition
        case brokenConnection
    }

    public init(seed: UInt64, nodes: Int? = nil) {
        var random = SimRandom(seed: SimRandom.mix(seed ^ 0x5EED))
        let milliseconds: UInt64 = 1_000_000
        self.nodes = nodes ?? random.pick([3, 3, 5])
        foundingNodes = self.nodes
        partitions = random.pick([1, 1, 2])
        storm = UInt64(random.within(1_500...4_000)) * milliseconds
        electionTimeout = UInt64(random.within(120...300)) * milliseconds
        heartbeatInterval = electionTimeout / UInt64(random.within(4...8))
        reconnectDelay = UInt64(random.within(3...12)) * milliseconds
        timerLateness = UInt64(random.within(1...10)) * milliseconds
        balanceInterval = UInt64(random.pick([200, 500, 5_000, 60_000])) * milliseconds
        isStateful = random.chance(perMille: 350)
        isStream = random.chance(perMille: 500)
        delay = UInt64(random.pick([100, 500, 2_000, 8_000])) * 1_000
        lossPerMille = random.pick([0, 0, 10, 50, 150])
        repetitionPerMille = random.pick([0, 0, 20, 100])
        damagePerMille = random.pick([0, 0, 0, 10])
        syncDelay = UInt64(random.pick([50, 500, 2_000, 10_000])) * 1_000
        faultInterval = random.pick([0, 60, 120, 250, 250]) * milliseconds
        let profile = random.below(4)
        faults = Fault.allCases.filter { _ in profile == 0 || random.chance(perMille: 450) }
        producers = random.within(1...3)
        produceInterval = UInt64(random.pick([4, 10, 25])) * milliseconds
        acksAllPerMille = random.pick([1_000, 800, 500])
        minimumInSync = random.pick([1, 1, 2])
        consumers = random.within(1...2)
        payloadBytes = random.pick([8, 60, 400])
        segmentBytes = Int64(random.pick([700, 3_000, 20_000, 1 << 20]))
        tailBytes = Int64(random.pick([0, 500, 4_000, 1 << 20]))
        indexIntervalBytes = Int64(random.pick([1, 200, 4_096]))
        checkpointBytes = Int64(random.pick([1, 2_000, 20_000, 1 << 26]))
        retentionBytes = random.chance(perMille: 250) ? Int64(random.within(2_000...20_000)) : nil
        maxAppendBytes = Int64(random.pick([1, 600, 4_000, 1 << 20]))
        maxInflightBytes = Int64(random.pick([1_000, 8_000, 8 << 20]))
        maxInflightAppends = random.pick([1, 4, 64])
        retriers = random.pick([0, 1, 2, 2])
        retrierWindow = random.pick([1, 3, 5, 5])
        lostAnswersPerMille = random.pick([0, 20, 200])
        if !isStream {
            // Each append that overtakes another costs a round trip.
            delay = min(delay, 2_000_000)
            maxInflightAppends = min(maxInflightAppends, 4)
        }
        isCompacted = random.chance(perMille: 400)
        trimInterval = UInt64(random.pick([0, 0, 150, 400])) * milliseconds
        produceInterval = max(produceInterval, 4 * UInt64(producers + retriers) * batchInterval)
        if SimRandom.mix(seed ^ 0x9205) % 2 == 0 { groups = GroupClimate(seed: seed, climate: self) }
        var wishes = SimRandom(seed: SimRandom.mix(seed ^ 0x3EB5))
        if wishes.chance(perMille: 330) {
            wishInterval = UInt64(wishes.pick([150, 300, 600])) * milliseconds
            self.nodes = min(6, self.nodes + wishes.within(0...3))
        }
    }

    /// The same seed's climate on a good day.
    public static func quiet(seed: UInt64) -> Self {
        var climate = Self(seed: seed)
        climate.faultInterval = 0
        climate.wishInterval = 0
        climate.isStream = true
        climate.damagePerMille = 0
        climate.balanceInterval = 60_000_000_000
        // A disk of which three syncs take long now and then counts as slow, and leaderships leave it, as they should.
        climate.syncDelay = min(climate.syncDelay, 2_000_000)
        return climate
    }

    var founders: [NodeID] { (0..<foundingNodes).map { NodeID(Int32($0)) } }

    /// The replicas that a partition begins with, the preferred leader first.
    func placement(of number: Int) -> [NodeID] {
        (0..<foundingNodes).map { NodeID(Int32(($0 + number) % foundingNodes)) }
    }

    /// Of records, and of offsets.
    public var allPartitions: Int { partitions + (groups?.offsetsPartitions ?? 0) }

    /// The shortest interval at which the windows, the network and the disks can carry batches. What is offered must
    /// stay below, or the backlog outlasts the storm.
    var batchInterval: UInt64 {
        let roundTrip = 2 * delay + 2 * syncDelay + 2_000_000
        let batchBytes = UInt64(120 + 3 * payloadBytes)
        // What is read for an append ends with its segment.
        let inAppend = max(1, UInt64(min(maxAppendBytes, segmentBytes)) / batchBytes)
        let inWindow = max(1, UInt64(maxInflightBytes) / batchBytes)
        let appends = isStream ? UInt64(maxInflightAppends) : 1
        return roundTrip / min(inAppend * appends, inWindow)
    }

    public var description: String {
        let faultNames = faultInterval == 0 ? "none" : faults.map(\.rawValue).joined(separator: ",")
        return """
            \(nodes) nodes, \(partitions) partitions, \(isStream ? "streams" : "datagrams") of \(delay / 1_000) µs, \
            loss \(lossPerMille)‰, repeated \(repetitionPerMille)‰, damaged \(damagePerMille)‰, \
            sync \(syncDelay / 1_000) µs, \(producers) producers every \(produceInterval / 1_000) µs \
            of \(payloadBytes) B, \(retriers) retrying with \(retrierWindow) under way and \
            \(lostAnswersPerMille)‰ of the answers lost, segments of \(segmentBytes) B, \
            appends of \(maxAppendBytes) B, window \(maxInflightBytes) B in \(maxInflightAppends), \
            election timeout \(electionTimeout / 1_000_000) ms, \
            \(isStateful ? "a state machine, " : "")\(isCompacted ? "compacted, " : "")\
            \(trimInterval > 0 ? "trimmed every \(trimInterval / 1_000_000) ms, " : "")faults: \(faultNames)\
            \(wishInterval > 0 ? ", other members wished every \(wishInterval / 1_000_000) ms" : "")\
            \(groups.map { "; \($0)" } ?? "")
            """
    }
}
