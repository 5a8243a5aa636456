// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// What compaction leaves in the place of batches of which no record is left: a batch header without records.
///
///     before   [a 3 slots][b 5 slots][c 2 slots]        after   [──── hole, 8 slots ────][c 2 slots]
///
/// It keeps the slots, and with them every later index and offset in its place. Kafka keeps empty batches too, for the
/// sake of producers' sequence numbers, so consumers know how to pass over one.
public enum HoleEntry {
    /// The most slots that one hole can stand for.
    public static let maximumSlots = Int64(Int32.max)

    /// A whole hole, checksum included.
    ///
    /// - Precondition: `slots` is within 1 to `maximumSlots`.
    public static func encode(baseOffset: Offset, slots: Int64, term: Term) -> ByteBuffer {
        precondition((1...maximumSlots).contains(slots), "a hole takes at least one slot, and no more than fit")
        return encode(
            HeaderFields(
                baseOffset: baseOffset.rawValue, term: term.rawValue, attributes: BatchAttributes(rawValue: 0),
                lastOffsetDelta: Int32(slots - 1), baseTimestamp: -1, maxTimestamp: -1, recordCount: 0))
    }

    /// What stays of a batch without records whose producer's last sequence number it carries (KIP-98): its header.
    ///
    /// - Precondition: `head` is that of a batch, not a marker.
    public static func emptied(_ head: EntryHead) -> ByteBuffer {
        precondition(!head.isMarker, "a marker has no records to lose")
        let kept = BatchAttributes.logAppendTimeBit | BatchAttributes.transactionalBit | BatchAttributes.controlBit
        return encode(
            HeaderFields(
                baseOffset: head.baseOffset.rawValue, term: head.term.rawValue,
                attributes: BatchAttributes(rawValue: head.attributes.rawValue & kept),
                lastOffsetDelta: Int32(head.slots - 1), baseTimestamp: -1,
                maxTimestamp: head.maxTimestamp.milliseconds, producerID: head.producerID,
                producerEpoch: head.producerEpoch, baseSequence: head.baseSequence, recordCount: 0))
    }

    private static func encode(_ fields: HeaderFields) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: EntryHead.size)
        fields.write(totalSize: EntryHead.size, to: &buffer)
        HeaderFields.seal(&buffer)
        return buffer
    }
}

extension EntryHead {
    /// Whether this is a hole, which may have swallowed several batches: an entry may have begun at any slot of it.
    public var isHole: Bool { !isMarker && recordCount.rawValue == 0 && producerID < 0 }

    /// The part of a hole from `skipped` slots on.
    ///
    /// - Precondition: the head is a hole's and `skipped` lies within it.
    public func restOfHole(skipping skipped: Int64) -> ByteBuffer {
        precondition(isHole && skipped >= 0 && skipped < slots, "a place within a hole")
        return HoleEntry.encode(
            baseOffset: Offset(baseOffset.rawValue + skipped), slots: slots - skipped, term: term)
    }
}
