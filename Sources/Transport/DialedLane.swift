// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import NIOPosix
import PeerWire
import RaftCore

/// Who has dialled a lane, and is told how it goes.
protocol LaneOwner: AnyObject {
    /// Why the node that answered is not the one that was meant.
    func flaw(of hello: Hello) -> String?
    /// The lane is open; called again when a guest has become a member.
    func opened(_ lane: DialedLane)
    func answered(_ reply: Forward)
    func ended(_ lane: DialedLane, _ end: LaneEnd)
}

/// How a lane ended.
struct LaneEnd {
    /// For people, as the end of a sentence about the peer.
    var reason: String
    /// What the peer has against this node, when it said so.
    var refusal: (reason: HelloReply.Refusal, hello: Hello)?
}

/// A connection that this node opens to a peer, from dialling to its end. Never used again after it.
///
///     dialing ──connected, Hello sent──▶ greeting ──HelloReply──▶ open ──▶ ended
///                                                └─as a guest─▶ visiting ──HelloReply──▶ open
final class DialedLane {
    private enum State { case dialing, greeting, visiting, open, ended }

    let lane: PeerLane
    private let limits: PeerLimits
    private let loop: any EventLoop
    private let hello: Hello
    private weak var owner: (any LaneOwner)?
    private var state = State.dialing
    private var context: ChannelHandlerContext?
    private var reader: FrameReader
    private var writer: PeerWriter
    /// Bytes added since the last flush.
    private var unflushed = 0
    /// At least what the channel still has to send. Corrected by the channel's own count when it grows large.
    private var unsent = 0
    private var deadline: Scheduled<Void>?
    /// When a guest asks next what it is.
    private var nextVisit: Scheduled<Void>?

    init(_ lane: PeerLane, owner: any LaneOwner, hello: Hello, limits: PeerLimits, loop: any EventLoop) {
        self.lane = lane
        self.owner = owner
        self.hello = hello
        self.limits = limits
        self.loop = loop
        reader = FrameReader(minimumLength: 1, limit: PeerLimits.helloFrameBytes)
        writer = PeerWriter(preferredFrameSize: min(1 << 20, limits.maxFrameBytes))
    }

    var isOpen: Bool { state == .open }
    /// Open as a guest's: it carries requests to be taken in, and nothing else.
    var isVisiting: Bool { state == .visiting }
    var isDialing: Bool { state == .dialing }
    /// Waits for the answer to a Hello.
    var isInDoubt: Bool { deadline != nil }

    func dial(_ endpoint: PeerEndpoint) {
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(limits.connectTimeout)
            .peerOptions(limits)
        let connecting =
            if let address = try? SocketAddress(ipAddress: endpoint.host, port: endpoint.port) {
                bootstrap.connect(to: address)
            } else {
                bootstrap.connect(host: endpoint.host, port: endpoint.port)
            }
        // The lane becomes the channel's handler only now: a name may stand for several addresses, each of which is
        // tried with a channel of its own. Nothing is missed, for the peer says nothing before it has our Hello.
        connecting.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): self.connected(channel)
            case .failure(let error): self.end("cannot be reached: \(error)")
            }
        }
    }

    private func connected(_ channel: any Channel) {
        guard state == .dialing else { return channel.close(promise: nil) }
        do {
            try channel.pipeline.syncOperations.addHandler(DialedLaneHandler(self))
        } catch {
            channel.close(promise: nil)
            return end("its connection broke at once")
        }
        guard channel.isActive else { return end("its connection broke at once") }
        state = .greeting
        say(hello)
    }

    private func say(_ hello: Hello) {
        guard deadline == nil else { return }
        deadline = loop.assumeIsolated().scheduleTask(in: limits.helloDeadline) {
            self.deadline = nil
            self.end("does not answer")
        }
        writer.add(hello)
        flush()
    }

    /// Asks the peer for a sign of life: a dead one's kernel refuses the question at once, a stuck one is given up at
    /// the deadline.
    func verify() {
        if state == .open { say(hello) }
    }

    // MARK: - Sending

    /// Whether that much more may wait to be sent.
    func hasRoom(for bytes: Int) -> Bool {
        guard unflushed + unsent + bytes > limits.maxQueuedBytes else { return true }
        unsent = (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        return unflushed + unsent + bytes <= limits.maxQueuedBytes
    }

    /// Each returns false, and adds nothing, when there is no room.
    func add(_ message: Message, of group: PartitionID, payload: [ByteBuffer], size: Int) -> Bool {
        guard hasRoom(for: size) else { return false }
        unflushed += size
        writer.add(message, of: group, payload: payload)
        return true
    }

    func add(_ leaders: [LeaderAnnouncement]) -> Bool {
        let size = leaders.reduce(0) { $0 + 42 + 5 * $1.lagging.count }
        guard hasRoom(for: size) else { return false }
        unflushed += size
        for leader in leaders { writer.add(leader) }
        return true
    }

    func add(_ forward: Forward) -> Bool {
        let size = forward.bytes.readableBytes + PeerLimits.forwardHeadBytes
        guard hasRoom(for: size) else { return false }
        unflushed += size
        writer.add(forward: forward)
        return true
    }

    func flush() {
        unsent += unflushed
        unflushed = 0
        guard let context, !writer.isEmpty else { return }
        for piece in writer.take() { context.write(NIOAny(piece), promise: nil) }
        context.flush()
    }

    // MARK: - Receiving

    fileprivate func opened(_ context: ChannelHandlerContext) { self.context = context }

    fileprivate func received(_ buffer: ByteBuffer) {
        guard state != .ended else { return }
        reader.receive(buffer)
        do {
            while state != .ended, let frame = try reader.next() { take(try PeerFrame(frame)) }
        } catch {
            end("sent \(error)")
        }
    }

    private func take(_ frame: PeerFrame) {
        switch (state, frame) {
        case (.greeting, .helloReply(let reply)), (.visiting, .helloReply(let reply)): greeted(reply)
        case (.open, .helloReply(let reply)):
            // A process that came back may have taken over the port, but never a connection.
            if let refusal = reply.refusal { return turnedAway(refusal, by: reply.hello) }
            guard !reply.isGuest else { return end("does not know this node any more") }
            cancelDeadline()
        case (.open, .forwardReply(let reply)), (.visiting, .forwardReply(let reply)): owner?.answered(reply)
        default: end("sent a frame that has no place here")
        }
    }

    private func greeted(_ reply: HelloReply) {
        cancelDeadline()
        if let refusal = reply.refusal { return turnedAway(refusal, by: reply.hello) }
        guard let owner else { return end("is not wanted any more") }
        if let flaw = owner.flaw(of: reply.hello) { return end(flaw) }
        let isNews = state == .greeting || !reply.isGuest
        state = reply.isGuest ? .visiting : .open
        if reply.isGuest { visitAgain() } else { reader.limit = limits.maxFrameBytes }
        if isNews { owner.opened(self) }
    }

    private func turnedAway(_ refusal: HelloReply.Refusal, by hello: Hello) {
        end(LaneEnd(reason: "refuses this node: \(refusal)", refusal: (refusal, hello)))
    }

    /// The cluster may know this node soon; that is asked for, because the other side does not tell.
    private func visitAgain() {
        // Answers to what a guest asks are short, but they may hold the addresses of many nodes.
        reader.limit = limits.maxFrameBytes
        nextVisit = loop.assumeIsolated().scheduleTask(in: limits.guestPause) {
            if self.state == .visiting { self.say(self.hello) }
        }
    }

    // MARK: - Ending

    /// Ends the lane and tells its link.
    fileprivate func end(_ reason: String) { end(LaneEnd(reason: reason)) }

    private func end(_ end: LaneEnd) {
        guard state != .ended else { return }
        close()
        owner?.ended(self, end)
    }

    /// Ends the lane without telling anyone.
    func close() {
        state = .ended
        cancelDeadline()
        nextVisit?.cancel()
        nextVisit = nil
        context?.close(promise: nil)
        context = nil
    }

    private func cancelDeadline() {
        deadline?.cancel()
        deadline = nil
    }
}

/// The only handler of a dialled channel.
private final class DialedLaneHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let lane: DialedLane

    init(_ lane: DialedLane) { self.lane = lane }

    func handlerAdded(context: ChannelHandlerContext) { lane.opened(context) }
    func handlerRemoved(context: ChannelHandlerContext) { lane.end("closed its connection") }
    func channelInactive(context: ChannelHandlerContext) { lane.end("closed its connection") }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { lane.received(unwrapInboundIn(data)) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { lane.end("broke its connection: \(error)") }
}
