// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import PeerWire
import Synchronization

/// What the accepted peer connections of one event loop share.
final class PeerConnectionLoop {
    let eventLoop: any EventLoop
    let limits: PeerLimits
    let receiver: any PeerReceiver
    let identity: PeerIdentityCell
    let roster: PeerRosterCell
    let guests: GuestGate
    var log: LogGate
    var connections: [ObjectIdentifier: PeerConnection] = [:]
    private(set) var isStopping = false

    init(
        eventLoop: any EventLoop, limits: PeerLimits, receiver: any PeerReceiver, identity: PeerIdentityCell,
        roster: PeerRosterCell, guests: GuestGate, log: LogGate
    ) {
        self.eventLoop = eventLoop
        self.limits = limits
        self.receiver = receiver
        self.identity = identity
        self.roster = roster
        self.guests = guests
        self.log = log
    }

    /// The roster has changed: who is not to be here any more is told so.
    func review() {
        for connection in Array(connections.values) { connection.review() }
    }

    func stop() {
        isStopping = true
        for connection in Array(connections.values) { connection.close(reason: nil) }
    }
}

/// How many guests a listener has at a time.
final class GuestGate: Sendable {
    private let limit: Int
    private let count = Mutex(0)

    init(limit: Int) { self.limit = limit }

    /// Every `true` is ended by one `leave`.
    func enter() -> Bool {
        count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
    }

    func leave() { count.withLock { $0 -= 1 } }
}

/// A connection that a peer opened: its letters come in, answers to its Hellos and forwarded requests go out.
final class PeerConnection {
    private let turn: PeerConnectionLoop
    private let remoteAddress: String
    private var context: ChannelHandlerContext?
    private var reader: FrameReader
    /// The peer's first Hello, once it was admitted.
    private var admitted: Hello?
    private var isGuest = false
    private var isOpen = true
    private var helloDeadline: Scheduled<Void>?
    private var unanswered: Set<UInt64> = []
    private var readWasSwallowed = false
    private var hadFirstRead = false
    private var receiveBufferBytes = PeerConnection.smallReceiveBytes
    private var spareBuffer: ByteBuffer?

    private static let smallReceiveBytes = 16 << 10
    private static let bulkReceiveBytes = 128 << 10
    private static let headBytes = 4 << 10

    init(remoteAddress: String, turn: PeerConnectionLoop) {
        self.remoteAddress = remoteAddress
        self.turn = turn
        reader = FrameReader(minimumLength: 1, limit: PeerLimits.helloFrameBytes)
    }

    // MARK: - Receiving

    /// The buffer the next read fills: the frame's own when one is under way, the connection's shared one otherwise.
    func receiveBuffer() -> ByteBuffer {
        guard hadFirstRead, !reader.isLent else {
            // NIO keeps the first buffer for the connection's whole life, so that one is small.
            hadFirstRead = true
            return ByteBufferAllocator().buffer(capacity: 512)
        }
        if let own = reader.lendBody() { return own }
        if reader.lastWasLarge { return ByteBufferAllocator().buffer(capacity: Self.headBytes) }
        guard var buffer = spareBuffer.take() else { return ByteBufferAllocator().buffer(capacity: receiveBufferBytes) }
        buffer.clear(minimumCapacity: receiveBufferBytes)
        return buffer
    }

    private func received(_ buffer: ByteBuffer) {
        guard isOpen else { return }
        if reader.isLent {
            reader.receive(buffer)
        } else {
            // A letter that is kept for a while would keep the whole receive buffer; when little came, a copy of that
            // little is cheaper than another receive buffer.
            let isLittle = buffer.readableBytes <= receiveBufferBytes / 8
            reader.receive(isLittle ? ByteBuffer(bytes: buffer.readableBytesView) : buffer)
            if buffer.capacity >= receiveBufferBytes { spareBuffer = buffer }
        }
        do {
            while isOpen, let frame = try reader.next() { try take(frame) }
        } catch {
            close(reason: "it sent \(error)")
        }
    }

    private func take(_ bytes: ByteBuffer) throws(PeerWireError) {
        guard let admitted else { return try greet(bytes) }
        guard !isGuest else { return try take(PeerFrame(bytes), fromGuest: admitted) }
        let peer = admitted.node
        switch try PeerFrame(bytes) {
        case .letters(let letters): turn.receiver.received(letters, from: peer, on: turn.eventLoop)
        case .leaders(let leaders): turn.receiver.received(leaders, from: peer, on: turn.eventLoop)
        case .forward(let forward): take(forward, from: peer)
        case .hello(let again): greetAgain(again)
        case .helloReply, .forwardReply: close(reason: "it sent a frame that has no place here")
        }
    }

    /// Guests have a voice in nothing: they ask to be taken in, and whether they are by now.
    private func take(_ frame: PeerFrame, fromGuest guest: Hello) {
        switch frame {
        case .hello(let again): greetAgain(again)
        case .forward(let forward):
            guard let path = replyPath(of: forward) else { return }
            guard unanswered.count <= turn.limits.maxGuestRequests else {
                return close(reason: "a guest asked for more than is answered at a time")
            }
            turn.receiver.received(guestRequest: forward.bytes, from: guest, reply: path)
        case .letters, .leaders, .helloReply, .forwardReply:
            close(reason: "\(guest.node) is no member of the cluster and sent what only members may")
        }
    }

    private func take(_ forward: Forward, from peer: NodeID) {
        guard let path = replyPath(of: forward) else { return }
        guard unanswered.count <= turn.limits.maxForwards else { return answer(forward.id, with: nil) }
        turn.receiver.received(forwarded: forward.bytes, from: peer, reply: path)
    }

    private func replyPath(of forward: Forward) -> ForwardReplyPath? {
        guard forward.kind == ForwardKind.request, unanswered.insert(forward.id).inserted else {
            close(reason: "it forwarded what is no request, or the same one twice")
            return nil
        }
        return ForwardReplyPath(connection: NIOLoopBound(self, eventLoop: turn.eventLoop), id: forward.id)
    }

    // MARK: - Greeting

    private func greet(_ bytes: ByteBuffer) throws(PeerWireError) {
        let frame: PeerFrame
        do throws(PeerWireError) {
            frame = try PeerFrame(bytes)
        } catch {
            if case .unsupportedVersion = error { say(.otherVersion, lane: .bulk, shard: 0) }
            throw error
        }
        guard case .hello(let hello) = frame else { return close(reason: "its first frame was no hello") }
        cancelDeadline()
        switch standing(of: hello) {
        case .refused(let refusal):
            say(refusal, lane: hello.lane, shard: hello.shard)
            return close(reason: Self.account(of: refusal, hello))
        case .guest:
            guard turn.guests.enter() else { return close(reason: "too many nodes ask to be taken in") }
            isGuest = true
            admitted = hello
            reader.limit = min(turn.limits.guestFrameBytes, turn.limits.maxFrameBytes)
        case .member:
            admitted = hello
            becomeMember(hello)
        }
        say(nil, lane: hello.lane, shard: hello.shard)
    }

    private func becomeMember(_ hello: Hello) {
        if isGuest { turn.guests.leave() }
        isGuest = false
        reader.limit = turn.limits.maxFrameBytes
        if hello.lane == .bulk { receiveBufferBytes = Self.bulkReceiveBytes }
        turn.receiver.acceptedConnectionOpened(from: hello.node)
    }

    private func standing(of hello: Hello) -> PeerStanding {
        let identity = turn.identity.value
        if turn.isStopping { return .refused(.stopping) }
        if identity.isForeign(hello) { return .refused(.otherCluster) }
        if identity.node == hello.node { return .refused(.sameNode) }
        let standing = turn.roster.value.standing(of: hello)
        guard standing == .member, let refusal = turn.receiver.refusal(of: hello) else { return standing }
        return .refused(refusal)
    }

    /// A peer that doubts its connection says hello once more, and so does a guest that hopes to be a member by now.
    private func greetAgain(_ hello: Hello) {
        guard let admitted, hello.node == admitted.node, hello.directory == admitted.directory else {
            return close(reason: "it changed its name")
        }
        if isGuest {
            switch standing(of: hello) {
            case .refused(let refusal): return dismiss(refusal)
            case .member: becomeMember(hello)
            case .guest: break
            }
        }
        say(nil, lane: hello.lane, shard: hello.shard)
    }

    /// Looks again whether the peer may stay what it is.
    func review() {
        guard isOpen, let admitted, !turn.isStopping else { return }
        switch turn.roster.value.standing(of: admitted) {
        case .refused(let refusal): dismiss(refusal)
        case .guest where !isGuest: close(reason: "\(admitted.node) is no member of the cluster any more")
        case .guest, .member: break
        }
    }

    private static func account(of refusal: HelloReply.Refusal, _ hello: Hello) -> String {
        switch refusal {
        case .removed: "\(hello.node) was refused, because it was removed from the cluster"
        case .otherDirectory:
            "a second \(hello.node) was refused: it has another data directory than the one that is connected"
        case .sameNode: "a second \(hello.node) was refused, because that is this node"
        default: "\(hello.node) was refused: to it, \(refusal)"
        }
    }

    private func dismiss(_ refusal: HelloReply.Refusal) {
        guard let admitted else { return }
        say(refusal, lane: admitted.lane, shard: admitted.shard)
        close(reason: Self.account(of: refusal, admitted))
    }

    private func say(_ refusal: HelloReply.Refusal?, lane: PeerLane, shard: UInt32) {
        var writer = PeerWriter()
        let hello = turn.identity.value.hello(shard: shard, lane: lane)
        writer.add(HelloReply(hello, refusal: refusal, isGuest: refusal == nil && isGuest))
        write(writer.take())
    }

    // MARK: - Answering

    /// `nil` refuses. Does nothing for what was answered before or when the connection is gone.
    func answer(_ id: UInt64, with answer: ByteBuffer?) {
        guard isOpen, unanswered.remove(id) != nil else { return }
        var reply = Forward(id: id, kind: ForwardKind.refusal, bytes: ByteBuffer())
        if let answer, answer.readableBytes + PeerLimits.forwardHeadBytes <= turn.limits.maxFrameBytes {
            reply = Forward(id: id, kind: ForwardKind.answer, bytes: answer)
        }
        var writer = PeerWriter()
        writer.add(forwardReply: reply)
        write(writer.take())
    }

    private func write(_ pieces: [ByteBuffer]) {
        guard let context else { return }
        for piece in pieces { context.write(NIOAny(piece), promise: nil) }
        context.flush()
    }

    // MARK: - Ending

    /// - Parameter reason: goes to the log; `nil` when the node is stopping.
    func close(reason: String?) {
        guard isOpen else { return }
        isOpen = false
        if let reason { turn.log.info("closed a peer's connection from \(remoteAddress): \(reason)") }
        context?.close(promise: nil)
    }

    private func cancelDeadline() {
        helloDeadline?.cancel()
        helloDeadline = nil
    }

    // MARK: - Channel events

    fileprivate func opened(_ context: ChannelHandlerContext) {
        self.context = context
        turn.connections[ObjectIdentifier(self)] = self
        guard !turn.isStopping else { return close(reason: nil) }
        helloDeadline = turn.eventLoop.assumeIsolated().scheduleTask(in: turn.limits.helloDeadline) {
            self.close(reason: "it did not say hello in time")
        }
    }

    fileprivate func ended() {
        isOpen = false
        context = nil
        cancelDeadline()
        unanswered = []
        guard turn.connections.removeValue(forKey: ObjectIdentifier(self)) != nil else { return }
        if isGuest { return turn.guests.leave() }
        if let admitted, !turn.isStopping { turn.receiver.acceptedConnectionLost(from: admitted.node) }
    }

    fileprivate func channelRead(_ buffer: ByteBuffer) { received(buffer) }

    fileprivate func channelReadComplete() {
        if reader.isLent { close(reason: "the socket gave no bytes where it had some") }
    }

    /// NIO asks whether to read on: not from a peer that does not read its answers.
    fileprivate func read(_ context: ChannelHandlerContext) {
        if context.channel.isWritable { context.read() } else { readWasSwallowed = true }
    }

    fileprivate func writabilityChanged(_ context: ChannelHandlerContext) {
        guard context.channel.isWritable, readWasSwallowed else { return }
        readWasSwallowed = false
        context.read()
    }
}

/// Lets each read go where it is wanted: see `PeerConnection.receiveBuffer`.
///
/// It answers no size in advance and "may grow" to every read, which makes NIO ask for a buffer each time.
// SAFETY: a channel uses its receive allocator on its own event loop only, to which the connection is confined too.
struct PeerReceiveAllocator: RecvByteBufferAllocator, @unchecked Sendable {
    let connection: PeerConnection

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { connection.receiveBuffer() }
    func record(actualReadBytes: Int) -> Bool { true }
}

/// The only handler of an accepted peer channel.
final class PeerConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never

    private let connection: PeerConnection

    init(_ connection: PeerConnection) { self.connection = connection }

    func handlerAdded(context: ChannelHandlerContext) { connection.opened(context) }
    func handlerRemoved(context: ChannelHandlerContext) { connection.ended() }
    func channelInactive(context: ChannelHandlerContext) { connection.ended() }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection.channelRead(unwrapInboundIn(data)) }
    func channelReadComplete(context: ChannelHandlerContext) { connection.channelReadComplete() }
    func read(context: ChannelHandlerContext) { connection.read(context) }
    func channelWritabilityChanged(context: ChannelHandlerContext) { connection.writabilityChanged(context) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
