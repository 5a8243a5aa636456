// SPDX-License-Identifier: Apache-2.0

import LogModel
public import NIOCore

extension BatchValidator {
    /// The codec that a produced batch says it has; `nil` when there is no header, or a number without a meaning.
    /// Nothing else of it has been judged.
    public static func declaredCodec(of batch: ByteBuffer) -> Codec? {
        guard batch.readableBytes >= BatchLayout.headerSize else { return nil }
        let at = batch.readerIndex + BatchLayout.attributes
        return batch.getInteger(at: at, as: UInt16.self).flatMap { BatchAttributes(rawValue: $0).codec }
    }

    /// Checks a batch down to its records, and packs them anew: what a topic with a `compression.type` of its own
    /// stores. The records stay as they are, byte for byte, and so does the header but for its size, codec, checksum
    /// and greatest time, which is made true.
    ///
    /// As Kafka does, the packed records are kept even if they are larger than the plain ones, and what comes out
    /// must keep to the size limit too (`UnifiedLog.append`).
    /// - Parameters:
    ///   - limits: as for `validate`; the records are read whatever the depth is.
    ///   - unpackedLimit: the most bytes that the records may unpack to.
    ///   - codec: what the records are packed with, `.none` for not at all.
    ///   - level: of the codec, `nil` for its default; see `Codec.levels`.
    /// - Returns: the batch and its head, with term zero until `EntryHead.assign` gives it one.
    /// - Complexity: O(*n*) in the unpacked bytes.
    public static func repack(
        produced batch: ByteBuffer, limits: BatchLimits, unpackedLimit: Int, codec: Codec, level: Int?
    ) throws(BatchError) -> (batch: ByteBuffer, head: EntryHead) {
        try batch.withUnsafeReadableBytes { (bytes) throws(BatchError) in
            let raw = try checkedHead(bytes, limits)
            let sent = try acceptedCodec(raw, limits)
            let section = bytes.slice(EntryHead.size..<raw.totalSize)
            try checkCount(raw, sent, packedSize: section.count)
            let (packed, maxTimestamp) = try withUnpacked(section, sent, limit: unpackedLimit) {
                (records) throws(BatchError) -> (ByteBuffer, Int64) in
                let greatest = try walk(records, raw, limits)
                do throws(CompressionError) {
                    let packed = try codec.compress(records, level: level, reservingHeader: EntryHead.size)
                    return (packed, greatest)
                } catch {
                    throw BatchError(.compression(error))
                }
            }
            guard packed.readableBytes <= min(limits.maximumSize, EntryHead.maximumTotalSize) else {
                throw BatchError(.batchTooLarge(size: packed.readableBytes, limit: limits.maximumSize))
            }
            let whole = seal(packed, raw, codec, maxTimestamp: maxTimestamp)
            let head = try whole.withUnsafeReadableBytes { (bytes) throws(BatchError) in try RawHead(bytes) }
            return (whole, EntryHead(head, kind: .records, slots: Int64(raw.lastOffsetDelta) + 1))
        }
    }

    private static func seal(
        _ packed: consuming ByteBuffer, _ raw: RawHead, _ codec: Codec, maxTimestamp: Int64
    ) -> ByteBuffer {
        var batch = packed
        let fields = HeaderFields(
            attributes: BatchAttributes(
                rawValue: raw.attributes.rawValue & ~BatchAttributes.codecBits | UInt16(codec.rawValue)),
            lastOffsetDelta: raw.lastOffsetDelta, baseTimestamp: raw.baseTimestamp, maxTimestamp: maxTimestamp,
            producerID: raw.producerID, producerEpoch: raw.producerEpoch, baseSequence: raw.baseSequence,
            recordCount: raw.recordCount)
        fields.complete(&batch)
        return batch
    }
}
