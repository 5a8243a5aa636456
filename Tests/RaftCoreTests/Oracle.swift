// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// Watches every member and remembers what must never be contradicted (reliability.md §2.1).
struct Oracle {
    /// C1: whoever led a term, ever.
    private var leaders: [Term: NodeID] = [:]
    /// C4: all that was ever committed, in order.
    private(set) var committed: [Entry] = []
    /// C8: whom each member voted for.
    private var votes: [[Term: NodeID]] = []
    private var ends: [LogIndex] = []
    var violations: [String] = []

    mutating func observe(_ place: Int, _ member: Member, _ output: RaftNode.Output) {
        if let fault = output.fault { violations.append(fault) }
        while ends.count <= place { ends.append(.zero) }
        if case .becameLeader(let term) = output.roleChange { observeLeader(member, of: term) }
        if let commit = output.committed { observeCommit(member, through: commit, at: place) }
    }

    /// A vote counts as given once it is on disk: one that a crash took back was never told to anybody.
    mutating func persisted(_ state: HardState, of place: Int) {
        guard let vote = state.vote else { return }
        while votes.count <= place { votes.append([:]) }
        if let earlier = votes[place][state.term], earlier != vote {
            violations.append("n\(place) voted for \(earlier) and for \(vote) in term \(state.term) (C8)")
        }
        votes[place][state.term] = vote
    }

    private mutating func observeLeader(_ member: Member, of term: Term) {
        if let other = leaders[term], other != member.node.id {
            violations.append("\(other) and \(member.node.id) both led term \(term) (C1)")
        }
        leaders[term] = member.node.id
        guard member.disk == HardState(term: term, vote: member.node.id) else {
            violations.append("\(member.node.id) leads term \(term) before its vote is on disk (C10)")
            return
        }
        let held = Set(member.log)
        for entry in committed where entry.end > member.start.position.end && !held.contains(entry) {
            violations.append("\(member.node.id) leads term \(term) without the committed \(entry) (C3)")
            return
        }
    }

    private mutating func observeCommit(_ member: Member, through commit: LogIndex, at place: Int) {
        if commit < ends[place], commit < member.commit { violations.append("n\(place)'s commit went back (C7)") }
        ends[place] = commit
        let known = committed.last?.end ?? .zero
        for entry in member.log where entry.end <= commit {
            if entry.end > known {
                committed.append(entry)
            } else if entry.end > member.start.position.end, !isCommitted(entry) {
                violations.append("n\(place) committed \(entry), others something else there (C4)")
                return
            }
        }
    }

    private func isCommitted(_ entry: Entry) -> Bool {
        var low = 0
        var high = committed.count
        while low < high {
            let middle = (low + high) / 2
            if committed[middle].end < entry.end { low = middle + 1 } else { high = middle }
        }
        return low < committed.count && committed[low] == entry
    }

    mutating func truncated(_ place: Int, to end: LogIndex) {
        if place < ends.count, end < ends[place] { violations.append("n\(place) cut what it had committed (C9)") }
    }

    mutating func crashed(_ place: Int) {
        if place < ends.count { ends[place] = .zero }
    }

    /// C2: two logs that share (index, term) are identical up to there.
    mutating func compare(_ members: [Member]) {
        for (place, left) in members.enumerated() {
            for right in members[(place + 1)...] {
                let theirs = Dictionary(uniqueKeysWithValues: right.log.map { ($0.end, $0) })
                guard let shared = left.log.last(where: { theirs[$0.end]?.term == $0.term }) else { continue }
                let from = max(left.start.position.end, right.start.position.end)
                let mine = left.log.filter { $0.end <= shared.end && $0.end > from }
                let others = right.log.filter { $0.end <= shared.end && $0.end > from }
                if mine != others {
                    violations.append("\(left.node.id) and \(right.node.id) differ below \(shared.end) (C2)")
                }
            }
        }
    }
}
