// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Testing

@testable import Transport

private func listen(
    onClose: @escaping @Sendable () -> Void = {}, _ change: (inout ConnectionLimits) -> Void
) async throws -> KafkaListener {
    var limits = ConnectionLimits()
    change(&limits)
    return try await KafkaListener.start(
        host: "127.0.0.1", port: 0, group: testGroup, limits: limits, logger: quietLogger
    ) { _ in
        ScriptedDispatcher(
            onRequest: { frame, slot, connection in
                let tag = frame.getInteger(at: frame.readerIndex, as: UInt8.self) ?? 0
                switch tag {
                case 200: return
                case 201: connection.complete(slot, with: [.bytes(ByteBuffer(repeating: 1, count: 8 << 20))])
                default: connection.complete(slot, with: [.bytes(ByteBuffer(bytes: answer(tag)))])
                }
            }, onClose: { _ in onClose() })
    }
}

@Suite(.timeLimit(.minutes(1))) struct KafkaListenerTests {
    @Test func connectionsBeyondTheCapAreClosedAndPlacesComeFree() async throws {
        let closes = Count()
        let listener = try await listen(onClose: { closes.add() }) { $0.maxConnections = 2 }
        let first = try await RawClient.connect(port: listener.boundPort)
        let second = try await RawClient.connect(port: listener.boundPort)
        first.send(request(1))
        second.send(request(2))
        _ = try await (first.receive(8), second.receive(8))
        let third = try await RawClient.connect(port: listener.boundPort)
        await third.closed()
        first.close()
        await closes.reaches(1)
        try await answeredEventually(listener)
        await listener.close()
    }

    @Test func connectionsOfOneAddressAreCapped() async throws {
        let listener = try await listen { $0.maxConnectionsPerAddress = 1 }
        let first = try await RawClient.connect(port: listener.boundPort)
        first.send(request(1))
        _ = try await first.receive(8)
        let second = try await RawClient.connect(port: listener.boundPort)
        await second.closed()
        #expect(listener.connections == 1)
        await listener.close()
    }

    @Test func aGateLimitsHowFastConnectionsAreMade() {
        var limits = ConnectionLimits()
        limits.maxNewConnectionsPerSecond = 3
        let gate = AcceptGate(limits)
        let start = NIODeadline.now()
        for _ in 0..<3 { #expect(gate.enter("a", now: start) == nil) }
        #expect(gate.enter("b", now: start) == .rate)
        #expect(gate.enter("b", now: start + .milliseconds(400)) == nil)
        #expect(gate.enter("b", now: start + .milliseconds(450)) == .rate)
        for _ in 0..<3 { gate.leave("a") }
        gate.leave("b")
        #expect(gate.connections == 0)
    }

    @Test func anIdleConnectionIsClosed() async throws {
        let listener = try await listen { $0.idleTimeout = .milliseconds(50) }
        let client = try await RawClient.connect(port: listener.boundPort)
        await client.closed()
        await listener.close()
    }

    @Test func aConnectionThatWaitsForItsAnswerIsNotIdle() {
        var health = ConnectionHealth()
        var limits = ConnectionLimits()
        limits.idleTimeout = .seconds(10)
        let start = NIODeadline.now()
        func verdict(at seconds: Int64, unanswered: Int) -> String? {
            health.check(
                now: start + .seconds(seconds), limits: limits, unanswered: unanswered, unsent: 0, isMidFrame: false)
        }
        #expect(verdict(at: 0, unanswered: 0) == nil)
        #expect(verdict(at: 9, unanswered: 1) == nil)
        #expect(verdict(at: 1000, unanswered: 1) == nil)
        #expect(verdict(at: 1009, unanswered: 0) == nil)
        #expect(verdict(at: 1011, unanswered: 0) == "idle")
        health.isActive = true
        #expect(verdict(at: 1012, unanswered: 0) == nil)
    }

    @Test func aRequestMustGoOnByItsMinimumOrEnd() {
        var health = ConnectionHealth()
        var limits = ConnectionLimits()
        limits.frameProgressTimeout = .seconds(10)
        limits.minimumProgressBytes = 100
        let start = NIODeadline.now()
        func verdict(at seconds: Int64) -> String? {
            health.isActive = true
            return health.check(
                now: start + .seconds(seconds), limits: limits, unanswered: 0, unsent: 0, isMidFrame: true)
        }
        #expect(verdict(at: 0) == nil)
        health.bytesRead += 99
        #expect(verdict(at: 10) == nil)
        health.bytesRead += 1
        #expect(verdict(at: 11) == nil)
        health.bytesRead += 50
        #expect(verdict(at: 21) == nil)
        health.framesRead += 1
        #expect(verdict(at: 22) == nil)
        #expect(verdict(at: 33) == "a request came too slowly")
    }

    @Test(arguments: [1, 3, 4, 5, 100_000])
    func aHalfSentRequestIsGivenUp(sent: Int) async throws {
        let listener = try await listen { $0.frameProgressTimeout = .milliseconds(50) }
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send(Array(request(1, length: 200_000).prefix(sent)))
        await client.closed()
        #expect(listener.inflightBytes == 0)
        await listener.close()
    }

    @Test func aPeerThatDoesNotReadIsClosed() async throws {
        let closes = Count()
        let listener = try await listen(onClose: { closes.add() }) {
            $0.writeStallTimeout = .milliseconds(100)
            $0.outputHighWater = 1 << 20
        }
        let client = try await RawClient.connect(port: listener.boundPort, autoRead: false)
        for _ in 0..<10 { client.send(request(201)) }
        await closes.reaches(1)
        client.close()
        await listener.close()
    }

    @Test func aPeerThatReadsLateGetsEverything() async throws {
        let listener = try await listen { $0.outputHighWater = 1 << 20 }
        let client = try await RawClient.connect(port: listener.boundPort, autoRead: false)
        for _ in 0..<6 { client.send(request(201)) }
        client.send(request(3))
        try await client.channel.setOption(.autoRead, value: true).get()
        client.channel.read()
        let bytes = try await client.receive(6 * (8 << 20) + 8)
        #expect(Array(bytes.suffix(8)) == answer(3))
        await listener.close()
    }

    @Test func stoppedListenersRefuseButServeOn() async throws {
        let listener = try await listen { _ in }
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send(request(1))
        _ = try await client.receive(8)
        let port = listener.boundPort
        await listener.stopAcceptingAndWait()
        // The port is free again, and a test that runs beside this one may have got it.
        let late = try? await RawClient.connect(port: port)
        #expect(listener.connections == 1)
        client.send(request(2))
        #expect(try await client.receive(8) == answer(2))
        await listener.close()
        await client.closed()
        try? await late?.channel.close()
    }

    @Test func aTakenPortIsAnError() async throws {
        let listener = try await listen { _ in }
        await #expect(throws: (any Error).self) {
            try await KafkaListener.start(
                host: "127.0.0.1", port: listener.boundPort, group: testGroup, limits: ConnectionLimits(),
                logger: quietLogger
            ) { _ in ScriptedDispatcher(onRequest: { _, _, _ in }) }
        }
        await listener.close()
    }

    @Test func whatStrangersSayIsMadePrintable() {
        #expect("good-client 1".printable == "good-client 1")
        #expect("a\nb\u{1b}[31m\u{e9}".printable == "a?b?[31m??")
        #expect(String(repeating: "x", count: 1000).printable.count == 64)
    }

    /// Connects until a connection is served: a closed one's place comes free a moment after its end was seen.
    private func answeredEventually(_ listener: KafkaListener) async throws {
        while true {
            let client = try await RawClient.connect(port: listener.boundPort)
            client.send(request(7))
            if let bytes = try? await client.receive(8) {
                #expect(bytes == answer(7))
                return
            }
        }
    }
}
