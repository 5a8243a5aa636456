// SPDX-License-Identifier: Apache-2.0

import LogModel

/// A replica's log as the checks have seen it grow and shrink. It outlives the replica's crashes.
struct ReplicaMirror {
    var start = LogIndex.zero
    var startTerm = Term.zero
    private(set) var entries: [LoggedEntry] = []
    /// The entries that said who belongs to the group, those before `start` included.
    var changes: [LoggedEntry] = []
    /// Those of them that a leader appended and that were not looked at yet, with the end of the one before each.
    var fresh: [(entry: LoggedEntry, before: LoggedEntry?)] = []
    var isUp = false
    /// Its disk has lost what it held, which it knows: it neither votes nor stands until it has all again.
    var isRebuilding = false
    var view: ReplicaView?
    /// What survives a crash, as the log itself says; held to it after the next one.
    var durable = LogIndex.zero
    /// The highest term it has promised anything in.
    var promisedTerm = Term.zero
    /// The highest commit index it has shown since it was started.
    var commit = LogIndex.zero
    /// The highest commit index it has ever shown.
    var everCommitted = LogIndex.zero

    var end: LogIndex { entries.last?.end ?? start }

    /// The position of the first entry that ends above `index`.
    func place(above index: LogIndex) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].end > index { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The term of the entry that ends at `index`, if there is such a boundary.
    func term(endingAt index: LogIndex) -> Term? {
        if index == start { return startTerm }
        let place = place(above: index) - 1
        guard place >= 0, entries[place].end == index else { return nil }
        return entries[place].term
    }

    func entry(endingAt index: LogIndex) -> LoggedEntry? {
        let place = place(above: index) - 1
        return place >= 0 && entries[place].end == index ? entries[place] : nil
    }

    mutating func append(_ entry: LoggedEntry) {
        entries.append(entry)
        if entry.members != nil { changes.append(entry) }
    }

    mutating func truncate(to index: LogIndex) {
        entries.removeSubrange(place(above: index)...)
        changes.removeAll { $0.end > index }
        fresh.removeAll { $0.entry.end > index }
        durable = min(durable, index)
    }

    mutating func moveStart(to index: LogIndex, term: Term) {
        let first = place(above: index)
        entries.removeSubrange(..<first)
        start = index
        startTerm = term
        durable = max(durable, index)
    }

    mutating func restart(at index: LogIndex, term: Term) {
        entries.removeAll(keepingCapacity: true)
        changes = []
        fresh = []
        start = index
        startTerm = term
        durable = index
    }
}
