// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import RecordBatches

/// SEGMENT FILE: Kafka batches and markers back to back, nothing else. It is named by the log index of its first slot
/// in 20 digits, `00000000000000000041.log`, because two segments can begin at the same Kafka offset when one of them
/// holds only markers. Beside it lies its index, `00000000000000000041.index`.
final class Segment<FS: FileSystem> {
    let base: LogIndex
    let path: String
    let index: SparseIndex<FS>
    /// Bytes written out, which are all whole entries.
    var size: Int64
    /// Where the written entries end.
    var end: LogIndex
    /// Bytes known to be on stable storage.
    var durableSize: Int64
    var needsSync = false
    /// The first batch's greatest timestamp, from which `segment.ms` counts.
    var firstTimestamp: Int64?
    /// `Int64.min` while there are no records.
    var maxTimestamp: Int64
    private var lastRowPosition: Int64 = 0
    private let indexInterval: Int64
    private let fs: FS
    private(set) var openFile: FS.File?

    static func path(_ base: LogIndex, in directory: String) -> String {
        let digits = String(base.rawValue)
        return directory + "/" + String(repeating: "0", count: 20 - digits.utf8.count) + digits
    }

    static var logSuffix: String { ".log" }
    static var indexSuffix: String { ".index" }

    /// The base that a file name stands for; `nil` when it is no segment's.
    static func base(ofName name: String) -> LogIndex? {
        guard name.hasSuffix(logSuffix), name.utf8.count == 20 + logSuffix.utf8.count else { return nil }
        let digits = name.utf8.prefix(20)
        guard digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else { return nil }
        return Int64(name.prefix(20)).map { LogIndex($0) }
    }

    /// A segment as the checkpoint describes it, or an empty one. The file is opened when it is first needed.
    init(_ summary: SegmentSummary, end: LogIndex, directory: String, in fs: FS, limits: LogLimits) {
        base = summary.base
        path = Self.path(summary.base, in: directory) + Self.logSuffix
        index = SparseIndex(
            path: Self.path(summary.base, in: directory) + Self.indexSuffix, base: summary.base,
            stored: summary.indexRows, in: fs)
        size = summary.size
        durableSize = summary.size
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

    func file() throws(DiskError) -> FS.File {
        if let openFile { return openFile }
        let file = try fs.open(path, .existing)
        openFile = file
        return file
    }

    /// Takes note of an entry that now lies at the end of the file.
    func note(_ head: EntryHead) {
        if size > 0, size - lastRowPosition >= indexInterval {
            index.add(IndexRow(index: end, position: size, maxTimestamp: maxTimestamp))
            lastRowPosition = size
        }
        if !head.isMarker {
            let time = head.maxTimestamp.milliseconds
            if firstTimestamp == nil { firstTimestamp = time }
            maxTimestamp = max(maxTimestamp, time)
        }
        size += Int64(head.totalSize)
        end = end.advanced(by: head.slots)
    }

    /// Cuts what is known of the segment at the entry boundary `position`; the file is the caller's business.
    func cut(at position: Int64, end: LogIndex) throws(LogError) {
        size = position
        durableSize = min(durableSize, position)
        self.end = end
        do throws(IndexDamage) {
            index.truncate(to: try index.count { $0.position < position })
            try resume()
        } catch {
            try rebuildIndex()
        }
    }

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
        guard !head.isMarker else { return }
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

    func cursor(from position: Int64) throws(LogError) -> EntryCursor<FS.File> {
        let opened = try onDisk { () throws(DiskError) in try file() }
        return EntryCursor(opened, path: path, from: position, to: size)
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

/// What the checkpoint says of a segment.
struct SegmentSummary: Hashable {
    var base: LogIndex
    /// Bytes below the recovery point.
    var size: Int64
    var indexRows: Int
    var firstTimestamp: Int64?
    var maxTimestamp: Int64

    init(base: LogIndex, size: Int64, indexRows: Int, firstTimestamp: Int64?, maxTimestamp: Int64) {
        self.base = base
        self.size = size
        self.indexRows = indexRows
        self.firstTimestamp = firstTimestamp
        self.maxTimestamp = maxTimestamp
    }

    init(emptyAt base: LogIndex) {
        self.init(base: base, size: 0, indexRows: 0, firstTimestamp: nil, maxTimestamp: .min)
    }
}
