// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// Being certain to lead (dissertation §6.4): a heartbeat that a quorum has answered in this term says that nobody can
/// have been elected in a later one before it was sent.
extension RaftNode {
    /// Leader: the largest sequence of a heartbeat that a quorum has answered; else 0. A sole voter is always certain.
    ///
    /// - Complexity: O(*n*²) in members.
    public var confirmedSequence: UInt64 {
        guard role == .leader else { return 0 }
        let answered = quorumValue(own: UInt64.max, least: 0) { $0.isTrusted ? $0.answered : 0 }
        return min(answered, lastSequence)
    }

    private var confirmedByOutgoing: UInt64 {
        let answered = majorityValue(of: members.outgoing, own: UInt64.max, least: 0) {
            $0.isTrusted ? $0.answered : 0
        } isOne: {
            $0.isOutgoing
        }
        return min(answered, lastSequence)
    }

    /// The latest moment at which leadership was certain; `nil` while it never was in this term, or is not claimed.
    ///
    /// Certain means that no later leader can have been elected before. It does not mean that all is known which
    /// earlier leaders have committed: see `hasCommittedInTerm`.
    public var confirmedAt: Moment? {
        guard role == .leader else { return nil }
        #if MUTANTS
            if Mutant.isActive("T-R2") { return now }
        #endif
        if members.electors == [id] { return now }
        let sequence = confirmedSequence
        return sequence == 0 ? nil : min(now, Moment(nanoseconds: sequence))
    }

    mutating func answered(_ sequence: UInt64, at place: Int, into output: inout Output) {
        guard sequence > peers[place].answered else { return }
        peers[place].answered = sequence
        guard peers.contains(where: { !$0.isTrusted }) else { return }
        vouch()
        advanceCommit(into: &output)
    }

    // MARK: - Members whose log was lost

    /// What a peer acknowledged before its log was lost is void, and what it says now may contradict what it has
    /// promised to a later leader: to be believed only when there is none.
    ///
    ///     a leads term 1     1 2           b's disk is lost; it follows a, who knows of no term 2.
    ///     b                  1 2 3 ──▶ ·   Were its word to count, a could commit another entry in the place of 3,
    ///     c leads term 2     1 2 3         which b and c had committed.
    mutating func judgeMemory(isRebuilding: Bool, at place: Int) {
        guard isRebuilding else {
            if peers[place].memory == .vouchedFor { peers[place].memory = .sound }
            return
        }
        guard peers[place].memory == .sound else { return }
        // Of two voters nobody but the other can have led without our vote.
        let hasNobodyElse = !members.isJoint && members.voters.count == 2 && members.isElector(id)
        peers[place].memory = hasNobodyElse ? .vouchedFor : .lost(since: lastSequence)
        peers[place].match = .zero
        if peers[place].state == .replicating { peers[place].probe(log.last) }
    }

    /// Those who had lost their log before a heartbeat that a quorum of others has answered follow us and nobody later.
    ///
    /// While a change is under way a majority of the outgoing voters is enough: nobody is elected without one, whether
    /// he knows of the change or not, before this leader has ended it. Else an only incoming voter that loses its log
    /// would wait for itself.
    private mutating func vouch() {
        let confirmed = members.isJoint ? confirmedByOutgoing : confirmedSequence
        for place in peers.indices {
            if case .lost(let since) = peers[place].memory, confirmed > since { peers[place].memory = .vouchedFor }
        }
    }

    /// Whether a peer whose log was lost holds all that was ever committed.
    func isComplete(_ peer: Progress) -> Bool {
        peer.memory == .vouchedFor && hasCommittedInTerm && peer.match >= commit
    }
}
