// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// Producer ids that one node may hand out, and nobody else ever.
public struct ProducerIDBlock: Hashable, Sendable {
    public let first: Int64
    public let count: Int64

    /// How many ids a node gets at a time, as in Kafka. Part of what a committed command means: never to be changed.
    public static let size: Int64 = 1_000

    public init(first: Int64, count: Int64 = ProducerIDBlock.size) {
        precondition(first >= 0 && count > 0, "producer ids are not negative")
        self.first = first
        self.count = count
    }
}

/// A node's wish for a block of producer ids.
public struct ProducerIDClaim: Hashable, Sendable {
    public let node: NodeID
    /// Drawn at random, so that a node knows the blocks it has asked for in this life from those of an earlier one,
    /// which it meets again when it reads the metadata log from the start.
    public let nonce: UInt64

    public init(node: NodeID, nonce: UInt64) {
        self.node = node
        self.nonce = nonce
    }
}

/// The producer ids that a node has in hand: a value that takes blocks in and gives ids out, each once.
public struct ProducerIDSupply: Sendable {
    private let node: NodeID
    private var blocks: [ProducerIDBlock] = []
    /// How many ids of the first block have been given out.
    private var taken: Int64 = 0
    /// The latest claims, of which each brings one block at most. A claim that seemed lost may still be answered.
    private var claims: [UInt64] = []

    /// With fewer in hand it is time for the next block.
    private static let reserve: Int64 = ProducerIDBlock.size / 10
    private static let claimsLimit = 8

    public init(node: NodeID) { self.node = node }

    public var remaining: Int64 { blocks.reduce(-taken) { $0 + $1.count } }

    /// Whether the next block should be asked for.
    public var isLow: Bool { remaining < Self.reserve }

    /// An id that nobody had before; `nil` when there is none in hand.
    public mutating func take() -> Int64? {
        guard let block = blocks.first else { return nil }
        let id = block.first + taken
        taken += 1
        if taken == block.count {
            blocks.removeFirst()
            taken = 0
        }
        return id
    }

    /// What is to be proposed to get another block.
    public mutating func claim(nonce: UInt64) -> MetadataCommand {
        if claims.count == Self.claimsLimit { claims.removeFirst() }
        claims.append(nonce)
        return .allocateProducerIDs(ProducerIDClaim(node: node, nonce: nonce))
    }

    /// A block was given to somebody. Taken in, and true, when it was this node that asked for it.
    public mutating func take(_ block: ProducerIDBlock, for claim: ProducerIDClaim) -> Bool {
        guard claim.node == node, let place = claims.firstIndex(of: claim.nonce) else { return false }
        claims.remove(at: place)
        blocks.append(block)
        return true
    }
}
