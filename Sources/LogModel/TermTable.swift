// SPDX-License-Identifier: Apache-2.0

/// Which term wrote which part of a log: a sorted table with one row a term, a pure function of the log.
///
///     term   2        3              7
///     start  0 ────── 41 ─────────── 97 ───── end
///
/// Kafka calls it the leader-epoch cache.
public struct TermTable: Hashable, Sendable {
    public struct Row: Hashable, Sendable {
        public let term: Term
        public let start: LogIndex

        public init(term: Term, start: LogIndex) {
            self.term = term
            self.start = start
        }
    }

    /// Strictly ascending in both term and start.
    public private(set) var rows: [Row] = []

    public init() {}

    /// Rows as they were stored; `nil` when they do not ascend, which only damage can cause.
    public init?(rows: [Row]) {
        for (earlier, later) in zip(rows, rows.dropFirst()) {
            guard earlier.term < later.term, earlier.start < later.start else { return nil }
        }
        self.rows = rows
    }

    /// Notes that an entry of `term` starts at `index`.
    ///
    /// - Precondition: entries are noted in log order and terms never fall.
    /// - Complexity: O(1)
    public mutating func note(_ term: Term, at index: LogIndex) {
        guard let last = rows.last else {
            rows.append(Row(term: term, start: index))
            return
        }
        precondition(term >= last.term, "terms never fall along a log")
        if term > last.term {
            precondition(index > last.start, "a term covers at least one slot")
            rows.append(Row(term: term, start: index))
        }
    }

    /// The term that wrote the slot `index`, or `nil` before the first row.
    /// - Complexity: O(log *n*) in terms.
    public func term(at index: LogIndex) -> Term? {
        let after = firstRow { $0.start > index }
        return after == 0 ? nil : rows[after - 1].term
    }

    /// Forgets everything from `end` on.
    public mutating func truncate(to end: LogIndex) {
        #if MUTANTS
            if Mutant.isActive("T-L9") { return rows.removeSubrange(firstRow { $0.start > end }...) }
        #endif
        rows.removeSubrange(firstRow { $0.start >= end }...)
    }

    /// Forgets everything before `start`; the row that covers `start` then begins there.
    public mutating func dropPrefix(before start: LogIndex) {
        let after = firstRow { $0.start > start }
        guard after > 0 else { return }
        let covering = rows[after - 1]
        rows.replaceSubrange(..<after, with: [Row(term: covering.term, start: max(covering.start, start))])
    }

    /// Where the first term above `term` starts, or `nil` when there is none.
    public func start(ofFirstTermAbove term: Term) -> LogIndex? {
        let at = firstRow { $0.term > term }
        return at < rows.count ? rows[at].start : nil
    }

    /// The largest term in the table that is at most `term`.
    public func largestTerm(notAbove term: Term) -> Term? {
        let at = firstRow { $0.term > term }
        return at == 0 ? nil : rows[at - 1].term
    }

    private func firstRow(where isRight: (Row) -> Bool) -> Int {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if isRight(rows[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
