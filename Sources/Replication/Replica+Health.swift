// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import RaftCore

extension Replica {
    /// Ends this replica's part in its group for good: it says nothing more to anybody.
    public func stop(_ reason: String) {
        guard stopped == nil else { return }
        leave(.halted(reason: reason))
        shard.environment.report(.stopped(id, reason: reason))
    }

    /// Ends this replica's part in its group until its log has been opened anew, read and checked.
    ///
    /// A failed fsync is never retried and believed (Rebello et al., USENIX ATC 2020).
    func fence(_ reason: String) {
        guard stopped == nil else { return }
        leave(.fenced(reason: reason, since: shard.environment.now))
        shard.environment.report(.fenced(id, reason: reason))
        shard.reopenLater(id)
    }

    /// What a failed piece of work means: damage is repaired, the disk's refusal fences, anything else is for good.
    func fail(_ work: String, _ error: any Error) {
        if case .corrupt(let what) = error as? LogError { return suspect(what) }
        let reason = "\(work): \(error)"
        var refusal = error as? DiskError
        var isWornOut = false
        switch error as? LogError {
        case .disk(let error): refusal = error
        case .failed: isWornOut = true
        case .corrupt, .outOfRange, .beforeStart, nil: break
        }
        if refusal?.isOutOfSpace == true { shard.ranOutOfRoom() }
        if refusal != nil || isWornOut { fence(reason) } else { stop(reason) }
    }

    private func leave(_ health: ReplicaHealth) {
        let led = raft.isLeader
        if led { passOnLeadership() }
        self.health = health
        heldLetters.removeAll()
        // What was appended may have reached the peers, and survive.
        failWaitingProduces(.timedOut)
        failWaitingTrims(.storageFailed)
        failConfirmations()
        drive = MembershipDrive()
        if led {
            leadsSince = nil
            shard.environment.report(.steppedDown(id, raft.term))
            state?.leadershipChanged(isLeader: false, term: raft.term)
        }
        notifyWatchers()
        shard.environment.learned(Leadership(partition: id, term: raft.term, leader: nil))
    }

    /// The last word of a leader that can lead no more: the peer that has come furthest is to stand at once, so that
    /// the group need not wait for its silence to be noticed.
    private func passOnLeadership() {
        guard let heir = heirs(now: shard.environment.now).first else { return }
        shard.environment.send(.timeoutNow(term: raft.term), of: id, payload: [], to: heir)
        shard.requestTurnEnd()
    }

    /// The voters that could lead in this one's place, the one that has come furthest first; of equals the preferred.
    /// Those who have refused it lately come last, and of them the one who was asked last.
    func heirs(now: Moment) -> [NodeID] {
        let voters = raft.members.voters.filter { $0 != shard.settings.node && shard.connectedPeers[$0] != nil }
        let preferred = assignment.replicas
        let ranked = voters.map { voter in
            let isUnwilling = shard.isUnwilling(voter, now: now)
            return (
                voter: voter, reluctance: !isUnwilling ? 0 : lastOffer?.heir == voter ? 2 : 1,
                match: raft.progress(of: voter)?.match ?? .zero,
                rank: preferred.firstIndex(of: voter) ?? preferred.count
            )
        }
        return ranked.sorted { ($0.reluctance, $1.match, $0.rank) < ($1.reluctance, $0.match, $1.rank) }.map(\.voter)
    }

    // MARK: - Handing over

    /// Offers the leadership to a peer with a better disk, unless it has done so a moment ago.
    /// - Returns: whether it was offered.
    func handOverForHealth(now: Moment) -> Bool {
        guard isLeader, !health.isFitToLead, raft.acceptsProposals else { return false }
        // Where the others have no room either, the next leader could not commit what is open here, and so not serve.
        if case .full = health, raft.commit < log.end { return false }
        if let offer = lastOffer {
            // In the same term the last offer was not taken up.
            let isRefused = offer.term == raft.term
            if isRefused { shard.noteUnwilling(offer.heir, now: now) }
            let wait = isRefused ? Self.refusalPause : shard.settings.disk.handOverInterval
            guard now.nanoseconds(since: offer.at) >= wait else { return false }
        }
        // What it lacks of the last moments it is sent before it is asked to stand. Where records are refused anyway,
        // nothing is lost by asking those again who have refused.
        let heirs = heirs(now: now).filter { !health.takesRecords || !shard.isUnwilling($0, now: now) }
        guard let heir = heirs.first(where: { raft.progress(of: $0)?.state == .replicating }) else { return false }
        Mark.hit("Replica.offered-leadership-for-health")
        lastOffer = LeadershipOffer(heir: heir, term: raft.term, at: now)
        step(.transferLeadership(to: heir))
        return true
    }

    private static var refusalPause: UInt64 { 1_000_000_000 }

    /// Takes over what is known of the disk, as far as this copy's own condition allows.
    func adoptDiskHealth(_ disk: ReplicaHealth) {
        switch health {
        case .sound, .full, .slow:
            health = disk
            if isDamaged { updateDamage() }
        case .fenced, .damaged, .halted: break
        }
    }
}

/// When a leader last offered its place, and to whom.
struct LeadershipOffer {
    let heir: NodeID
    let term: Term
    let at: Moment
}
