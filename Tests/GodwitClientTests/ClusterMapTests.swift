// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import Testing

@testable import GodwitClient

struct ClusterMapTests {
    private func broker(_ id: Int32, port: Int32 = 9092, host: String = "h") -> MetadataResponse.Broker {
        var broker = MetadataResponse.Broker()
        broker.nodeID = id
        broker.host = host
        broker.port = port
        return broker
    }

    private func answer(
        leader: Int32, epoch: Int32, id: TopicID = TopicID(high: 1, low: 1), brokers: [Int32] = [1, 2]
    ) -> MetadataResponse {
        var partition = MetadataResponse.Partition()
        partition.leaderID = leader
        partition.leaderEpoch = epoch
        var topic = MetadataResponse.Topic()
        topic.name = "t"
        topic.id = id
        topic.partitions = [partition]
        var answer = MetadataResponse()
        answer.brokers = brokers.map { broker($0) }
        answer.topics = [topic]
        return answer
    }

    @Test func ofTwoLeadersTheOneOfTheHigherTermCounts() {
        var map = ClusterMap()
        map.apply(answer(leader: 2, epoch: 5), maxNodes: 10)
        // A broker that has been asleep.
        map.apply(answer(leader: 1, epoch: 4), maxNodes: 10)
        #expect(map.leader(of: "t", 0)?.node.id == 2)
        map.apply(answer(leader: 1, epoch: 6), maxNodes: 10)
        #expect(map.leader(of: "t", 0)?.node.id == 1)
    }

    @Test func aTopicMadeAnewBeginsWithTermsOfItsOwn() {
        var map = ClusterMap()
        map.apply(answer(leader: 2, epoch: 5), maxNodes: 10)
        let other = TopicID(high: 2, low: 2)
        map.apply(answer(leader: 1, epoch: 0, id: other), maxNodes: 10)
        #expect(map.leader(of: "t", 0)?.node.id == 1)
        #expect(map.name(of: other) == "t")
        #expect(map.name(of: TopicID(high: 1, low: 1)) == nil)
    }

    @Test func aHintCountsOnlyWhenItIsNewer() {
        var map = ClusterMap()
        map.apply(answer(leader: 1, epoch: 3), maxNodes: 10)
        func hint(_ id: Int32, _ epoch: Int32, _ endpoints: [NodeEndpoint] = []) -> Bool {
            map.apply(
                hint: LeaderIDAndEpoch(leaderID: id, leaderEpoch: epoch), endpoints: endpoints, topic: "t", partition: 0
            )
        }
        #expect(!hint(2, 3))
        #expect(!hint(-1, 9))
        // A node that nobody has told the address of.
        #expect(!hint(7, 4))
        #expect(map.leader(of: "t", 0)?.node.id == 1)
        #expect(!hint(7, 4, [NodeEndpoint(nodeID: 7, host: "", port: 1, rack: nil)]))
        #expect(!hint(7, 4, [NodeEndpoint(nodeID: 7, host: "h", port: 70_000, rack: nil)]))
        #expect(hint(7, 4, [NodeEndpoint(nodeID: 7, host: "h", port: 70, rack: nil)]))
        #expect(map.leader(of: "t", 0)?.node.address == BrokerAddress(host: "h", port: 70))
        #expect(!hint(2, 4))
        #expect(hint(2, 5))
    }

    @Test func anAnswerCannotMakeTheClientRememberWithoutEnd() {
        var map = ClusterMap()
        var many = MetadataResponse()
        many.brokers = (0..<100).map { broker($0) }
        map.apply(many, maxNodes: 10)
        #expect(map.nodes.count == 10)
    }

    @Test func brokersWithoutAUsableAddressAreLeftOut() {
        var map = ClusterMap()
        var answer = MetadataResponse()
        answer.brokers = [broker(1, port: 0), broker(2, port: 70_000), broker(3, host: ""), broker(-4), broker(5)]
        map.apply(answer, maxNodes: 10)
        #expect(Array(map.nodes.keys) == [5])
        // None at all is not believed: the cluster that answered has at least itself.
        map.apply(MetadataResponse(), maxNodes: 10)
        #expect(Array(map.nodes.keys) == [5])
    }

    @Test func aPartitionWithoutALeaderHasNone() {
        var map = ClusterMap()
        map.apply(answer(leader: -1, epoch: 1), maxNodes: 10)
        #expect(map.leader(of: "t", 0) == nil)
        #expect(map.leader(of: "t", 1) == nil)
        #expect(map.leader(of: "u", 0) == nil)
    }
}

struct RetryTests {
    @Test func whatMayPassIsTriedAgain() {
        let passing: [ClientError] = [
            .noBroker(tried: []), .connectionClosed("x"), .timedOut("x"),
            .refused(.notLeaderOrFollower, subject: "", message: nil),
            .refused(.unknownTopicOrPartition, subject: "", message: nil),
            .refused(.notEnoughReplicas, subject: "", message: nil),
        ]
        for error in passing { #expect(error.isRetriable) }
        let lasting: [ClientError] = [
            .closed, .bufferFull, .invalid("x"), .badAnswer("x"), .notSupported("x"),
            .refused(.messageTooLarge, subject: "", message: nil),
            .refused(.topicAuthorizationFailed, subject: "", message: nil),
        ]
        for error in lasting { #expect(!error.isRetriable) }
    }
}

struct BrokerAddressTests {
    @Test(arguments: [
        ("a:1", "a", 1), ("a", "a", 9092), ("[::1]:5", "::1", 5), ("[::1]", "::1", 9092),
        ("10.0.0.1:65535", "10.0.0.1", 65_535),
    ])
    func addressesAreRead(text: String, host: String, port: Int) {
        #expect(BrokerAddress(text) == BrokerAddress(host: host, port: port))
    }

    @Test(arguments: ["", ":1", "a:", "a:0", "a:65536", "a:-1", "[::1]x5", "[::1]:"])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(BrokerAddress(text) == nil)
    }

    @Test func aListIsTakenWholeOrNotAtAll() {
        #expect(BrokerAddress.list("a:1,b:2")?.count == 2)
        #expect(BrokerAddress.list("a:1,b:x") == nil)
        #expect(BrokerAddress.list("") == nil)
    }
}

struct FrameReaderTests {
    private func frame(_ bytes: [UInt8]) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(Int32(bytes.count))
        buffer.writeBytes(bytes)
        return buffer
    }

    private func frames(_ input: [ByteBuffer], limit: Int = 1 << 20) throws(ClientError) -> [[UInt8]] {
        var reader = FrameReader(limit: limit)
        var frames: [[UInt8]] = []
        for piece in input {
            try reader.feed(piece) { (frame) throws(ClientError) in frames.append(Array(frame.readableBytesView)) }
        }
        return frames
    }

    @Test func framesComeOutWholeHoweverTheyAreCut() throws {
        let bodies: [[UInt8]] = [[1, 2, 3, 4], Array(repeating: 7, count: 300), [5, 6, 7, 8, 9]]
        var stream = ByteBuffer()
        for body in bodies { stream.writeImmutableBuffer(frame(body)) }
        for size in [1, 2, 3, 4, 5, 7, 100, stream.readableBytes] {
            var rest = stream
            var pieces: [ByteBuffer] = []
            while let piece = rest.readSlice(length: min(size, rest.readableBytes)), piece.readableBytes > 0 {
                pieces.append(piece)
            }
            #expect(try frames(pieces) == bodies)
        }
    }

    @Test(arguments: [Int32(-1), 0, 3, 101, .max])
    func lengthsThatCannotBeAreRefused(length: Int32) {
        var bytes = ByteBuffer()
        bytes.writeInteger(length)
        #expect(throws: ClientError.badAnswer("a frame of \(length) bytes")) { _ = try frames([bytes], limit: 100) }
    }
}
