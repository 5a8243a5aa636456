// SPDX-License-Identifier: Apache-2.0

import LogModel

/// L12 of reliability.md for one partition: what retention, DeleteRecords and compaction may take away, and no more.
struct CompactionChecks {
    /// The highest start shown by a leader, or promised to a client, in each term, terms ascending.
    private var starts: [(term: Term, offset: Offset)] = []

    /// A record that a reader was given.
    struct Found: Hashable {
        var offset: Offset
        var key: Int64
        var timestamp: Int64
    }

    /// The key of a batch's record: a few keys only, so that most records are superseded soon.
    static func key(of batch: BatchName, place: Int64) -> Int64 {
        (batch.producer &* 7 &+ Int64(batch.number) &* 3 &+ place) % 6
    }

    /// A leader that knows what is committed shows where its log begins: never before what an earlier leader has shown.
    mutating func shown(_ start: Offset, in term: Term, by node: NodeID) throws(Violation) {
        let place = starts.firstIndex { $0.term > term } ?? starts.count
        if place > 0, start < starts[place - 1].offset {
            let earlier = starts[place - 1]
            throw Violation(
                .retention, "\(node) begins at \(start) in term \(term), \(earlier.offset) was shown in \(earlier.term)"
            )
        }
        if place > 0, starts[place - 1].term == term {
            starts[place - 1].offset = start
        } else {
            starts.insert((term, start), at: place)
        }
    }

    /// All that a replica still gives, read at the end.
    ///
    /// - Parameter isCompacted: else everything from `start` on must be there.
    func checkFinal(
        _ found: [Found], committed: [LoggedEntry], from start: Offset, isCompacted: Bool, on node: NodeID
    ) throws(Violation) {
        var last: [Int64: Offset] = [:]
        var expected: [Offset: Int64] = [:]
        for entry in committed where !entry.isMarker {
            for place in 0..<entry.nextOffset.rawValue - entry.baseOffset.rawValue {
                let offset = Offset(entry.baseOffset.rawValue + place)
                let key = Self.key(of: entry.batch, place: place)
                last[key] = offset
                if offset >= start { expected[offset] = key }
            }
        }
        var present: Set<Offset> = []
        for record in found {
            guard expected[record.offset] == record.key, present.insert(record.offset).inserted else {
                throw Violation(.noInvention, "\(node) gives the key \(record.key) at \(record.offset)")
            }
        }
        for offset in expected.keys.sorted() where !present.contains(offset) {
            guard isCompacted, let key = expected[offset], let later = last[key], later > offset else {
                throw Violation(.retention, "\(node) lacks \(offset), which nothing supersedes")
            }
        }
    }

    /// L13: the first record that reaches a time, as the log says it and as reading finds it.
    func checkTime(_ time: Int64, answered: Offset?, found: [Found], on node: NodeID) throws(Violation) {
        let naive = found.first { $0.timestamp >= time }?.offset
        guard answered == naive else {
            let (said, right) = (answered.map { "\($0)" } ?? "nothing", naive.map { "\($0)" } ?? "nothing")
            throw Violation(.timeLookup, "\(node) finds \(said) from time \(time) on, reading finds \(right)")
        }
    }
}

extension ConsensusChecks {
    /// The committed entries that take the slots `range`, which compaction has rewritten: it touches nothing else.
    func originals(of range: Range<LogIndex>) throws(Violation) -> ArraySlice<LoggedEntry> {
        var low = 0
        var high = committed.count
        while low < high {
            let middle = (low + high) / 2
            if committed[middle].start < range.lowerBound { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < committed.count, committed[end].end <= range.upperBound { end += 1 }
        let entries = committed[low..<end]
        guard entries.first?.start == range.lowerBound, entries.last?.end == range.upperBound else {
            throw Violation(.retention, "slots \(range) are compacted, which are not committed entries")
        }
        return entries
    }
}
