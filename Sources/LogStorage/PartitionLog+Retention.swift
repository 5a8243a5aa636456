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
        guard count > 0 else { return nil }
        let anchor = try anchor(at: segments[count - 1].end)
        let keepsProducers = try keepProducers(before: anchor.position.end, committed: committed)
        let removed = segments[..<count]
        segments.removeSubrange(..<count)
        sizeOnDisk -= removed.reduce(0) { $0 + $1.size }
        start = anchor
        markers.dropPrefix(before: anchor.position.end)
        terms.dropPrefix(before: anchor.position.end)
        terms.truncate(to: end)
        // Once the checkpoint says so, what lies before the start is removed by the next opening if not now.
        _ = checkpointFile.invalidate(upTo: checkpointSequence)
        hasFailed = true
        try writeCheckpoint()
        hasFailed = false
        for segment in removed { try? segment.remove() }
        if !keepsProducers { _ = try keepProducers(before: anchor.position.end, committed: committed) }
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
