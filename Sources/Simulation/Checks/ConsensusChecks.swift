// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import RaftCore

/// C1 to C11 of reliability.md for one partition, checked after every event.
///
/// It watches from outside: what replicas show, what their logs hold, and what they say to each other. It takes no
/// word of theirs for what survives a crash: what they promised is looked for in the log that came back.
public struct ConsensusChecks {
    /// Who belongs to the group while no entry has said otherwise.
    let founders: RaftMembers
    /// The places of those whose copies count: when something was committed last.
    private(set) var voting: [Int]
    /// Of those of whom another majority is needed, while the members change.
    private(set) var outgoing: [Int] = []
    /// The same as of the last entry that is committed, where the members have changed behind it.
    private var atCommit: (voting: [Int], outgoing: [Int])?
    var replicas: [ReplicaMirror]
    /// All that was ever committed, in order.
    public private(set) var committed: [LoggedEntry] = []
    private var leaders: [Term: NodeID] = [:]
    /// Every entry ever seen, by where it ends and who wrote it.
    private var known: [LogPosition: Lineage] = [:]
    private var votes: [VoteKey: NodeID] = [:]
    /// The highest high watermark shown in each term, terms ascending.
    private var watermarks: [(term: Term, offset: Offset)] = []
    /// Something durable has shrunk, so the majority is counted afresh.
    private var mustRecount = false

    private struct Lineage: Hashable {
        var entry: LoggedEntry
        var before: Term
    }

    private struct VoteKey: Hashable {
        var node: NodeID
        var term: Term
    }

    public init(voters: Int) { self.init(nodes: voters, voters: (0..<Int32(voters)).map { NodeID($0) }) }

    /// - Parameters:
    ///   - nodes: how many nodes there are, with ids from 0 on.
    ///   - voters: those of them that vote.
    public init(nodes: Int, voters: [NodeID]) {
        founders = RaftMembers(voters: voters)
        voting = voters.map { Int($0.rawValue) }
        replicas = Array(repeating: ReplicaMirror(), count: nodes)
    }

    /// A replica was taken away: whoever keeps one there later begins anew.
    public mutating func removed(_ node: NodeID) { replicas[Int(node.rawValue)] = ReplicaMirror() }

    /// A replica's disk has lost what it held, and it knows that.
    public mutating func lost(_ node: NodeID) {
        let place = Int(node.rawValue)
        var mirror = ReplicaMirror()
        mirror.promisedTerm = replicas[place].promisedTerm
        mirror.everCommitted = replicas[place].everCommitted
        mirror.isRebuilding = true
        replicas[place] = mirror
    }

    private func isMajority(_ holds: (Int) -> Bool) -> Bool {
        func isMajority(of voting: [Int], _ outgoing: [Int]) -> Bool {
            2 * voting.count(where: holds) > voting.count
                && (outgoing.isEmpty || 2 * outgoing.count(where: holds) > outgoing.count)
        }
        if isMajority(of: voting, outgoing) { return true }
        return atCommit.map { isMajority(of: $0.voting, $0.outgoing) } ?? false
    }

    public var committedEnd: LogIndex { committed.last?.end ?? .zero }
    public var committedOffset: Offset { committed.last?.nextOffset ?? .zero }

    // MARK: - The logs

    /// A replica's log has grown by `entry`.
    public mutating func appended(_ entry: LoggedEntry, at node: NodeID) throws(Violation) {
        let place = Int(node.rawValue)
        guard entry.start == replicas[place].end else {
            throw Violation(
                .offsetAccounting, "\(node) stored an entry at \(entry.start) behind \(replicas[place].end)")
        }
        let before = replicas[place].term(endingAt: entry.start) ?? .zero
        let position = LogPosition(term: entry.term, end: entry.end)
        let lineage = Lineage(entry: entry, before: before)
        if entry.members != nil, known[position] == nil {
            replicas[place].fresh.append((entry, replicas[place].changes.last))
        }
        if let known = known[position] {
            guard known == lineage else {
                throw Violation(.logMatching, "\(node) holds \(entry) after term \(before), others \(known)")
            }
        } else {
            known[position] = lineage
        }
        if let last = replicas[place].entries.last, last.nextOffset != entry.baseOffset {
            throw Violation(
                .offsetAccounting, "\(node): offset \(entry.baseOffset) at \(entry.start) follows \(last.nextOffset)")
        }
        replicas[place].append(entry)
    }

    /// A running replica dropped its entries from `end` on.
    public mutating func truncated(to end: LogIndex, at node: NodeID) throws(Violation) {
        let place = Int(node.rawValue)
        guard end >= replicas[place].commit else {
            throw Violation(
                .noTruncationBelowCommit, "\(node) cut its log at \(end), below its commit \(replicas[place].commit)")
        }
        replicas[place].truncate(to: end)
        mustRecount = true
    }

    /// Retention took what lies before `start`, or a snapshot took its place.
    public mutating func startMoved(to start: LogPosition, isRestart: Bool, at node: NodeID) throws(Violation) {
        let place = Int(node.rawValue)
        guard start.end >= replicas[place].start else {
            throw Violation(.monotonic, "\(node)'s log start went from \(replicas[place].start) to \(start.end)")
        }
        if isRestart {
            replicas[place].restart(at: start.end, term: start.term)
            replicas[place].changes = changes(before: start.end)
        } else {
            replicas[place].moveStart(to: start.end, term: start.term)
        }
        mustRecount = true
    }

    // MARK: - Crashes

    public mutating func crashed(_ node: NodeID) {
        let place = Int(node.rawValue)
        replicas[place].isUp = false
        replicas[place].view = nil
        replicas[place].commit = .zero
    }

    /// A replica came back with the log that its disk kept: whatever it called durable must be there.
    public mutating func recovered(
        start: LogPosition, entries: [LoggedEntry], term: Term, at node: NodeID
    ) throws(Violation) {
        let place = Int(node.rawValue)
        let before = replicas[place]
        guard term >= before.promisedTerm else {
            throw Violation(
                .persistBeforeReply, "\(node) spoke in term \(before.promisedTerm) and came back in \(term)")
        }
        let end = entries.last?.end ?? start.end
        guard start.end >= before.start else {
            throw Violation(.monotonic, "\(node)'s log start was \(before.start) and is \(start.end) after a crash")
        }
        guard end >= before.durable else {
            throw Violation(.persistBeforeReply, "\(node) called \(before.durable) durable and came back with \(end)")
        }
        var mirror = ReplicaMirror()
        mirror.start = start.end
        mirror.startTerm = start.term
        mirror.promisedTerm = before.promisedTerm
        mirror.everCommitted = before.everCommitted
        mirror.isUp = true
        mirror.isRebuilding = before.isRebuilding
        mirror.changes = changes(before: start.end)
        replicas[place] = mirror
        replicas[place].durable = start.end
        for entry in entries { try appended(entry, at: node) }
        // Its durable part is what it was: the same terms at the same places.
        for entry in before.entries where entry.end <= before.durable && entry.end > start.end {
            guard replicas[place].entry(endingAt: entry.end) == entry else {
                throw Violation(.persistBeforeReply, "\(node) came back without \(entry), which it called durable")
            }
        }
        replicas[place].durable = end
        mustRecount = true
        try recount()
    }

    // MARK: - Letters

    /// A letter left a node: its promises are remembered.
    public mutating func sent(_ message: Message, from node: NodeID, to peer: NodeID) throws(Violation) {
        switch message {
        case .vote(let vote):
            try voted(for: node, in: vote.term, at: node)
        case .voteReply(let term, true):
            try voted(for: peer, in: term, at: node)
        case .voteReply(let term, false):
            promised(term, at: node)
        case .appendReply(let reply):
            promised(reply.term, at: node)
            guard case .matched(let index) = reply.outcome else { return }
            guard index <= replicas[Int(node.rawValue)].durable else {
                throw Violation(
                    .persistBeforeReply,
                    "\(node) acknowledged \(index), durable is \(replicas[Int(node.rawValue)].durable)")
            }
        case .append, .heartbeat, .snapshot, .timeoutNow:
            promised(message.term, at: node)
        case .preVote, .preVoteReply, .heartbeatReply, .repair:
            break
        }
    }

    private mutating func promised(_ term: Term, at node: NodeID) {
        let place = Int(node.rawValue)
        replicas[place].promisedTerm = max(replicas[place].promisedTerm, term)
    }

    private mutating func voted(for candidate: NodeID, in term: Term, at node: NodeID) throws(Violation) {
        promised(term, at: node)
        let key = VoteKey(node: node, term: term)
        if let earlier = votes[key], earlier != candidate {
            throw Violation(.voteOnce, "\(node) voted for \(earlier) and for \(candidate) in term \(term)")
        }
        votes[key] = candidate
    }

    // MARK: - What replicas show

    /// A replica after an event, its log's changes told before.
    public mutating func observe(_ view: ReplicaView) throws(Violation) {
        let place = Int(view.node.rawValue)
        let before = replicas[place].view
        guard before != view else { return try recount() }
        if let before {
            guard view.term >= before.term, view.commit >= before.commit else {
                throw Violation(.monotonic, "\(view.node) went back from \(before) to \(view)")
            }
        }
        replicas[place].view = view
        replicas[place].durable = max(min(view.durable, replicas[place].end), replicas[place].start)
        if replicas[place].isRebuilding, replicas[place].durable >= committedEnd, committedEnd > .zero {
            replicas[place].isRebuilding = false
        }
        if let before, view.durable < before.durable { mustRecount = true }
        if view.role == .leader { try checkLeader(view, isNew: before?.role != .leader || before?.term != view.term) }
        if view.commit > replicas[place].commit { try commitMoved(view, from: replicas[place].commit) }
        try checkMembers(view)
        if let watermark = view.highWatermark { try shown(watermark, in: view.term, by: view.node) }
        try recount()
    }

    private mutating func checkLeader(_ view: ReplicaView, isNew: Bool) throws(Violation) {
        if let other = leaders[view.term], other != view.node {
            throw Violation(.electionSafety, "\(other) and \(view.node) both led term \(view.term)")
        }
        leaders[view.term] = view.node
        guard isNew, let last = committed.last else { return }
        // Entries committed in this term or later say nothing about who could be elected to it.
        guard let newest = last.term < view.term ? last : committed.last(where: { $0.term < view.term }) else { return }
        let mirror = replicas[Int(view.node.rawValue)]
        guard newest.end <= mirror.start || mirror.term(endingAt: newest.end) == newest.term else {
            throw Violation(.leaderCompleteness, "\(view.node) leads term \(view.term) without the committed \(newest)")
        }
    }

    private mutating func commitMoved(_ view: ReplicaView, from earlier: LogIndex) throws(Violation) {
        let place = Int(view.node.rawValue)
        let mirror = replicas[place]
        replicas[place].commit = view.commit
        replicas[place].everCommitted = max(view.commit, mirror.everCommitted)
        guard view.commit <= mirror.end else {
            throw Violation(.stateMachineSafety, "\(view.node) commits \(view.commit), past its end \(mirror.end)")
        }
        let wasKnown = committedEnd
        if view.role == .leader, view.commit > wasKnown, !view.voters.isEmpty {
            voting = view.voters.map { Int($0.rawValue) }
            outgoing = view.outgoing.map { Int($0.rawValue) }
            atCommit = view.membersAtCommit.map { members in
                (members.voters.map { Int($0.rawValue) }, members.outgoing.map { Int($0.rawValue) })
            }
        }
        for entry in mirror.entries[mirror.place(above: max(earlier, mirror.start))...] {
            guard entry.end <= view.commit else { break }
            if entry.start >= committedEnd {
                try extendCommitted(by: entry, at: view.node)
            } else {
                let known = committedEntry(endingAt: entry.end)
                guard known == entry else {
                    throw Violation(
                        .stateMachineSafety,
                        "\(view.node) committed \(entry) where \(known.map { "\($0)" } ?? "nothing") was")
                }
            }
        }
        if view.commit == committedEnd, view.commitOffset != committedOffset {
            throw Violation(
                .offsetAccounting,
                "\(view.node) translates \(view.commit) to \(view.commitOffset), not \(committedOffset)")
        }
        if view.role == .leader { try leaderCommitted(view, mirror) }
        if view.commit > wasKnown { try checkMajority(orElse: .quorumLog, by: view) }
    }

    private mutating func extendCommitted(by entry: LoggedEntry, at node: NodeID) throws(Violation) {
        guard entry.start == committedEnd, entry.baseOffset == committedOffset else {
            throw Violation(.offsetAccounting, "\(node) commits \(entry) behind \(committedEnd) (\(committedOffset))")
        }
        committed.append(entry)
    }

    private func leaderCommitted(_ view: ReplicaView, _ mirror: ReplicaMirror) throws(Violation) {
        let place = Int(view.node.rawValue)
        // A state machine that outlived a failed disk still knows what was committed before.
        guard view.commit > mirror.everCommitted else { return }
        guard mirror.term(endingAt: view.commit) == view.term else {
            let term = mirror.term(endingAt: view.commit).map { "\($0)" } ?? "none"
            throw Violation(
                .currentTermCommit, "\(view.node) commits \(view.commit) of term \(term) by counting in \(view.term)")
        }
        // Would the others alone, and its own disk as it is, have been a majority?
        guard mirror.durable < view.commit, let last = mirror.entry(endingAt: view.commit) else { return }
        guard !isMajority({ holds(last, $0) }), isMajority({ $0 == place || holds(last, $0) }) else { return }
        throw Violation(
            .committedIsDurable, "\(view.node) counted its own copy of \(view.commit), durable is \(mirror.durable)")
    }

    /// Whether a replica holds something from `index` on that is committed.
    func hasCommitted(from index: LogIndex, at node: NodeID) -> Bool {
        let mirror = replicas[Int(node.rawValue)]
        return mirror.entries[mirror.place(above: index)...].contains { committedEntry(endingAt: $0.end) == $0 }
    }

    /// The entry committed with that end, by bisection.
    func committedEntry(endingAt end: LogIndex) -> LoggedEntry? {
        var low = 0
        var high = committed.count
        while low < high {
            let middle = (low + high) / 2
            if committed[middle].end < end { low = middle + 1 } else { high = middle }
        }
        return low < committed.count && committed[low].end == end ? committed[low] : nil
    }

    /// The batch committed at that offset.
    func committedEntry(startingAt offset: Offset) -> LoggedEntry? {
        var low = 0
        var high = committed.count
        while low < high {
            let middle = (low + high) / 2
            if committed[middle].nextOffset <= offset { low = middle + 1 } else { high = middle }
        }
        return low < committed.count && committed[low].baseOffset == offset ? committed[low] : nil
    }

    // MARK: - Majorities

    private func holds(_ entry: LoggedEntry, _ place: Int) -> Bool {
        let mirror = replicas[place]
        // Whoever does not vote is in no quorum, so every quorum is one of the others.
        return mirror.isRebuilding || mirror.start >= entry.end
            || (mirror.durable >= entry.end && mirror.term(endingAt: entry.end) == entry.term)
    }

    private func checkMajority(orElse promise: Violation.Promise, by view: ReplicaView?) throws(Violation) {
        guard let last = committed.last, !isMajority({ holds(last, $0) }) else { return }
        let who = view.map { "\($0.node) committed" } ?? "there was committed"
        let holders = replicas.indices.filter { holds(last, $0) }
        throw Violation(
            promise,
            "\(who) \(last), which is durable on \(holders) of \(voting)\(outgoing.isEmpty ? "" : " and \(outgoing)")")
    }

    /// Something durable has shrunk somewhere: what is committed must still be on a majority of disks.
    private mutating func recount() throws(Violation) {
        guard mustRecount else { return }
        mustRecount = false
        try checkMajority(orElse: .quorumLog, by: nil)
    }

    // MARK: - High watermarks

    private mutating func shown(_ offset: Offset, in term: Term, by node: NodeID) throws(Violation) {
        guard offset <= committedOffset else {
            throw Violation(.quorumLog, "\(node) shows \(offset), committed is \(committedOffset)")
        }
        let place = watermarks.firstIndex { $0.term > term } ?? watermarks.count
        if place > 0, offset < watermarks[place - 1].offset {
            let earlier = watermarks[place - 1]
            throw Violation(
                .monotonic, "\(node) shows \(offset) in term \(term), \(earlier.offset) was shown in \(earlier.term)")
        }
        if place > 0, watermarks[place - 1].term == term {
            watermarks[place - 1].offset = offset
        } else {
            watermarks.insert((term, offset), at: place)
        }
    }
}
