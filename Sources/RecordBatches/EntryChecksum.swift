// SPDX-License-Identifier: Apache-2.0

import CCRC32C
public import LogModel
public import NIOCore

/// CRC-32C (Castagnoli), as batches carry it.
public enum CRC32C {
    /// The checksum of `bytes`, continuing from `seed`, the checksum of what came before them.
    ///
    /// - Complexity: O(*n*); near the speed of memory where the processor has the instruction.
    public static func checksum(_ bytes: UnsafeRawBufferPointer, continuing seed: UInt32 = 0) -> UInt32 {
        godwit_crc32c(seed, bytes.baseAddress, bytes.count)
    }
}

extension EntryHead {
    /// Checks the checksum of the whole entry that `bytes` begins with.
    ///
    /// - Throws: `.truncated` when `bytes` does not hold all of the entry, `.checksumMismatch` when it is damaged.
    /// - Complexity: O(*n*) in the entry's bytes.
    public func verifyChecksum(_ bytes: UnsafeRawBufferPointer) throws(BatchError) {
        guard bytes.count >= totalSize else {
            throw BatchError(.truncated(needed: totalSize, available: bytes.count))
        }
        let computed = CRC32C.checksum(bytes.slice(BatchLayout.checked..<totalSize))
        guard computed == crc else { throw BatchError(.checksumMismatch(stored: crc, computed: computed)) }
    }

    /// The same for the entry at the absolute index `index` of `buffer`, or at its reader index.
    public func verifyChecksum(_ buffer: ByteBuffer, at index: Int? = nil) throws(BatchError) {
        let skipped = try Self.readableSkip(buffer, index)
        try buffer.withUnsafeReadableBytes { (bytes) throws(BatchError) in
            try verifyChecksum(UnsafeRawBufferPointer(rebasing: bytes[skipped...]))
        }
    }

    /// Gives the entry at the absolute index `index` its place in the log: two header fields, both outside the CRC.
    ///
    /// - Precondition: a whole header is readable at `index`.
    /// - Complexity: O(1), unless `buffer` shares its storage: then NIO copies it first.
    public static func assign(baseOffset: Offset, term: Term, in buffer: inout ByteBuffer, at index: Int? = nil) {
        let index = index ?? buffer.readerIndex
        precondition(index >= buffer.readerIndex && index + size <= buffer.writerIndex, "no whole header there")
        buffer.setInteger(baseOffset.rawValue, at: index + BatchLayout.baseOffset)
        buffer.setInteger(term.rawValue, at: index + BatchLayout.term)
    }

    /// Stamps the batch at `index` with the time of its append (`message.timestamp.type=LogAppendTime`) and
    /// renews its checksum. Gives the head as it then is.
    ///
    /// - Precondition: `self` is the head of a whole batch, not a marker, that is readable at `index`.
    /// - Complexity: O(*n*) in the entry's bytes.
    public func stampAppendTime(
        _ time: Timestamp, in buffer: inout ByteBuffer, at index: Int? = nil
    ) -> EntryHead {
        let bits = BatchAttributes(rawValue: attributes.rawValue | BatchAttributes.logAppendTimeBit)
        return rewrite(bits, maxTimestamp: time, in: &buffer, at: index)
    }

    /// Whether `maxTimestamp` is certainly wrong: below that of the first record.
    ///
    /// Sarama leaves it at −1. Kafka's broker corrects it on append, and so must whoever keeps a time index.
    public var needsMaxTimestamp: Bool {
        !isMarker && !attributes.hasDeleteHorizon && maxTimestamp < baseTimestamp
    }

    /// Sets `maxTimestamp` to the greatest timestamp of the records and renews the checksum. Gives the new head.
    ///
    /// - Parameter unpackedLimit: the most bytes a compressed batch may unpack to.
    /// - Precondition: `self` is the head of a whole batch, not a marker, that is readable at `index`.
    /// - Throws: when the records cannot be unpacked or read; the bytes are then untouched.
    /// - Complexity: O(*n*) in the unpacked bytes.
    public func settingMaxTimestamp(
        in buffer: inout ByteBuffer, at index: Int? = nil, unpackedLimit: Int
    ) throws(BatchError) -> EntryHead {
        var records = try BatchRecords(
            of: buffer, head: self, at: index ?? buffer.readerIndex, limit: unpackedLimit)
        var greatest = baseTimestamp
        while let record = try records.next() { greatest = max(greatest, record.timestamp) }
        return rewrite(attributes, maxTimestamp: greatest, in: &buffer, at: index)
    }

    private func rewrite(
        _ attributes: BatchAttributes, maxTimestamp: Timestamp, in buffer: inout ByteBuffer, at index: Int?
    ) -> EntryHead {
        let index = index ?? buffer.readerIndex
        precondition(index >= buffer.readerIndex && index + totalSize <= buffer.writerIndex, "no whole entry there")
        precondition(!isMarker, "a marker keeps its time")
        buffer.setInteger(attributes.rawValue, at: index + BatchLayout.attributes)
        buffer.setInteger(maxTimestamp.milliseconds, at: index + BatchLayout.maxTimestamp)
        let skipped = index - buffer.readerIndex
        let crc = buffer.withUnsafeReadableBytes { bytes in
            CRC32C.checksum(bytes.slice(skipped + BatchLayout.checked..<skipped + totalSize))
        }
        buffer.setInteger(crc, at: index + BatchLayout.checksum)
        return stamped(attributes: attributes, maxTimestamp: maxTimestamp, crc: crc)
    }
}
