// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
import NIOCore
import RecordBatches

extension PartitionLog {
    /// Whole entries from `from` on, for replication: at most `limit` bytes, but at least one entry unless `from` is
    /// the end. From memory when it still holds them, without copying; otherwise from one segment's file.
    ///
    /// Where compaction has merged entries into a hole, any slot of the hole may be asked for: a follower that has the
    /// entries as they were is sent the rest of the hole.
    ///
    /// - Throws: `.beforeStart` when they are gone; `.corrupt` when no entry begins at `from`.
    public func read(from: LogIndex, limit: ByteCount) throws(LogError) -> LogSlice {
        try checkUsable()
        guard start.position.end <= from else { throw .beforeStart(start) }
        guard from < end else {
            return LogSlice(bytes: [], through: lastEntry, runs: [], size: .zero)
        }
        if let first = recent.start, first <= from { return try readRecent(from: from, limit: limit.rawValue) }
        return try readFile(from: from, limit: limit.rawValue)
    }

    private func readRecent(from: LogIndex, limit: Int64) throws(LogError) -> LogSlice {
        guard let entry = recent.entry(at: from) else { throw notABoundary(from) }
        if entry.index < from { return try restOfHole(entry.head, at: entry.index, from: from) }
        var bytes: [ByteBuffer] = []
        var size: Int64 = 0
        var reached = from
        for chunk in recent.chunks(from: from) {
            let isFirst = reached == from
            let skipped = isFirst ? entry.skipped : 0
            let rest = Int64(chunk.bytes.readableBytes - skipped)
            if size + rest <= limit {
                bytes.append(skipped == 0 ? chunk.bytes : slice(chunk.bytes, skipped, Int(rest)))
                size += rest
                reached = chunk.end
                continue
            }
            // Only a part of this chunk fits.
            var taken = 0
            var at = chunk.start
            var passed = 0
            for head in chunk.heads {
                let next = at.advanced(by: head.slots)
                if passed >= skipped {
                    guard size + Int64(taken + head.totalSize) <= limit || reached == from && taken == 0 else { break }
                    taken += head.totalSize
                    reached = next
                }
                passed += head.totalSize
                at = next
            }
            if taken > 0 {
                bytes.append(slice(chunk.bytes, skipped, taken))
                size += Int64(taken)
            }
            break
        }
        return sliced(bytes, from: from, to: reached, size: size)
    }

    private func readFile(from: LogIndex, limit: Int64) throws(LogError) -> LogSlice {
        let place = try locate(from)
        if place.index < from { return try restOfHole(place.head, at: place.index, from: from) }
        let segment = segments[place.segment]
        let wanted = max(Int64(place.head.totalSize), min(limit, segment.size - place.position))
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        var bytes = try file.readBuffer(Int(wanted), at: place.position, path: segment.path)
        var reached = from
        var size = 0
        do throws(BatchError) {
            while size < bytes.readableBytes {
                let head: EntryHead
                do throws(BatchError) {
                    head = try EntryHead.parse(bytes, at: bytes.readerIndex + size)
                } catch {
                    // The last entry may be cut anywhere by the limit.
                    if case .truncated = error.reason { break }
                    throw error
                }
                guard size + head.totalSize <= bytes.readableBytes else { break }
                // What has rotted must not reach a follower, nor a state machine. Two fields lie outside the checksum.
                try head.verifyChecksum(bytes, at: bytes.readerIndex + size)
                guard head.baseOffset == markers.offset(at: reached), head.term == terms.term(at: reached) else {
                    throw BatchError(.badHeader("another offset or term than this place in the log has"))
                }
                size += head.totalSize
                reached = reached.advanced(by: head.slots)
            }
        } catch {
            throw .corrupt(
                .init(file: segment.path, position: ByteCount(place.position + Int64(size)), detail: "\(error)"))
        }
        bytes = slice(bytes, 0, size)
        return sliced([bytes], from: from, to: reached, size: Int64(size))
    }

    private func restOfHole(_ head: EntryHead, at index: LogIndex, from: LogIndex) throws(LogError) -> LogSlice {
        guard head.isHole else { throw notABoundary(from) }
        let rest = head.restOfHole(skipping: from.slots(since: index))
        return sliced([rest], from: from, to: index.advanced(by: head.slots), size: Int64(rest.readableBytes))
    }

    private func sliced(_ bytes: [ByteBuffer], from: LogIndex, to reached: LogIndex, size: Int64) -> LogSlice {
        let runs = terms.runs(in: from..<reached)
        return LogSlice(bytes: bytes, through: runs.last ?? lastEntry, runs: runs, size: ByteCount(size))
    }

    func slice(_ bytes: ByteBuffer, _ skipped: Int, _ count: Int) -> ByteBuffer {
        guard let slice = bytes.getSlice(at: bytes.readerIndex + skipped, length: count) else {
            preconditionFailure("an entry lies within its buffer")
        }
        return slice
    }

    func notABoundary(_ index: LogIndex) -> LogError {
        .corrupt(.init(file: directory, position: .zero, detail: "no entry begins at slot \(index)"))
    }
}

extension TermTable {
    /// Which term wrote which part of `range`, which is not empty and lies within the table.
    func runs(in range: Range<LogIndex>) -> [LogPosition] {
        var runs: [LogPosition] = []
        var at = range.lowerBound
        while at < range.upperBound, let term = term(at: at) {
            let end = min(start(ofFirstTermAbove: term) ?? range.upperBound, range.upperBound)
            runs.append(LogPosition(term: term, end: end))
            at = end
        }
        return runs
    }
}
