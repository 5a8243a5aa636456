// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Groups whose members change all the while, under loss, repetition, reordering, crashes and lost disks, from a seed.
@Suite struct MembersRunTests {
    @Test(arguments: 0..<10)
    func nothingCommittedIsEverContradicted(batch: Int) {
        for seed in UInt64(batch * 12)..<UInt64(batch * 12 + 12) {
            var run = MembersRun(seed: seed)
            run.storm(events: 1_500)
            run.calm()
            #expect(run.bench.oracle.violations.isEmpty, "seed \(seed): \(run.bench.oracle.violations)")
        }
    }

    /// The runs get somewhere: members change, disks are lost, and leaders too.
    @Test func theRunsGetSomewhere() {
        var changes = 0
        var wipes = 0
        var commits = 0
        for seed in UInt64(0)..<20 {
            var run = MembersRun(seed: seed)
            run.storm(events: 1_500)
            changes += run.bench.oracle.committed.count { $0.members?.isJoint == true }
            commits += run.bench.oracle.committed.count
            wipes += run.wipes
        }
        let figures = "\(changes) changes, \(wipes) wipes, \(commits) commits"
        #expect(changes > 40, "\(figures)")
        #expect(wipes > 10, "\(figures)")
        #expect(commits > 1_000, "\(figures)")
    }

    /// The oracle must be able to see: who loses its disk without knowing takes away what it had promised.
    @Test func unnoticedWipesAreFound() {
        let caught = (UInt64(0)..<400).first { seed in
            var run = MembersRun(seed: seed)
            run.wipesUnnoticed = true
            run.storm(events: 1_500)
            return !run.bench.oracle.violations.isEmpty
        }
        #expect(caught != nil)
    }
}

struct MembersRun {
    var run: RandomRun
    var wished: RaftMembers
    var wipesUnnoticed = false
    private(set) var wipes = 0
    private let seed: UInt64
    private let strangers: Int
    private let hasWipes: Bool

    var bench: Bench { run.bench }

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededRandom(seed: seed ^ 0x5eed)
        let voters = [1, 3, 3, 3, 5][random.below(5)]
        strangers = 6 - voters
        // Of fewer than three voters one that is lost is missed for good.
        hasWipes = voters >= 3 && random.chance(50)
        run = RandomRun(seed: seed, voters: voters, strangers: strangers)
        wished = run.bench.roster
    }

    mutating func storm(events: Int) {
        for number in 0..<events {
            run.event()
            if run.random.below(25) == 0 { breathe() }
            if run.random.below(60) == 0 { wish() }
            if run.random.below(8) == 0 { drive(patiently: run.random.chance(60)) }
            if hasWipes, run.random.below(150) == 0 { wipe(run.random.below(6)) }
            if number % 64 == 0 {
                run.bench.oracle.compare(run.bench.members)
                run.bench.oracle.checkQuorums(run.bench.members)
            }
            if !bench.oracle.violations.isEmpty { return }
        }
    }

    /// For a moment disks and letters keep up, though some letters are still lost: otherwise no change would ever end.
    private mutating func breathe() {
        for _ in 0..<(2 + run.random.below(6)) {
            for place in bench.members.indices {
                if run.random.chance(80) { run.bench.persist(place) }
                if run.random.chance(80) { run.bench.sync(place) }
                run.bench.replicate(place)
            }
            for _ in 0..<bench.flights.count { run.deliverOne() }
        }
        run.bench.pass(milliseconds: UInt64(run.random.below(120)))
        for place in bench.members.indices where bench[place].deadline <= bench.now { run.bench.step(place, .tick) }
    }

    private mutating func wish() {
        let least = hasWipes ? 3 : 1
        var voters: [NodeID] = []
        let count = least + run.random.below(6 - least)
        while voters.count < count {
            let node = NodeID(Int32(run.random.below(6)))
            if !voters.contains(node) { voters.append(node) }
        }
        let learner = NodeID(Int32(run.random.below(6)))
        wished = RaftMembers(voters: voters, learners: run.random.chance(20) ? [learner] : [])
    }

    /// Each leader makes a step towards what is wished for; an impatient one promotes whoever is a learner.
    private mutating func drive(patiently: Bool) {
        for leader in bench.leaders {
            let node = bench[leader]
            let members = node.members
            guard !members.isJoint else { continue }
            let joining = wished.voters.filter { !members.voters.contains($0) }
            var next = RaftMembers(voters: members.voters, learners: wished.learners + joining)
            if wished.voters != members.voters, joining.allSatisfy({ members.learners.contains($0) }) {
                let isReady = joining.allSatisfy { peer in
                    node.progress(of: peer).map { $0.match.rawValue + 8 > node.commit.rawValue } ?? false
                }
                if isReady || !patiently {
                    next = RaftMembers(voters: wished.voters, outgoing: members.voters, learners: wished.learners)
                }
            }
            run.bench.change(leader, to: next)
        }
    }

    /// One disk at a time is lost, and the next only when that one's log is rebuilt.
    private mutating func wipe(_ place: Int) {
        let members = bench.members
        guard bench.oracle.committed.count > 2, !bench.leaders.isEmpty else { return }
        guard members.allSatisfy({ !$0.isRebuilding || !isKnown($0.node.id) }), isKnown(NodeID(Int32(place))) else {
            return
        }
        if members[place].isUp { run.crash(place) }
        run.bench.wipe(place, unnoticed: wipesUnnoticed)
        wipes += 1
    }

    /// Whether a node may have promised anything that counts.
    private func isKnown(_ node: NodeID) -> Bool {
        bench.members.contains { $0.node.members.isElector(node) }
    }

    /// The faults end: one leader comes, the wished members come, and what is taken in is committed by all of them.
    mutating func calm() {
        guard bench.oracle.violations.isEmpty else { return }
        run.heal()
        run.bench.run(milliseconds: 8_000)
        for _ in 0..<60 {
            if let leader = bench.leaders.first, bench[leader].members == wished, bench[leader].membersAreCommitted {
                break
            }
            drive(patiently: true)
            run.bench.run(milliseconds: 400)
        }
        #expect(bench.leaders.count == 1, "seed \(seed): leaders \(bench.leaders)")
        guard let leader = bench.leaders.first else { return }
        run.bench.propose(leader)
        run.bench.settle()
        run.bench.run(milliseconds: 1_000)
        run.bench.oracle.compare(bench.members)
        run.bench.oracle.checkQuorums(bench.members)
        #expect(bench[leader].members == wished, "seed \(seed)")
        let end = bench.members[leader].end
        for place in bench.members.indices where wished.contains(NodeID(Int32(place))) {
            let member = bench.members[place]
            #expect(member.node.commit == end, "seed \(seed): \(member.node.id) has \(member.node.commit) of \(end)")
            #expect(!member.isRebuilding, "seed \(seed): \(member.node.id)")
        }
    }
}
