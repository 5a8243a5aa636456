// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
import NIOCore
import RecordBatches

extension PartitionLog {
    /// The batches from the one that holds `from` on, as far as they lie below `upTo`: at most `limit` bytes, but the
    /// first batch whole (KIP-74). Markers are left out.
    ///
    /// What begins before `from` is the batch that holds it, or a hole that compaction left (`HoleEntry`).
    ///
    /// What this process has neither written nor read before is compared with its checksums first. The answer ends
    /// before what does not match; whoever begins there is told.
    ///
    /// - Parameter isCheckedLater: whoever reads the bytes computes their checksums where that blocks nobody, so that
    ///   they are not read here.
    /// - Throws: `.outOfRange` when `from` lies before `firstOffset` or beyond the end; `.corrupt` when what is asked
    ///   for is damaged.
    /// - Complexity: O(log *n*) in index rows, plus O(markers) in the answer; O(bytes) where they are checked.
    public func fetch(
        from: Offset, upTo: Offset, limit: ByteCount, isCheckedLater: Bool = false
    ) throws(LogError) -> [FetchPiece<FS.File>] {
        try checkUsable()
        let first = firstOffset
        guard first <= from, from <= endOffset else { throw .outOfRange(available: first..<endOffset) }
        let upTo = min(upTo, endOffset)
        guard from < upTo else { return [] }
        var at = index(of: from)
        let stop = index(of: upTo)
        var room = Whim.strikes("PartitionLog.short-fetch") ? 1 : limit.rawValue
        var pieces: [FetchPiece<FS.File>] = []
        while at < min(stop, written), room > 0 {
            do throws(LogError) {
                let place = try locate(at)
                let mayExceed = pieces.isEmpty
                guard
                    let (end, position) = try limitOfFetch(from: place, stop: stop, room: room, mayExceed: mayExceed)
                else { return pieces }
                let sound = isCheckedLater ? position : try checkedEnd(of: place, to: position)
                try appendRanges(of: place, to: end, sound, &pieces)
                guard sound == position, position == segments[place.segment].size else { return pieces }
                room -= position - place.position
                at = end
            } catch {
                // What lies before is sound, and the reader comes back for the rest.
                guard !pieces.isEmpty, case .corrupt = error else { throw error }
                return pieces
            }
        }
        if at >= written, at < stop { fetchUnwritten(from: at, stop: stop, room: room, &pieces) }
        return pieces
    }

    /// Where, within its segment, a fetch that begins at `place` ends: slot and position.
    private func limitOfFetch(
        from place: Place, stop: LogIndex, room: Int64, mayExceed: Bool
    ) throws(LogError) -> (end: LogIndex, position: Int64)? {
        let segment = segments[place.segment]
        var end = segment.end
        var position = segment.size
        if stop < end {
            let bound = try locate(stop)
            (end, position) = (bound.index, bound.position)
        }
        if position - place.position > room {
            position = try boundary(atOrBefore: place.position + room, in: place.segment)
            if position <= place.position {
                guard mayExceed else { return nil }
                position = place.position + Int64(place.head.totalSize)
            }
            // Which slot that is matters only for the markers before it, and those are found by position.
            end = min(end, segment.end)
        }
        guard position > place.position else { return nil }
        return (end, position)
    }

    /// How far the bytes from `place` to `position` are right: at least to the end of the first entry.
    private func checkedEnd(of place: Place, to position: Int64) throws(LogError) -> Int64 {
        let segment = segments[place.segment]
        if segment.checked.contains(place.position..<position) { return position }
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        var reader = SegmentReader(file, path: segment.path, from: place.position, to: position)
        let map = self.map
        var at = place.index
        var sound = place.position
        do throws(LogError) {
            while sound - place.position < Self.checkLimit,
                let head = try reader.next(at: at, before: segment.end, by: map)
            {
                at = at.advanced(by: head.slots)
                sound = reader.position
            }
        } catch {
            guard sound > place.position, case .corrupt = error else { throw error }
        }
        segment.checked.add(place.position..<sound)
        return sound
    }

    /// How many bytes one fetch checks, about: some milliseconds' worth.
    private static var checkLimit: Int64 { 4 << 20 }

    /// The bytes from `place` to `position`, without the markers among them.
    private func appendRanges(
        of place: Place, to end: LogIndex, _ position: Int64, _ pieces: inout [FetchPiece<FS.File>]
    ) throws(LogError) {
        let segment = segments[place.segment]
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        var from = place.position
        func piece(to: Int64) {
            guard to > from else { return }
            pieces.append(.file(FileRange(file: file, position: ByteCount(from), size: ByteCount(to - from))))
        }
        for slot in markers.slots(in: place.index..<max(place.index, end)) {
            let marker = try locate(slot)
            guard marker.position < position else { break }
            piece(to: marker.position)
            from = marker.position + Int64(marker.head.totalSize)
        }
        piece(to: position)
    }

    private func fetchUnwritten(
        from: LogIndex, stop: LogIndex, room: Int64, _ pieces: inout [FetchPiece<FS.File>]
    ) {
        var room = room
        for chunk in recent.chunks(from: from) {
            var at = chunk.start
            var position = 0
            var run = 0..<0
            var isOver = false
            for head in chunk.heads {
                let next = at.advanced(by: head.slots)
                let place = position..<position + head.totalSize
                position = place.upperBound
                at = next
                if next <= from { continue }
                let isFirst = pieces.isEmpty && run.isEmpty
                guard next <= stop, isFirst || Int64(place.count) <= room else {
                    isOver = true
                    break
                }
                if head.isMarker {
                    if !run.isEmpty { pieces.append(.memory(slice(chunk.bytes, run.lowerBound, run.count))) }
                    run = place.upperBound..<place.upperBound
                    continue
                }
                run = run.isEmpty ? place : run.lowerBound..<place.upperBound
                room -= Int64(place.count)
            }
            if !run.isEmpty { pieces.append(.memory(slice(chunk.bytes, run.lowerBound, run.count))) }
            if isOver || room <= 0 { return }
        }
    }
}
