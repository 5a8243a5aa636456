// SPDX-License-Identifier: Apache-2.0

public import LogModel
import LogStorage
import RaftCore

/// How much of a node goes into bringing followers up to date that lie far behind.
public struct CatchUpSettings: Sendable {
    /// `nil` is without limit. Of one shard.
    public var bytesPerSecond: Int64?
    /// To how many followers, each of one partition, at a time.
    public var transfers: Int
    /// Sent to all of them and not answered.
    public var bytesInFlight: Int64

    public init(bytesPerSecond: Int64? = nil, transfers: Int = 16, bytesInFlight: Int64 = 32 << 20) {
        precondition(transfers > 0, "somebody must be brought up to date")
        self.bytesPerSecond = bytesPerSecond
        self.transfers = transfers
        self.bytesInFlight = bytesInFlight
    }
}

/// A follower that lies so far behind that it is sent what is not in memory any more.
public struct CatchUpProgress: Hashable, Sendable {
    public let partition: PartitionID
    public let follower: NodeID
    /// Everything below is on its disk.
    public let match: LogIndex
    public let end: LogIndex
}

/// Lets only so many followers at a time be sent the past, and only so fast: a node that comes back empty must not
/// take disk, network and memory from the clients. What is recent goes out as ever.
struct CatchUp {
    struct Key: Hashable, Comparable {
        let partition: PartitionID
        let follower: NodeID

        static func < (left: Self, right: Self) -> Bool {
            (left.partition, left.follower) < (right.partition, right.follower)
        }
    }

    private struct Transfer {
        var sent: [(end: LogIndex, bytes: Int64)] = []
        var bytes: Int64 = 0
        var match = LogIndex.zero
        var movedAt: Moment
    }

    private var transfers: [Key: Transfer] = [:]
    private var bytesInFlight: Int64 = 0
    private var credit: Int64 = 0
    private var filledAt: Moment?

    /// Who makes no progress for this long gives its place to another, in nanoseconds.
    private static let idleTime: UInt64 = 5_000_000_000
    /// When somebody who was refused for want of a place asks again.
    private static let pause: UInt64 = 20_000_000

    var isEmpty: Bool { transfers.isEmpty }
    /// In the order of partitions.
    var keys: [Key] { transfers.keys.sorted() }

    /// Whether a follower may be sent more of the past now; if not, when to ask again.
    ///
    /// - Parameters:
    ///   - match: what the follower's disk is known to hold.
    ///   - next: where what it is sent next begins: what was sent beyond is lost.
    mutating func refusal(
        of key: Key, match: LogIndex, next: LogIndex, settings: CatchUpSettings, now: Moment
    ) -> Moment? {
        settle(key, match: match, next: next, now: now)
        let later = now.advanced(byNanoseconds: Self.pause)
        if transfers[key] == nil {
            if transfers.count >= settings.transfers { dropIdle(now: now) }
            guard transfers.count < settings.transfers else { return later }
            transfers[key] = Transfer(match: match, movedAt: now)
        }
        if bytesInFlight >= settings.bytesInFlight { dropIdle(now: now) }
        guard bytesInFlight < settings.bytesInFlight else { return later }
        guard let rate = settings.bytesPerSecond else { return nil }
        fill(rate: rate, now: now)
        guard credit <= 0 else { return nil }
        let wait = UInt64(Double(1 - credit) / Double(rate) * 1e9)
        return now.advanced(byNanoseconds: min(max(wait, 1_000_000), 1_000_000_000))
    }

    private mutating func fill(rate: Int64, now: Moment) {
        let burst = max(rate / 8, 1)
        let elapsed = filledAt.map { now.nanoseconds(since: $0) } ?? 1_000_000_000
        filledAt = now
        let earned = Int64(min(Double(elapsed) / 1e9 * Double(rate), Double(burst)))
        credit = min(credit + earned, burst)
    }

    mutating func sent(_ bytes: Int64, through end: LogIndex, to key: Key) {
        credit -= bytes
        transfers[key]?.sent.append((end, bytes))
        transfers[key]?.bytes += bytes
        bytesInFlight += bytes
    }

    /// A follower has come so far that it is sent what is in memory, or it is no follower any more.
    mutating func ended(_ key: Key) {
        guard let transfer = transfers.removeValue(forKey: key) else { return }
        bytesInFlight -= transfer.bytes
    }

    private mutating func settle(_ key: Key, match: LogIndex, next: LogIndex, now: Moment) {
        guard var transfer = transfers[key] else { return }
        if match != transfer.match { transfer.movedAt = now }
        transfer.match = match
        let before = transfer.bytes
        transfer.sent.removeAll { $0.end <= match || $0.end > next }
        transfer.bytes = transfer.sent.reduce(0) { $0 + $1.bytes }
        let bytes = before - transfer.bytes
        bytesInFlight -= bytes
        transfers[key] = transfer
    }

    private mutating func dropIdle(now: Moment) {
        for key in keys {
            guard let transfer = transfers[key], now.nanoseconds(since: transfer.movedAt) >= Self.idleTime else {
                continue
            }
            ended(key)
        }
    }
}

extension Shard {
    /// The followers that are being brought up to date from here, in the order of their partitions.
    public var catchingUp: [CatchUpProgress] {
        catchUp.keys.compactMap { key in
            guard let replica = replica(key.partition), let view = replica.raft.progress(of: key.follower) else {
                return nil
            }
            return CatchUpProgress(
                partition: key.partition, follower: key.follower, match: view.match, end: replica.log.end)
        }
    }

    /// Has a replica that was refused ask again at `moment`, behind those that have waited longer.
    func catchUpLater(_ replica: Replica<Environment>, at moment: Moment) {
        if !replica.waitsForCatchUp {
            replica.waitsForCatchUp = true
            waitingForCatchUp.append(replica)
        }
        catchUpDue = min(catchUpDue ?? moment, moment)
        environment.wake(at: moment)
    }

    func resumeCatchUp(now: Moment) {
        guard let due = catchUpDue, due <= now else { return }
        catchUpDue = nil
        let waiting = waitingForCatchUp
        waitingForCatchUp = []
        for replica in waiting {
            replica.waitsForCatchUp = false
            if replica.isLeader { markForReplication(replica) }
        }
    }
}
