// SPDX-License-Identifier: Apache-2.0

import LogModel
public import NIOCore

/// What a topic accepts from producers.
public struct BatchLimits: Hashable, Sendable {
    /// How far a batch is looked into.
    public enum Depth: Hashable, Sendable {
        /// The header and the checksum.
        case header
        /// Also every record of an uncompressed batch.
        case uncompressed
        /// Also every record of a compressed batch, unpacked into at most so many bytes.
        case all(unpackedLimit: Int)
    }

    /// The largest batch as sent, header included, in bytes (`max.message.bytes`).
    public var maximumSize: Int
    /// The times a record may carry, in milliseconds since 1970. −1, "no time", is always accepted.
    public var timestamps: ClosedRange<Int64>
    /// Whether zstd may be used: not before Produce version 7 (KIP-110).
    public var allowsZstd: Bool
    public var depth: Depth
    /// Whether a record without a key is refused, as a compacted topic has it. `depth` must reach the records.
    public var requiresKeys: Bool

    /// Up to the end of the year 9999, which keeps nanoseconds sent by mistake, and overflow, out of the log.
    public static let sensibleTimestamps: ClosedRange<Int64> = 0...253_402_300_799_999

    public init(
        maximumSize: Int, timestamps: ClosedRange<Int64> = sensibleTimestamps, allowsZstd: Bool = true,
        depth: Depth = .uncompressed, requiresKeys: Bool = false
    ) {
        self.maximumSize = maximumSize
        self.timestamps = timestamps
        self.allowsZstd = allowsZstd
        self.depth = depth
        self.requiresKeys = requiresKeys
    }
}

/// Judges what a client produced before any of it reaches a log.
///
/// The rules are Kafka's (`ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`, `LogValidator`),
/// and so is the choice of errors, made stricter where Kafka's leniency only helps an attacker: reserved attribute
/// bits, the delete-horizon bit, record attributes and padded varints are refused.
public enum BatchValidator {
    /// The smallest record: seven fields of one byte.
    private static let smallestRecord = 7

    /// Checks the records of one partition in a Produce request of version 3 or later.
    ///
    /// - Returns: the head of the one batch, with term zero until `EntryHead.assign` gives it one.
    /// - Complexity: O(*n*) in the bytes; allocates only to unpack.
    public static func validate(
        produced buffer: ByteBuffer, limits: BatchLimits
    ) throws(BatchError) -> [EntryHead] {
        [
            try buffer.withUnsafeReadableBytes { (bytes) throws(BatchError) in
                try validate(produced: bytes, limits: limits)
            }
        ]
    }

    /// The same for raw bytes.
    public static func validate(
        produced bytes: UnsafeRawBufferPointer, limits: BatchLimits
    ) throws(BatchError) -> EntryHead {
        let raw = try checkedHead(bytes, limits)
        let codec = try acceptedCodec(raw, limits)
        try checkRecords(bytes.slice(EntryHead.size..<raw.totalSize), raw, codec, limits)
        return EntryHead(raw, kind: .records, slots: Int64(raw.lastOffsetDelta) + 1)
    }

    /// The header of the one whole batch that `bytes` are, its checksum compared.
    static func checkedHead(_ bytes: UnsafeRawBufferPointer, _ limits: BatchLimits) throws(BatchError) -> RawHead {
        guard bytes.count > 0 else { throw BatchError(.noBatch) }
        let raw = try RawHead(bytes)
        guard raw.totalSize <= limits.maximumSize else {
            throw BatchError(.batchTooLarge(size: raw.totalSize, limit: limits.maximumSize))
        }
        guard raw.totalSize <= bytes.count else {
            throw BatchError(.truncated(needed: raw.totalSize, available: bytes.count))
        }
        guard raw.totalSize == bytes.count else {
            throw BatchError(.severalBatches(extraBytes: bytes.count - raw.totalSize))
        }
        let computed = CRC32C.checksum(bytes.slice(BatchLayout.checked..<raw.totalSize))
        guard computed == raw.crc else {
            throw BatchError(.checksumMismatch(stored: raw.crc, computed: computed))
        }
        try checkHeader(raw, limits)
        return raw
    }

    private static func checkHeader(_ raw: RawHead, _ limits: BatchLimits) throws(BatchError) {
        guard raw.baseOffset == 0 else { throw BatchError(.nonZeroBaseOffset(raw.baseOffset)) }
        guard raw.recordCount > 0, Int64(raw.recordCount) == Int64(raw.lastOffsetDelta) + 1 else {
            throw BatchError(.badRecordCount(count: raw.recordCount, lastOffsetDelta: raw.lastOffsetDelta))
        }
        guard !raw.attributes.hasReservedBits, !raw.attributes.hasDeleteHorizon else {
            throw BatchError(.reservedAttributes(raw.attributes.rawValue))
        }
        guard !raw.attributes.isControl else { throw BatchError(.controlBatch) }
        guard !raw.attributes.isLogAppendTime else { throw BatchError(.appendTimeFromClient) }
        // The maximum is checked as a value only: some clients do not keep it in step with their records.
        for time in [raw.baseTimestamp, raw.maxTimestamp] {
            guard time == -1 || limits.timestamps.contains(time) else { throw BatchError(.badTimestamp(time)) }
        }
        // Without a producer id the other two mean nothing, and Sarama sends a sequence of 0 there.
        let hasProducer = raw.producerID >= 0
        let fieldsFit = hasProducer ? raw.producerEpoch >= 0 && raw.baseSequence >= 0 : raw.producerID == -1
        guard fieldsFit, hasProducer || !raw.attributes.isTransactional else {
            throw BatchError(
                .inconsistentProducer(id: raw.producerID, epoch: raw.producerEpoch, sequence: raw.baseSequence))
        }
    }

    static func acceptedCodec(_ raw: RawHead, _ limits: BatchLimits) throws(BatchError) -> Codec {
        guard let codec = raw.attributes.codec, codec != .zstd || limits.allowsZstd else {
            throw BatchError(.refusedCodec(UInt8(raw.attributes.rawValue & 7)))
        }
        return codec
    }

    private static func checkRecords(
        _ section: UnsafeRawBufferPointer, _ raw: RawHead, _ codec: Codec, _ limits: BatchLimits
    ) throws(BatchError) {
        try checkCount(raw, codec, packedSize: section.count)
        if codec == .none {
            if limits.depth != .header { try walk(section, raw, limits) }
        } else if case .all(let unpackedLimit) = limits.depth {
            try withUnpacked(section, codec, limit: unpackedLimit) { (bytes) throws(BatchError) in
                _ = try walk(bytes, raw, limits)
            }
        }
    }

    /// Every record takes an offset, so a count that cannot be true must not be believed unread.
    static func checkCount(_ raw: RawHead, _ codec: Codec, packedSize: Int) throws(BatchError) {
        guard Int(raw.recordCount) <= packedSize * codec.highestRatio / smallestRecord else {
            throw BatchError(.badRecordCount(count: raw.recordCount, lastOffsetDelta: raw.lastOffsetDelta))
        }
    }

    static func withUnpacked<Answer>(
        _ section: UnsafeRawBufferPointer, _ codec: Codec, limit: Int,
        _ body: (UnsafeRawBufferPointer) throws(BatchError) -> Answer
    ) throws(BatchError) -> Answer {
        guard codec != .none else { return try body(section) }
        let unpacked: ByteBuffer
        do throws(CompressionError) {
            unpacked = try codec.decompress(section, limit: limit)
        } catch {
            throw BatchError(.compression(error))
        }
        return try unpacked.withUnsafeReadableBytes { (bytes) throws(BatchError) in try body(bytes) }
    }

    /// Walks every record: offsets 0…n−1 in order, sizes within, headers whole, times within bounds, nothing left over.
    ///
    /// - Returns: the greatest time of a record.
    @discardableResult
    static func walk(
        _ section: UnsafeRawBufferPointer, _ raw: RawHead, _ limits: BatchLimits
    ) throws(BatchError) -> Int64 {
        let bounds = limits.timestamps
        var greatest = Int64.min
        var position = 0
        for index in 0..<Int(raw.recordCount) {
            let view: RecordView
            do throws(RecordFault) {
                view = try RecordReader.read(section, at: position)
            } catch {
                throw BatchError(.badRecord(index: index, error.text))
            }
            guard Int(view.offsetDelta) == index else {
                throw BatchError(.badRecord(index: index, "an offset out of order"))
            }
            guard view.attributes == 0 else {
                throw BatchError(.badRecord(index: index, "attributes, which have no meaning here"))
            }
            let (time, overflow) = raw.baseTimestamp.addingReportingOverflow(view.timestampDelta)
            guard !overflow, time == -1 || bounds.contains(time) else { throw BatchError(.badTimestamp(time)) }
            guard view.key != nil || !limits.requiresKeys else {
                throw BatchError(.badRecord(index: index, "no key, in a compacted topic"))
            }
            greatest = max(greatest, time)
            position = view.range.upperBound
        }
        guard position == section.count else {
            throw BatchError(.badRecord(index: Int(raw.recordCount), "bytes after the last record"))
        }
        return greatest
    }
}
