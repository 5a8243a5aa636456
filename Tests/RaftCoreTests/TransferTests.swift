// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Handing leadership over: dissertation §3.10.
@Suite struct TransferTests {
    @Test func targetTakesOverAtOnceAndNothingIsLost() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.propose(0)
        bench.step(0, .transferLeadership(to: NodeID(2)))
        bench.settle()
        #expect(bench.leaders == [2])
        #expect(bench[2].commit == LogIndex(3))
        #expect(bench.oracle.violations.isEmpty)
    }

    /// The target is asked only once its disk holds all; meanwhile nothing new is taken in.
    /// T-R6 (redpanda 42d3d54f9a).
    @Test func targetIsAskedOnlyOnceItHoldsEverything() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.propose(0)
        bench.step(0, .transferLeadership(to: NodeID(1)))
        #expect(!bench[0].acceptsProposals)
        #expect(!bench.flights.contains { if case .timeoutNow = $0.message { true } else { false } })
        bench.settle()
        #expect(bench.leaders == [1])
    }

    @Test func leaderGoesOnWhenTheTargetDoesNotTakeOver() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = { if case .timeoutNow = $0.message { false } else { true } }
        bench.step(0, .transferLeadership(to: NodeID(1)))
        bench.run(milliseconds: 200)
        #expect(!bench[0].acceptsProposals)
        bench.run(milliseconds: 100)
        #expect(bench[0].acceptsProposals)
        #expect(bench.leaders == [0])
    }

    /// Otherwise a leader that was giving its partition back to a node just killed refuses every record until then.
    @Test func leaderGoesOnAtOnceWhenTheTargetDies() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = { if case .timeoutNow = $0.message { false } else { true } }
        bench.step(0, .transferLeadership(to: NodeID(1)))
        #expect(!bench[0].acceptsProposals)
        bench.step(0, .peerLost(NodeID(2)))
        #expect(!bench[0].acceptsProposals)
        bench.step(0, .peerLost(NodeID(1)))
        #expect(bench[0].acceptsProposals)
    }

    @Test func transferToALearnerAStrangerOrTheSilentIsRefused() {
        var bench = Bench(voters: 3, learners: 1)
        bench.elect(0)
        for target in [NodeID(0), NodeID(3), NodeID(9)] { bench.step(0, .transferLeadership(to: target)) }
        #expect(bench[0].acceptsProposals)
        bench.passes = Bench.cut([2], [0, 1, 3])
        bench.run(milliseconds: 2_000)
        bench.step(0, .transferLeadership(to: NodeID(2)))
        #expect(bench[0].acceptsProposals)
    }

    /// Only the leader that is followed may ask, and only in its own term.
    @Test func onlyTheLeaderMayAskSomebodyToStand() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        let term = bench[1].term
        bench.step(1, .received(.timeoutNow(term: term), from: NodeID(2)))
        bench.step(1, .received(.timeoutNow(term: Term(0)), from: NodeID(0)))
        #expect(bench[1].role == .follower)
        bench.step(1, .received(.timeoutNow(term: term), from: NodeID(0)))
        #expect(bench[1].role == .candidate)
    }
}
