// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Replication, commitment and log matching: paper §5.3 and §5.4, and the bugs of reliability.md §3.2 and §3.3.
@Suite struct ReplicationTests {
    private func index(_ value: Int64) -> LogIndex { LogIndex(value) }

    private func reply(_ output: RaftNode.Output) -> AppendReply.Outcome? {
        for envelope in output.send + output.sendOncePersisted {
            if case .appendReply(let reply) = envelope.message { return reply.outcome }
        }
        return nil
    }

    // MARK: - Commitment

    /// T-C1: figure 8 of the paper. An entry of term 2 on a majority is not committed by counting in term 4.
    @Test func entriesOfOlderTermsAreNotCommittedByCounting() {
        var bench = Bench(voters: 5, logs: [[1, 2], [1, 2], [1], [1], [1, 3]])
        bench.passes = Bench.cut([4], [0, 1, 2, 3])
        bench.pass(milliseconds: 3_000)
        bench.passes = { flight in
            guard Bench.cut([4], [0, 1, 2, 3])(flight) else { return false }
            // The marker of the new term stays with the leader; the old entries do travel.
            guard case .append(let append) = flight.message else { return true }
            return append.end <= LogIndex(2)
        }
        bench.elect(0)
        #expect(bench[0].progress(of: NodeID(1))?.match == index(2))
        #expect(bench[0].commit == .zero)
        #expect(!bench[0].hasCommittedInTerm)
        bench.passes = Bench.cut([4], [0, 1, 2, 3])
        bench.run(milliseconds: 1_500)
        #expect(bench[0].commit == index(3))
    }

    /// T-C2 (KAFKA-12619): the first entry of the own term must be committed, not merely all before it.
    @Test func highWatermarkMayBeShownOnlyOnceTheOwnTermHasCommitted() {
        var bench = Bench(voters: 3, logs: [[1, 1], [1, 1], [1, 1]])
        bench.passes = { if case .append = $0.message { false } else { true } }
        bench.elect(0)
        #expect(!bench[0].hasCommittedInTerm)
        bench.passes = { _ in true }
        bench.run(milliseconds: 500)
        #expect(bench[0].hasCommittedInTerm)
        #expect(bench[0].commit == index(3))
    }

    /// What a state machine was fed is committed, whatever a copy of the log that was opened anew has been told; as far
    /// as the log is known to be the one it was fed from.
    @Test func whatAStateMachineWasFedIsCommitted() {
        var bench = Bench(voters: 3, logs: [[1, 1], [1, 1], [1, 1]])
        bench.step(0, .applied(through: index(2)))
        #expect(bench[0].commit == .zero, "its end may yet be cut")
        bench.passes = { if case .append = $0.message { false } else { true } }
        bench.elect(0)
        bench.step(0, .applied(through: index(9)))
        #expect(bench[0].commit == .zero, "it was fed from another log")
        bench.step(0, .applied(through: index(2)))
        #expect(bench[0].commit == index(2))
        #expect(!bench[0].hasCommittedInTerm)
    }

    /// T-C3 (openraft a9f696a9): the leader's own copy counts once its disk has it, and not before.
    @Test func ownEntriesCountOnlyOnceTheyAreDurable() {
        var bench = Bench(voters: 1)
        bench.step(0, .tick)
        bench.persist(0)
        #expect(bench[0].isLeader)
        #expect(bench[0].commit == .zero)
        bench.sync(0)
        #expect(bench[0].commit == index(1))
    }

    /// Dissertation §10.2.1: two other disks are a majority of three even while the leader's is slow.
    @Test func majorityElsewhereCommitsBeforeTheLeadersDisk() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.propose(0, slots: 3)
        bench.replicate(0)
        let landing = bench.flights
        bench.flights = []
        for flight in landing { bench.deliver(flight) }
        bench.sync(1)
        bench.sync(2)
        for flight in bench.flights { bench.deliver(flight) }
        #expect(bench[0].durable == index(1))
        #expect(bench[0].commit == index(4))
    }

    /// T-C4 (redpanda d0e45c0baf): success means "matches up to here", never "I have this much".
    @Test func successNamesWhatMatchesAndNotTheOwnEnd() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1, 1]])
        #expect(reply(bench.step(0, .received(append(2, prev: position(1, 2)), from: NodeID(1)))) == .matched(index(2)))
        let output = bench.step(
            0, .received(append(2, prev: position(1, 1), [(1, 3)]), from: NodeID(1)), entries: entries([1, 1], from: 1))
        #expect(reply(output) == .matched(index(3)))
        #expect(output.truncate == nil && output.storeFrom == nil)
    }

    /// C10: what is stored is acknowledged once it is durable.
    @Test func appendIsAnsweredOnceItIsDurable() {
        var bench = Bench(voters: 3)
        let output = bench.step(
            0, .received(append(1, prev: .empty, [(1, 2)]), from: NodeID(1)), entries: entries([1, 1], from: 0))
        #expect(output.storeFrom == .zero)
        #expect(reply(output) == nil)
        bench.persist(0)
        #expect(!bench.flights.contains { if case .appendReply = $0.message { true } else { false } })
        bench.sync(0)
        #expect(bench.flights.last?.message == .appendReply(AppendReply(term: Term(1), outcome: .matched(index(2)))))
    }

    /// The term itself must be on disk too before anything is promised in it.
    @Test func appendIsNotAnsweredBeforeItsTermIsOnDisk() {
        var bench = Bench(voters: 3)
        bench.step(0, .received(append(1, prev: .empty, [(1, 1)]), from: NodeID(1)), entries: entries([1], from: 0))
        bench.sync(0)
        let beat = Message.heartbeat(Heartbeat(term: Term(1), commit: .zero, sequence: 5))
        bench.step(0, .received(beat, from: NodeID(1)))
        #expect(!bench.flights.contains { if case .appendReply = $0.message { true } else { false } })
        #expect(
            bench.flights.last?.message
                == .heartbeatReply(HeartbeatReply(term: Term(1), sequence: 5, held: index(1), matched: .zero)))
        bench.persist(0)
        #expect(bench.flights.last?.message == .appendReply(AppendReply(term: Term(1), outcome: .matched(index(1)))))
    }

    /// T-C5 (ra 39490978): what was durable before a truncation is not afterwards.
    @Test func durableEndFallsWithATruncation() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1]])
        let output = bench.step(
            0, .received(append(2, prev: position(1, 1), [(2, 3)]), from: NodeID(1)), entries: entries([2, 2], from: 1))
        #expect(output.truncate == index(1))
        #expect(output.storeFrom == index(1))
        #expect(bench[0].durable == index(1))
        #expect(reply(output) == .matched(index(1)) || reply(output) == nil)
        bench.persist(0)
        for flight in bench.flights {
            if case .appendReply(let reply) = flight.message { #expect(reply.outcome == .matched(index(1))) }
        }
    }

    /// T-C8 (openraft cecb5de8): acknowledgements of another term say nothing about this one.
    @Test func acknowledgementsOfAnOlderTermAreIgnored() {
        var bench = Bench(voters: 3, logs: [[1, 1], [1], [1]])
        bench.passes = { if case .append = $0.message { false } else { true } }
        bench.elect(0)
        let old = AppendReply(term: Term(1), outcome: .matched(index(3)))
        bench.step(0, .received(.appendReply(old), from: NodeID(1)))
        bench.step(0, .received(.appendReply(old), from: NodeID(2)))
        #expect(bench[0].commit == .zero)
        #expect(bench[0].progress(of: NodeID(1))?.match == .zero)
    }

    /// Nobody can hold more than there is.
    @Test func acknowledgementsBeyondTheEndAreIgnored() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        let absurd = AppendReply(term: bench[0].term, outcome: .matched(index(900)))
        bench.step(0, .received(.appendReply(absurd), from: NodeID(1)))
        #expect(bench[0].progress(of: NodeID(1))?.match == index(1))
    }

    /// Learners are sent everything and count for nothing.
    @Test func learnersDoNotCountTowardsACommit() {
        var bench = Bench(voters: 3, learners: 2)
        bench.elect(0)
        bench.passes = Bench.cut([1, 2], [0, 3, 4])
        bench.propose(0)
        bench.settle()
        #expect(bench[0].progress(of: NodeID(3))?.match == index(2))
        #expect(bench[0].commit == index(1))
        #expect(bench[0].activeVoters(now: bench.now) == 3)
    }

    // MARK: - Logs that differ

    /// T-L1 (openraft 9540c904): an older append that arrives late takes nothing away.
    @Test func entriesThatMatchAlreadyAreLeftAlone() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1, 1]])
        let output = bench.step(
            0, .received(append(1, prev: .empty, [(1, 2)]), from: NodeID(1)), entries: entries([1, 1], from: 0))
        #expect(output.truncate == nil)
        #expect(output.storeFrom == nil)
        #expect(bench[0].lastEntry == position(1, 4))
    }

    /// T-L2 (KAFKA c6a0f760737): what is committed is never cut; the node says so and stops.
    @Test func leaderThatContradictsWhatIsCommittedIsAFault() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1]])
        bench.step(0, .received(append(1, prev: position(1, 3), commit: 3), from: NodeID(1)))
        #expect(bench[0].commit == index(3))
        let output = bench.step(
            0, .received(append(2, prev: position(1, 1), [(2, 3)]), from: NodeID(2)), entries: entries([2, 2], from: 1))
        #expect(output.fault != nil)
        #expect(output.truncate == nil)
        #expect(bench.step(0, .tick).send.isEmpty)
    }

    /// T-L3 (KAFKA-14704), T-L13: the leader's commit index is believed only as far as the own log has been checked.
    @Test func commitIsBelievedOnlyAsFarAsTheLogIsChecked() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1, 1]])
        bench.step(0, .received(.heartbeat(Heartbeat(term: Term(2), commit: index(4), sequence: 1)), from: NodeID(1)))
        #expect(bench[0].commit == .zero)
        bench.step(0, .received(append(2, prev: position(1, 2), commit: 4), from: NodeID(1)))
        #expect(bench[0].commit == index(2))
        bench.step(
            0, .received(append(2, prev: position(1, 2), [(2, 3)], commit: 4), from: NodeID(1)),
            entries: entries([2], from: 2))
        #expect(bench[0].commit == index(3))
        #expect(bench[0].lastEntry == position(2, 3))
    }

    /// The rejection's hint: the last position that may agree.
    @Test(arguments: [
        ([1, 1, 1] as [Int32], (5, 9) as (Int32, Int64), (1, 3) as (Int32, Int64)),
        ([1, 1, 4, 4, 4], (2, 5), (1, 2)), ([1, 2, 3], (2, 3), (2, 2)), ([3, 3], (2, 2), (0, 0)),
    ])
    func rejectionNamesTheLastPositionThatMayAgree(log: [Int32], prev: (Int32, Int64), hint: (Int32, Int64)) {
        var bench = Bench(voters: 3, logs: [log])
        let asked = position(prev.0, prev.1)
        let output = bench.step(0, .received(append(9, prev: asked), from: NodeID(1)))
        #expect(reply(output) == .rejected(prev: asked, hint: position(hint.0, hint.1)))
    }

    /// T-L8: logs that differ in many terms are joined in few questions, and always in the end (KIP-279).
    @Test(
        arguments: [
            ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6]),
            ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4]),
            ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
            ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 4, 4]), ([1, 3, 5, 7], [2, 2, 4, 4, 6, 6]),
            ([1, 2, 3, 4, 5, 6, 7, 8], []), ([8], [1, 2, 3, 4, 5, 6, 7, 7]),
            ([2, 2, 4, 4, 6, 6], [1, 3, 5, 5, 5, 5, 5, 5]),
        ] as [([Int32], [Int32])])
    func divergedLogsAreJoinedInFewQuestions(leader: [Int32], follower: [Int32]) {
        var bench = Bench(voters: 3, logs: [leader, follower, leader])
        bench.passes = Bench.cut([1], [0, 2])
        bench.elect(0)
        var rejections = 0
        bench.passes = { flight in
            if case .appendReply(let reply) = flight.message, case .rejected = reply.outcome { rejections += 1 }
            return true
        }
        bench.step(0, .peerConnected(NodeID(1)))
        bench.settle()
        #expect(bench.members[1].log == bench.members[0].log)
        #expect(rejections <= Set(leader + follower).count + 1)
        #expect(bench.oracle.violations.isEmpty)
    }

    /// Figure 7 of the paper, all followers at once.
    @Test func figureSevenIsRepaired() {
        let logs: [[Int32]] = [
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6], [1, 1, 1, 4],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], [1, 1, 1, 4, 4, 4, 4],
            [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        ]
        let states = Array(repeating: HardState(term: Term(7)), count: 7)
        var bench = Bench(voters: 7, logs: logs, hardStates: states)
        bench.elect(0)
        bench.run(milliseconds: 1_000)
        for member in bench.members { #expect(member.log == bench.members[0].log) }
        #expect(bench.oracle.violations.isEmpty)
    }

    /// A rejection that was overtaken says nothing about what was asked since.
    @Test func answersToOlderQuestionsAreIgnoredWhileProbing() {
        var bench = Bench(voters: 3, logs: [[1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 2, 2]])
        bench.passes = { if case .append = $0.message { false } else { true } }
        bench.elect(0)
        let before = bench[0].progress(of: NodeID(1))
        let old = AppendReply.Outcome.rejected(prev: position(2, 3), hint: .empty)
        bench.step(0, .received(.appendReply(AppendReply(term: bench[0].term, outcome: old)), from: NodeID(1)))
        #expect(bench[0].progress(of: NodeID(1)) == before)
    }

    @Test func malformedAppendsChangeNothing() {
        var bench = Bench(voters: 3, logs: [[1, 1]])
        for message in [
            append(2, prev: position(3, 1)), append(2, prev: position(1, 2), [(2, 2)]),
            append(2, prev: position(1, 2), [(3, 4)]), append(3, prev: position(1, 2), [(3, 4), (2, 5)]),
            append(3, prev: position(1, 2), [(2, 4), (2, 5)]),
        ] {
            let output = bench.step(0, .received(message, from: NodeID(1)))
            #expect(output.truncate == nil && output.storeFrom == nil && output.fault == nil)
        }
        #expect(bench[0].leader == nil)
    }

    // MARK: - Snapshots

    /// T-L6, T-L17: a peer that needs what is gone is sent a snapshot, without waiting for a new entry.
    @Test func peerBeforeTheLogStartIsSentASnapshot() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1], [], [1, 1, 1]])
        bench.passes = Bench.cut([1], [0, 2])
        bench.elect(0)
        let anchor = LogAnchor(position: position(1, 3), offset: Offset(3))
        bench.members[0].log.removeFirst(3)
        bench.members[0].start = anchor
        bench.step(0, .logStartMoved(anchor))
        bench.passes = { _ in true }
        bench.step(0, .peerConnected(NodeID(1)))
        bench.settle()
        #expect(bench.members[1].start == anchor)
        #expect(bench.members[1].log == bench.members[0].log)
        #expect(bench[0].isCaughtUp(NodeID(1)))
    }

    /// T-S1 (redpanda 9c024b2e3f): an older snapshot replaces nothing and is answered all the same.
    @Test func olderSnapshotIsAnsweredAndNotInstalled() {
        var bench = Bench(voters: 3, logs: [[1, 1, 1]])
        bench.step(0, .received(append(1, prev: position(1, 3), commit: 3), from: NodeID(1)))
        let old = Snapshot(
            term: Term(1), anchor: LogAnchor(position: position(1, 2), offset: Offset(2)), members: bench.roster)
        let output = bench.step(0, .received(.snapshot(old), from: NodeID(1)))
        #expect(output.installSnapshot == nil)
        #expect(reply(output) == .matched(index(3)))
    }

    /// A snapshot that came damaged changes nothing; the next one is installed, and T-V14: nobody stands meanwhile.
    @Test func refusedSnapshotIsForgottenAndSentAgain() {
        var node = RaftNode(
            id: NodeID(0), group: Bench.group, members: RaftMembers(voters: [NodeID(0), NodeID(1), NodeID(2)]),
            timing: Bench.timing, seed: 1, now: .zero)
        let anchor = LogAnchor(position: position(2, 5), offset: Offset(5))
        let snapshot = RaftNode.Event.received(
            .snapshot(Snapshot(term: Term(2), anchor: anchor, members: node.members)), from: NodeID(1))
        var output = RaftNode.Output()
        node.handle(snapshot, now: .zero, into: &output)
        #expect(output.installSnapshot?.anchor == anchor)
        #expect(node.deadline == Moment(nanoseconds: .max))
        output.reset()
        node.handle(snapshot, now: .zero, into: &output)
        #expect(output.installSnapshot?.anchor == nil, "one at a time")
        node.handle(.snapshotRefused, now: .zero, into: &output)
        #expect(node.deadline < Moment(nanoseconds: .max))
        output.reset()
        node.handle(snapshot, now: .zero, into: &output)
        #expect(output.installSnapshot?.anchor == anchor)
        node.handle(.snapshotInstalled(anchor), now: .zero, into: &output)
        #expect(node.lastEntry == position(2, 5))
        #expect(node.commit == index(5))
    }

    /// T-L7 (openraft 71a290cd): what lies before the own start is no conflict.
    /// T-L6 (etcd-raft 76f1249).
    @Test func appendThatReachesBelowTheLogStartCutsNothing() {
        var bench = Bench(voters: 3)
        let anchor = LogAnchor(position: position(2, 5), offset: Offset(5))
        bench.step(
            0, .received(.snapshot(Snapshot(term: Term(2), anchor: anchor, members: bench.roster)), from: NodeID(1)))
        bench.persist(0)
        let output = bench.step(
            0, .received(append(2, prev: position(1, 3), [(2, 7)]), from: NodeID(1)),
            entries: entries([2, 2, 2, 2], from: 3))
        #expect(output.truncate == nil)
        #expect(output.storeFrom == index(5))
        #expect(bench[0].lastEntry == position(2, 7))
    }
}
