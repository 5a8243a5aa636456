// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import RaftCore
import RecordBatches

// What a shard makes of a disk that is full, slow or stuck.

extension Shard {
    /// The condition of the disk, as far as it is no single copy's affair.
    public var diskHealth: ReplicaHealth {
        if let since = disk.fullSince { return .full(since: since) }
        if let since = disk.slowSince { return .slow(since: since) }
        return .sound
    }

    /// How often the disk is judged, in nanoseconds.
    private static var judgingInterval: UInt64 { 100_000_000 }
    private static var laggardsInterval: UInt64 { 1_000_000_000 }
    /// How many leaderships are offered to others in one round: each costs its partition a few milliseconds.
    private static var offersPerRound: Int { 64 }

    /// To be called at each tick.
    func watchDisk(now: Moment) {
        measureRoom(now: now)
        guard nextJudging.map({ $0 <= now }) ?? true else { return }
        nextJudging = now.advanced(byNanoseconds: Self.judgingInterval)
        judgeSyncs(now: now)
        reopenFenced(now: now)
        openRefused(now: now)
        if nextLaggardsLook.map({ $0 <= now }) ?? true {
            nextLaggardsLook = now.advanced(byNanoseconds: Self.laggardsInterval)
            for replica in allReplicas { replica.watchLaggards(now: now) }
        }
        guard diskHealth != .sound, !isStopping else { return }
        var offers = 0
        for replica in allReplicas where offers < Self.offersPerRound {
            if replica.handOverForHealth(now: now) { offers += 1 }
        }
    }

    // MARK: - Room

    private func measureRoom(now: Moment) {
        // Where nothing is configured to be measured, a failed write is.
        let place = settings.disk.directory ?? (disk.room == .ample ? nil : allReplicas.first?.assignment.directory)
        guard let place, disk.isProbeDue(now: now, every: settings.disk.probeInterval) else { return }
        let files = environment.files
        let ballast = settings.disk.ballast
        let loads = disk.room == .ample
        environment.submit({
            if loads { ballast?.load(in: files) }
            return Result { () throws(DiskError) in try files.space(at: place) }
        }) { result in
            guard !self.isClosed else { return }
            switch result {
            case .success(let space): self.measured(space)
            case .failure: self.disk.measuringFailed()
            }
        }
    }

    private func measured(_ space: VolumeSpace) {
        let reserve = DiskWatch.reserve(settings.disk.reserve, of: space.total)
        let wasOut = disk.room == .none
        if disk.measured(usable: space.usable.rawValue, reserve: reserve, now: environment.now) { diskChanged() }
        if wasOut { writeAgain() }
    }

    /// Whether entries of a leader are taken in. Those that are not are as good as lost on the way: the leader sends
    /// them again, and its heartbeats come all the same. Markers fit always: deletions are among them.
    func hasRoom(for entries: ReceivedEntries, of replica: Replica<Environment>) -> Bool {
        disk.room != .none || replica.state != nil || entries.heads.allSatisfy(\.isMarker)
    }

    /// A write has found no room. What keeps room for such a moment is thrown overboard.
    func ranOutOfRoom() {
        if disk.ranOut(now: environment.now) { diskChanged() }
        guard let ballast = settings.disk.ballast, !isDroppingBallast else { return }
        isDroppingBallast = true
        let files = environment.files
        environment.submit({ ballast.drop(in: files) }) { wasThere in
            self.isDroppingBallast = false
            if wasThere, !self.isClosed { self.writeAgain() }
        }
    }

    /// Tries again what has found no room.
    private func writeAgain() {
        for replica in allReplicas where replica.lacksRoom && replica.stopped == nil { markDirty(replica) }
        if journal.isDirty { requestTurnEnd() }
    }

    private func diskChanged() {
        let health = diskHealth
        environment.report(.disk(health))
        for replica in allReplicas {
            replica.adoptDiskHealth(health)
            replica.notifyWatchers()
        }
    }

    // MARK: - Speed

    /// Looks for syncs that never end, and for a disk that is slower than the peers'.
    private func judgeSyncs(now: Moment) {
        var oldest: UInt64 = 0
        for replica in allReplicas {
            guard replica.stopped == nil, let sync = replica.syncUnderWay else { continue }
            let age = now.nanoseconds(since: sync.began)
            if age > settings.disk.stuckSync {
                replica.fence("a sync has not ended in \(age / 1_000_000_000) s")
            } else if sync.target <= replica.raft.commit {
                oldest = max(oldest, age)
            }
        }
        if let began = journalSyncBegan, now.nanoseconds(since: began) > settings.disk.stuckSync {
            fenceAll("a sync of the votes does not end")
        }
        if disk.judgeSpeed(oldest: oldest, settings: settings.disk, now: now) { diskChanged() }
    }

    // MARK: - Peers that would rather not lead

    func noteUnwilling(_ peer: NodeID, now: Moment) {
        guard !isUnwilling(peer, now: now) else { return }
        unwilling[peer] = Unwillingness(after: unwilling[peer], now: now)
    }

    /// Whether a peer has let an offered leadership pass a moment ago, as those do whose own disk is full or slow.
    func isUnwilling(_ peer: NodeID, now: Moment) -> Bool { unwilling[peer].map { $0.end > now } ?? false }
}

/// How long a peer that has not taken an offered leadership is left alone: ever longer, while it goes on like that.
struct Unwillingness {
    let end: Moment
    private let span: UInt64

    private static let first: UInt64 = 10_000_000_000
    private static let last: UInt64 = 160_000_000_000

    init(after earlier: Unwillingness?, now: Moment) {
        let isRecent = earlier.map { now.nanoseconds(since: $0.end) < 2 * $0.span } ?? false
        span = isRecent ? min(2 * (earlier?.span ?? Self.first), Self.last) : Self.first
        end = now.advanced(byNanoseconds: span)
    }
}
