// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
import NIOCore
import RecordBatches

extension PartitionLog {
    /// The first record below `upTo` whose timestamp is at least `time`; `nil` when there is none.
    ///
    /// The index leads to the batch, then the batch is read and, when compressed, unpacked within
    /// `LogLimits.unpackedBytes`.
    public func offset(atOrAfter time: Timestamp, upTo: Offset) throws(LogError) -> TimedOffset? {
        try checkUsable()
        let stop = index(of: min(upTo, endOffset))
        var from = start.position.end
        while let batch = try firstBatch(from: from, stop: stop, reaching: time.milliseconds) {
            if let found = try record(in: batch.bytes, reaching: time) {
                return found.offset < upTo ? found : nil
            }
            // The head promised more than the records hold: the search goes on behind it.
            from = batch.end
        }
        return nil
    }

    /// The first of the records that have the greatest timestamp, in batches that end at `upTo` or before; `nil` when
    /// there are none.
    public func maxTimestamp(upTo: Offset) throws(LogError) -> TimedOffset? {
        try checkUsable()
        let stop = index(of: min(upTo, endOffset))
        var greatest: Int64?
        for (number, segment) in segments.enumerated() where segment.base < stop {
            if segment.end <= stop {
                if segment.maxTimestamp != .min { greatest = max(greatest ?? .min, segment.maxTimestamp) }
            } else if let time = try greatestTimestamp(in: number, before: stop) {
                greatest = max(greatest ?? .min, time)
            }
        }
        for chunk in recent.unwrittenChunks {
            var at = chunk.start
            for head in chunk.heads {
                at = at.advanced(by: head.slots)
                guard at <= stop else { break }
                if !head.isMarker { greatest = max(greatest ?? .min, head.maxTimestamp.milliseconds) }
            }
        }
        guard let greatest else { return nil }
        return try offset(atOrAfter: Timestamp(milliseconds: greatest), upTo: upTo)
    }

    /// The greatest batch timestamp of a segment before `stop`, a slot within it.
    private func greatestTimestamp(in number: Int, before stop: LogIndex) throws(LogError) -> Int64? {
        let segment = segments[number]
        let row = try row(of: segment) { $0.index <= stop }
        var greatest = row?.maxTimestamp ?? .min
        var at = row?.index ?? segment.base
        var cursor = try segment.cursor(from: row?.position ?? 0)
        while let (head, _) = try cursor.next() {
            at = at.advanced(by: head.slots)
            guard at <= stop else { break }
            if !head.isMarker { greatest = max(greatest, head.maxTimestamp.milliseconds) }
        }
        return greatest == .min ? nil : greatest
    }

    /// The first batch at or after slot `from` and before `stop` whose head says that it reaches `time`.
    private func firstBatch(
        from: LogIndex, stop: LogIndex, reaching time: Int64
    ) throws(LogError) -> (bytes: ByteBuffer, end: LogIndex)? {
        for (number, segment) in segments.enumerated() where segment.end > from && segment.maxTimestamp >= time {
            guard segment.base < stop else { break }
            let row = try row(of: segment) { $0.index <= from || $0.maxTimestamp < time }
            var at = row?.index ?? segment.base
            var cursor = try segment.cursor(from: row?.position ?? 0)
            while at < stop, let (head, position) = try cursor.next() {
                let next = at.advanced(by: head.slots)
                if at >= from, !head.isMarker, head.maxTimestamp.milliseconds >= time {
                    return (try bytes(of: Place(segment: number, position: position, head: head, index: at)), next)
                }
                at = next
            }
        }
        for chunk in recent.unwrittenChunks {
            var at = chunk.start
            var skipped = 0
            for head in chunk.heads where at < stop {
                let next = at.advanced(by: head.slots)
                if at >= from, !head.isMarker, head.maxTimestamp.milliseconds >= time {
                    return (slice(chunk.bytes, skipped, head.totalSize), next)
                }
                at = next
                skipped += head.totalSize
            }
        }
        return nil
    }

    private func row(of segment: Segment<FS>, where isBefore: (IndexRow) -> Bool) throws(LogError) -> IndexRow? {
        do throws(IndexDamage) {
            return try segment.index.last(where: isBefore)
        } catch {
            try segment.rebuildIndex()
            return nil
        }
    }

    private func record(in batch: ByteBuffer, reaching time: Timestamp) throws(LogError) -> TimedOffset? {
        do throws(BatchError) {
            var records = try BatchRecords(of: batch, limit: Int(limits.unpackedBytes.rawValue))
            while let record = try records.next() {
                if record.timestamp >= time {
                    return TimedOffset(offset: record.offset, timestamp: record.timestamp, term: records.head.term)
                }
            }
            return nil
        } catch {
            throw .corrupt(.init(file: directory, position: .zero, detail: "a batch cannot be read: \(error)"))
        }
    }
}
