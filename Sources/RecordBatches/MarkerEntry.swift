// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// Private log entries that take a slot but no Kafka offset: elections, membership, and whatever comes later.
public enum MarkerEntry {
    /// The largest payload a marker may carry, in bytes.
    public static let maximumPayload = 64 << 20

    /// A whole marker, checksum included.
    ///
    /// - Parameter nextOffset: the offset that the first record after the marker gets.
    /// - Precondition: `kind` is a marker and the payload is within `maximumPayload`.
    public static func encode(
        kind: EntryKind, term: Term, nextOffset: Offset, timestamp: Timestamp, payload: ByteBuffer = ByteBuffer()
    ) -> ByteBuffer {
        precondition(kind.isMarker, "records are written by BatchBuilder")
        precondition(payload.readableBytes <= maximumPayload, "marker payload too large")
        let total = EntryHead.size + 1 + payload.readableBytes
        var buffer = ByteBufferAllocator().buffer(capacity: total)
        let fields = HeaderFields(
            baseOffset: nextOffset.rawValue, term: term.rawValue, attributes: .marker, lastOffsetDelta: -1,
            baseTimestamp: timestamp.milliseconds, maxTimestamp: timestamp.milliseconds, recordCount: 0)
        fields.write(totalSize: total, to: &buffer)
        buffer.writeInteger(kind.rawValue)
        buffer.writeImmutableBuffer(payload)
        HeaderFields.seal(&buffer)
        return buffer
    }

    /// What the marker at the absolute index `index` of `buffer` carries: a slice, not a copy.
    ///
    /// - Throws: when no whole marker is there. The checksum is the caller's business.
    public static func payload(of buffer: ByteBuffer, at index: Int? = nil) throws(BatchError) -> ByteBuffer {
        let head = try EntryHead.parse(buffer, at: index)
        guard head.isMarker else { throw BatchError(.badHeader("a record batch is no marker")) }
        let index = index ?? buffer.readerIndex
        let length = head.totalSize - EntryHead.size - 1
        guard let slice = buffer.getSlice(at: index + EntryHead.size + 1, length: length) else {
            throw BatchError(.truncated(needed: head.totalSize, available: buffer.writerIndex - index))
        }
        return slice
    }
}

/// What a header says, to be written.
struct HeaderFields {
    var baseOffset: Int64 = 0
    var term: Int32 = -1
    var attributes: BatchAttributes
    var lastOffsetDelta: Int32
    var baseTimestamp: Int64
    var maxTimestamp: Int64
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1
    var baseSequence: Int32 = -1
    var recordCount: Int32

    /// Appends the 61 bytes with a zero checksum, for `seal` to fill in.
    func write(totalSize: Int, to buffer: inout ByteBuffer) {
        precondition(totalSize <= EntryHead.maximumTotalSize, "larger than the format can express")
        buffer.writeInteger(baseOffset)
        buffer.writeInteger(Int32(totalSize - BatchLayout.lengthPrefix))
        buffer.writeInteger(term)
        buffer.writeInteger(2 as Int8)
        buffer.writeInteger(0 as UInt32)
        buffer.writeInteger(attributes.rawValue)
        buffer.writeInteger(lastOffsetDelta)
        buffer.writeInteger(baseTimestamp)
        buffer.writeInteger(maxTimestamp)
        buffer.writeInteger(producerID)
        buffer.writeInteger(producerEpoch)
        buffer.writeInteger(baseSequence)
        buffer.writeInteger(recordCount)
    }

    /// Writes the header into the space that `batch` keeps for it in front of its records, then the checksum.
    func complete(_ batch: inout ByteBuffer) {
        let end = batch.writerIndex
        batch.moveWriterIndex(to: batch.readerIndex)
        write(totalSize: end - batch.readerIndex, to: &batch)
        batch.moveWriterIndex(to: end)
        Self.seal(&batch)
    }

    /// Writes the checksum of the one entry that fills the readable bytes of `buffer`.
    static func seal(_ buffer: inout ByteBuffer) {
        let crc = buffer.withUnsafeReadableBytes { CRC32C.checksum($0.slice(BatchLayout.checked..<$0.count)) }
        buffer.setInteger(crc, at: buffer.readerIndex + BatchLayout.checksum)
    }
}
