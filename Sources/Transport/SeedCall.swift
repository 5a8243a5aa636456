// SPDX-License-Identifier: Apache-2.0

public import NIOCore
public import PeerWire

/// Why a seed gave no answer.
public enum SeedFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// It says why it does not even hear this node.
    case refused(HelloReply.Refusal, by: Hello)
    /// It took the request and would not answer it.
    case unanswered
    /// What happened to the connection, as the end of a sentence about the seed.
    case broken(String)
    case timedOut

    public var description: String {
        switch self {
        case .refused(let refusal, _): "refuses this node: \(refusal)"
        case .unanswered: "does not answer this"
        case .broken(let reason): reason
        case .timedOut: "does not answer in time"
        }
    }
}

/// One question to a node of which only the address is known: connects, says hello, asks, and hangs up.
final class SeedCall: LaneOwner {
    private let request: ByteBuffer
    private var lane: DialedLane?
    private var timeout: Scheduled<Void>?
    /// Told once how it went.
    var completion: ((Result<ByteBuffer, SeedFailure>) -> Void)?
    private let isForeign: (Hello) -> Bool

    init(_ request: ByteBuffer, isForeign: @escaping (Hello) -> Bool) {
        self.request = request
        self.isForeign = isForeign
    }

    func begin(_ endpoint: PeerEndpoint, hello: Hello, limits: PeerLimits, loop: any EventLoop, patience: TimeAmount) {
        let lane = DialedLane(.bulk, owner: self, hello: hello, limits: limits, loop: loop)
        self.lane = lane
        // The loop keeps this call alive until then; the lane knows its owner only weakly.
        timeout = loop.assumeIsolated().scheduleTask(in: patience) { self.finish(.failure(.timedOut)) }
        lane.dial(endpoint)
    }

    /// Hangs up and tells nobody.
    func cancel() {
        completion = nil
        timeout?.cancel()
        lane?.close()
    }

    func flaw(of hello: Hello) -> String? { isForeign(hello) ? "belongs to another cluster" : nil }

    func opened(_ lane: DialedLane) {
        guard lane.add(Forward(id: 1, kind: ForwardKind.request, bytes: request)) else {
            return finish(.failure(.broken("was to be asked for too much")))
        }
        lane.flush()
    }

    func answered(_ reply: Forward) {
        finish(reply.kind == ForwardKind.answer ? .success(reply.bytes) : .failure(.unanswered))
    }

    func ended(_ lane: DialedLane, _ end: LaneEnd) {
        finish(.failure(end.refusal.map { .refused($0.reason, by: $0.hello) } ?? .broken(end.reason)))
    }

    private func finish(_ result: Result<ByteBuffer, SeedFailure>) {
        guard let completion else { return }
        self.completion = nil
        timeout?.cancel()
        lane?.close()
        lane = nil
        completion(result)
    }
}

extension PeerLinks {
    /// Asks a node of which only the address is known, such as one of `cluster.seeds`. Completes on `loop`, exactly
    /// once, perhaps before this returns; never after `close`.
    ///
    /// - Parameter request: means nothing to this layer.
    public func ask(
        seed endpoint: PeerEndpoint, _ request: ByteBuffer, patience: TimeAmount,
        completion: @escaping (Result<ByteBuffer, SeedFailure>) -> Void
    ) {
        loop.preconditionInEventLoop()
        guard !isClosed else { return }
        let identity = identity
        let call = SeedCall(request) { identity.isForeign($0) }
        let id = ObjectIdentifier(call)
        seedCalls[id] = call
        call.completion = { [weak self] result in
            self?.seedCalls[id] = nil
            completion(result)
        }
        call.begin(
            endpoint, hello: identity.hello(shard: UInt32(shard), lane: .bulk), limits: limits, loop: loop,
            patience: patience)
    }
}
