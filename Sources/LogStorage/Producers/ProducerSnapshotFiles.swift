// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import Synchronization

/// The producer snapshots of one log, `<log index in 20 digits>.producers` beside its segments. The two that were
/// written last are kept.
///
/// A sync on an I/O thread and the log on its loop both write them.
final class ProducerSnapshotFiles<FS: FileSystem>: Sendable {
    private let directory: String
    private let fs: FS
    /// Those that are complete and durable, in the order in which they were written.
    private let kept: Mutex<[LogPosition]> = Mutex([])

    static var suffix: String { ".producers" }
    private static var keptCount: Int { 2 }

    init(in directory: String, fs: FS) {
        self.directory = directory
        self.fs = fs
    }

    /// Durable when it returns.
    func write(_ snapshot: ProducerSnapshot) throws(DiskError) {
        let bytes = snapshot.encoded()
        try kept.withLock { (kept) throws(DiskError) in
            // The rename takes the place of one with the same index: it is to be trusted again only once this is done.
            kept.removeAll { $0.end == snapshot.position.end }
            let temporary = directory + "/producers.new"
            let file = try fs.open(temporary, .createOrOpen)
            try file.truncate(to: .zero)
            try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in try file.write([bytes], at: .zero) }
            try file.synchronize()
            try fs.rename(temporary, to: path(snapshot.position.end))
            try fs.synchronizeDirectory(directory)
            kept.append(snapshot.position)
            // What cannot be removed is removed, or used, by the next opening.
            while kept.count > Self.keptCount { try? fs.remove(path(kept.removeFirst().end)) }
        }
    }

    var newest: LogPosition? { kept.withLock { $0.last } }

    /// The newest first.
    var positions: [LogPosition] { kept.withLock { $0.reversed() } }

    func forgetAll() { kept.withLock { $0.removeAll() } }

    /// `nil` when it is missing, damaged or about another log.
    func read(_ position: LogPosition, capacity: Int) -> ProducerTable? {
        guard let snapshot = try? read(position.end, capacity: capacity), snapshot.position == position else {
            return nil
        }
        return snapshot.table
    }

    /// Looks for what an earlier life of the log has left, and keeps what `isOfThisLog`. The table of the newest.
    func adopt(
        capacity: Int, hasUnreadable: inout Bool, isOfThisLog: (LogPosition) -> Bool
    ) throws(DiskError) -> ProducerSnapshot? {
        var newest: ProducerSnapshot?
        var found: [LogPosition] = []
        hasUnreadable = false
        for index in try fs.list(directory).compactMap(index).sorted(by: >) {
            // Only what may be needed is read.
            let snapshot = found.count < Self.keptCount ? try? read(index, capacity: capacity) : nil
            if snapshot == nil, found.count < Self.keptCount {
                // It was whole when it got its name.
                hasUnreadable = true
                try? fs.rename(path(index), to: path(index) + ".damaged")
                continue
            }
            guard let snapshot, snapshot.position.end == index, isOfThisLog(snapshot.position) else {
                try? fs.remove(path(index))
                continue
            }
            if newest == nil { newest = snapshot }
            found.insert(snapshot.position, at: 0)
        }
        kept.withLock { $0 = found }
        return newest
    }

    private func read(_ index: LogIndex, capacity: Int) throws -> ProducerSnapshot {
        let path = path(index)
        let file = try fs.open(path, .readOnly)
        let size = try file.size().rawValue
        guard size <= ProducerSnapshot.sizeLimit else { throw ProducerSnapshot.Flaw() }
        return try ProducerSnapshot(decoding: file.readBuffer(Int(size), at: 0, path: path), capacity: capacity)
    }

    private func path(_ index: LogIndex) -> String {
        Segment<FS>.path(SegmentName(base: index, generation: 0), in: directory) + Self.suffix
    }

    private func index(ofName name: String) -> LogIndex? {
        guard name.hasSuffix(Self.suffix), name.utf8.count == 20 + Self.suffix.utf8.count else { return nil }
        let digits = name.utf8.prefix(20)
        guard digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else { return nil }
        return Int64(name.prefix(20)).map { LogIndex($0) }
    }
}

/// A snapshot to be written by a sync, on its I/O thread.
struct ProducerSnapshotJob<FS: FileSystem>: Sendable {
    let snapshot: ProducerSnapshot
    let files: ProducerSnapshotFiles<FS>

    func run() throws(DiskError) { try files.write(snapshot) }
}
