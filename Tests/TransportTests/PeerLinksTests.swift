// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import PeerWire
import RaftCore
import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(1))) struct PeerLinksTests {
    static let two = NodeID(2)

    @Test func lettersOfBothLanesArriveInOrderWithTheirPayloads() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest(shard: 5)
        try await links.setPeers([2: listener.boundPort])
        await links.seen.reaches { $0.connected == [Self.two] }
        #expect(try await links.run { $0.isConnected(Self.two) && $0.connectedPeers == [Self.two] })
        let lanes = receiver.record.value.hellos.map(\.lane)
        #expect(Set(lanes) == [.bulk, .heartbeat] && lanes.count == 2)
        #expect(receiver.record.value.hellos.allSatisfy { $0.shard == 5 && $0.node == NodeID(1) })
        #expect(receiver.record.value.opened == [NodeID(1), NodeID(1)])
        // Small, copied along; large, passed through; larger than a frame begins with, and than one read brings.
        let sizes = [0, 10, 1_500, 70_000, 1 << 20, 9 << 20]
        try await links.run { links in
            for (number, size) in sizes.enumerated() {
                let half = ByteBuffer(bytes: pattern(size / 2, seed: number))
                let rest = ByteBuffer(bytes: pattern(size - size / 2, seed: number + 100))
                links.send(entries(to: Int64(number + 1)), of: testGroupID, payload: [half, rest], to: Self.two)
                links.send(letter(UInt64(number)), of: testGroupID, payload: [], to: Self.two)
            }
            links.flush()
        }
        await receiver.record.reaches { $0.letters.count == 12 }
        let letters = receiver.record.value.letters
        let bulk = letters.filter { $0.message.isAppend }
        #expect(bulk.map(\.message) == sizes.indices.map { entries(to: Int64($0 + 1)) })
        for (number, size) in sizes.enumerated() {
            let expected = pattern(size / 2, seed: number) + pattern(size - size / 2, seed: number + 100)
            #expect(Array(bulk[number].payload.readableBytesView) == expected)
        }
        #expect(letters.filter { !$0.message.isAppend }.map(\.message) == sizes.indices.map { letter(UInt64($0)) })
        #expect(try await links.run { $0.droppedLetters } == 0)
        try await links.close()
        await receiver.record.reaches { $0.lost == [NodeID(1), NodeID(1)] }
        #expect(links.seen.value.lost.isEmpty)
        await listener.close()
    }

    @Test func lettersOfATurnShareAFrameAndWaitForTheFlush() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest()
        try await links.setPeers([2: listener.boundPort])
        await links.seen.reaches { $0.connected.count == 1 }
        try await links.run { links in
            for number in 0..<100 { links.send(letter(UInt64(number)), of: testGroupID, payload: [], to: Self.two) }
        }
        // A forwarded request does not wait for the flush, and the letters stay where they are.
        try await links.forward("now")
        await receiver.record.reaches { $0.forwards.count == 1 }
        #expect(receiver.record.value.letters.isEmpty)
        try await links.run { links in
            links.announce([LeaderAnnouncement(group: testGroupID, term: Term(4), leader: NodeID(1))])
            links.flush()
        }
        await receiver.record.reaches { $0.letters.count == 100 && $0.leaders.count == 1 }
        #expect(receiver.record.value.largestBatch == 100)
        try await links.close()
        await listener.close()
    }

    @Test func onlyEntriesAndSnapshotsTakeTheBulkLane() async throws {
        let server = try await RawServer()
        let links = try await LinksUnderTest { $0.maxQueuedBytes = 1_000 }
        try await links.setPeers([2: server.port])
        await server.accepted.reaches { $0.count == 2 }
        server.greet(as: 2)
        await links.seen.reaches { $0.connected.count == 1 }
        let payload = ByteBuffer(repeating: 1, count: 600)
        let snapshot = Message.snapshot(
            Snapshot(
                term: Term(1), anchor: LogAnchor(position: .empty, offset: Offset(0)),
                members: RaftMembers(voters: [NodeID(1)])))
        let dropped = try await links.run { links -> [Int] in
            var dropped: [Int] = []
            for message in [entries(to: 1), snapshot, letter(1), entries(to: 2), letter(2)] {
                links.send(message, of: testGroupID, payload: [payload], to: Self.two)
                dropped.append(links.droppedLetters)
            }
            return dropped
        }
        // The snapshot finds the bulk lane full, the heartbeat does not; its own lane is full for the one after it.
        #expect(dropped == [0, 1, 1, 2, 3])
        try await links.close()
        await server.close()
    }

    @Test func whatAPeerDoesNotReadIsDroppedAndRoomComesBack() async throws {
        let server = try await RawServer()
        let links = try await LinksUnderTest { $0.maxQueuedBytes = 8 << 20 }
        try await links.setPeers([2: server.port])
        await server.accepted.reaches { $0.count == 2 }
        server.greet(as: 2)
        await links.seen.reaches { $0.connected.count == 1 }
        let payload = ByteBuffer(repeating: 1, count: 1 << 20)
        let dropped = try await links.run { links in
            for number in 1...64 {
                links.send(entries(to: Int64(number)), of: testGroupID, payload: [payload], to: Self.two)
                links.flush()
            }
            return links.droppedLetters
        }
        // What the sockets hold is unknown, but it is far less than the rest.
        #expect(dropped > 20 && dropped < 57)
        for channel in server.accepted.value { try await channel.setOption(.autoRead, value: true).get() }
        while try await links.run({ links in
            let before = links.droppedLetters
            links.send(entries(to: 99), of: testGroupID, payload: [payload], to: Self.two)
            links.flush()
            return links.droppedLetters > before
        }) {}
        #expect(links.seen.value.lost.isEmpty)
        try await links.close()
        await server.close()
    }

    @Test func lettersToNobodyAndLettersTooLargeAreDropped() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest { $0.maxFrameBytes = 10_000 }
        #expect(
            try await links.run { links in
                links.send(letter(1), of: testGroupID, payload: [], to: Self.two)
                return links.droppedLetters
            } == 1)
        try await links.setPeers([1: listener.boundPort, 2: listener.boundPort])
        await links.seen.reaches { $0.connected == [Self.two] }
        #expect(
            try await links.run { links in
                let large = ByteBuffer(repeating: 0, count: 10_000)
                links.send(entries(to: 1), of: testGroupID, payload: [large], to: Self.two)
                links.send(letter(2), of: testGroupID, payload: [], to: Self.two)
                links.flush()
                return links.droppedLetters
            } == 2)
        await receiver.record.reaches { $0.letters.map(\.message) == [letter(2)] }
        try await links.close()
        await listener.close()
    }

    // MARK: - Coming and going

    @Test func aPeerThatIsNotThereYetIsFoundAndOneThatComesBackToo() async throws {
        let receiver = RecordingReceiver()
        let host = "127.0.0.77"
        let unused = try await listenForPeers(host: host, receiver: receiver)
        let port = unused.boundPort
        await unused.close()
        let links = try await LinksUnderTest {
            $0.redialFirst = .milliseconds(1)
            $0.redialLast = .milliseconds(5)
        }
        try await links.setPeers([2: port], host: host)
        await links.log.reaches { $0.contains { $0.contains("cannot be reached") } }
        for round in 1...3 {
            let listener = try await listenForPeers(host: host, port: port, receiver: receiver)
            await links.seen.reaches { $0.connected.count == round }
            try await links.run { links in
                links.send(letter(UInt64(round)), of: testGroupID, payload: [], to: Self.two)
                links.flush()
            }
            await receiver.record.reaches { $0.letters.count == round }
            await listener.close()
            await links.seen.reaches { $0.lost.count == round }
            #expect(try await !links.run { $0.isConnected(Self.two) })
        }
        #expect(links.seen.value.lost == [Self.two, Self.two, Self.two])
        try await links.close()
    }

    @Test(arguments: [0, 1])
    func theEndOfEitherLaneIsTheEndOfBoth(ending: Int) async throws {
        let server = try await RawServer()
        let links = try await LinksUnderTest { $0.redialFirst = .seconds(600) }
        try await links.setPeers([2: server.port])
        await server.accepted.reaches { $0.count == 2 }
        server.greet(as: 2)
        await links.seen.reaches { $0.connected.count == 1 }
        server.accepted.value[ending].close(promise: nil)
        await links.seen.reaches { $0.lost == [Self.two] }
        let other = server.accepted.value[1 - ending]
        // Reading shows the end; the channel may have seen it by itself already.
        try? await other.setOption(.autoRead, value: true).get()
        try await other.closeFuture.get()
        try await links.close()
        await server.close()
    }

    @Test func peersThatMoveAreFollowedAndRemovedOnesHungUpOn() async throws {
        let (here, there) = (RecordingReceiver(), RecordingReceiver())
        let old = try await listenForPeers(receiver: here)
        let new = try await listenForPeers(receiver: there)
        let links = try await LinksUnderTest()
        try await links.setPeers([2: old.boundPort])
        await links.seen.reaches { $0.connected.count == 1 }
        try await links.setPeers([2: new.boundPort])
        await links.seen.reaches { $0.connected.count == 2 && $0.lost.count == 1 }
        await here.record.reaches { $0.lost.count == 2 }
        #expect(there.record.value.opened.count == 2)
        try await links.setPeers([2: new.boundPort])
        #expect(links.seen.value.lost.count == 1)
        try await links.setPeers([:])
        await there.record.reaches { $0.lost.count == 2 }
        #expect(links.seen.value.lost.count == 2)
        #expect(try await links.run { $0.connectedPeers }.isEmpty)
        try await links.close()
        await old.close()
        await new.close()
    }

    @Test func peersAreFoundByName() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest()
        let port = listener.boundPort
        try await links.run { $0.setPeers([Self.two: PeerEndpoint(host: "localhost", port: port)]) }
        await links.seen.reaches { $0.connected == [Self.two] }
        try await links.close()
        await listener.close()
    }

    // MARK: - Doubt

    @Test func aLivePeerInDoubtStaysConnected() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest()
        try await links.setPeers([2: listener.boundPort])
        await links.seen.reaches { $0.connected.count == 1 }
        let isAsked = try await links.run { links in
            links.acceptedConnectionLost(from: Self.two)
            links.acceptedConnectionLost(from: Self.two)
            return links.isInDoubt(Self.two)
        }
        #expect(isAsked)
        while try await links.run({ $0.isInDoubt(Self.two) }) {}
        #expect(try await links.run { $0.isConnected(Self.two) })
        #expect(links.seen.value.lost.isEmpty && receiver.record.value.opened.count == 2)
        try await links.close()
        await listener.close()
    }

    @Test func aPeerThatGivesNoSignOfLifeIsLost() async throws {
        let server = try await RawServer(greeting: 2)
        let links = try await LinksUnderTest { $0.helloDeadline = .milliseconds(100) }
        try await links.setPeers([2: server.port])
        await links.seen.reaches { !$0.connected.isEmpty }
        try await links.run { $0.acceptedConnectionLost(from: Self.two) }
        await links.seen.reaches { !$0.lost.isEmpty }
        #expect(links.log.value.contains { $0.contains("does not answer") })
        try await links.close()
        await server.close()
    }

    @Test func aPeerThatCalledIsDialledAtOnce() async throws {
        let admits = Watched(false)
        let receiver = RecordingReceiver(refuse: { _ in admits.value ? nil : .unknownNode })
        let listener = try await listenForPeers(receiver: receiver)
        let links = try await LinksUnderTest { $0.redialFirst = .seconds(600) }
        try await links.setPeers([2: listener.boundPort])
        await links.log.reaches { $0 == ["a peer refuses this node: it does not know this node"] }
        admits.change { $0 = true }
        try await links.run { $0.acceptedConnectionOpened(from: Self.two) }
        await links.seen.reaches { $0.connected.count == 1 }
        try await links.close()
        await listener.close()
    }

    @Test func aPeerThatNeverGreetsIsGivenUp() async throws {
        let server = try await RawServer()
        let links = try await LinksUnderTest {
            $0.helloDeadline = .milliseconds(50)
            $0.redialFirst = .seconds(600)
        }
        try await links.setPeers([2: server.port])
        await links.log.reaches { $0.contains { $0.contains("does not answer") } }
        #expect(links.seen.value.connected.isEmpty && links.seen.value.lost.isEmpty)
        try await links.close()
        await server.close()
    }

    @Test func anAnswerThatIsNoneEndsTheConnection() async throws {
        for wrong: (inout PeerWriter) -> Void in [
            { $0.add(letter(1), of: testGroupID) },
            { $0.add(identity(2).hello(shard: 0, lane: .bulk)) },
            { $0.add(forward: Forward(id: 1, kind: 0, bytes: ByteBuffer(repeating: 0, count: 1_000))) },
        ] {
            let server = try await RawServer()
            let links = try await LinksUnderTest { $0.redialFirst = .seconds(600) }
            try await links.setPeers([2: server.port])
            await server.accepted.reaches { $0.count == 2 }
            server.accepted.value[0].writeAndFlush(bytes(wrong), promise: nil)
            await links.log.reaches { $0.contains { $0.contains("a peer sent") } }
            #expect(links.seen.value.connected.isEmpty)
            try await links.close()
            await server.close()
        }
    }
}

extension Message {
    var isAppend: Bool {
        if case .append = self { true } else { false }
    }
}
