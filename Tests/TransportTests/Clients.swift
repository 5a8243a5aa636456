// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Synchronization

@testable import Transport

let testGroup = MultiThreadedEventLoopGroup(numberOfThreads: 2)

var quietLogger: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

/// A raw client: writes bytes, collects what comes back.
final class RawClient: Sendable {
    let channel: any Channel
    private let inbox: Inbox

    private init(channel: any Channel, inbox: Inbox) {
        self.channel = channel
        self.inbox = inbox
    }

    static func connect(port: Int, autoRead: Bool = true) async throws -> RawClient {
        let inbox = Inbox(loop: testGroup.next())
        let channel = try await ClientBootstrap(group: inbox.loop)
            .channelOption(.autoRead, value: autoRead)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(InboxHandler(inbox))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawClient(channel: channel, inbox: inbox)
    }

    func send(_ bytes: [UInt8]) { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
    func send(_ buffer: ByteBuffer) { channel.writeAndFlush(buffer, promise: nil) }

    /// Waits for `count` bytes, or throws when the connection ends before.
    func receive(_ count: Int) async throws -> [UInt8] {
        try await inbox.take(count).get()
    }

    func closed() async { try? await channel.closeFuture.get() }
    func close() { channel.close(promise: nil) }
}

private final class Inbox: Sendable {
    struct Ended: Error {}

    let loop: any EventLoop
    private let state = Mutex(State())

    private struct State {
        var bytes: [UInt8] = []
        var waiter: (count: Int, promise: EventLoopPromise<[UInt8]>)?
        var hasEnded = false
    }

    init(loop: any EventLoop) { self.loop = loop }

    func take(_ count: Int) -> EventLoopFuture<[UInt8]> {
        let promise = loop.makePromise(of: [UInt8].self)
        state.withLock { $0.waiter = (count, promise) }
        settle()
        return promise.futureResult
    }

    func append(_ buffer: ByteBuffer) {
        state.withLock { $0.bytes.append(contentsOf: buffer.readableBytesView) }
        settle()
    }

    func end() {
        state.withLock { $0.hasEnded = true }
        settle()
    }

    private func settle() {
        let (promise, bytes): (EventLoopPromise<[UInt8]>?, [UInt8]?) = state.withLock { state in
            guard let waiter = state.waiter else { return (nil, nil) }
            if state.bytes.count >= waiter.count {
                state.waiter = nil
                let taken = Array(state.bytes.prefix(waiter.count))
                state.bytes.removeFirst(waiter.count)
                return (waiter.promise, taken)
            }
            guard state.hasEnded else { return (nil, nil) }
            state.waiter = nil
            return (waiter.promise, nil)
        }
        if let bytes { promise?.succeed(bytes) } else { promise?.fail(Ended()) }
    }
}

private final class InboxHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let inbox: Inbox

    init(_ inbox: Inbox) { self.inbox = inbox }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { inbox.append(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { inbox.end() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// A request of at least eight bytes with its length prefix; the first byte says which it is.
func request(_ tag: UInt8, length: Int = 8) -> [UInt8] {
    withUnsafeBytes(of: Int32(length).bigEndian) { Array($0) } + [tag] + [UInt8](repeating: 0, count: length - 1)
}

func answer(_ tag: UInt8, length: Int = 4) -> [UInt8] {
    withUnsafeBytes(of: Int32(length).bigEndian) { Array($0) } + [UInt8](repeating: tag, count: length)
}

func pattern(_ length: Int, seed: Int = 0) -> [UInt8] {
    // A period of 251 does not divide any buffer size, so a shifted or repeated piece shows.
    let block = (0..<251).map { UInt8(truncatingIfNeeded: $0 ^ seed) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(length + block.count)
    while bytes.count < length { bytes += block }
    bytes.removeLast(bytes.count - length)
    return bytes
}

/// Counts events so that a test can wait for the n-th of them.
final class Count: Sendable {
    private let state = Mutex<(value: Int, waiters: [(Int, CheckedContinuation<Void, Never>)])>((0, []))

    var value: Int { state.withLock { $0.value } }

    func add() {
        let ready = state.withLock { state in
            state.value += 1
            let value = state.value
            let ready = state.waiters.filter { $0.0 <= value }
            state.waiters.removeAll { $0.0 <= value }
            return ready
        }
        for (_, continuation) in ready { continuation.resume() }
    }

    func reaches(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if state.value >= count { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isReady { continuation.resume() }
        }
    }
}

/// A dispatcher made of two closures, which run on the loop.
final class ScriptedDispatcher: RequestDispatcher {
    private let onRequest: (ByteBuffer, ReplySlot, KafkaConnection) -> Void
    private let onClose: (KafkaConnection) -> Void

    init(
        onRequest: @escaping (ByteBuffer, ReplySlot, KafkaConnection) -> Void,
        onClose: @escaping (KafkaConnection) -> Void = { _ in }
    ) {
        self.onRequest = onRequest
        self.onClose = onClose
    }

    func dispatch(_ frame: ByteBuffer, slot: ReplySlot, on connection: KafkaConnection) {
        onRequest(frame, slot, connection)
    }

    func closed(_ connection: KafkaConnection) { onClose(connection) }
}
