// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// A run of entries of one term that ends at `end`; it starts where the run before it, or the entry before, ends.
public struct TermRun: Hashable, Sendable {
    public var term: Term
    public var end: LogIndex

    @inlinable
    public init(term: Term, end: LogIndex) {
        self.term = term
        self.end = end
    }
}

/// What one member of a group tells another.
///
/// The bytes of entries and of snapshots travel beside a message: `RaftCore` never sees them.
public enum Message: Hashable, Sendable {
    case preVote(PreVote)
    /// `term` is the answering node's own, so that a refused node learns a higher one (openraft d6a6d562);
    /// `round` is the question's, so that an answer to an older question counts for nothing (openraft 511f33c7).
    case preVoteReply(term: Term, granted: Bool, round: UInt32)
    case vote(Vote)
    case voteReply(term: Term, granted: Bool)
    case append(Append)
    case appendReply(AppendReply)
    case heartbeat(Heartbeat)
    case heartbeatReply(HeartbeatReply)
    case snapshot(Snapshot)
    /// The leader of `term` asks the receiver to stand at once (dissertation §3.10).
    case timeoutNow(term: Term)
    case repair(RepairLetter)

    /// The sender's term; of a `preVote` the term it would stand for.
    public var term: Term {
        switch self {
        case .preVote(let letter): letter.term
        case .preVoteReply(let term, _, _): term
        case .vote(let letter): letter.term
        case .voteReply(let term, _): term
        case .append(let letter): letter.term
        case .appendReply(let letter): letter.term
        case .heartbeat(let letter): letter.term
        case .heartbeatReply(let letter): letter.term
        case .snapshot(let letter): letter.term
        case .timeoutNow(let term): term
        case .repair: .zero
        }
    }
}

/// "Would you vote for me?" Changes nothing at either end (dissertation §9.6).
public struct PreVote: Hashable, Sendable {
    /// The term the sender would stand for: its own plus one.
    public var term: Term
    public var last: LogPosition
    /// The sender's connection to the leader broke, so a receiver that lost it too need not wait for its lease.
    public var leaderLost: Bool
    public var round: UInt32

    public init(term: Term, last: LogPosition, leaderLost: Bool, round: UInt32) {
        self.term = term
        self.last = last
        self.leaderLost = leaderLost
        self.round = round
    }
}

/// "I stand for `term`."
public struct Vote: Hashable, Sendable {
    public var term: Term
    public var last: LogPosition
    /// The leader itself asked for this election, so nobody's lease stands in the way.
    public var isTransfer: Bool

    public init(term: Term, last: LogPosition, isTransfer: Bool) {
        self.term = term
        self.last = last
        self.isTransfer = isTransfer
    }
}

/// Entries from `prev.end` on, described by their terms.
public struct Append: Hashable, Sendable {
    public var term: Term
    /// What the receiver must hold for these entries to fit.
    public var prev: LogPosition
    /// Ascending in both term and end; empty for a probe.
    public var runs: [TermRun]
    /// The leader's commit index. A receiver believes it only as far as it has checked its own log.
    public var commit: LogIndex

    public init(term: Term, prev: LogPosition, runs: [TermRun], commit: LogIndex) {
        self.term = term
        self.prev = prev
        self.runs = runs
        self.commit = commit
    }

    /// Where the last of these entries ends.
    public var end: LogIndex { runs.last?.end ?? prev.end }
}

public struct AppendReply: Hashable, Sendable {
    public enum Outcome: Hashable, Sendable {
        /// The sender's log below this index is durable and agrees with the leader's.
        case matched(LogIndex)
        /// The sender does not hold `prev`. `hint` is its last position with an index not above `prev.end` and a term
        /// not above `prev.term`.
        case rejected(prev: LogPosition, hint: LogPosition)
    }

    public var term: Term
    public var outcome: Outcome
    /// The sender's log was lost, and what it has promised before with it.
    public var isRebuilding: Bool

    public init(term: Term, outcome: Outcome, isRebuilding: Bool = false) {
        self.term = term
        self.outcome = outcome
        self.isRebuilding = isRebuilding
    }
}

public struct Heartbeat: Hashable, Sendable {
    public var term: Term
    /// The smaller of the leader's commit index and what the receiver is known to hold (openraft 2bdfae5d).
    public var commit: LogIndex
    /// The sender's clock in nanoseconds when it was sent, and greater than that of every heartbeat before. It comes
    /// back in the reply, which so proves that the receiver lived *then*, however long the reply lay in a queue.
    public var sequence: UInt64
    /// The receiver, which is rebuilding its log, holds all that was ever committed.
    public var isComplete: Bool

    public init(term: Term, commit: LogIndex, sequence: UInt64, isComplete: Bool = false) {
        self.term = term
        self.commit = commit
        self.sequence = sequence
        self.isComplete = isComplete
    }
}

public struct HeartbeatReply: Hashable, Sendable {
    public var term: Term
    public var sequence: UInt64
    /// The sender's log below this index agrees with the leader's, durable or not. When it stays behind what was sent,
    /// something was lost.
    public var held: LogIndex
    /// As in `AppendReply.Outcome.matched`: makes good for a lost reply.
    public var matched: LogIndex
    /// As in `AppendReply`.
    public var isRebuilding: Bool

    public init(
        term: Term, sequence: UInt64, held: LogIndex, matched: LogIndex, isRebuilding: Bool = false
    ) {
        self.term = term
        self.sequence = sequence
        self.held = held
        self.matched = matched
        self.isRebuilding = isRebuilding
    }
}

/// "Your log lies before mine begins: start again at `anchor`."
public struct Snapshot: Hashable, Sendable {
    public var term: Term
    public var anchor: LogAnchor
    /// Who belongs to the group at the anchor, which is committed. Nobody: no entry before it has said so, and the
    /// founders are still in force. Whoever came later has never been told who they were.
    public var members: RaftMembers

    public init(term: Term, anchor: LogAnchor, members: RaftMembers) {
        self.term = term
        self.anchor = anchor
        self.members = members
    }
}

/// A message and whom it is for.
public struct Envelope: Hashable, Sendable {
    public var to: NodeID
    public var message: Message

    public init(to: NodeID, message: Message) {
        self.to = to
        self.message = message
    }
}
