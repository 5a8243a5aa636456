// SPDX-License-Identifier: Apache-2.0

import LogModel

/// From which offset on a log may be read, as its own markers of the kind `logStart` have said.
///
///     slot     0 … 40  41 … 77  78
///     entry    ··· M30 ····  M55 ···        settled (below a commit index of 60): 30, then still to come: 55
///
/// A marker counts once it is committed, and then for good: what it hid never comes back.
///
/// - Invariant: the rows ascend strictly in both slot and offset, and all their offsets lie above `settled`.
struct TrimTable: Hashable {
    struct Row: Hashable {
        var slot: LogIndex
        var offset: Offset
    }

    /// What committed markers have said.
    private(set) var settled = Offset.zero
    /// Markers that are not known to be committed.
    private(set) var rows: [Row] = []

    init() {}

    /// Rows as they were stored; `nil` when they do not ascend, which only damage can cause.
    init?(settled: Offset, rows: [Row]) {
        for (earlier, later) in zip(rows, rows.dropFirst()) {
            guard earlier.slot < later.slot, earlier.offset < later.offset else { return nil }
        }
        if let first = rows.first, first.offset <= settled { return nil }
        self.settled = settled
        self.rows = rows
    }

    /// The start once everything in the log is committed.
    var last: Offset { rows.last?.offset ?? settled }

    /// Takes note of a marker; one that does not move the start says nothing.
    mutating func note(_ slot: LogIndex, _ offset: Offset) {
        #if MUTANTS
            if Mutant.isActive("T-D9") { return rows.append(Row(slot: slot, offset: offset)) }
        #endif
        guard offset > last else { return }
        rows.append(Row(slot: slot, offset: offset))
    }

    /// Everything below `commit` stays. Gives whether the start has moved.
    mutating func settle(below commit: LogIndex) -> Bool {
        let count = rows.firstIndex { $0.slot >= commit } ?? rows.count
        guard count > 0 else { return false }
        settled = rows[count - 1].offset
        rows.removeSubrange(..<count)
        return true
    }

    mutating func truncate(to end: LogIndex) {
        rows.removeAll { $0.slot >= end }
    }

    /// A log begun anew keeps only what is settled.
    mutating func restart() { rows = [] }
}
