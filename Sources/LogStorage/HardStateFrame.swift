// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches

/// HARD STATE JOURNAL, version 1: frames, each written at once and synchronized before the next one begins. All
/// integers are big-endian.
///
///      at   size  field
///       0      4  magic, the letters "GHJ1"
///       4      4  CRC-32C of everything after it
///       8      8  sequence, one higher than the frame's before it
///      16      4  number of records, n
///      20      4  zero
///      24  32 × n  records: topic id (16), partition (4), term (4; −1 forgets the group), vote (4; −1 nobody),
///                  zero (4)
///
/// Every frame stands there twice, the second copy right behind the first, so that one that rots is no loss: a vote
/// that was forgotten could be given twice. A frame of which both copies are damaged is a torn write, which nobody was
/// promised, when nothing follows; with a good one of a later sequence behind it, it was durable once: that is damage.
/// So every multiple of 8 behind a bad frame is tried for a good one. Earlier versions' journals have each frame once.
enum HardStateFrame {
    struct Record: Hashable {
        let group: PartitionID
        /// `nil` forgets the group.
        let state: HardState?
    }

    struct Content {
        /// Bytes of whole frames.
        var size: Int64 = 0
        var sequence: UInt64 = 0
        var states: [PartitionID: HardState] = [:]
    }

    struct Flaw: Error {
        let position: Int64
        let detail: String
    }

    static let sizeLimit: Int64 = 1 << 30
    private static let magic: UInt32 = 0x4748_4a31
    private static let headerSize = 24
    private static let recordSize = 32

    static func size(of records: Int) -> Int64 { Int64(headerSize + recordSize * records) }

    static func encode(_ records: [Record], sequence: UInt64) -> ByteBuffer {
        var bytes = ByteBufferAllocator().buffer(capacity: Int(size(of: records.count)))
        bytes.writeInteger(magic)
        bytes.writeInteger(0 as UInt32)
        bytes.writeInteger(sequence)
        bytes.writeInteger(UInt32(records.count))
        bytes.writeInteger(0 as UInt32)
        for record in records {
            bytes.writeInteger(record.group.topic.high)
            bytes.writeInteger(record.group.topic.low)
            bytes.writeInteger(record.group.index)
            bytes.writeInteger(record.state?.term.rawValue ?? -1)
            bytes.writeInteger(record.state?.vote?.rawValue ?? -1)
            bytes.writeInteger(0 as UInt32)
        }
        let crc = bytes.withUnsafeReadableBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[8...])) }
        bytes.setInteger(crc, at: bytes.readerIndex + 4)
        return bytes
    }

    static func read(_ bytes: ByteBuffer) throws(Flaw) -> Content {
        var content = Content()
        var position = 0
        while position < bytes.readableBytes {
            guard let (frame, size) = frame(in: bytes, at: position) else {
                #if MUTANTS
                    if Mutant.isActive("T-D12"), position > 0 { break }
                #endif
                guard let next = nextFrame(in: bytes, after: position, sequence: content.sequence) else { break }
                position = next
                continue
            }
            if frame.sequence != content.sequence {
                guard content.sequence == 0 || frame.sequence == content.sequence + 1 else {
                    throw Flaw(
                        position: Int64(position), detail: "a frame before sequence \(frame.sequence) is damaged")
                }
                content.sequence = frame.sequence
                for record in frame.records { content.states[record.group] = record.state }
            }
            position += size
            content.size = Int64(position)
        }
        // The first frame was durable before the file got its name.
        guard content.sequence > 0 else { throw Flaw(position: 0, detail: "this is no journal of hard state") }
        return content
    }

    /// Where the next whole frame begins that is not older than what was read.
    private static func nextFrame(in bytes: ByteBuffer, after position: Int, sequence: UInt64) -> Int? {
        stride(from: position + 8, to: bytes.readableBytes, by: 8).first { place in
            frame(in: bytes, at: place).map { $0.frame.sequence >= sequence } ?? false
        }
    }

    private static func frame(
        in bytes: ByteBuffer, at place: Int
    ) -> (frame: (sequence: UInt64, records: [Record]), size: Int)? {
        let begin = bytes.readerIndex + place
        guard bytes.getInteger(at: begin, as: UInt32.self) == magic,
            let crc = bytes.getInteger(at: begin + 4, as: UInt32.self),
            let sequence = bytes.getInteger(at: begin + 8, as: UInt64.self), sequence > 0, sequence < .max,
            let count = bytes.getInteger(at: begin + 16, as: UInt32.self),
            Int(count) <= (bytes.readableBytes - place - headerSize) / recordSize
        else { return nil }
        let size = headerSize + recordSize * Int(count)
        guard let body = bytes.getSlice(at: begin + 8, length: size - 8),
            body.withUnsafeReadableBytes({ CRC32C.checksum($0) }) == crc,
            var reader = bytes.getSlice(at: begin + headerSize, length: recordSize * Int(count))
        else { return nil }
        var records: [Record] = []
        records.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let record = record(&reader) else { return nil }
            records.append(record)
        }
        return ((sequence, records), size)
    }

    private static func record(_ reader: inout ByteBuffer) -> Record? {
        guard let high = reader.readInteger(as: UInt64.self), let low = reader.readInteger(as: UInt64.self),
            let index = reader.readInteger(as: Int32.self), index >= 0, let term = reader.readInteger(as: Int32.self),
            term >= -1, let vote = reader.readInteger(as: Int32.self), vote >= -1,
            reader.readInteger(as: UInt32.self) != nil
        else { return nil }
        let state = term < 0 ? nil : HardState(term: Term(term), vote: vote < 0 ? nil : NodeID(vote))
        return Record(group: PartitionID(topic: TopicID(high: high, low: low), index: index), state: state)
    }
}
