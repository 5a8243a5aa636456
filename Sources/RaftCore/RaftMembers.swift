// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// Who belongs to a group (dissertation §4.3).
///
///     voters 1 2 3 ──▶ voters 2 3 4, outgoing 1 2 3 ──▶ voters 2 3 4
///                      (joint: any decision needs a majority of both)
///
/// Two are equal when they say the same of who belongs: `preferred` is each node's own business.
public struct RaftMembers: Sendable {
    /// Ascending, each once.
    public let voters: [NodeID]
    /// The voters of the configuration that is being left, ascending, each once; empty unless the change is under way.
    public let outgoing: [NodeID]
    /// Ascending, each once, none of them in `voters`. They are sent everything and count for nothing; one that is
    /// outgoing counts as that while it lasts.
    public let learners: [NodeID]
    /// In which order voters should stand when nobody leads; when empty, an order of each group's own.
    public let preferred: [NodeID]
    /// Whoever may vote: `voters` and `outgoing`, ascending, each once.
    public let electors: [NodeID]

    public init(
        voters: [NodeID], outgoing: [NodeID] = [], learners: [NodeID] = [], preferred: [NodeID] = []
    ) {
        self.preferred = preferred
        self.voters = Self.unique(voters)
        self.outgoing = Self.unique(outgoing)
        self.learners = Self.unique(learners).filter { !voters.contains($0) }
        electors = outgoing.isEmpty ? self.voters : Self.unique(voters + outgoing)
    }

    private static func unique(_ nodes: [NodeID]) -> [NodeID] {
        var unique: [NodeID] = []
        for node in nodes.sorted() where unique.last != node { unique.append(node) }
        return unique
    }

    /// Nobody: what a node knows of a group before it has heard of it.
    public static let none = RaftMembers(voters: [])

    public var isJoint: Bool { !outgoing.isEmpty }

    public func isElector(_ node: NodeID) -> Bool { electors.contains(node) }

    public func contains(_ node: NodeID) -> Bool { electors.contains(node) || learners.contains(node) }

    /// Everybody, ascending, each once.
    public var all: [NodeID] { Self.unique(electors + learners) }

    /// The configuration without those that go.
    public var left: RaftMembers { RaftMembers(voters: voters, learners: learners, preferred: preferred) }

    /// The same members in another order of preference.
    public func preferring(_ order: [NodeID]) -> RaftMembers {
        RaftMembers(voters: voters, outgoing: outgoing, learners: learners, preferred: order)
    }

    /// Whether these are a majority of the voters and, while the change is under way, of the outgoing ones too.
    ///
    /// It is not a matter of how many there are in all (redpanda bca6f1db00).
    public func isQuorum(_ nodes: [NodeID]) -> Bool {
        #if MUTANTS
            if Mutant.isActive("T-V18") { return 2 * Self.count(of: nodes, in: electors) > electors.count }
        #endif
        return Quorum(of: voters.count).isReached(by: Self.count(of: nodes, in: voters))
            && (outgoing.isEmpty || Quorum(of: outgoing.count).isReached(by: Self.count(of: nodes, in: outgoing)))
    }

    /// Whether no quorum can come together any more without these.
    public func isOutOfReach(without nodes: [NodeID]) -> Bool {
        Quorum(of: voters.count).isOutOfReach(refusals: Self.count(of: nodes, in: voters))
            || (!outgoing.isEmpty
                && Quorum(of: outgoing.count).isOutOfReach(refusals: Self.count(of: nodes, in: outgoing)))
    }

    private static func count(of nodes: [NodeID], in voters: [NodeID]) -> Int {
        voters.count { nodes.contains($0) }
    }
}

extension RaftMembers: Hashable {
    public static func == (left: Self, right: Self) -> Bool {
        left.voters == right.voters && left.outgoing == right.outgoing && left.learners == right.learners
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(voters)
        hasher.combine(outgoing)
        hasher.combine(learners)
    }
}

extension RaftMembers: CustomStringConvertible {
    public var description: String {
        let change = isJoint ? "\(outgoing) to \(voters)" : "\(voters)"
        return learners.isEmpty ? change : "\(change), learners \(learners)"
    }
}

/// A configuration that an entry of the log puts in force. The entry takes the one slot `slot`.
public struct MembersEntry: Hashable, Sendable {
    public var slot: LogIndex
    public var members: RaftMembers

    public init(slot: LogIndex, members: RaftMembers) {
        self.slot = slot
        self.members = members
    }

    /// The entry's end: it is committed when the commit index is not below this.
    public var end: LogIndex { slot.advanced(by: 1) }
}

/// The configurations that a log has seen: a pure function of the log and of who founded the group.
///
/// The newest is in force from its append on, committed or not, and no longer once its entry is cut off.
struct MembersHistory: Sendable {
    /// What is in force where the log begins.
    private(set) var base: RaftMembers
    /// Ascending; none lies before the log's start.
    private(set) var entries: [MembersEntry] = []

    init(base: RaftMembers) { self.base = base }

    var latest: RaftMembers { entries.last?.members ?? base }

    /// The end of the newest entry; zero when there is none, and so nothing that could be uncommitted.
    var latestEnd: LogIndex { entries.last?.end ?? .zero }

    /// What the newest entry replaced.
    var previous: RaftMembers { entries.dropLast().last?.members ?? base }

    /// What is in force for a log that ends at `end`.
    func members(at end: LogIndex) -> RaftMembers { entries.last { $0.slot < end }?.members ?? base }

    mutating func append(_ entry: MembersEntry) {
        precondition(entries.last.map { $0.slot < entry.slot } ?? true, "configurations are noted in log order")
        entries.append(entry)
    }

    mutating func truncate(to end: LogIndex) {
        #if MUTANTS
            if Mutant.isActive("T-M1") { return }
        #endif
        while let last = entries.last, last.slot >= end { entries.removeLast() }
    }

    mutating func dropPrefix(before start: LogIndex) {
        let count = entries.firstIndex { $0.slot >= start } ?? entries.count
        guard count > 0 else { return }
        #if MUTANTS
            if Mutant.isActive("T-M9") { return entries.removeSubrange(..<count) }
        #endif
        base = entries[count - 1].members
        entries.removeSubrange(..<count)
    }
}
