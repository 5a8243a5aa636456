// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches

/// Walks over the heads of the entries in a segment file, reading a window at a time and skipping bodies.
struct EntryCursor<File: StorageFile> {
    private let file: File
    private let path: String
    private let end: Int64
    /// Where the next entry begins.
    private(set) var position: Int64
    private var window: [UInt8]
    private var windowStart: Int64 = 0
    private var windowCount = 0

    /// A marker's head, the longest there is.
    private static var headSize: Int { EntryHead.size + 1 }

    /// - Parameters:
    ///   - end: where the entries end; nothing beyond is read.
    ///   - window: bytes read at a time.
    init(_ file: File, path: String, from position: Int64, to end: Int64, window: Int = 8 << 10) {
        self.file = file
        self.path = path
        self.position = position
        self.end = end
        self.window = [UInt8](repeating: 0, count: Int(min(Int64(window), max(end - position, 0))))
    }

    /// The next head and where it begins, or `nil` at the end.
    mutating func next() throws(LogError) -> (head: EntryHead, position: Int64)? {
        guard position < end else { return nil }
        let needed = Int(min(Int64(Self.headSize), end - position))
        let offset = position - windowStart
        if offset < 0 || offset + Int64(needed) > Int64(windowCount) { try fill() }
        let begin = Int(position - windowStart)
        let available = windowCount - begin
        do throws(BatchError) {
            let head = try window.withUnsafeBufferPointer { (bytes) throws(BatchError) in
                try EntryHead.parse(
                    UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[begin..<begin + available])))
            }
            guard Int64(head.totalSize) <= end - position else {
                throw BatchError(.truncated(needed: head.totalSize, available: Int(end - position)))
            }
            defer { position += Int64(head.totalSize) }
            return (head, position)
        } catch {
            throw .corrupt(.init(file: path, position: ByteCount(position), detail: "\(error)"))
        }
    }

    private mutating func fill() throws(LogError) {
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

extension StorageFile {
    /// Exactly `count` bytes from `position` on, in a buffer of their own.
    func readBuffer(_ count: Int, at position: Int64, path: String) throws(LogError) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        let got = try onDisk { () throws(DiskError) in
            var failure: DiskError?
            let got = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { space in
                do throws(DiskError) {
                    return try read(
                        into: UnsafeMutableRawBufferPointer(rebasing: space[..<count]), at: ByteCount(position))
                } catch {
                    failure = error
                    return 0
                }
            }
            if let failure { throw failure }
            return got
        }
        guard got == count else {
            throw .corrupt(
                .init(file: path, position: ByteCount(position + Int64(got)), detail: "the file is too short"))
        }
        return buffer
    }
}
