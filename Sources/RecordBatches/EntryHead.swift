// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// The header of one log entry, a record batch or a marker, read from its first bytes. `BatchLayout` draws them.
///
/// Reading a head checks that its fields are possible, not that the body is intact: that is `verifyChecksum`.
public struct EntryHead: Hashable, Sendable {
    /// Bytes of a header. A marker's head is one byte longer, its kind.
    public static let size = 61
    /// The largest entry the format can express, in bytes.
    public static let maximumTotalSize = 12 + Int(Int32.max)

    public let kind: EntryKind
    /// The term whose leader wrote the entry (`partitionLeaderEpoch`). Zero in a produced batch not yet assigned.
    public private(set) var term: Term
    /// The first record's offset; of a marker the offset the next record gets.
    public private(set) var baseOffset: Offset
    /// Log slots taken: 1 for a marker, else the last offset delta plus 1.
    public let slots: Int64
    /// Records the header counts. Fewer than `slots` once compaction has been there, 0 for a marker.
    public let recordCount: RecordCount
    /// Bytes of the whole entry, header included.
    public let totalSize: Int
    public private(set) var attributes: BatchAttributes
    public let baseTimestamp: Timestamp
    public private(set) var maxTimestamp: Timestamp
    /// −1 without idempotence.
    public let producerID: Int64
    /// Without meaning, and not always −1, when there is no producer id.
    public let producerEpoch: Int16
    /// Sequence number of the first record, modulo 2³¹. Without idempotence it has no meaning and some clients write 0.
    public let baseSequence: Int32
    /// The CRC-32C as stored.
    public private(set) var crc: UInt32

    public var isMarker: Bool { kind.isMarker }
    /// The last record's offset; `nil` for a marker, which has none.
    public var lastOffset: Offset? { isMarker ? nil : Offset(baseOffset.rawValue + slots - 1) }
    /// The offset of the first record after this entry.
    public var nextOffset: Offset { isMarker ? baseOffset : Offset(baseOffset.rawValue + slots) }
    /// How the records are compressed; `nil` for an unknown number.
    public var codec: Codec? { attributes.codec }
    public var isTransactional: Bool { attributes.isTransactional }
    public var isControl: Bool { attributes.isControl }
    /// Sequence number of the last record, modulo 2³¹; −1 without idempotence (KIP-98).
    public var lastSequence: Int32 {
        producerID < 0 ? -1 : Int32((Int64(baseSequence) + slots - 1) & 0x7fff_ffff)
    }

    /// The same head after `assign(baseOffset:term:)` has patched the bytes.
    public func assigned(baseOffset: Offset, term: Term) -> EntryHead {
        var head = self
        head.baseOffset = baseOffset
        head.term = term
        return head
    }

    func stamped(attributes: BatchAttributes, maxTimestamp: Timestamp, crc: UInt32) -> EntryHead {
        var head = self
        head.attributes = attributes
        head.maxTimestamp = maxTimestamp
        head.crc = crc
        return head
    }

    /// Reads the head of the entry that `bytes` begins with. More bytes may follow; fewer than `totalSize` are fine.
    ///
    /// - Throws: `.truncated` below 61 bytes (62 for a marker); another reason when the bytes cannot be an entry.
    public static func parse(_ bytes: UnsafeRawBufferPointer) throws(BatchError) -> EntryHead {
        let raw = try RawHead(bytes)
        guard raw.term >= 0 else { throw BatchError(.badHeader("a stored entry has a term")) }
        guard raw.baseOffset >= 0, raw.baseOffset <= Int64.max - (1 << 32) else {
            throw BatchError(.badHeader("base offset out of range"))
        }
        let isMarker = raw.attributes == .marker
        guard isMarker else {
            guard raw.attributes.rawValue & 0x4000 == 0 else {
                throw BatchError(.badHeader("marker bit in a record batch"))
            }
            guard raw.lastOffsetDelta >= 0, raw.recordCount >= 0,
                Int64(raw.recordCount) <= Int64(raw.lastOffsetDelta) + 1
            else {
                throw BatchError(
                    .badRecordCount(count: raw.recordCount, lastOffsetDelta: raw.lastOffsetDelta))
            }
            return EntryHead(raw, kind: .records, slots: Int64(raw.lastOffsetDelta) + 1)
        }
        guard raw.lastOffsetDelta == -1, raw.recordCount == 0, raw.totalSize > size else {
            throw BatchError(.badHeader("a marker without a kind, or with records"))
        }
        guard bytes.count > BatchLayout.markerKind else {
            throw BatchError(.truncated(needed: BatchLayout.markerKind + 1, available: bytes.count))
        }
        let kind = EntryKind(rawValue: bytes[BatchLayout.markerKind])
        guard kind.isMarker else { throw BatchError(.badHeader("a marker of the kind records")) }
        return EntryHead(raw, kind: kind, slots: 1)
    }

    /// Reads the head of the entry at the absolute index `index` of `buffer`, or at its reader index.
    public static func parse(_ buffer: ByteBuffer, at index: Int? = nil) throws(BatchError) -> EntryHead {
        let skipped = try readableSkip(buffer, index)
        return try buffer.withUnsafeReadableBytes { (bytes) throws(BatchError) in
            try parse(UnsafeRawBufferPointer(rebasing: bytes[skipped...]))
        }
    }

    init(_ raw: RawHead, kind: EntryKind, slots: Int64) {
        self.kind = kind
        self.slots = slots
        term = Term(max(0, raw.term))
        baseOffset = Offset(max(0, raw.baseOffset))
        recordCount = RecordCount(Int64(max(0, raw.recordCount)))
        totalSize = raw.totalSize
        attributes = raw.attributes
        baseTimestamp = Timestamp(milliseconds: raw.baseTimestamp)
        maxTimestamp = Timestamp(milliseconds: raw.maxTimestamp)
        producerID = raw.producerID
        producerEpoch = raw.producerEpoch
        baseSequence = raw.baseSequence
        crc = raw.crc
    }

    /// How many readable bytes lie before the absolute `index`, checked.
    static func readableSkip(_ buffer: ByteBuffer, _ index: Int?) throws(BatchError) -> Int {
        let index = index ?? buffer.readerIndex
        guard index >= buffer.readerIndex, index <= buffer.writerIndex else {
            throw BatchError(.truncated(needed: size, available: 0))
        }
        return index - buffer.readerIndex
    }
}

/// The header's fields as they stand, before anything but the frame is judged.
struct RawHead {
    let baseOffset: Int64
    let totalSize: Int
    let term: Int32
    let crc: UInt32
    let attributes: BatchAttributes
    let lastOffsetDelta: Int32
    let baseTimestamp: Int64
    let maxTimestamp: Int64
    let producerID: Int64
    let producerEpoch: Int16
    let baseSequence: Int32
    let recordCount: Int32

    init(_ bytes: UnsafeRawBufferPointer) throws(BatchError) {
        // Formats 0 and 1 have the magic byte in the same place, so it is judged before the length.
        guard bytes.count > BatchLayout.magic else {
            throw BatchError(.truncated(needed: BatchLayout.headerSize, available: bytes.count))
        }
        let magic: Int8 = bytes.bigEndian(at: BatchLayout.magic)
        guard magic == 2 else { throw BatchError(.badMagic(magic)) }
        let length = Int(bytes.bigEndian(at: BatchLayout.batchLength, as: Int32.self))
        guard length >= BatchLayout.headerSize - BatchLayout.lengthPrefix else {
            throw BatchError(.badLength(length))
        }
        guard bytes.count >= BatchLayout.headerSize else {
            throw BatchError(.truncated(needed: BatchLayout.headerSize, available: bytes.count))
        }
        totalSize = length + BatchLayout.lengthPrefix
        baseOffset = bytes.bigEndian(at: BatchLayout.baseOffset)
        term = bytes.bigEndian(at: BatchLayout.term)
        crc = bytes.bigEndian(at: BatchLayout.checksum)
        attributes = BatchAttributes(rawValue: bytes.bigEndian(at: BatchLayout.attributes))
        lastOffsetDelta = bytes.bigEndian(at: BatchLayout.lastOffsetDelta)
        baseTimestamp = bytes.bigEndian(at: BatchLayout.baseTimestamp)
        maxTimestamp = bytes.bigEndian(at: BatchLayout.maxTimestamp)
        producerID = bytes.bigEndian(at: BatchLayout.producerID)
        producerEpoch = bytes.bigEndian(at: BatchLayout.producerEpoch)
        baseSequence = bytes.bigEndian(at: BatchLayout.baseSequence)
        recordCount = bytes.bigEndian(at: BatchLayout.recordCount)
    }
}
