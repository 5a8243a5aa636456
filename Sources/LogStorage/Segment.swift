// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import RecordBatches

/// SEGMENT FILE: Kafka batches and markers back to back, nothing else. It is named by the log index of its first slot
/// in 20 digits, `00000000000000000041.log`, because two segments can begin at the same Kafka offset when one of them
/// holds only markers. Beside it lies its index, `00000000000000000041.index`. What compaction has written anew has a
/// generation, `00000000000000000041.2.log`, and counts only where the checkpoint names it.
final class Segment<FS: FileSystem> {
    let base: LogIndex
    /// How often compaction has written the segment that begins here.
    let generation: Int32
    let path: String
    let index: SparseIndex<FS>
    /// Bytes written out, which are all whole entries.
    var size: Int64
    /// Where the written entries end.
    var end: LogIndex
    /// Bytes known to be on stable storage.
    var durableSize: Int64
    var needsSync = false
    /// What of its bytes is wrong, as far as known, in log order. While there is any, the file is neither read nor
    /// appended to.
    var damage: [LogDamage] = []
    /// What of its bytes needs no check before it is sent to anybody.
    var checked: CheckedBytes
    /// The first batch's greatest timestamp, from which `segment.ms` counts.
    var firstTimestamp: Int64?
    /// `Int64.min` while there are no records.
    var maxTimestamp: Int64
    private var lastRowPosition: Int64 = 0
    private let indexInterval: Int64
    private let fs: FS
    private(set) var openFile: FS.File?

    /// A segment's path without its suffix.
    static func path(_ name: SegmentName, in directory: String) -> String {
        let digits = String(name.base.rawValue)
        let path = directory + "/" + String(repeating: "0", count: 20 - digits.utf8.count) + digits
        return name.generation == 0 ? path : path + "." + String(name.generation)
    }

    static var logSuffix: String { ".log" }
    static var indexSuffix: String { ".index" }

    /// What a file name stands for; `nil` when it is no segment's.
    static func name(ofFile file: String) -> SegmentName? {
        guard file.hasSuffix(logSuffix) else { return nil }
        let parts = file.utf8.dropLast(logSuffix.utf8.count).split(
            separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard let digits = parts.first, digits.count == 20, let base = number(digits) else { return nil }
        guard parts.count == 2 else { return SegmentName(base: LogIndex(base), generation: 0) }
        guard let generation = number(parts[1]), generation > 0, parts[1].first != UInt8(ascii: "0") else { return nil }
        return Int32(exactly: generation).map { SegmentName(base: LogIndex(base), generation: $0) }
    }

    private static func number(_ digits: Substring.UTF8View) -> Int64? {
        guard digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else { return nil }
        return Int64(Substring(digits))
    }

    var name: SegmentName { SegmentName(base: base, generation: generation) }

    /// A segment as the checkpoint describes it, or an empty one. The file is opened when it is first needed.
    init(_ summary: SegmentSummary, end: LogIndex, directory: String, in fs: FS, limits: LogLimits) {
        base = summary.base
        generation = summary.generation
        path = Self.path(summary.name, in: directory) + Self.logSuffix
        index = SparseIndex(
            path: Self.path(summary.name, in: directory) + Self.indexSuffix, base: summary.base,
            stored: summary.indexRows, in: fs)
        size = summary.size
        durableSize = summary.size
        checked = CheckedBytes(of: summary.size)
        self.end = end
        firstTimestamp = summary.firstTimestamp
        maxTimestamp = summary.maxTimestamp
        indexInterval = limits.indexIntervalBytes.rawValue
        self.fs = fs
    }

    /// Makes the segment's file, which must not be there yet.
    static func create(
        at base: LogIndex, in directory: String, fs: FS, limits: LogLimits
    ) throws(DiskError) -> Segment {
        let segment = Segment(SegmentSummary(emptyAt: base), end: base, directory: directory, in: fs, limits: limits)
        segment.openFile = try fs.open(segment.path, .createNew)
        return segment
    }

    var isEmpty: Bool { size == 0 }

    /// Whether entries may be added. What was written anew stays as it is.
    var takesEntries: Bool { damage.isEmpty && generation == 0 }

    /// The first slot of what is damaged, or the segment's end.
    func firstDamage(atOrAfter index: LogIndex) -> LogDamage? { damage.first { index < $0.range.upperBound } }

    func file() throws(DiskError) -> FS.File {
        if let openFile { return openFile }
        let file = try fs.open(path, .existing)
        openFile = file
        return file
    }

    /// The same, also when the file is gone.
    func fileOrNew() throws(DiskError) -> FS.File {
        let file = try fs.open(path, .createOrOpen)
        openFile = file
        return file
    }

    /// Takes note of an entry that now lies at the end of the file.
    func note(_ head: EntryHead) {
        if size > 0, size - lastRowPosition >= indexInterval {
            index.add(IndexRow(index: end, position: size, maxTimestamp: maxTimestamp))
            lastRowPosition = size
        }
        noteTime(head)
        size += Int64(head.totalSize)
        end = end.advanced(by: head.slots)
    }

    /// Cuts what is known of the segment at the entry boundary `position`; the file is the caller's business.
    func cut(at position: Int64, end: LogIndex) throws(LogError) {
        size = position
        durableSize = min(durableSize, position)
        checked.cut(at: position)
        self.end = end
        damage = damage.compactMap { $0.cut(at: end) }
        guard damage.isEmpty else {
            let rows = try? index.count { $0.position < position }
            return index.truncate(to: rows ?? 0)
        }
        do throws(IndexDamage) {
            index.truncate(to: try index.count { $0.position < position })
            try resume()
        } catch {
            try rebuildIndex()
        }
    }

    /// What follows is added behind what the checkpoint says, which cannot be read.
    func resumeBehindDamage() { lastRowPosition = size }

    /// Computes what depends on the entries since the last index row, by reading their heads.
    func resume() throws(IndexDamage) {
        let row = index.count == 0 ? nil : try index.row(index.count - 1)
        lastRowPosition = row?.position ?? 0
        maxTimestamp = row?.maxTimestamp ?? .min
        if row == nil { firstTimestamp = nil }
        do throws(LogError) {
            var cursor = try cursor(from: lastRowPosition)
            while let (head, _) = try cursor.next() { noteTime(head) }
        } catch {
            throw IndexDamage()
        }
    }

    private func noteTime(_ head: EntryHead) {
        guard head.recordCount.rawValue > 0 else { return }
        if firstTimestamp == nil { firstTimestamp = head.maxTimestamp.milliseconds }
        maxTimestamp = max(maxTimestamp, head.maxTimestamp.milliseconds)
    }

    /// Reads all heads of the segment and writes its index anew.
    /// - Complexity: O(entries).
    func rebuildIndex() throws(LogError) {
        let size = size
        var rows: [IndexRow] = []
        firstTimestamp = nil
        maxTimestamp = .min
        lastRowPosition = 0
        var at = base
        var cursor = try cursor(from: 0)
        while let (head, position) = try cursor.next() {
            if position > 0, position - lastRowPosition >= indexInterval {
                rows.append(IndexRow(index: at, position: position, maxTimestamp: maxTimestamp))
                lastRowPosition = position
            }
            noteTime(head)
            at = at.advanced(by: head.slots)
        }
        guard at == end else {
            throw .corrupt(
                .init(file: path, position: ByteCount(size), detail: "the entries end at \(at) instead of \(end)"))
        }
        index.replace(with: rows)
    }

    /// - Throws: `.corrupt` while anything of the segment is damaged: what lies behind is found by its place.
    func cursor(from position: Int64) throws(LogError) -> EntryCursor<FS.File> {
        EntryCursor(try undamagedFile(), path: path, from: position, to: size)
    }

    /// The same for whoever wants each entry checked.
    func reader(from position: Int64) throws(LogError) -> SegmentReader<FS.File> {
        SegmentReader(try undamagedFile(), path: path, from: position, to: size, window: 64 << 10)
    }

    private func undamagedFile() throws(LogError) -> FS.File {
        if let damage = damage.first { throw damage.error }
        return try onDisk { () throws(DiskError) in try file() }
    }

    /// Closes what is open. Who still reads it keeps it open.
    func letGo() {
        openFile = nil
        index.letGo()
    }

    /// Removes both files. Who still reads them keeps them open.
    func remove() throws(DiskError) {
        openFile = nil
        index.remove()
        do throws(DiskError) {
            try fs.remove(path)
        } catch {
            guard error.isMissing else { throw error }
        }
    }
}

/// Which segment, and which writing of it.
struct SegmentName: Hashable, Comparable {
    var base: LogIndex
    var generation: Int32

    static func < (left: Self, right: Self) -> Bool {
        (left.base, left.generation) < (right.base, right.generation)
    }
}

/// What the checkpoint says of a segment.
struct SegmentSummary: Hashable {
    var base: LogIndex
    var generation: Int32
    /// Bytes below the recovery point.
    var size: Int64
    var indexRows: Int
    var firstTimestamp: Int64?
    var maxTimestamp: Int64

    init(
        base: LogIndex, generation: Int32 = 0, size: Int64, indexRows: Int, firstTimestamp: Int64?, maxTimestamp: Int64
    ) {
        self.base = base
        self.generation = generation
        self.size = size
        self.indexRows = indexRows
        self.firstTimestamp = firstTimestamp
        self.maxTimestamp = maxTimestamp
    }

    init(emptyAt base: LogIndex) {
        self.init(base: base, size: 0, indexRows: 0, firstTimestamp: nil, maxTimestamp: .min)
    }

    var name: SegmentName { SegmentName(base: base, generation: generation) }
}
