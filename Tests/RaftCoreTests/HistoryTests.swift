// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Bugs that other implementations have had, one test each; Tests/History.md lists all. Their letters and events are
/// given to one member whose peers are the test.
@Suite struct HistoryTests {
    private func beat(_ term: Int32, commit: Int64, sequence: UInt64 = 1) -> Message {
        .heartbeat(Heartbeat(term: Term(term), commit: LogIndex(commit), sequence: sequence))
    }

    private func matched(_ term: Term, _ index: Int64) -> Message {
        .appendReply(AppendReply(term: term, outcome: .matched(LogIndex(index))))
    }

    // MARK: - Terms

    /// T-V4 (redpanda d7cd276d31, nats 25561f4ae, a549c436c): not by a cut, a mismatch or a letter of the past.
    @Test func theTermNeverGoesBack() {
        var bench = Bench(voters: 3, logs: [[1, 1, 3, 3]])
        let letters = [
            append(5, prev: position(4, 4)), append(5, prev: position(1, 2), [(2, 3)]), beat(4, commit: 0),
            append(2, prev: .empty), .voteReply(term: Term(1), granted: false),
        ]
        for letter in letters {
            bench.step(0, .received(letter, from: NodeID(1)), entries: entries([2], from: 2, value: 2_000))
            #expect(bench[0].term == Term(5))
        }
        #expect(bench[0].lastEntry == position(2, 3))
        bench.persist(0)
        bench.crash(0)
        bench.restart(0)
        #expect(bench[0].term == Term(5))
    }

    /// T-V20 (redpanda 1819bad3bf): whoever reads them between two events never sees one term with another's leader.
    @Test func termAndLeaderChangeTogether() {
        var bench = Bench(voters: 3)
        bench.step(0, .received(beat(1, commit: 0), from: NodeID(1)))
        #expect(bench[0].term == Term(1) && bench[0].leader == NodeID(1))
        bench.pass(milliseconds: 2_500)
        let vote = Vote(term: Term(2), last: .empty, isTransfer: false)
        bench.step(0, .received(.vote(vote), from: NodeID(2)))
        #expect(bench[0].term == Term(2) && bench[0].leader == nil)
        bench.step(0, .received(beat(2, commit: 0), from: NodeID(2)))
        #expect(bench[0].term == Term(2) && bench[0].leader == NodeID(2))
        bench.step(
            0,
            .received(
                .heartbeatReply(
                    HeartbeatReply(term: Term(3), sequence: 0, held: .zero, matched: .zero)), from: NodeID(1)))
        #expect(bench[0].term == Term(3) && bench[0].leader == nil)
    }

    /// T-V9 (openraft d6a6d562): nobody else need tell the term to one who is refused for it.
    @Test func aRefusedPreVoteTeachesTheTerm() {
        var bench = Bench(voters: 3)
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        bench.step(0, .received(.preVoteReply(term: Term(9), granted: false, round: 1), from: NodeID(1)))
        #expect(bench[0].term == Term(9) && bench[0].role == .follower)
    }

    /// T-V17 (KAFKA-10527): not even where nobody else could have led since; what it wrote last may be lost.
    @Test func aSoleVoterThatRestartsLeadsInANewTerm() {
        var bench = Bench(voters: 1)
        for _ in 0..<3 {
            let before = bench[0].term
            bench.elect(0)
            #expect(bench[0].term > before)
            bench.propose(0, slots: 5)
            bench.crash(0)
            bench.restart(0)
        }
        #expect(bench.oracle.violations.isEmpty)
    }

    // MARK: - What is acknowledged and committed

    /// T-C2 (KAFKA-12619): a leader that knows all before its term to be committed still does not know all.
    @Test func whatIsCommittedBeforeTheOwnTermIsNotTheOwnTermsFirstEntry() {
        var bench = Bench(voters: 3, logs: [[1, 1], [1, 1], [1, 1]])
        bench.step(0, .received(append(1, prev: position(1, 2), commit: 2), from: NodeID(1)))
        bench.passes = { if case .append = $0.message { false } else { true } }
        bench.elect(0)
        #expect(bench[0].commit == LogIndex(2) && !bench[0].hasCommittedInTerm)
        bench.passes = { _ in true }
        bench.run(milliseconds: 500)
        #expect(bench[0].commit == LogIndex(3) && bench[0].hasCommittedInTerm)
    }

    /// T-C3 (openraft a9f696a9, etcd-raft 437bcb8): one other disk and the leader's memory are no majority of three.
    @Test func whatTheLeadersDiskLacksIsNotCounted() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.propose(0)
        bench.step(0, .received(matched(bench[0].term, 2), from: NodeID(1)))
        #expect(bench[0].commit == LogIndex(1))
        bench.sync(0)
        #expect(bench[0].commit == LogIndex(2))
    }

    /// T-C10 (openraft beb0302b): voters that were sent nothing yet are missing, and not merely unknown.
    @Test func votersThatAreSentNothingYetHoldACommitBack() {
        var bench = Bench(voters: 5)
        bench.passes = { if case .append = $0.message { false } else { true } }
        bench.elect(0)
        bench.step(0, .received(matched(bench[0].term, 1), from: NodeID(1)))
        #expect(bench[0].durable == LogIndex(1) && bench[0].commit == .zero)
        bench.step(0, .received(matched(bench[0].term, 1), from: NodeID(2)))
        #expect(bench[0].commit == LogIndex(1))
    }

    /// T-C11 (etcd-raft 2902537, redpanda 48edc4f839): what the smaller quorum has is committed without another word.
    @Test func whatASmallerQuorumHasIsCommittedByTheChangeItself() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = { _ in false }
        bench.change(0, to: RaftMembers(voters: nodes(0), outgoing: nodes(0, 1, 2)))
        bench.propose(0, slots: 3)
        bench.settle()
        #expect(bench[0].durable == LogIndex(5) && bench[0].commit == LogIndex(1))
        bench.step(0, .received(matched(bench[0].term, 2), from: NodeID(1)))
        #expect(bench[0].members == RaftMembers(voters: nodes(0)) && bench[0].durable == LogIndex(5))
        #expect(bench[0].commit == LogIndex(5))
    }

    /// T-C12 (etcd-raft 8ecce32, nats c6f6c25ac).
    @Test func aHeartbeatWithALowerCommitTakesNothingBack() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1]])
        bench.step(0, .received(append(1, prev: position(1, 3), commit: 3), from: NodeID(1)))
        #expect(bench[0].commit == LogIndex(3))
        bench.step(0, .received(beat(1, commit: 1), from: NodeID(1)))
        bench.step(0, .received(append(1, prev: position(1, 1), commit: 1), from: NodeID(1)))
        bench.step(0, .received(beat(2, commit: 0, sequence: 2), from: NodeID(2)))
        #expect(bench[0].commit == LogIndex(3))
    }

    /// T-C13 (redpanda 19d5097026): what was stored is acknowledged when it is durable, though its commit is known.
    @Test func whatIsCommittedElsewhereIsStillAcknowledgedOnceItIsDurable() {
        var bench = Bench(voters: 3)
        bench.step(
            0, .received(append(1, prev: .empty, [(1, 2)], commit: 2), from: NodeID(1)),
            entries: entries([1, 1], from: 0, value: 2_000))
        bench.persist(0)
        #expect(bench[0].commit == LogIndex(2) && bench[0].durable == .zero)
        bench.flights = []
        bench.sync(0)
        #expect(bench.flights.map(\.message) == [matched(Term(1), 2)])
    }

    /// T-C16 (etcd 14143): the commit index is not on disk. A leader that restarts says nothing of it before it knows.
    @Test func aRestartedMemberClaimsNoCommitAndASoleVoterFindsItAgain() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.propose(0, slots: 4)
        bench.settle()
        #expect(bench[0].commit == LogIndex(5))
        bench.crash(0)
        bench.restart(0)
        #expect(bench[0].commit == .zero && bench.members[0].end == LogIndex(5))
        bench.elect(0)
        #expect(bench[0].commit == LogIndex(6))
        #expect(bench.oracle.violations.isEmpty)
    }

    /// T-C6 (ra 324d9bc5, openraft 2af491fb, redpanda 16a32031f7): what the disk says late or twice moves nothing back.
    @Test func lateReportsOfTheDiskMoveNothingBack() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        for _ in 0..<4 { bench.propose(0) }
        for index in [3, 2, 5, 1, 4, 99] as [Int64] {
            let before = bench[0].durable
            bench.step(0, .durable(through: LogIndex(index)))
            #expect(bench[0].durable == max(before, LogIndex(min(index, 5))))
        }
    }

    // MARK: - Logs

    /// T-L10 (KAFKA fe0fe686e92): where a follower stands that does not agree is no acknowledgement.
    @Test func aRejectionRaisesNoMatch() {
        var bench = Bench(voters: 3, logs: [[1, 1, 2, 2], [1, 1, 2], [1]])
        bench.passes = { if case .append = $0.message { false } else { true } }
        bench.elect(0)
        let outcome = AppendReply.Outcome.rejected(prev: position(2, 4), hint: position(1, 2))
        for peer in [1, 2] as [Int32] {
            bench.step(
                0, .received(.appendReply(AppendReply(term: bench[0].term, outcome: outcome)), from: NodeID(peer)))
            #expect(bench[0].progress(of: NodeID(peer))?.match == .zero)
        }
        #expect(bench[0].commit == .zero)
    }

    /// T-L14 (redpanda eaad841155, 0261586511, 299c32163d): replies that overtake each other.
    @Test func repliesOutOfOrderNeitherMoveTheMatchBackNorStall() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        for _ in 0..<4 { bench.propose(0) }
        bench.replicate(0)
        bench.flights = []
        let term = bench[0].term
        for (index, match) in [(3, 3), (2, 3), (5, 5), (4, 5), (5, 5)] as [(Int64, Int64)] {
            bench.step(0, .received(matched(term, index), from: NodeID(1)))
            #expect(bench[0].progress(of: NodeID(1))?.match == LogIndex(match))
        }
        bench.sync(0)
        #expect(bench[0].commit == LogIndex(5))
        bench.propose(0)
        bench.replicate(0)
        #expect(bench.appends(to: 1).map(\.end) == [LogIndex(6)])
    }

    /// T-L19 (nats b4506ec4a, 98c2891b0): what was proposed to a leader that is none any more is in nobody's log.
    @Test func aProposalOfAFormerLeaderIsNotTaken() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        let end = bench[0].lastEntry
        bench.step(0, .received(beat(bench[0].term.rawValue + 1, commit: 0), from: NodeID(1)))
        #expect(!bench[0].acceptsProposals)
        bench.step(0, .proposed(end: end.end.advanced(by: 1)))
        #expect(bench[0].lastEntry == end)
    }

    /// T-L9 (KAFKA-10706): leaders that wrote nothing but their start, each cut off by the next, leave no term behind.
    @Test func electionsWithoutRecordsLeaveNoTermBehind() {
        var bench = Bench(voters: 3, logs: [[1]])
        for term in 2...6 as ClosedRange<Int32> {
            bench.step(
                0, .received(append(term, prev: position(1, 1), [(term, 2)]), from: NodeID(term % 2 + 1)),
                entries: entries([term], from: 1, value: 2_000))
            #expect(bench[0].lastEntry == position(term, 2))
            #expect(bench.members[0].log.map(\.term) == [Term(1), Term(term)])
        }
    }

    // MARK: - Snapshots

    private func snapshot(_ bench: Bench, _ term: Int32, at position: LogPosition) -> Snapshot {
        Snapshot(
            term: Term(term), anchor: LogAnchor(position: position, offset: Offset(position.end.rawValue)),
            members: bench.roster)
    }

    /// T-S14 (ra 919a6484), T-S3 (KAFKA-14618): the snapshot's last entry is what its first append follows.
    @Test func aLeaderThatBeganWithASnapshotNamesItsLastEntry() {
        var bench = Bench(voters: 3)
        bench.step(0, .received(.snapshot(snapshot(bench, 3, at: position(2, 7))), from: NodeID(1)))
        bench.persist(0)
        #expect(bench[0].lastEntry == position(2, 7) && bench[0].commit == LogIndex(7))
        bench.flights = []
        bench.pass(milliseconds: 2_500)
        bench.step(0, .tick)
        bench.step(0, .received(.preVoteReply(term: Term(3), granted: true, round: 1), from: NodeID(1)))
        bench.persist(0)
        let votes = bench.flights.compactMap { if case .vote(let vote) = $0.message { vote.last } else { nil } }
        #expect(votes == [position(2, 7), position(2, 7)])
        bench.step(0, .received(.voteReply(term: bench[0].term, granted: true), from: NodeID(1)))
        #expect(bench[0].isLeader)
        bench.replicate(0)
        #expect(bench.appends(to: 2).allSatisfy { $0.prev == position(2, 7) })
        #expect(!bench.appends(to: 2).isEmpty)
    }

    /// T-S11 (etcd-raft d87942f): a follower that has begun somewhere else above the leader's start is connected.
    @Test func anySnapshotThatConnectsWillDo() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1, 1], [], [1, 1, 1, 1]])
        bench.passes = Bench.cut([1], [0, 2])
        bench.elect(0)
        let anchor = LogAnchor(position: position(1, 2), offset: Offset(2))
        bench.members[0].log.removeFirst(2)
        bench.members[0].start = anchor
        bench.step(0, .logStartMoved(anchor))
        bench.step(0, .peerConnected(NodeID(1)))
        bench.replicate(0)
        bench.step(
            0,
            .received(
                .appendReply(
                    AppendReply(
                        term: bench[0].term, outcome: .rejected(prev: bench[0].lastEntry, hint: .empty))),
                from: NodeID(1)))
        bench.replicate(0)
        #expect(bench[0].progress(of: NodeID(1))?.state == .snapshot)
        bench.step(0, .received(matched(bench[0].term, 4), from: NodeID(1)))
        #expect(bench[0].progress(of: NodeID(1))?.state == .replicating)
        #expect(bench[0].progress(of: NodeID(1))?.match == LogIndex(4))
    }

    /// T-S12 (etcd 18055, tikv 11618): a second one, newer or the same, while the first is being installed.
    @Test func twoSnapshotsInShortSuccessionAreInstalledOneAfterTheOther() {
        var node = RaftNode(
            id: NodeID(0), group: Bench.group, members: RaftMembers(voters: nodes(0, 1, 2)), timing: Bench.timing,
            seed: 1, now: .zero)
        let bench = Bench(voters: 3)
        let (first, second) = (snapshot(bench, 2, at: position(1, 5)), snapshot(bench, 2, at: position(2, 9)))
        var output = RaftNode.Output()
        node.handle(.received(.snapshot(first), from: NodeID(1)), now: .zero, into: &output)
        #expect(output.installSnapshot == first)
        for other in [first, second] {
            output.reset()
            node.handle(.received(.snapshot(other), from: NodeID(1)), now: .zero, into: &output)
            #expect(output.installSnapshot == nil)
        }
        // That of the second is nothing to one who installs the first.
        node.handle(.snapshotInstalled(second.anchor), now: .zero, into: &output)
        #expect(node.commit == .zero)
        node.handle(.snapshotInstalled(first.anchor), now: .zero, into: &output)
        #expect(node.commit == LogIndex(5))
        output.reset()
        node.handle(.received(.snapshot(second), from: NodeID(1)), now: .zero, into: &output)
        #expect(output.installSnapshot == second)
    }

    /// T-L11 (KAFKA-9491), T-S2 (openraft eed681d5): what lies behind an installed snapshot is gone, commit and all.
    @Test func aSnapshotTakesTheWholeLogsPlace() {
        var bench = Bench(voters: 3, logs: [[1, 1, 2, 2, 2, 2]])
        bench.step(0, .received(append(3, prev: position(1, 2), commit: 2), from: NodeID(1)))
        bench.step(0, .received(.snapshot(snapshot(bench, 3, at: position(3, 4))), from: NodeID(1)))
        #expect(bench[0].lastEntry == position(3, 4))
        #expect(bench[0].commit == LogIndex(4) && bench[0].durable == LogIndex(4))
        // An append that was sent before is of no use and does no harm.
        bench.step(0, .received(append(3, prev: position(1, 2), commit: 2), from: NodeID(1)))
        #expect(bench[0].commit == LogIndex(4) && bench[0].fault == nil)
    }

    // MARK: - Handing over

    /// T-R6 (redpanda 42d3d54f9a, hraft 62eaa1c): a target that is none any more when all is sent is not asked.
    @Test func aTransferInALaterTermIsForgotten() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.propose(0)
        bench.step(0, .transferLeadership(to: NodeID(1)))
        let term = bench[0].term
        bench.step(0, .received(beat(term.rawValue + 1, commit: 0), from: NodeID(2)))
        bench.flights = []
        bench.step(0, .received(matched(term, 2), from: NodeID(1)))
        #expect(bench[0].transferTarget == nil)
        #expect(!bench.flights.contains { if case .timeoutNow = $0.message { true } else { false } })
        // The letter of the old term asks nobody who has gone on.
        bench.step(1, .received(beat(term.rawValue + 1, commit: 0), from: NodeID(2)))
        bench.step(1, .received(.timeoutNow(term: term), from: NodeID(0)))
        #expect(bench[1].role == .follower)
    }
}
