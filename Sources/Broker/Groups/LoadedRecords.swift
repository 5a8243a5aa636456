// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches

/// The records of a part of a coordinator's log, read and taken apart on an I/O thread.
struct LoadedRecords: Sendable {
    struct Record: Sendable {
        let key: ByteBuffer
        let value: ByteBuffer?
        let timestamp: Timestamp
    }

    private(set) var records: [Record] = []
    /// The first offset after what was read.
    private(set) var next: Offset
    private var hasBegun = false

    /// What one batch may unpack to. Coordinators write no larger ones.
    private static let unpackedLimit = 64 << 20

    /// Reads whole batches that begin at or before `from`. Blocks.
    init<File: StorageFile>(_ pieces: [FetchPiece<File>], from: Offset) throws {
        next = from
        for piece in pieces {
            switch piece {
            case .memory(let bytes): try take(bytes)
            case .file(let range): try take(try Self.read(range))
            }
        }
    }

    private static func read<File: StorageFile>(_ range: FileRange<File>) throws -> ByteBuffer {
        let size = Int(range.size.rawValue)
        var bytes = ByteBufferAllocator().buffer(capacity: size)
        try bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { space in
            try range.file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<size]), at: range.position)
        }
        return bytes
    }

    private mutating func take(_ bytes: ByteBuffer) throws {
        var position = bytes.readerIndex
        while position < bytes.writerIndex {
            var batch = try BatchRecords(of: bytes, at: position, limit: Self.unpackedLimit)
            // The offset lies outside the checksum. Compaction leaves no gaps, so one means that it is wrong.
            let isFirst = !hasBegun && batch.head.baseOffset < next
            guard batch.head.baseOffset == next || isFirst, next < batch.head.nextOffset else {
                throw BatchError(.badHeader("another offset than the one that follows"))
            }
            hasBegun = true
            while let record = try batch.next() {
                guard let key = record.key else { continue }
                records.append(Record(key: key, value: record.value, timestamp: record.timestamp))
            }
            next = batch.head.nextOffset
            position += batch.head.totalSize
        }
    }
}
