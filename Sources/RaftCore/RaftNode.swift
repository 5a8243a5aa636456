// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// One member of one Raft group: a value that turns events into work for someone else to do.
///
/// It opens no file, starts no timer and never waits. It is total (every event is legal in every role, and what does
/// not concern it is ignored) and deterministic: the same events from the same start give the same output.
///
///             silence, or the       a majority        a majority
///             leader's connection   would vote        votes
///     follower ───────▶ preCandidate ───────▶ candidate ───────▶ leader
///        ▲                   │                    │                │
///        └───────────────────┴── a leader's word, a higher term, ──┘
///                                or no majority heard
///
/// How far the own log has come:
///
///     start ≤ commit ≤ verified ≤ end        start ≤ durable ≤ end
///
/// `commit` may run ahead of `durable`: a majority elsewhere is enough (dissertation §10.2.1). `verified` is how far
/// the log is known to agree with the leader's; only that much is acknowledged, and only that much commits.
///
/// Differences from the dissertation: pre-vote with leases (§9.6, §4.2.3), check-quorum, a broken connection as a
/// reason to stand, positions that name an entry's end instead of its own index, and back-tracking by terms (§5.3 of
/// the paper, end) in which both sides skip.
public struct RaftNode: Sendable {
    public enum Role: String, Hashable, Sendable { case follower, preCandidate, candidate, leader }

    public let id: NodeID
    public let group: PartitionID
    /// Who belongs to the group by the newest entry of the log that says so, committed or not.
    public internal(set) var members: RaftMembers
    /// The end of the entry that says so; zero when it was one before the log's start, or none.
    var membersEnd: LogIndex
    public let timing: RaftTiming
    public let limits: RaftLimits
    /// Whether followers are told of each commit at once instead of with the next append or heartbeat.
    public let eagerCommit: Bool

    public internal(set) var role = Role.follower
    /// The leader of `term`, once it has been heard.
    public internal(set) var leader: NodeID?
    /// Why this member has stopped for good, when it has.
    public internal(set) var fault: String?

    var hardState: HardState
    /// The hard state last asked to be persisted, and the one known to be on disk.
    var requested: HardState
    var persisted: HardState

    var log: LogTail
    public internal(set) var commit: LogIndex
    /// Our log below this agrees with the log of this term's leader.
    var verified: LogIndex
    /// The last match told to this term's leader.
    var acknowledged: LogIndex
    /// The snapshot the caller is installing. Until it is done the log does not change and we do not stand.
    var installing: Snapshot?
    /// The own log was lost, and what was promised with it. Until it is rebuilt this member stores and acknowledges,
    /// which leaders judge for themselves, but neither votes nor stands.
    public internal(set) var isRebuilding: Bool
    /// Whether the founders are known to be in force although the log that might say otherwise is lost.
    let knowsMembers: Bool

    var electionDeadline: Moment
    /// When the leader was last heard, if it was since it became our leader.
    var leaderHeardAt: Moment?
    /// The connection to the leader broke and it has not been heard since.
    var leaderLost = false
    /// Elections tried in a row without hearing a leader; each one makes the next wait longer.
    var attempts: UInt64 = 0
    var round: UInt32 = 0
    var granted: [NodeID] = []
    var refused: [NodeID] = []

    /// Leader: one for each other member.
    var peers: [Progress] = []
    /// Leader: where the own term's entries begin.
    var termStart: LogIndex
    var heartbeatDeadline: Moment
    var transfer: Transfer?
    /// Leader: the configuration that the caller was asked to append.
    public internal(set) var pendingMembers: RaftMembers?
    /// The sequence of the newest heartbeat sent; never twice the same.
    public internal(set) var lastSequence: UInt64 = 0
    var reached: [LogIndex] = []

    var now: Moment
    var random: SplitMix

    struct Transfer: Hashable, Sendable {
        var target: NodeID
        var deadline: Moment
        var isAsked = false
    }

    /// - Parameters:
    ///   - members: in force where the log begins, unless the log view says otherwise: the group's founders. Empty for
    ///     a node that was told none.
    ///   - isRebuilding: the log was lost.
    ///   - knowsMembers: `members` are in force for certain, whatever was in the lost log.
    ///   - commit: known to be committed; at least the log's start.
    ///   - seed: of the lots that are drawn for timeouts.
    /// - Precondition: the log's start is not above its end, and `commit` lies between them.
    public init(
        id: NodeID, group: PartitionID, members: RaftMembers, timing: RaftTiming = RaftTiming(),
        limits: RaftLimits = RaftLimits(), restoring: HardState = HardState(), log view: RaftLogView = RaftLogView(),
        commit: LogIndex = .zero, seed: UInt64, now: Moment, eagerCommit: Bool = false, isRebuilding: Bool = false,
        knowsMembers: Bool = false
    ) {
        self.id = id
        self.group = group
        self.timing = timing
        self.limits = limits
        self.eagerCommit = eagerCommit
        self.isRebuilding = isRebuilding
        self.knowsMembers = knowsMembers
        log = LogTail(view, founders: members)
        self.members = log.members.latest.preferring(members.preferred)
        membersEnd = log.members.latestEnd
        self.commit = max(commit, view.start.position.end)
        #if MUTANTS
            if Mutant.isActive("T-C16") { self.commit = log.end }
        #endif
        verified = self.commit
        acknowledged = .zero
        termStart = log.end
        hardState = restoring
        // Entries may have reached the disk before the hard state that goes with them: nothing was promised in that
        // term yet, so it may be taken up with a free vote (PySyncObj PR 202).
        if log.last.term > restoring.term { hardState = HardState(term: log.last.term) }
        #if MUTANTS
            if Mutant.isActive("T-V19") { hardState = HardState() }
        #endif
        requested = restoring
        persisted = restoring
        self.now = now
        electionDeadline = now
        heartbeatDeadline = now
        random = SplitMix(state: seed)
        electionDeadline = now.advanced(byNanoseconds: isSoleVoter ? 0 : hastyDelay())
        checkInvariants()
    }

    // MARK: - What it knows

    public var term: Term { hardState.term }
    public var isLeader: Bool { role == .leader }
    /// When the leader that is followed was last heard.
    public var leaderLastHeard: Moment? { leaderHeardAt }
    /// The position of the last entry of the own log.
    public var lastEntry: LogPosition { log.last }
    public var durable: LogIndex { log.durable }
    var isSoleVoter: Bool { members.electors == [id] }

    /// Leader: an entry of its own term is committed. Only then may a high watermark be shown (dissertation §6.4):
    /// what an earlier leader has shown may lie beyond the commit index known before.
    public var hasCommittedInTerm: Bool {
        #if MUTANTS
            if Mutant.isActive("T-C2") { return role == .leader && commit >= termStart }
        #endif
        return role == .leader && commit > termStart
    }
    /// Leader, and not about to hand over: during a transfer new proposals would keep the target from catching up.
    public var acceptsProposals: Bool { role == .leader && transfer == nil && fault == nil }
    public var transferTarget: NodeID? { transfer?.target }

    /// When `.tick` is next of any use; `Moment(nanoseconds: .max)` for never.
    public var deadline: Moment {
        if fault != nil { return .never }
        if role == .leader { return min(heartbeatDeadline, transfer?.deadline ?? .never) }
        #if MUTANTS
            if Mutant.isActive("T-V14") { return electionDeadline }
        #endif
        return mayStand && installing == nil ? electionDeadline : .never
    }

    // MARK: - Events

    /// Takes in one event and adds what must be done about it to `output`, which the caller has reset.
    public mutating func handle(_ event: Event, now: Moment, into output: inout Output) {
        guard fault == nil else { return }
        self.now = max(self.now, now)
        let before = (hardState, commit, log.start.position.end)
        switch event {
        case .tick: tick(into: &output)
        case .received(let message, let sender, let changes):
            receive(message, from: sender, changes: changes, into: &output)
        case .proposed(let end, let changed): proposed(end: end, members: changed, into: &output)
        case .durable(let index): becameDurable(through: index, into: &output)
        case .persisted(let state): becamePersisted(state, into: &output)
        case .peerConnected(let peer): peerConnected(peer, into: &output)
        case .peerLost(let peer): peerLost(peer, into: &output)
        case .transferLeadership(let target): startTransfer(to: target, into: &output)
        case .changeMembers(let wanted): changeMembers(to: wanted, into: &output)
        case .confirmLeadership: if role == .leader { sendHeartbeats(into: &output) }
        case .rebuilt: rebuilt()
        case .snapshotInstalled(let anchor): snapshotInstalled(anchor, into: &output)
        case .snapshotRefused: installing = nil
        case .applied(let end): if end <= verified { commit = max(commit, end) }
        case .logStartMoved(let anchor): logStartMoved(to: anchor)
        }
        settleMembers(committedBefore: before.1, into: &output)
        precondition(hardState.term >= before.0.term, "a term never goes back")
        precondition(
            hardState.term > before.0.term || before.0.vote == nil || hardState.vote == before.0.vote,
            "a vote given in a term is never changed")
        precondition(commit >= before.1, "a commit index never goes back")
        precondition(log.start.position.end >= before.2, "a log's start never goes back")
        checkInvariants()
        if hardState != requested {
            requested = hardState
            output.persist = hardState
        }
        if commit > before.1 { output.committed = commit }
        output.deadline = deadline
    }

    private mutating func tick(into output: inout Output) {
        guard now >= deadline else { return }
        switch role {
        case .leader: leaderTick(into: &output)
        case .follower, .preCandidate, .candidate: stand(isTransfer: false, into: &output)
        }
    }

    private mutating func receive(
        _ message: Message, from sender: NodeID, changes: [MembersEntry], into output: inout Output
    ) {
        // A term that far ahead is no election but damage, or malice (reliability.md H28).
        #if MUTANTS
            if Mutant.isActive("T-V8"), case .preVote = message { heardLeader() }
        #endif
        guard sender != id, message.term.rawValue - term.rawValue <= 1_000_000 else { return }
        switch message {
        case .preVote where isRebuilding && !votesWhileRebuilding, .vote where isRebuilding && !votesWhileRebuilding:
            break
        case .repair: break
        case .preVote(let question): answer(question, from: sender, into: &output)
        case .preVoteReply(let term, let granted, let round):
            preVoteReplied(term: term, granted: granted, round: round, from: sender, into: &output)
        case .vote(let vote) where vote.term > term && !vote.isTransfer && leaseIsLive && !leaderLost:
            // Whoever hears a leader does not help to unseat it (dissertation §4.2.3).
            break
        default:
            #if MUTANTS
                if Mutant.isActive("T-V6"), case .voteReply(_, let isGrant) = message {
                    return voteReplied(granted: isGrant, from: sender, into: &output)
                }
            #endif
            if message.term > term { becomeFollower(in: message.term, into: &output) }
            #if MUTANTS
                if Mutant.isActive("T-C8"), case .appendReply(let reply) = message {
                    return received(reply, from: sender, into: &output)
                }
            #endif
            if message.term < term {
                answerStale(message, from: sender, into: &output)
            } else {
                receiveInTerm(message, from: sender, changes: changes, into: &output)
            }
        }
    }

    private mutating func receiveInTerm(
        _ message: Message, from sender: NodeID, changes: [MembersEntry], into output: inout Output
    ) {
        switch message {
        case .preVote, .preVoteReply, .repair: break
        case .vote(let vote): answer(vote, from: sender, into: &output)
        case .voteReply(_, let granted): voteReplied(granted: granted, from: sender, into: &output)
        case .append(let append): received(append, from: sender, changes: changes, into: &output)
        case .appendReply(let reply): received(reply, from: sender, into: &output)
        case .heartbeat(let beat): received(beat, from: sender, into: &output)
        case .heartbeatReply(let reply): received(reply, from: sender, into: &output)
        case .snapshot(let snapshot): received(snapshot, from: sender, into: &output)
        case .timeoutNow: askedToStand(by: sender, into: &output)
        }
    }

    /// Something of a lower term: tells a leader or candidate of the past what term it is, and ignores the rest.
    private func answerStale(_ message: Message, from sender: NodeID, into output: inout Output) {
        let reply: Message
        switch message {
        case .append, .snapshot, .heartbeat:
            reply = .heartbeatReply(HeartbeatReply(term: term, sequence: 0, held: .zero, matched: .zero))
        case .vote: reply = .voteReply(term: term, granted: false)
        default: return
        }
        output.sendOncePersisted.append(Envelope(to: sender, message: reply))
    }

    private mutating func becamePersisted(_ state: HardState, into output: inout Output) {
        let isOlder = state.term < persisted.term || (state.term == persisted.term && state.vote == nil)
        guard !isOlder || persisted == state else { return }
        persisted = state
        if role == .candidate { countVotes(into: &output) }
    }

    /// Stops this member for good: going on would break what others rely on.
    mutating func fail(_ sentence: String, into output: inout Output) {
        fault = "\(group), \(id) in term \(term): \(sentence)"
        output.fault = fault
    }

    // MARK: - Invariants

    func checkInvariants() {
        log.checkInvariants()
        precondition(log.start.position.end <= commit, "entries are gone that were not committed")
        precondition(commit <= verified, "committed what the leader is not known to hold")
        precondition(verified <= log.end, "committed or verified past our own end")
        precondition(log.last.term <= hardState.term, "our log holds an entry of a term we do not know")
        precondition(role != .leader || leader == id, "a leader knows who leads")
        precondition(role != .candidate || hardState.vote == id, "a candidate votes for itself")
        precondition(role == .follower || role == .leader || mayStand, "only a voter stands")
        precondition(membersEnd == log.members.latestEnd, "the newest configuration is in force")
        precondition(role == .leader || pendingMembers == nil, "only a leader changes the members")
        precondition(role == .leader || peers.isEmpty, "only a leader keeps track of others")
        precondition(role == .leader || transfer == nil, "only a leader hands over")
        precondition(role != .leader || verified == log.end, "a leader's log agrees with itself")
        precondition(role != .leader || installing == nil, "a leader never loads a snapshot")
    }
}

extension Moment {
    static let never = Moment(nanoseconds: .max)
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough to draw lots, and the same everywhere.
struct SplitMix: Sendable {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    /// A number below `bound`, or 0 when that is 0.
    mutating func below(_ bound: UInt64) -> UInt64 { bound == 0 ? 0 : next() % bound }

    static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
