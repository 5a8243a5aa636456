// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches

/// SEGMENT INDEX FILE, version 1: rows of 32 bytes, nothing else. All integers are big-endian.
///
///      at   size  field
///       0      8  log index of an entry
///       8      8  where the entry begins in the segment file
///      16      8  the greatest record timestamp in the segment before that entry; Int64.min when there is none
///      24      4  CRC-32C of the 24 bytes before, seeded with the low half of the segment's base index
///      28      4  zero
///
/// All three numbers ascend from row to row (the last not strictly), so one file answers three questions: where an
/// index is, which entry lies at a position, and from where on a timestamp can first occur. Why one file and not
/// Kafka's two: it is half the open files, and a time lookup needs the position anyway.
///
/// How many rows count is said by the checkpoint; what lies beyond them is left from before a crash or a truncation.
/// The file is a cache. A row that does not check is answered by building all of them anew from the segment.
struct IndexRow: Hashable {
    var index: LogIndex
    var position: Int64
    var maxTimestamp: Int64

    static let size = 32
    private static let checkedSize = 24

    func encode(into buffer: inout ByteBuffer, seed: UInt32) {
        let begin = buffer.writerIndex
        buffer.writeInteger(index.rawValue)
        buffer.writeInteger(position)
        buffer.writeInteger(maxTimestamp)
        let crc = buffer.withUnsafeReadableBytes { bytes in
            let row = begin - buffer.readerIndex
            return CRC32C.checksum(
                UnsafeRawBufferPointer(rebasing: bytes[row..<row + Self.checkedSize]), continuing: seed)
        }
        buffer.writeInteger(crc)
        buffer.writeInteger(0 as UInt32)
    }

    /// `nil` when the row is damaged.
    init?(_ bytes: UnsafeRawBufferPointer, seed: UInt32) {
        guard bytes.count >= Self.size else { return nil }
        func field(_ place: Int) -> Int64 {
            Int64(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: Int64.self))
        }
        let checked = UnsafeRawBufferPointer(rebasing: bytes[..<Self.checkedSize])
        let stored = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: Self.checkedSize, as: UInt32.self))
        guard CRC32C.checksum(checked, continuing: seed) == stored else { return nil }
        guard field(0) >= 0, field(8) >= 0 else { return nil }
        self.init(index: LogIndex(field(0)), position: field(8), maxTimestamp: field(16))
    }

    init(index: LogIndex, position: Int64, maxTimestamp: Int64) {
        self.index = index
        self.position = position
        self.maxTimestamp = maxTimestamp
    }
}

/// A row could not be read or does not check.
struct IndexDamage: Error {}

/// The index of one segment: most rows in its file, the latest in memory.
final class SparseIndex<FS: FileSystem> {
    let path: String
    private let seed: UInt32
    private let fs: FS
    private var openFile: FS.File?
    /// Rows that are in the file.
    private(set) var stored: Int
    private var recent: [IndexRow] = []
    /// Whether the file has rows that were not there when it was last synchronized.
    private(set) var needsSync = false
    /// The block of the file that was read last, so that a binary search ends without further reads.
    private var block: (number: Int, bytes: [UInt8])?

    private static var rowsPerBlock: Int { 128 }

    init(path: String, base: LogIndex, stored: Int, in fs: FS) {
        self.path = path
        self.seed = UInt32(truncatingIfNeeded: base.rawValue)
        self.stored = stored
        self.fs = fs
    }

    var count: Int { stored + recent.count }

    /// Adds a row; rows go to the file a block at a time.
    func add(_ row: IndexRow) {
        recent.append(row)
        if recent.count >= Self.rowsPerBlock { store() }
    }

    /// Writes the rows that are only in memory. When the disk refuses they stay there until the next try.
    func store() {
        guard !recent.isEmpty else { return }
        var buffer = ByteBufferAllocator().buffer(capacity: recent.count * IndexRow.size)
        for row in recent { row.encode(into: &buffer, seed: seed) }
        do throws(DiskError) {
            let file = try file(.createOrOpen)
            let position = ByteCount(Int64(stored * IndexRow.size))
            try buffer.withUnsafeReadableBytes { (bytes) throws(DiskError) in try file.write([bytes], at: position) }
            stored += recent.count
            recent.removeAll()
            block = nil
            needsSync = true
        } catch {
            return
        }
    }

    /// The file, when it has to be synchronized before its rows may be relied upon after a crash.
    func takeUnsynced() -> FS.File? {
        guard needsSync, let openFile else { return nil }
        needsSync = false
        return openFile
    }

    /// Whether the file holds all rows that count, judged by its size and the last of them.
    func isPlausible(segmentSize: Int64) -> Bool {
        #if MUTANTS
            if Mutant.isActive("T-D15") { return true }
        #endif
        guard stored > 0 else { return true }
        do {
            guard try fs.size(of: path).rawValue >= Int64(stored * IndexRow.size) else { return false }
            return try row(stored - 1).position < segmentSize
        } catch {
            return false
        }
    }

    func row(_ number: Int) throws(IndexDamage) -> IndexRow {
        guard number < stored else { return recent[number - stored] }
        let wanted = number / Self.rowsPerBlock
        if block?.number != wanted { block = (wanted, try read(block: wanted)) }
        guard let bytes = block?.bytes else { throw IndexDamage() }
        let begin = (number % Self.rowsPerBlock) * IndexRow.size
        guard begin + IndexRow.size <= bytes.count else { throw IndexDamage() }
        let row = bytes.withUnsafeBytes {
            IndexRow(UnsafeRawBufferPointer(rebasing: $0[begin..<begin + IndexRow.size]), seed: seed)
        }
        guard let row else { throw IndexDamage() }
        return row
    }

    /// The last row for which `isBefore` holds; it must not hold again after failing once.
    func last(where isBefore: (IndexRow) -> Bool) throws(IndexDamage) -> IndexRow? {
        let found = try self.count(where: isBefore)
        return found == 0 ? nil : try row(found - 1)
    }

    /// How many rows at the front satisfy `isBefore`.
    func count(where isBefore: (IndexRow) -> Bool) throws(IndexDamage) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(try row(middle)) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Keeps the first `count` rows.
    func truncate(to count: Int) {
        if count < stored {
            stored = count
            recent.removeAll()
        } else {
            recent.removeSubrange((count - stored)...)
        }
        block = nil
    }

    /// Forgets all rows and takes these.
    func replace(with rows: [IndexRow]) {
        stored = 0
        recent = rows
        block = nil
        store()
    }

    func letGo() { openFile = nil }

    func remove() {
        openFile = nil
        // A name that stays is removed, or written over, when the log is opened the next time.
        try? fs.remove(path)
    }

    private func read(block number: Int) throws(IndexDamage) -> [UInt8] {
        let rows = min(Self.rowsPerBlock, stored - number * Self.rowsPerBlock)
        var bytes = [UInt8](repeating: 0, count: rows * IndexRow.size)
        let got: Int
        do throws(DiskError) {
            let position = ByteCount(Int64(number * Self.rowsPerBlock * IndexRow.size))
            let file = try file(.existing)
            got = try bytes.withUnsafeMutableBufferPointer { (space) throws(DiskError) in
                try file.read(into: UnsafeMutableRawBufferPointer(space), at: position)
            }
        } catch {
            throw IndexDamage()
        }
        guard got == bytes.count else { throw IndexDamage() }
        return bytes
    }

    private func file(_ mode: OpenMode) throws(DiskError) -> FS.File {
        if let openFile { return openFile }
        let file = try fs.open(path, mode)
        openFile = file
        return file
    }
}
