// SPDX-License-Identifier: Apache-2.0

import LogModel

extension RaftNode {
    // MARK: - Timeouts

    /// The full timeout: a leader may well be alive.
    private mutating func patientDelay() -> UInt64 {
        timing.electionTimeout + random.below(timing.electionTimeout)
    }

    /// The short timeout, for when no leader is known to be alive: by rank, then ever longer up to the full one.
    mutating func hastyDelay() -> UInt64 {
        let step = timing.reconnectDelay
        let everyone = step * UInt64(max(members.electors.count, 1))
        let growth = min(timing.electionTimeout, everyone << min(attempts, 16))
        let ranked = rankedDelay
        return attempts == 0 ? ranked : growth + ranked + random.below(max(growth / 2, step))
    }

    /// How long our rank makes us wait.
    ///
    /// In a group that has never voted the others leave the preferred voter time to win, so that a new partition does
    /// not change its leader right after its first records.
    var rankedDelay: UInt64 {
        let isNew = hardState == HardState() && log.last == LogPosition(term: .zero, end: .zero)
        guard isNew, !members.preferred.isEmpty else { return timing.reconnectDelay * UInt64(1 + rank) }
        return timing.reconnectDelay + max(timing.reconnectDelay, timing.electionTimeout / 4) * UInt64(rank)
    }

    /// Our place among the voters that remain without the leader: as preferred, else in an order that starts elsewhere
    /// in each group, so that the groups of a node that died find different leaders.
    var rank: Int {
        if !members.preferred.isEmpty {
            let candidates = members.preferred.filter { members.isElector($0) && ($0 != leader || $0 == id) }
            return candidates.firstIndex(of: id) ?? candidates.count
        }
        let candidates = members.electors.filter { $0 != leader || $0 == id }
        guard let place = candidates.firstIndex(of: id) else { return candidates.count }
        let mixed = SplitMix.mix(
            group.topic.high ^ SplitMix.mix(group.topic.low) ^ UInt64(UInt32(bitPattern: group.index)))
        let first = Int(mixed % UInt64(candidates.count))
        return (place - first + candidates.count) % candidates.count
    }

    mutating func heardLeader() {
        leaderHeardAt = now
        leaderLost = false
        attempts = 0
        electionDeadline = now.advanced(byNanoseconds: patientDelay())
    }

    /// Whether the leader was heard within an election timeout.
    var leaseIsLive: Bool {
        guard role != .leader, let leaderHeardAt else { return false }
        return now.nanoseconds(since: leaderHeardAt) < timing.electionTimeout
    }

    /// A follower's connection to its leader broke: most likely the leader's process died.
    mutating func followerLostPeer(_ peer: NodeID) {
        guard role == .follower || role == .preCandidate, peer == leader, !leaderLost else { return }
        leaderLost = true
        attempts = 0
        electionDeadline = min(electionDeadline, now.advanced(byNanoseconds: hastyDelay()))
    }

    /// Somebody who could vote can be reached now: a group that nobody leads need not wait out its patience.
    mutating func leaderlessMetPeer(_ peer: NodeID) {
        let isIdle = role == .preCandidate || (role == .follower && hardState.vote == nil)
        guard isIdle, leader == nil, members.isElector(peer) else { return }
        electionDeadline = min(electionDeadline, now.advanced(byNanoseconds: rankedDelay))
    }

    // MARK: - Standing

    /// Asks whether it could win, and stands at once where there is nobody to ask or the leader has asked it to.
    mutating func stand(isTransfer: Bool, into output: inout Output) {
        guard mayStand, role != .leader, installing == nil else { return }
        if isTransfer || isSoleVoter {
            becomeCandidate(isTransfer: isTransfer, into: &output)
        } else {
            becomePreCandidate(into: &output)
        }
    }

    private mutating func becomePreCandidate(into output: inout Output) {
        guard term.rawValue < .max else { return }
        role = .preCandidate
        round &+= 1
        granted = [id]
        refused = []
        attempts += 1
        electionDeadline = now.advanced(byNanoseconds: hastyDelay())
        let question = PreVote(
            term: term.next, last: log.last, leaderLost: leaderLost, round: round)
        for voter in members.electors where voter != id {
            output.send.append(Envelope(to: voter, message: .preVote(question)))
        }
    }

    private mutating func becomeCandidate(isTransfer: Bool, into output: inout Output) {
        guard term.rawValue < .max else { return }
        let hadLeader = leader != nil
        #if MUTANTS
            if Mutant.isActive("T-V17"), hardState.vote == id { hardState.term = Term(term.rawValue - 1) }
        #endif
        enter(term.next)
        role = .candidate
        hardState.vote = id
        granted = []
        refused = []
        let half = timing.electionTimeout / 2
        electionDeadline = now.advanced(byNanoseconds: half + random.below(half))
        if hadLeader { output.roleChange = .leaderChanged(nil, term) }
        // Not before our own vote is on disk: after a crash we might stand in this term once more with a shorter log,
        // and would then count votes that were given to the longer one.
        let vote = Vote(term: term, last: log.last, isTransfer: isTransfer)
        for voter in members.electors where voter != id {
            output.sendOncePersisted.append(Envelope(to: voter, message: .vote(vote)))
        }
    }

    /// Takes up a higher term, in which nothing is promised and nobody leads yet.
    private mutating func enter(_ newTerm: Term) {
        precondition(newTerm > term, "a term is entered once")
        #if MUTANTS
            let known = leader
            defer { if Mutant.isActive("T-V20") { leader = known } }
        #endif
        hardState = HardState(term: newTerm)
        leader = nil
        leaderHeardAt = nil
        verified = commit
        acknowledged = .zero
    }

    /// Follows in a higher term, whoever may lead it.
    mutating func becomeFollower(in newTerm: Term, into output: inout Output) {
        let hadLeader = leader != nil
        let led = role == .leader
        let waited = role == .follower
        enter(newTerm)
        leaveOffice()
        // Taking up a term is no reason to wait longer (redpanda 0ef0f34779), except for those who stood or led.
        if !waited { electionDeadline = now.advanced(byNanoseconds: patientDelay()) }
        if led {
            output.roleChange = .steppedDown(term)
        } else if hadLeader {
            output.roleChange = .leaderChanged(nil, term)
        }
    }

    /// Gives up leadership within the term. The vote stays (nats bf8ebe7dd).
    mutating func stepDown(into output: inout Output) {
        precondition(role == .leader, "only a leader can step down")
        #if MUTANTS
            if Mutant.isActive("T-V3") { hardState.vote = nil }
        #endif
        leader = nil
        leaderHeardAt = nil
        verified = commit
        acknowledged = .zero
        leaveOffice()
        electionDeadline = now.advanced(byNanoseconds: patientDelay())
        output.roleChange = .steppedDown(term)
    }

    private mutating func leaveOffice() {
        role = .follower
        peers.removeAll(keepingCapacity: true)
        granted.removeAll(keepingCapacity: true)
        refused.removeAll(keepingCapacity: true)
        transfer = nil
        pendingMembers = nil
    }

    /// Follows `sender`, which has spoken as this term's leader. False when that cannot be.
    mutating func follow(_ sender: NodeID, into output: inout Output) -> Bool {
        guard role != .leader else {
            fail("\(sender) also speaks as the leader of this term", into: &output)
            return false
        }
        guard leader == nil || leader == sender else {
            fail("both \(leader.map { "\($0)" } ?? "") and \(sender) speak as leader of this term", into: &output)
            return false
        }
        leaveOffice()
        if leader == nil {
            leader = sender
            if case .steppedDown = output.roleChange {} else { output.roleChange = .leaderChanged(sender, term) }
        }
        heardLeader()
        return true
    }

    // MARK: - Asking and answering

    /// Answers what we would do, and changes nothing (redpanda 995c7750fd).
    ///
    /// Whoever hears a leader refuses, unless both sides have lost their connection to it.
    func answer(_ question: PreVote, from sender: NodeID, into output: inout Output) {
        #if MUTANTS
            if Mutant.isActive("T-V5"), question.last.end < log.end || question.last.term < log.last.term { return }
        #endif
        let isLeaderless = role != .leader && (!leaseIsLive || (leaderLost && question.leaderLost))
        let granted = question.term > term && isLeaderless && question.last >= log.last
        output.send.append(
            Envelope(
                to: sender, message: .preVoteReply(term: term, granted: granted, round: question.round)))
    }

    mutating func preVoteReplied(
        term theirs: Term, granted isGrant: Bool, round: UInt32, from sender: NodeID, into output: inout Output
    ) {
        #if MUTANTS
            if Mutant.isActive("T-V9"), theirs > term { return }
        #endif
        if theirs > term {
            becomeFollower(in: theirs, into: &output)
            electionDeadline = min(electionDeadline, now.advanced(byNanoseconds: hastyDelay()))
            return
        }
        #if MUTANTS
            let round = Mutant.isActive("T-V10") ? self.round : round
        #endif
        guard role == .preCandidate, round == self.round, members.isElector(sender) else { return }
        note(isGrant, of: sender)
        if members.isQuorum(granted) { becomeCandidate(isTransfer: false, into: &output) }
    }

    mutating func answer(_ vote: Vote, from sender: NodeID, into output: inout Output) {
        #if MUTANTS
            if Mutant.isActive("T-V12"), !members.isElector(id) { return }
        #endif
        let isFree = hardState.vote == nil || hardState.vote == sender
        // A leader is known: the vote of this term is over, even if ours was not needed.
        let granted = isFree && leader == nil && vote.last >= log.last
        if granted {
            hardState.vote = sender
            #if MUTANTS
                let stood = role
                defer { if Mutant.isActive("T-V7") { role = stood } }
            #endif
            // Whoever has just voted waits for what comes of it (redpanda cda30d85af).
            leaveOffice()
            attempts = 0
            electionDeadline = now.advanced(byNanoseconds: patientDelay())
        }
        #if MUTANTS
            if Mutant.isActive("T-V11") { electionDeadline = now.advanced(byNanoseconds: patientDelay()) }
        #endif
        let reply = Message.voteReply(term: term, granted: granted)
        #if MUTANTS
            if Mutant.isActive("T-V2") { output.send.append(Envelope(to: sender, message: reply)) }
        #endif
        output.sendOncePersisted.append(Envelope(to: sender, message: reply))
    }

    mutating func voteReplied(granted isGrant: Bool, from sender: NodeID, into output: inout Output) {
        guard role == .candidate, members.isElector(sender) else { return }
        note(isGrant, of: sender)
        countVotes(into: &output)
    }

    private mutating func note(_ isGrant: Bool, of sender: NodeID) {
        if isGrant {
            if !granted.contains(sender) { granted.append(sender) }
        } else if !refused.contains(sender) {
            refused.append(sender)
        }
    }

    /// Whoever's process may have ended may have lost what it promised, and be asked again by somebody else.
    mutating func forgetVote(of peer: NodeID) {
        if role == .candidate { granted.removeAll { $0 == peer } }
    }

    /// Our own vote counts once it is on disk.
    mutating func countVotes(into output: inout Output) {
        precondition(role == .candidate, "only a candidate counts votes")
        if persisted == hardState { note(true, of: id) }
        // Ours must be on disk even where it does not count.
        if members.isQuorum(granted) && granted.contains(id) {
            becomeLeader(into: &output)
        } else if members.isOutOfReach(without: refused) {
            leaveOffice()
            attempts += 1
            electionDeadline = now.advanced(byNanoseconds: hastyDelay())
        }
    }

    private mutating func becomeLeader(into output: inout Output) {
        leaveOffice()
        role = .leader
        leader = id
        leaderLost = false
        leaderHeardAt = nil
        attempts = 0
        verified = log.end
        termStart = log.end
        updatePeers()
        output.roleChange = .becameLeader(term)
        output.appendLeaderStart = term
        output.wantsAppend = true
        sendHeartbeats(into: &output)
        scheduleHeartbeat()
    }
}
