// SPDX-License-Identifier: Apache-2.0

import LogModel
public import NIOCore

/// Writes batches anew without some of their records, as compaction does.
///
/// What is left keeps its place: base offset, last offset delta, producer fields and term stay, and so do the offsets
/// of the records. Records are copied as they are; only when a delete horizon is set (KIP-534) are their timestamps
/// written anew, because they count from the base timestamp, in whose place the horizon is kept.
public struct BatchFilter: Sendable {
    /// What became of a batch.
    public enum Outcome: Sendable {
        /// Every record stays, as it is.
        case unchanged
        /// No record stays.
        case emptied
        /// A whole batch, checksum included.
        case rewritten(ByteBuffer)
    }

    /// What becomes of one record.
    public enum Verdict: Hashable, Sendable { case keep, drop }

    private let unpackedLimit: Int
    private var verdicts: [Verdict] = []

    /// - Parameter unpackedLimit: the most bytes that the records of one batch may unpack to.
    public init(unpackedLimit: Int) { self.unpackedLimit = unpackedLimit }

    /// Filters the batch that `entry` holds.
    ///
    /// - Parameters:
    ///   - entry: the whole batch; its checksum is the caller's business.
    ///   - horizon: until when tombstones that stay are to be kept, in milliseconds; set when the batch has tombstones
    ///     left and no horizon yet.
    ///   - judge: given each record, and the bytes its ranges lie in.
    /// - Throws: when the records cannot be unpacked or read.
    /// - Complexity: O(*n*) in the unpacked bytes.
    public mutating func apply(
        to entry: UnsafeRawBufferPointer, head: EntryHead, horizon: Int64,
        judge: (RecordView, UnsafeRawBufferPointer) -> Verdict
    ) throws(BatchError) -> Outcome {
        try head.withRecords(of: entry, limit: unpackedLimit) { (section) throws(BatchError) in
            try filter(section, head, horizon, judge)
        }
    }

    private mutating func filter(
        _ section: UnsafeRawBufferPointer, _ head: EntryHead, _ horizon: Int64,
        _ judge: (RecordView, UnsafeRawBufferPointer) -> Verdict
    ) throws(BatchError) -> Outcome {
        verdicts.removeAll(keepingCapacity: true)
        var kept = 0
        var hasTombstones = false
        var size = 0
        var reader = RecordReader(section, count: Int(head.recordCount.rawValue))
        while let view = try reader.next() {
            let verdict = judge(view, section)
            verdicts.append(verdict)
            guard verdict == .keep else { continue }
            kept += 1
            size += view.range.count
            if view.value == nil { hasTombstones = true }
        }
        guard kept > 0 else { return .emptied }
        let setsHorizon = hasTombstones && !head.attributes.hasDeleteHorizon
        guard kept < verdicts.count || setsHorizon else { return .unchanged }
        let draft = Draft(
            records: kept, size: size + (setsHorizon ? 10 * kept : 0), horizon: setsHorizon ? horizon : nil)
        return .rewritten(try write(draft, section, head))
    }

    private struct Draft {
        let records: Int
        /// An upper bound of what the records take.
        let size: Int
        let horizon: Int64?
    }

    private func write(
        _ draft: Draft, _ section: UnsafeRawBufferPointer, _ head: EntryHead
    ) throws(BatchError) -> ByteBuffer {
        var batch = ByteBufferAllocator().buffer(capacity: EntryHead.size + draft.size)
        batch.writeRepeatingByte(0, count: EntryHead.size)
        let base = head.baseTimestamp.milliseconds
        var greatest = Int64.min
        var position = 0
        for verdict in verdicts {
            let view: RecordView
            do throws(RecordFault) {
                view = try RecordReader.read(section, at: position)
            } catch {
                throw BatchError(.badRecord(index: 0, error.text))
            }
            position = view.range.upperBound
            guard verdict == .keep else { continue }
            let (time, overflow) = base.addingReportingOverflow(view.timestampDelta)
            guard !overflow else { throw BatchError(.badTimestamp(time)) }
            greatest = max(greatest, time)
            if let horizon = draft.horizon {
                try Self.append(view, of: section, time: time, horizon: horizon, to: &batch)
            } else {
                batch.writeBytes(section.slice(view.range))
            }
        }
        return try seal(batch, draft, head, greatest: greatest)
    }

    private func seal(
        _ plain: ByteBuffer, _ draft: Draft, _ head: EntryHead, greatest: Int64
    ) throws(BatchError) -> ByteBuffer {
        var batch = plain
        if let codec = head.codec, codec != .none {
            do throws(CompressionError) {
                batch = try plain.withUnsafeReadableBytes { (bytes) throws(CompressionError) in
                    try codec.compress(
                        bytes.slice(EntryHead.size..<bytes.count), reservingHeader: EntryHead.size)
                }
            } catch {
                throw BatchError(.compression(error))
            }
        }
        guard batch.readableBytes <= EntryHead.maximumTotalSize else {
            throw BatchError(.batchTooLarge(size: batch.readableBytes, limit: EntryHead.maximumTotalSize))
        }
        let bit = draft.horizon == nil ? 0 : BatchAttributes.deleteHorizonBit
        let fields = HeaderFields(
            baseOffset: head.baseOffset.rawValue, term: head.term.rawValue,
            attributes: BatchAttributes(rawValue: head.attributes.rawValue | bit),
            lastOffsetDelta: Int32(head.slots - 1),
            baseTimestamp: draft.horizon ?? head.baseTimestamp.milliseconds,
            maxTimestamp: head.attributes.isLogAppendTime ? head.maxTimestamp.milliseconds : greatest,
            producerID: head.producerID, producerEpoch: head.producerEpoch, baseSequence: head.baseSequence,
            recordCount: Int32(draft.records))
        fields.complete(&batch)
        return batch
    }

    /// Writes a record whose time counts from `horizon` from now on.
    private static func append(
        _ view: RecordView, of section: UnsafeRawBufferPointer, time: Int64, horizon: Int64, to batch: inout ByteBuffer
    ) throws(BatchError) {
        let (delta, overflow) = time.subtractingReportingOverflow(horizon)
        guard !overflow else { throw BatchError(.badTimestamp(time)) }
        var cursor = VarintCursor(section, at: view.range.lowerBound, end: view.range.upperBound)
        do throws(RecordFault) {
            _ = try cursor.varint()
            _ = try cursor.byte()
            _ = try cursor.varlong()
        } catch {
            preconditionFailure("this record has been read before")
        }
        let rest = section.slice(cursor.at..<view.range.upperBound)
        let length = 1 + Varint.size(delta) + rest.count
        Varint.write(Int64(length), to: &batch)
        batch.writeInteger(view.attributes)
        Varint.write(delta, to: &batch)
        batch.writeBytes(rest)
    }
}

extension EntryHead {
    /// Gives `body` the unpacked records of the batch that `entry` holds. The checksum is the caller's business.
    ///
    /// - Parameter limit: the most bytes they may take.
    /// - Complexity: O(*n*) in the unpacked bytes when compressed, O(1) otherwise.
    public func withRecords<Answer>(
        of entry: UnsafeRawBufferPointer, limit: Int,
        _ body: (UnsafeRawBufferPointer) throws(BatchError) -> Answer
    ) throws(BatchError) -> Answer {
        guard !isMarker else { throw BatchError(.badHeader("a marker has no records")) }
        guard entry.count >= totalSize else {
            throw BatchError(.truncated(needed: totalSize, available: entry.count))
        }
        guard let codec else { throw BatchError(.refusedCodec(UInt8(attributes.rawValue & 7))) }
        let packed = entry.slice(Self.size..<totalSize)
        guard codec != .none, recordCount.rawValue > 0 else { return try body(packed) }
        let unpacked: ByteBuffer
        do throws(CompressionError) {
            unpacked = try codec.decompress(packed, limit: limit)
        } catch {
            throw BatchError(.compression(error))
        }
        return try unpacked.withUnsafeReadableBytes { (bytes) throws(BatchError) in try body(bytes) }
    }
}

extension Varint {
    static func write(_ value: Int64, to buffer: inout ByteBuffer) {
        var zigzag = zigzag(value)
        while zigzag >= 0x80 {
            buffer.writeInteger(UInt8(truncatingIfNeeded: zigzag) | 0x80)
            zigzag >>= 7
        }
        buffer.writeInteger(UInt8(zigzag))
    }
}
