// SPDX-License-Identifier: Apache-2.0

import LogModel
public import LogStorage
import NIOCore
import RaftCore

/// What a replica with damaged entries has to remember.
struct DamageState {
    var since: Moment?
    /// Since when no leader is known, while damaged.
    var leaderlessSince: Moment?
    /// It has waited long enough for a sound copy to lead.
    var stands = false
    /// How often repair was tried in vain, and when it is tried again.
    var attempts = 0
    var nextAttempt = Moment.zero
}

/// A replica of which some entries are damaged goes on as far as that is safe:
///
/// - It follows, stores and acknowledges new entries. What it acknowledged before was durable then, and stays counted:
///   its log's last term and index are what they were.
/// - It votes. A vote says "your log is as complete as mine", and compares last terms and indexes (raft paper §5.4.1),
///   which damage does not change. So nobody wins with its help who lacks what it has ever acknowledged. Were it to cut
///   its log before the damage instead, it would elect one who does.
/// - While it cannot tell who has written what, it does not stand either: as a leader it would take retries for new.
/// - It neither stands nor keeps leading where another can. As a leader it would be right (its log is complete in that
///   sense) but of no use for the damaged part. Only when no leader is found for ten election timeouts it stands after
///   all: the others may lack uncommitted entries of its tail, and then none of them can win, and it could not be
///   repaired either. It brings them up to date and hands over.
/// - Nobody is sent anything of a damaged segment: clients are told KAFKA_STORAGE_ERROR and ask again, peers wait.
/// - When a majority has lost the same part, or there is nobody to ask, the partition halts here, and says so.
extension Replica {
    public var isDamaged: Bool { damageState.since != nil }

    func isWithheldForDamage(_ message: Message, isOwn: Bool) -> Bool {
        switch message {
        case .preVote, .vote: isOwn && !damageState.stands
        case .timeoutNow: !isOwn
        default: false
        }
    }

    /// A read has met bytes that cannot be right: the segment is looked at as a whole.
    public func suspect(_ corruption: LogError.Corruption) {
        guard stopped == nil, !shard.isClosed else { return }
        shard.scrubber.suspect(corruption, in: self)
    }

    /// The same for whatever a read has failed with.
    public func suspect(after error: LogError) {
        if case .corrupt(let what) = error { suspect(what) }
    }

    /// Who has written what could not be found out: what it was that could not be read is looked at.
    func suspectProducers() {
        guard let flaw = log.producersFlaw else { return }
        Mark.hit("Replica.producers-unknown")
        suspect(flaw)
    }

    /// Takes note of damage that was not known before.
    func noteDamage(_ new: [LogDamage]) {
        guard !new.isEmpty, stopped == nil else { return }
        for damage in new { shard.environment.report(.damaged(id, damage)) }
        writeDamageNote()
        updateDamage()
        damageState.attempts = 0
        damageState.nextAttempt = shard.environment.now
        shard.wake(at: shard.environment.now)
    }

    /// Compares the condition with what the log says.
    func updateDamage() {
        let ranges = log.damage.map(\.range)
        guard !ranges.isEmpty else {
            guard isDamaged else { return }
            damageState = DamageState()
            if case .damaged = health { health = shard.diskHealth }
            // What waited for the damaged part can go on.
            shard.markForReplication(self)
            commitMoved()
            return
        }
        let since = damageState.since ?? shard.environment.now
        damageState.since = since
        switch health {
        case .sound, .slow, .damaged: health = .damaged(ranges, since: since)
        case .full, .fenced, .halted: break
        }
    }

    private func writeDamageNote() {
        let job = log.damageNote()
        inspections += 1
        shard.environment.submit({ job.run() }) { _ in self.inspectionEnded() }
    }

    func inspectionEnded() {
        inspections -= 1
        retireIfIdle()
    }

    /// Lets a damaged replica stand after all when nobody else does.
    func considerStanding(now: Moment) {
        guard raft.leader == nil || raft.isLeader else {
            damageState.leaderlessSince = nil
            return damageState.stands = false
        }
        let since = damageState.leaderlessSince ?? now
        damageState.leaderlessSince = since
        let patience = 10 * shard.settings.timing.electionTimeout
        // A state machine that lacks a part must not decide, and a leader must know who has written what.
        damageState.stands =
            state == nil && !log.producersAreUnknown && now.nanoseconds(since: since) >= patience
    }
}
