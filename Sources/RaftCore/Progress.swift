// SPDX-License-Identifier: Apache-2.0

import LogModel

/// What a leader knows of one peer's log.
///
///     probing ──match found──▶ replicating ──loss, rejection, connection broken──▶ probing
///        │                          │
///        └── needs what lies before our start ──▶ snapshot ──installed──▶ replicating
struct Progress: Sendable {
    enum State: Hashable, Sendable {
        /// Asking whether the peer holds `prev`; no entries are sent. `askedAt` is when, if it was.
        case probing(prev: LogPosition, askedAt: Moment?)
        /// Sending entries without waiting for answers.
        case replicating
        /// The peer needs a snapshot. `sentAt` is when it left, if it did.
        case snapshot(sentAt: Moment?)
    }

    struct Inflight: Sendable {
        var end: LogIndex
        var bytes: ByteCount
        var sentAt: Moment
    }

    /// What the peer's acknowledgements are worth.
    enum Memory: Hashable, Sendable {
        /// Nothing was ever lost there, as far as is known.
        case sound
        /// Its log was lost: it may have promised others what it has forgotten. `since` is the newest heartbeat that
        /// had been sent when it said so.
        case lost(since: UInt64)
        /// Its log was lost, but no later leader can have had its promise: a quorum of others has followed us since.
        case vouchedFor
    }

    let peer: NodeID
    /// In which of the two halves of the configuration it votes.
    var isVoter = false
    var isOutgoing = false
    var memory = Memory.sound
    var state: State
    /// The peer's disk holds our log below this.
    var match = LogIndex.zero
    /// Replicating: everything below has been sent.
    var next: LogIndex
    /// Sent and not answered, oldest first.
    private(set) var inflight: [Inflight] = []
    private(set) var inflightBytes = ByteCount.zero
    /// When the peer last gave a sign of life in this term.
    var lastHeard: Moment
    /// The largest sequence of a heartbeat that it has answered.
    var answered: UInt64 = 0
    /// The largest `held` of its heartbeat replies since replication began, and when that was first heard.
    private(set) var held = LogIndex.zero
    private var heldSince: Moment
    /// The largest sequence of its heartbeat replies since replication began.
    private var heldSequence: UInt64 = 0
    /// How often in a row something seemed lost; each time doubles our patience.
    private var losses: UInt64 = 0

    init(peer: NodeID, probing prev: LogPosition, now: Moment) {
        self.peer = peer
        state = .probing(prev: prev, askedAt: nil)
        next = prev.end
        lastHeard = now
        heldSince = now
    }

    /// Whether what it acknowledges counts.
    var isTrusted: Bool {
        if case .lost = memory { return false }
        return true
    }

    mutating func probe(_ prev: LogPosition) {
        state = .probing(prev: prev, askedAt: nil)
        next = prev.end
        match = min(match, prev.end)
        forgetInflight()
    }

    mutating func needSnapshot() {
        state = .snapshot(sentAt: nil)
        match = .zero
        forgetInflight()
    }

    mutating func replicate(from index: LogIndex, now: Moment) {
        state = .replicating
        next = index
        held = index
        heldSince = now
        heldSequence = 0
        forgetInflight()
    }

    /// A new connection says nothing about how slow the old one was.
    mutating func forgiveLosses() { losses = 0 }

    private mutating func forgetInflight() {
        inflight.removeAll(keepingCapacity: true)
        inflightBytes = .zero
    }

    /// Notes that the peer's disk holds everything below `index`. Late and repeated answers change nothing.
    mutating func matched(_ index: LogIndex) {
        #if MUTANTS
            let leaked = inflightBytes
            defer { if Mutant.isActive("T-L15") { inflightBytes = leaked } }
        #endif
        guard index > match else { return }
        match = index
        next = max(next, index)
        losses = 0
        var answered = 0
        for sent in inflight {
            guard sent.end <= index else { break }
            inflightBytes = inflightBytes - sent.bytes
            answered += 1
        }
        inflight.removeFirst(answered)
    }

    mutating func sent(through end: LogIndex, bytes: ByteCount, now: Moment) {
        inflight.append(Inflight(end: end, bytes: bytes, sentAt: now))
        inflightBytes += bytes
        next = end
    }

    func windowIsFull(_ limits: RaftLimits) -> Bool {
        inflight.count >= limits.maxInflightAppends || inflightBytes >= limits.maxInflightBytes
    }

    /// Takes in how far the peer says its log agrees with ours, and tells whether something sent must have been lost.
    ///
    /// Loss is: an append older than `patience` has not arrived although later heartbeats have, and nothing else
    /// arrived in that time either. A slow disk is none: what arrived is `held` at once, durable or not. A peer that
    /// holds less than it once did has restarted, and has lost what was not durable yet.
    mutating func noticesLoss(held reported: LogIndex, sequence: UInt64, now: Moment, patience: UInt64) -> Bool {
        if sequence > heldSequence {
            #if MUTANTS
                if Mutant.isActive("T-L16") { heldSequence = 0 }
            #endif
            let hasForgotten = heldSequence > 0 && reported < held && state == .replicating
            heldSequence = sequence
            if hasForgotten { return true }
        }
        if reported > held {
            held = reported
            heldSince = now
        }
        guard case .replicating = state, let missing = inflight.first(where: { $0.end > held }) else { return false }
        let wait = patience << min(losses, 3)
        guard now.nanoseconds(since: missing.sentAt) >= wait, now.nanoseconds(since: heldSince) >= wait else {
            return false
        }
        losses += 1
        return true
    }
}
