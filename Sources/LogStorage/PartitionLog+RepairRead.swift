// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
public import NIOCore
import RecordBatches

/// What a log can give to a peer that has lost some of its own.
public enum RepairRead: Sendable {
    /// Whole entries from the slot asked for on, each checked. They may reach beyond what was asked for.
    case entries(ByteBuffer)
    /// They are damaged here too.
    case damaged(LogError.Corruption)
    /// They lie before the log's start or beyond its end, or other entries are in their place: none begins at the slot
    /// asked for, and all before it are sound.
    case absent
}

extension PartitionLog {
    /// Reads entries from `from` on for a peer's repair: at most `limit` bytes, but at least one entry. Also from a
    /// segment of which another part is damaged, so that two copies with different damage can help each other.
    public func readForRepair(from: LogIndex, before end: LogIndex, limit: ByteCount) throws(LogError) -> RepairRead {
        try checkUsable()
        guard start.position.end <= from, from < self.end else { return .absent }
        do throws(LogError) {
            if let number = segmentNumber(at: from), !segments[number].damage.isEmpty {
                return try readSound(segments[number], from: from, before: end, limit: limit.rawValue)
            }
            do throws(LogError) {
                var bytes = ByteBuffer()
                for piece in try read(from: from, limit: limit).bytes { bytes.writeImmutableBuffer(piece) }
                return .entries(bytes)
            } catch {
                guard case .corrupt = error, let number = segmentNumber(at: from) else { throw error }
                // Damage that nobody has noticed, or none at all and a peer that asks for what was never committed.
                return try readSound(segments[number], from: from, before: end, limit: limit.rawValue)
            }
        } catch {
            guard case .corrupt(let what) = error else { throw error }
            return .damaged(what)
        }
    }

    private func readSound(
        _ segment: Segment<FS>, from: LogIndex, before end: LogIndex, limit: Int64
    ) throws(LogError) -> RepairRead {
        let map = self.map
        if let hit = segment.damage.first(where: { $0.range.contains(from) }) { throw hit.error }
        let before = segment.damage.last { $0.range.upperBound <= from }
        let after = segment.damage.first { from < $0.range.lowerBound }
        var at = before?.range.upperBound ?? segment.base
        var position = before?.bytes.upperBound ?? 0
        // A row of the index saves the way, when it lies on it.
        if let row = (try? segment.index.last { $0.index <= from }) ?? nil, row.position > position {
            (at, position) = (row.index, row.position)
        }
        let until = min(end, after?.range.lowerBound ?? segment.end)
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        var reader = SegmentReader(
            file, path: segment.path, from: position, to: after?.bytes.lowerBound ?? segment.size, window: 64 << 10)
        var bytes = ByteBuffer()
        while at < until, let head = try reader.next(at: at, before: segment.end, by: map) {
            let next = at.advanced(by: head.slots)
            if from < next {
                guard at >= from || head.isHole else { return .absent }
                guard bytes.readableBytes == 0 || Int64(bytes.readableBytes + head.totalSize) <= limit else { break }
                if at < from {
                    bytes.writeImmutableBuffer(head.restOfHole(skipping: from.slots(since: at)))
                } else {
                    reader.withEntry { _ = bytes.writeBytes($0) }
                }
            }
            at = next
        }
        return .entries(bytes)
    }
}
