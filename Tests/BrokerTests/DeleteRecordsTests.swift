// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Replication
import Testing

/// The log's life as clients meet it: DeleteRecords, retention, compaction, and what ListOffsets says of them.
@Suite struct DeleteRecordsTests {
    private func request(_ offset: Int64, of topic: String = "events", partition: Int32 = 0) -> DeleteRecordsRequest {
        var request = DeleteRecordsRequest()
        request.timeout = 5_000
        var asked = DeleteRecordsRequest.Topic()
        asked.name = topic
        var part = DeleteRecordsRequest.Partition()
        part.index = partition
        part.offset = offset
        asked.partitions = [part]
        request.topics = [asked]
        return request
    }

    private func answer(
        _ node: OneNode, _ request: DeleteRecordsRequest, version: Int16 = 2
    ) throws -> DeleteRecordsResponse.Partition {
        try #require(try node.ask(request, version: version).topics.first?.partitions.first)
    }

    /// Ten records: two batches of five.
    private func filled(_ configs: [(name: String, value: String?)] = []) throws -> OneNode {
        let node = try OneNode()
        try node.topic("events", configs: configs)
        for time in [1_000, 2_000] as [Int64] {
            let sent = try batch(["a", "b", "c", "d", "e"], at: 1_700_000_000_000 + time)
            #expect(try node.ask(produceRequest(sent), version: 9).only?.error == ErrorCode.none)
        }
        return node
    }

    /// T-K25 (apache/kafka 37a4d5ea46b): the start lies inside a batch.
    @Test(arguments: DeleteRecordsRequest.versions)
    func theLogBeginsLaterEvenInsideABatch(version: Int16) throws {
        let node = try filled()
        let answer = try answer(node, request(3), version: version)
        #expect(answer.error == ErrorCode.none && answer.lowWatermark == 3)
        #expect(try node.ask(fetchRequest(from: 2), version: 12).only?.error == .offsetOutOfRange)
        let fetched = try node.ask(fetchRequest(from: 3), version: 12)
        #expect(fetched.only?.error == ErrorCode.none && fetched.only?.logStartOffset == 3)
        let sent = try node.ask(produceRequest(try batch(["f"])), version: 9)
        #expect(sent.only?.logStartOffset == 3 && sent.only?.baseOffset == 10)
    }

    @Test func minusOneDeletesUpToTheHighWatermark() throws {
        let node = try filled()
        #expect(try answer(node, request(-1)).lowWatermark == 10)
        #expect(try answer(node, request(4)).lowWatermark == 10, "the start does not go back")
        #expect(try node.ask(produceRequest(try batch(["f"])), version: 9).only?.baseOffset == 10)
    }

    @Test func eachRefusalHasItsError() throws {
        let node = try filled()
        try node.topic("table", configs: [("cleanup.policy", "compact")])
        try node.topic("both", configs: [("cleanup.policy", "compact,delete")])
        try node.topic("__consumer_offsets", configs: [("cleanup.policy", "compact")])
        #expect(try answer(node, request(0, of: "__consumer_offsets")).error == .invalidTopic)
        #expect(
            try answer(node, request(0, of: "__consumer_offsets", partition: 7)).error == .unknownTopicOrPartition)
        #expect(try answer(node, request(11)).error == .offsetOutOfRange)
        #expect(try answer(node, request(-2)).error == .offsetOutOfRange)
        #expect(try answer(node, request(0, of: "nothing")).error == .unknownTopicOrPartition)
        #expect(try answer(node, request(0, partition: 7)).error == .unknownTopicOrPartition)
        #expect(try answer(node, request(0, partition: -1)).error == .unknownTopicOrPartition)
        #expect(try answer(node, request(0, of: "table")).error == .policyViolation)
        #expect(try answer(node, request(0, of: "both")).error == ErrorCode.none)
        #expect(try answer(node, request(11)).lowWatermark == -1)
    }

    @Test func theAnswerWaitsForTheCommitAndForItsTimeout() throws {
        let node = try filled()
        var asking = request(5)
        asking.timeout = 100
        let asked = try node.begin(asking, version: 2)
        node.settleDiskExcluded()
        #expect(!asked.isAnswered, "the marker is on no disk yet")
        node.environment.now = node.environment.now.advanced(byNanoseconds: 200_000_000)
        node.shard.tick()
        #expect(asked.response?.topics.first?.partitions.first?.error == .requestTimedOut)
        node.settle()
        #expect(try answer(node, request(1)).lowWatermark == 5, "it was done all the same")
    }

    @Test func listOffsetsKnowsOnlyWhatCanBeRead() throws {
        let node = try filled()
        _ = try answer(node, request(7))
        func offset(_ time: Int64) throws -> ListOffsetsResponse.Partition? {
            try node.ask(listOffsetsRequest(time: time), version: 10).topics.first?.partitions.first
        }
        #expect(try offset(-2)?.offset == 7 && offset(-4)?.offset == 7 && offset(-1)?.offset == 10)
        #expect(try offset(0)?.offset == 7, "the first readable record, inside a batch")
        #expect(try offset(1_700_000_002_003)?.offset == 8)
        #expect(try offset(-3)?.offset == 9)
        #expect(try offset(-5)?.offset == -1, "there is no tiered storage")
        #expect(try offset(-2)?.leaderEpoch == offset(-1)?.leaderEpoch)
        _ = try answer(node, request(-1))
        #expect(try offset(-3)?.offset == -1 && offset(0)?.offset == -1, "nothing is left")
    }

    @Test(arguments: [Codec.none, .lz4])
    func aRecordWithoutAKeyIsRefusedWhereLogsAreCompacted(codec: Codec) throws {
        let node = try OneNode()
        try node.topic("events", configs: [("cleanup.policy", "compact")])
        let refused = try node.ask(produceRequest(try batch(["a"], codec: codec)), version: 9)
        #expect(refused.only?.error == .invalidRecord && refused.only?.errorMessage?.contains("key") == true)
        let taken = try node.ask(produceRequest(try keyed("k", "a", codec: codec)), version: 9)
        #expect(taken.only?.error == ErrorCode.none)
    }

    private func keyed(_ key: String, _ value: String, codec: Codec = .none) throws -> ByteBuffer {
        var builder = BatchBuilder()
        builder.append(
            key: ByteBuffer(string: key), value: ByteBuffer(string: value),
            timestamp: Timestamp(milliseconds: 1_700_000_000_000))
        return try builder.finish(codec: codec)
    }

    @Test func aLogIsCompactedByItself() throws {
        let node = try OneNode(cleaner: CleanerSettings(interval: 100_000_000, keySeed: (1, 2)))
        try node.topic(
            "events", configs: [("cleanup.policy", "compact")],
            limits: LogLimits(segmentBytes: ByteCount(400)), policy: LogPolicy(compaction: CleaningRules()))
        for number in 0..<30 {
            _ = try node.ask(produceRequest(try keyed("k", "\(number)")), version: 9)
        }
        let log = try #require(node.shard.allReplicas.first?.log)
        let before = log.size
        for _ in 0..<20 { node.pass(milliseconds: 50) }
        #expect(log.size < before)
        let fetched = try node.ask(fetchRequest(from: 0), version: 12)
        #expect(try fetched.only?.values.last == "29" && fetched.only?.values.count ?? 0 < 10)
    }

    @Test func retentionIsDecidedByTheLeaderAndEmptiesAnIdleLog() throws {
        let node = try OneNode()
        try node.topic(
            "events", limits: LogLimits(segmentBytes: ByteCount(200)),
            policy: LogPolicy(retention: .init(milliseconds: 1_000)))
        for _ in 0..<5 {
            _ = try node.ask(produceRequest(try batch(["a", "b"], at: 1)), version: 9)
        }
        for _ in 0..<3 { node.pass(milliseconds: 61_000) }
        let replica = try #require(node.shard.allReplicas.first)
        #expect(replica.logStart == Offset(10) && replica.highWatermark == Offset(10))
        #expect(replica.log.start.offset == Offset(10), "its files are gone")
        let end = replica.log.end
        for _ in 0..<3 { node.pass(milliseconds: 61_000) }
        #expect(replica.log.end == end, "an empty log does not grow by being empty")
    }
}
