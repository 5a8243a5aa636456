// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Groups of pure nodes under loss, repetition, reordering and crashes, from a seed.
/// T-L4 (redpanda 3d9a794c2f).
@Suite struct RandomRunTests {
    @Test(arguments: 0..<20)
    func nothingCommittedIsEverContradicted(batch: Int) {
        for seed in UInt64(batch * 25)..<UInt64(batch * 25 + 25) {
            var run = RandomRun(seed: seed)
            run.storm(events: 1_200)
            run.calm()
            #expect(run.bench.oracle.violations.isEmpty, "seed \(seed): \(run.bench.oracle.violations)")
        }
    }

    /// The oracle must be able to see: a disk that forgets its vote gives some term two leaders, or worse.
    @Test func forgottenVotesAreFound() {
        let caught = (UInt64(0)..<300).first { seed in
            var run = RandomRun(seed: seed)
            run.forgetsVotes = true
            run.storm(events: 1_200)
            return !run.bench.oracle.violations.isEmpty
        }
        #expect(caught != nil)
    }

    /// A disk that says "durable" before it is so loses what was committed.
    @Test func lyingDisksAreFound() {
        let caught = (UInt64(0)..<300).first { seed in
            var run = RandomRun(seed: seed)
            run.forgetsEntries = true
            run.storm(events: 1_200)
            return !run.bench.oracle.violations.isEmpty
        }
        #expect(caught != nil)
    }
}

struct RandomRun {
    var bench: Bench
    var random: SeededRandom
    let seed: UInt64
    let lossPercent: Int
    let crashPerMille: Int
    var forgetsVotes = false
    var forgetsEntries = false
    private var cuts: Set<[Int]> = []

    init(seed: UInt64, voters given: Int? = nil, strangers: Int = 0) {
        self.seed = seed
        random = SeededRandom(seed: seed)
        let drawn = [1, 3, 3, 3, 4, 5, 5][random.below(7)]
        let voters = given ?? drawn
        let limits = RaftLimits(
            maxAppendBytes: ByteCount(Int64(100 * (1 + random.below(4)))),
            maxInflightBytes: ByteCount(Int64(200 * (1 + random.below(8)))), maxInflightAppends: 1 + random.below(6))
        lossPercent = [0, 0, 5, 20][random.below(4)]
        crashPerMille = [0, 5, 15][random.below(3)]
        bench = Bench(
            voters: voters, learners: given == nil ? random.below(2) : 0, limits: limits, seed: seed,
            strangers: strangers, eagerCommit: random.chance(30))
    }

    mutating func storm(events: Int) {
        for number in 0..<events {
            event()
            if number % 64 == 0 { bench.oracle.compare(bench.members) }
            if !bench.oracle.violations.isEmpty { return }
        }
        bench.oracle.compare(bench.members)
    }

    mutating func event() {
        let place = random.below(bench.members.count)
        switch random.below(100) {
        case 0..<55: deliverOne()
        case 55..<65: bench.persist(place)
        case 65..<75: bench.sync(place)
        case 75..<82:
            for leader in bench.leaders { bench.propose(leader, slots: Int64(1 + random.below(3))) }
        case 82..<90:
            for leader in bench.leaders { bench.replicate(leader) }
        case 90..<97:
            bench.pass(milliseconds: UInt64(random.below(60)))
            for member in bench.members.indices where bench[member].deadline <= bench.now { bench.step(member, .tick) }
        default: disturb(place)
        }
        if random.below(1_000) < crashPerMille { crashOrRestart(place) }
    }

    mutating func deliverOne() {
        guard !bench.flights.isEmpty else { return }
        // Mostly the oldest, sometimes any: letters overtake each other.
        let place = random.chance(80) ? 0 : random.below(bench.flights.count)
        let flight = random.chance(5) ? bench.flights[place] : bench.flights.remove(at: place)
        if bench.flights.count > 200 { bench.flights.removeFirst(100) }
        if random.chance(lossPercent) || cuts.contains([Int(flight.from.rawValue), Int(flight.to.rawValue)]) { return }
        bench.deliver(flight)
    }

    private mutating func disturb(_ place: Int) {
        let other = NodeID(Int32(random.below(bench.members.count)))
        switch random.below(6) {
        case 0: bench.step(place, .peerLost(other))
        case 1: bench.step(place, .peerConnected(other))
        case 2: bench.step(place, .transferLeadership(to: other))
        case 3: cuts.insert([place, Int(other.rawValue)])
        case 4: cuts.removeAll()
        default: compactLeader()
        }
    }

    /// Retention: a prefix of what a leader has committed goes.
    private mutating func compactLeader() {
        guard let leader = bench.leaders.first, random.chance(50) else { return }
        let member = bench.members[leader]
        guard let last = member.log.last(where: { $0.end <= member.node.commit && $0.end <= member.durable }) else {
            return
        }
        let anchor = LogAnchor(position: LogPosition(term: last.term, end: last.end), offset: .zero)
        bench.members[leader].forgetEntries(through: anchor)
        bench.step(leader, .logStartMoved(anchor))
    }

    private mutating func crashOrRestart(_ place: Int) {
        guard bench.members[place].isUp else {
            bench.restart(place)
            return
        }
        crash(place)
    }

    mutating func crash(_ place: Int) {
        let unsynced = bench.members[place].log.count - bench.durableImage(place).count
        bench.crash(
            place, keepingUnsynced: random.below(unsynced + 1), keepsHardState: random.chance(50),
            undoes: random.chance(50))
        bench.oracle.crashed(place)
        if forgetsVotes { bench.members[place].disk = HardState(term: bench.members[place].log.last?.term ?? .zero) }
        if forgetsEntries, random.chance(50) {
            bench.members[place].log = bench.members[place].log.dropLast(3)
            bench.members[place].durable = bench.members[place].end
        }
        for peer in bench.members.indices where peer != place {
            bench.step(peer, .peerLost(NodeID(Int32(place))))
        }
    }

    mutating func heal() {
        cuts.removeAll()
        for place in bench.members.indices where !bench.members[place].isUp { bench.restart(place) }
        bench.settle()
    }

    /// The faults end: one leader comes, and what it takes in is committed everywhere.
    mutating func calm() {
        guard bench.oracle.violations.isEmpty else { return }
        heal()
        bench.run(milliseconds: 8_000)
        #expect(bench.leaders.count == 1, "seed \(seed): leaders \(bench.leaders)")
        guard let leader = bench.leaders.first else { return }
        bench.propose(leader)
        bench.settle()
        bench.run(milliseconds: 1_000)
        bench.oracle.compare(bench.members)
        let end = bench.members[leader].end
        for member in bench.members {
            #expect(member.node.commit == end, "seed \(seed): \(member.node.id) has \(member.node.commit) of \(end)")
        }
    }
}
