// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore

/// Where this node's producers get their ids: hands them out of the node's blocks, and sees to it that the next block
/// comes in time. Lives on shard 0's loop.
final class ProducerIDDesk {
    private var supply: ProducerIDSupply
    private var waiting: [Waiting] = []
    /// Until when the block that was asked for is waited for.
    private var claimDeadline: Moment?
    private var random: any RandomNumberGenerator
    /// Proposes a command to whoever leads the metadata group, and is told whether it came into force. False when
    /// nobody can be asked now.
    private let propose: (MetadataCommand, _ done: @escaping (Bool) -> Void) -> Bool

    private struct Waiting {
        let deadline: Moment
        let reply: (Int64?) -> Void
    }

    /// How long a producer is kept waiting: an election and a little more.
    private static let patience: UInt64 = 5_000_000_000
    private static let claimPatience: UInt64 = 10_000_000_000
    /// How many producers may wait at a time; more are told to ask again.
    private static let waitingLimit = 10_000

    init(
        node: NodeID, random: any RandomNumberGenerator,
        propose: @escaping (MetadataCommand, _ done: @escaping (Bool) -> Void) -> Bool
    ) {
        supply = ProducerIDSupply(node: node)
        self.random = random
        self.propose = propose
    }

    /// Whether somebody waits for a block that is still to be asked for.
    var isImpatient: Bool { !waiting.isEmpty }

    func producerID(now: Moment, reply: @escaping (Int64?) -> Void) {
        if let id = supply.take() {
            reply(id)
        } else if waiting.count < Self.waitingLimit {
            waiting.append(Waiting(deadline: now.advanced(byNanoseconds: Self.patience), reply: reply))
        } else {
            reply(nil)
        }
        askIfLow(now: now)
    }

    func tick(now: Moment) {
        if let deadline = claimDeadline, deadline <= now { claimDeadline = nil }
        guard !waiting.isEmpty else { return }
        askIfLow(now: now)
        let overdue = waiting.filter { $0.deadline <= now }
        waiting.removeAll { $0.deadline <= now }
        for producer in overdue { producer.reply(nil) }
    }

    /// The metadata group has given a block to a node.
    func allocated(_ block: ProducerIDBlock, for claim: ProducerIDClaim) {
        guard supply.take(block, for: claim) else { return }
        claimDeadline = nil
        var served = 0
        while served < waiting.count, let id = supply.take() {
            waiting[served].reply(id)
            served += 1
        }
        waiting.removeFirst(served)
    }

    private func askIfLow(now: Moment) {
        guard supply.isLow, claimDeadline == nil else { return }
        let command = supply.claim(nonce: random.next())
        // Set first: the answer may come before `propose` returns.
        claimDeadline = now.advanced(byNanoseconds: Self.claimPatience)
        let isSent = propose(command) { isInForce in
            // One that is in force brings its block when this node has applied it.
            if !isInForce { self.claimDeadline = nil }
        }
        if !isSent { claimDeadline = nil }
    }
}
