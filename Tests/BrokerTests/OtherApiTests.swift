// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

@Suite struct OtherApiTests {
    @Test func apiVersionsNamesOnlyWhatIsServed() throws {
        let node = try OneNode()
        let answer = try node.ask(ApiVersionsRequest(), version: 4)
        for api in answer.apis {
            // A body cut short is refused by the API's own decoder, so there is one.
            var frame = ByteBuffer()
            frame.writeInteger(api.key.rawValue)
            frame.writeInteger(api.maxVersion)
            frame.writeInteger(Int32(1))
            frame.writeInteger(Int16(-1))
            let asked = node.begin(frame, ApiVersionsResponse.self, version: 0)
            #expect(asked.closed?.contains("unreadable") == true, "\(api.key) is advertised")
        }
        #expect(!answer.apis.contains { $0.key == .explainGroup })
        #expect(answer.apis.first { $0.key == .produce }?.minVersion == 0)
        #expect(answer.apis.first { $0.key == .fetch }?.minVersion == 4)
    }

    @Test func anApiVersionsVersionFromTheFutureIsAnsweredInVersionZero() throws {
        let node = try OneNode()
        var frame = ByteBuffer()
        frame.writeInteger(ApiKey.apiVersions.rawValue)
        frame.writeInteger(Int16(99))
        frame.writeInteger(Int32(1))
        frame.writeInteger(Int16(-1))
        frame.writeBytes([0, 1, 2, 3])
        let answer = node.begin(frame, ApiVersionsResponse.self, version: 0)
        #expect(answer.response?.error == .unsupportedVersion)
        #expect(answer.response?.apis.isEmpty == false)
    }

    @Test func anUnknownApiClosesTheConnection() throws {
        let node = try OneNode()
        var frame = ByteBuffer()
        frame.writeInteger(Int16(999))
        frame.writeInteger(Int16(0))
        frame.writeInteger(Int32(1))
        frame.writeInteger(Int16(-1))
        #expect(node.begin(frame, ApiVersionsResponse.self, version: 0).closed != nil)
    }

    @Test func aTruncatedBodyClosesTheConnection() throws {
        let node = try OneNode()
        try node.topic("events")
        var frame = try produceRequest(try batch(["a"])).encodeFrame(correlationID: 1, clientID: "c", version: 9).bytes
        frame.moveReaderIndex(forwardBy: 4)
        for length in stride(from: 12, to: frame.readableBytes, by: 1) {
            guard let cut = frame.getSlice(at: frame.readerIndex, length: length) else { continue }
            #expect(node.begin(cut, ProduceResponse.self, version: 9).closed != nil, "cut to \(length)")
        }
    }

    @Test(arguments: MetadataRequest.versions)
    func metadataNamesBrokersTopicsAndLeaders(version: Int16) throws {
        let node = try OneNode()
        try node.topic("events", partitions: 2)
        var request = MetadataRequest()
        var asked = MetadataRequest.Topic()
        asked.name = "events"
        request.topics = [asked]
        let answer = try node.ask(request, version: version)
        #expect(answer.brokers.map(\.nodeID) == [1])
        #expect(answer.brokers.first?.host == "one.example")
        #expect(answer.topics.map(\.name) == ["events"])
        #expect(answer.topics.first?.partitions.map(\.leaderID) == [1, 1])
        #expect(answer.topics.first?.partitions.map(\.replicas) == [[1], [1]])
    }

    @Test func metadataOfAllTopicsAndOfNone() throws {
        let node = try OneNode()
        try node.topic("a")
        try node.topic("b")
        var request = MetadataRequest()
        request.topics = nil
        #expect(try node.ask(request, version: 9).topics.map(\.name) == ["a", "b"])
        request.topics = []
        #expect(try node.ask(request, version: 9).topics.isEmpty)
        // In version 0 the empty list means all.
        #expect(try node.ask(request, version: 0).topics.map(\.name) == ["a", "b"])
    }

    @Test func metadataSaysWhatIsWrongWithANameOrAnId() throws {
        let node = try OneNode()
        var request = MetadataRequest()
        request.allowsTopicCreation = false
        var missing = MetadataRequest.Topic()
        missing.name = "missing"
        var illegal = MetadataRequest.Topic()
        illegal.name = "no/slash"
        request.topics = [missing, illegal]
        #expect(try node.ask(request, version: 9).topics.map(\.error) == [.unknownTopicOrPartition, .invalidTopic])
        let known = try node.topic("known")
        var beside = MetadataRequest.Topic()
        beside.name = ""
        beside.id = known
        request.topics = [beside]
        #expect(try node.ask(request, version: 12).topics.map(\.name) == ["known"])
        #expect(try node.ask(request, version: 12).topics.map(\.id) == [known])
        var byID = MetadataRequest.Topic()
        byID.name = nil
        byID.id = TopicID(high: 7, low: 7)
        request.topics = [byID]
        #expect(try node.ask(request, version: 12).topics.map(\.error) == [.unknownTopicID])
        // Ids have a field since version 10, and a meaning since version 12.
        #expect(try node.ask(request, version: 11).topics.map(\.error) == [.invalidRequest])
    }

    @Test(arguments: ["", nil]) func metadataFindsATopicByItsIdWhateverItsName(_ name: String?) throws {
        let node = try OneNode()
        var byID = MetadataRequest.Topic()
        byID.name = name
        byID.id = try node.topic("known")
        var request = MetadataRequest()
        request.topics = [byID]
        #expect(try node.ask(request, version: 12).topics.map(\.name) == ["known"])
    }

    @Test func aMissingTopicIsMadeWhenTheClientAllowsIt() throws {
        let node = try OneNode()
        let controller = RecordingController()
        node.broker.controller = controller
        var request = MetadataRequest()
        var asked = MetadataRequest.Topic()
        asked.name = "wanted"
        request.topics = [asked]
        #expect(try node.ask(request, version: 9).topics.map(\.error) == [.leaderNotAvailable])
        var frame = try #require(controller.frames.first)
        let header = try RequestHeader.decode(from: &frame)
        let creation = try CreateTopicsRequest.decode(frame, version: header.version)
        #expect(creation.topics.map(\.name) == ["wanted"])
        request.allowsTopicCreation = false
        #expect(try node.ask(request, version: 9).topics.map(\.error) == [.unknownTopicOrPartition])
        #expect(controller.frames.count == 1)
    }

    @Test func listOffsetsFindsBeginningEndAndTime() throws {
        let node = try OneNode()
        try node.topic("events")
        for time in [1_700_000_000_000, 1_700_000_010_000, 1_700_000_020_000] as [Int64] {
            _ = try node.ask(produceRequest(try batch(["a", "b"], at: time)), version: 9)
        }
        func offset(_ time: Int64) throws -> ListOffsetsResponse.Partition {
            try node.ask(listOffsetsRequest(time: time), version: 7).topics[0].partitions[0]
        }
        #expect(try offset(-2).offset == 0)
        #expect(try offset(-1).offset == 6)
        #expect(try offset(1_700_000_000_001).offset == 1)
        #expect(try offset(1_700_000_005_000).offset == 2)
        #expect(try offset(1_700_000_005_000).timestamp == 1_700_000_010_000)
        #expect(try offset(1_900_000_000_000).offset == -1)
        #expect(try offset(-3).offset == 5)
        #expect(try offset(-9).error == .invalidRequest)
    }

    @Test func listOffsetsHidesWhatIsNotCommitted() throws {
        let node = try OneNode()
        try node.topic("events")
        _ = try node.begin(produceRequest(try batch(["a"]), acks: 1), version: 9)
        let asked = try node.begin(listOffsetsRequest(time: -1), version: 7)
        #expect(asked.response?.topics[0].partitions[0].offset == 0)
    }

    /// T-K23 (KAFKA 409fabc5610).
    @Test func offsetForLeaderEpochSaysWhereAnEpochEnds() throws {
        let node = try OneNode()
        try node.topic("events")
        _ = try node.ask(produceRequest(try batch(["a", "b"])), version: 9)
        var request = OffsetForLeaderEpochRequest()
        var topic = OffsetForLeaderEpochRequest.Topic()
        topic.name = "events"
        var partition = OffsetForLeaderEpochRequest.Partition()
        partition.leaderEpoch = 1
        topic.partitions = [partition]
        request.topics = [topic]
        let answer = try node.ask(request, version: 4).topics[0].partitions[0]
        #expect(answer.leaderEpoch == 1)
        #expect(answer.endOffset == 2)
        func end(of epoch: Int32, currentEpoch: Int32 = -1) throws -> OffsetForLeaderEpochResponse.Partition {
            request.topics[0].partitions[0].leaderEpoch = epoch
            request.topics[0].partitions[0].currentLeaderEpoch = currentEpoch
            return try node.ask(request, version: 4).topics[0].partitions[0]
        }
        // An epoch before all that are known ends where the first one begins, as with Kafka; a future one nowhere.
        #expect(try end(of: 0).leaderEpoch == 0)
        #expect(try end(of: 0).endOffset == 0)
        for unknown in [2, Int32.max, -1, -2, .min] {
            #expect(try end(of: unknown).error == ErrorCode.none)
            #expect(try end(of: unknown).leaderEpoch == -1)
            #expect(try end(of: unknown).endOffset == -1)
        }
        // T-K23.
        #expect(try end(of: 1, currentEpoch: 0).error == .fencedLeaderEpoch)
        #expect(try end(of: 1, currentEpoch: 2).error == .unknownLeaderEpoch)
        #expect(try end(of: 1, currentEpoch: 1).endOffset == 2)
    }

    @Test func describeConfigsShowsTopicsAndTheNode() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("retention.ms", "1000")])
        var request = DescribeConfigsRequest()
        var topic = DescribeConfigsRequest.Resource()
        topic.type = .topic
        topic.name = "events"
        topic.configurationKeys = nil
        var broker = DescribeConfigsRequest.Resource()
        broker.type = .broker
        broker.name = "1"
        broker.configurationKeys = nil
        var missing = topic
        missing.name = "missing"
        request.resources = [topic, broker, missing]
        let answer = try node.ask(request, version: 4)
        let configs = answer.results[0].configs
        #expect(configs.first { $0.name == "retention.ms" }?.value == "1000")
        #expect(configs.first { $0.name == "retention.ms" }?.source == .dynamicTopic)
        #expect(configs.first { $0.name == "min.insync.replicas" }?.source == .builtInDefault)
        #expect(configs.contains { $0.name == "max.message.bytes" })
        #expect(
            answer.results[1].configs.map(\.name) == ["node.id", "advertised.listeners", "log.dirs", "broker.rack"])
        #expect(answer.results[2].error == .unknownTopicOrPartition)
    }

    @Test func describeClusterNamesIdControllerAndNodes() throws {
        let node = try OneNode()
        node.broker.update { $0.note(.metadata, term: Term(1), leader: NodeID(1)) }
        let answer = try node.ask(DescribeClusterRequest(), version: 2)
        #expect(answer.controllerID == 1)
        #expect(answer.brokers.map(\.id) == [1])
        #expect(!answer.clusterID.isEmpty)
    }

    @Test func adminRequestsWithoutAControllerTimeOutByName() throws {
        let node = try OneNode()
        var request = CreateTopicsRequest()
        var topic = CreateTopicsRequest.Topic()
        topic.name = "a"
        topic.partitionCount = 1
        topic.replicationFactor = 1
        request.topics = [topic]
        #expect(try node.ask(request, version: 7).topics.map(\.error) == [.requestTimedOut])
    }
}

/// Keeps what it is asked and answers nothing.
private final class RecordingController: ControllerAccess {
    var frames: [ByteBuffer] = []

    func administer(_ frame: ByteBuffer, reply: @escaping (ByteBuffer?) -> Void) {
        frames.append(frame)
        reply(nil)
    }

    func producerID(reply: @escaping (Int64?) -> Void) { reply(nil) }
}
