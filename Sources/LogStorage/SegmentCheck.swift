// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import RecordBatches

/// What a segment should hold, and where.
struct SegmentPlan: Sendable {
    let name: SegmentName
    let path: String
    /// Bytes that count, which are those of the slots `base..<end`.
    let size: Int64
    let end: LogIndex
    let map: LogMap

    var base: LogIndex { name.base }
}

/// What a check of a segment has found.
struct SegmentFindings: Hashable, Sendable {
    /// In log order, and apart from each other.
    var damage: [LogDamage] = []
    /// Rows of the index that say something else than the segment does.
    var indexMatches = true
    /// Entries that are sound.
    var entries = 0
}

/// Reads a segment from its beginning to its end and compares all of it with what the log's tables say: checksums,
/// offsets, terms, and that each entry lies in its place. Does so a step at a time, in a window of memory.
///
/// Behind damage it goes on at the next entry that can only lie there: behind the damaged one, when its length may be
/// believed, else at the next place in the file at which a whole entry lies with an offset and term of this part.
struct SegmentCheck<FS: FileSystem>: Sendable {
    private let plan: SegmentPlan
    /// `nil` when the file is gone.
    private let file: FS.File?
    private var index: IndexRows<FS.File>?
    private var scan: EntryScan<FS.File>?
    /// The slot, and the position, of the next entry.
    private var at: LogIndex
    private var position: Int64 = 0
    private(set) var findings = SegmentFindings()

    private static var window: Int { 1 << 20 }
    /// What a disk fails to read may be anywhere in what was asked for, so then little is asked for.
    private static var smallWindow: Int { 4 << 10 }

    init(_ plan: SegmentPlan, file: FS.File?, index: FS.File?, rows: Int) {
        self.plan = plan
        self.file = file
        self.index = index.map { IndexRows($0, count: rows, seed: plan.base) }
        at = plan.base
    }

    var isFinished: Bool { at == plan.end && position == plan.size }

    /// Goes on for about `limit` bytes. Gives how many it has looked at. Blocks.
    mutating func step(_ limit: Int64) throws(DiskError) -> Int64 {
        let from = position
        while !isFinished, position - from < limit {
            guard file != nil else {
                note(to: plan.end, plan.size, "the file is gone")
                break
            }
            if let flaw = try advance() { passOver(flaw) }
        }
        return position - from
    }

    /// Checks the next entry. Gives what is wrong with it.
    private mutating func advance() throws(DiskError) -> String? {
        guard position < plan.size else { return "the entries end at slot \(at) instead of \(plan.end)" }
        guard at < plan.end else { return "there are bytes behind the last entry" }
        let head: EntryHead?
        do throws(DiskError) {
            head = try nextEntry(window: Self.window)
        } catch {
            guard error.operation == .read else { throw error }
            scan = nil
            do throws(DiskError) {
                head = try nextEntry(window: Self.smallWindow)
            } catch {
                guard error.operation == .read else { throw error }
                scan = nil
                return "the disk cannot read it: \(error)"
            }
        }
        guard let head else { return "no whole entry with a matching checksum lies here" }
        if let objection = plan.map.objection(to: head, at: at, before: plan.end) { return objection }
        if index?.skip(to: position, at) == false { findings.indexMatches = false }
        findings.entries += 1
        at = at.advanced(by: head.slots)
        position += Int64(head.totalSize)
        return nil
    }

    private mutating func nextEntry(window: Int) throws(DiskError) -> EntryHead? {
        guard let file else { return nil }
        if scan == nil { scan = EntryScan(file, from: position, to: plan.size, window: window) }
        return try scan?.next()
    }

    /// Notes the damage at the place reached, and goes on behind it.
    private mutating func passOver(_ flaw: String) {
        scan = nil
        guard at < plan.end else {
            // Nothing can be said of which entry is too much.
            findings.damage = []
            (at, position) = (plan.base, 0)
            return note(to: plan.end, plan.size, flaw)
        }
        if let (slot, place) = neighbour() ?? searched() {
            note(to: slot, place, flaw)
        } else {
            note(to: plan.end, plan.size, flaw)
        }
        index?.pass(position)
    }

    private mutating func note(to slot: LogIndex, _ place: Int64, _ detail: String) {
        findings.damage.append(
            LogDamage(range: at..<slot, file: plan.path, bytes: position..<place, detail: detail))
        (at, position) = (slot, place)
    }

    /// The entry behind the damaged one, when the head of the latter is to be believed.
    private func neighbour() -> (LogIndex, Int64)? {
        guard let file, let head = Self.head(in: file, at: position, before: plan.size) else { return nil }
        let (slot, place) = (at.rawValue + head.slots, position + Int64(head.totalSize))
        guard slot <= plan.end.rawValue, place <= plan.size else { return nil }
        if slot == plan.end.rawValue, place == plan.size { return (plan.end, plan.size) }
        return isSound(at: LogIndex(slot), place) ? (LogIndex(slot), place) : nil
    }

    private static func head(in file: FS.File, at position: Int64, before end: Int64) -> EntryHead? {
        var bytes = [UInt8](repeating: 0, count: Int(min(Int64(EntryHead.size + 1), end - position)))
        let got = (try? file.read(bytes: &bytes, at: position)) ?? 0
        return bytes.withUnsafeBytes { try? EntryHead.parse(UnsafeRawBufferPointer(rebasing: $0[..<got])) }
    }

    /// Whether the entry of the slot lies at `place`, whole.
    private func isSound(at slot: LogIndex, _ place: Int64) -> Bool {
        guard let file, slot < plan.end else { return false }
        var scan = EntryScan(file, from: place, to: plan.size, window: 64 << 10)
        guard let head = (try? scan.next()) ?? nil else { return false }
        return plan.map.objection(to: head, at: slot, before: plan.end) == nil
    }

    /// The next place at which a whole entry of a later slot lies.
    private func searched() -> (LogIndex, Int64)? {
        guard let file else { return nil }
        var window = [UInt8](repeating: 0, count: Self.window)
        var from = position + 1
        while from < plan.size {
            // What the disk cannot read is passed over.
            let got = (try? file.read(bytes: &window, at: from)) ?? 0
            let step = got == window.count ? got - EntryHead.size : max(got, Self.smallWindow)
            for offset in 0..<max(0, min(step, got - EntryHead.size)) where window[offset + Self.magicPlace] == 2 {
                let place = from + Int64(offset)
                let head = window.withUnsafeBytes { bytes in
                    try? EntryHead.parse(UnsafeRawBufferPointer(rebasing: bytes[offset..<got]))
                }
                guard let head, place + Int64(head.totalSize) <= plan.size else { continue }
                for slot in plan.map.slots(for: head, after: at, before: plan.end) where isSound(at: slot, place) {
                    return (slot, place)
                }
            }
            from += Int64(step)
        }
        return nil
    }

    private static var magicPlace: Int { 16 }
}

extension StorageFile {
    /// Fills `bytes` from `position` on, as far as the file goes, and gives how far that was.
    func read(bytes: inout [UInt8], at position: Int64) throws(DiskError) -> Int {
        try bytes.withUnsafeMutableBufferPointer { (space) throws(DiskError) in
            try read(into: UnsafeMutableRawBufferPointer(space), at: ByteCount(position))
        }
    }
}

/// The rows of an index file, one after the other, beside a walk over its segment.
private struct IndexRows<File: StorageFile>: Sendable {
    private let file: File
    private let count: Int
    private let seed: UInt32
    private var next = 0
    private var block: [UInt8] = []
    private var blockStart = 0

    init(_ file: File, count: Int, seed base: LogIndex) {
        self.file = file
        self.count = count
        seed = UInt32(truncatingIfNeeded: base.rawValue)
    }

    /// Goes on behind the rows at or before `position`, at which the entry of `slot` begins. False when one of them
    /// cannot be read or says something else.
    mutating func skip(to position: Int64, _ slot: LogIndex) -> Bool {
        while next < count {
            guard let row = row() else {
                next = count
                return false
            }
            guard row.position <= position else { return true }
            next += 1
            guard row.position == position, row.index == slot else { return false }
        }
        return true
    }

    /// Goes on behind the rows before `position`, of which nothing can be said.
    mutating func pass(_ position: Int64) {
        while next < count, let row = row(), row.position < position { next += 1 }
    }

    private mutating func row() -> IndexRow? {
        if next < blockStart || (next - blockStart + 1) * IndexRow.size > block.count {
            blockStart = next
            block = [UInt8](repeating: 0, count: min(count - next, 256) * IndexRow.size)
            let got = (try? file.read(bytes: &block, at: Int64(next * IndexRow.size))) ?? 0
            guard got == block.count else { return nil }
        }
        let begin = (next - blockStart) * IndexRow.size
        return block.withUnsafeBytes { bytes in
            IndexRow(UnsafeRawBufferPointer(rebasing: bytes[begin..<begin + IndexRow.size]), seed: seed)
        }
    }
}
