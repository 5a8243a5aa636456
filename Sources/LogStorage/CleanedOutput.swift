// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches

/// A segment that compaction has written, whole and durable, to take the place of others.
public struct CleanedSegment: Sendable {
    /// Of which cleaning it is a part.
    let cleaning: Int
    let replaced: [SegmentName]
    let summary: SegmentSummary
    let end: LogIndex
}

/// Writes one segment and its index anew, entry by entry.
struct CleanedOutput<FS: FileSystem>: Sendable {
    let name: SegmentName
    private let fs: FS
    private let directory: String
    private let file: FS.File
    private let index: FS.File
    private let indexInterval: Int64
    private var pending = ByteBuffer()
    private var rows = ByteBuffer()
    private var rowCount = 0
    private var flushed: Int64 = 0
    private var lastRowPosition: Int64 = 0
    private var hole: (offset: Offset, slots: Int64, term: Term)?
    /// The slot of the next entry.
    private(set) var end: LogIndex
    private var firstTimestamp: Int64?
    private var maxTimestamp = Int64.min

    private static var chunk: Int { 1 << 20 }

    init(_ name: SegmentName, in directory: String, fs: FS, indexInterval: Int64) throws(LogError) {
        self.name = name
        self.fs = fs
        self.directory = directory
        self.indexInterval = indexInterval
        end = name.base
        let path = Segment<FS>.path(name, in: directory)
        (file, index) = try onDisk { () throws(DiskError) in
            let file = try fs.open(path + Segment<FS>.logSuffix, .createOrOpen)
            let index = try fs.open(path + Segment<FS>.indexSuffix, .createOrOpen)
            // A cleaning that was given up may have left something behind.
            try file.truncate(to: .zero)
            try index.truncate(to: .zero)
            return (file, index)
        }
    }

    private var size: Int64 { flushed + Int64(pending.readableBytes) }

    /// Adds an entry.
    mutating func append(_ bytes: UnsafeRawBufferPointer, head: EntryHead) throws(LogError) {
        try closeHole()
        try write(bytes, head: head)
    }

    /// Adds slots without records. Holes of one term that touch become one.
    mutating func appendHole(at offset: Offset, slots: Int64, term: Term) throws(LogError) {
        if let open = hole, open.term == term, open.slots + slots <= HoleEntry.maximumSlots {
            hole = (open.offset, open.slots + slots, term)
            return
        }
        try closeHole()
        hole = (offset, slots, term)
    }

    private mutating func closeHole() throws(LogError) {
        guard let open = hole else { return }
        hole = nil
        try append(HoleEntry.encode(baseOffset: open.offset, slots: open.slots, term: open.term))
    }

    /// Adds an entry of our own making.
    mutating func append(_ entry: ByteBuffer) throws(LogError) {
        guard let head = try? EntryHead.parse(entry) else { preconditionFailure("our own entry must be readable") }
        try closeHole()
        // The output is written to while the entry is read, so the two must not be parts of one value.
        try entry.withUnsafeReadableBytes { (bytes) throws(LogError) in try write(bytes, head: head) }
    }

    private mutating func write(_ bytes: UnsafeRawBufferPointer, head: EntryHead) throws(LogError) {
        let position = size
        if position > 0, position - lastRowPosition >= indexInterval {
            IndexRow(index: end, position: position, maxTimestamp: maxTimestamp)
                .encode(into: &rows, seed: UInt32(truncatingIfNeeded: name.base.rawValue))
            rowCount += 1
            lastRowPosition = position
        }
        if head.recordCount.rawValue > 0 {
            let time = head.maxTimestamp.milliseconds
            if firstTimestamp == nil { firstTimestamp = time }
            maxTimestamp = max(maxTimestamp, time)
        }
        pending.writeBytes(bytes)
        end = end.advanced(by: head.slots)
        if pending.readableBytes >= Self.chunk { try flush() }
    }

    private mutating func flush() throws(LogError) {
        try Self.write(pending, to: file, at: flushed)
        flushed += Int64(pending.readableBytes)
        pending.clear()
        let row = Int64((rowCount * IndexRow.size) - rows.readableBytes)
        try Self.write(rows, to: index, at: row)
        rows.clear()
    }

    private static func write(_ bytes: ByteBuffer, to file: FS.File, at position: Int64) throws(LogError) {
        guard bytes.readableBytes > 0 else { return }
        try onDisk { () throws(DiskError) in
            try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in
                try file.write([bytes], at: ByteCount(position))
            }
        }
    }

    /// Makes the segment durable, name and all.
    mutating func finish() throws(LogError) -> SegmentSummary {
        try closeHole()
        try flush()
        try onDisk { () throws(DiskError) in
            #if MUTANTS
                if Mutant.isActive("T-D10") { return }
            #endif
            try file.synchronize()
            try index.synchronize()
            try fs.synchronizeDirectory(directory)
        }
        return SegmentSummary(
            base: name.base, generation: name.generation, size: flushed, indexRows: rowCount,
            firstTimestamp: firstTimestamp, maxTimestamp: maxTimestamp)
    }

    /// Removes what has been written. What stays is removed when the log is opened the next time.
    func abandon() { Self.remove(name, in: directory, fs: fs) }

    static func remove(_ name: SegmentName, in directory: String, fs: FS) {
        let path = Segment<FS>.path(name, in: directory)
        try? fs.remove(path + Segment<FS>.indexSuffix)
        try? fs.remove(path + Segment<FS>.logSuffix)
    }
}
