// SPDX-License-Identifier: Apache-2.0

public import Logging
import NIOCore
public import NIOPosix
import Synchronization

/// Accepts the other nodes' connections and hands what they send to a `PeerReceiver`.
public final class PeerListener: Sendable {
    private let server: any Channel
    private let gate: AcceptGate
    private let identity: PeerIdentityCell
    private let roster: PeerRosterCell
    private let loops: [NIOLoopBound<PeerConnectionLoop>]

    private init(
        server: any Channel, gate: AcceptGate, identity: PeerIdentityCell, roster: PeerRosterCell,
        loops: [NIOLoopBound<PeerConnectionLoop>]
    ) {
        self.server = server
        self.gate = gate
        self.identity = identity
        self.roster = roster
        self.loops = loops
    }

    /// Binds `host`:`port` (0: any free port) and begins to accept.
    ///
    /// - Throws: what binding throws, such as `IOError` when the port is taken.
    public static func start(
        host: String, port: Int, group: MultiThreadedEventLoopGroup, identity: PeerIdentity, limits: PeerLimits,
        receiver: any PeerReceiver, logger: Logger
    ) async throws -> PeerListener {
        let identity = PeerIdentityCell(identity)
        let roster = PeerRosterCell()
        let guests = GuestGate(limit: limits.maxGuests)
        var loops: [NIOLoopBound<PeerConnectionLoop>] = []
        for loop in group.makeIterator() {
            let bound = try await loop.submit {
                let state = PeerConnectionLoop(
                    eventLoop: loop, limits: limits, receiver: receiver, identity: identity, roster: roster,
                    guests: guests, log: LogGate(logger))
                return NIOLoopBound(state, eventLoop: loop)
            }.get()
            loops.append(bound)
        }
        var gateLimits = ConnectionLimits()
        gateLimits.maxConnections = limits.maxConnections
        gateLimits.maxConnectionsPerAddress = limits.maxConnections
        let gate = AcceptGate(gateLimits)
        let server = try await bootstrap(
            group, loops: loops, gate: gate, backOff: gateLimits.acceptBackOff, limits: limits, logger: logger
        )
        .bind(host: host, port: port).get()
        return PeerListener(server: server, gate: gate, identity: identity, roster: roster, loops: loops)
    }

    private static func bootstrap(
        _ group: MultiThreadedEventLoopGroup, loops: [NIOLoopBound<PeerConnectionLoop>], gate: AcceptGate,
        backOff: TimeAmount, limits: PeerLimits, logger: Logger
    ) -> ServerBootstrap {
        let byLoop = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.eventLoop), $0) })
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptGateHandler(gate: gate, backOff: backOff, logger: logger))
                }
            }
            .peerOptions(limits)
            // One read a wake-up: the receive allocator counts on NIO pooling none of its large buffers.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let turn = byLoop[ObjectIdentifier(channel.eventLoop)]?.value else {
                        throw ChannelError.operationUnsupported
                    }
                    let connection = PeerConnection(
                        remoteAddress: channel.remoteAddress?.ipAddress ?? "unknown", turn: turn)
                    try channel.syncOptions?.setOption(
                        .recvAllocator, value: PeerReceiveAllocator(connection: connection))
                    try channel.pipeline.syncOperations.addHandler(PeerConnectionHandler(connection))
                }
            }
    }

    /// The port that was bound.
    public var boundPort: Int { server.localAddress?.port ?? 0 }
    /// Connections that are open now, admitted or not.
    public var connections: Int { gate.connections }

    /// What is checked and answered from the next Hello on: for a node that learns which cluster it belongs to.
    public func setIdentity(_ identity: PeerIdentity) { self.identity.value = identity }

    /// Who may do what from now on. Until the first call everybody is a member. Connections of those who are refused by
    /// it are closed, and told why.
    public func setRoster(_ roster: PeerRoster) {
        self.roster.value = roster
        for loop in loops { loop.eventLoop.execute { loop.value.review() } }
    }

    /// Stops accepting and closes every connection. The receiver does not hear of their ends.
    public func close() async {
        try? await server.close().get()
        for loop in loops {
            try? await loop.eventLoop.submit { loop.value.stop() }.get()
        }
    }
}

/// Read on every loop, once a connection; written once or twice in a node's life.
final class PeerIdentityCell: Sendable {
    private let cell: Mutex<PeerIdentity>

    init(_ identity: PeerIdentity) { cell = Mutex(identity) }

    var value: PeerIdentity {
        get { cell.withLock { $0 } }
        set { cell.withLock { $0 = newValue } }
    }
}
