// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches

/// PRODUCER SNAPSHOT, version 1: the producers of a log below an index. All integers are big-endian.
///
///      at   size  field
///       0      4  magic, the letters "GPS1"
///       4      4  CRC-32C of everything after it
///       8      8  log index: every entry below it is in the table, and none from there on
///      16      4  term of the last entry below it
///      20      8  age of the log in milliseconds
///      28      4  number of age marks, m
///      32      4  number of producers, p
///      36 16 × m  marks: age (8), log index (8)
///              p  producers, in the order of their ids: id (8), epoch (2), stored sequences (8), last timestamp (8),
///                 index of the last entry (8), number of batches (1), and for each batch first sequence (4),
///                 slots (8), base offset (8), timestamp (8)
///
/// Index and term name the whole log below them (raft paper §5.3), so a snapshot of a log whose end was lost, or cut
/// and written anew, is never taken for one of the log that is there.
struct ProducerSnapshot: Sendable {
    let position: LogPosition
    let table: ProducerTable

    private static let magic: UInt32 = 0x4750_5331
    private static let headerSize = 36
    private static let markSize = 16
    private static let producerSize = 35
    private static let batchSize = 28
    /// What a reader takes at most.
    static let sizeLimit: Int64 = 256 << 20

    init(position: LogPosition, table: ProducerTable) {
        self.position = position
        self.table = table
    }

    func encoded() -> ByteBuffer {
        let producers = table.all
        let size =
            Self.headerSize + Self.markSize * table.marks.count
            + producers.reduce(0) { $0 + Self.producerSize + Self.batchSize * $1.state.batches.count }
        var bytes = ByteBufferAllocator().buffer(capacity: size)
        bytes.writeInteger(Self.magic)
        bytes.writeInteger(0 as UInt32)
        bytes.writeInteger(position.end.rawValue)
        bytes.writeInteger(position.term.rawValue)
        bytes.writeInteger(table.age)
        bytes.writeInteger(UInt32(table.marks.count))
        bytes.writeInteger(UInt32(producers.count))
        for mark in table.marks {
            bytes.writeInteger(mark.age)
            bytes.writeInteger(mark.end.rawValue)
        }
        for (id, state) in producers {
            bytes.writeInteger(id)
            bytes.writeInteger(state.epoch)
            bytes.writeInteger(state.storedSequences)
            bytes.writeInteger(state.lastTimestamp.milliseconds)
            bytes.writeInteger(state.lastIndex.rawValue)
            bytes.writeInteger(UInt8(state.batches.count))
            for batch in state.batches {
                bytes.writeInteger(batch.firstSequence)
                bytes.writeInteger(batch.slots)
                bytes.writeInteger(batch.baseOffset.rawValue)
                bytes.writeInteger(batch.timestamp.milliseconds)
            }
        }
        let crc = bytes.withUnsafeReadableBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[8...])) }
        bytes.setInteger(crc, at: bytes.readerIndex + 4)
        return bytes
    }

    /// Why bytes are no snapshot.
    struct Flaw: Error {}

    init(decoding bytes: ByteBuffer, capacity: Int) throws(Flaw) {
        var bytes = bytes
        guard bytes.readableBytes >= Self.headerSize, bytes.readInteger(as: UInt32.self) == Self.magic,
            let crc = bytes.readInteger(as: UInt32.self),
            bytes.withUnsafeReadableBytes({ CRC32C.checksum($0) }) == crc
        else { throw Flaw() }
        var reader = Reader(bytes: bytes)
        let end = try reader.index()
        let term = try reader.integer(Int32.self)
        let age = try reader.integer(Int64.self)
        let marksCount = Int(try reader.integer(UInt32.self))
        let count = Int(try reader.integer(UInt32.self))
        guard term >= 0, age >= 0, marksCount <= reader.bytes.readableBytes / Self.markSize,
            count <= reader.bytes.readableBytes / Self.producerSize
        else { throw Flaw() }
        var marks: [ProducerTable.AgeMark] = []
        for _ in 0..<marksCount {
            marks.append(.init(age: try reader.integer(Int64.self), end: try reader.index()))
        }
        var states: [Int64: ProducerState] = Dictionary(minimumCapacity: count)
        for _ in 0..<count {
            let (id, state) = try reader.producer()
            guard states.updateValue(state, forKey: id) == nil else { throw Flaw() }
        }
        guard reader.bytes.readableBytes == 0 else { throw Flaw() }
        position = LogPosition(term: Term(term), end: end)
        table = ProducerTable(capacity: capacity, states: states, age: age, marks: marks)
    }

    private struct Reader {
        var bytes: ByteBuffer

        mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(Flaw) -> Value {
            guard let value = bytes.readInteger(as: type) else { throw Flaw() }
            return value
        }

        mutating func index() throws(Flaw) -> LogIndex {
            let value = try integer(Int64.self)
            guard value >= 0 else { throw Flaw() }
            return LogIndex(value)
        }

        mutating func producer() throws(Flaw) -> (id: Int64, state: ProducerState) {
            let id = try integer(Int64.self)
            let epoch = try integer(Int16.self)
            let stored = try integer(Int64.self)
            let time = Timestamp(milliseconds: try integer(Int64.self))
            var state = ProducerState(epoch: epoch, at: try index(), timestamp: time)
            state.storedSequences = stored
            let count = Int(try integer(UInt8.self))
            guard id >= 0, epoch >= 0, (0...ProducerTable.sequenceHorizon).contains(stored),
                count <= ProducerTable.window
            else { throw Flaw() }
            for _ in 0..<count { state.batches.append(try batch()) }
            return (id, state)
        }

        mutating func batch() throws(Flaw) -> RememberedBatch {
            let sequence = try integer(Int32.self)
            let slots = try integer(Int64.self)
            let offset = try integer(Int64.self)
            let time = Timestamp(milliseconds: try integer(Int64.self))
            guard sequence >= 0, (1...(1 << 31)).contains(slots), offset >= 0 else { throw Flaw() }
            return RememberedBatch(firstSequence: sequence, slots: slots, baseOffset: Offset(offset), timestamp: time)
        }
    }
}
