// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore

/// What the Kafka connections of one event loop share: their dispatcher, receive buffer, and the work of a turn's end.
final class ConnectionLoop {
    let eventLoop: any EventLoop
    let limits: ConnectionLimits
    let budget: InflightBudget
    let dispatcher: any RequestDispatcher
    var log: LogGate
    var connections: [UInt64: KafkaConnection] = [:]
    /// The one connection that may finish the frame it is in the middle of although the budget is used up.
    var privileged: KafkaConnection?
    private var dirty: [KafkaConnection] = []
    private var spare: [KafkaConnection] = []
    private var turnEndIsScheduled = false
    private var starved: [KafkaConnection] = []
    private var retryIsScheduled = false
    private var receiveBuffer: ByteBuffer?
    private var sweeping: RepeatedTask?

    private static let starvedRetry = TimeAmount.milliseconds(5)
    private static let headBytes = 4 << 10

    init(
        eventLoop: any EventLoop, limits: ConnectionLimits, budget: InflightBudget, logger: Logger,
        dispatcher: any RequestDispatcher
    ) {
        self.eventLoop = eventLoop
        self.limits = limits
        self.budget = budget
        self.dispatcher = dispatcher
        log = LogGate(logger)
    }

    func start() {
        let shortest = min(limits.idleTimeout, limits.frameProgressTimeout, limits.writeStallTimeout).nanoseconds
        let interval = TimeAmount.nanoseconds(max(5_000_000, min(500_000_000, shortest / 4)))
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        sweeping = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            let now = NIODeadline.now()
            for connection in Array(bound.value.connections.values) { connection.sweep(now: now) }
        }
    }

    func stop() {
        sweeping?.cancel()
        sweeping = nil
        for connection in Array(connections.values) { connection.close(reason: "the node is stopping") }
    }

    // MARK: Turn's end

    /// Has `connection.endTurn()` called once when the events of this turn are handled.
    func wake(_ connection: KafkaConnection) {
        guard !connection.isDirty else { return }
        connection.isDirty = true
        dirty.append(connection)
        guard !turnEndIsScheduled else { return }
        turnEndIsScheduled = true
        eventLoop.assumeIsolated().execute { self.endTurn() }
    }

    private func endTurn() {
        turnEndIsScheduled = false
        swap(&dirty, &spare)
        for connection in spare { connection.endTurn() }
        spare.removeAll(keepingCapacity: true)
        if !starved.isEmpty { feedStarved() }
    }

    // MARK: Budget

    func starve(_ connection: KafkaConnection) {
        if !connection.isStarved {
            connection.isStarved = true
            starved.append(connection)
        }
        scheduleRetry()
    }

    private func scheduleRetry() {
        guard !retryIsScheduled else { return }
        retryIsScheduled = true
        // Room may be made on another loop, which does not know who waits here: hence a timer, while anyone does.
        eventLoop.assumeIsolated().scheduleTask(in: Self.starvedRetry) {
            self.retryIsScheduled = false
            self.feedStarved()
        }
    }

    private func feedStarved() {
        starved.removeAll { connection in
            if !connection.isOpen { connection.isStarved = false }
            return !connection.isOpen
        }
        if !budget.hasRoom, privileged == nil, let next = starved.firstIndex(where: { $0.isMidFrame }) {
            let connection = starved.remove(at: next)
            connection.isStarved = false
            privileged = connection
            connection.readOn()
        } else if budget.hasRoom {
            let waiting = starved
            starved.removeAll(keepingCapacity: true)
            for connection in waiting {
                connection.isStarved = false
                connection.readOn()
            }
        }
        if !starved.isEmpty { scheduleRetry() }
    }

    // MARK: Receive buffers

    /// An empty buffer to read into: the last one again, unless frames cut from it are still held somewhere.
    func takeReceiveBuffer() -> ByteBuffer {
        guard var buffer = receiveBuffer.take() else {
            return ByteBufferAllocator().buffer(capacity: limits.receiveBufferBytes)
        }
        buffer.clear(minimumCapacity: limits.receiveBufferBytes)
        return buffer
    }

    func takeSmallReceiveBuffer() -> ByteBuffer { ByteBufferAllocator().buffer(capacity: Self.headBytes) }

    func giveBackReceiveBuffer(_ buffer: ByteBuffer) {
        if buffer.capacity >= limits.receiveBufferBytes, receiveBuffer == nil { receiveBuffer = buffer }
    }
}

/// Lets each read go where it is wanted: see `KafkaConnection.receiveBuffer`.
///
/// It answers no size in advance and "may grow" to every read, which makes NIO ask for a buffer each time.
// SAFETY: a channel uses its receive allocator on its own event loop only, to which the connection is confined too.
struct ConnectionReceiveAllocator: RecvByteBufferAllocator, @unchecked Sendable {
    let connection: KafkaConnection

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { connection.receiveBuffer() }
    func record(actualReadBytes: Int) -> Bool { true }
}

/// The only handler of a Kafka channel.
final class KafkaChannelHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never

    private let connection: KafkaConnection

    init(_ connection: KafkaConnection) { self.connection = connection }

    func handlerAdded(context: ChannelHandlerContext) { connection.opened(context) }
    func handlerRemoved(context: ChannelHandlerContext) { connection.ended() }
    func channelInactive(context: ChannelHandlerContext) { connection.ended() }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection.channelRead(unwrapInboundIn(data)) }
    func channelReadComplete(context: ChannelHandlerContext) { connection.channelReadComplete() }
    func read(context: ChannelHandlerContext) { connection.read(context) }
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        connection.writabilityChanged(context.channel.isWritable)
    }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
