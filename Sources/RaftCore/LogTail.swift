// SPDX-License-Identifier: Apache-2.0

import LogModel

/// What a group's member knows of its own log: where it begins and ends, who wrote which part, and which
/// configurations it has put in force.
///
///     start ≤ durable ≤ end
struct LogTail: Sendable {
    private(set) var start: LogAnchor
    private(set) var end: LogIndex
    private(set) var durable: LogIndex
    private(set) var terms: TermTable
    private(set) var members: MembersHistory

    init(_ view: RaftLogView, founders: RaftMembers) {
        start = view.start
        end = view.end
        durable = min(max(view.durable, view.start.position.end), view.end)
        terms = view.terms
        members = MembersHistory(base: view.membersAtStart ?? founders)
        for entry in view.changes { members.append(entry) }
        #if MUTANTS
            if Mutant.isActive("T-M10") { members = MembersHistory(base: founders) }
        #endif
        members.truncate(to: end)
        members.dropPrefix(before: start.position.end)
        precondition(start.position.end <= end, "a log ends before it begins")
        terms.truncate(to: end)
        terms.dropPrefix(before: start.position.end)
        precondition(
            end == start.position.end || term(endingAt: end) != nil, "a log that holds entries knows their terms")
    }

    /// A log that begins and ends at `anchor`, where `members` are in force.
    init(restartedAt anchor: LogAnchor, members: RaftMembers) {
        self.members = MembersHistory(base: members)
        start = anchor
        end = anchor.position.end
        durable = end
        terms = TermTable()
    }

    var last: LogPosition { position(at: end) ?? start.position }

    /// The term of the entry that ends at `index`; `nil` where the log does not know it, which is not "term 0"
    /// (etcd-raft 76f1249).
    func term(endingAt index: LogIndex) -> Term? {
        #if MUTANTS
            if Mutant.isActive("T-S14"), index == start.position.end { return .zero }
        #endif
        if index == start.position.end { return start.position.term }
        #if MUTANTS
            if Mutant.isActive("T-L6"), index < start.position.end { return .zero }
        #endif
        guard index > start.position.end, index <= end else { return nil }
        return terms.term(at: LogIndex(index.rawValue - 1))
    }

    func position(at index: LogIndex) -> LogPosition? {
        term(endingAt: index).map { LogPosition(term: $0, end: index) }
    }

    /// Where the run of entries of one term that holds the slot `index` ends.
    func endOfRun(holding index: LogIndex) -> LogIndex {
        guard let term = terms.term(at: index) else { return end }
        return terms.start(ofFirstTermAbove: term) ?? end
    }

    // MARK: - Changes

    mutating func append(_ term: Term, through newEnd: LogIndex) {
        precondition(newEnd > end, "an entry takes at least one slot")
        precondition(term >= last.term, "terms never fall along a log")
        terms.note(term, at: end)
        end = newEnd
    }

    /// Notes that the entry at `entry.slot`, which is there, says who belongs to the group.
    mutating func note(_ entry: MembersEntry) {
        precondition(entry.slot >= start.position.end && entry.slot < end, "a configuration is an entry of the log")
        members.append(entry)
    }

    /// Drops entries from `newEnd` on. The durable end falls with them before anything is answered (ra 39490978).
    mutating func truncate(to newEnd: LogIndex) {
        precondition(newEnd >= start.position.end, "a log cannot end before it begins")
        #if MUTANTS
            let before = durable
            defer { if Mutant.isActive("T-C5") { durable = before } }
        #endif
        terms.truncate(to: newEnd)
        members.truncate(to: newEnd)
        end = min(end, newEnd)
        durable = min(durable, newEnd)
    }

    mutating func becameDurable(through index: LogIndex) {
        durable = max(durable, min(index, end))
    }

    mutating func startMoved(to anchor: LogAnchor) {
        guard anchor.position.end > start.position.end else { return }
        precondition(anchor.position.end <= end, "retention cannot remove what was never there")
        start = anchor
        terms.dropPrefix(before: anchor.position.end)
        terms.truncate(to: end)
        members.dropPrefix(before: anchor.position.end)
        durable = max(durable, anchor.position.end)
    }

    // MARK: - Finding where two logs part

    /// Follower's side: our last position with an index not above `prev.end` and a term not above `prev.term`.
    ///
    /// All that we hold beyond it cannot agree with a log that holds `prev`.
    func lastPosition(compatibleWith prev: LogPosition) -> LogPosition {
        let bound = min(prev.end, end)
        guard bound > start.position.end, let here = term(endingAt: bound) else { return start.position }
        if here <= prev.term { return LogPosition(term: here, end: bound) }
        guard
            let term = terms.largestTerm(notAbove: prev.term),
            let end = terms.start(ofFirstTermAbove: prev.term), end > start.position.end
        else { return start.position }
        return LogPosition(term: term, end: end)
    }

    /// Leader's side: where to ask next after a follower answered with `hint`; `nil` when that lies before our start.
    ///
    /// Always an entry's boundary here. In a term that both logs have, the shorter of the two runs ends at a boundary
    /// of both. In a term that only the follower has, we ask for the end of our last run of a lower term: the follower
    /// either holds it or names a lower term still, so terms fall from question to question and the search ends.
    func nextQuestion(after hint: LogPosition) -> LogPosition? {
        if let term = terms.largestTerm(notAbove: hint.term) {
            let runEnd = terms.start(ofFirstTermAbove: term) ?? end
            let asked = term == hint.term ? min(runEnd, hint.end) : runEnd
            if asked > start.position.end, self.term(endingAt: asked) == term {
                return LogPosition(term: term, end: asked)
            }
        }
        let first = start.position
        return first.end == .zero || (first.term <= hint.term && first.end <= hint.end) ? first : nil
    }

    func checkInvariants() {
        precondition(start.position.end <= durable, "the log's start is not durable")
        precondition(durable <= end, "durable past our own end")
    }
}
