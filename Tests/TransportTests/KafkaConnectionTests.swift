// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Transport

private func listen(
    _ limits: ConnectionLimits = ConnectionLimits(),
    onClose: @escaping @Sendable () -> Void = {},
    onRequest: @escaping @Sendable (ByteBuffer, ReplySlot, KafkaConnection) -> Void
) async throws -> KafkaListener {
    try await KafkaListener.start(
        host: "127.0.0.1", port: 0, group: testGroup, limits: limits, logger: quietLogger
    ) { _ in
        ScriptedDispatcher(onRequest: onRequest, onClose: { _ in onClose() })
    }
}

private func echoTag(_ frame: ByteBuffer, _ slot: ReplySlot, _ connection: KafkaConnection) {
    let tag = frame.getInteger(at: frame.readerIndex, as: UInt8.self) ?? 0
    connection.complete(slot, with: [.bytes(ByteBuffer(bytes: answer(tag)))])
}

/// Limits under which nothing but what a test sets ever closes a connection.
private func limits(_ change: (inout ConnectionLimits) -> Void) -> ConnectionLimits {
    var limits = ConnectionLimits()
    change(&limits)
    return limits
}

@Suite(.timeLimit(.minutes(1))) struct KafkaConnectionTests {
    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        let listener = try await listen(onRequest: echoTag)
        let client = try await RawClient.connect(port: listener.boundPort)
        let tags = (0..<200).map { UInt8($0) }
        client.send(tags.flatMap { request($0, length: 8 + Int($0) * 100) })
        #expect(try await client.receive(tags.count * 8) == tags.flatMap { answer($0) })
        await listener.close()
        await client.closed()
    }

    @Test func requestsSentByteByByteAreAnswered() async throws {
        let listener = try await listen(onRequest: echoTag)
        let client = try await RawClient.connect(port: listener.boundPort)
        for byte in request(1, length: 20) + request(2) { client.send([byte]) }
        #expect(try await client.receive(16) == answer(1) + answer(2))
        await listener.close()
    }

    @Test(arguments: [300_000, 5_000_000, 20_000_000])
    func aLargeRequestArrivesByteExactBetweenSmallOnes(length: Int) async throws {
        let seen = Mutex<[Int: Bool]>([:])
        let expected = pattern(length)
        let listener = try await listen { frame, slot, connection in
            let isExact = frame.readableBytes == 8 || Array(frame.readableBytesView) == expected
            seen.withLock { $0[frame.readableBytes] = isExact }
            echoTag(frame, slot, connection)
        }
        let client = try await RawClient.connect(port: listener.boundPort)
        var stream = ByteBuffer(bytes: request(1))
        stream.writeInteger(Int32(length))
        stream.writeBytes(expected)
        stream.writeBytes(request(9))
        client.send(stream)
        #expect(try await client.receive(24) == answer(1) + answer(0) + answer(9))
        #expect(seen.withLock { $0 } == [8: true, length: true])
        #expect(listener.inflightBytes == 0)
        await listener.close()
    }

    @Test func answersLeaveInRequestOrderWhateverOrderTheyAreCompletedIn() async throws {
        let listener = try await listen { frame, slot, connection in
            let held = Held.of(connection)
            held.slots.append((frame.getInteger(at: frame.readerIndex, as: UInt8.self) ?? 0, slot))
            guard held.slots.count == 6 else { return }
            for place in [3, 5, 1, 0, 4, 2] {
                let (tag, slot) = held.slots[place]
                // The fourth request has no answer, as with acks=0.
                connection.complete(slot, with: tag == 4 ? nil : [.bytes(ByteBuffer(bytes: answer(tag)))])
            }
        }
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send([1, 2, 3, 4, 5, 6].flatMap { request($0) })
        #expect(try await client.receive(40) == [1, 2, 3, 5, 6].flatMap { answer($0) })
        await listener.close()
    }

    @Test func answersMadeLaterOfSmallAndLargePiecesKeepTheirBytes() async throws {
        let large = [UInt8](repeating: 42, count: 300_000)
        let listener = try await listen { frame, slot, connection in
            let bound = NIOLoopBound((slot, connection), eventLoop: connection.eventLoop)
            connection.eventLoop.execute {
                let (slot, connection) = bound.value
                connection.complete(
                    slot,
                    with: [
                        .bytes(ByteBuffer(bytes: answer(1))), .bytes(ByteBuffer(bytes: large)),
                        .bytes(ByteBuffer(bytes: answer(2))),
                    ])
            }
        }
        let client = try await RawClient.connect(port: listener.boundPort)
        let one = answer(1) + large + answer(2)
        for _ in 0..<3 {
            client.send(request(1) + request(2))
            #expect(try await client.receive(2 * one.count) == one + one)
        }
        await listener.close()
    }

    @Test func filePiecesAreByteExactAndTheirOwnerIsLetGo() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("transport-\(UUID().uuidString)").path
        let content = pattern(3_000_000)
        try Data(content).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let freed = Count()
        let listener = try await listen { frame, slot, connection in
            guard let owner = OpenFile(path, freed) else { return connection.close(reason: "no file") }
            let fd = owner.handle.fileDescriptor
            connection.complete(
                slot,
                with: [
                    .bytes(ByteBuffer(bytes: answer(1))),
                    .file(owner: owner, descriptor: fd, position: 1000, size: 2_000_000),
                    .file(owner: owner, descriptor: fd, position: 0, size: 0),
                    .file(owner: owner, descriptor: fd, position: 5, size: 10),
                    .bytes(ByteBuffer(bytes: answer(2))),
                ])
        }
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send(request(1) + request(2))
        let one = answer(1) + content[1000..<2_001_000] + content[5..<15] + answer(2)
        #expect(try await client.receive(2 * one.count) == one + one)
        await freed.reaches(2)
        await listener.close()
    }

    @Test(arguments: [Int32(-1), 0, 7, 1001, .max])
    func aBadLengthClosesTheConnectionBeforeItsBody(length: Int32) async throws {
        let listener = try await listen(limits { $0.maxFrameBytes = 1000 }, onRequest: echoTag)
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send(ByteBuffer(integer: length))
        await client.closed()
        await listener.close()
    }

    @Test func atTheCapOfOutstandingRequestsNothingMoreIsReadUntilOneIsAnswered() async throws {
        let mostHeld = Mutex(0)
        let listener = try await listen(limits { $0.maxOutstandingRequests = 4 }) { frame, slot, connection in
            let held = Held.of(connection)
            held.slots.append((frame.getInteger(at: frame.readerIndex, as: UInt8.self) ?? 0, slot))
            mostHeld.withLock { $0 = max($0, connection.outstandingRequests) }
            guard connection.outstandingRequests == 4 else { return }
            let batch = held.slots
            held.slots = []
            let bound = NIOLoopBound((batch, connection), eventLoop: connection.eventLoop)
            connection.eventLoop.execute {
                let (batch, connection) = bound.value
                for (tag, slot) in batch { connection.complete(slot, with: [.bytes(ByteBuffer(bytes: answer(tag)))]) }
            }
        }
        let client = try await RawClient.connect(port: listener.boundPort)
        let tags = (0..<200).map { UInt8($0) }
        client.send(tags.flatMap { request($0, length: 50_000) })
        #expect(try await client.receive(tags.count * 8) == tags.flatMap { answer($0) })
        #expect(mostHeld.withLock { $0 } == 4)
        await listener.close()
    }

    @Test func requestsSentJustBeforeHangingUpAreStillHandedOut() async throws {
        let requests = Count()
        let closes = Count()
        let listener = try await listen(
            limits { $0.maxOutstandingRequests = 2 }, onClose: { closes.add() },
            onRequest: { _, _, _ in requests.add() })
        let client = try await RawClient.connect(port: listener.boundPort)
        try await client.channel.writeAndFlush(ByteBuffer(bytes: (0..<50).flatMap { request($0) })).get()
        client.close()
        await closes.reaches(1)
        #expect(requests.value == 50)
        #expect(listener.inflightBytes == 0)
        await listener.close()
    }

    @Test func aTightBudgetDelaysRequestsButServesAllOfThem() async throws {
        let listener = try await listen(limits { $0.maxInflightBytes = 100_000 }) { frame, slot, connection in
            let bound = NIOLoopBound((frame, slot, connection), eventLoop: connection.eventLoop)
            connection.eventLoop.execute { echoTag(bound.value.0, bound.value.1, bound.value.2) }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<8 {
                group.addTask {
                    let client = try await RawClient.connect(port: listener.boundPort)
                    for tag in UInt8(0)..<5 { client.send(request(tag, length: 700_000)) }
                    #expect(try await client.receive(40) == (UInt8(0)..<5).flatMap { answer($0) })
                    client.close()
                }
                _ = client
            }
            try await group.waitForAll()
        }
        #expect(listener.inflightBytes == 0)
        await listener.close()
    }
}

/// What a dispatcher under test keeps for a connection, on the connection's loop.
private final class Held {
    var slots: [(UInt8, ReplySlot)] = []

    static func of(_ connection: KafkaConnection) -> Held {
        let loop = connection.eventLoop
        let key = Key(listenerPort: ObjectIdentifier(connection.turn), connection: connection.id)
        let bound = all.withLock { all in
            if let known = all[key] { return known }
            let new = NIOLoopBound(Held(), eventLoop: loop)
            all[key] = new
            return new
        }
        return bound.value
    }

    private struct Key: Hashable {
        let listenerPort: ObjectIdentifier
        let connection: UInt64
    }

    private static let all = Mutex<[Key: NIOLoopBound<Held>]>([:])
}

private final class OpenFile: Sendable {
    let handle: FileHandle
    private let freed: Count

    init?(_ path: String, _ freed: Count) {
        guard let handle = FileHandle(forReadingAtPath: path) else { return nil }
        self.handle = handle
        self.freed = freed
    }

    deinit { freed.add() }
}
