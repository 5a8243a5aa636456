// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore

/// One member of a classic group.
struct ClassicMember: Sendable {
    /// One way to share the work that the member knows, and what it says of itself in that way.
    struct SupportedProtocol: Hashable, Sendable {
        var name: String
        var metadata: ByteBuffer
    }

    /// A reply that is held back.
    struct WaitingCall: Sendable {
        var id: UInt64
        var since: Moment
    }

    let id: String
    /// Set for a static member (KIP-345).
    let groupInstanceID: String?
    var clientID: String
    var clientHost: String
    /// In milliseconds.
    var rebalanceTimeout: Int32
    /// In milliseconds.
    var sessionTimeout: Int32
    /// Best first.
    var protocols: [SupportedProtocol]
    var assignment = ByteBuffer()
    /// How many had joined the group before.
    let rank: UInt64
    /// Whether it has joined but was never part of a generation.
    var isNew = true
    var awaitingJoin: WaitingCall?
    var awaitingSync: WaitingCall?

    /// Whether it is to be kept although its session has timed out: it waits for us, not we for it.
    var keepsSession: Bool { !isNew && (awaitingJoin != nil || awaitingSync != nil) }

    /// What it costs in memory, about.
    var footprint: Int { Self.footprint(of: protocols) + assignment.readableBytes }

    static func footprint(of protocols: [SupportedProtocol]) -> Int {
        protocols.reduce(256) { $0 + 64 + $1.name.utf8.count + $1.metadata.readableBytes }
    }

    /// What it says of itself in a protocol; `nil` when it does not know it.
    func metadata(for name: String?) -> ByteBuffer? { protocols.first { $0.name == name }?.metadata }

    func supports(_ name: String) -> Bool { protocols.contains { $0.name == name } }
}
