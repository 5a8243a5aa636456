// SPDX-License-Identifier: Apache-2.0

public import LogModel
import LogStorage
import RaftCore

/// What readers need to know of a replica, the leader's or another.
extension Replica {
    /// Whether this replica leads, and a quorum has said so within an election timeout.
    ///
    /// One that was stopped for a while, or cut off, may have been voted out without having heard of it, and no tick of
    /// its clock may have told it so yet: so whoever is about to answer as a leader looks here first. Times are those
    /// at which heartbeats were sent, so answers that have lain in a queue meanwhile deceive nobody.
    /// - Complexity: O(1) but once an election timeout.
    public var isInTouch: Bool {
        guard isLeader else { return false }
        let now = shard.environment.now
        if now < inTouchUntil { return true }
        if raft.members.electors == [shard.settings.node] { return true }
        guard let confirmed = raft.confirmedAt else { return false }
        inTouchUntil = confirmed.advanced(byNanoseconds: shard.settings.timing.electionTimeout)
        return now < inTouchUntil
    }

    /// Whether it is certain that nobody else led before `moment`.
    public func isConfirmed(since moment: Moment) -> Bool { confirmedAt.map { $0 >= moment } ?? false }

    /// Whether this replica follows a leader that it has heard of late. One that has lost its leader learns of no
    /// commits, and its readers had better look for the leader themselves.
    public var isFollowing: Bool { stopped == nil && raft.role == .follower && raft.leader != nil }

    /// What is known here to be committed. On a follower it lags behind what its leader knows, and never shows what
    /// could still be taken back.
    public var knownCommit: Offset { log.offset(at: raft.commit) }

    /// The other replicas that have been sent everything and have `offset` on disk, and how far each has come.
    ///
    /// Empty on a follower.
    /// - Complexity: O(*n*²) in replicas of the partition
    public func peersCaughtUp(beyond offset: Offset) -> [(node: NodeID, match: LogIndex)] {
        let index = log.index(of: offset)
        return raft.members.all.compactMap { node in
            guard raft.isCaughtUp(node), let progress = raft.progress(of: node), progress.match >= index else {
                return nil
            }
            return (node, progress.match)
        }
    }

    /// The largest leader epoch not above `epoch` that has written here, and where its records end. An epoch before
    /// all of them ends where the first one begins. `nil` for an epoch that is not known here yet.
    ///
    /// This is Kafka's `LeaderEpochFileCache.endOffsetFor` (KIP-101, KIP-320).
    /// - Complexity: O(log *n*) in terms and markers.
    public func end(ofEpoch epoch: Int32) -> (epoch: Int32, offset: Offset)? {
        guard epoch >= 0 else { return nil }
        let known = log.terms.largestTerm(notAbove: Term(epoch))?.rawValue
        if let next = log.terms.start(ofFirstTermAbove: Term(epoch)) { return (known ?? epoch, log.offset(at: next)) }
        return known == epoch ? (epoch, log.endOffset) : nil
    }
}
