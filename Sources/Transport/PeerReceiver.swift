// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore
public import PeerWire

/// What the node does with what its peers send. Called on the loop of the accepted connection, whichever that is.
public protocol PeerReceiver: AnyObject, Sendable {
    /// Whether a peer that says this of itself may send; `nil` admits it. Protocol version, cluster and node id were
    /// checked before. Called on any loop: what is needed for it must be reachable from there.
    func refusal(of hello: Hello) -> HelloReply.Refusal?
    /// All letters of one frame, in the order they were sent. Payloads may be slices of a larger receive buffer:
    /// whoever keeps one for long should copy it.
    func received(_ letters: [PeerLetter], from peer: NodeID, on loop: any EventLoop)
    func received(_ announcements: [LeaderAnnouncement], from peer: NodeID, on loop: any EventLoop)
    /// A guest asks something, most likely to be taken in. At most `PeerLimits.maxGuestRequests` of one connection wait
    /// for their answers, and none is longer than `PeerLimits.guestFrameBytes`.
    func received(guestRequest request: ByteBuffer, from guest: Hello, reply: ForwardReplyPath)
    /// A request to be answered in the peer's place, by one call of `reply`, from anywhere.
    func received(forwarded request: ByteBuffer, from peer: NodeID, reply: ForwardReplyPath)
    /// A connection of this peer was admitted, so it can likely be reached: shards that have no connection to it should
    /// hear of it by `PeerLinks.acceptedConnectionOpened(from:)`.
    func acceptedConnectionOpened(from peer: NodeID)
    /// A connection that this peer had opened and that had been admitted is gone: every shard should hear of it by
    /// `PeerLinks.acceptedConnectionLost(from:)`.
    func acceptedConnectionLost(from peer: NodeID)
}

extension PeerReceiver {
    public func received(guestRequest request: ByteBuffer, from guest: Hello, reply: ForwardReplyPath) {
        reply.refuse()
    }

    public func acceptedConnectionOpened(from peer: NodeID) {}
}

/// The way back for the answer to a forwarded request. Use it once: later uses do nothing. When the connection has gone
/// meanwhile, the answer goes nowhere.
public struct ForwardReplyPath: Sendable {
    let connection: NIOLoopBound<PeerConnection>
    let id: UInt64

    public func send(_ answer: ByteBuffer) { finish(answer) }

    /// The asking side's `forward` ends with `ForwardFailure.refused`.
    public func refuse() { finish(nil) }

    private func finish(_ answer: ByteBuffer?) {
        if connection.eventLoop.inEventLoop {
            connection.value.answer(id, with: answer)
        } else {
            connection.eventLoop.execute { connection.value.answer(id, with: answer) }
        }
    }
}
