// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

/// An entry as the bench's logs keep it: who wrote it, where it ends, and what it says.
struct Entry: Hashable {
    var term: Term
    var end: LogIndex
    var value: UInt64
    /// Who belongs to the group from here on; nil for a record.
    var members: RaftMembers?
}

/// A message on its way, with the entries that travel beside it.
struct Flight: Hashable {
    var from: NodeID
    var to: NodeID
    var message: Message
    var entries: [Entry] = []
}

/// One member of a bench: the node, its log in memory, and what its disk would still know after a crash.
struct Member {
    var node: RaftNode
    var isUp = true
    var start = LogAnchor.origin
    var log: [Entry] = []
    var durable = LogIndex.zero
    /// What the disk may fall back to when a truncation is not durable yet.
    var beforeTruncation: [Entry]?
    var disk = HardState()
    var unpersisted: HardState?
    var held: [Envelope] = []
    var commit = LogIndex.zero
    /// What this member was told of who founded the group.
    var founders: RaftMembers
    /// What the snapshot that the log begins with has said.
    var membersAtStart: RaftMembers?
    /// Its disk was lost, and it knows that.
    var isRebuilding = false

    var end: LogIndex { log.last?.end ?? start.position.end }

    func entries(from index: LogIndex) -> ArraySlice<Entry> {
        var place = log.endIndex
        while place > 0, startOf(place - 1) >= index { place -= 1 }
        return log[place...]
    }

    func startOf(_ place: Int) -> LogIndex { place == 0 ? start.position.end : log[place - 1].end }

    func term(endingAt index: LogIndex) -> Term? {
        if index == start.position.end { return start.position.term }
        guard index > start.position.end, index <= end else { return nil }
        for place in log.indices.reversed() where startOf(place) < index { return log[place].term }
        return nil
    }

    var changes: [MembersEntry] {
        log.indices.compactMap { place in
            log[place].members.map { MembersEntry(slot: startOf(place), members: $0) }
        }
    }

    /// What retention keeps of the entries that it removes.
    mutating func forgetEntries(through anchor: LogAnchor) {
        membersAtStart = log.last { $0.end <= anchor.position.end && $0.members != nil }?.members ?? membersAtStart
        log.removeAll { $0.end <= anchor.position.end }
        start = anchor
        beforeTruncation = nil
    }

    var terms: TermTable {
        var table = TermTable()
        for place in log.indices { table.note(log[place].term, at: startOf(place)) }
        return table
    }
}

/// A group of pure nodes whose disks and letters the test holds in its hand.
///
/// Nothing is written, synced or delivered unless the test says so; `settle()` does all of it until nothing is left.
struct Bench {
    static let group = PartitionID(topic: TopicID(high: 7, low: 9), index: 3)
    static let timing = RaftTiming(
        electionTimeout: 1_000_000_000, heartbeatInterval: 100_000_000, reconnectDelay: 10_000_000)

    var members: [Member] = []
    let roster: RaftMembers
    let limits: RaftLimits
    let seed: UInt64
    var now = Moment(nanoseconds: 5_000_000_000)
    var flights: [Flight] = []
    /// What `settle` delivers; all else is lost.
    var passes: (Flight) -> Bool = { _ in true }
    var oracle = Oracle()
    /// The caller does not append that the joint configuration is left.
    var refusesToLeave = false
    private var nextValue: UInt64 = 1

    init(
        voters: Int, learners: Int = 0, limits: RaftLimits = RaftLimits(), seed: UInt64 = 1,
        strangers: Int = 0, logs: [[Int32]] = [], hardStates: [HardState] = [], eagerCommit: Bool = false
    ) {
        self.limits = limits
        self.seed = seed
        roster = RaftMembers(
            voters: (0..<voters).map { NodeID(Int32($0)) },
            learners: (voters..<voters + learners).map { NodeID(Int32($0)) })
        for place in 0..<voters + learners + strangers {
            let founders = place < voters + learners ? roster : .none
            let terms = place < logs.count ? logs[place] : []
            var log: [Entry] = []
            for (slot, term) in terms.enumerated() {
                log.append(
                    Entry(term: Term(term), end: LogIndex(Int64(slot + 1)), value: UInt64(slot) << 32 | UInt64(term)))
            }
            let disk = place < hardStates.count ? hardStates[place] : HardState(term: Term(terms.max() ?? 0))
            var member = Member(
                node: Self.node(
                    place, roster: founders, limits: limits, seed: seed, now: now, eagerCommit: eagerCommit),
                founders: founders)
            member.isRebuilding = founders == .none
            member.log = log
            member.durable = member.end
            member.disk = disk
            members.append(member)
            restart(place, eagerCommit: eagerCommit)
        }
        flights = []
    }

    private static func node(
        _ place: Int, roster: RaftMembers, limits: RaftLimits, seed: UInt64, now: Moment, eagerCommit: Bool
    ) -> RaftNode {
        RaftNode(
            id: NodeID(Int32(place)), group: group, members: roster, timing: timing, limits: limits,
            seed: seed &* 31 &+ UInt64(place), now: now, eagerCommit: eagerCommit)
    }

    subscript(_ place: Int) -> RaftNode { members[place].node }

    // MARK: - Events

    @discardableResult
    mutating func step(_ place: Int, _ event: RaftNode.Event, entries: [Entry] = []) -> RaftNode.Output {
        guard members[place].isUp else { return RaftNode.Output() }
        var output = RaftNode.Output()
        members[place].node.handle(event, now: now, into: &output)
        perform(output, at: place, entries: entries)
        oracle.observe(place, members[place], output)
        oracle.observeMembers(place, members)
        if let term = output.appendLeaderStart {
            append(place, slots: 1, term: term)
        }
        if let changed = output.appendMembers, members[place].node.pendingMembers == changed,
            !(refusesToLeave && members[place].node.members.isJoint)
        {
            append(place, slots: 1, term: members[place].node.term, members: changed)
        }
        if output.endRebuilding, members[place].isRebuilding {
            members[place].isRebuilding = false
            step(place, .rebuilt)
        }
        return output
    }

    private mutating func perform(_ output: RaftNode.Output, at place: Int, entries: [Entry]) {
        if let state = output.persist { members[place].unpersisted = state }
        if let end = output.truncate {
            if members[place].beforeTruncation == nil { members[place].beforeTruncation = durableImage(place) }
            oracle.truncated(place, to: end)
            while members[place].end > end { members[place].log.removeLast() }
            members[place].durable = min(members[place].durable, end)
        }
        if let from = output.storeFrom {
            let new = entries.filter { $0.end > from }
            members[place].log.append(contentsOf: new)
        }
        for envelope in output.send { post(envelope, from: place) }
        if members[place].unpersisted == nil {
            for envelope in output.sendOncePersisted { post(envelope, from: place) }
        } else {
            members[place].held += output.sendOncePersisted
        }
        if let commit = output.committed { members[place].commit = commit }
        if let snapshot = output.installSnapshot {
            let anchor = snapshot.anchor
            members[place].membersAtStart = snapshot.members
            members[place].log = []
            members[place].start = anchor
            members[place].durable = anchor.position.end
            members[place].beforeTruncation = nil
            members[place].commit = anchor.position.end
            step(place, .snapshotInstalled(anchor))
        }
    }

    func durableImage(_ place: Int) -> [Entry] {
        members[place].log.filter { $0.end <= members[place].durable }
    }

    private mutating func post(_ envelope: Envelope, from place: Int) {
        flights.append(Flight(from: NodeID(Int32(place)), to: envelope.to, message: envelope.message))
    }

    private mutating func append(_ place: Int, slots: Int64, term: Term, members changed: RaftMembers? = nil) {
        let end = members[place].end.advanced(by: slots)
        if let changed { oracle.membersChange(to: changed, by: members[place]) }
        members[place].log.append(Entry(term: term, end: end, value: nextValue, members: changed))
        nextValue += 1
        step(place, .proposed(end: end, members: changed))
    }

    /// Asks the leader at `place` for one step, and says whether it was heard.
    @discardableResult
    mutating func change(_ place: Int, to wanted: RaftMembers) -> Bool {
        let before = members[place].log.count
        step(place, .changeMembers(wanted))
        return members[place].log.count > before
    }

    /// The leader at `place` takes in a batch of so many records.
    mutating func propose(_ place: Int, slots: Int64 = 1) {
        guard members[place].isUp, members[place].node.acceptsProposals else { return }
        append(place, slots: slots, term: members[place].node.term)
    }

    /// The end of a turn: sends every peer what it is due.
    mutating func replicate(_ place: Int) {
        guard members[place].isUp else { return }
        let peers = (0..<members[place].node.peerCount).map { members[place].node.peer(at: $0) }
        for peer in peers {
            while let plan = members[place].node.nextAppend(to: peer, now: now) { send(plan, to: peer, from: place) }
        }
    }

    private mutating func send(_ plan: RaftNode.AppendPlan, to peer: NodeID, from place: Int) {
        let message: Message
        var taken: [Entry] = []
        switch plan.kind {
        case .probe:
            message = members[place].node.appendSent(to: peer, runs: [], bytes: .zero, now: now)
        case .snapshot:
            message = members[place].node.snapshotSent(to: peer, anchor: members[place].start, now: now)
        case .entries:
            var bytes: Int64 = 0
            var runs: [TermRun] = []
            for entry in members[place].entries(from: plan.prev.end) {
                if !taken.isEmpty, bytes + 100 > plan.limit.rawValue { break }
                bytes += 100
                taken.append(entry)
                if runs.last?.term == entry.term { runs.removeLast() }
                runs.append(TermRun(term: entry.term, end: entry.end))
            }
            message = members[place].node.appendSent(to: peer, runs: runs, bytes: ByteCount(bytes), now: now)
        }
        flights.append(Flight(from: NodeID(Int32(place)), to: peer, message: message, entries: taken))
    }

    mutating func persist(_ place: Int) {
        guard members[place].isUp, let state = members[place].unpersisted else { return }
        members[place].disk = state
        oracle.persisted(state, of: place)
        members[place].unpersisted = nil
        let held = members[place].held
        members[place].held = []
        for envelope in held { post(envelope, from: place) }
        step(place, .persisted(state))
    }

    mutating func sync(_ place: Int) {
        guard members[place].isUp, members[place].durable < members[place].end || members[place].beforeTruncation != nil
        else { return }
        members[place].durable = members[place].end
        members[place].beforeTruncation = nil
        step(place, .durable(through: members[place].durable))
    }

    mutating func deliver(_ flight: Flight) {
        var at = LogIndex.zero
        if case .append(let append) = flight.message { at = append.prev.end }
        var changes: [MembersEntry] = []
        for entry in flight.entries {
            if let changed = entry.members { changes.append(MembersEntry(slot: at, members: changed)) }
            at = entry.end
        }
        step(
            Int(flight.to.rawValue), .received(flight.message, from: flight.from, changes: changes),
            entries: flight.entries)
    }

    mutating func crash(_ place: Int, keepingUnsynced kept: Int = 0, keepsHardState: Bool = false, undoes: Bool = false)
    {
        members[place].isUp = false
        if keepsHardState, let state = members[place].unpersisted { members[place].disk = state }
        if undoes, let old = members[place].beforeTruncation {
            members[place].log = old
        } else {
            let synced = durableImage(place).count
            members[place].log = Array(members[place].log.prefix(synced + kept))
        }
        members[place].durable = members[place].end
        members[place].beforeTruncation = nil
        members[place].unpersisted = nil
        members[place].held = []
        members[place].commit = members[place].start.position.end
    }

    mutating func restart(_ place: Int, eagerCommit: Bool = false) {
        let member = members[place]
        members[place].isUp = true
        members[place].node = RaftNode(
            id: NodeID(Int32(place)), group: Self.group, members: member.founders, timing: Self.timing, limits: limits,
            restoring: member.disk,
            log: RaftLogView(
                start: member.start, end: member.end, durable: member.end, terms: member.terms,
                membersAtStart: member.membersAtStart, changes: member.changes),
            commit: member.start.position.end, seed: seed &* 31 &+ UInt64(place) &+ now.nanoseconds, now: now,
            eagerCommit: eagerCommit, isRebuilding: member.isRebuilding)
    }

    /// The disk of a member that is down is replaced by an empty one; the letters it has sent are lost with it.
    mutating func wipe(_ place: Int, unnoticed isUnnoticed: Bool = false) {
        members[place].log = []
        members[place].start = .origin
        members[place].durable = .zero
        members[place].disk = HardState()
        members[place].membersAtStart = nil
        members[place].isRebuilding = !isUnnoticed
        members[place].commit = .zero
        flights.removeAll { $0.from == NodeID(Int32(place)) }
    }

    // MARK: - In bulk

    /// Persists, syncs, replicates and delivers until nothing is left to do.
    mutating func settle(syncing: Bool = true) {
        for _ in 0..<10_000 {
            for place in members.indices {
                persist(place)
                if syncing { sync(place) }
                replicate(place)
            }
            guard !flights.isEmpty else {
                if members.allSatisfy({ $0.unpersisted == nil }) { return }
                continue
            }
            let landing = flights
            flights = []
            for flight in landing where passes(flight) { deliver(flight) }
        }
        Issue.record("the cluster never came to rest")
    }

    /// Lets time pass in which every deadline is kept, settling after each.
    mutating func run(milliseconds: UInt64) {
        let end = now.advanced(byNanoseconds: milliseconds * 1_000_000)
        while let next = members.filter(\.isUp).map(\.node.deadline).min(), next <= end {
            now = max(now, next)
            for place in members.indices where members[place].isUp && members[place].node.deadline <= now {
                step(place, .tick)
            }
            settle()
        }
        now = end
    }

    mutating func pass(milliseconds: UInt64) { now = now.advanced(byNanoseconds: milliseconds * 1_000_000) }

    /// Makes the member stand at its deadline, and lets everything settle.
    mutating func elect(_ place: Int) {
        now = max(now, members[place].node.deadline)
        // Nobody's lease may stand in the way.
        pass(milliseconds: 1_000)
        step(place, .tick)
        settle()
        #expect(self[place].isLeader, "n\(place) was to lead")
    }

    var leaders: [Int] { members.indices.filter { members[$0].isUp && members[$0].node.isLeader } }

    func appends(to peer: Int) -> [Append] {
        flights.compactMap { flight in
            guard case .append(let append) = flight.message, flight.to == NodeID(Int32(peer)) else { return nil }
            return append
        }
    }

    static func cut(_ left: [Int], _ right: [Int]) -> (Flight) -> Bool {
        { flight in
            let from = Int(flight.from.rawValue)
            let to = Int(flight.to.rawValue)
            return !(left.contains(from) && right.contains(to)) && !(right.contains(from) && left.contains(to))
        }
    }
}
