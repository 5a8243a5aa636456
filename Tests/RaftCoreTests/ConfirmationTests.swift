// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Being certain to lead: reliability.md §3.6, T-R1 … T-R6.
@Suite struct ConfirmationTests {
    private func confirm(_ bench: inout Bench) -> UInt64 {
        bench.step(0, .confirmLeadership)
        return bench[0].lastSequence
    }

    private func reply(_ bench: Bench, _ sequence: UInt64, term: Term? = nil) -> Message {
        .heartbeatReply(
            HeartbeatReply(term: term ?? bench[0].term, sequence: sequence, held: .zero, matched: .zero))
    }

    @Test func aMajorityOfAnswersConfirms() {
        var bench = Bench(voters: 5)
        bench.elect(0)
        bench.passes = { _ in false }
        bench.settle()
        bench.pass(milliseconds: 5)
        let asked = confirm(&bench)
        #expect(bench[0].confirmedSequence < asked)
        bench.step(0, .received(reply(bench, asked), from: NodeID(1)))
        #expect(bench[0].confirmedSequence < asked)
        // The same one twice is one (T-R5).
        bench.step(0, .received(reply(bench, asked), from: NodeID(1)))
        #expect(bench[0].confirmedSequence < asked)
        bench.step(0, .received(reply(bench, asked), from: NodeID(4)))
        #expect(bench[0].confirmedSequence == asked)
        #expect(bench[0].confirmedAt == bench.now)
    }

    /// T-R5: answers to heartbeats sent before say nothing of now (etcd-raft 9b9d6ee).
    @Test func lateAnswersConfirmTheirOwnTime() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = { _ in false }
        bench.settle()
        let first = confirm(&bench)
        // In the same instant, and still later.
        let second = confirm(&bench)
        #expect(second > first)
        bench.step(0, .received(reply(bench, first), from: NodeID(1)))
        #expect(bench[0].confirmedSequence == first)
        bench.step(0, .received(reply(bench, second), from: NodeID(2)))
        #expect(bench[0].confirmedSequence == second)
        // Nobody answers what was not sent.
        bench.step(0, .received(reply(bench, second + 1_000), from: NodeID(1)))
        #expect(bench[0].confirmedSequence == second)
    }

    /// T-R2 by construction: nothing is concluded from time having passed, so a pause proves nothing (etcd 20418).
    @Test func aPausedLeaderIsNotCertain() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.run(milliseconds: 500)
        let before = bench[0].confirmedAt
        #expect(before != nil)
        bench.passes = Bench.cut([0], [1, 2])
        bench.elect(1)
        bench.settle()
        let asked = confirm(&bench)
        bench.settle()
        #expect(bench[0].confirmedSequence < asked)
        #expect(bench[0].confirmedAt == before)
        #expect(bench[1].hasCommittedInTerm)
    }

    /// Learners, strangers and answers of other terms do not count.
    @Test func onlyVotersOfThisTermConfirm() {
        var bench = Bench(voters: 3, learners: 2)
        bench.elect(0)
        bench.passes = { _ in false }
        bench.settle()
        bench.pass(milliseconds: 1)
        let asked = confirm(&bench)
        for node in nodes(3, 4, 9) { bench.step(0, .received(reply(bench, asked), from: node)) }
        bench.step(0, .received(reply(bench, asked, term: .zero), from: NodeID(1)))
        #expect(bench[0].confirmedSequence < asked)
        bench.step(0, .received(reply(bench, asked), from: NodeID(1)))
        #expect(bench[0].confirmedSequence == asked)
    }

    @Test func bothHalvesOfAJointConfigurationConfirm() {
        var bench = Bench(voters: 3, learners: 2)
        bench.elect(0)
        bench.passes = { _ in false }
        bench.settle()
        bench.change(0, to: RaftMembers(voters: nodes(0, 3, 4), outgoing: nodes(0, 1, 2)))
        bench.pass(milliseconds: 1)
        let asked = confirm(&bench)
        for node in nodes(1, 2) { bench.step(0, .received(reply(bench, asked), from: node)) }
        #expect(bench[0].confirmedSequence < asked)
        bench.step(0, .received(reply(bench, asked), from: NodeID(4)))
        #expect(bench[0].confirmedSequence == asked)
    }

    @Test func aSoleVoterIsCertain() {
        var bench = Bench(voters: 1, learners: 1)
        bench.elect(0)
        bench.pass(milliseconds: 10)
        let asked = confirm(&bench)
        #expect(bench[0].confirmedSequence == asked)
        #expect(bench[0].confirmedAt != nil)
    }

    @Test func aFollowerIsNot() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.flights = []
        bench.step(1, .confirmLeadership)
        #expect(bench.flights.isEmpty)
        #expect(bench[1].confirmedAt == nil && bench[1].confirmedSequence == 0)
    }

    /// T-M13: who has lost its disk may follow a leader of the past, and confirms nobody.
    @Test func whoHasLostItsDiskDoesNotConfirm() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = { _ in false }
        bench.settle()
        let asked = confirm(&bench)
        let wiped = Message.heartbeatReply(
            HeartbeatReply(term: bench[0].term, sequence: asked, held: .zero, matched: .zero, isRebuilding: true))
        bench.step(0, .received(wiped, from: NodeID(1)))
        #expect(bench[0].confirmedSequence < asked)
        #expect(!bench[0].isInCloseTouch(now: bench.now.advanced(byNanoseconds: 400_000_000)))
        // The others have followed since: nobody else has its promise.
        let again = confirm(&bench)
        bench.step(0, .received(reply(bench, again), from: NodeID(2)))
        let last = confirm(&bench)
        bench.step(
            0,
            .received(
                .heartbeatReply(
                    HeartbeatReply(term: bench[0].term, sequence: last, held: .zero, matched: .zero, isRebuilding: true)
                ),
                from: NodeID(1)))
        #expect(bench[0].confirmedSequence == last)
    }
}
