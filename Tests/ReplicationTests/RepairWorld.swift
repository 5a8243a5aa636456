// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RaftCore
import RecordBatches
import Replication
import Simulation

/// Three shards with simulated disks and one partition, of which time passes by the millisecond. Nodes can be stopped
/// and started, and their files changed behind their backs.
final class RepairWorld {
    static let partition = PartitionID(topic: TopicID(high: 5, low: 6), index: 0)

    struct Letter {
        let from: Int
        let to: Int
        let message: Message
        let payload: ByteBuffer?
    }

    struct Rules {
        var nodes = 3
        /// Bytes a second; `nil` is no scrub.
        var scrub: Int64?
        var policy = LogPolicy()
        var segment: Int64 = 4_000
    }

    private(set) var now: UInt64 = 1_000_000_000
    private(set) var nodes: [RepairNode] = []
    private var underWay: [Letter] = []
    let rules: Rules
    private var sent = 0
    private(set) var acknowledged: [Int: Offset] = [:]
    /// Letters that get lost.
    var loses: (Letter) -> Bool = { _ in false }

    init(_ rules: Rules = Rules()) throws {
        self.rules = rules
        for place in 0..<rules.nodes { nodes.append(try RepairNode(place: place, world: self)) }
        for place in 0..<rules.nodes { try start(place) }
    }

    func start(_ place: Int) throws {
        try nodes[place].start()
        for other in nodes.indices where other != place && nodes[other].shard != nil {
            nodes[other].shard?.peerConnected(NodeID(Int32(place)))
            nodes[place].shard?.peerConnected(NodeID(Int32(other)))
        }
    }

    /// The process ends; the machine does not.
    func stop(_ place: Int, cleanly: Bool = false) {
        if cleanly { nodes[place].shard?.close() }
        nodes[place].stop()
        underWay.removeAll { $0.to == place || $0.from == place }
        for other in nodes.indices where other != place { nodes[other].shard?.peerLost(NodeID(Int32(place))) }
    }

    func send(_ letter: Letter) {
        if !loses(letter) { underWay.append(letter) }
    }

    func pass(milliseconds: Int, each work: () -> Void = {}) {
        for _ in 0..<milliseconds {
            now += 1_000_000
            let arriving = underWay
            underWay = []
            for letter in arriving { nodes[letter.to].receive(letter) }
            for node in nodes { node.run() }
            work()
        }
    }

    func pass(atMost milliseconds: Int, until isDone: () -> Bool) -> Bool {
        for _ in 0..<milliseconds {
            if isDone() { return true }
            pass(milliseconds: 1)
        }
        return isDone()
    }

    func replica(_ place: Int) -> Replica<RepairEnvironment>? { nodes[place].shard?.replica(Self.partition) }

    var leader: Int? {
        let leading = nodes.indices.filter { replica($0)?.highWatermark != nil }
        return leading.max { (replica($0)?.term ?? .zero) < (replica($1)?.term ?? .zero) }
    }

    func waitForLeader() -> Int? {
        _ = pass(atMost: 10_000) { leader != nil }
        return leader
    }

    /// Whether all that run hold the same, durably and committed, and undamaged.
    var hasConverged: Bool {
        guard let leader, let end = replica(leader)?.log.end else { return false }
        return nodes.indices.allSatisfy { place in
            guard nodes[place].shard != nil else { return true }
            guard let replica = replica(place) else { return false }
            return replica.stopped == nil && !replica.isRebuilding && !replica.isDamaged && replica.log.durable == end
                && replica.log.end == end && replica.raft.commit == end
        }
    }

    /// One record to whoever leads.
    func produce() {
        guard let leader, let replica = replica(leader) else { return }
        let number = sent
        sent += 1
        var builder = BatchBuilder()
        let text = "\(number)" + String(repeating: "x", count: 100)
        builder.append(
            key: ByteBuffer(string: "k\(number % 7)"), value: ByteBuffer(string: text),
            timestamp: Timestamp(milliseconds: 1_700_000_000_000))
        guard let batch = try? builder.finish(),
            let head = try? BatchValidator.validate(produced: batch, limits: BatchLimits(maximumSize: 1 << 20)).first
        else { preconditionFailure("it makes a batch") }
        replica.produce(
            batch, head: head, acknowledgement: .all(minimumInSync: 1), stampsTime: false,
            deadline: Moment(nanoseconds: now + 4_000_000_000)
        ) { outcome in
            if case .stored(let offset, _, _) = outcome { self.acknowledged[number] = offset }
        }
    }

    /// All entries, as a follower would be sent them.
    func entries(of place: Int) throws -> [[UInt8]] {
        guard let log = replica(place)?.log else { return [] }
        var entries: [[UInt8]] = []
        var at = log.start.position.end
        while at < log.end {
            let slice = try log.read(from: at, limit: ByteCount(1_000))
            for bytes in slice.bytes {
                var position = bytes.readerIndex
                while position < bytes.writerIndex {
                    let head = try EntryHead.parse(bytes, at: position)
                    entries.append(bytes.getBytes(at: position, length: head.totalSize) ?? [])
                    position += head.totalSize
                    at = at.advanced(by: head.slots)
                }
            }
        }
        return entries
    }

    /// What was acknowledged and is not there.
    func lost(at place: Int) throws -> [Int] {
        var offsets: Set<Int64> = []
        for entry in try entries(of: place) {
            let head = try EntryHead.parse(ByteBuffer(bytes: entry))
            if !head.isMarker { offsets.insert(head.baseOffset.rawValue) }
        }
        return acknowledged.keys.sorted().filter { number in
            acknowledged[number].map { !offsets.contains($0.rawValue) } ?? false
        }
    }
}

final class RepairNode {
    let place: Int
    let files: SimFileSystem
    private unowned let world: RepairWorld
    private(set) var shard: Shard<RepairEnvironment>?
    private var environment: RepairEnvironment?
    /// Of all lives.
    private(set) var events: [ShardEvent] = []

    init(place: Int, world: RepairWorld) throws {
        self.place = place
        self.world = world
        files = SimFileSystem(seed: UInt64(place) + 1)
        try files.makeDirectory("data")
    }

    func start() throws {
        let environment = RepairEnvironment(place: place, files: files, world: world) { self.events.append($0) }
        let journal = try HardStateJournal.open(directory: "data/votes", in: files)
        let shard = Shard(
            settings: ShardSettings(
                node: NodeID(Int32(place)),
                timing: RaftTiming(
                    electionTimeout: 300_000_000, heartbeatInterval: 50_000_000, reconnectDelay: 5_000_000),
                limits: RaftLimits(), balanceInterval: 3_600_000_000_000, retentionInterval: 500_000_000,
                checkpointInterval: 500_000_000, seed: UInt64(place) + 7,
                cleaner: CleanerSettings(interval: 300_000_000, keySeed: (1, 2)),
                scrub: ScrubSettings(bytesPerSecond: world.rules.scrub, rest: 200_000_000)),
            environment: environment, journal: journal)
        self.environment = environment
        self.shard = shard
        let replicas = (0..<world.rules.nodes).map { NodeID(Int32($0)) }
        shard.host(
            ReplicaAssignment(
                partition: RepairWorld.partition, replicas: replicas, directory: "data/log",
                limits: LogLimits(
                    segmentBytes: ByteCount(world.rules.segment), segmentMilliseconds: 1 << 40,
                    indexIntervalBytes: ByteCount(500), tailBytes: ByteCount(1_000), checkpointBytes: ByteCount(3_000)),
                policy: world.rules.policy))
        environment.runJobs()
    }

    func stop() {
        shard = nil
        environment = nil
        files.crash(.nothing)
    }

    func receive(_ letter: RepairWorld.Letter) {
        shard?.receive(
            letter.message, of: RepairWorld.partition, payload: letter.payload, from: NodeID(Int32(letter.from)))
    }

    func run() {
        guard let shard, let environment else { return }
        environment.runJobs()
        shard.tick()
        while environment.turnEndAsked {
            environment.turnEndAsked = false
            shard.endOfTurn()
        }
    }

    /// The segments' paths, in log order.
    var segments: [String] {
        ((try? files.list("data/log")) ?? []).filter { $0.hasSuffix(".log") }.map { "data/log/" + $0 }
    }

    func count(_ isIt: (ShardEvent) -> Bool) -> Int { events.count(where: isIt) }
    var repairs: Int { count { if case .repaired = $0 { true } else { false } } }
    var damages: Int { count { if case .damaged = $0 { true } else { false } } }
}

final class RepairEnvironment: ShardEnvironment {
    let place: Int
    let files: SimFileSystem
    private unowned let world: RepairWorld
    private let told: (ShardEvent) -> Void
    var turnEndAsked = false
    private var jobs: [(due: UInt64, run: () -> Void)] = []

    init(place: Int, files: SimFileSystem, world: RepairWorld, told: @escaping (ShardEvent) -> Void) {
        self.place = place
        self.files = files
        self.world = world
        self.told = told
    }

    var now: Moment { Moment(nanoseconds: world.now) }
    var wallClock: Timestamp { Timestamp(milliseconds: 1_700_000_000_000 + Int64(world.now / 1_000_000)) }

    func send(_ message: Message, of group: PartitionID, payload: [ByteBuffer], to peer: NodeID) {
        var bytes: ByteBuffer?
        for piece in payload {
            if bytes == nil { bytes = ByteBuffer() }
            bytes?.writeImmutableBuffer(piece)
        }
        world.send(.init(from: place, to: Int(peer.rawValue), message: message, payload: bytes))
    }

    func flushLetters() {}
    func requestTurnEnd() { turnEndAsked = true }
    func wake(at moment: Moment) {}

    func submit<Answer>(
        _ job: @escaping @Sendable () -> sending Answer, then completion: @escaping (sending Answer) -> Void
    ) {
        jobs.append((world.now + 1_000_000, { completion(job()) }))
    }

    func runJobs() {
        let ready = jobs
        jobs = []
        for job in ready {
            if job.due <= world.now { job.run() } else { jobs.append(job) }
        }
    }

    func learned(_ leadership: Leadership) {}
    func report(_ event: ShardEvent) { told(event) }
}
