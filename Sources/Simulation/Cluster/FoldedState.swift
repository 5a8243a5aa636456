// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches
import Replication

/// A state machine in the log that is nothing but a digest of everything applied, in order.
///
/// It keeps itself as a metadata state machine does: a snapshot on disk now and then, after which the log may lose its
/// beginning; and a leader's snapshot when it is too far behind.
final class FoldedState: ReplicatedState {
    private unowned let cluster: Cluster
    private let place: Int
    private let number: Int
    private let files: SimFileSystem
    private var nextOffset = Offset.zero
    private var digest: UInt64 = 0
    private var sinceSnapshot = 0

    private static let path = "data/state"

    init(cluster: Cluster, place: Int, number: Int) {
        self.cluster = cluster
        self.place = place
        self.number = number
        files = cluster.nodes[place].files
    }

    /// What the disk kept of it.
    func load() throws {
        guard try files.exists(Self.path) else { return }
        let file = try files.open(Self.path, .readOnly)
        var bytes = ByteBuffer()
        try bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: 16) { space in
            try file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<16]), at: .zero)
        }
        try take(bytes)
    }

    private func take(_ bytes: ByteBuffer) throws {
        var bytes = bytes
        guard let offset = bytes.readInteger(as: Int64.self), let digest = bytes.readInteger(as: UInt64.self) else {
            throw Violation(.snapshot, "a snapshot of \(bytes.readableBytes) bytes")
        }
        nextOffset = Offset(offset)
        self.digest = digest
    }

    func apply(_ head: EntryHead, _ entry: ByteBuffer) {
        // After a restart the log is applied again from its start, of which the snapshot knows a part.
        guard head.baseOffset >= nextOffset else { return }
        cluster.applied(head.baseOffset, after: nextOffset, at: place, number)
        digest = SimRandom.mix(digest ^ UInt64(head.crc) << 32 ^ UInt64(head.baseOffset.rawValue.magnitude))
        nextOffset = head.nextOffset
        cluster.folded(digest, through: nextOffset, at: place, number)
        sinceSnapshot += 1
        if sinceSnapshot >= 20 { keep() }
    }

    func snapshot() -> ByteBuffer {
        var bytes = ByteBuffer(integer: nextOffset.rawValue)
        bytes.writeInteger(digest)
        return bytes
    }

    func install(_ bytes: ByteBuffer, at anchor: LogAnchor) throws {
        try take(bytes)
        guard nextOffset >= anchor.offset else {
            throw Violation(.snapshot, "a snapshot that ends at \(nextOffset) came for \(anchor)")
        }
        cluster.statistics.snapshots += 1
        cluster.folded(digest, through: nextOffset, at: place, number)
        try write(bytes)
    }

    func leadershipChanged(isLeader: Bool, term: Term) {}

    private func write(_ bytes: ByteBuffer) throws(DiskError) {
        let file = try files.open(Self.path + ".new", .createOrOpen)
        try bytes.withUnsafeReadableBytes { (buffer) throws(DiskError) in try file.write([buffer], at: .zero) }
        try file.synchronize()
        try files.rename(Self.path + ".new", to: Self.path)
        try files.synchronizeDirectory("data")
    }

    /// Keeps the state, then lets the log go up to it, once this event is over.
    private func keep() {
        sinceSnapshot = 0
        let kept = nextOffset
        do throws(DiskError) {
            try write(snapshot())
        } catch {
            return
        }
        cluster.schedule(on: place, life: cluster.nodes[place].life, after: 0) {
            self.cluster.nodes[self.place].shard?.replica(self.cluster.partition(self.number))?.dropLog(before: kept)
        }
    }
}

extension Cluster {
    /// T-S4: a state that lacks what lies before the entry it is given has lost something.
    func applied(_ offset: Offset, after known: Offset, at place: Int, _ number: Int) {
        guard offset != known else { return }
        broke(Violation(.snapshot, "n\(place)/\(number) applies \(offset) to a state that ends at \(known)"))
    }

    /// C13: the state at an offset is the same fold of the same log everywhere, whichever way it came about.
    func folded(_ digest: UInt64, through offset: Offset, at place: Int, _ number: Int) {
        if let other = folds[number][offset], other != digest {
            broke(Violation(.snapshot, "n\(place)/\(number) has another state at \(offset) than others"))
        }
        folds[number][offset] = digest
    }
}
