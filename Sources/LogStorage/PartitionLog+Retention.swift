// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel

extension PartitionLog {
    /// Removes ended segments at the front that are too much or too old, as far as they are committed and durable.
    /// The segment being written to always stays.
    ///
    /// - Parameters:
    ///   - bytes: a segment goes while at least this much is left without it (`retention.bytes`).
    ///   - milliseconds: a segment goes when its youngest record is older than this (`retention.ms`).
    /// - Returns: where the log begins now, when that moved. It is durable already.
    public func applyRetention(
        now: Timestamp, bytes: ByteCount?, milliseconds: Int64?, committed: LogIndex
    ) throws(LogError) -> LogAnchor? {
        try checkUsable()
        let bound = min(committed, durable)
        var left = sizeOnDisk + unwrittenSize
        var count = 0
        for segment in segments.dropLast() {
            guard segment.end <= bound else { break }
            let isTooMuch = bytes.map { left - segment.size >= $0.rawValue } ?? false
            guard isTooMuch || isTooOld(segment, now: now, milliseconds: milliseconds) else { break }
            left -= segment.size
            count += 1
        }
        return try removeSegments(count, committed: committed)
    }

    /// The first offset that retention would leave: behind segments that are too much or too old and committed.
    ///
    /// When every record is too old that is the end of what is committed: an idle log empties too.
    ///
    /// - Parameters: as of `applyRetention`.
    /// - Complexity: O(*n*) in segments.
    public func retentionPoint(
        now: Timestamp, bytes: ByteCount?, milliseconds: Int64?, committed: LogIndex
    ) -> Offset {
        var left = sizeOnDisk + unwrittenSize
        var point = firstOffset
        for (number, segment) in segments.enumerated() {
            guard segment.end <= committed else { break }
            let isLast = number == segments.count - 1
            let isTooMuch = !isLast && (bytes.map { left - segment.size >= $0.rawValue } ?? false)
            guard isTooMuch || isTooOld(segment, now: now, milliseconds: milliseconds) else { break }
            // Nobody reads a marker, so a segment of nothing else is in nobody's way.
            if isLast, segment.maxTimestamp == .min { break }
            left -= segment.size
            point = max(point, markers.offset(at: segment.end))
        }
        return point
    }

    /// Removes the segments at the front of which no record may be read any more (`firstOffset`), as far as they are
    /// committed and durable; the one that is written to as well, when it holds records.
    ///
    /// - Returns: where the log begins now, when that moved. It is durable already.
    public func removeHiddenSegments(committed: LogIndex) throws(LogError) -> LogAnchor? {
        try checkUsable()
        let bound = min(committed, durable)
        let first = firstOffset
        var count = 0
        for (number, segment) in segments.enumerated() {
            guard segment.end <= bound, markers.offset(at: segment.end) <= first else { break }
            if number == segments.count - 1, segment.maxTimestamp == .min || segment.needsSync { break }
            count += 1
        }
        return try removeSegments(count, committed: committed)
    }

    /// Removes the first `count` segments, whose entries are committed and durable.
    private func removeSegments(_ count: Int, committed: LogIndex) throws(LogError) -> LogAnchor? {
        // What goes may be all that tells of its producers.
        guard count > 0, !producersAreUnknown else { return nil }
        let anchor = try anchor(at: segments[count - 1].end)
        let keepsProducers = try keepProducers(before: anchor.position.end)
        let removed = segments[..<count]
        segments.removeSubrange(..<count)
        sizeOnDisk -= removed.reduce(0) { $0 + $1.size }
        start = anchor
        markers.dropPrefix(before: anchor.position.end)
        terms.dropPrefix(before: anchor.position.end)
        terms.truncate(to: end)
        memberships.dropPrefix(before: anchor.position.end)
        cleanedTo = max(cleanedTo, anchor.position.end)
        if segments.isEmpty { recent.evict(toCost: 0) }
        // Once the checkpoint says so, what lies before the start is removed by the next opening if not now.
        _ = checkpointFile.invalidate(upTo: checkpointSequence)
        hasFailed = true
        try writeCheckpoint()
        hasFailed = false
        for segment in removed {
            segment.letGo()
            delete(segment.name)
        }
        if !keepsProducers { _ = try keepProducers(before: anchor.position.end) }
        return anchor
    }

    private func isTooOld(_ segment: Segment<FS>, now: Timestamp, milliseconds: Int64?) -> Bool {
        guard let milliseconds else { return false }
        // A segment of markers alone has no record that anybody could miss.
        guard segment.maxTimestamp != .min else { return true }
        let (age, overflow) = now.milliseconds.subtractingReportingOverflow(segment.maxTimestamp)
        return overflow ? segment.maxTimestamp < now.milliseconds : age > milliseconds
    }

    private func anchor(at index: LogIndex) throws(LogError) -> LogAnchor {
        guard let term = terms.term(at: LogIndex(index.rawValue - 1)) else {
            throw .corrupt(.init(file: directory, position: .zero, detail: "slot \(index) has no term before it"))
        }
        return LogAnchor(position: LogPosition(term: term, end: index), offset: markers.offset(at: index))
    }
}
