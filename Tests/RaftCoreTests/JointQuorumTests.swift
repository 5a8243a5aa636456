// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Elections and commits where the voters change.
@Suite struct JointQuorumTests {
    /// All that a mask of bits says.
    private func subset(_ mask: Int) -> [NodeID] { (0..<6).filter { mask & (1 << $0) != 0 }.map { NodeID(Int32($0)) } }

    private func isMajority(_ some: [NodeID], of voters: [NodeID]) -> Bool {
        voters.filter { some.contains($0) }.count * 2 > voters.count
    }

    /// T-V18, T-C9: a majority of each half, however many that are in all (redpanda bca6f1db00).
    @Test func jointDecisionsNeedBothMajorities() {
        for incoming in 1..<64 {
            for outgoing in 0..<64 where incoming % 5 == outgoing % 5 {
                let members = RaftMembers(voters: subset(incoming), outgoing: subset(outgoing))
                for mask in 0..<64 {
                    let some = subset(mask)
                    let isQuorum =
                        isMajority(some, of: members.voters)
                        && (outgoing == 0 || isMajority(some, of: members.outgoing))
                    #expect(members.isQuorum(some) == isQuorum, "\(some) of \(members)")
                    let others = subset(63 & ~mask)
                    #expect(members.isOutOfReach(without: some) == !members.isQuorum(others), "\(some) of \(members)")
                }
            }
        }
        #expect(!RaftMembers.none.isQuorum(subset(63)))
    }

    /// What a leader commits agrees with the definition, for every pair of voter sets of up to four of five nodes that
    /// it may lead (T-C9: openraft f076cf6f, redpanda 0f11ebfd24).
    @Test func theCommitIndexIsWhatBothMajoritiesHold() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<150 {
            var bench = Bench(voters: 3, learners: 2)
            bench.elect(0)
            let voters = subset(1 + random.below(31)).filter { $0.rawValue < 5 }
            let joint = RaftMembers(voters: voters, outgoing: nodes(0, 1, 2))
            guard voters != nodes(0, 1, 2), bench.change(0, to: joint) else { continue }
            bench.passes = { _ in false }
            bench.settle()
            let first = bench.members[0].end
            for _ in 0..<6 { bench.propose(0) }
            var held = [NodeID(0): bench.members[0].end.advanced(by: -Int64(random.below(7)))]
            bench.step(0, .durable(through: bench.members[0].end))
            held[NodeID(0)] = bench.members[0].end
            for peer in 1..<5 {
                let match = first.advanced(by: Int64(random.below(7)) - 1)
                held[NodeID(Int32(peer))] = match
                let reply = AppendReply(term: bench[0].term, outcome: .matched(match))
                bench.step(0, .received(.appendReply(reply), from: NodeID(Int32(peer))))
            }
            let expected = (0...7).map { first.advanced(by: Int64($0) - 1) }.last { index in
                joint.isQuorum(held.filter { $0.value >= index }.map(\.key))
            }
            // Leaving the joint configuration adds an entry as soon as that is committed.
            if let expected, expected >= first { #expect(bench[0].commit >= expected, "\(joint) \(held)") }
            if bench[0].members.isJoint { #expect(bench[0].commit < first, "\(joint) \(held)") }
        }
    }

    /// T-V18: as soon as both majorities have granted; four of five who are all of one half are none.
    @Test func anElectionNeedsBothHalves() {
        for (granting, wins) in [(nodes(1), false), (nodes(1, 3), true), (nodes(3, 4), false), (nodes(1, 2), false)] {
            var bench = Bench(voters: 3, learners: 2)
            bench.elect(0)
            bench.refusesToLeave = true
            bench.change(0, to: RaftMembers(voters: nodes(0, 3, 4), outgoing: nodes(0, 1, 2)))
            bench.settle()
            for place in 0..<5 {
                bench.crash(place)
                bench.restart(place)
            }
            bench.passes = { flight in flight.from == NodeID(0) || granting.contains(flight.from) }
            bench.now = bench[0].deadline
            bench.step(0, .tick)
            bench.settle()
            #expect(bench[0].isLeader == wins, "granted by \(granting)")
        }
    }

    /// T-C10: no commit by a set of voters whose progress is not known (openraft beb0302b).
    @Test func newVotersCountFromZero() {
        var bench = Bench(voters: 1, learners: 3)
        bench.elect(0)
        bench.passes = { _ in false }
        bench.change(0, to: RaftMembers(voters: nodes(1, 2, 3), outgoing: nodes(0)))
        let end = bench.members[0].end
        bench.settle()
        #expect(bench[0].commit < end)
        #expect(bench[0].members.isJoint)
    }

    /// T-C11: fewer voters may make committed what was there already (etcd-raft 2902537, redpanda 48edc4f839).
    @Test func aSmallerQuorumCommitsAtOnce() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        taken(bench.change(0, to: RaftMembers(voters: nodes(0), outgoing: nodes(0, 1, 2))))
        bench.passes = { flight in flight.to != NodeID(2) }
        bench.settle()
        bench.propose(0)
        bench.settle()
        #expect(bench[0].members == RaftMembers(voters: nodes(0)))
        #expect(bench[0].commit == bench.members[0].end)
        // 1 and 2 are gone for good, and nobody asks them.
        bench.passes = { _ in false }
        bench.propose(0)
        bench.settle()
        bench.run(milliseconds: 5_000)
        #expect(bench.leaders == [0])
        #expect(bench[0].commit == bench.members[0].end)
    }

    // MARK: - Who stands and who votes

    /// T-V12: a learner never stands, and votes when asked: it may have been promoted unawares (redpanda e1c89ecc35,
    /// etcd-raft abb533c).
    @Test func learnersVoteAndDoNotStand() {
        var bench = Bench(voters: 3, learners: 1)
        bench.elect(0)
        #expect(bench[3].deadline == Moment(nanoseconds: .max))
        bench.run(milliseconds: 200)
        bench.pass(milliseconds: 5_000)
        bench.flights = []
        bench.step(3, .tick)
        bench.step(3, .received(.timeoutNow(term: bench[3].term), from: NodeID(0)))
        #expect(bench.flights.isEmpty && bench[3].role == .follower)
        let vote = Vote(term: bench[3].term.next, last: bench[0].lastEntry, isTransfer: false)
        bench.step(3, .received(.vote(vote), from: NodeID(1)))
        bench.persist(3)
        #expect(bench.flights.map(\.message) == [.voteReply(term: vote.term, granted: true)])
    }

    /// T-V13: who is out neither stands nor is counted (nats efabcbf87, f618bca80).
    @Test func strangersNeitherStandNorCount() {
        var bench = Bench(voters: 3, strangers: 2)
        #expect(bench[3].deadline == Moment(nanoseconds: .max))
        bench.pass(milliseconds: 30_000)
        bench.step(3, .tick)
        #expect(bench.flights.isEmpty && bench[3].role == .follower)
        // Two who are out say yes to one of three.
        bench.step(0, .tick)
        bench.flights = []
        for stranger in nodes(3, 4) {
            bench.step(0, .received(.preVoteReply(term: .zero, granted: true, round: 1), from: stranger))
        }
        #expect(bench[0].role == .preCandidate)
    }

    /// Dissertation §4.2.2: whoever alone holds the entry that leaves it out must be able to win, or nobody is.
    @Test func whoAloneHoldsItsOwnRemovalCanStillWin() {
        var bench = Bench(voters: 1, learners: 1)
        bench.elect(0)
        bench.passes = { $0.entries.allSatisfy { $0.members != RaftMembers(voters: nodes(1)) } }
        bench.change(0, to: RaftMembers(voters: nodes(1), outgoing: nodes(0)))
        bench.settle()
        #expect(bench[0].members == RaftMembers(voters: nodes(1)))
        #expect(bench[1].members.isJoint)
        bench.crash(0)
        bench.restart(0)
        bench.passes = { _ in true }
        bench.run(milliseconds: 10_000)
        #expect(bench.leaders == [1])
        #expect(bench[1].members == RaftMembers(voters: nodes(1)))
        #expect(bench.oracle.violations.isEmpty)
    }

    /// T-V16: a node that was told nobody never takes itself for the only one (nats b26f71513).
    @Test func whoKnowsNobodyIsNotAlone() {
        var bench = Bench(voters: 0, strangers: 1)
        bench.run(milliseconds: 60_000)
        #expect(bench.leaders.isEmpty && bench[0].term == .zero)
    }

    /// Dissertation §4.2.3: one that was removed and has not heard of it does not disturb those who go on.
    @Test func whoIsOutUnawaresDisturbsNobody() {
        var bench = Bench(voters: 4)
        bench.elect(0)
        bench.passes = Bench.cut([3], [0, 1, 2])
        bench.change(0, to: RaftMembers(voters: nodes(0, 1, 2), outgoing: nodes(0, 1, 2, 3)))
        bench.settle()
        let term = bench[0].term
        #expect(bench[0].members == RaftMembers(voters: nodes(0, 1, 2)))
        #expect(bench[3].members.voters.count == 4)
        bench.passes = { _ in true }
        bench.run(milliseconds: 20_000)
        #expect(bench.leaders == [0])
        #expect(bench[0].term == term)
    }

    /// A voter whose process has ended may have lost its disk, and with it that it has voted.
    @Test func aVoteIsForgottenWithTheConnection() {
        var bench = Bench(voters: 5, hardStates: Array(repeating: HardState(term: Term(1)), count: 5))
        bench.now = bench[0].deadline
        bench.step(0, .tick)
        for voter in nodes(1, 2) {
            bench.step(0, .received(.preVoteReply(term: Term(1), granted: true, round: 1), from: voter))
        }
        bench.persist(0)
        bench.step(0, .received(.voteReply(term: Term(2), granted: true), from: NodeID(1)))
        bench.step(0, .peerLost(NodeID(1)))
        bench.step(0, .received(.voteReply(term: Term(2), granted: true), from: NodeID(2)))
        #expect(bench[0].role == .candidate)
        bench.step(0, .received(.voteReply(term: Term(2), granted: true), from: NodeID(3)))
        #expect(bench[0].isLeader)
    }
}
