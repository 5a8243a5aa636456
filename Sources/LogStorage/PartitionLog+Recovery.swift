// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
import NIOCore
import RecordBatches

extension PartitionLog {
    /// Opens the log in `directory`, or begins a new one there; the directory's parent must exist. Blocks.
    ///
    /// After a clean close nothing is read but the checkpoint. Otherwise every entry beyond the checkpoint's recovery
    /// point is checked; see `RecoveryTable`. What is kept is durable when this returns, and memory does not grow with
    /// what is read.
    ///
    /// - Throws: `.corrupt` when durable bytes are damaged or gone; nothing has been changed then.
    public static func open(
        directory: String, in fs: FS, limits: LogLimits, now: Timestamp
    ) throws(LogError) -> sending PartitionLog {
        let isThere = try onDisk { () throws(DiskError) in try fs.exists(directory) }
        if !isThere { try onDisk { () throws(DiskError) in try fs.makeDirectory(directory) } }
        let names = try onDisk { () throws(DiskError) in try fs.list(directory) }
        removeDeletedFiles(among: names, in: directory, fs: fs)
        let files = names.compactMap { Segment<FS>.name(ofFile: $0) }.sorted()
        guard let checkpoint = try CheckpointFile.read(in: directory, fs: fs) else {
            // The checkpoint is durable before the first segment is made.
            guard files.isEmpty else {
                throw .corrupt(.init(file: directory + "/checkpoint", position: .zero, detail: "it is gone"))
            }
            // Also when the directory was there: who made it may have died before this.
            try onDisk { () throws(DiskError) in try fs.synchronizeDirectory(FS.parent(of: directory)) }
            return try begin(at: .origin, in: directory, fs: fs, limits: limits)
        }
        if checkpoint.isRestarting {
            try remove(files, in: directory, fs: fs)
            return try begin(
                at: checkpoint.start, trims: checkpoint.trims, memberships: checkpoint.memberships, in: directory,
                fs: fs, limits: limits)
        }
        // Retention and compaction have the checkpoint let go of files before they remove them, and name new ones only
        // once they are whole. Beyond the recovery point lies what was appended since.
        let live = Set(checkpoint.segments.map(\.name))
        let removed = files.filter { file in
            !live.contains(file) && (file.generation > 0 || file.base < checkpoint.recoveryPoint)
        }
        if !removed.isEmpty { try remove(removed, in: directory, fs: fs) }
        let log = PartitionLog(
            directory: directory, fs: fs, limits: limits, checkpoint: checkpoint, segments: [],
            recovery: RecoveryReport())
        try log.recover(checkpoint, files: files.filter { !removed.contains($0) })
        try log.restoreProducers()
        return log
    }

    private static func begin(
        at anchor: LogAnchor, trims: TrimTable = TrimTable(), memberships: MembershipTable = MembershipTable(),
        in directory: String, fs: FS, limits: LogLimits
    ) throws(LogError) -> sending PartitionLog {
        var recovery = RecoveryReport()
        recovery.wasClean = true
        var checkpoint = Checkpoint(emptyAt: anchor)
        checkpoint.trims = trims
        checkpoint.memberships = memberships
        let log = PartitionLog(
            directory: directory, fs: fs, limits: limits, checkpoint: checkpoint, segments: [], recovery: recovery)
        try log.writeCheckpoint()
        return log
    }

    private static func remove(_ files: [SegmentName], in directory: String, fs: FS) throws(LogError) {
        try onDisk { () throws(DiskError) in
            // The checkpoint that lets them go may be visible and not yet durable; without it they would be missed.
            try fs.synchronizeDirectory(directory)
            for file in files.reversed() {
                let path = Segment<FS>.path(file, in: directory)
                if try fs.exists(path + Segment<FS>.indexSuffix) { try fs.remove(path + Segment<FS>.indexSuffix) }
                try fs.remove(path + Segment<FS>.logSuffix)
            }
            try fs.synchronizeDirectory(directory)
        }
    }

    private func recover(_ checkpoint: Checkpoint, files: [SegmentName]) throws(LogError) {
        let promised = checkpoint.segments
        guard promised.first.map({ $0.base == start.position.end }) ?? (checkpoint.recoveryPoint == start.position.end)
        else {
            throw .corrupt(
                .init(file: directory + "/checkpoint", position: .zero, detail: "it does not cover its segments"))
        }
        let missing = promised.map(\.name).filter { !files.contains($0) }
        // Damage is looked for first: a log that is refused is left as it is.
        for summary in promised { try checkPromise(summary) }
        guard missing.isEmpty else { preconditionFailure("a missing segment keeps no promise") }

        var dropped: [SegmentName] = []
        var reached = start.position.end
        for file in files {
            let base = file.base
            let place = promised.firstIndex { $0.name == file }
            let summary = place.map { promised[$0] } ?? SegmentSummary(emptyAt: base)
            let promisedEnd = place.map { $0 + 1 < promised.count ? promised[$0 + 1].base : checkpoint.recoveryPoint }
            let segment = Segment<FS>(summary, end: promisedEnd ?? base, directory: directory, in: fs, limits: limits)
            guard base == reached else {
                note(base, .init(promiseIsKept: true, connects: false, tailIsWhole: true, indexMatches: true))
                dropped.append(file)
                continue
            }
            let isLast = place.map { $0 + 1 == promised.count } ?? true
            try take(segment, scanning: isLast)
            reached = segment.end
        }
        try finishRecovery(dropped: dropped, wasClosedCleanly: checkpoint.isClean)
    }

    private func checkPromise(_ summary: SegmentSummary) throws(LogError) {
        let path = Segment<FS>.path(summary.name, in: directory) + Segment<FS>.logSuffix
        let size = try onDisk { () throws(DiskError) -> Int64? in
            try fs.exists(path) ? try fs.size(of: path).rawValue : nil
        }
        let isKept = size.map { $0 >= summary.size } ?? false
        let row = RecoveryTable.decide(
            .init(promiseIsKept: isKept, connects: true, tailIsWhole: true, indexMatches: true))
        guard row.decision == .refuseDamage else { return }
        let detail = size == nil ? "the segment is gone" : "\(summary.size) bytes were durable"
        throw .corrupt(.init(file: path, position: ByteCount(size ?? 0), detail: detail))
    }

    /// Adds a segment to the log, with what follows its promised part as far as that checks.
    private func take(_ segment: Segment<FS>, scanning: Bool) throws(LogError) {
        let fileSize = try onDisk { () throws(DiskError) in try fs.size(of: segment.path) }.rawValue
        var indexMatches = segment.index.isPlausible(segmentSize: segment.size)
        if scanning, indexMatches {
            do throws(IndexDamage) { try segment.resume() } catch { indexMatches = false }
        }
        if !indexMatches { try segment.rebuildIndex() }
        segments.append(segment)
        sizeOnDisk += segment.size
        if scanning, fileSize > segment.size { try scan(segment, to: fileSize) }
        let row = note(
            segment.base,
            .init(
                promiseIsKept: true, connects: true, tailIsWhole: fileSize == segment.size, indexMatches: indexMatches))
        guard row.decision == .cutTornTail else { return }
        try onDisk { () throws(DiskError) in try segment.file().truncate(to: ByteCount(segment.size)) }
        segment.needsSync = true
        recovery.cut += ByteCount(fileSize - segment.size)
    }

    @discardableResult
    private func note(_ base: LogIndex, _ facts: RecoveryTable.Facts) -> RecoveryTable.Row {
        let row = RecoveryTable.decide(facts)
        recovery.segments.append(.init(base: base, row: row.label))
        return row
    }

    private func scan(_ segment: Segment<FS>, to fileSize: Int64) throws(LogError) {
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        var scan = EntryScan(file, from: segment.size, to: fileSize)
        let before = segment.size
        let isSuspect = try onDisk { () throws(DiskError) in try fs.exists(failureNote) }
        while let head = try onDisk({ () throws(DiskError) in try scan.next() }) {
            guard head.baseOffset == endOffset, head.term >= lastTerm else { break }
            if head.isMarker {
                let bytes = try file.readBuffer(Self.sizeToRead(of: head), at: segment.size, path: segment.path)
                note(marker: head, of: bytes, at: bytes.readerIndex)
            }
            if head.term != lastTerm || terms.rows.isEmpty {
                terms.note(head.term, at: end)
                lastTerm = head.term
            }
            segment.note(head)
            end = segment.end
            endOffset = head.nextOffset
        }
        recovery.scanned += ByteCount(scan.checked)
        guard segment.size > before else { return }
        if isSuspect { try writeAgain(segment, from: before) }
        sizeOnDisk += segment.size - before
        // Being readable says nothing about the disk: the process may have died with all of this in the page cache.
        segment.needsSync = true
    }

    /// How much of a marker says something here.
    private static func sizeToRead(of head: EntryHead) -> Int {
        switch head.kind {
        case .logStart: min(head.totalSize, 1 << 10)
        case .membership: min(head.totalSize, EntryHead.size + 1 + MembershipTable.maximumPayload)
        default: 0
        }
    }

    /// Writes bytes over themselves, so that the next sync writes what an earlier one failed to.
    private func writeAgain(_ segment: Segment<FS>, from position: Int64) throws(LogError) {
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        var position = position
        while position < segment.size {
            let count = min(1 << 20, segment.size - position)
            let bytes = try file.readBuffer(Int(count), at: position, path: segment.path)
            try onDisk { () throws(DiskError) in
                try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in
                    try file.write([bytes], at: ByteCount(position))
                }
            }
            position += count
        }
    }

    private func finishRecovery(dropped: [SegmentName], wasClosedCleanly: Bool) throws(LogError) {
        written = end
        for file in dropped {
            let path = Segment<FS>.path(file, in: directory) + Segment<FS>.logSuffix
            recovery.cut += try onDisk { () throws(DiskError) in try fs.size(of: path) }
        }
        if !dropped.isEmpty { try Self.remove(dropped, in: directory, fs: fs) }
        let hasChanged = !dropped.isEmpty || recovery.cut > .zero || durable < end
        recovery.wasClean = wasClosedCleanly && !hasChanged
        guard !recovery.wasClean else { return }
        // Also when nothing was found to do: what is readable may be in the page cache only, and a cut made by a
        // process that died then could be undone by the next loss of power, behind what has been written since.
        try onDisk { () throws(DiskError) in
            for segment in segments where segment.needsSync || segment === segments.last {
                do throws(DiskError) {
                    try segment.file().synchronize()
                } catch {
                    _ = try? fs.open(failureNote, .createOrOpen)
                    throw error
                }
                segment.durableSize = segment.size
                segment.needsSync = false
            }
            if try fs.exists(failureNote) { try fs.remove(failureNote) }
            try fs.synchronizeDirectory(directory)
        }
        guard hasChanged else { return }
        durable = end
        try writeCheckpoint()
    }
}

/// Reads entries one after the other and computes their checksums, a window at a time however large they are.
struct EntryScan<File: StorageFile> {
    private let file: File
    private let end: Int64
    private var position: Int64
    private var window: [UInt8]
    private var windowStart: Int64 = 0
    private var windowCount = 0
    /// Bytes whose checksum has been computed.
    private(set) var checked: Int64 = 0

    /// Where the bytes under an entry's checksum begin, as KIP-98 has it.
    private static var checksummedFrom: Int { 21 }

    init(_ file: File, from position: Int64, to end: Int64, window: Int = 1 << 20) {
        self.file = file
        self.position = position
        self.end = end
        self.window = [UInt8](repeating: 0, count: Int(min(Int64(window), end - position)))
    }

    /// The next entry that is whole and checks; `nil` at the end, or at the first that does not.
    mutating func next() throws(DiskError) -> EntryHead? {
        guard position < end else { return nil }
        let headSize = Int(min(Int64(EntryHead.size + 1), end - position))
        try load(headSize)
        guard let head = head(), Int64(head.totalSize) <= end - position else { return nil }
        checked += Int64(head.totalSize)
        guard try isIntact(head) else { return nil }
        position += Int64(head.totalSize)
        return head
    }

    private func head() -> EntryHead? {
        let begin = Int(position - windowStart)
        return window.withUnsafeBytes { bytes in
            try? EntryHead.parse(UnsafeRawBufferPointer(rebasing: bytes[begin..<windowCount]))
        }
    }

    private mutating func isIntact(_ head: EntryHead) throws(DiskError) -> Bool {
        let entry = position
        defer { position = entry }
        position += Int64(Self.checksummedFrom)
        var left = head.totalSize - Self.checksummedFrom
        var crc: UInt32 = 0
        while left > 0 {
            try load(min(left, window.count))
            let begin = Int(position - windowStart)
            let count = min(left, windowCount - begin)
            guard count > 0 else { return false }
            crc = window.withUnsafeBytes { bytes in
                CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[begin..<begin + count]), continuing: crc)
            }
            left -= count
            position += Int64(count)
        }
        return crc == head.crc
    }

    /// Sees to it that the window holds `count` bytes from `position` on, as far as the file has them.
    private mutating func load(_ count: Int) throws(DiskError) {
        let offset = position - windowStart
        guard offset < 0 || offset + Int64(count) > Int64(windowCount) else { return }
        let (file, position) = (file, position)
        let wanted = Int(min(Int64(window.count), end - position))
        windowCount = try window.withUnsafeMutableBufferPointer { (space) throws(DiskError) in
            let space = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: space[..<wanted]))
            return try file.read(into: space, at: ByteCount(position))
        }
        windowStart = position
    }
}
