// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import RecordBatches

/// Reads entries one after the other and computes their checksums, a window at a time however large they are.
struct EntryScan<File: StorageFile> {
    private let file: File
    private let end: Int64
    /// Where the next entry begins.
    private(set) var position: Int64
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
        let begun = EntryHead.size + 1 + LeaderStartPayload.size
        try load(Int(min(Int64(begun), end - position)))
        guard let head = head(), Int64(head.totalSize) <= end - position else { return nil }
        checked += Int64(head.totalSize)
        guard saysItsTerm(head), try isIntact(head) else { return nil }
        position += Int64(head.totalSize)
        return head
    }

    private func head() -> EntryHead? {
        let begin = Int(position - windowStart)
        return window.withUnsafeBytes { bytes in
            try? EntryHead.parse(UnsafeRawBufferPointer(rebasing: bytes[begin..<windowCount]))
        }
    }

    /// Whether a leader's first entry has under its checksum the same term as before it.
    private func saysItsTerm(_ head: EntryHead) -> Bool {
        guard head.kind == .leaderStart else { return true }
        let begin = Int(position - windowStart) + EntryHead.size + 1
        let payload = window[begin..<min(begin + head.totalSize - EntryHead.size - 1, windowCount)]
        guard let term = LeaderStartPayload.term(in: payload) else { return true }
        return term == head.term
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

/// What may follow what where no table says what must lie there: behind the checkpoint.
///
/// Offset and term lie outside Kafka's checksum, because brokers write them. Both are bound by their neighbours all the
/// same: offsets have no gaps, and a term begins with its leader's marker, which has the term under its checksum too.
struct Succession {
    /// The slot, the offset and the term that what lies before has led to.
    let at: LogIndex
    let offset: Offset
    let term: Term

    /// Whether an entry with this head can come next.
    func admits(_ head: EntryHead) -> Bool {
        guard head.baseOffset == offset else { return false }
        return head.term == term || (head.term > term && (head.kind == .leaderStart || at == .zero))
    }
}
