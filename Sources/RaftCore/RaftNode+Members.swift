// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// Changing who belongs to the group, by joint consensus (dissertation §4.3).
///
///     asked by the caller          a majority of both               by itself              a majority of voters
///     learners, or joint ──append──▶ committed ───────── leaves ──append──▶ committed ──▶ whoever is out goes
///
/// A configuration counts from its append on, on every member; when its entry is cut off, the one before counts again.
extension RaftNode {
    // MARK: - What is in force

    /// Whether the entry that says the members in force is known to be committed.
    public var membersAreCommitted: Bool { log.members.latestEnd <= commit }

    /// Who belonged to the group at `index`, which lies in the log or at its start.
    public func members(at index: LogIndex) -> RaftMembers { log.members.members(at: index) }

    /// Leader: whether `changeMembers` may be heard now: nothing is under way, what is in force is committed, and so is
    /// an entry of the own term. Without the latter two leaders could come to decide by majorities that do not meet
    /// (the dissertation's erratum on single-server changes).
    public var acceptsMembers: Bool {
        #if MUTANTS
            if Mutant.isActive("T-M2") { return acceptsProposals && !members.isJoint && pendingMembers == nil }
        #endif
        return acceptsProposals && hasCommittedInTerm && membersAreCommitted && !members.isJoint
            && pendingMembers == nil
    }

    /// Whether this member may stand for election.
    ///
    /// Also one whom the newest configuration leaves out, until that is known to be committed: it may be the only one
    /// who holds the entry, and then nobody else can win (dissertation §4.2.2).
    var mayStand: Bool {
        #if MUTANTS
            if Mutant.isActive("T-V13") { return true }
        #endif
        guard members.isElector(id) || (!membersAreCommitted && log.members.previous.isElector(id)) else {
            return false
        }
        // Whoever has lost its log helps nobody to win, itself included. One that knows to be alone has nobody to ask.
        return !isRebuilding || (isSoleVoter && knowsMembers)
    }

    /// Whether a member whose log was lost may vote: of two voters the other one has everything ever committed. That
    /// there are two must be known from elsewhere, since the log that would say so is lost.
    var votesWhileRebuilding: Bool {
        #if MUTANTS
            if Mutant.isActive("T-M13") { return true }
        #endif
        return knowsMembers && !members.isJoint && members.voters.count == 2 && members.isElector(id)
    }

    // MARK: - Asking for a change

    mutating func changeMembers(to wanted: RaftMembers, into output: inout Output) {
        guard acceptsMembers, isOneStep(to: wanted) else { return }
        pendingMembers = wanted
        output.appendMembers = wanted
    }

    private func isOneStep(to wanted: RaftMembers) -> Bool {
        guard !wanted.voters.isEmpty else { return false }
        // What only the caller knew may be written down.
        guard wanted != members else { return log.members.entries.isEmpty }
        guard wanted.isJoint else { return wanted.voters == members.voters }
        return wanted.outgoing == members.voters && wanted.voters != members.voters
            && wanted.voters.allSatisfy { members.voters.contains($0) || isReady($0) }
    }

    /// Whether a learner may be given a vote: it is sent the log, and its word counts (redpanda 876fe9e265). Were it
    /// still being rebuilt, it could not vote for whoever comes to lead next.
    private func isReady(_ learner: NodeID) -> Bool {
        #if MUTANTS
            if Mutant.isActive("T-M7") { return true }
        #endif
        guard members.learners.contains(learner), let place = place(of: learner) else { return learner == id }
        return peers[place].state == .replicating && peers[place].memory == .sound
    }

    /// The entry that says `changed` is in the own log.
    mutating func proposedMembers(_ changed: RaftMembers, into output: inout Output) {
        precondition(pendingMembers == changed, "members change as it was asked for, once")
        pendingMembers = nil
        log.note(MembersEntry(slot: log.end.advanced(by: -1), members: changed))
        takeUpMembers()
        #if MUTANTS
            if Mutant.isActive("T-C11") { return }
        #endif
        // Fewer may be needed now than before (etcd-raft 2902537).
        advanceCommit(into: &output)
    }

    /// The newest configuration of the log is in force.
    mutating func takeUpMembers() {
        members = log.members.latest.preferring(members.preferred)
        membersEnd = log.members.latestEnd
        if role == .leader { updatePeers() }
    }

    /// Takes over another order in which voters should stand.
    public mutating func prefer(_ order: [NodeID]) { members = members.preferring(order) }

    // MARK: - Leader

    /// Leader: one `Progress` for each other member. Whom the newest configuration leaves out keeps its own until that
    /// is committed: it should hear that it is out.
    mutating func updatePeers() {
        for member in members.all where member != id && place(of: member) == nil {
            peers.append(Progress(peer: member, probing: log.last, now: now))
        }
        for place in peers.indices {
            peers[place].isVoter = members.voters.contains(peers[place].peer)
            peers[place].isOutgoing = members.outgoing.contains(peers[place].peer)
        }
    }

    /// To be called after each event: what follows from a configuration that has become committed.
    mutating func settleMembers(committedBefore: LogIndex, into output: inout Output) {
        guard role == .leader else {
            let end = log.members.latestEnd
            if committedBefore < end, commit >= end, !members.isJoint { output.membersCommitted = members }
            return
        }
        let settled = max(log.members.latestEnd, termStart.advanced(by: 1))
        guard commit >= settled else { return }
        if members.isJoint {
            guard pendingMembers == nil, acceptsProposals, incomingCanElect else { return }
            pendingMembers = members.left
            output.appendMembers = pendingMembers
            return
        }
        if committedBefore < settled {
            output.membersCommitted = members
            sayFarewell(into: &output)
        }
        if !members.isElector(id), transfer == nil, fault == nil { handOver(into: &output) }
    }

    /// Whether the incoming voters can do without the outgoing ones: those whose logs were lost have no vote before
    /// they have everything again.
    private var incomingCanElect: Bool {
        majorityValue(of: members.voters, own: 1, least: 0) {
            $0.memory == .sound && $0.state == .replicating ? 1 : 0
        } isOne: {
            $0.isVoter
        } == 1
    }

    /// Tells those who are out that they are, and forgets them.
    private mutating func sayFarewell(into output: inout Output) {
        guard peers.contains(where: { !members.contains($0.peer) }) else { return }
        Mark.hit("RaftNode.said-farewell")
        let sequence = nextSequence()
        for peer in peers where !members.contains(peer.peer) {
            // They believe it as far as they have checked their logs.
            let beat = Heartbeat(term: term, commit: commit, sequence: sequence)
            output.send.append(Envelope(to: peer.peer, message: .heartbeat(beat)))
        }
        peers.removeAll { !members.contains($0.peer) }
    }

    /// A leader who is out gives leadership to the voter that has come furthest, and leads no longer.
    private mutating func handOver(into output: inout Output) {
        Mark.hit("RaftNode.removed-leader-hands-over")
        var heir: Progress?
        for peer in peers where peer.isVoter && peer.memory == .sound {
            guard now.nanoseconds(since: peer.lastHeard) < timing.electionTimeout else { continue }
            if let best = heir, best.match >= peer.match { continue }
            heir = peer
        }
        if let heir { startTransfer(to: heir.peer, into: &output) }
        if transfer == nil { stepDown(into: &output) }
    }

    // MARK: - Counting

    /// Leader: the largest value that a quorum has reached: `own` counts for this member, `reached` for the others.
    ///
    /// - Complexity: O(*n*²) in members; allocates nothing.
    func quorumValue<Value: Comparable>(own: Value, least: Value, of reached: (Progress) -> Value) -> Value {
        let incoming = majorityValue(of: members.voters, own: own, least: least, reached) { $0.isVoter }
        guard members.isJoint else { return incoming }
        return min(incoming, majorityValue(of: members.outgoing, own: own, least: least, reached) { $0.isOutgoing })
    }

    /// Leader: the largest value that a majority of one half of the voters has reached.
    func majorityValue<Value: Comparable>(
        of voters: [NodeID], own: Value, least: Value, _ reached: (Progress) -> Value, isOne: (Progress) -> Bool
    ) -> Value {
        let quorum = Quorum(of: voters.count)
        let isOurs = voters.contains(id)
        func isReached(_ value: Value) -> Bool {
            var count = isOurs && own >= value ? 1 : 0
            for peer in peers where isOne(peer) && reached(peer) >= value { count += 1 }
            return quorum.isReached(by: count)
        }
        var best = least
        if isOurs, own > best, isReached(own) { best = own }
        for peer in peers where isOne(peer) {
            let value = reached(peer)
            if value > best, isReached(value) { best = value }
        }
        return best
    }

    /// Leader: whether those others who satisfy `isPresent` are a quorum together with this member.
    func isQuorum(where isPresent: (Progress) -> Bool) -> Bool {
        quorumValue(own: 1, least: 0) { isPresent($0) ? 1 : 0 } == 1
    }
}
