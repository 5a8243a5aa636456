// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import Logging
public import NIOCore
public import PeerWire
public import RaftCore

/// One shard's connections to all other nodes: two to each, so that bulk does not delay heartbeats. Confined to `loop`.
///
/// Everything added for a peer until `flush` leaves in one write a lane, in the order it was added. Nothing is sent
/// twice: what a broken connection lost, and what found no room, Raft sends again.
public final class PeerLinks {
    public let loop: any EventLoop
    public let shard: Int
    /// What this node says of itself from the next connection on.
    public var identity: PeerIdentity
    /// The data directories of peers that the cluster knows: another one under the same id is not spoken to.
    public var directories: [NodeID: TopicID] = [:]
    /// Told when a peer of this cluster says that it does not admit this node.
    public var refused: (HelloReply.Refusal, Hello) -> Void = { _, _ in }
    /// Letters that were not sent because the peer was not connected, its queue was full, or they were too large.
    public private(set) var droppedLetters = 0
    let limits: PeerLimits
    let logger: Logger
    private let connected: (NodeID) -> Void
    private let lost: (NodeID) -> Void
    private var links: [NodeID: PeerLink] = [:]
    private var dirty: [PeerLink] = []
    private var lastForward: UInt64 = 0
    var isClosed = false
    var seedCalls: [ObjectIdentifier: SeedCall] = [:]

    /// - Parameters:
    ///   - connected: both lanes to the peer are up. Followed by one `lost`, except after `close`.
    ///   - lost: one of them broke, or the peer was removed; what was on its way may not have arrived.
    public init(
        loop: any EventLoop, shard: Int, identity: PeerIdentity, limits: PeerLimits, logger: Logger,
        connected: @escaping (NodeID) -> Void, lost: @escaping (NodeID) -> Void
    ) {
        precondition(shard >= 0, "shards are counted from 0")
        self.loop = loop
        self.shard = shard
        self.identity = identity
        self.limits = limits
        self.logger = logger
        self.connected = connected
        self.lost = lost
    }

    /// Dials peers that are new or have moved and hangs up on those that are not named any more. This node itself may
    /// be among `peers` and is left out.
    public func setPeers(_ peers: [NodeID: PeerEndpoint]) {
        loop.preconditionInEventLoop()
        guard !isClosed else { return }
        for peer in links.keys.sorted() where peers[peer] == nil || peer == identity.node {
            links.removeValue(forKey: peer)?.close()
        }
        for (peer, endpoint) in peers.sorted(by: { $0.key < $1.key }) where peer != identity.node {
            if let link = links[peer] {
                link.move(to: endpoint)
            } else {
                let link = PeerLink(peer: peer, endpoint: endpoint, owner: self)
                links[peer] = link
                link.dial()
            }
        }
    }

    public func isConnected(_ peer: NodeID) -> Bool { links[peer]?.isUp ?? false }

    /// Peers that take requests, be this node a member or but a guest to them. In ascending order.
    public var peersTakingRequests: [NodeID] { links.values.filter(\.takesRequests).map(\.peer).sorted() }

    func isInDoubt(_ peer: NodeID) -> Bool { links[peer]?.isInDoubt ?? false }

    /// In ascending order.
    public var connectedPeers: [NodeID] { links.values.filter(\.isUp).map(\.peer).sorted() }

    /// Hangs up on everyone, for good. Forwarded requests fail; `lost` is called no more.
    public func close() {
        loop.preconditionInEventLoop()
        isClosed = true
        let all = links.values.sorted { $0.peer < $1.peer }
        links = [:]
        dirty = []
        for link in all { link.close() }
        for call in seedCalls.values { call.cancel() }
        seedCalls = [:]
    }

    func wasRefused(_ refusal: HelloReply.Refusal, by hello: Hello) {
        if !isClosed { refused(refusal, hello) }
    }

    func wentUp(_ peer: NodeID) { connected(peer) }

    func wentDown(_ peer: NodeID) {
        if !isClosed { lost(peer) }
    }

    // MARK: - Sending

    /// Adds a letter to what the next `flush` sends. Entries and snapshots take the bulk lane, all else the other.
    public func send(_ message: Message, of group: PartitionID, payload: [ByteBuffer], to peer: NodeID) {
        var size = PeerLimits.letterHeadBytes
        for buffer in payload { size += buffer.readableBytes }
        var lane = PeerLane.heartbeat
        switch message {
        case .append(let append) where !append.runs.isEmpty:
            lane = .bulk
            size += append.runs.count * PeerLimits.termRunBytes
        case .snapshot, .repair: lane = .bulk
        default: break
        }
        guard size <= limits.maxFrameBytes, let link = links[peer], let open = link.lane(lane),
            open.add(message, of: group, payload: payload, size: size)
        else {
            droppedLetters += 1
            return
        }
        markDirty(link)
    }

    /// Adds announcements for every connected peer to what the next `flush` sends.
    public func announce(_ leaders: [LeaderAnnouncement]) {
        for peer in connectedPeers { announce(leaders, to: peer) }
    }

    public func announce(_ leaders: [LeaderAnnouncement], to peer: NodeID) {
        guard !leaders.isEmpty, let link = links[peer], let lane = link.lane(.heartbeat) else { return }
        if lane.add(leaders) { markDirty(link) } else { droppedLetters += leaders.count }
    }

    private func markDirty(_ link: PeerLink) {
        guard !link.isDirty else { return }
        link.isDirty = true
        dirty.append(link)
    }

    /// Sends everything added since the last call. To be called at the end of each turn that added anything.
    public func flush() {
        guard !dirty.isEmpty else { return }
        let ready = dirty
        dirty = []
        for link in ready { link.flush() }
    }

    /// Sends a request, at once, and completes with the answer; on `loop`, exactly once, perhaps before this returns.
    ///
    /// - Parameter request: means nothing to this layer.
    public func forward(
        _ request: ByteBuffer, to peer: NodeID, timeout: TimeAmount,
        completion: @escaping (Result<ByteBuffer, ForwardFailure>) -> Void
    ) {
        loop.preconditionInEventLoop()
        guard request.readableBytes + PeerLimits.forwardHeadBytes <= limits.maxFrameBytes else {
            return completion(.failure(.tooLarge))
        }
        guard let link = links[peer] else { return completion(.failure(.notConnected)) }
        lastForward += 1
        link.forward(request, id: lastForward, timeout: timeout, completion: completion)
    }

    // MARK: - What the listener saw

    /// A connection that this peer had opened is gone, so it may be dead: asks it for a sign of life, or dials it, now.
    public func acceptedConnectionLost(from peer: NodeID) { links[peer]?.hurry() }

    /// This peer has just connected, so it lives: dials it now if it is not connected.
    public func acceptedConnectionOpened(from peer: NodeID) {
        if let link = links[peer], !link.isUp { link.hurry() }
    }
}
