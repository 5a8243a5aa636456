// SPDX-License-Identifier: Apache-2.0

public import LogModel

extension RaftNode {
    /// What can happen to a member of a group.
    public enum Event: Sendable {
        /// The clock has reached `deadline`.
        case tick
        /// `changes` are the configurations among the entries that travelled beside an append, ascending.
        case received(Message, from: NodeID, changes: [MembersEntry] = [])
        /// Leader only: the caller appended entries of the current term up to `end` to its own log; the last of them
        /// says `members`, where it was `Output.appendMembers` that asked for it.
        case proposed(end: LogIndex, members: RaftMembers? = nil)
        /// The own disk holds everything below. Speaks of the entries that are there now: what completes for entries
        /// that were truncated meanwhile is dropped by storage.
        case durable(through: LogIndex)
        /// The hard state asked for by `Output.persist` is on disk. The own vote counts only now.
        case persisted(HardState)
        /// A connection to a peer stands (again). A leader asks it where its log ends.
        case peerConnected(NodeID)
        /// The connection to a peer broke, as it does at once when its process dies.
        case peerLost(NodeID)
        /// Leader only; ignored unless the target is a voter that has been heard lately.
        case transferLeadership(to: NodeID)
        /// Leader only: asks for one step towards other members: other learners, or a joint configuration with other
        /// voters, each of which is a learner now; or, where no entry of the log says who they are, for one that says
        /// so. Answered by `appendMembers`, or ignored where it may not be made
        /// (`acceptsMembers`). The joint configuration is left without being asked to.
        case changeMembers(RaftMembers)
        /// Leader only: sends heartbeats at once. When `confirmedSequence` has reached what `lastSequence` is after
        /// this, nobody else can have been elected before now.
        case confirmLeadership
        /// That the log is rebuilt is on disk: this member votes again.
        case rebuilt
        /// The caller has dropped its log, restarted it at the anchor, and made that durable.
        case snapshotInstalled(LogAnchor)
        /// What came beside `installSnapshot` was damaged: nothing has changed, and the leader will send it again.
        case snapshotRefused
        /// A state machine was fed all entries below: they are committed, also where this node was not told so. It may
        /// outlive the copy of the log that it was fed from. Says nothing where the log is not known to be the same.
        case applied(through: LogIndex)
        /// Retention removed what lies before the anchor.
        case logStartMoved(LogAnchor)
    }

    public enum RoleChange: Hashable, Sendable {
        case becameLeader(Term)
        /// Leadership ended. Where a new leader is known already, it is in `RaftNode.leader`.
        case steppedDown(Term)
        case leaderChanged(NodeID?, Term)
    }

    /// What the caller must do, grouped by when it may be done.
    ///
    /// In this order: `persist` and the log's work (`truncate`, then `storeFrom`) begin; `send` may leave at once, in
    /// parallel with them; `sendOncePersisted` waits for `persist`.
    public struct Output: Sendable {
        /// Write this to stable storage, then feed `.persisted`.
        public var persist: HardState?
        /// Drop own entries at and after this index, before anything is stored.
        public var truncate: LogIndex?
        /// Store those entries of the append being handled that start at or after this index.
        public var storeFrom: LogIndex?
        /// Append a leader-start marker of this term to the own log, then feed `.proposed`.
        public var appendLeaderStart: Term?
        /// Append an entry that says these members to the own log, then feed `.proposed`. What is not done is asked for
        /// once more later.
        public var appendMembers: RaftMembers?
        /// These members, who are not joint, are in force, and their entry is committed. A new leader says so again.
        public var membersCommitted: RaftMembers?
        /// All that was lost is there again: store that, and then feed `.rebuilt`. May be said more than once.
        public var endRebuilding = false
        /// Restart the log at this anchor with the state that came beside the message, then feed `.snapshotInstalled`.
        public var installSnapshot: Snapshot?
        /// May leave at once, in parallel with any disk write.
        public var send: [Envelope] = []
        /// Promises about durable state: only after `persist`, this one or any earlier one still pending, is on disk.
        public var sendOncePersisted: [Envelope] = []
        /// Leader: some peer may have something due. At the end of its turn the caller asks `nextAppend` for each.
        public var wantsAppend = false
        /// The commit index moved to here.
        public var committed: LogIndex?
        public var roleChange: RoleChange?
        /// Something happened that no correct group can do. The node ignores every later event; the caller should
        /// report the sentence and stop serving the group.
        public var fault: String?
        /// When `.tick` is next of any use, as `RaftNode.deadline` says.
        public var deadline = Moment.never

        public init() {}

        /// Empties it and keeps its arrays' room.
        public mutating func reset() {
            persist = nil
            truncate = nil
            storeFrom = nil
            appendLeaderStart = nil
            appendMembers = nil
            membersCommitted = nil
            endRebuilding = false
            installSnapshot = nil
            send.removeAll(keepingCapacity: true)
            sendOncePersisted.removeAll(keepingCapacity: true)
            wantsAppend = false
            committed = nil
            roleChange = nil
            fault = nil
            deadline = .never
        }
    }

    /// What to send to a peer next.
    public struct AppendPlan: Hashable, Sendable {
        public enum Kind: Hashable, Sendable {
            /// Read entries from `prev.end`, at most `limit` bytes but at least one entry.
            case entries
            /// Send no bytes: ask only whether the peer holds `prev`.
            case probe
            /// The peer needs what lies before our log's start.
            case snapshot
        }

        public var kind: Kind
        public var prev: LogPosition
        public var limit: ByteCount
        public var commit: LogIndex
    }

    /// How far a peer has come, for status output.
    public struct ProgressView: Hashable, Sendable {
        public enum State: String, Hashable, Sendable { case probing, replicating, snapshot }

        public var match: LogIndex
        public var next: LogIndex
        public var state: State
        public var lastHeard: Moment
        /// It has lost its log with its disk, and does not hold all of it again yet.
        public var isRebuilding: Bool
    }
}
