// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// Who should vote in the metadata group: a few of the healthy nodes.
///
/// It has no memory, so whoever comes to lead the group goes on where the last leader stopped. It makes one step at a
/// time, and is to be asked again once the members that it named are in force and committed:
///
///     too few vote            healthy nodes get a vote, as many as are missing
///     one that votes leaves   a healthy node takes its place; where there is none, there is one voter fewer
///     one is gone for long    a healthy node takes its place; where there is none, it stays
///     too many vote           one does no longer
public struct VoterPlan: Hashable, Sendable {
    /// A node that has registered, or votes.
    public struct Candidate: Hashable, Sendable {
        public var id: NodeID
        public var rack: String?
        /// Whether the node has registered. One that votes and has not is only a name so far.
        public var isRegistered: Bool
        public var isDraining: Bool
        public var wish: VoterWish?
        public var contact: Contact

        public init(
            id: NodeID, rack: String? = nil, isRegistered: Bool = true, isDraining: Bool = false,
            wish: VoterWish? = nil, contact: Contact
        ) {
            self.id = id
            self.rack = rack
            self.isRegistered = isRegistered
            self.isDraining = isDraining
            self.wish = wish
            self.contact = contact
        }
    }

    /// Whether the leader is connected to a node, and since when it has been so or not.
    public enum Contact: Hashable, Sendable {
        case connected(since: Moment)
        case gone(since: Moment)
    }

    public struct Step: Hashable, Sendable {
        /// Ascending.
        public let voters: [NodeID]
        /// Why, for people.
        public let reason: String
    }

    /// How many there should be, when there are enough nodes: 3 or 5; `nil` for five where five or more vote already,
    /// else three.
    public var count: Int?
    /// For how many nanoseconds a voter must have been gone before another node gets its vote.
    public var patience: UInt64
    /// The most voters that wishes can lead to.
    public static let limit = 7

    public init(count: Int?, patience: UInt64) {
        precondition(count == nil || count == 3 || count == 5, "three nodes vote, or five")
        self.count = count
        self.patience = patience
    }

    /// A node that comes and goes must not get a vote: for how many nanoseconds it must have been there.
    public var settling: UInt64 { patience / 30 }

    /// The voters that there should be instead of `present`; `nil` to leave them.
    ///
    /// A step never leaves fewer than a majority of its voters connected, and never takes a vote from one that is
    /// connected unless it is drained, not wished for, or one too many.
    /// - Parameters:
    ///   - present: the members in force, when they are committed and not joint; not empty.
    ///   - leader: asks, and is the last to go when there are too many.
    ///   - nodes: every registered node and every present voter, each once.
    /// - Complexity: O(*n* · log *n*) in nodes.
    public func next(
        present: [NodeID], leader: NodeID, nodes: [Candidate], now: Moment
    ) -> Step? {
        let view = View(plan: self, present: present, leader: leader, nodes: nodes.sorted { $0.id < $1.id }, now: now)
        guard let step = view.growth ?? view.departure ?? view.replacement ?? view.surplus ?? view.wish else {
            return nil
        }
        let connected = nodes.count { $0.isConnected && step.voters.contains($0.id) }
        return !step.voters.isEmpty && 2 * connected > step.voters.count ? step : nil
    }
}

extension VoterPlan.Candidate {
    var isConnected: Bool {
        if case .connected = contact { true } else { false }
    }

    /// Whether it may have a vote, were it only there.
    var isFit: Bool { !isDraining && wish != .observer }

    fileprivate func isHealthy(_ plan: VoterPlan, now: Moment) -> Bool {
        guard isFit, isRegistered, case .connected(let since) = contact else { return false }
        return now.nanoseconds(since: since) >= plan.settling
    }

    /// For how many nanoseconds it has been gone, when that is too long.
    fileprivate func absence(_ plan: VoterPlan, now: Moment) -> UInt64? {
        guard case .gone(let since) = contact, now.nanoseconds(since: since) >= plan.patience else { return nil }
        return now.nanoseconds(since: since)
    }
}

/// What a plan sees.
private struct View {
    let plan: VoterPlan
    let present: [NodeID]
    let leader: NodeID
    let voters: [VoterPlan.Candidate]
    /// Healthy nodes without a vote, those that are wished for first.
    let spare: [VoterPlan.Candidate]
    let target: Int
    let now: Moment

    init(plan: VoterPlan, present: [NodeID], leader: NodeID, nodes: [VoterPlan.Candidate], now: Moment) {
        self.plan = plan
        self.present = present
        self.leader = leader
        self.now = now
        voters = nodes.filter { present.contains($0.id) }
        let healthy = nodes.filter { !present.contains($0.id) && $0.isHealthy(plan, now: now) }
        spare = healthy.filter { $0.wish == .voter } + healthy.filter { $0.wish != .voter }
        target = Self.target(plan.count ?? (present.count >= 5 ? 5 : 3), present, fit: nodes.count { $0.isFit })
    }

    /// Two nodes survive the loss of neither, so a second one gets no vote; but where two vote, both disks are needed.
    private static func target(_ wanted: Int, _ present: [NodeID], fit: Int) -> Int {
        if fit >= 5, wanted == 5 { return 5 }
        if fit >= 3 { return 3 }
        return max(1, min(present.count, fit))
    }

    /// The next healthy nodes to vote, spread over racks.
    private func newcomers(_ count: Int, beside staying: [VoterPlan.Candidate]) -> [VoterPlan.Candidate] {
        var chosen: [VoterPlan.Candidate] = []
        while chosen.count < count {
            let left = spare.filter { !chosen.contains($0) }
            let racks = Set((staying + chosen).compactMap(\.rack))
            let isElsewhere = { (node: VoterPlan.Candidate) in node.rack.map { !racks.contains($0) } ?? false }
            guard
                let next = left.first(where: { $0.wish == .voter }) ?? left.first(where: isElsewhere) ?? left.first
            else { break }
            chosen.append(next)
        }
        return chosen
    }

    private func step(
        without leaving: NodeID? = nil, with joining: [VoterPlan.Candidate] = [], _ reason: String
    ) -> VoterPlan.Step {
        VoterPlan.Step(voters: (present.filter { $0 != leaving } + joining.map(\.id)).sorted(), reason: reason)
    }

    var growth: VoterPlan.Step? {
        guard present.count < target else { return nil }
        let joining = newcomers(target - present.count, beside: voters)
        guard !joining.isEmpty else { return nil }
        let names = joining.map { "\($0.id.rawValue)" }.joined(separator: " and ")
        return step(with: joining, "\(target) nodes are to vote: \(names) as well")
    }

    /// One that is drained, or is not to vote by somebody's wish.
    var departure: VoterPlan.Step? {
        let leaving = voters.filter { $0.isDraining || $0.wish == .observer }
        // One that is not there anyway goes first, and the leader last: it then moves only once.
        guard
            let first = leaving.first(where: { !$0.isConnected }) ?? leaving.first(where: { $0.id != leader })
                ?? leaving.first
        else { return nil }
        let reason = first.isDraining ? "is being drained" : "is not to vote"
        let staying = voters.filter { $0.id != first.id }
        if staying.count < target, let next = newcomers(1, beside: staying).first {
            return step(without: first.id, with: [next], "\(first.id.rawValue) \(reason): \(next.id.rawValue) instead")
        }
        guard present.count > 1 else { return nil }
        return step(without: first.id, "\(first.id.rawValue) \(reason)")
    }

    private var missed: VoterPlan.Candidate? {
        let gone = voters.filter { $0.absence(plan, now: now) != nil }
        return gone.max { ($0.absence(plan, now: now) ?? 0) < ($1.absence(plan, now: now) ?? 0) }
    }

    var replacement: VoterPlan.Step? {
        guard let missed, let next = newcomers(1, beside: voters.filter { $0.id != missed.id }).first else {
            return nil
        }
        let seconds = (missed.absence(plan, now: now) ?? 0) / 1_000_000_000
        return step(
            without: missed.id, with: [next],
            "\(missed.id.rawValue) has been gone for \(seconds) s: \(next.id.rawValue) instead")
    }

    var surplus: VoterPlan.Step? {
        guard present.count > target else { return nil }
        let idle = voters.filter { $0.wish != .voter && $0.id != leader }
        guard let last = missed ?? idle.last(where: { !$0.isConnected }) ?? idle.last, last.wish != .voter else {
            return nil
        }
        return step(without: last.id, "\(target) nodes are to vote: \(last.id.rawValue) no longer")
    }

    /// A node that is to vote by somebody's wish takes the place of one that only happens to.
    var wish: VoterPlan.Step? {
        guard let wanted = spare.first, wanted.wish == .voter else { return nil }
        let reason = "\(wanted.id.rawValue) is to vote"
        if let last = voters.last(where: { $0.wish != .voter && $0.id != leader }) {
            return step(without: last.id, with: [wanted], "\(reason), instead of \(last.id.rawValue)")
        }
        guard present.count < VoterPlan.limit else { return nil }
        return step(with: [wanted], reason)
    }
}
