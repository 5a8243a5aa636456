// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import RecordBatches

/// Reads whole entries one after the other and checks them. Memory is the window, or one entry if that is larger.
struct SegmentReader<File: StorageFile>: Sendable {
    private let file: File
    private let path: String
    private let end: Int64
    /// Where the next entry begins.
    private(set) var position: Int64
    private var window: [UInt8]
    private var windowStart: Int64
    private var windowCount = 0
    private var entry = 0..<0

    init(_ file: File, path: String, from position: Int64, to end: Int64, window: Int = 1 << 20) {
        self.file = file
        self.path = path
        self.position = position
        self.end = end
        windowStart = position
        self.window = [UInt8](repeating: 0, count: Int(min(Int64(window), max(end - position, 0))))
    }

    /// The next entry's head, `nil` at the end. `withEntry` then gives its bytes.
    mutating func next() throws(LogError) -> EntryHead? {
        guard position < end else { return nil }
        var begin = Int(position - windowStart)
        if windowCount - begin < min(EntryHead.size + 1, Int(end - position)) {
            try fill(atLeast: 0)
            begin = 0
        }
        let head = try parse(begin)
        if windowCount - begin < head.totalSize {
            try fill(atLeast: head.totalSize)
            begin = 0
        }
        entry = begin..<begin + head.totalSize
        do throws(BatchError) {
            try withEntry { (bytes) throws(BatchError) in try head.verifyChecksum(bytes) }
        } catch {
            throw damage(error)
        }
        position += Int64(head.totalSize)
        return head
    }

    /// The same, of an entry that is to lie at `index` and to end at or before `end`.
    /// - Throws: `.corrupt` also when `map` objects to it.
    mutating func next(at index: LogIndex, before end: LogIndex, by map: LogMap) throws(LogError) -> EntryHead? {
        let begun = ByteCount(position)
        guard let head = try next() else { return nil }
        if let objection = map.objection(to: head, at: index, before: end) {
            throw .corrupt(.init(file: path, position: begun, detail: objection))
        }
        return head
    }

    func withEntry<Answer, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Answer
    ) throws(Failure) -> Answer {
        try window.withUnsafeBufferPointer { (bytes) throws(Failure) in
            try body(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[entry])))
        }
    }

    private func parse(_ begin: Int) throws(LogError) -> EntryHead {
        do throws(BatchError) {
            let head = try window.withUnsafeBufferPointer { (bytes) throws(BatchError) in
                try EntryHead.parse(
                    UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[begin..<windowCount])))
            }
            guard Int64(head.totalSize) <= end - position else {
                throw BatchError(.truncated(needed: head.totalSize, available: Int(end - position)))
            }
            return head
        } catch {
            throw damage(error)
        }
    }

    private func damage(_ error: BatchError) -> LogError {
        .corrupt(.init(file: path, position: ByteCount(position), detail: "\(error)"))
    }

    /// Fills the window from `position` on; it grows when an entry needs it.
    private mutating func fill(atLeast needed: Int) throws(LogError) {
        if window.count < needed { window = [UInt8](repeating: 0, count: needed) }
        let (file, position, wanted) = (file, position, Int(min(Int64(window.count), end - position)))
        windowCount = try window.withUnsafeMutableBufferPointer { (space) throws(LogError) in
            let space = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: space[..<wanted]))
            return try onDisk { () throws(DiskError) in try file.read(into: space, at: ByteCount(position)) }
        }
        windowStart = position
        guard windowCount == wanted else {
            throw .corrupt(
                .init(file: path, position: ByteCount(position + Int64(windowCount)), detail: "the file is too short"))
        }
    }
}
