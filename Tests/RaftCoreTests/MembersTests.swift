// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

func nodes(_ ids: Int...) -> [NodeID] { ids.map { NodeID(Int32($0)) } }

extension Flight {
    var isHeartbeatReply: Bool {
        if case .heartbeatReply = message { true } else { false }
    }
}

/// Whether a leader has taken a change of its members.
func taken(_ isTaken: Bool, _ comment: Comment? = nil, at place: SourceLocation = #_sourceLocation) {
    #expect(isTaken, comment, sourceLocation: place)
}

func refused(_ isTaken: Bool, _ comment: Comment? = nil, at place: SourceLocation = #_sourceLocation) {
    #expect(!isTaken, comment, sourceLocation: place)
}

/// Changing who belongs to the group: reliability.md §3.1 (T-V12 … T-V18), §3.2 (T-C9 … T-C11) and §3.4 (T-M1 … T-M13).
@Suite struct MembersTests {
    /// Three voters that 0 leads, and strangers who have been told nothing.
    private func led(voters: Int = 3, strangers: Int = 2, seed: UInt64 = 1) -> Bench {
        var bench = Bench(voters: voters, seed: seed, strangers: strangers)
        bench.elect(0)
        return bench
    }

    private func learners(_ bench: inout Bench, _ ids: [NodeID]) {
        let members = bench[0].members
        taken(bench.change(0, to: RaftMembers(voters: members.voters, learners: ids)))
        bench.run(milliseconds: 600)
    }

    /// From three voters to others, with everything delivered on the way.
    private func move(_ bench: inout Bench, to voters: [NodeID], settling: Bool = true) {
        let old = bench[0].members.voters
        learners(&bench, voters.filter { !old.contains($0) })
        taken(bench.change(0, to: RaftMembers(voters: voters, outgoing: old)))
        if settling { bench.settle() }
    }

    // MARK: - The whole way

    @Test func aGroupMovesToOtherNodesWhileItIsWrittenTo() {
        var bench = led()
        bench.propose(0, slots: 5)
        move(&bench, to: nodes(0, 3, 4))
        bench.propose(0, slots: 5)
        bench.settle()
        for place in [0, 3, 4] {
            #expect(bench[place].members == RaftMembers(voters: nodes(0, 3, 4)))
            #expect(bench[place].membersAreCommitted || place != 0)
        }
        // Those who are out have heard of it.
        for place in [1, 2] {
            #expect(bench[place].members == RaftMembers(voters: nodes(0, 3, 4)))
            #expect(bench[place].membersAreCommitted)
            #expect(bench[place].deadline == Moment(nanoseconds: .max), "whoever is out does not stand")
        }
        #expect(bench[0].peerCount == 2)
        #expect(bench[0].commit == bench.members[0].end)
        #expect(bench.oracle.violations.isEmpty)
        // The old majority is gone, and nobody misses it.
        for place in [1, 2] { bench.crash(place) }
        bench.propose(0)
        bench.settle()
        #expect(bench[0].commit == bench.members[0].end)
    }

    // MARK: - T-M1

    /// T-M1: in force at append, on the leader and on followers (nats 12fff3a32).
    @Test func aConfigurationCountsFromItsAppendOn() {
        var bench = led()
        learners(&bench, nodes(3, 4))
        bench.passes = { _ in false }
        let joint = RaftMembers(voters: nodes(0, 3, 4), outgoing: nodes(0, 1, 2))
        bench.change(0, to: joint)
        #expect(bench[0].members == joint && !bench[0].membersAreCommitted)
        bench.passes = Bench.cut([0], [2, 3, 4])
        bench.replicate(0)
        bench.settle()
        #expect(bench[1].members == joint && !bench[1].membersAreCommitted)
        #expect(bench[2].members.outgoing.isEmpty)
    }

    /// T-M1: and no longer once its entry is cut off (nats 12fff3a32, 2f60ea8fe).
    @Test func aConfigurationThatIsCutOffIsReverted() {
        var bench = led()
        learners(&bench, nodes(3, 4))
        let before = bench[0].members
        bench.passes = Bench.cut([0], [1, 2, 3, 4])
        bench.change(0, to: RaftMembers(voters: nodes(0, 3, 4), outgoing: nodes(0, 1, 2)))
        bench.settle()
        #expect(bench[0].members.isJoint)
        bench.elect(1)
        bench.propose(1)
        bench.passes = { _ in true }
        bench.run(milliseconds: 1_000)
        #expect(bench.leaders == [1])
        #expect(bench[0].members == before)
        #expect(bench[0].members(at: bench.members[0].end) == before)
        #expect(bench.oracle.violations.isEmpty)
    }

    // MARK: - T-M2

    /// T-M2: one change at a time, and none before an entry of the own term is committed (redpanda a4da4fd4cc,
    /// b1e1e0298b, nats 434b02bc9; the erratum on single-server changes).
    @Test func oneUncommittedChangeAtATime() {
        var bench = Bench(voters: 3, strangers: 2)
        bench.passes = { flight in
            if case .append = flight.message { false } else { true }
        }
        bench.elect(0)
        let first = RaftMembers(voters: nodes(0, 1, 2), learners: nodes(3))
        refused(bench.change(0, to: first), "nothing of the own term is committed yet")
        bench.passes = { _ in true }
        bench.run(milliseconds: 600)
        taken(bench.change(0, to: first))
        refused(bench.change(0, to: RaftMembers(voters: nodes(0, 1, 2), learners: nodes(3, 4))), "the first is not yet")
        bench.settle()
        taken(bench.change(0, to: RaftMembers(voters: nodes(0, 1, 2), learners: nodes(3, 4))))
        bench.run(milliseconds: 600)
        taken(bench.change(0, to: RaftMembers(voters: nodes(0, 1, 3), outgoing: nodes(0, 1, 2), learners: nodes(4))))
        for wanted in [nodes(0, 1, 4), nodes(0, 1, 2)] {
            refused(bench.change(0, to: RaftMembers(voters: wanted, outgoing: nodes(0, 1, 3))))
        }
        bench.settle()
        #expect(bench[0].members == RaftMembers(voters: nodes(0, 1, 3), learners: nodes(4)))
    }

    @Test func onlyStepsOfTheWayAreTaken() {
        var bench = led()
        learners(&bench, nodes(3))
        let voters = nodes(0, 1, 2)
        let wrong = [
            RaftMembers(voters: []), RaftMembers(voters: voters, learners: nodes(3)),
            RaftMembers(voters: nodes(0, 1, 2, 3)), RaftMembers(voters: nodes(0, 1), learners: nodes(3)),
            RaftMembers(voters: nodes(0, 1, 3), outgoing: nodes(0, 1)), RaftMembers(voters: voters, outgoing: voters),
            RaftMembers(voters: [], outgoing: voters),
        ]
        for wanted in wrong { refused(bench.change(0, to: wanted), "\(wanted)") }
        refused(bench.change(1, to: RaftMembers(voters: voters)), "a follower changes nothing")
        taken(bench.change(0, to: RaftMembers(voters: voters)))
    }

    /// T-M7: who has not been sent the log cannot be given a vote (redpanda 876fe9e265).
    @Test func onlyMembersArePromoted() {
        var bench = led()
        let promoted = RaftMembers(voters: nodes(0, 1, 3), outgoing: nodes(0, 1, 2))
        refused(bench.change(0, to: promoted))
        bench.passes = { $0.from != NodeID(3) }
        learners(&bench, nodes(3))
        refused(bench.change(0, to: promoted), "it has not answered")
        bench.passes = { $0.from != NodeID(3) || !$0.isHeartbeatReply }
        bench.run(milliseconds: 150)
        refused(bench.change(0, to: promoted), "it is being rebuilt")
        bench.passes = { _ in true }
        bench.run(milliseconds: 600)
        taken(bench.change(0, to: RaftMembers(voters: nodes(0, 1, 3), outgoing: nodes(0, 1, 2))))
    }

    // MARK: - T-M3

    /// T-M3: the leader's own disk does not count where it does not vote; it hands over and stops leading (nats
    /// d88e9e868, etcd-raft `confchange_v1_remove_leader_stepdown`).
    @Test func aLeaderThatIsOutHandsOver() {
        var bench = led()
        move(&bench, to: nodes(1, 2, 3), settling: false)
        // The joint configuration commits; of the new voters then only 1 hears of the next.
        bench.passes = Bench.cut([0], [2, 3])
        bench.settle()
        #expect(bench[0].members.isJoint)
        bench.passes = { _ in true }
        bench.settle()
        bench.run(milliseconds: 400)
        #expect(bench[0].members == RaftMembers(voters: nodes(1, 2, 3)))
        #expect(!bench[0].isLeader)
        #expect(bench[0].deadline == Moment(nanoseconds: .max))
        #expect(bench.leaders.count == 1)
        #expect(bench.leaders != [0])
        #expect(bench.oracle.violations.isEmpty)
    }

    /// T-M3 (nats d88e9e868).
    @Test func theDiskOfALeaderThatIsOutDoesNotCount() {
        var bench = led()
        // Joint is committed everywhere; what the leader says next reaches 1 alone.
        bench.passes = { flight in
            guard case .append(let append) = flight.message else { return true }
            return flight.entries.allSatisfy { $0.members?.voters != nodes(1, 2, 3) || $0.members?.isJoint == true }
                || flight.to == NodeID(1) || append.runs.isEmpty
        }
        move(&bench, to: nodes(1, 2, 3))
        #expect(bench[0].members == RaftMembers(voters: nodes(1, 2, 3)))
        #expect(bench[1].members == RaftMembers(voters: nodes(1, 2, 3)))
        #expect(!bench[0].membersAreCommitted, "one of three voters and one who is out are no majority")
        #expect(bench[0].isLeader)
        bench.passes = { _ in true }
        bench.run(milliseconds: 1_000)
        #expect(bench.leaders.count == 1)
        #expect(bench.oracle.violations.isEmpty)
    }

    /// Nobody can take over: it stops leading all the same.
    @Test func aLeaderThatIsOutStopsWithoutAnHeir() {
        var bench = led()
        bench.passes = { flight in
            if case .timeoutNow = flight.message { false } else { true }
        }
        move(&bench, to: nodes(1, 2, 3))
        #expect(bench[0].transferTarget != nil)
        bench.run(milliseconds: 350)
        #expect(!bench[0].isLeader)
        bench.run(milliseconds: 4_000)
        #expect(bench.leaders.count == 1)
    }

    // MARK: - T-M4, T-M9, T-M10: what outlasts restarts, snapshots and retention

    /// T-M4, T-M10: both halves are there again before anything else happens (etcd-raft e515a67, nats b26f71513).
    @Test func aJointConfigurationOutlastsARestart() {
        var bench = led()
        learners(&bench, nodes(3, 4))
        bench.refusesToLeave = true
        let joint = RaftMembers(voters: nodes(0, 3, 4), outgoing: nodes(0, 1, 2))
        bench.change(0, to: joint)
        bench.settle()
        for place in 0..<5 {
            bench.crash(place)
            bench.restart(place)
            #expect(bench[place].members == joint)
        }
        // A majority of the new ones alone is none.
        bench.flights = []
        bench.refusesToLeave = false
        bench.passes = Bench.cut([1, 2], [0, 3, 4])
        bench.run(milliseconds: 10_000)
        #expect(bench.leaders.isEmpty)
        // Who comes to lead leaves it (T-M5).
        bench.passes = { _ in true }
        bench.run(milliseconds: 10_000)
        #expect(bench.leaders.count == 1)
        #expect(bench.leaders.allSatisfy { bench[$0].members == RaftMembers(voters: nodes(0, 3, 4)) })
        #expect(bench.oracle.violations.isEmpty)
    }

    /// T-M4, T-M9: a snapshot says who belongs to the group at its anchor, and retention keeps what it removes of that
    /// (nats 1fae6111c, redpanda cd31e3735c).
    @Test func retentionAndSnapshotsKeepTheMembers() throws {
        var bench = led()
        learners(&bench, nodes(3))
        bench.propose(0)
        bench.run(milliseconds: 600)
        let anchor = LogAnchor(position: bench[0].lastEntry, offset: .zero)
        for place in [0, 1, 2] {
            bench.members[place].forgetEntries(through: anchor)
            bench.step(place, .logStartMoved(anchor))
        }
        bench.propose(0)
        bench.settle()
        bench.crash(1)
        bench.restart(1)
        #expect(bench[1].members == RaftMembers(voters: nodes(0, 1, 2), learners: nodes(3)))
        // One that is new starts with the snapshot.
        learners(&bench, nodes(3, 4))
        bench.settle()
        #expect(bench.members[4].start == anchor)
        #expect(bench[4].members == RaftMembers(voters: nodes(0, 1, 2), learners: nodes(3, 4)))
        #expect(bench[4].members(at: anchor.position.end) == RaftMembers(voters: nodes(0, 1, 2), learners: nodes(3)))
        // What is not committed is in no snapshot.
        bench.passes = { _ in false }
        bench.change(0, to: RaftMembers(voters: nodes(0, 1, 2)))
        #expect(bench[0].members(at: bench[0].commit).learners == nodes(3, 4))
        #expect(bench[0].members.learners.isEmpty)
    }

    /// T-M6: a snapshot may turn a voter into a learner, or remove it (etcd-raft 2f28e8a).
    @Test func aSnapshotMayTakeTheVote() {
        for members in [RaftMembers(voters: nodes(1, 2), learners: nodes(0)), RaftMembers(voters: nodes(1, 2))] {
            var bench = Bench(voters: 3)
            let anchor = LogAnchor(position: LogPosition(term: Term(3), end: LogIndex(40)), offset: .zero)
            let snapshot = Snapshot(term: Term(4), anchor: anchor, members: members)
            bench.step(0, .received(.snapshot(snapshot), from: NodeID(1)))
            #expect(bench[0].members == members)
            #expect(bench[0].deadline == Moment(nanoseconds: .max))
            #expect(bench[0].commit == LogIndex(40))
        }
    }

    /// Whoever came later does not know who the founders were, and its snapshot cannot say.
    @Test func aSnapshotThatKnowsNobodyLeavesTheFounders() {
        var bench = Bench(voters: 3)
        let anchor = LogAnchor(position: LogPosition(term: Term(3), end: LogIndex(40)), offset: .zero)
        bench.step(0, .received(.snapshot(Snapshot(term: Term(4), anchor: anchor, members: .none)), from: NodeID(1)))
        #expect(bench[0].commit == LogIndex(40))
        #expect(bench[0].members == RaftMembers(voters: nodes(0, 1, 2)))
    }

    // MARK: - T-M5

    /// T-M5: what the caller could not append is asked for again (etcd-raft bd3c759).
    @Test func leavingIsAskedForAgain() {
        var bench = led()
        learners(&bench, nodes(3))
        bench.change(0, to: RaftMembers(voters: nodes(0, 1, 3), outgoing: nodes(0, 1, 2)))
        bench.refusesToLeave = true
        bench.settle()
        #expect(bench[0].members.isJoint && bench[0].membersAreCommitted)
        #expect(bench[0].pendingMembers == RaftMembers(voters: nodes(0, 1, 3)))
        bench.refusesToLeave = false
        bench.run(milliseconds: 250)
        #expect(bench[0].members == RaftMembers(voters: nodes(0, 1, 3)))
    }

    /// T-M5: once, and by whoever leads; a transfer in between does not keep it from being left.
    @Test func aJointConfigurationIsLeftOnce() {
        var bench = led()
        learners(&bench, nodes(3))
        bench.change(0, to: RaftMembers(voters: nodes(0, 1, 3), outgoing: nodes(0, 1, 2)))
        bench.step(0, .transferLeadership(to: NodeID(1)))
        bench.settle()
        bench.run(milliseconds: 1_000)
        let leader = bench.leaders.first ?? 0
        #expect(bench[leader].members == RaftMembers(voters: nodes(0, 1, 3)))
        #expect(bench.members[leader].log.count { $0.members == RaftMembers(voters: nodes(0, 1, 3)) } == 1)
    }

    // MARK: - T-M8

    /// T-M8: on the way back nobody is asked who does not know better: a wish that changes is a new change (redpanda
    /// 14f986c0cc).
    @Test func theWayBackIsAChangeOfItsOwn() {
        var bench = led()
        learners(&bench, nodes(3))
        bench.change(0, to: RaftMembers(voters: nodes(0, 1, 3), outgoing: nodes(0, 1, 2)))
        refused(bench.change(0, to: RaftMembers(voters: nodes(0, 1, 2))), "not by dropping what is under way")
        bench.settle()
        refused(bench.change(0, to: RaftMembers(voters: nodes(0, 1, 2), outgoing: nodes(0, 1, 3))), "2 is no member")
        learners(&bench, nodes(2))
        taken(bench.change(0, to: RaftMembers(voters: nodes(0, 1, 2), outgoing: nodes(0, 1, 3))))
        bench.settle()
        #expect(bench[0].members == RaftMembers(voters: nodes(0, 1, 2)))
    }

    // MARK: - T-M11, T-M12, T-M13

    /// T-M11 in small: a partition, three deaths and a removal in quick succession lose nothing (nats 7545).
    @Test func aRemovalDuringDeathsLosesNothing() {
        var bench = led(voters: 5, strangers: 0)
        bench.propose(0, slots: 3)
        bench.settle()
        bench.passes = Bench.cut([0], [1, 2, 3, 4])
        bench.elect(1)
        bench.propose(1)
        bench.settle()
        let committed = bench.oracle.committed.count
        taken(bench.change(1, to: RaftMembers(voters: nodes(0, 1, 2, 3), outgoing: nodes(0, 1, 2, 3, 4))))
        for place in [1, 2, 3] { bench.crash(place) }
        bench.settle()
        bench.run(milliseconds: 5_000)
        for place in [1, 2, 3] { bench.restart(place) }
        bench.passes = { _ in true }
        bench.run(milliseconds: 8_000)
        #expect(bench.leaders.count == 1)
        #expect(bench.oracle.committed.count >= committed)
        #expect(bench.oracle.violations.isEmpty)
    }

    /// T-M13: who has lost its disk neither votes nor stands, and what it acknowledges does not count, until a leader
    /// is certain that nobody later has its promise (KAFKA 25819cecdb2).
    ///
    /// Without that, 0 would commit what only 1's new disk holds, in the place of what 1 and 2 had committed.
    @Test func whoHasLostItsDiskDoesNotHelpALeaderOfThePast() {
        var bench = led(strangers: 0)
        bench.passes = Bench.cut([0], [1, 2])
        bench.elect(2)
        bench.propose(2, slots: 4)
        bench.settle()
        bench.propose(0)
        let committed = bench.oracle.committed.count
        bench.crash(1)
        bench.wipe(1)
        bench.restart(1)
        bench.passes = Bench.cut([2], [0, 1])
        for peer in [0, 2] {
            bench.step(peer, .peerLost(NodeID(1)))
            bench.step(peer, .peerConnected(NodeID(1)))
        }
        for _ in 0..<5 {
            bench.step(0, .confirmLeadership)
            bench.settle()
        }
        bench.run(milliseconds: 700)
        #expect(bench[0].isLeader, "it hears 1, and of no other leader")
        #expect(bench.members[1].end == bench.members[0].end)
        #expect(bench.oracle.committed.count == committed)
        #expect(bench[1].isRebuilding)
        bench.passes = { _ in true }
        bench.run(milliseconds: 4_000)
        #expect(!bench.members[1].isRebuilding)
        #expect(bench.oracle.violations.isEmpty)
    }

    /// T-M13 (KAFKA 25819cecdb2).
    @Test func whoIsRebuildingNeitherVotesNorStands() {
        var bench = led(strangers: 0)
        bench.propose(0, slots: 2)
        bench.settle()
        bench.passes = Bench.cut([0], [1, 2])
        bench.crash(1)
        bench.wipe(1)
        bench.restart(1)
        bench.run(milliseconds: 20_000)
        #expect(bench.leaders.isEmpty)
        #expect(bench[1].term == .zero)
    }

    /// Of two voters the other one has everything, and is believed.
    @Test func ofTwoVotersTheWipedOneIsRebuiltByTheOther() {
        var bench = Bench(voters: 2)
        bench.elect(0)
        bench.propose(0, slots: 3)
        bench.settle()
        bench.crash(1)
        bench.wipe(1)
        bench.restart(1)
        bench.step(0, .peerLost(NodeID(1)))
        bench.step(0, .peerConnected(NodeID(1)))
        bench.run(milliseconds: 1_000)
        #expect(!bench.members[1].isRebuilding)
        #expect(bench.members[1].end == bench.members[0].end)
    }

    /// Whoever comes to lead while a change is under way needs a majority of the outgoing voters.
    @Test func theOnlyIncomingVoterIsRebuiltByTheOnlyOutgoingOne() {
        var bench = led(voters: 1, strangers: 1)
        bench.propose(0, slots: 3)
        learners(&bench, nodes(1))
        bench.passes = Bench.cut([1], [0])
        taken(bench.change(0, to: RaftMembers(voters: nodes(1), outgoing: nodes(0))))
        bench.crash(1)
        bench.wipe(1)
        bench.restart(1)
        bench.passes = { _ in true }
        bench.step(0, .peerLost(NodeID(1)))
        bench.step(0, .peerConnected(NodeID(1)))
        bench.run(milliseconds: 4_000)
        #expect(!bench.members[1].isRebuilding)
        #expect(bench[1].members.voters == nodes(1) && !bench[1].members.isJoint)
        #expect(bench.oracle.violations.isEmpty)
    }
}
