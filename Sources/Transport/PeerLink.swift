// SPDX-License-Identifier: Apache-2.0

import LogModel
import Logging
import NIOCore
import PeerWire

/// One shard's way to one peer: two lanes that are up together or not at all, and dialled again for ever.
///
///              ┌──────────── either lane ends: `lost`, wait ◀───────────┐
///              ▼                                                        │
///     waiting (redial timer) ──▶ dialling both lanes ──both greeted──▶ up: `connected`
///                                                 └─a guest to it─▶ only requests may be forwarded
final class PeerLink: LaneOwner {
    let peer: NodeID
    private(set) var endpoint: PeerEndpoint
    private(set) var isUp = false
    /// Has something to flush.
    var isDirty = false
    private weak var owner: PeerLinks?
    private let loop: any EventLoop
    private let limits: PeerLimits
    private var bulk: DialedLane?
    private var heartbeat: DialedLane?
    private var redial: Scheduled<Void>?
    private var pause: TimeAmount
    private var upSince = NIODeadline.uptimeNanoseconds(0)
    /// What the log was told last, so that it is not told again with each attempt.
    private var toldReason: String?
    private var forwards: [UInt64: PendingForward] = [:]

    private struct PendingForward {
        var timeout: Scheduled<Void>
        var completion: (Result<ByteBuffer, ForwardFailure>) -> Void
    }

    init(peer: NodeID, endpoint: PeerEndpoint, owner: PeerLinks) {
        self.peer = peer
        self.endpoint = endpoint
        self.owner = owner
        loop = owner.loop
        limits = owner.limits
        pause = owner.limits.redialFirst
    }

    func lane(_ lane: PeerLane) -> DialedLane? {
        guard isUp else { return nil }
        return lane == .bulk ? bulk : heartbeat
    }

    /// Whether the peer takes requests: also while this node is but a guest to it.
    var takesRequests: Bool { bulk.map { $0.isOpen || $0.isVisiting } ?? false }

    var isInDoubt: Bool { heartbeat?.isInDoubt ?? false }

    func flush() {
        isDirty = false
        heartbeat?.flush()
        bulk?.flush()
    }

    // MARK: - Dialling

    func dial() {
        redial?.cancel()
        redial = nil
        guard let owner else { return }
        let shard = UInt32(owner.shard)
        let both = [PeerLane.heartbeat, .bulk].map { lane in
            DialedLane(
                lane, owner: self, hello: owner.identity.hello(shard: shard, lane: lane), limits: limits, loop: loop)
        }
        heartbeat = both[0]
        bulk = both[1]
        // The first may fail at once, which ends the second too.
        for lane in both where lane.isDialing { lane.dial(endpoint) }
    }

    /// Does what is due next without waiting for it: asks a peer that is connected for a sign of life, dials one that
    /// is not.
    func hurry() {
        if isUp {
            // Only the lane where the question does not wait behind bulk; a dead peer's kernel ends both by itself.
            heartbeat?.verify()
        } else if redial != nil {
            dial()
        }
    }

    func move(to endpoint: PeerEndpoint) {
        guard endpoint != self.endpoint else { return }
        self.endpoint = endpoint
        pause = limits.redialFirst
        takeDown("has moved to \(endpoint)", redialIn: .zero)
    }

    /// Why the node that answered is not the one that was meant.
    func flaw(of hello: Hello) -> String? {
        guard let owner else { return "is not wanted any more" }
        if hello.node != peer { return "calls itself \(hello.node)" }
        if owner.identity.isForeign(hello) { return "belongs to another cluster" }
        guard let known = owner.directories[peer], known != hello.directory else { return nil }
        return "has another data directory than the node that the cluster knows"
    }

    func opened(_ lane: DialedLane) {
        guard !isUp, let bulk, let heartbeat, bulk.isOpen, heartbeat.isOpen else { return }
        isUp = true
        upSince = .now()
        toldReason = nil
        owner?.logger.info("connected", metadata: ["peer": "\(peer)", "address": "\(endpoint)"])
        owner?.wentUp(peer)
    }

    func ended(_ lane: DialedLane, _ end: LaneEnd) {
        guard lane === bulk || lane === heartbeat else { return }
        // A peer that was up for a moment only is treated like one that cannot be reached.
        if isUp, .now() - upSince >= limits.redialLast { pause = limits.redialFirst }
        takeDown(end.reason, redialIn: pause)
        pause = min(limits.redialLast, pause * 2)
        if let refusal = end.refusal { owner?.wasRefused(refusal.reason, by: refusal.hello) }
    }

    private func takeDown(_ reason: String, redialIn delay: TimeAmount) {
        if reason != toldReason {
            toldReason = reason
            owner?.logger.info(
                "a peer \(reason)", metadata: ["peer": "\(peer)", "address": "\(endpoint)"])
        }
        redial?.cancel()
        redial = loop.assumeIsolated().scheduleTask(in: delay) { [weak self] in self?.dial() }
        closeLanes()
        goDown()
    }

    private func closeLanes() {
        bulk?.close()
        heartbeat?.close()
        bulk = nil
        heartbeat = nil
    }

    private func goDown() {
        failForwards()
        guard isUp else { return }
        isUp = false
        owner?.wentDown(peer)
    }

    /// The peer is not wanted any more.
    func close() {
        redial?.cancel()
        redial = nil
        closeLanes()
        goDown()
    }

    // MARK: - Forwarding

    func forward(
        _ request: ByteBuffer, id: UInt64, timeout: TimeAmount,
        completion: @escaping (Result<ByteBuffer, ForwardFailure>) -> Void
    ) {
        guard let lane = bulk, lane.isOpen || lane.isVisiting else { return completion(.failure(.notConnected)) }
        guard forwards.count < limits.maxForwards,
            lane.add(Forward(id: id, kind: ForwardKind.request, bytes: request))
        else {
            return completion(.failure(.overloaded))
        }
        let expiry = loop.assumeIsolated().scheduleTask(in: timeout) { [weak self] () -> Void in
            self?.forwards.removeValue(forKey: id)?.completion(.failure(.timedOut))
        }
        forwards[id] = PendingForward(timeout: expiry, completion: completion)
        lane.flush()
    }

    func answered(_ reply: Forward) {
        // Unknown when it was given up before.
        guard let pending = forwards.removeValue(forKey: reply.id) else { return }
        pending.timeout.cancel()
        pending.completion(reply.kind == ForwardKind.answer ? .success(reply.bytes) : .failure(.refused))
    }

    private func failForwards() {
        let pending = forwards.sorted { $0.key < $1.key }
        forwards = [:]
        for (_, forward) in pending {
            forward.timeout.cancel()
            forward.completion(.failure(.connectionLost))
        }
    }
}
