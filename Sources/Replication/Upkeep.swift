// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import RaftCore

/// What a shard does now and then: moves groups to other members, gives leadership back, removes old segments, writes
/// checkpoints, forgets producers.
struct Upkeep {
    private var nextBalance: Moment?
    private var nextDrive: Moment?
    private var nextRetention: Moment?
    private var nextCheckpoint: Moment?
    private var nextExpiry: Moment?
    private var lastExpiry: Moment?
    private var nextDeletion: Moment?
    private var lastDeletion: Moment?

    private static let deletionInterval: UInt64 = 500_000_000

    /// How long a peer must have been connected before it is trusted with leadership again.
    private static let settlingTime: UInt64 = 1_000_000_000
    /// How long a leadership is kept before it may be given back: a preferred replica that has just given it away, as
    /// it does before it stops, may still be connected.
    private static let keptTime: UInt64 = 3_000_000_000
    /// How many leaderships one round gives away: each costs its partition a few milliseconds.
    private static let transfersPerRound = 64

    mutating func run<Environment>(on shard: Shard<Environment>, now: Moment) {
        if Self.isDue(&nextDrive, every: Replica<Environment>.driveInterval, now: now) {
            for replica in shard.allReplicas where replica.isLeader { replica.driveMembers() }
        }
        if Self.isDue(&nextBalance, every: shard.settings.balanceInterval, now: now), !shard.isStopping {
            balance(shard, now: now)
        }
        if Self.isDue(&nextRetention, every: shard.settings.retentionInterval, now: now) { applyRetention(shard) }
        if Self.isDue(&nextCheckpoint, every: shard.settings.checkpointInterval, now: now) { checkpoint(shard) }
        if Self.isDue(&nextExpiry, every: Self.expiryInterval(shard.settings), now: now) { expire(shard, now: now) }
        if Self.isDue(&nextDeletion, every: Self.deletionInterval, now: now) { deleteFiles(shard, now: now) }
    }

    /// A sixteenth of what producers may be silent, within what is worth the work.
    private static func expiryInterval(_ settings: ShardSettings) -> UInt64 {
        UInt64(min(max(settings.producerExpiration / 16, 100), 60_000)) * 1_000_000
    }

    private mutating func expire<Environment>(_ shard: Shard<Environment>, now: Moment) {
        let elapsed = lastExpiry.map { now.nanoseconds(since: $0) } ?? 0
        lastExpiry = now
        for replica in shard.allReplicas where replica.stopped == nil {
            replica.log.expireProducers(
                after: Int64(elapsed / 1_000_000), expiration: shard.settings.producerExpiration)
        }
    }

    /// Removes, on an I/O thread, the files that logs have let go of long enough ago.
    private mutating func deleteFiles<Environment>(_ shard: Shard<Environment>, now: Moment) {
        let elapsed = lastDeletion.map { now.nanoseconds(since: $0) } ?? 0
        lastDeletion = now
        var paths: [String] = []
        for replica in shard.allReplicas where replica.log.hasDeletedFiles {
            paths += replica.log.takeDeletedFiles(after: Int64(elapsed / 1_000_000))
        }
        guard !paths.isEmpty else { return }
        let files = shard.environment.files
        // One that cannot be removed now is removed when the log is next opened.
        shard.environment.submit({ [paths] in for path in paths { try? files.remove(path) } }) { _ in }
    }

    private static func isDue(_ next: inout Moment?, every interval: UInt64, now: Moment) -> Bool {
        guard let due = next else {
            next = now.advanced(byNanoseconds: interval)
            return false
        }
        guard due <= now else { return false }
        next = now.advanced(byNanoseconds: interval)
        return true
    }

    private func balance<Environment>(_ shard: Shard<Environment>, now: Moment) {
        var transfers = 0
        for replica in shard.allReplicas where replica.isLeader && transfers < Self.transfersPerRound {
            guard let preferred = replica.preferredLeader, preferred != shard.settings.node else { continue }
            guard let since = shard.connectedPeers[preferred] else { continue }
            guard now.nanoseconds(since: since) >= Self.settlingTime else { continue }
            guard let led = replica.leadsSince, now.nanoseconds(since: led) >= Self.keptTime else { continue }
            guard replica.raft.isCaughtUp(preferred), replica.raft.hasCommittedInTerm else { continue }
            guard !shard.isUnwilling(preferred, now: now) else { continue }
            // Whoever leads in the same term as at the last offer was refused, as by a replica with a bad disk: each
            // offer costs a pause, so they become rare.
            if let offer = replica.lastOffer, offer.heir == preferred, offer.term == replica.term {
                replica.lastOffer = nil
                shard.noteUnwilling(preferred, now: now)
                continue
            }
            replica.lastOffer = LeadershipOffer(heir: preferred, term: replica.term, at: now)
            replica.step(.transferLeadership(to: preferred))
            transfers += 1
        }
    }

    private func applyRetention<Environment>(_ shard: Shard<Environment>) {
        let now = shard.environment.wallClock
        for replica in shard.allReplicas where replica.stopped == nil && replica.state == nil {
            let kept = replica.assignment.policy.retention
            if kept.bytes != nil || kept.milliseconds != nil, replica.highWatermark != nil,
                replica.raft.acceptsProposals, !shard.isStopping
            {
                // Only the leader decides; what it decides is replicated, and each replica removes its own files.
                let point = replica.log.retentionPoint(
                    now: now, bytes: kept.bytes, milliseconds: kept.milliseconds, committed: replica.raft.commit)
                replica.appendTrim(to: point)
            }
            replica.removeHiddenSegments()
        }
    }

    private func checkpoint<Environment>(_ shard: Shard<Environment>) {
        for replica in shard.allReplicas where replica.stopped == nil {
            do throws(LogError) {
                try replica.log.checkpoint()
                if replica.log.isDirty { shard.markDirty(replica) }
            } catch {
                replica.fail("the checkpoint could not be written", error)
            }
        }
    }
}
