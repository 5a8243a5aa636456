// SPDX-License-Identifier: Apache-2.0

import LogModel

/// What a shard has noticed of its disk: how much room is left, and how fast it keeps what it is given.
struct DiskWatch {
    /// What may still be written.
    enum Room: Hashable {
        case ample
        /// The reserve is begun: no records of producers, but everything that is on its way already.
        case scarce
        /// The reserve is nearly gone, or a write has found no room: only what the cluster itself needs.
        case none
    }

    private(set) var room = Room.ample
    private(set) var fullSince: Moment?
    private(set) var slowSince: Moment?
    /// When a slow disk was last seen to be slow.
    private var lastSlow: Moment?
    /// When a slow disk was last called well, and how long it had to be well for that.
    private var recovered: Moment?
    private var patience: UInt64?
    private var syncs = SyncWindow()
    private var nextProbe: Moment?
    private var isProbing = false

    /// How many relapses make the patience longer.
    private static let longestPatience: UInt64 = 600_000_000_000

    // MARK: - Room

    /// Whether the room is to be measured now; asked until `measured` or `measuringFailed` is told.
    mutating func isProbeDue(now: Moment, every interval: UInt64) -> Bool {
        guard !isProbing else { return false }
        guard let due = nextProbe else {
            nextProbe = now
            return false
        }
        guard due <= now else { return false }
        nextProbe = now.advanced(byNanoseconds: interval)
        isProbing = true
        return true
    }

    mutating func measuringFailed() { isProbing = false }

    /// How much of a volume's room is kept back: the reserve, or a twentieth of a small volume.
    static func reserve(_ setting: ByteCount, of total: ByteCount) -> Int64 {
        min(setting.rawValue, total.rawValue / 20)
    }

    /// Takes in how much room there is. Gives whether something has changed.
    ///
    /// It takes a quarter more than the reserve to end a shortage, so that it does not come and go.
    mutating func measured(usable: Int64, reserve: Int64, now: Moment) -> Bool {
        isProbing = false
        let floor = max(reserve / 4, 1)
        let next: Room
        switch room {
        case .ample: next = usable < floor ? .none : usable < reserve ? .scarce : .ample
        case .scarce: next = usable < floor ? .none : usable < reserve + floor ? .scarce : .ample
        case .none: next = usable < 2 * floor ? .none : usable < reserve + floor ? .scarce : .ample
        }
        return become(next, now: now)
    }

    /// A write has found no room. Gives whether that is news.
    mutating func ranOut(now: Moment) -> Bool { become(.none, now: now) }

    private mutating func become(_ next: Room, now: Moment) -> Bool {
        guard next != room else { return false }
        room = next
        fullSince = next == .ample ? nil : fullSince ?? now
        return true
    }

    // MARK: - Speed

    /// Takes in how long a sync took, and whether a majority of disks had the same entries before it.
    mutating func synced(in span: UInt64, wasOvertaken: Bool, now: Moment) {
        syncs.add(span, wasOvertaken: wasOvertaken, at: now)
    }

    /// Judges the speed; to be called now and then. Gives whether something has changed.
    ///
    /// A disk is slow when the median of its syncs is, and when most of them came after the peers' disks had done the
    /// same: where all disks are slow there is nobody to hand anything to.
    ///
    /// - Parameter oldest: how long the oldest sync has been under way that the peers have overtaken.
    mutating func judgeSpeed(oldest: UInt64, settings: DiskSettings, now: Moment) -> Bool {
        let isSlowNow = syncs.isSlow(beyond: settings.slowSync, now: now) || oldest > 4 * settings.slowSync
        if isSlowNow { lastSlow = now }
        guard slowSince != nil else {
            guard isSlowNow else { return false }
            if let recovered, let patience, now.nanoseconds(since: recovered) < 10 * patience {
                self.patience = min(2 * patience, Self.longestPatience)
            } else {
                patience = settings.recoveryTime
            }
            slowSince = now
            return true
        }
        guard let lastSlow, now.nanoseconds(since: lastSlow) >= patience ?? settings.recoveryTime else { return false }
        slowSince = nil
        recovered = now
        return true
    }
}

/// The last few syncs of a shard.
struct SyncWindow {
    private struct Sample {
        let span: UInt64
        let wasOvertaken: Bool
        let at: Moment
    }

    private var samples: [Sample] = []
    private var next = 0

    private static let size = 15
    /// So few say nothing.
    private static let quorum = 3
    /// What is older than this, in nanoseconds, says nothing about now.
    private static let horizon: UInt64 = 10_000_000_000

    mutating func add(_ span: UInt64, wasOvertaken: Bool, at now: Moment) {
        let sample = Sample(span: span, wasOvertaken: wasOvertaken, at: now)
        if samples.count < Self.size {
            samples.append(sample)
        } else {
            samples[next] = sample
            next = (next + 1) % Self.size
        }
    }

    func isSlow(beyond bound: UInt64, now: Moment) -> Bool {
        var slow = 0
        var overtaken = 0
        var count = 0
        for sample in samples where now.nanoseconds(since: sample.at) <= Self.horizon {
            count += 1
            if sample.span > bound { slow += 1 }
            if sample.span > bound, sample.wasOvertaken { overtaken += 1 }
        }
        return count >= Self.quorum && 2 * slow > count && 2 * overtaken > slow
    }
}
