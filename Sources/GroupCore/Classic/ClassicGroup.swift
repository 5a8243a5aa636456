// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings

/// Where a classic group stands.
///
///              first member joins                all have joined, or time is up
///     empty ──────────────────────▶ preparing ──────────────────────────────────▶ completing
///       ▲                           rebalance ◀─── somebody joins, leaves ────────  rebalance
///       │ nobody has joined             ▲  │        or does not sync                   │
///       └───────────────────────────────┼──┘                                           │ the leader syncs
///                                       │        somebody joins anew, leaves           ▼
///                                       └──────────────────────────────────────────  stable
///
/// A group that is dead, in Kafka's words, is one that the coordinator does not have.
enum ClassicGroupState: Sendable {
    case empty
    case preparingRebalance
    case completingRebalance
    case stable

    /// Kafka's name.
    var name: String {
        switch self {
        case .empty: "Empty"
        case .preparingRebalance: "PreparingRebalance"
        case .completingRebalance: "CompletingRebalance"
        case .stable: "Stable"
        }
    }
}

/// What every event brings along.
struct GroupEvent: Sendable {
    var now: Moment
    var wallClock: Timestamp
    var settings: GroupSettings
}

/// A group whose members share out the work among themselves: the coordinator only brings them together and hands
/// the leader's assignment round. Also a group without members that somebody commits offsets for.
struct ClassicGroup: Sendable {
    /// What a group that waits for joins or syncs does when its patience ends.
    enum Phase: Sendable {
        /// The first rebalance of an empty group: more members are given time to come (KIP-134). `remaining` is how
        /// much longer, in milliseconds, that time may be made.
        case initialDelay(delay: Int32, remaining: Int32)
        /// Waiting for members to join again.
        case joining
        /// Waiting for members to ask for their assignment.
        case syncing
    }

    let id: String
    var state = ClassicGroupState.empty
    var generation: Int32 = 0
    /// `nil` for a group that never had a member.
    var protocolType: String?
    /// What the members agreed upon in this generation.
    var protocolName: String?
    /// The member that shares out the work; `nil` when it has left and none is elected yet.
    var leader: String?
    /// When the group came into its state, on the wall clock; `nil` when unknown.
    var stateTimestamp: Timestamp?
    /// When the group came into its state; `nil` when that was before this coordinator.
    var stateSince: Moment?
    var members: [String: ClassicMember] = [:]
    /// Static members: which member an instance id stands for.
    var staticMembers: [String: String] = [:]
    /// Members that have been given an id and are to join with it (KIP-394), and when that was.
    var pendingMembers: [String: Moment] = [:]
    /// Members of this generation that have not asked for their assignment.
    var pendingSync: Set<String> = []
    /// How many members know each protocol.
    var protocolVotes: [String: Int] = [:]
    /// How many members wait for the reply to their join.
    var awaitingJoinCount = 0
    var nextRank: UInt64 = 0
    /// The sum of the members' footprints.
    var footprint = 0
    /// Whether somebody new came during the initial delay.
    var hasNewMember = false
    /// Sessions of members, and of pending ones.
    var sessions = Deadlines<String>()
    var phase: Phase?
    var phaseSince = Moment.zero
    /// When `phase` ends.
    var phaseDue: Moment?
    /// Whether the log holds a record of the group.
    var isStored = false

    init(id: String) { self.id = id }

    var isEmpty: Bool { state == .empty }

    var isConsumer: Bool { protocolType == Self.consumerProtocolType }
    static let consumerProtocolType = "consumer"

    /// Members in the order in which they came.
    var rankedMembers: [ClassicMember] { members.values.sorted { $0.rank < $1.rank } }

    var hasAllMembersJoined: Bool { members.count == awaitingJoinCount && pendingMembers.isEmpty }

    /// The longest that a member wants a rebalance to wait for it, in milliseconds.
    var rebalanceTimeout: Int32 { members.values.reduce(0) { max($0, $1.rebalanceTimeout) } }

    /// When `tick` has something to do. It can be early.
    var deadline: Moment? {
        guard let session = sessions.next else { return phaseDue }
        guard let phaseDue else { return session }
        return min(session, phaseDue)
    }
}

extension Moment {
    func advanced(byMilliseconds count: some BinaryInteger) -> Self {
        advanced(byNanoseconds: UInt64(clamping: count) * 1_000_000)
    }

    func milliseconds(since earlier: Self) -> Int64 { Int64(nanoseconds(since: earlier) / 1_000_000) }
}
