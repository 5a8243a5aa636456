// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import PeerWire
import RaftCore
import Testing

@testable import Transport

/// Who belongs to the cluster: node 2 listens, node 1 has registered with the directory that its identity has.
@Suite(.timeLimit(.minutes(1))) struct AdmissionTests {
    static let one = NodeID(1)
    static let two = NodeID(2)

    private static func directory(_ node: Int32) -> TopicID { identity(node).directory }

    private static var roster: PeerRoster {
        PeerRoster(members: [one: directory(1), two: directory(2)], founders: [NodeID(3)])
    }

    private static func hello(_ node: Int32, directory: TopicID? = nil, lane: PeerLane = .bulk) -> Hello {
        var hello = identity(node, cluster: nil).hello(shard: 0, lane: lane)
        hello.directory = directory ?? hello.directory
        return hello
    }

    /// A stranger's raw connection that has been admitted as a guest.
    private func guest(of listener: PeerListener, as node: Int32 = 4) async throws -> RawClient {
        let client = try await RawClient.connect(port: listener.boundPort)
        client.send(bytes { $0.add(Self.hello(node)) })
        let expected = HelloReply(identity(2).hello(shard: 0, lane: .bulk), isGuest: true)
        #expect(try await client.receiveFrame() == .helloReply(expected))
        return client
    }

    private func forward(_ id: UInt64, _ text: String) -> ByteBuffer {
        bytes { $0.add(forward: Forward(id: id, kind: ForwardKind.request, bytes: ByteBuffer(string: text))) }
    }

    // MARK: - The rules

    @Test func nodeAndDirectoryTogetherMakeAMember() {
        var roster = Self.roster
        #expect(roster.standing(of: Self.hello(1)) == .member)
        #expect(roster.standing(of: Self.hello(3)) == .member)
        #expect(roster.standing(of: Self.hello(4)) == .guest)
        // The disk may be lost; but where the known one is there, this is a second node of the same id.
        let other = TopicID(high: 5, low: 5)
        #expect(roster.standing(of: Self.hello(1, directory: other)) == .guest)
        roster.reachable = [Self.one]
        #expect(roster.standing(of: Self.hello(1, directory: other)) == .refused(.otherDirectory))
        #expect(roster.standing(of: Self.hello(1)) == .member)
        roster.removed = [Self.directory(1)]
        roster.members[Self.one] = nil
        #expect(roster.standing(of: Self.hello(1)) == .refused(.removed))
        // The id may be used again, by a new directory.
        #expect(roster.standing(of: Self.hello(1, directory: other)) == .guest)
        roster.members[Self.one] = other
        #expect(roster.standing(of: Self.hello(1, directory: other)) == .member)
        #expect(PeerRoster.open.standing(of: Self.hello(99)) == .member)
    }

    // MARK: - Hostile guests

    @Test(arguments: [0, 1, 2, 3])
    func whatOnlyMembersMaySendEndsAGuest(kind: Int) async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        listener.setRoster(Self.roster)
        let client = try await guest(of: listener)
        client.send(
            bytes { writer in
                switch kind {
                case 0: writer.add(.voteReply(term: Term(9), granted: true), of: .metadata)
                case 1: writer.add(entries(to: 5), of: testGroupID, payload: [ByteBuffer(repeating: 1, count: 100)])
                case 2: writer.add(LeaderAnnouncement(group: .metadata, term: Term(9), leader: NodeID(4)))
                default: writer.add(HelloReply(Self.hello(1)))
                }
            })
        await client.closed()
        let record = receiver.record.value
        #expect(record.letters.isEmpty && record.leaders.isEmpty && record.opened.isEmpty && record.lost.isEmpty)
        await listener.close()
    }

    @Test func aGuestMayNotBecomeAMemberByAnotherName() async throws {
        let listener = try await listenForPeers(receiver: RecordingReceiver())
        listener.setRoster(Self.roster)
        let client = try await guest(of: listener)
        client.send(bytes { $0.add(Self.hello(1)) })
        await client.closed()
        await listener.close()
    }

    @Test func aGuestsRequestsAreBoundedInSizeAndNumber() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver) {
            $0.guestFrameBytes = 1_000
            $0.maxGuestRequests = 2
        }
        listener.setRoster(Self.roster)
        let talkative = try await guest(of: listener)
        for id in 1...3 { talkative.send(forward(UInt64(id), "in")) }
        await talkative.closed()
        #expect(receiver.record.value.guestRequests.count == 2 && receiver.record.value.forwards.isEmpty)
        let loud = try await guest(of: listener)
        loud.send(forward(1, String(repeating: "x", count: 1_000)))
        await loud.closed()
        #expect(receiver.record.value.guestRequests.count == 2)
        await listener.close()
    }

    @Test func guestsAreBoundedInNumberAndLeaveTheirPlaces() async throws {
        let listener = try await listenForPeers(receiver: RecordingReceiver()) { $0.maxGuests = 1 }
        listener.setRoster(Self.roster)
        let first = try await guest(of: listener)
        let second = try await RawClient.connect(port: listener.boundPort)
        second.send(bytes { $0.add(Self.hello(5)) })
        await second.closed()
        // A member is admitted all the same.
        let member = try await RawClient.connect(port: listener.boundPort)
        member.send(bytes { $0.add(Self.hello(1)) })
        #expect(try await member.receiveFrame() == .helloReply(HelloReply(identity(2).hello(shard: 0, lane: .bulk))))
        first.close()
        await first.closed()
        // Its place is free when the listener has seen the end.
        var isIn = false
        while !isIn {
            let third = try await RawClient.connect(port: listener.boundPort)
            third.send(bytes { $0.add(Self.hello(6)) })
            isIn = (try? await third.receiveFrame()) != nil
        }
        await listener.close()
    }

    // MARK: - From guest to member, and out

    @Test func aGuestBecomesAMemberWithoutDiallingAgain() async throws {
        let receiver = RecordingReceiver(answer: { $1.send($0) })
        let listener = try await listenForPeers(receiver: receiver)
        listener.setRoster(Self.roster)
        let links = try await LinksUnderTest(as: 4, cluster: nil) { $0.guestPause = .milliseconds(1) }
        try await links.setPeers([2: listener.boundPort])
        // Both lanes stand, and carry no letters; a request gets through.
        while try await links.run({ $0.peersTakingRequests }).isEmpty {}
        try await links.forward("in")
        await links.seen.reaches { $0.answers.count == 1 }
        #expect(try links.seen.value.answers[0].get() == ByteBuffer(string: "in"))
        #expect(receiver.record.value.guestRequests.count == 1 && receiver.record.value.forwards.isEmpty)
        try await links.run { links in
            links.send(letter(1), of: testGroupID, payload: [], to: Self.two)
            links.flush()
            #expect(links.droppedLetters == 1 && !links.isConnected(Self.two) && links.connectedPeers.isEmpty)
        }
        var known = Self.roster
        known.members[NodeID(4)] = identity(4).directory
        listener.setRoster(known)
        await links.seen.reaches { $0.connected == [Self.two] }
        try await links.run { links in
            links.send(letter(2), of: testGroupID, payload: [], to: Self.two)
            links.flush()
        }
        await receiver.record.reaches { $0.letters.count == 1 }
        #expect(receiver.record.value.letters.map(\.message) == [letter(2)])
        #expect(receiver.record.value.opened == [NodeID(4), NodeID(4)] && links.seen.value.lost.isEmpty)
        #expect(listener.connections == 2)
        try await links.close()
        await receiver.record.reaches { $0.lost.count == 2 }
        await listener.close()
    }

    @Test func aMemberThatIsRemovedIsToldSo() async throws {
        let receiver = RecordingReceiver()
        let listener = try await listenForPeers(receiver: receiver)
        listener.setRoster(Self.roster)
        let links = try await LinksUnderTest()
        try await links.setPeers([2: listener.boundPort])
        await links.seen.reaches { $0.connected.count == 1 }
        listener.setRoster(PeerRoster(members: [Self.two: Self.directory(2)], removed: [Self.directory(1)]))
        await links.seen.reaches { $0.refusals.contains(.removed) && $0.lost.count == 1 }
        await links.log.reaches { $0.contains { $0.contains("this node was removed from the cluster") } }
        await receiver.record.reaches { $0.lost.count == 2 }
        try await links.close()
        await listener.close()
    }

    @Test func aSecondNodeOfTheSameIDIsRefusedWhileTheFirstIsThere() async throws {
        let listener = try await listenForPeers(receiver: RecordingReceiver())
        var roster = Self.roster
        roster.reachable = [Self.one]
        roster.members[Self.one] = TopicID(high: 5, low: 5)
        listener.setRoster(roster)
        let links = try await LinksUnderTest()
        try await links.setPeers([2: listener.boundPort])
        await links.log.reaches { $0.contains { $0.contains("it knows this node with another data directory") } }
        await links.seen.reaches { $0.refusals.contains(.otherDirectory) }
        #expect(links.seen.value.connected.isEmpty)
        try await links.close()
        await listener.close()
    }

    @Test func anotherDirectoryUnderAKnownIDIsNotTalkedTo() async throws {
        let listener = try await listenForPeers(receiver: RecordingReceiver())
        let links = try await LinksUnderTest()
        try await links.run { $0.directories = [Self.two: TopicID(high: 5, low: 5)] }
        try await links.setPeers([2: listener.boundPort])
        await links.log.reaches { $0.contains { $0.contains("has another data directory") } }
        #expect(links.seen.value.connected.isEmpty)
        try await links.run { $0.directories = [Self.two: Self.directory(2)] }
        await links.seen.reaches { $0.connected == [Self.two] }
        try await links.close()
        await listener.close()
    }

    // MARK: - Seeds

    @Test func aSeedIsAskedWhoeverItIs() async throws {
        let receiver = RecordingReceiver(answer: { $1.send($0) })
        let listener = try await listenForPeers(receiver: receiver)
        listener.setRoster(Self.roster)
        let links = try await LinksUnderTest(as: 4, cluster: nil)
        try await links.ask(port: listener.boundPort)
        await links.seen.reaches { $0.seedAnswers.count == 1 }
        #expect(try links.seen.value.seedAnswers[0].get() == ByteBuffer(string: "take me in"))
        #expect(receiver.record.value.guestRequests.count == 1)
        // It hangs up by itself, and asks again like new.
        try await links.ask(port: listener.boundPort)
        await links.seen.reaches { $0.seedAnswers.count == 2 }
        try await links.close()
        await listener.close()
    }

    @Test func aSeedThatGivesNoAnswerIsNamedWithItsReason() async throws {
        let refusing = try await listenForPeers(receiver: RecordingReceiver())
        refusing.setRoster(PeerRoster(members: [:], removed: [identity(4).directory]))
        let unwilling = try await listenForPeers(receiver: RecordingReceiver(answer: { $1.refuse() }))
        let foreign = try await listenForPeers(cluster: TopicID(high: 8, low: 8), receiver: RecordingReceiver())
        let silent = try await RawServer()
        let links = try await LinksUnderTest(as: 4)
        for port in [refusing.boundPort, unwilling.boundPort, foreign.boundPort] {
            let before = links.seen.value.seedAnswers.count
            try await links.ask(port: port)
            await links.seen.reaches { $0.seedAnswers.count == before + 1 }
        }
        try await links.ask(port: silent.port, patience: .milliseconds(50))
        await links.seen.reaches { $0.seedAnswers.count == 4 }
        let (own, other) = (identity(2), identity(2, cluster: TopicID(high: 8, low: 8)))
        let expected: [SeedFailure] = [
            .refused(.removed, by: own.hello(shard: 0, lane: .bulk)), .unanswered,
            .refused(.otherCluster, by: other.hello(shard: 0, lane: .bulk)), .timedOut,
        ]
        #expect(links.seen.value.seedAnswers == expected.map { .failure($0) })
        let nobody = refusing.boundPort
        for listener in [refusing, unwilling, foreign] { await listener.close() }
        try await links.ask(port: nobody)
        await links.seen.reaches { $0.seedAnswers.count == 5 }
        guard case .failure(.broken(let reason)) = links.seen.value.seedAnswers[4] else {
            Issue.record("\(links.seen.value.seedAnswers[4])")
            return
        }
        #expect(reason.hasPrefix("cannot be reached"))
        try await links.close()
        await silent.close()
    }

    @Test func callsThatAreUnderWayEndWithTheLinksAndAnswerNobody() async throws {
        let silent = try await RawServer()
        let links = try await LinksUnderTest(as: 4)
        try await links.ask(port: silent.port)
        await silent.accepted.reaches { $0.count == 1 }
        try await links.close()
        try? await silent.accepted.value[0].setOption(.autoRead, value: true).get()
        try await silent.accepted.value[0].closeFuture.get()
        #expect(links.seen.value.seedAnswers.isEmpty)
        await silent.close()
    }
}
