// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Counts a listener's connections and decides whether one more may be had.
final class AcceptGate: Sendable {
    enum Refusal: String {
        case total = "too many connections"
        case address = "too many connections from this address"
        case rate = "connections are opened too fast"
    }

    private struct State {
        var total = 0
        var perAddress: [String: Int] = [:]
        var tokens: Double
        var refilledAt = NIODeadline.now()
    }

    private let limits: ConnectionLimits
    private let state: Mutex<State>

    init(_ limits: ConnectionLimits) {
        self.limits = limits
        state = Mutex(State(tokens: Double(limits.maxNewConnectionsPerSecond)))
    }

    var connections: Int { state.withLock { $0.total } }

    /// `nil` admits; every admission is ended by one `leave`.
    func enter(_ address: String, now: NIODeadline) -> Refusal? {
        state.withLock { state in
            let rate = Double(limits.maxNewConnectionsPerSecond)
            let gained = Double((now - state.refilledAt).nanoseconds) / 1e9 * rate
            state.tokens = min(rate, state.tokens + max(0, gained))
            state.refilledAt = now
            guard state.tokens >= 1 else { return .rate }
            guard state.total < limits.maxConnections else { return .total }
            let fromAddress = state.perAddress[address, default: 0]
            guard fromAddress < limits.maxConnectionsPerAddress else { return .address }
            state.tokens -= 1
            state.total += 1
            state.perAddress[address] = fromAddress + 1
            return nil
        }
    }

    func leave(_ address: String) {
        state.withLock { state in
            state.total -= 1
            guard let count = state.perAddress[address] else { return }
            state.perAddress[address] = count > 1 ? count - 1 : nil
        }
    }
}

/// Sits in the listening channel, before a new connection is registered anywhere: closes what the gate refuses, and
/// pauses accepting while the process has no descriptors left (H26).
final class AcceptGateHandler: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel
    typealias OutboundIn = Never

    private let gate: AcceptGate
    private let backOff: TimeAmount
    private var log: LogGate
    private var isBackingOff = false
    private var readWasSwallowed = false

    init(gate: AcceptGate, backOff: TimeAmount, logger: Logger) {
        self.gate = gate
        self.backOff = backOff
        log = LogGate(logger)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let child = unwrapInboundIn(data)
        let address = child.remoteAddress?.ipAddress ?? "unknown"
        if let refusal = gate.enter(address, now: .now()) {
            log.info("refused a connection from \(address): \(refusal.rawValue)")
            child.close(promise: nil)
            return
        }
        let gate = gate
        child.closeFuture.whenComplete { _ in gate.leave(address) }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        if isBackingOff { readWasSwallowed = true } else { context.read() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Only errors that leave the listening socket usable come here; NIO closes it on the others.
        log.info("cannot accept connections for now: \(error)")
        guard !isBackingOff else { return }
        isBackingOff = true
        context.eventLoop.assumeIsolated().scheduleTask(in: backOff) {
            self.isBackingOff = false
            if self.readWasSwallowed {
                self.readWasSwallowed = false
                context.read()
            }
        }
    }
}
