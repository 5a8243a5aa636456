// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// What a shard expects of its disk, and what it does when the disk is not like that. Spans are in nanoseconds.
public struct DiskSettings: Sendable {
    /// Where the room that is left is measured; `nil` measures nothing, and only a failed write tells.
    public var directory: String?
    /// Room that producers' records never take (`storage.reserve.bytes`): votes, checkpoints and deletions need some.
    public var reserve: ByteCount
    /// How often the room is measured.
    public var probeInterval: UInt64
    /// The median of syncs above which a disk is slow, if the peers' disks are faster (`storage.sync.slow`).
    public var slowSync: UInt64
    /// How long a disk must have been well before it is called so (`storage.sync.slow.recovery`).
    public var recoveryTime: UInt64
    /// A sync that takes longer than this will never end (`storage.sync.stuck`).
    public var stuckSync: UInt64
    /// How long a partition keeps a leader that a peer's disk has forced on it, at least.
    public var handOverInterval: UInt64
    /// The pause before a log that has failed is opened anew; doubles from the first to the last.
    public var reopenFirst: UInt64
    public var reopenLast: UInt64
    /// Shared by all shards of a node; what it holds is given up when even votes find no room.
    public var ballast: Ballast?

    public init(
        directory: String? = nil, reserve: ByteCount = .mebibytes(64), probeInterval: UInt64 = 500_000_000,
        slowSync: UInt64 = 500_000_000, recoveryTime: UInt64 = 30_000_000_000, stuckSync: UInt64 = 10_000_000_000,
        handOverInterval: UInt64 = 10_000_000_000, reopenFirst: UInt64 = 500_000_000,
        reopenLast: UInt64 = 30_000_000_000, ballast: Ballast? = nil
    ) {
        self.directory = directory
        self.reserve = reserve
        self.probeInterval = probeInterval
        self.slowSync = slowSync
        self.recoveryTime = recoveryTime
        self.stuckSync = stuckSync
        self.handOverInterval = handOverInterval
        self.reopenFirst = reopenFirst
        self.reopenLast = reopenLast
        self.ballast = ballast
    }
}
