// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Elections: paper §5.2 and §5.4.1, dissertation §4.2.3 and §9.6, and the bugs of reliability.md §3.1.
@Suite struct ElectionTests {
    private func vote(_ term: Int32, last: LogPosition = .empty, isTransfer: Bool = false) -> Message {
        .vote(Vote(term: Term(term), last: last, isTransfer: isTransfer))
    }

    private func preVote(_ term: Int32, last: LogPosition = .empty, leaderLost: Bool = false) -> Message {
        .preVote(PreVote(term: Term(term), last: last, leaderLost: leaderLost, round: 1))
    }

    private func granted(_ output: RaftNode.Output) -> Bool? {
        for envelope in output.send + output.sendOncePersisted {
            switch envelope.message {
            case .voteReply(_, let granted), .preVoteReply(_, let granted, _): return granted
            default: continue
            }
        }
        return nil
    }

    @Test(arguments: [1, 3, 4, 5])
    func freshNodesElectOneOfThemWithinAFewReconnectDelays(voters: Int) {
        var bench = Bench(voters: voters)
        bench.run(milliseconds: 60)
        #expect(bench.leaders.count == 1)
        #expect(bench.members.allSatisfy { $0.node.leader == bench[bench.leaders[0]].id })
        #expect(bench[bench.leaders[0]].hasCommittedInTerm)
    }

    /// T-V2: the request for votes and the candidate's own vote wait for its disk.
    @Test func candidateAsksForVotesOnlyOnceItsOwnIsOnDisk() {
        var bench = Bench(voters: 3)
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        bench.step(0, .received(.preVoteReply(term: .zero, granted: true, round: 1), from: NodeID(1)))
        #expect(bench[0].role == .candidate)
        #expect(!bench.flights.contains { if case .vote = $0.message { true } else { false } })
        bench.step(0, .received(.voteReply(term: Term(1), granted: true), from: NodeID(1)))
        #expect(bench[0].role == .candidate)
        bench.persist(0)
        #expect(bench[0].role == .leader)
        #expect(bench.flights.count { if case .vote = $0.message { true } else { false } } == 2)
    }

    /// T-V2 (openraft ee460f37), C10: a granted vote leaves only once it is on disk.
    @Test func grantedVoteWaitsForTheDisk() {
        var bench = Bench(voters: 3)
        bench.step(0, .received(vote(1), from: NodeID(1)))
        #expect(bench.flights.isEmpty)
        bench.persist(0)
        #expect(
            bench.flights == [Flight(from: NodeID(0), to: NodeID(1), message: .voteReply(term: Term(1), granted: true))]
        )
    }

    /// T-V1, T-V3: one vote a term, across restarts; the same candidate may ask again.
    @Test func voteIsGivenOnceATermEvenAcrossARestart() {
        var bench = Bench(voters: 3)
        bench.step(0, .received(vote(4), from: NodeID(1)))
        bench.persist(0)
        bench.crash(0)
        bench.restart(0)
        #expect(granted(bench.step(0, .received(vote(4), from: NodeID(2)))) == false)
        #expect(granted(bench.step(0, .received(vote(4), from: NodeID(1)))) == true)
    }

    /// T-V3 (nats bf8ebe7dd): stepping down within a term does not free its vote.
    @Test func leaderThatStepsDownCannotVoteInThatTermAgain() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        let term = bench[0].term
        bench.pass(milliseconds: 3_000)
        bench.step(0, .tick)
        #expect(bench[0].role == .follower)
        #expect(granted(bench.step(0, .received(vote(term.rawValue), from: NodeID(1)))) == false)
        #expect(bench[0].term == term)
    }

    /// T-V5 (openraft a48a3282): by last term first, then by length.
    @Test(arguments: [
        ([2], [1, 1, 1], false), ([1, 1, 1], [2], true), ([1, 1], [1], false), ([1], [1, 1], true), ([1], [1], true),
    ])
    func onlyALogThatIsUpToDateGetsAVote(mine: [Int32], theirs: [Int32], expected: Bool) {
        var bench = Bench(voters: 3, logs: [mine])
        let last = LogPosition(term: Term(theirs.last ?? 0), end: LogIndex(Int64(theirs.count)))
        #expect(granted(bench.step(0, .received(preVote(9, last: last), from: NodeID(1)))) == expected)
        #expect(granted(bench.step(0, .received(vote(9, last: last), from: NodeID(1)))) == expected)
    }

    /// T-V6 (redpanda 5adeba30fa): a reply of a higher term is no grant, whatever it says; nor is one of a lower term.
    @Test func repliesOfOtherTermsAreNoVotes() {
        var bench = Bench(voters: 3, hardStates: [HardState(term: Term(4), vote: nil)])
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        bench.step(0, .received(.preVoteReply(term: Term(4), granted: true, round: 1), from: NodeID(1)))
        bench.persist(0)
        bench.step(0, .received(.voteReply(term: Term(4), granted: true), from: NodeID(1)))
        #expect(bench[0].role == .candidate)
        bench.step(0, .received(.voteReply(term: Term(6), granted: true), from: NodeID(2)))
        #expect(bench[0].role == .follower)
        #expect(bench[0].term == Term(6))
    }

    /// The same voter's grant counts once.
    @Test func repeatedGrantsCountOnce() {
        var bench = Bench(voters: 5)
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        for _ in 0..<3 {
            bench.step(0, .received(.preVoteReply(term: .zero, granted: true, round: 1), from: NodeID(1)))
        }
        #expect(bench[0].role == .preCandidate)
    }

    /// T-V7 (redpanda 40add5d6ba): whoever takes up a higher term, or votes, gives up its own candidacy.
    @Test func preCandidateThatVotesWaitsForTheOutcome() {
        var bench = Bench(voters: 3, hardStates: [HardState(term: Term(3), vote: nil)])
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        #expect(bench[0].role == .preCandidate)
        bench.step(0, .received(vote(3), from: NodeID(2)))
        bench.step(0, .received(.preVoteReply(term: Term(3), granted: true, round: 1), from: NodeID(1)))
        #expect(bench[0].role == .follower)
        #expect(bench[0].term == Term(3))
    }

    /// T-V8 (redpanda 995c7750fd): asking changes nothing at the one who is asked.
    @Test func preVoteHasNoSideEffects() {
        var bench = Bench(voters: 3)
        let deadline = bench[0].deadline
        let output = bench.step(0, .received(preVote(7), from: NodeID(1)))
        #expect(granted(output) == true)
        #expect(output.persist == nil)
        #expect(bench[0].term == .zero)
        #expect(bench[0].deadline == deadline)
        // And so two may be granted, which two votes may not.
        #expect(granted(bench.step(0, .received(preVote(7), from: NodeID(2)))) == true)
    }

    /// T-V9 (openraft d6a6d562): a refusal teaches the higher term.
    @Test func refusedPreCandidateLearnsTheHigherTerm() {
        var bench = Bench(voters: 3, hardStates: [HardState(term: Term(2)), HardState(term: Term(9))])
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        bench.settle()
        #expect(bench[0].term >= Term(9))
    }

    /// T-V10 (openraft 511f33c7): answers to an older question count for nothing.
    @Test func preVoteRepliesOfAnOlderRoundAreIgnored() {
        var bench = Bench(voters: 3)
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        bench.pass(milliseconds: 2_000)
        bench.step(0, .tick)
        bench.step(0, .received(.preVoteReply(term: .zero, granted: true, round: 1), from: NodeID(1)))
        #expect(bench[0].role == .preCandidate)
        bench.step(0, .received(.preVoteReply(term: .zero, granted: true, round: 2), from: NodeID(1)))
        #expect(bench[0].role == .candidate)
    }

    /// T-V11 (redpanda 0ef0f34779): refusing a vote leaves the timer alone, granting winds it up.
    @Test func onlyAGrantedVoteResetsTheTimer() {
        var bench = Bench(voters: 3, logs: [[1, 1]])
        let deadline = bench[0].deadline
        bench.pass(milliseconds: 5)
        bench.step(0, .received(vote(2), from: NodeID(1)))
        #expect(bench[0].deadline == deadline)
        bench.step(0, .received(vote(2, last: bench[0].lastEntry), from: NodeID(2)))
        #expect(bench[0].deadline >= bench.now.advanced(byNanoseconds: Bench.timing.electionTimeout))
    }

    /// T-V12 (redpanda e1c89ecc35): a learner never stands and always votes when asked.
    @Test func learnerVotesButNeverStands() {
        var bench = Bench(voters: 2, learners: 1)
        bench.step(2, .tick)
        bench.pass(milliseconds: 60_000)
        bench.step(2, .tick)
        bench.step(2, .received(.timeoutNow(term: .zero), from: NodeID(0)))
        #expect(bench[2].role == .follower)
        #expect(bench[2].deadline == Moment(nanoseconds: .max))
        #expect(granted(bench.step(2, .received(vote(1), from: NodeID(0)))) == true)
    }

    /// T-V13: the votes of those outside the group count for nothing.
    @Test func strangersAndLearnersAreNotCounted() {
        var bench = Bench(voters: 3, learners: 1)
        bench.pass(milliseconds: 100)
        bench.step(0, .tick)
        for stranger in [NodeID(3), NodeID(77)] {
            bench.step(0, .received(.preVoteReply(term: .zero, granted: true, round: 1), from: stranger))
        }
        #expect(bench[0].role == .preCandidate)
    }

    /// T-V16: a restarted sole voter leads at once, with all it had.
    @Test func soleVoterLeadsAtOnce() {
        var bench = Bench(voters: 1, logs: [[1, 1, 2]])
        bench.step(0, .tick)
        bench.settle()
        #expect(bench.leaders == [0])
        #expect(bench[0].commit == LogIndex(4))
    }

    /// T-V17 (KAFKA-10527): a leader that restarts does not go on leading its term.
    @Test func restartedLeaderTakesANewTerm() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        let term = bench[0].term
        bench.crash(0)
        bench.restart(0)
        #expect(bench[0].role == .follower)
        bench.run(milliseconds: 4_000)
        #expect(bench[bench.leaders[0]].term > term)
    }

    /// T-V19: the log may be ahead of the hard state after a crash; its term is taken up, with no vote given.
    @Test func termIsNeverBelowThatOfTheLog() {
        var bench = Bench(voters: 3, logs: [[1, 5]], hardStates: [HardState(term: Term(3), vote: NodeID(2))])
        #expect(bench[0].term == Term(5))
        bench.step(0, .received(vote(5, last: bench[0].lastEntry), from: NodeID(1)))
        bench.persist(0)
        #expect(bench.members[0].disk == HardState(term: Term(5), vote: NodeID(1)))
    }

    /// Dissertation §4.2.3: whoever hears a leader helps nobody to unseat it, and takes up no term either.
    @Test func liveLeaseRefusesVotesAndPreVotes() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        let term = bench[1].term
        #expect(granted(bench.step(1, .received(preVote(99, last: bench[1].lastEntry), from: NodeID(2)))) == false)
        bench.step(1, .received(vote(99, last: bench[1].lastEntry), from: NodeID(2)))
        #expect(bench[1].term == term)
        bench.pass(milliseconds: 1_001)
        #expect(granted(bench.step(1, .received(preVote(99, last: bench[1].lastEntry), from: NodeID(2)))) == true)
    }

    /// A returned node that was cut off does not disturb the leader it finds.
    @Test func returnedNodeDoesNotUnseatTheLeader() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = Bench.cut([2], [0, 1])
        bench.run(milliseconds: 20_000)
        let term = bench[0].term
        #expect(bench[2].term == term, "standing alone must not raise the term")
        bench.passes = { _ in true }
        bench.run(milliseconds: 2_000)
        #expect(bench.leaders == [0])
        #expect(bench[0].term == term)
        #expect(bench[2].leader == NodeID(0))
    }

    /// Two whose connections to the leader broke need not wait for its lease; one alone cannot unseat it.
    @Test func brokenConnectionsStartAnElectionAtOnce() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.crash(0)
        let begin = bench.now
        bench.step(1, .peerLost(NodeID(0)))
        bench.step(2, .peerLost(NodeID(0)))
        bench.run(milliseconds: 40)
        #expect(bench.leaders.count == 1)
        #expect(bench.now.nanoseconds(since: begin) < 100_000_000)
    }

    @Test func oneBrokenConnectionDoesNotUnseatALivingLeader() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.step(1, .peerLost(NodeID(0)))
        bench.run(milliseconds: 25)
        #expect(bench[1].role == .preCandidate)
        bench.run(milliseconds: 500)
        #expect(bench.leaders == [0])
        #expect(bench[1].role == .follower)
    }

    /// The connection may break after the follower has begun to ask by itself.
    @Test func preCandidateThatLosesTheLeaderSaysSo() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.flights = []
        bench.pass(milliseconds: 2_100)
        bench.step(1, .tick)
        bench.step(1, .peerLost(NodeID(0)))
        bench.flights = []
        bench.pass(milliseconds: 1_100)
        bench.step(1, .tick)
        #expect(
            bench.flights.contains {
                if case .preVote(let question) = $0.message { question.leaderLost } else { false }
            })
    }

    /// Nodes that start one after the other elect a leader soon after a majority can speak.
    @Test func leaderlessNodeStandsSoonAfterItMeetsAPeer() {
        var bench = Bench(voters: 3)
        bench.passes = { _ in false }
        bench.run(milliseconds: 3_000)
        bench.passes = { _ in true }
        bench.step(0, .peerConnected(NodeID(1)))
        bench.step(1, .peerConnected(NodeID(0)))
        bench.run(milliseconds: 60)
        #expect(bench.leaders.count == 1)
    }

    /// Check-quorum: a leader that hears no majority for an election timeout steps down.
    /// T-V15 (KAFKA-15489).
    @Test func leaderWithoutAMajorityStepsDown() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        bench.passes = { $0.to != NodeID(0) }
        bench.run(milliseconds: 900)
        #expect(bench[0].isLeader)
        bench.run(milliseconds: 300)
        #expect(!bench[0].isLeader)
    }

    /// A reply that lay in a queue proves only that the peer lived when it was asked.
    @Test func oldHeartbeatRepliesDoNotKeepALeaderInOffice() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        let stale = Message.heartbeatReply(
            HeartbeatReply(term: bench[0].term, sequence: bench.now.nanoseconds, held: .zero, matched: .zero))
        bench.pass(milliseconds: 5_000)
        bench.step(0, .received(stale, from: NodeID(1)))
        bench.step(0, .received(stale, from: NodeID(2)))
        bench.step(0, .tick)
        #expect(!bench[0].isLeader)
    }

    /// T-V15: of five, one sees all and the others see only it; it comes to lead.
    @Test func hubOfAStarBecomesTheStableLeader() {
        var bench = Bench(voters: 5)
        bench.elect(0)
        bench.passes = { $0.from == NodeID(2) || $0.to == NodeID(2) }
        bench.run(milliseconds: 8_000)
        #expect(bench.leaders == [2])
        let term = bench[2].term
        bench.run(milliseconds: 10_000)
        #expect(bench.leaders == [2])
        #expect(bench[2].term == term)
    }

    /// H28: a term that leaps is damage or malice.
    @Test func absurdTermsAreRefused() {
        var bench = Bench(voters: 3)
        bench.elect(0)
        let term = bench[1].term
        for message in [
            vote(.max, isTransfer: true), .voteReply(term: Term(2_000_000), granted: false),
            .append(Append(term: Term(.max), prev: .empty, runs: [], commit: .zero)), .timeoutNow(term: Term(.max)),
        ] {
            bench.step(1, .received(message, from: NodeID(2)))
        }
        #expect(bench[1].term == term)
    }

    @Test func heartbeatsAreDueAtMultiplesOfTheInterval() {
        var bench = Bench(voters: 3)
        bench.pass(milliseconds: 33)
        bench.elect(0)
        for _ in 0..<5 {
            #expect(bench[0].deadline.nanoseconds % Bench.timing.heartbeatInterval == 0)
            bench.run(milliseconds: 100)
        }
    }

    /// V8: a cluster at rest stays in its term.
    @Test func quietClusterKeepsItsTermAndItsLeader() {
        var bench = Bench(voters: 5)
        bench.elect(3)
        let term = bench[3].term
        bench.run(milliseconds: 30_000)
        #expect(bench.leaders == [3])
        #expect(bench[3].term == term)
    }

    @Test func groupsOfOneNodeSpreadTheirFirstLeaders() {
        var firsts: [NodeID: Int] = [:]
        for partition in 0..<60 {
            var earliest: (Moment, NodeID)?
            for id in 0..<3 {
                let node = RaftNode(
                    id: NodeID(Int32(id)), group: PartitionID(topic: TopicID(high: 1, low: 2), index: Int32(partition)),
                    members: RaftMembers(voters: [NodeID(0), NodeID(1), NodeID(2)]), seed: 1, now: .zero)
                if earliest.map({ node.deadline < $0.0 }) ?? true { earliest = (node.deadline, node.id) }
            }
            if let (_, id) = earliest { firsts[id, default: 0] += 1 }
        }
        #expect(firsts.count == 3)
        #expect(firsts.values.allSatisfy { $0 >= 10 })
    }
}
