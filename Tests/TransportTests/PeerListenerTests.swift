// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import PeerWire
import RaftCore
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(1))) struct PeerListenerTests {
    // MARK: - Who is admitted

    @Test func peersOfOtherClustersAreRefusedWithAReason() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest(cluster: TopicID(high: 8, low: 8))
        try await links.setPeers([2: listener.boundPort])
        await links.log.reaches { $0.contains { $0.contains("it belongs to another cluster") } }
        #expect(links.seen.value.connected.isEmpty && receiver.record.value.hellos.isEmpty)
        // A node that knows no cluster yet talks to any.
        listener.setIdentity(identity(2, cluster: nil))
        await links.seen.reaches { $0.connected.count == 1 }
        try await links.close()
        await listener.close()
    }

    @Test func aPeerOfAnotherClusterIsHungUpOnWhoeverAdmitsIt() async throws {
        let server = try await RawServer()
        let links = try await LinksUnderTest(cluster: TopicID(high: 8, low: 8)) { $0.redialFirst = .seconds(600) }
        try await links.setPeers([2: server.port])
        await server.accepted.reaches { $0.count == 2 }
        server.greet(as: 2)
        await links.log.reaches { $0 == ["a peer belongs to another cluster"] }
        #expect(links.seen.value.connected.isEmpty)
        try await links.close()
        await server.close()
    }

    @Test(arguments: HelloReply.Refusal.allCases)
    func theReceiverMayRefuse(refusal: HelloReply.Refusal) async throws {
        let receiver = RecordingReceiver(refuse: { _ in refusal })
        let listener = try await listenForPeers(receiver: receiver)
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send(bytes { $0.add(identity(1).hello(shard: 0, lane: .bulk)) })
        let expected = HelloReply(identity(2).hello(shard: 0, lane: .bulk), refusal: refusal)
        #expect(try await client.receiveFrame() == .helloReply(expected))
        await client.closed()
        #expect(receiver.record.value.opened.isEmpty && receiver.record.value.lost.isEmpty)
        await listener.close()
    }

    @Test func aNodeWithTheSameIDIsRefused() async throws {
        let listener = try await listenForPeers(receiver: RecordingReceiver())
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send(bytes { $0.add(identity(2).hello(shard: 0, lane: .bulk)) })
        guard case .helloReply(let reply) = try await client.receiveFrame() else {
            Issue.record("no reply")
            return
        }
        #expect(reply.refusal == .sameNode)
        await client.closed()
        await listener.close()
    }

    @Test func anotherVersionIsToldSo() async throws {
        let listener = try await listenForPeers(receiver: RecordingReceiver())
        let client = try await RawClient.connect(port: listener.boundPort)
        var hello = bytes { $0.add(identity(1).hello(shard: 0, lane: .bulk)) }
        hello.setInteger(peerProtocolVersion + 1, at: 5)
        client.send(hello)
        guard case .helloReply(let reply) = try await client.receiveFrame() else {
            Issue.record("no reply")
            return
        }
        #expect(reply.refusal == .otherVersion)
        await client.closed()
        await listener.close()
    }

    @Test func aNodeThatAnswersUnderAnotherNameIsNotTalkedTo() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(as: 3, receiver: receiver)
        let links = try await LinksUnderTest()
        try await links.setPeers([2: listener.boundPort])
        await links.log.reaches { $0.contains { $0.contains("calls itself n3") } }
        #expect(links.seen.value.connected.isEmpty)
        try await links.close()
        await listener.close()
    }

    @Test func whoSaysNothingIsClosed() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver) { $0.helloDeadline = .milliseconds(50) }
        let silent = try await RawClient.connect(port: listener.boundPort)
        let slow = try await RawClient.connect(port: listener.boundPort)
        slow.send([0, 0, 0, 44, 1])
        await silent.closed()
        await slow.closed()
        #expect(receiver.record.value.lost.isEmpty)
        await listener.close()
    }

    @Test func connectionsAreCapped() async throws {
        let listener = try await listenForPeers(receiver: RecordingReceiver()) { $0.maxConnections = 1 }
        let first = try await RawClient.connect(port: listener.boundPort)
        first.send(bytes { $0.add(identity(1).hello(shard: 0, lane: .bulk)) })
        _ = try await first.receiveFrame()
        let second = try await RawClient.connect(port: listener.boundPort)
        await second.closed()
        #expect(listener.connections == 1)
        await listener.close()
        await first.closed()
    }

    // MARK: - What is admitted

    private func admitted(_ listener: PeerListener, lane: PeerLane = .bulk) async throws -> RawClient {
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send(bytes { $0.add(identity(1).hello(shard: 0, lane: lane)) })
        _ = try await client.receiveFrame()
        return client
    }

    @Test(
        arguments: [
            [0, 0, 0, 0], [0, 0, 0, 1, 99], [0, 0, 0, 2, 3, 0], [0xFF, 0xFF, 0xFF, 0xFF], [0x04, 0, 0, 1],
            [0, 0, 0, 5, 5, 1, 2, 3, 4],
        ] as [[UInt8]])
    func malformedFramesCloseOnlyTheirConnection(frame: [UInt8]) async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let good = try await admitted(listener)
        let bad = try await admitted(listener)
        let stranger = try await RawClient.connect(port: listener.boundPort)
        bad.send(frame)
        stranger.send(frame)
        await bad.closed()
        await stranger.closed()
        good.send(bytes { $0.add(letter(5), of: testGroupID) })
        await receiver.record.reaches { $0.letters.map(\.message) == [letter(5)] && $0.lost == [NodeID(1)] }
        await listener.close()
    }

    @Test func framesOutOfPlaceCloseTheConnection() async throws {
        let listener = try await listenForPeers(receiver: RecordingReceiver())
        let reply = HelloReply(identity(1).hello(shard: 0, lane: .bulk))
        let other = identity(3).hello(shard: 0, lane: .bulk)
        let answer = Forward(id: 1, kind: ForwardKind.answer, bytes: ByteBuffer())
        for wrong: (inout PeerWriter) -> Void in [
            { $0.add(reply) }, { $0.add(other) }, { $0.add(forwardReply: answer) }, { $0.add(forward: answer) },
        ] {
            let client = try await admitted(listener)
            client.send(bytes(wrong))
            await client.closed()
        }
        await listener.close()
    }

    @Test func lettersBeforeTheHelloAreRefused() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send(bytes { $0.add(letter(1), of: testGroupID) })
        await client.closed()
        #expect(receiver.record.value.letters.isEmpty)
        await listener.close()
    }

    @Test func overlongFramesAreRefusedByTheirLengthAlone() async throws {
        let listener = try await listenForPeers(receiver: RecordingReceiver()) { $0.maxFrameBytes = 1_000 }
        // Before the hello not even what is allowed later is.
        let stranger = try await RawClient.connect(port: listener.boundPort)
        stranger.send([0, 0, 0, 200])
        await stranger.closed()
        let peer = try await admitted(listener)
        peer.send([0, 0, 3, 0xE9])
        await peer.closed()
        await listener.close()
    }

    @Test(arguments: [1, 3, 7, 1_000, 70_000])
    func lettersArriveWholeHoweverTheyAreCut(piece: Int) async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let client = try await admitted(listener)
        let scale = min(piece * 40, 200_000)
        var all = bytes { writer in
            for number in 0..<5 {
                writer.add(
                    entries(to: Int64(number + 1)), of: testGroupID,
                    payload: [ByteBuffer(bytes: pattern(scale * (number + 1) / 5, seed: number))])
                writer.add(letter(UInt64(number)), of: testGroupID)
                writer.add(LeaderAnnouncement(group: testGroupID, term: Term(1), leader: NodeID(1)))
            }
        }
        while let part = all.readSlice(length: min(piece, all.readableBytes)), part.readableBytes > 0 {
            try await client.channel.writeAndFlush(part).get()
        }
        await receiver.record.reaches { $0.letters.count == 10 && $0.leaders.count == 5 }
        for (number, letter) in receiver.record.value.letters.filter({ $0.message.isAppend }).enumerated() {
            #expect(letter.payload == ByteBuffer(bytes: pattern(scale * (number + 1) / 5, seed: number)))
        }
        await listener.close()
    }

    @Test func payloadsThatAreKeptStayAsTheyWere() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest()
        try await links.setPeers([2: listener.boundPort])
        await links.seen.reaches { $0.connected.count == 1 }
        for round in 0..<200 {
            try await links.run { links in
                let payload = ByteBuffer(bytes: pattern(200 * round, seed: round))
                links.send(entries(to: Int64(round + 1)), of: testGroupID, payload: [payload], to: NodeID(2))
                links.flush()
            }
        }
        await receiver.record.reaches { $0.letters.count == 200 }
        for (round, letter) in receiver.record.value.letters.enumerated() {
            #expect(Array(letter.payload.readableBytesView) == pattern(200 * round, seed: round))
        }
        try await links.close()
        await listener.close()
    }

    @Test func aTakenPortIsAnErrorAndAClosedOneIsFree() async throws {
        let host = "127.0.0.78"
        let listener = try await listenForPeers(host: host, receiver: RecordingReceiver())
        let port = listener.boundPort
        await #expect(throws: (any Error).self) {
            try await listenForPeers(host: host, port: port, receiver: RecordingReceiver())
        }
        await listener.close()
        try await listenForPeers(host: host, port: port, receiver: RecordingReceiver()).close()
    }

    // MARK: - Forwarding

    @Test func forwardedRequestsAreAnswered() async throws {
        let receiver = RecordingReceiver(answer: { request, reply in
            var answer = ByteBuffer(string: "re: ")
            answer.writeImmutableBuffer(request)
            reply.send(answer)
            reply.refuse()
        })
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest()
        try await links.setPeers([2: listener.boundPort])
        await links.seen.reaches { $0.connected.count == 1 }
        for name in ["a", "b", "c"] { try await links.forward(name) }
        await links.seen.reaches { $0.answers.count == 3 }
        #expect(links.seen.value.answers == ["a", "b", "c"].map { .success(ByteBuffer(string: "re: \($0)")) })
        try await links.close()
        await listener.close()
    }

    @Test func answersFindTheirRequestsInAnyOrderAndFromAnyThread() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest()
        try await links.setPeers([2: listener.boundPort])
        await links.seen.reaches { $0.connected.count == 1 }
        for name in ["a", "b", "c"] { try await links.forward(name) }
        await receiver.record.reaches { $0.replies.count == 3 }
        receiver.record.value.replies[2].send(ByteBuffer(string: "C"))
        await links.seen.reaches { $0.answers == [.success(ByteBuffer(string: "C"))] }
        receiver.record.value.replies[0].refuse()
        await links.seen.reaches { $0.answers.count == 2 }
        #expect(links.seen.value.answers[1] == .failure(.refused))
        try await links.close()
        await links.seen.reaches { $0.answers.count == 3 }
        #expect(links.seen.value.answers[2] == .failure(.connectionLost))
        // Too late for anyone to hear.
        receiver.record.value.replies[1].send(ByteBuffer(string: "B"))
        await listener.close()
    }

    @Test func requestsWithoutAnAnswerEnd() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest {
            $0.maxForwards = 2
            $0.maxFrameBytes = 10_000
            $0.redialFirst = .seconds(600)
        }
        try await links.forward("nobody there")
        #expect(links.seen.value.answers == [.failure(.notConnected)])
        try await links.setPeers([2: listener.boundPort])
        await links.seen.reaches { $0.connected.count == 1 }
        try await links.forward("short", timeout: .milliseconds(1))
        await links.seen.reaches { $0.answers.count == 2 }
        #expect(links.seen.value.answers[1] == .failure(.timedOut))
        try await links.forward(String(repeating: "x", count: 10_000))
        #expect(links.seen.value.answers[2] == .failure(.tooLarge))
        for _ in 0..<3 { try await links.forward("many") }
        #expect(links.seen.value.answers.count == 4 && links.seen.value.answers[3] == .failure(.overloaded))
        await receiver.record.reaches { $0.forwards.count == 3 }
        // The late answer to a request that was given up does no harm.
        receiver.record.value.replies[0].send(ByteBuffer(string: "late"))
        await listener.close()
        await links.seen.reaches { $0.answers.count == 6 }
        #expect(links.seen.value.answers.suffix(2) == [.failure(.connectionLost), .failure(.connectionLost)])
        await links.seen.reaches { $0.lost.count == 1 }
        try await links.close()
    }

    @Test func aPeerThatForwardsTooMuchIsRefusedTheRest() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver) { $0.maxForwards = 1 }
        let client = try await admitted(listener)
        client.send(
            bytes { writer in
                for id in 1...2 as ClosedRange<UInt64> {
                    writer.add(forward: Forward(id: id, kind: ForwardKind.request, bytes: ByteBuffer()))
                }
            })
        let refusal = Forward(id: 2, kind: ForwardKind.refusal, bytes: ByteBuffer())
        #expect(try await client.receiveFrame() == .forwardReply(refusal))
        #expect(receiver.record.value.forwards.count == 1)
        await listener.close()
    }
}
