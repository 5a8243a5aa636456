// SPDX-License-Identifier: Apache-2.0

import LogModel
import Logging
import NIOCore
import NIOPosix
import PeerWire
import RaftCore
import Synchronization

@testable import Transport

let testCluster = TopicID(high: 7, low: 7)
let testGroupID = PartitionID(topic: TopicID(high: 1, low: 2), index: 3)

func identity(_ node: Int32, cluster: TopicID? = testCluster) -> PeerIdentity {
    PeerIdentity(cluster: cluster, node: NodeID(node), directory: TopicID(high: 9, low: UInt64(node)))
}

func letter(_ number: UInt64) -> Message {
    .heartbeat(Heartbeat(term: Term(1), commit: .zero, sequence: number))
}

func entries(to end: Int64) -> Message {
    .append(
        Append(
            term: Term(1), prev: .empty, runs: [TermRun(term: Term(1), end: LogIndex(end))], commit: .zero))
}

extension PeerLimits {
    /// So that no test depends on how busy the machine is.
    static var patient: PeerLimits {
        var limits = PeerLimits()
        limits.helloDeadline = .seconds(50)
        limits.connectTimeout = .seconds(50)
        return limits
    }
}

/// A value that changes on any thread; `reaches` waits until it is as a test wants it.
final class Watched<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var waiters: [(wanted: @Sendable (Value) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state: Mutex<State>

    init(_ value: Value) { state = Mutex(State(value: value)) }

    var value: Value { state.withLock { $0.value } }

    func change(_ body: @Sendable (inout Value) -> Void) {
        let ready = state.withLock { state in
            body(&state.value)
            let value = state.value
            let ready = state.waiters.filter { $0.wanted(value) }
            state.waiters.removeAll { $0.wanted(value) }
            return ready
        }
        for waiter in ready { waiter.continuation.resume() }
    }

    func reaches(_ wanted: @escaping @Sendable (Value) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if wanted(state.value) { return true }
                state.waiters.append((wanted, continuation))
                return false
            }
            if isReady { continuation.resume() }
        }
    }
}

/// Writes down what comes in; answers forwarded requests as it was told to.
final class RecordingReceiver: PeerReceiver {
    struct Record: Sendable {
        var letters: [PeerLetter] = []
        var largestBatch = 0
        var leaders: [LeaderAnnouncement] = []
        var opened: [NodeID] = []
        var lost: [NodeID] = []
        var forwards: [ByteBuffer] = []
        var replies: [ForwardReplyPath] = []
        var guestRequests: [ByteBuffer] = []
        var hellos: [Hello] = []
    }

    let record = Watched(Record())
    private let refuse: @Sendable (Hello) -> HelloReply.Refusal?
    private let answer: (@Sendable (ByteBuffer, ForwardReplyPath) -> Void)?

    init(
        refuse: @escaping @Sendable (Hello) -> HelloReply.Refusal? = { _ in nil },
        answer: (@Sendable (ByteBuffer, ForwardReplyPath) -> Void)? = nil
    ) {
        self.refuse = refuse
        self.answer = answer
    }

    func refusal(of hello: Hello) -> HelloReply.Refusal? {
        record.change { $0.hellos.append(hello) }
        return refuse(hello)
    }

    func received(_ letters: [PeerLetter], from peer: NodeID, on loop: any EventLoop) {
        loop.preconditionInEventLoop()
        record.change {
            $0.letters += letters
            $0.largestBatch = max($0.largestBatch, letters.count)
        }
    }

    func received(_ announcements: [LeaderAnnouncement], from peer: NodeID, on loop: any EventLoop) {
        record.change { $0.leaders += announcements }
    }

    func received(forwarded request: ByteBuffer, from peer: NodeID, reply: ForwardReplyPath) {
        record.change {
            $0.forwards.append(request)
            $0.replies.append(reply)
        }
        answer?(request, reply)
    }

    func received(guestRequest request: ByteBuffer, from guest: Hello, reply: ForwardReplyPath) {
        record.change {
            $0.guestRequests.append(request)
            $0.replies.append(reply)
        }
        answer?(request, reply)
    }

    func acceptedConnectionOpened(from peer: NodeID) { record.change { $0.opened.append(peer) } }
    func acceptedConnectionLost(from peer: NodeID) { record.change { $0.lost.append(peer) } }
}

/// - Parameter host: a loopback address of its own for a test that comes back to a port, which another test may be
///   given otherwise.
func listenForPeers(
    as node: Int32 = 2, host: String = "127.0.0.1", port: Int = 0, cluster: TopicID? = testCluster,
    receiver: RecordingReceiver,
    _ change: (inout PeerLimits) -> Void = { _ in }
) async throws -> PeerListener {
    var limits = PeerLimits.patient
    change(&limits)
    return try await PeerListener.start(
        host: host, port: port, group: testGroup, identity: identity(node, cluster: cluster), limits: limits,
        receiver: receiver, logger: quietLogger)
}

/// A shard's links on a loop of the test group, driven from a test.
final class LinksUnderTest: Sendable {
    struct Seen: Sendable {
        var connected: [NodeID] = []
        var lost: [NodeID] = []
        var refusals: [HelloReply.Refusal] = []
        var seedAnswers: [Result<ByteBuffer, SeedFailure>] = []
        var answers: [Result<ByteBuffer, ForwardFailure>] = []
    }

    let loop = testGroup.next()
    let seen = Watched(Seen())
    let log = Watched<[String]>([])
    private let links: NIOLoopBound<PeerLinks>

    init(
        as node: Int32 = 1, cluster: TopicID? = testCluster, shard: Int = 0,
        _ change: @Sendable (inout PeerLimits) -> Void = { _ in }
    ) async throws {
        var limits = PeerLimits.patient
        change(&limits)
        let (loop, seen, log, set) = (loop, seen, log, limits)
        links = try await loop.submit {
            let links = PeerLinks(
                loop: loop, shard: shard, identity: identity(node, cluster: cluster), limits: set,
                logger: Logger(label: "test") { _ in LineLog(lines: log) },
                connected: { peer in seen.change { $0.connected.append(peer) } },
                lost: { peer in seen.change { $0.lost.append(peer) } })
            links.refused = { refusal, _ in seen.change { $0.refusals.append(refusal) } }
            return NIOLoopBound(links, eventLoop: loop)
        }.get()
    }

    @discardableResult
    func run<Answer: Sendable>(_ body: @escaping @Sendable (PeerLinks) -> Answer) async throws -> Answer {
        let links = links
        return try await loop.submit { body(links.value) }.get()
    }

    func setPeers(_ ports: [Int32: Int], host: String = "127.0.0.1") async throws {
        try await run { links in
            links.setPeers(
                Dictionary(
                    uniqueKeysWithValues: ports.map { (NodeID($0.key), PeerEndpoint(host: host, port: $0.value)) }))
        }
    }

    func forward(_ request: String, to peer: Int32 = 2, timeout: TimeAmount = .seconds(30)) async throws {
        try await run { [seen] links in
            links.forward(ByteBuffer(string: request), to: NodeID(peer), timeout: timeout) { result in
                seen.change { $0.answers.append(result) }
            }
        }
    }

    func ask(port: Int, _ request: String = "take me in", patience: TimeAmount = .seconds(30)) async throws {
        try await run { [seen] links in
            links.ask(
                seed: PeerEndpoint(host: "127.0.0.1", port: port), ByteBuffer(string: request), patience: patience
            ) { result in
                seen.change { $0.seedAnswers.append(result) }
            }
        }
    }

    func close() async throws { try await run { $0.close() } }
}

struct LineLog: LogHandler {
    let lines: Watched<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let line = event.message.description
        lines.change { $0.append(line) }
    }
}

/// A peer that does only what a test tells it to: accepts, and hands the raw connections over.
final class RawServer: Sendable {
    private let server: any Channel
    let accepted = Watched<[any Channel]>([])

    /// Binds, and does not read what comes in.
    ///
    /// - Parameter greeting: what it greets every connection as; `nil` waits for `greet`.
    init(greeting: Int32? = nil) async throws {
        let accepted = accepted
        server = try await ServerBootstrap(group: testGroup)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                accepted.change { $0.append(channel) }
                if let greeting { channel.eventLoop.execute { Self.greet(channel, as: greeting) } }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var port: Int { server.localAddress?.port ?? 0 }

    /// Answers the hellos of all connections without having read them.
    func greet(as node: Int32) {
        for channel in accepted.value { Self.greet(channel, as: node) }
    }

    private static func greet(_ channel: any Channel, as node: Int32) {
        let reply = HelloReply(identity(node).hello(shard: 0, lane: .bulk))
        channel.writeAndFlush(bytes { $0.add(reply) }, promise: nil)
    }

    func close() async {
        for channel in accepted.value { channel.close(promise: nil) }
        try? await server.close().get()
    }
}

func bytes(_ fill: (inout PeerWriter) -> Void) -> ByteBuffer {
    var writer = PeerWriter()
    fill(&writer)
    var all = ByteBuffer()
    for piece in writer.take() { all.writeImmutableBuffer(piece) }
    return all
}

extension RawClient {
    /// The next frame, or an error when the connection ends before.
    func receiveFrame() async throws -> PeerFrame {
        let head = try await receive(4)
        let length = head.reduce(0) { $0 << 8 | Int($1) }
        return try PeerFrame(ByteBuffer(bytes: try await receive(length)))
    }
}
