// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import RaftCore

/// Who is to belong to a group: what its leader works towards.
public struct WantedMembers: Hashable, Sendable {
    /// Ascending; empty for no wish, which keeps the members in force.
    public var voters: [NodeID]
    public var learners: [NodeID]

    public init(voters: [NodeID], learners: [NodeID] = []) {
        let members = RaftMembers(voters: voters, learners: learners)
        self.voters = members.voters
        self.learners = members.learners
    }
}

/// The way from the members in force to the wanted ones, one step at a time. It has no memory: the next step follows
/// from where the group is, so that another leader, or another wish, can take over at any point.
///
///     voters 1 2 3 ──▶ learners 4 5 ──caught up──▶ voters 3 4 5, outgoing 1 2 3 ──▶ voters 3 4 5
public enum MembershipPlan {
    public enum Step: Hashable, Sendable {
        /// The members in force are the wanted ones.
        case done
        /// The joint configuration is in force. It is left without being asked to, once it is committed.
        case leaving
        /// These must hold the log before they may vote.
        case catchUp([NodeID])
        case change(RaftMembers)
    }

    /// - Parameter isCaughtUp: asked of learners that are to vote.
    public static func next(
        from members: RaftMembers, to wanted: WantedMembers, isCaughtUp: (NodeID) -> Bool
    ) -> Step {
        guard !members.isJoint else { return .leaving }
        guard !wanted.voters.isEmpty else { return .done }
        let joining = wanted.voters.filter { !members.voters.contains($0) }
        if wanted.voters != members.voters {
            let late = joining.filter { !members.learners.contains($0) }
            if late.isEmpty {
                let waiting = joining.filter { !isCaughtUp($0) }
                guard waiting.isEmpty else { return .catchUp(waiting) }
                return .change(
                    RaftMembers(voters: wanted.voters, outgoing: members.voters, learners: wanted.learners))
            }
        }
        // Whoever is to vote learns first, and whoever is to do neither does not.
        let next = RaftMembers(voters: members.voters, learners: wanted.learners + joining)
        return next == members ? .done : .change(next)
    }
}

/// How far a group is on its way to other members.
public struct MembershipMove: Hashable, Sendable, CustomStringConvertible {
    public enum Phase: String, Hashable, Sendable {
        /// New replicas are sent the log.
        case catchingUp
        /// The old and the new voters are to agree on each other.
        case joining
        /// The new voters are to agree that the old ones are out.
        case leaving
        /// The leader is out, and gives leadership to one who is not.
        case handingOver
    }

    /// A replica that is to vote, and how much of the log its disk holds.
    public struct Newcomer: Hashable, Sendable {
        public var node: NodeID
        public var match: LogIndex
        public var end: LogIndex
        /// Its own connection or disk has been silent for an election timeout.
        public var isSilent: Bool
    }

    public var phase: Phase
    public var newcomers: [Newcomer]
    public var since: Moment
    /// What it waits for.
    public var description: String
}
