// SPDX-License-Identifier: Apache-2.0

import Broker
import LogModel
import RaftCore
import Replication
import Settings

/// The weather and the load of one run of whole nodes, drawn from the seed.
///
/// Zero is a frequent value: a run in which only one thing goes wrong shows what a run full of noise hides.
/// All spans are nanoseconds of virtual time.
public struct WorldClimate: Sendable, CustomStringConvertible {
    /// What kind of run this is.
    public enum Profile: String, CaseIterable, Sendable {
        /// Three nodes, one partition, crashes only.
        case lite
        /// Anything.
        case ordinary
        /// Topics grow, configs change, nodes come and go.
        case reconfiguration
        /// The disks fail in every way.
        case disks
        /// No faults at all: what must hold on a good day.
        case quiet
    }

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
        /// The wall clock of a machine jumps.
        case clockJump
        case slowDisk
        /// Some syncs or writes fail; the machine is restarted later.
        case failingDisk
        /// Nothing more fits; the machine is restarted later.
        case fullDisk
        /// What a disk is asked for it does not finish for long.
        case stuckDisk
        /// What was durable is damaged, on so few disks that a majority of sound copies is left of everything.
        case rot
        case oneWayCut
        /// Two sides, of any shape.
        case partition
        /// One node hears nobody, and nobody hears it.
        case isolation
        /// Two sides with one node that both of them reach.
        case bridge
        /// Everybody reaches neighbours only.
        case ring
        /// One direction of a link stands still, and then delivers all of it.
        case clog
        /// All links of some nodes are clogged one after the other, and opened in another order.
        case swizzle
        case slowLink
        case brokenConnection
        /// Connections break again and again for a while.
        case flapping
    }

    public var profile: Profile
    /// The parts that a run of shards alone has too.
    public var base: Climate
    public var faults: [Fault]
    /// The mean span between two faults, or 0 for none at all.
    public var faultInterval: UInt64
    /// Faults begin before the topics are made.
    public var startsInStorm: Bool

    /// The topics that clients write to.
    public var topics: [String]
    public var partitions: Int
    public var replicationFactor: Int
    /// Topics that are compacted.
    public var compacted: Set<String>
    /// How a client's connection fares.
    public var clientDelay: UInt64
    /// How many requests end with their connection's end, at whatever byte.
    public var resetPerMille: Int
    public var requestTimeout: UInt64
    public var idempotents: Int
    public var plains: Int
    public var readers: Int
    /// How many requests for something else are among a client's.
    public var chatterPerMille: Int
    public var compressedPerMille: Int
    public var trimInterval: UInt64
    /// The mean span between two wishes to move a partition to other nodes, or 0 for none.
    public var moveInterval: UInt64
    /// The faults that do not happen, counted from 0: how a run is made smaller.
    public var withoutFaults: Set<Int> = []
    /// Whims of the code itself (`LogModel.Whim`).
    public var hasWhims: Bool

    public var nodes: Int { base.nodes }
    var rots: Bool { faults.contains(.rot) }
    var losesPower: Bool { faults.contains(.powerLoss) || faults.contains(.powerLossEverywhere) }
    /// Whether the disks may lose what is not synchronized, or refuse to take it.
    var losesMarks: Bool { losesPower || faults.contains(.failingDisk) || faults.contains(.fullDisk) }

    public init(seed: UInt64, profile: Profile? = nil) {
        var random = SimRandom(seed: SimRandom.mix(seed ^ 0x0A11_B0D1))
        let milliseconds: UInt64 = 1_000_000
        base = Climate(seed: seed)
        let profile =
            profile ?? random.pick([.lite, .ordinary, .ordinary, .ordinary, .reconfiguration, .disks, .disks, .quiet])
        self.profile = profile
        if random.chance(perMille: 60) { base.nodes = 1 }
        if profile == .lite { base.nodes = 3 }
        if profile == .reconfiguration, random.chance(perMille: 700) { base.nodes = 5 }
        moveInterval = profile == .reconfiguration ? UInt64(random.pick([100, 300, 800])) * milliseconds : 0
        topics = profile != .lite && random.chance(perMille: 300) ? ["events", "table"] : ["events"]
        partitions = profile == .lite ? 1 : random.pick([1, 1, 2, 3])
        base.partitions = partitions
        let isWide = base.nodes == 5 && moveInterval == 0 && random.chance(perMille: 500)
        replicationFactor = isWide ? 5 : min(3, base.nodes)
        compacted = random.chance(perMille: 300) ? ["events"] : []
        if topics.contains("table") { compacted.insert("table") }
        faultInterval = random.pick([0, 60, 120, 250, 250, 500]) * milliseconds
        if profile == .quiet { faultInterval = 0 }
        let isAll = random.below(4) == 0
        let crashes: Set<Fault> = [.kill, .powerLoss, .powerLossEverywhere, .stop]
        let disks: Set<Fault> = [
            .powerLoss, .powerLossEverywhere, .slowDisk, .failingDisk, .fullDisk, .stuckDisk, .rot, .kill,
        ]
        faults = Fault.allCases.filter { fault in
            switch profile {
            case .lite: crashes.contains(fault)
            case .disks: disks.contains(fault)
            case .quiet: false
            case .ordinary, .reconfiguration: isAll || random.chance(perMille: 350)
            }
        }
        // Half of the disks that rot do so wherever they like, and have no other fault: see `World.rot`.
        if faults.contains(.rot), random.coin() {
            let others: Set<Fault> = [.powerLoss, .powerLossEverywhere, .failingDisk, .fullDisk]
            faults.removeAll { others.contains($0) }
        }
        startsInStorm = random.chance(perMille: 300)
        clientDelay = UInt64(random.pick([50, 200, 1_000, 5_000])) * 1_000
        resetPerMille = profile == .quiet ? 0 : random.pick([0, 0, 10, 50])
        requestTimeout = UInt64(random.pick([300, 600, 1_500])) * milliseconds
        idempotents = random.within(1...2)
        plains = random.within(1...2)
        readers = random.within(1...2)
        chatterPerMille = random.pick([0, 30, 150])
        compressedPerMille = random.pick([0, 0, 300, 800])
        trimInterval = UInt64(random.pick([0, 0, 150, 400])) * milliseconds
        hasWhims = profile != .quiet && random.coin()
        base.groups = profile == .lite || random.chance(perMille: 400) ? nil : GroupClimate(seed: seed, climate: base)
        base.groups?.expands = false
        if profile == .quiet {
            base.groups?.lossPerMille = 0
            base.groups?.faultInterval = 0
            base.isStream = true
            base.damagePerMille = 0
            // Three long syncs in a row make a disk slow, and leaderships leave it, as they should.
            base.syncDelay = min(base.syncDelay, 2_000_000)
        }
    }

    public var description: String {
        let names = faultInterval == 0 || faults.isEmpty ? "none" : faults.map(\.rawValue).joined(separator: ",")
        return """
            \(profile.rawValue): \(topics.joined(separator: "+")) of \(partitions) partitions on \(replicationFactor) \
            of \(nodes) nodes\(compacted.isEmpty ? "" : ", compacted \(compacted.sorted())"), clients at \
            \(clientDelay / 1_000) µs, \(resetPerMille)‰ resets, \(idempotents) idempotent, \(plains) plain, \
            \(readers) readers, \(trimInterval > 0 ? "trimmed, " : "")\(moveInterval > 0 ? "moved, " : "")\
            \(hasWhims ? "whims, " : "")faults every \(faultInterval / 1_000_000) ms: \(names); \(base.summary)
            """
    }
}

extension Climate {
    /// Network, disk and bounds in a few words.
    fileprivate var summary: String {
        """
        \(isStream ? "streams" : "datagrams") of \(delay / 1_000) µs, loss \(lossPerMille)‰, repeated \
        \(repetitionPerMille)‰, damaged \(damagePerMille)‰, sync \(syncDelay / 1_000) µs, segments of \
        \(segmentBytes) B, appends of \(maxAppendBytes) B, window \(maxInflightBytes) B in \(maxInflightAppends), \
        election timeout \(electionTimeout / 1_000_000) ms\(groups.map { "; \($0)" } ?? "")
        """
    }
}

extension WorldClimate {
    /// How long a cluster may take to form, and its topics to be made, when nothing goes wrong.
    var patience: UInt64 { 40 * base.electionTimeout + 8_000_000_000 }

    func nodeSettings(of node: NodeID) -> NodeSettings {
        var settings = NodeSettings()
        settings.node.id = node
        settings.node.data = "data"
        settings.node.shards = 1
        settings.node.rack = "r\(node.rawValue % 3)"
        settings.voters = (0..<Int32(nodes)).map { Voter(id: NodeID($0), address: Self.peerAddress(NodeID($0))) }
        settings.kafka.listen = NetworkAddress(host: "n\(node.rawValue)", port: 9092)
        settings.peer.listen = Self.peerAddress(node)
        settings.storage.segmentBytes = ByteCount(base.segmentBytes)
        settings.storage.tailBytes = ByteCount(base.tailBytes)
        settings.topics.defaultReplicationFactor = replicationFactor
        if let groups = base.groups { settings.groups = groups.settings }
        settings.groups.offsets.topicPartitions = base.groups?.offsetsPartitions ?? 1
        settings.groups.offsets.topicReplicationFactor = replicationFactor
        settings.groups.offsets.topicSegmentBytes = ByteCount(max(16 << 10, base.segmentBytes))
        return settings
    }

    private static func peerAddress(_ node: NodeID) -> NetworkAddress {
        NetworkAddress(host: "n\(node.rawValue)", port: 9192)
    }

    func shardSettings(of node: NodeID, _ world: World) -> ShardSettings {
        ShardSettings(
            node: node,
            timing: RaftTiming(
                electionTimeout: base.electionTimeout, heartbeatInterval: base.heartbeatInterval,
                reconnectDelay: base.reconnectDelay),
            limits: RaftLimits(
                maxAppendBytes: ByteCount(base.maxAppendBytes), maxInflightBytes: ByteCount(base.maxInflightBytes),
                maxInflightAppends: base.maxInflightAppends),
            balanceInterval: base.balanceInterval, retentionInterval: 150_000_000, checkpointInterval: 400_000_000,
            producerExpiration: world.planted == .forgetfulLeaders ? 0 : 86_400_000, seed: world.random.next(),
            cleaner: CleanerSettings(interval: 200_000_000, keySeed: (world.random.next(), world.random.next())),
            disk: DiskSettings(
                directory: "data", reserve: ByteCount(2_000), probeInterval: 50_000_000, slowSync: 25_000_000,
                recoveryTime: 500_000_000, stuckSync: 1_000_000_000, handOverInterval: 500_000_000,
                reopenFirst: 20_000_000, reopenLast: 500_000_000),
            scrub: ScrubSettings(bytesPerSecond: 20 << 20, rest: 300_000_000))
    }

    func brokerSettings(of node: NodeID) -> BrokerSettings {
        let settings = nodeSettings(of: node)
        var made = BrokerSettings(
            node: node, topics: settings.topics, topicDefaults: TopicDefaults(settings), groups: settings.groups,
            voters: nodes, fetchLimit: Int(settings.fetches.bytesMax.rawValue),
            fetchWaitLimit: settings.fetches.waitMax.wholeNanoseconds,
            produceWaitLimit: settings.requests.produceWaitMax.wholeNanoseconds, shown: [])
        made.fetchSessionSlots = 3
        made.logDirectory = "data/topics"
        return made
    }
}
