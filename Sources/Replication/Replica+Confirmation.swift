// SPDX-License-Identifier: Apache-2.0

public import LogModel
import RaftCore

/// Somebody who must not be answered by a leader that has been voted out unawares.
struct WaitingConfirmation {
    /// The heartbeat that must be answered; `nil` until it is sent, at the end of the turn.
    var sequence: UInt64?
    let deadline: Moment
    let completion: (Bool) -> Void
}

extension Replica {
    /// The latest moment at which leadership was certain: a quorum has followed this leader since.
    public var confirmedAt: Moment? { isLeader ? raft.confirmedAt : nil }

    /// Asks the other voters whether this replica still leads (ReadIndex, dissertation §6.4): one round of heartbeats
    /// for all who ask in the same turn.
    ///
    /// Whoever is told yes may be answered with whatever is known to be committed when it is told: everything that any
    /// leader had committed when it asked is among that.
    ///
    /// - Parameter completion: called once on this shard's loop, possibly before this returns: true once a quorum has
    ///   confirmed that nobody else led when this was called, and an entry of the own term is committed; false when
    ///   leadership is lost or about to be handed over, or no quorum answers within an election timeout.
    public func confirmLeadership(_ completion: @escaping (Bool) -> Void) {
        #if MUTANTS
            if Mutant.isActive("T-R3"), raft.transferTarget != nil { return }
        #endif
        guard isLeader, raft.acceptsProposals, !shard.isClosed else { return completion(false) }
        if raft.members.electors == [shard.settings.node], raft.hasCommittedInTerm { return completion(true) }
        let deadline = shard.environment.now.advanced(byNanoseconds: shard.settings.timing.electionTimeout)
        waitingConfirmations.append(WaitingConfirmation(deadline: deadline, completion: completion))
        shard.wake(at: deadline)
        shard.markForReplication(self)
    }

    /// Sends the heartbeats that those who have asked in this turn wait for.
    func askForConfirmation() {
        guard waitingConfirmations.contains(where: { $0.sequence == nil }) else { return }
        step(.confirmLeadership)
        for place in waitingConfirmations.indices where waitingConfirmations[place].sequence == nil {
            waitingConfirmations[place].sequence = raft.lastSequence
        }
        answerConfirmations()
    }

    /// What earlier leaders have committed is known once an entry of the own term is (dissertation §6.4).
    private var knowsAllCommits: Bool {
        #if MUTANTS
            if Mutant.isActive("T-R1") { return true }
        #endif
        return raft.hasCommittedInTerm
    }

    func answerConfirmations() {
        guard !waitingConfirmations.isEmpty, knowsAllCommits else { return }
        let confirmed = raft.confirmedSequence
        let count = waitingConfirmations.prefix { $0.sequence.map { $0 <= confirmed } ?? false }.count
        guard count > 0 else { return }
        let answered = waitingConfirmations.prefix(count)
        waitingConfirmations.removeFirst(count)
        for waiting in answered { waiting.completion(true) }
    }

    func failConfirmations() {
        let failed = waitingConfirmations
        waitingConfirmations = []
        for waiting in failed { waiting.completion(false) }
    }

    func expireConfirmations(now: Moment) {
        guard let first = waitingConfirmations.first, first.deadline <= now else { return }
        let expired = waitingConfirmations.prefix { $0.deadline <= now }
        waitingConfirmations.removeFirst(expired.count)
        for waiting in expired { waiting.completion(false) }
    }
}
