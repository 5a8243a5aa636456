// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import RaftCore
import RecordBatches
import Replication
import Testing

@Suite struct ProduceTests {
    @Test(arguments: [Codec.none, .gzip, .snappy, .lz4, .zstd])
    func aBatchComesBackAsItWasSentWhateverItsCompression(codec: Codec) throws {
        let node = try OneNode()
        try node.topic("events")
        let sent = try batch(["one", "two", String(repeating: "x", count: 500)], codec: codec)
        let stored = try node.ask(produceRequest(sent), version: 9)
        #expect(stored.only?.error == ErrorCode.none)
        #expect(stored.only?.baseOffset == 0)
        let fetched = try node.ask(fetchRequest(from: 0), version: 12)
        guard case .bytes(let got) = fetched.only?.records else {
            Issue.record("no records came back")
            return
        }
        // All but the offset and the leader epoch, which the broker writes: bytes 0 to 7 and 12 to 15.
        #expect(got.readableBytes == sent.readableBytes)
        #expect(
            got.getSlice(at: 16, length: got.readableBytes - 16)
                == sent.getSlice(at: 16, length: sent.readableBytes - 16))
        #expect(try fetched.only?.values.count == 3)
    }

    @Test(arguments: ProduceRequest.versions)
    func everyVersionIsServed(version: Int16) throws {
        let node = try OneNode()
        let id = try node.topic("events")
        let stored = try node.ask(produceRequest(try batch(["a"]), id: id), version: version)
        #expect(stored.only?.error == ErrorCode.none)
        #expect(stored.only?.baseOffset == 0)
    }

    @Test func offsetsFollowEachOther() throws {
        let node = try OneNode()
        try node.topic("events")
        for expected in [0, 3, 6] as [Int64] {
            let stored = try node.ask(produceRequest(try batch(["a", "b", "c"])), version: 9)
            #expect(stored.only?.baseOffset == expected)
        }
    }

    @Test func acksAllIsAnsweredOnlyOnceTheBatchIsOnDisk() throws {
        let node = try OneNode()
        try node.topic("events")
        let asked = try node.begin(produceRequest(try batch(["a"])), version: 9)
        node.settleDiskExcluded()
        #expect(!asked.isAnswered)
        node.settle()
        #expect(asked.response?.only?.error == ErrorCode.none)
    }

    @Test func acksOneIsAnsweredAtOnce() throws {
        let node = try OneNode()
        try node.topic("events")
        let asked = try node.begin(produceRequest(try batch(["a"]), acks: 1), version: 9)
        #expect(asked.response?.only?.error == ErrorCode.none)
    }

    @Test func acksNoneIsNotAnswered() throws {
        let node = try OneNode()
        try node.topic("events")
        let asked = try node.begin(produceRequest(try batch(["a"]), acks: 0), version: 9)
        node.settle()
        #expect(asked.gotNothing)
        #expect(try node.ask(fetchRequest(from: 0), version: 12).only?.values == ["a"])
    }

    @Test func aFailedProduceWithoutAcksClosesTheConnection() throws {
        let node = try OneNode()
        let asked = try node.begin(produceRequest(try batch(["a"]), to: "missing", acks: 0), version: 9)
        node.settle()
        #expect(asked.closed != nil)
    }

    @Test func acksOfAnotherNumberAreRefused() throws {
        let node = try OneNode()
        try node.topic("events")
        let refused = try node.ask(produceRequest(try batch(["a"]), acks: 2), version: 9)
        #expect(refused.only?.error == .invalidRequiredAcks)
    }

    @Test func anUnknownTopicOrPartitionIsSaid() throws {
        let node = try OneNode()
        try node.topic("events", partitions: 2)
        #expect(
            try node.ask(produceRequest(try batch(["a"]), to: "missing"), version: 9).only?.error
                == .unknownTopicOrPartition)
        #expect(
            try node.ask(produceRequest(try batch(["a"]), partition: 2), version: 9).only?.error
                == .unknownTopicOrPartition)
        #expect(
            try node.ask(produceRequest(try batch(["a"]), partition: -1), version: 9).only?.error
                == .unknownTopicOrPartition)
        #expect(
            try node.ask(produceRequest(try batch(["a"]), id: TopicID(high: 9, low: 9)), version: 13).only?.error
                == .unknownTopicID)
    }

    @Test func aDamagedBatchIsRefusedAndNotStored() throws {
        let node = try OneNode()
        try node.topic("events")
        var damaged = try batch(["hello"])
        let last = damaged.writerIndex - 1
        damaged.setInteger((damaged.getInteger(at: last, as: UInt8.self) ?? 0) ^ 1, at: last)
        #expect(try node.ask(produceRequest(damaged), version: 9).only?.error == .corruptMessage)
        #expect(try node.ask(listOffsetsRequest(time: -1), version: 5).topics[0].partitions[0].offset == 0)
    }

    @Test func aBatchOverMaxMessageBytesIsTooLarge() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("max.message.bytes", "1024")])
        let large = try batch([String(repeating: "x", count: 2000)])
        #expect(try node.ask(produceRequest(large), version: 9).only?.error == .messageTooLarge)
        #expect(try node.ask(produceRequest(try batch(["small"])), version: 9).only?.error == ErrorCode.none)
    }

    @Test func zstdNeedsProduceVersionSeven() throws {
        let node = try OneNode()
        try node.topic("events")
        let packed = try batch([String(repeating: "x", count: 2000)], codec: .zstd)
        #expect(try node.ask(produceRequest(packed), version: 6).only?.error == .unsupportedCompressionType)
        #expect(try node.ask(produceRequest(packed), version: 7).only?.error == ErrorCode.none)
    }

    @Test func tooFewReplicasInTouchRefuseAcksAllOnly() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("min.insync.replicas", "2")])
        #expect(try node.ask(produceRequest(try batch(["a"])), version: 9).only?.error == .notEnoughReplicas)
        #expect(try node.ask(produceRequest(try batch(["a"]), acks: 1), version: 9).only?.error == ErrorCode.none)
    }

    @Test func logAppendTimeReplacesTheProducersTime() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("message.timestamp.type", "LogAppendTime")])
        node.environment.wallClock = Timestamp(milliseconds: 1_800_000_000_000)
        let stored = try node.ask(produceRequest(try batch(["a"])), version: 9)
        #expect(stored.only?.logAppendTime == 1_800_000_000_000)
        guard case .bytes(let got) = try node.ask(fetchRequest(from: 0), version: 12).only?.records else {
            Issue.record("no records came back")
            return
        }
        var records = try BatchRecords(of: got, limit: 1 << 20, verifyingChecksum: true)
        #expect(try records.next()?.timestamp == Timestamp(milliseconds: 1_800_000_000_000))
    }

    @Test func versionsThatAreAdvertisedForLibrdkafkaAloneAreRefused() throws {
        let node = try OneNode()
        var frame = ByteBuffer()
        frame.writeInteger(Int16(0))
        frame.writeInteger(Int16(2))
        frame.writeInteger(Int32(1))
        frame.writeInteger(Int16(-1))
        #expect(node.begin(frame, ProduceResponse.self, version: 3).closed != nil)
    }

    /// "Not the leader" would say that it was not written, and a producer that never retries would send it again.
    /// Once it leads again it serves as before (T-K19, redpanda 95e809f1f2: it said "not the leader" ever after).
    @Test func whoeverIsVotedOutStillSaysWhatBecameOfAProduce() throws {
        let node = try OneNode()
        try node.topic("events")
        let asked = try node.begin(produceRequest(try batch(["a", "b"])), version: 9)
        node.settleDiskExcluded()
        let replica = try #require(node.shard.allReplicas.first)
        node.shard.receive(
            .voteReply(term: replica.term.next, granted: false), of: replica.id, payload: nil, from: NodeID(9))
        node.settleDiskExcluded()
        #expect(!replica.isLeader)
        #expect(!asked.isAnswered)
        node.waitForLeadership()
        #expect(asked.response?.topics.first?.partitions.first?.error == ErrorCode.none)
        #expect(asked.response?.topics.first?.partitions.first?.baseOffset == 0)
        let next = try node.ask(produceRequest(try batch(["c"])), version: 9)
        #expect(next.only?.error == ErrorCode.none && next.only?.baseOffset == 2)
    }

    @Test func whoeverIsVotedOutDoesNotWaitForEver() throws {
        let node = try OneNode()
        try node.topic("events")
        let asked = try node.begin(produceRequest(try batch(["a"])), version: 9)
        node.settleDiskExcluded()
        let replica = try #require(node.shard.allReplicas.first)
        node.shard.receive(
            .voteReply(term: replica.term.next, granted: false), of: replica.id, payload: nil, from: NodeID(9))
        node.settleDiskExcluded()
        node.environment.now = node.environment.now.advanced(byNanoseconds: 2_000_000_000)
        node.shard.tick()
        #expect(asked.response?.topics.first?.partitions.first?.error == .requestTimedOut)
    }
}
