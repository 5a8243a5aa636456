// SPDX-License-Identifier: Apache-2.0

import LogModel

/// Keeping a log like the leader's.
extension RaftNode {
    /// What we may promise to this term's leader: durable, and checked against its log (redpanda d0e45c0baf).
    ///
    /// Nothing while our term itself is not on disk: after a crash we might help a leader of the past.
    var matched: LogIndex {
        #if MUTANTS
            if Mutant.isActive("T-C4") { return log.durable }
        #endif
        return min(log.durable, verified)
    }

    mutating func acknowledge(into output: inout Output) {
        guard let leader, leader != id, installing == nil else { return }
        acknowledged = matched
        let reply = AppendReply(term: term, outcome: .matched(matched), isRebuilding: isRebuilding)
        output.sendOncePersisted.append(Envelope(to: leader, message: .appendReply(reply)))
    }

    mutating func received(
        _ append: Append, from sender: NodeID, changes: [MembersEntry], into output: inout Output
    ) {
        guard isWellFormed(append), changes.allSatisfy({ $0.slot >= append.prev.end && $0.end <= append.end }),
            follow(sender, into: &output), installing == nil
        else { return }
        #if MUTANTS
            if Mutant.isActive("T-L3") { commit = max(commit, min(append.commit, log.end)) }
        #endif
        guard holds(append.prev, into: &output) else {
            guard fault == nil else { return }
            let known = log.position(at: commit) ?? log.start.position
            let hint = log.lastPosition(compatibleWith: append.prev)
            let outcome = AppendReply.Outcome.rejected(prev: append.prev, hint: hint.end < known.end ? known : hint)
            let reply = Message.appendReply(
                AppendReply(term: term, outcome: outcome, isRebuilding: isRebuilding))
            output.sendOncePersisted.append(Envelope(to: sender, message: reply))
            return
        }
        take(append, changes: changes, into: &output)
        guard fault == nil else { return }
        // In this order: the log is cut and checked before the leader's commit index is believed (KAFKA-14704).
        commit = max(commit, min(append.commit, verified))
        // What is not durable yet is answered by `.durable`.
        if log.durable >= append.end || append.runs.isEmpty || matched > acknowledged { acknowledge(into: &output) }
    }

    private func isWellFormed(_ append: Append) -> Bool {
        var last = append.prev
        guard last.term <= append.term else { return false }
        for (place, run) in append.runs.enumerated() {
            guard run.end > last.end, place == 0 ? run.term >= last.term : run.term > last.term else { return false }
            last = LogPosition(term: run.term, end: run.end)
        }
        return last.term <= append.term
    }

    /// Whether our log holds `prev`. What is committed agrees with every leader's log, so what lies below our own
    /// start is no conflict either (openraft 71a290cd).
    private mutating func holds(_ prev: LogPosition, into output: inout Output) -> Bool {
        let ours = log.term(endingAt: prev.end)
        guard prev.end <= commit else { return ours == prev.term }
        guard let ours, ours != prev.term else { return true }
        fail("the leader's log holds \(prev), ours holds term \(ours) there, which is committed", into: &output)
        return false
    }

    /// Stores what is new of an append whose `prev` we hold. What agrees already is left alone (openraft 9540c904).
    private mutating func take(_ append: Append, changes: [MembersEntry], into output: inout Output) {
        #if MUTANTS
            let start = log.start.position.end
            if Mutant.isActive("T-L7"), append.prev.end < start { output.truncate = start }
        #endif
        let before = log.members.latestEnd
        #if MUTANTS
            if Mutant.isActive("T-L1"), append.end >= verified, append.end < log.end {
                log.truncate(to: append.end)
                output.truncate = append.end
            }
        #endif
        if let conflict = firstConflict(with: append) {
            #if MUTANTS
                if Mutant.isActive("T-L2"), conflict < commit { return output.truncate = conflict }
            #endif
            guard conflict >= commit, conflict >= verified else {
                fail("the leader's log differs from ours at \(conflict), below \(max(commit, verified))", into: &output)
                return
            }
            if log.members.latestEnd > conflict { Mark.hit("RaftNode.reverted-members") }
            log.truncate(to: conflict)
            #if MUTANTS
                if Mutant.isActive("T-V4") { hardState = HardState(term: log.last.term) }
            #endif
            output.truncate = conflict
        }
        if append.end > log.end {
            let from = log.end
            output.storeFrom = from
            for run in append.runs where run.end > log.end { log.append(run.term, through: run.end) }
            for entry in changes where entry.slot >= from { log.note(entry) }
        }
        if !changes.isEmpty || log.members.latestEnd != before { takeUpMembers() }
        verified = max(verified, append.end)
    }

    /// The first index at which our log and the entries of `append` are of different terms, if there is one.
    private func firstConflict(with append: Append) -> LogIndex? {
        var index = append.prev.end
        for run in append.runs {
            index = max(index, log.start.position.end)
            let shared = min(run.end, log.end)
            while index < shared {
                guard log.terms.term(at: index) == run.term else { return index }
                index = min(log.endOfRun(holding: index), shared)
            }
            index = max(index, run.end)
        }
        return nil
    }

    mutating func received(_ beat: Heartbeat, from sender: NodeID, into output: inout Output) {
        guard follow(sender, into: &output) else { return }
        #if MUTANTS
            if Mutant.isActive("T-C12"), installing == nil { commit = min(beat.commit, verified) }
        #endif
        #if MUTANTS
            if Mutant.isActive("T-L13"), installing == nil { verified = max(verified, min(beat.commit, log.end)) }
        #endif
        if installing == nil { commit = max(commit, min(beat.commit, verified)) }
        let promised = persisted.term == term && installing == nil ? matched : .zero
        let reply = HeartbeatReply(
            term: term, sequence: beat.sequence, held: verified, matched: promised, isRebuilding: isRebuilding)
        output.send.append(Envelope(to: sender, message: .heartbeatReply(reply)))
        if beat.isComplete, isRebuilding, installing == nil { output.endRebuilding = true }
    }

    // MARK: - Snapshots

    mutating func received(_ snapshot: Snapshot, from sender: NodeID, into output: inout Output) {
        #if MUTANTS
            if Mutant.isActive("T-M6"), members.isElector(id), !snapshot.members.isElector(id) { return }
        #endif
        let position = snapshot.anchor.position
        #if MUTANTS
            if Mutant.isActive("T-S12") { installing = nil }
        #endif
        guard position.term <= term, follow(sender, into: &output), installing == nil else { return }
        #if MUTANTS
            if Mutant.isActive("T-S1") {
                installing = snapshot
                return output.installSnapshot = snapshot
            }
        #endif
        // An older snapshot never replaces newer state (redpanda 9c024b2e3f).
        if position.end > commit {
            guard log.term(endingAt: position.end) == position.term else {
                installing = snapshot
                output.installSnapshot = snapshot
                return
            }
            verified = max(verified, position.end)
            commit = position.end
        }
        acknowledge(into: &output)
    }

    mutating func snapshotInstalled(_ anchor: LogAnchor, into output: inout Output) {
        guard let snapshot = installing, snapshot.anchor == anchor else { return }
        installing = nil
        let members = snapshot.members == .none ? log.members.base : snapshot.members
        log = LogTail(restartedAt: anchor, members: members)
        takeUpMembers()
        commit = anchor.position.end
        verified = commit
        acknowledge(into: &output)
        electionDeadline = max(electionDeadline, now.advanced(byNanoseconds: hastyDelay()))
    }

    /// All that was lost is there again.
    mutating func rebuilt() {
        guard isRebuilding else { return }
        isRebuilding = false
        if role == .follower { electionDeadline = max(electionDeadline, now.advanced(byNanoseconds: hastyDelay())) }
    }

    mutating func logStartMoved(to anchor: LogAnchor) {
        precondition(anchor.position.end <= commit, "retention removes only what is committed")
        guard installing == nil else { return }
        log.startMoved(to: anchor)
        membersEnd = log.members.latestEnd
    }
}
