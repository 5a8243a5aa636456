// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
import NIOCore
import RecordBatches

extension PartitionLog {
    /// The first record from `firstOffset` on and below `upTo` whose timestamp is at least `time`; `nil` when there is
    /// none.
    ///
    /// The index leads to the batch, then the batch is read and, when compressed, unpacked within
    /// `LogLimits.unpackedBytes`.
    public func offset(atOrAfter time: Timestamp, upTo: Offset) throws(LogError) -> TimedOffset? {
        try checkUsable()
        let stop = index(of: min(upTo, endOffset))
        let first = firstOffset
        // The batch that holds `first` may begin before it.
        var from = index(of: first)
        while let batch = try firstBatch(from: from, stop: stop, reaching: time.milliseconds) {
            if let found = try record(in: batch.bytes, from: first, reaching: time) {
                return found.offset < upTo ? found : nil
            }
            // The head promised more than the records hold: the search goes on behind it.
            from = batch.end
        }
        return nil
    }

    /// The first of the records that have the greatest timestamp, from `firstOffset` on and in batches that end at
    /// `upTo` or before; `nil` when there are none.
    public func maxTimestamp(upTo: Offset) throws(LogError) -> TimedOffset? {
        try checkUsable()
        let stop = index(of: min(upTo, endOffset))
        let first = firstOffset
        var from = index(of: first)
        var greatest: Int64?
        if from < stop, let time = try greatestTimestamp(from: first, inBatchAt: &from), from <= stop {
            greatest = time
        }
        for (number, segment) in segments.enumerated() where segment.base < stop && segment.end > from {
            if segment.base >= from, segment.end <= stop {
                if segment.maxTimestamp != .min { greatest = max(greatest ?? .min, segment.maxTimestamp) }
            } else if let time = try greatestTimestamp(in: number, from: from, before: stop) {
                greatest = max(greatest ?? .min, time)
            }
        }
        for chunk in recent.unwrittenChunks {
            var at = chunk.start
            for head in chunk.heads {
                let begin = at
                at = at.advanced(by: head.slots)
                guard at <= stop else { break }
                guard begin >= from, head.recordCount.rawValue > 0 else { continue }
                greatest = max(greatest ?? .min, head.maxTimestamp.milliseconds)
            }
        }
        guard let greatest else { return nil }
        return try offset(atOrAfter: Timestamp(milliseconds: greatest), upTo: upTo)
    }

    /// The greatest timestamp of the records from `first` on in the batch that holds it, when the batch begins before
    /// `first`: what its head says may be that of a record which is hidden. `index` is then moved behind the batch.
    private func greatestTimestamp(from first: Offset, inBatchAt index: inout LogIndex) throws(LogError) -> Int64? {
        let batch: ByteBuffer
        let begin: LogIndex
        if index < written {
            let place = try locate(index)
            begin = place.index
            guard begin < index else { return nil }
            batch = try bytes(of: place)
        } else {
            guard let entry = recent.entry(at: index), entry.index < index else { return nil }
            begin = entry.index
            batch = entry.bytes
        }
        var greatest: Int64?
        do throws(BatchError) {
            var records = try BatchRecords(of: batch, limit: Int(limits.unpackedBytes.rawValue))
            index = begin.advanced(by: records.head.slots)
            while let record = try records.next() {
                if record.offset >= first { greatest = max(greatest ?? .min, record.timestamp.milliseconds) }
            }
        } catch {
            throw .corrupt(.init(file: directory, position: .zero, detail: "a batch cannot be read: \(error)"))
        }
        return greatest
    }

    /// The greatest batch timestamp of a segment between the slots `from` and `stop`.
    private func greatestTimestamp(
        in number: Int, from: LogIndex, before stop: LogIndex
    ) throws(LogError) -> Int64? {
        let segment = segments[number]
        // What a row says of the records before it holds only when all of them count.
        let row = from > segment.base ? nil : try row(of: segment) { $0.index <= stop }
        var greatest = row?.maxTimestamp ?? .min
        var at = row?.index ?? segment.base
        var cursor = try segment.cursor(from: row?.position ?? 0)
        while let (head, _) = try cursor.next() {
            let begin = at
            at = at.advanced(by: head.slots)
            guard at <= stop else { break }
            if begin >= from, head.recordCount.rawValue > 0 { greatest = max(greatest, head.maxTimestamp.milliseconds) }
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
                if next > from, head.recordCount.rawValue > 0, head.maxTimestamp.milliseconds >= time {
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
                if next > from, head.recordCount.rawValue > 0, head.maxTimestamp.milliseconds >= time {
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

    private func record(
        in batch: ByteBuffer, from first: Offset, reaching time: Timestamp
    ) throws(LogError) -> TimedOffset? {
        do throws(BatchError) {
            var records = try BatchRecords(of: batch, limit: Int(limits.unpackedBytes.rawValue))
            while let record = try records.next() {
                if record.timestamp >= time, record.offset >= first {
                    return TimedOffset(offset: record.offset, timestamp: record.timestamp, term: records.head.term)
                }
            }
            return nil
        } catch {
            throw .corrupt(.init(file: directory, position: .zero, detail: "a batch cannot be read: \(error)"))
        }
    }
}
