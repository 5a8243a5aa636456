// SPDX-License-Identifier: Apache-2.0

public import Logging
public import NIOCore
public import NIOPosix
import Synchronization

/// Accepts Kafka clients on one address and spreads their connections over the loops of a group.
public final class KafkaListener: Sendable {
    private let server: any Channel
    private let gate: AcceptGate
    private let budget: InflightBudget
    private let loops: [NIOLoopBound<ConnectionLoop>]

    private init(
        server: any Channel, gate: AcceptGate, budget: InflightBudget, loops: [NIOLoopBound<ConnectionLoop>]
    ) {
        self.server = server
        self.gate = gate
        self.budget = budget
        self.loops = loops
    }

    /// Binds `host`:`port` (0: any free port) and begins to accept.
    ///
    /// - Parameter dispatcherFor: called once for each loop of `group`, on that loop, before the first connection.
    /// - Throws: what binding throws, such as `IOError` when the port is taken.
    public static func start(
        host: String, port: Int, group: MultiThreadedEventLoopGroup, limits: ConnectionLimits, logger: Logger,
        dispatcherFor: @escaping @Sendable (any EventLoop) -> any RequestDispatcher
    ) async throws -> KafkaListener {
        let budget = InflightBudget(limit: limits.maxInflightBytes)
        var loops: [NIOLoopBound<ConnectionLoop>] = []
        for loop in group.makeIterator() {
            let bound = try await loop.submit {
                let state = ConnectionLoop(
                    eventLoop: loop, limits: limits, budget: budget, logger: logger, dispatcher: dispatcherFor(loop))
                state.start()
                return NIOLoopBound(state, eventLoop: loop)
            }.get()
            loops.append(bound)
        }
        let gate = AcceptGate(limits)
        do {
            let server = try await bootstrap(group, loops: loops, gate: gate, limits: limits, logger: logger)
                .bind(host: host, port: port).get()
            return KafkaListener(server: server, gate: gate, budget: budget, loops: loops)
        } catch {
            for loop in loops { loop.eventLoop.execute { loop.value.stop() } }
            throw error
        }
    }

    private static func bootstrap(
        _ group: MultiThreadedEventLoopGroup, loops: [NIOLoopBound<ConnectionLoop>], gate: AcceptGate,
        limits: ConnectionLimits, logger: Logger
    ) -> ServerBootstrap {
        let byLoop = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.eventLoop), $0) })
        let ids = ConnectionNumbers()
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: limits.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptGateHandler(gate: gate, backOff: limits.acceptBackOff, logger: logger))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // One read a wake-up: the buffers are large, and the receive allocator counts on NIO pooling none of them.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: limits.outputLowWater, high: max(limits.outputLowWater, limits.outputHighWater))
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let turn = byLoop[ObjectIdentifier(channel.eventLoop)]?.value else {
                        throw ChannelError.operationUnsupported
                    }
                    let connection = KafkaConnection(
                        id: ids.next(), remoteAddress: channel.remoteAddress?.ipAddress ?? "unknown", turn: turn)
                    try channel.syncOptions?.setOption(
                        .recvAllocator, value: ConnectionReceiveAllocator(connection: connection))
                    try channel.pipeline.syncOperations.addHandler(KafkaChannelHandler(connection))
                }
            }
    }

    /// The port that was bound.
    public var boundPort: Int { server.localAddress?.port ?? 0 }
    /// Connections that are open now.
    public var connections: Int { gate.connections }
    /// Bytes of requests being received or answered now.
    public var inflightBytes: Int { budget.bytesInUse }

    /// Accepts nothing more; open connections go on.
    public func stopAccepting() { server.close(promise: nil) }

    func stopAcceptingAndWait() async { try? await server.close().get() }

    /// Stops accepting and closes every connection. Answers not yet sent are lost.
    public func close() async {
        await stopAcceptingAndWait()
        for loop in loops {
            try? await loop.eventLoop.submit { loop.value.stop() }.get()
        }
    }
}

private final class ConnectionNumbers: Sendable {
    private let last = Atomic<UInt64>(0)

    func next() -> UInt64 { last.wrappingAdd(1, ordering: .relaxed).newValue }
}
