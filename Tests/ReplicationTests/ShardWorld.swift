// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RaftCore
import RecordBatches
import Replication
import Simulation

/// A few shards, each with a simulated disk, and time that passes by the millisecond. Letters take one millisecond,
/// disk work as long as it is told to.
final class ShardWorld {
    static let partition = PartitionID(topic: TopicID(high: 1, low: 2), index: 0)
    static let settings = DiskSettings(
        directory: "data", reserve: ByteCount(20_000), probeInterval: 50_000_000, slowSync: 100_000_000,
        recoveryTime: 2_000_000_000, stuckSync: 3_000_000_000, handOverInterval: 1_000_000_000,
        reopenFirst: 50_000_000, reopenLast: 400_000_000)

    struct Letter {
        let from: Int
        let to: Int
        let message: Message
        let group: PartitionID
        let payload: ByteBuffer?
    }

    /// In nanoseconds.
    private(set) var now: UInt64 = 1_000_000_000
    private(set) var nodes: [ShardNode] = []
    private var underWay: [Letter] = []
    /// `cuts[a][b]`: what a sends does not reach b.
    var cuts: [[Bool]]
    var isPaused: [Bool]
    private(set) var letters = 0

    init(
        nodes count: Int = 3, seed: UInt64 = 1, disk: DiskSettings = settings, balance: UInt64 = 3_600_000_000_000,
        catchUp: CatchUpSettings = CatchUpSettings(), founders: [Int]? = nil
    ) throws {
        cuts = Array(repeating: Array(repeating: false, count: count), count: count)
        isPaused = Array(repeating: false, count: count)
        for place in 0..<count {
            let node = ShardNode(place: place, seed: seed &* 31 &+ UInt64(place), world: self)
            nodes.append(node)
            try node.start(disk: disk, balance: balance, catchUp: catchUp, founders: founders ?? Array(0..<count))
        }
        now += 2_000_000
        for node in nodes { node.environment.runJobs() }
        for one in 0..<count { for other in 0..<count where one != other { connect(one, other) } }
    }

    /// All nodes are told who should belong to the group.
    func wish(_ replicas: [Int], learners: [Int] = []) {
        for node in nodes {
            var assignment = node.assignment
            assignment.replicas = replicas.map { NodeID(Int32($0)) }
            assignment.learners = learners.map { NodeID(Int32($0)) }
            assignment.isSettled = false
            node.shard.replica(Self.partition)?.adopt(assignment)
        }
    }

    func connect(_ one: Int, _ other: Int) {
        nodes[one].shard.peerConnected(NodeID(Int32(other)))
    }

    func send(_ letter: Letter) {
        letters += 1
        underWay.append(letter)
    }

    /// One millisecond.
    func pass() {
        now += 1_000_000
        let arriving = underWay
        underWay = []
        for letter in arriving where !cuts[letter.from][letter.to] {
            if isPaused[letter.to] { underWay.append(letter) } else { nodes[letter.to].receive(letter) }
        }
        for node in nodes where !isPaused[node.place] { node.run() }
    }

    func pass(milliseconds: Int, each work: () -> Void = {}) {
        for _ in 0..<milliseconds {
            pass()
            work()
        }
    }

    /// Lets time pass until `isDone`, and says whether that was within the bound.
    func pass(atMost milliseconds: Int, until isDone: () -> Bool) -> Bool {
        for _ in 0..<milliseconds {
            if isDone() { return true }
            pass()
        }
        return isDone()
    }

    func replica(_ place: Int) -> Replica<WorldEnvironment> {
        guard let replica = nodes[place].shard.replica(Self.partition) else { preconditionFailure("it is hosted") }
        return replica
    }

    /// Who leads, has a quorum and shows a high watermark; the highest term wins.
    var leader: Int? {
        nodes.indices.filter { replica($0).highWatermark != nil }.max { replica($0).term < replica($1).term }
    }

    func waitForLeader() -> Int? {
        _ = pass(atMost: 5_000) { leader != nil }
        return leader
    }

    /// Whether all replicas hold the same, durably and committed.
    var hasConverged: Bool {
        guard let leader else { return false }
        let end = replica(leader).log.end
        return nodes.indices.allSatisfy { place in
            let replica = replica(place)
            return replica.stopped == nil && !replica.isRebuilding && replica.log.end == end
                && replica.log.durable == end && replica.raft.commit == end
        }
    }

    func records(of place: Int) throws -> [String] { try Self.records(in: replica(place).log) }

    /// What the disk of a node holds once its power has gone.
    func recordsAfterPowerLoss(of place: Int) throws -> [String] {
        let files = nodes[place].files
        files.crash(.all)
        return try Self.records(
            in: PartitionLog.open(
                directory: "data/log", in: files, limits: nodes[place].assignment.limits,
                now: Timestamp(milliseconds: 0)))
    }

    private static func records(in log: PartitionLog<SimFileSystem>) throws -> [String] {
        var found: [String] = []
        var at = log.start.position.end
        while at < log.end {
            let slice = try log.read(from: at, limit: .mebibytes(1))
            for bytes in slice.bytes {
                for entry in try EntryHead.all(in: bytes, verifyingChecksums: true) {
                    at = at.advanced(by: entry.slots)
                    if !entry.isMarker { found.append("\(entry.baseOffset.rawValue):\(entry.crc)") }
                }
            }
        }
        return found
    }
}

/// One shard with its disk.
final class ShardNode {
    let place: Int
    let files: SimFileSystem
    let environment: WorldEnvironment
    private(set) var shard: Shard<WorldEnvironment>
    private(set) var assignment: ReplicaAssignment

    init(place: Int, seed: UInt64, world: ShardWorld) {
        self.place = place
        assignment = Self.assignment(founders: [])
        files = SimFileSystem(seed: seed)
        environment = WorldEnvironment(place: place, files: files, world: world)
        do {
            try files.makeDirectory("data")
            let journal = try HardStateJournal.open(directory: "data/votes", in: files)
            shard = Self.shard(
                environment, journal, disk: ShardWorld.settings, balance: 1, catchUp: CatchUpSettings(), seed: seed)
        } catch {
            preconditionFailure("a new disk takes a journal: \(error)")
        }
    }

    private static func shard(
        _ environment: WorldEnvironment, _ journal: sending HardStateJournal<SimFileSystem>, disk: DiskSettings,
        balance: UInt64, catchUp: CatchUpSettings, seed: UInt64
    ) -> Shard<WorldEnvironment> {
        Shard(
            settings: ShardSettings(
                node: NodeID(Int32(environment.place)),
                timing: RaftTiming(
                    electionTimeout: 300_000_000, heartbeatInterval: 50_000_000, reconnectDelay: 5_000_000),
                limits: RaftLimits(), balanceInterval: balance, retentionInterval: 500_000_000,
                checkpointInterval: 500_000_000, seed: seed,
                cleaner: CleanerSettings(interval: 3_600_000_000_000, keySeed: (1, 2)), disk: disk,
                catchUp: catchUp),
            environment: environment, journal: journal)
    }

    private static func assignment(founders: [Int]) -> ReplicaAssignment {
        ReplicaAssignment(
            partition: ShardWorld.partition, replicas: founders.map { NodeID(Int32($0)) }, directory: "data/log",
            limits: LogLimits(
                segmentBytes: ByteCount(4_000), segmentMilliseconds: 1 << 40, indexIntervalBytes: ByteCount(500),
                tailBytes: ByteCount(2_000), checkpointBytes: ByteCount(3_000)))
    }

    func start(disk: DiskSettings, balance: UInt64, catchUp: CatchUpSettings, founders: [Int]) throws {
        let journal = try HardStateJournal.open(directory: "data/votes", in: files)
        shard = Self.shard(
            environment, journal, disk: disk, balance: balance, catchUp: catchUp, seed: UInt64(place) + 7)
        assignment = Self.assignment(founders: founders)
        shard.host(assignment)
    }

    func receive(_ letter: ShardWorld.Letter) {
        shard.receive(
            letter.message, of: letter.group, payload: letter.payload, from: NodeID(Int32(letter.from)))
    }

    func run() {
        environment.runJobs()
        shard.tick()
        while environment.turnEndAsked {
            environment.turnEndAsked = false
            shard.endOfTurn()
        }
    }
}

final class WorldEnvironment: ShardEnvironment {
    let place: Int
    let files: SimFileSystem
    private unowned let world: ShardWorld
    var turnEndAsked = false
    var wallClockJump: Int64 = 0
    /// How long disk work takes, in nanoseconds; `nil` is for ever.
    var diskDelay: UInt64? = 1_000_000
    private var jobs: [(due: UInt64?, run: () -> Void)] = []
    private(set) var events: [ShardEvent] = []

    init(place: Int, files: SimFileSystem, world: ShardWorld) {
        self.place = place
        self.files = files
        self.world = world
    }

    var now: Moment { Moment(nanoseconds: world.now) }
    var wallClock: Timestamp {
        Timestamp(milliseconds: 1_700_000_000_000 + Int64(world.now / 1_000_000) + wallClockJump)
    }

    func send(_ message: Message, of group: PartitionID, payload: [ByteBuffer], to peer: NodeID) {
        var bytes: ByteBuffer?
        for piece in payload {
            if bytes == nil { bytes = ByteBuffer() }
            bytes?.writeImmutableBuffer(piece)
        }
        world.send(.init(from: place, to: Int(peer.rawValue), message: message, group: group, payload: bytes))
    }

    func flushLetters() {}
    func requestTurnEnd() { turnEndAsked = true }
    func wake(at moment: Moment) {}

    func submit<Answer>(
        _ job: @escaping @Sendable () -> sending Answer, then completion: @escaping (sending Answer) -> Void
    ) {
        jobs.append((diskDelay.map { world.now + $0 }, { completion(job()) }))
    }

    func runJobs() {
        let ready = jobs
        jobs = []
        for job in ready {
            if let due = job.due, due <= world.now { job.run() } else { jobs.append(job) }
        }
    }

    /// A disk that was stuck answers at last.
    func unstick() {
        diskDelay = 1_000_000
        jobs = jobs.map { (world.now, $0.run) }
    }

    private(set) var lastLeadership: Leadership?
    func learned(_ leadership: Leadership) { lastLeadership = leadership }
    func report(_ event: ShardEvent) { events.append(event) }
    /// What the leader here has told the node of its group's members.
    private(set) var settled: [RaftMembers] = []
    func membersCommitted(_ partition: PartitionID, _ members: RaftMembers) { settled.append(members) }

    /// How many of the events say this.
    func count(_ isIt: (ShardEvent) -> Bool) -> Int { events.count(where: isIt) }
}

/// A producer that sends numbered records to whoever leads and remembers what became of each.
final class WorldLoad {
    private let world: ShardWorld
    private var next = 0
    private(set) var acknowledged: [Int: Offset] = [:]
    private(set) var failures: [ProduceFailure] = []
    private(set) var refused: [Int: ProduceFailure] = [:]
    private(set) var checksums: [Int: UInt32] = [:]
    /// When each acknowledgement came, in nanoseconds.
    private(set) var times: [UInt64] = []

    init(_ world: ShardWorld) { self.world = world }

    var sent: Int { next }

    /// Sends a record now and then, for a load that lasts.
    func trickle() {
        if world.now % 20_000_000 == 0 { produce() }
    }

    /// Sends one record of `size` bytes to `place`, or to the leader.
    func produce(to place: Int? = nil, size: Int = 100) {
        guard let place = place ?? world.leader else { return }
        let number = next
        next += 1
        var builder = BatchBuilder()
        let text = String(number) + String(repeating: "x", count: size)
        builder.append(key: nil, value: ByteBuffer(string: text), timestamp: Timestamp(milliseconds: 1_700_000_000_000))
        guard let batch = try? builder.finish(),
            let head = try? BatchValidator.validate(
                produced: batch, limits: BatchLimits(maximumSize: 1 << 20)
            ).first
        else { preconditionFailure("it makes a batch") }
        checksums[number] = head.crc
        world.replica(place).produce(
            batch, head: head, acknowledgement: .all(minimumInSync: 1), stampsTime: false,
            deadline: Moment(nanoseconds: world.now + 4_000_000_000)
        ) { outcome in
            switch outcome {
            case .stored(let offset, _, _):
                self.acknowledged[number] = offset
                self.times.append(self.world.now)
            case .failed(let failure):
                self.failures.append(failure)
                self.refused[number] = failure
            }
        }
    }

    /// What was acknowledged and is not where it was said to be, or was refused for good and is there all the same.
    func flaws(in records: [String]) -> [String] {
        let there = Set(records)
        var flaws: [String] = []
        for (number, offset) in acknowledged.sorted(by: { $0.key < $1.key }) {
            let name = "\(offset.rawValue):\(checksums[number] ?? 0)"
            if !there.contains(name) { flaws.append("record \(number) is not at \(offset.rawValue)") }
        }
        let checksums = Set(records.compactMap { $0.split(separator: ":").last.flatMap { UInt32($0) } })
        for (number, failure) in refused.sorted(by: { $0.key < $1.key }) where failure != .timedOut {
            if let crc = self.checksums[number], checksums.contains(crc) {
                flaws.append("record \(number) was refused (\(failure)) and is there")
            }
        }
        return flaws
    }
}
