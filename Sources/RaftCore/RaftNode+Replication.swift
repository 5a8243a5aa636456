// SPDX-License-Identifier: Apache-2.0

public import LogModel

// MARK: - Leading

extension RaftNode {
    mutating func leaderTick(into output: inout Output) {
        abandonLateTransfer(into: &output)
        guard role == .leader, now >= heartbeatDeadline else { return }
        #if MUTANTS
            let asked = pendingMembers
            defer { if Mutant.isActive("T-M5"), role == .leader { pendingMembers = asked } }
        #endif
        // What was asked for and is not there was refused (etcd-raft bd3c759).
        pendingMembers = nil
        #if MUTANTS
            defer { if Mutant.isActive("T-V15") { scheduleHeartbeat() } }
            if Mutant.isActive("T-V15") { return sendHeartbeats(into: &output) }
        #endif
        let span = timing.electionTimeout
        guard isQuorum(where: { now.nanoseconds(since: $0.lastHeard) < span }) else {
            Mark.hit("RaftNode.stepped-down-out-of-touch")
            stepDown(into: &output)
            return
        }
        sendHeartbeats(into: &output)
        scheduleHeartbeat()
        if peers.contains(where: { wantsToSend(to: $0) }) { output.wantsAppend = true }
    }

    mutating func scheduleHeartbeat() {
        let beats = now.nanoseconds / timing.heartbeatInterval
        heartbeatDeadline = Moment(nanoseconds: (beats + 1) * timing.heartbeatInterval)
    }

    /// One for the next heartbeats: the clock's, but never one that was used.
    mutating func nextSequence() -> UInt64 {
        lastSequence = max(now.nanoseconds, lastSequence + 1)
        return lastSequence
    }

    mutating func sendHeartbeats(into output: inout Output) {
        let sequence = nextSequence()
        for peer in peers {
            let beat = Heartbeat(
                term: term, commit: commitToTell(peer), sequence: sequence, isComplete: isComplete(peer))
            output.send.append(Envelope(to: peer.peer, message: .heartbeat(beat)))
        }
    }

    /// A false alarm would be raised by more than the peer is known to hold (openraft 2bdfae5d).
    private func commitToTell(_ peer: Progress) -> LogIndex {
        #if MUTANTS
            if Mutant.isActive("T-L12") { return commit }
        #endif
        return min(commit, peer.match)
    }

    mutating func proposed(end: LogIndex, members changed: RaftMembers?, into output: inout Output) {
        #if MUTANTS
            if Mutant.isActive("T-L19"), role != .leader, end > log.end { log.append(log.last.term, through: end) }
        #endif
        guard role == .leader, end > log.end else { return }
        log.append(term, through: end)
        verified = end
        output.wantsAppend = true
        if let changed { proposedMembers(changed, into: &output) }
    }

    mutating func becameDurable(through index: LogIndex, into output: inout Output) {
        log.becameDurable(through: index)
        #if MUTANTS
            if Mutant.isActive("T-C13"), role != .leader { return }
        #endif
        if role == .leader {
            advanceCommit(into: &output)
        } else if matched > acknowledged {
            acknowledge(into: &output)
        }
    }

    /// Commits what a quorum of disks holds, ours included where we vote, provided that it is of our own term: an
    /// older entry that a majority holds can still be replaced (paper §5.4.2, figure 8).
    mutating func advanceCommit(into output: inout Output) {
        precondition(role == .leader, "only a leader commits by counting")
        let majority = min(matchOfQuorum(), log.end)
        #if MUTANTS
            if Mutant.isActive("T-C1"), majority > commit { commit = majority }
        #endif
        guard majority > commit, majority > termStart else { return }
        commit = majority
        if eagerCommit { sendHeartbeats(into: &output) }
    }

    private mutating func matchOfQuorum() -> LogIndex {
        reached.removeAll(keepingCapacity: true)
        if members.voters.contains(id) { reached.append(log.durable) }
        #if MUTANTS
            if Mutant.isActive("T-C3"), !reached.isEmpty { reached[0] = log.end }
        #endif
        for peer in peers where peer.isVoter { reached.append(peer.isTrusted ? peer.match : .zero) }
        #if MUTANTS
            if Mutant.isActive("T-C10"), let most = reached.max() {
                reached = reached.map { $0 == .zero ? most : $0 }
            }
        #endif
        #if MUTANTS
            if Mutant.isActive("T-M3"), !members.isElector(id) { reached[reached.count - 1] = log.durable }
        #endif
        let incoming = Quorum(of: members.voters.count).commit(&reached)
        guard members.isJoint else { return incoming }
        reached.removeAll(keepingCapacity: true)
        if members.outgoing.contains(id) { reached.append(log.durable) }
        for peer in peers where peer.isOutgoing { reached.append(peer.isTrusted ? peer.match : .zero) }
        return min(incoming, Quorum(of: members.outgoing.count).commit(&reached))
    }

    func place(of peer: NodeID) -> Int? { peers.firstIndex { $0.peer == peer } }

    mutating func received(_ reply: AppendReply, from sender: NodeID, into output: inout Output) {
        guard role == .leader, let place = place(of: sender) else { return }
        peers[place].lastHeard = now
        #if MUTANTS
            if Mutant.isActive("T-L10"), case .rejected(let prev, _) = reply.outcome {
                peerMatched(prev.end, at: place, into: &output)
            }
        #endif
        judgeMemory(isRebuilding: reply.isRebuilding, at: place)
        switch reply.outcome {
        case .matched(let index): peerMatched(index, at: place, into: &output)
        case .rejected(let prev, let hint): peerRejected(prev, hint: hint, at: place)
        }
        if wantsToSend(to: peers[place]) { output.wantsAppend = true }
    }

    private mutating func peerMatched(_ index: LogIndex, at place: Int, into output: inout Output) {
        #if MUTANTS
            if Mutant.isActive("T-S11"), case .snapshot = peers[place].state, index != log.start.position.end { return }
        #endif
        // Nobody can hold more of our log than there is.
        guard index <= log.end else { return }
        switch peers[place].state {
        case .replicating: break
        case .probing(let prev, _):
            if index >= prev.end, index >= log.start.position.end { peers[place].replicate(from: index, now: now) }
        case .snapshot:
            if index >= log.start.position.end { peers[place].replicate(from: index, now: now) }
        }
        #if MUTANTS
            if Mutant.isActive("T-L14") { peers[place].match = index }
        #endif
        guard index > peers[place].match else { return }
        peers[place].matched(index)
        if peers[place].isVoter || peers[place].isOutgoing { advanceCommit(into: &output) }
        askTargetIfReady(into: &output)
    }

    private mutating func peerRejected(_ prev: LogPosition, hint: LogPosition, at place: Int) {
        guard hint < prev, hint.end <= prev.end else { return }
        switch peers[place].state {
        case .probing(let asked, _):
            // The answer to an older question says nothing about this one.
            guard prev == asked else { return }
        case .replicating:
            guard prev.end >= peers[place].match, prev.end <= peers[place].next else { return }
        case .snapshot:
            return
        }
        #if MUTANTS
            let earlier = log.position(at: prev.end.advanced(by: -1))
            if Mutant.isActive("T-L8"), earlier != nil { return probe(at: place, earlier) }
        #endif
        probe(at: place, log.nextQuestion(after: hint))
    }

    /// Asks a peer about `prev`, or sends it a snapshot when there is nothing left to ask about.
    private mutating func probe(at place: Int, _ prev: LogPosition?) {
        if let prev { peers[place].probe(prev) } else { peers[place].needSnapshot() }
    }

    mutating func received(_ reply: HeartbeatReply, from sender: NodeID, into output: inout Output) {
        guard role == .leader, let place = place(of: sender) else { return }
        peers[place].lastHeard = max(peers[place].lastHeard, min(now, Moment(nanoseconds: reply.sequence)))
        judgeMemory(isRebuilding: reply.isRebuilding, at: place)
        #if MUTANTS
            if Mutant.isActive("T-R5") { answered(lastSequence, at: place, into: &output) }
        #endif
        if reply.sequence <= lastSequence { answered(reply.sequence, at: place, into: &output) }
        guard reply.held <= log.end else { return }
        peerMatched(reply.matched, at: place, into: &output)
        let patience = 2 * timing.heartbeatInterval
        if peers[place].noticesLoss(held: reply.held, sequence: reply.sequence, now: now, patience: patience) {
            probeFromMatch(at: place)
        } else if case .probing(let prev, _) = peers[place].state, reply.held >= prev.end,
            reply.held >= log.start.position.end
        {
            peers[place].replicate(from: reply.held, now: now)
        }
        if wantsToSend(to: peers[place]) { output.wantsAppend = true }
    }

    /// What a peer once matched it most likely still holds; one that is not known is asked about our last entry.
    private mutating func probeFromMatch(at place: Int) {
        let match = peers[place].match
        let known = match > log.start.position.end ? log.position(at: match) : nil
        probe(at: place, known ?? log.last)
    }

    mutating func peerConnected(_ peer: NodeID, into output: inout Output) {
        guard role == .leader else {
            forgetVote(of: peer)
            return leaderlessMetPeer(peer)
        }
        guard let place = place(of: peer) else { return }
        peers[place].memory = .sound
        peers[place].forgiveLosses()
        probeFromMatch(at: place)
        output.wantsAppend = true
    }

    mutating func peerLost(_ peer: NodeID, into output: inout Output) {
        guard role == .leader else {
            forgetVote(of: peer)
            return followerLostPeer(peer)
        }
        if transfer?.target == peer { transfer = nil }
        guard let place = place(of: peer) else { return }
        peers[place].memory = .sound
        probeFromMatch(at: place)
    }

    // MARK: - Sending

    private func wantsToSend(to peer: Progress) -> Bool {
        switch peer.state {
        case .probing(_, let askedAt): isDue(askedAt, after: 2 * timing.heartbeatInterval)
        case .snapshot(let sentAt): isDue(sentAt, after: 3 * timing.electionTimeout)
        case .replicating: peer.next < log.end && !peer.windowIsFull(limits)
        }
    }

    private func isDue(_ last: Moment?, after wait: UInt64) -> Bool {
        last.map { now.nanoseconds(since: $0) >= wait } ?? true
    }

    /// What to send to `peer` next; `nil` when nothing is due or its window is full.
    ///
    /// Ask again after `appendSent` or `snapshotSent`, until it says `nil`.
    public mutating func nextAppend(to peer: NodeID, now: Moment) -> AppendPlan? {
        self.now = max(self.now, now)
        guard fault == nil, role == .leader, let place = place(of: peer), wantsToSend(to: peers[place]) else {
            return nil
        }
        #if MUTANTS
            if Mutant.isActive("T-L17"), case .snapshot = peers[place].state { return nil }
        #endif
        switch peers[place].state {
        case .snapshot: return plan(.snapshot, from: log.start.position)
        case .probing(let prev, _):
            guard log.term(endingAt: prev.end) == prev.term else { break }
            return plan(.probe, from: prev)
        case .replicating:
            guard let prev = log.position(at: peers[place].next) else { break }
            return plan(.entries, from: prev)
        }
        // Retention has overtaken the peer.
        peers[place].needSnapshot()
        return plan(.snapshot, from: log.start.position)
    }

    private func plan(_ kind: AppendPlan.Kind, from prev: LogPosition) -> AppendPlan {
        AppendPlan(kind: kind, prev: prev, limit: limits.maxAppendBytes, commit: commit)
    }

    /// Notes that what `nextAppend` planned has been read and is being sent.
    ///
    /// - Parameters:
    ///   - runs: the terms of the entries read, from the plan's `prev` on; empty for a probe.
    ///   - bytes: of those entries.
    /// - Returns: the message to put beside the bytes.
    /// - Precondition: `nextAppend` has just planned this for `peer`.
    public mutating func appendSent(to peer: NodeID, runs: [TermRun], bytes: ByteCount, now: Moment) -> Message {
        guard role == .leader, let place = place(of: peer) else {
            preconditionFailure("only a leader sends entries, and only to members of its group")
        }
        self.now = max(self.now, now)
        let prev: LogPosition
        switch peers[place].state {
        case .probing(let asked, _):
            precondition(runs.isEmpty, "a probe carries no entries")
            prev = asked
            peers[place].state = .probing(prev: asked, askedAt: self.now)
        case .replicating:
            guard let known = log.position(at: peers[place].next), let end = runs.last?.end else {
                preconditionFailure("entries are sent from where our log holds them")
            }
            precondition(end > known.end && end <= log.end, "what is sent lies in our log")
            prev = known
            peers[place].sent(through: end, bytes: bytes, now: self.now)
        case .snapshot:
            preconditionFailure("a peer that needs a snapshot is sent no entries")
        }
        return .append(Append(term: term, prev: prev, runs: runs, commit: commit))
    }

    /// Notes that a snapshot at `anchor` is being sent, and returns the message to put beside it.
    ///
    /// - Precondition: `nextAppend` has just planned this for `peer`, and `anchor` is committed.
    public mutating func snapshotSent(to peer: NodeID, anchor: LogAnchor, now: Moment) -> Message {
        guard role == .leader, let place = place(of: peer) else {
            preconditionFailure("only a leader sends snapshots, and only to members of its group")
        }
        precondition(anchor.position.end <= commit, "a snapshot holds what is committed and nothing else")
        self.now = max(self.now, now)
        peers[place].state = .snapshot(sentAt: self.now)
        return .snapshot(Snapshot(term: term, anchor: anchor, members: members(at: anchor.position.end)))
    }

    // MARK: - Views

    /// Leader: whether everything has been sent to `peer` and is being stored there.
    public func isCaughtUp(_ peer: NodeID) -> Bool {
        guard role == .leader, let place = place(of: peer) else { return false }
        return peers[place].state == .replicating && peers[place].next == log.end
    }

    /// Leader: how far `peer` has come.
    public func progress(of peer: NodeID) -> ProgressView? {
        guard role == .leader, let place = place(of: peer) else { return nil }
        let peer = peers[place]
        let state: ProgressView.State =
            switch peer.state {
            case .probing: .probing
            case .replicating: .replicating
            case .snapshot: .snapshot
            }
        return ProgressView(
            match: peer.match, next: peer.next, state: state, lastHeard: peer.lastHeard,
            isRebuilding: peer.memory != .sound)
    }

    /// Leader: how many voters have given a sign of life within an election timeout, itself included; else 0. While
    /// the members change, of the two halves the one with fewer counts.
    public func activeVoters(now: Moment) -> Int {
        guard role == .leader else { return 0 }
        let span = timing.electionTimeout
        let heard = peers.count { $0.isVoter && now.nanoseconds(since: $0.lastHeard) < span }
        let incoming = heard + (members.voters.contains(id) ? 1 : 0)
        guard members.isJoint else { return incoming }
        let others = peers.count { $0.isOutgoing && now.nanoseconds(since: $0.lastHeard) < span }
        return min(incoming, others + (members.outgoing.contains(id) ? 1 : 0))
    }

    /// Leader: whether a quorum has given a sign of life within three heartbeats.
    ///
    /// One that has not may have been voted out without having heard of it, and then others know more than it does.
    public func isInCloseTouch(now: Moment) -> Bool {
        guard role == .leader else { return false }
        let span = 3 * timing.heartbeatInterval
        return isQuorum { $0.isTrusted && now.nanoseconds(since: $0.lastHeard) < span }
    }

    /// Leader: all other members, and those who are out and have not heard of it yet.
    public var peerCount: Int { peers.count }

    /// - Precondition: `place` is below `peerCount`.
    public func peer(at place: Int) -> NodeID { peers[place].peer }
}
