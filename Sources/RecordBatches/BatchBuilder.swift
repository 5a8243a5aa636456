// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// Who produced a batch, with idempotence on (KIP-98).
public struct ProducerStamp: Hashable, Sendable {
    public var id: Int64
    public var epoch: Int16
    /// Sequence number of the batch's first record.
    public var baseSequence: Int32

    public init(id: Int64, epoch: Int16, baseSequence: Int32) {
        self.id = id
        self.epoch = epoch
        self.baseSequence = baseSequence
    }
}

extension ProducerStamp {
    /// Puts the stamp into a finished batch, and its checksum anew.
    ///
    /// - Complexity: O(*n*) in the batch's bytes, for the checksum.
    /// - Precondition: `batch` is exactly one batch, as `BatchBuilder` gives it.
    public func put(into batch: inout ByteBuffer) {
        precondition(batch.readableBytes >= EntryHead.size, "a batch has a header")
        let start = batch.readerIndex
        batch.setInteger(id, at: start + BatchLayout.producerID)
        batch.setInteger(epoch, at: start + BatchLayout.producerEpoch)
        batch.setInteger(baseSequence, at: start + BatchLayout.baseSequence)
        HeaderFields.seal(&batch)
    }
}

/// Collects records and writes them as one batch with base offset 0, as a producer sends it.
public struct BatchBuilder: Sendable {
    /// How many records have been appended.
    public private(set) var count = 0
    private var buffer: ByteBuffer
    private var baseTimestamp: Int64 = 0
    private var maxTimestamp: Int64 = 0

    /// - Parameter capacity: bytes set aside at once; the builder grows beyond them.
    public init(reservingCapacity capacity: Int = 1024) {
        buffer = ByteBufferAllocator().buffer(capacity: max(capacity, EntryHead.size))
        buffer.writeRepeatingByte(0, count: EntryHead.size)
    }

    public var isEmpty: Bool { count == 0 }
    /// What the batch takes without compression, in bytes; about an upper bound with it.
    public var size: Int { buffer.readableBytes }

    /// The most bytes that a record can add to `size`.
    public static func maximumSize(key: Int, value: Int, headers: [RecordHeader] = []) -> Int {
        var size = 5 + 1 + 10 + 5 + 5 + key + 5 + value + 5
        for header in headers { size += 10 + header.key.utf8.count + (header.value?.readableBytes ?? 0) }
        return size
    }

    /// Appends a record.
    ///
    /// - Precondition: the batch stays below 2³¹ bytes, and all timestamps lie within ±2⁶² ms.
    public mutating func append(
        key: ByteBuffer?, value: ByteBuffer?, headers: [RecordHeader] = [], timestamp: Timestamp
    ) {
        let time = timestamp.milliseconds
        precondition(time.magnitude <= 1 << 62, "a timestamp beyond any calendar")
        if count == 0 {
            baseTimestamp = time
            maxTimestamp = time
        }
        maxTimestamp = max(maxTimestamp, time)
        let timestampDelta = time - baseTimestamp
        let offsetDelta = Int64(count)

        var length = 1 + Varint.size(timestampDelta) + Varint.size(offsetDelta)
        length += Varint.fieldSize(key?.readableBytes) + Varint.fieldSize(value?.readableBytes)
        length += Varint.size(Int64(headers.count))
        for header in headers {
            length += Varint.fieldSize(header.key.utf8.count) + Varint.fieldSize(header.value?.readableBytes)
        }
        precondition(size + length + 5 <= EntryHead.maximumTotalSize, "larger than a batch can be")

        let whole = Varint.size(Int64(length)) + length
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: whole) { space in
            var writer = RecordWriter(space: space)
            writer.varint(Int64(length))
            writer.byte(0)
            writer.varint(timestampDelta)
            writer.varint(offsetDelta)
            writer.field(key)
            writer.field(value)
            writer.varint(Int64(headers.count))
            for header in headers {
                writer.text(header.key)
                writer.field(header.value)
            }
            precondition(writer.written == whole, "a record is as long as it was computed to be")
            return whole
        }
        count += 1
    }

    /// The batch, checksum included. The builder is empty afterwards and can be used again.
    ///
    /// Compressed records that come out larger than they went in are kept uncompressed.
    /// - Parameters:
    ///   - level: of the codec, `nil` for its default; see `Codec.levels`.
    ///   - producer: set with idempotence.
    /// - Precondition: at least one record; a transactional batch has a producer.
    public mutating func finish(
        codec: Codec = .none, level: Int? = nil, producer: ProducerStamp? = nil, isTransactional: Bool = false
    ) throws(CompressionError) -> ByteBuffer {
        precondition(count > 0, "a batch has records")
        precondition(!isTransactional || producer != nil, "a transaction has a producer")
        var packed: ByteBuffer?
        if codec != .none {
            packed = try buffer.withUnsafeReadableBytes { (bytes) throws(CompressionError) in
                try codec.compress(
                    bytes.slice(EntryHead.size..<bytes.count), level: level, reservingHeader: EntryHead.size)
            }
        }
        if let size = packed?.readableBytes, size >= buffer.readableBytes { packed = nil }
        let used = packed == nil ? Codec.none : codec
        let finished = self
        // The builder lets go of its bytes first, so that writing the header into them copies nothing.
        self = BatchBuilder(reservingCapacity: EntryHead.size)
        return finished.seal(
            packed, codec: used, producer: producer, isTransactional: isTransactional)
    }

    private consuming func seal(
        _ packed: consuming ByteBuffer?, codec used: Codec, producer: ProducerStamp?, isTransactional: Bool
    ) -> ByteBuffer {
        var batch = packed ?? buffer
        buffer = ByteBuffer()
        let transactional = isTransactional ? BatchAttributes.transactionalBit : 0
        let fields = HeaderFields(
            attributes: BatchAttributes(rawValue: UInt16(used.rawValue) | transactional),
            lastOffsetDelta: Int32(count - 1), baseTimestamp: baseTimestamp, maxTimestamp: maxTimestamp,
            producerID: producer?.id ?? -1, producerEpoch: producer?.epoch ?? -1,
            baseSequence: producer?.baseSequence ?? -1, recordCount: Int32(count))
        fields.complete(&batch)
        return batch
    }
}

/// How long zigzag varints are.
enum Varint {
    static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }

    static func size(_ value: Int64) -> Int { (64 - (zigzag(value) | 1).leadingZeroBitCount + 6) / 7 }

    /// What a length and its bytes take; `nil` is the length −1.
    static func fieldSize(_ length: Int?) -> Int {
        guard let length else { return 1 }
        return size(Int64(length)) + length
    }
}

/// Writes a record's fields into space that is known to be large enough; it is checked all the same.
private struct RecordWriter {
    let space: UnsafeMutableRawBufferPointer
    private(set) var written = 0

    init(space: UnsafeMutableRawBufferPointer) { self.space = space }

    mutating func byte(_ value: UInt8) {
        precondition(written < space.count, "a record within its space")
        space[written] = value
        written += 1
    }

    mutating func varint(_ value: Int64) {
        var zigzag = Varint.zigzag(value)
        while zigzag >= 0x80 {
            byte(UInt8(truncatingIfNeeded: zigzag) | 0x80)
            zigzag >>= 7
        }
        byte(UInt8(zigzag))
    }

    mutating func bytes(_ source: UnsafeRawBufferPointer) {
        precondition(source.count <= space.count - written, "a record within its space")
        UnsafeMutableRawBufferPointer(rebasing: space[written..<written + source.count]).copyMemory(from: source)
        written += source.count
    }

    mutating func field(_ field: ByteBuffer?) {
        guard let field else { return varint(-1) }
        varint(Int64(field.readableBytes))
        field.withUnsafeReadableBytes { bytes($0) }
    }

    mutating func text(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            varint(Int64(utf8.count))
            bytes(UnsafeRawBufferPointer(utf8))
        }
    }
}
