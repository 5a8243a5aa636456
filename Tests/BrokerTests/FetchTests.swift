// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Replication
import Settings
import Testing

@Suite struct FetchTests {
    private func node(with values: [[String]] = []) throws -> OneNode {
        let node = try OneNode()
        try node.topic("events")
        for values in values { _ = try node.ask(produceRequest(try batch(values)), version: 9) }
        return node
    }

    @Test(arguments: FetchRequest.versions)
    func everyVersionIsServed(version: Int16) throws {
        let node = try OneNode()
        let id = try node.topic("events")
        _ = try node.ask(produceRequest(try batch(["a", "b"])), version: 9)
        let fetched = try node.ask(fetchRequest(id: id, from: 0), version: version)
        #expect(try fetched.only?.values == ["a", "b"])
        #expect(fetched.only?.highWatermark == 2)
        #expect(fetched.only?.lastStableOffset == 2)
    }

    @Test func nothingIsShownBeforeItIsCommitted() throws {
        let node = try node(with: [["a"]])
        let pending = try node.begin(produceRequest(try batch(["b"]), acks: 1), version: 9)
        #expect(pending.isAnswered)
        let fetched = try node.begin(fetchRequest(from: 0), version: 12)
        #expect(try fetched.response?.only?.values == ["a"])
        #expect(fetched.response?.only?.highWatermark == 1)
        node.settle()
        #expect(try node.ask(fetchRequest(from: 0), version: 12).only?.values == ["a", "b"])
    }

    @Test func aFetchThatWaitsIsWokenByTheCommit() throws {
        let node = try node()
        let waiting = try node.begin(fetchRequest(from: 0, wait: 60_000), version: 12)
        node.settle()
        #expect(!waiting.isAnswered)
        _ = try node.begin(produceRequest(try batch(["a"])), version: 9)
        node.settleDiskExcluded()
        #expect(!waiting.isAnswered)
        node.settle()
        #expect(try waiting.response?.only?.values == ["a"])
    }

    @Test func aFetchThatWaitsInVainIsAnsweredEmptyWhenItsTimeIsOver() throws {
        let node = try node()
        let waiting = try node.begin(fetchRequest(from: 0, wait: 500), version: 12)
        node.pass(milliseconds: 499)
        #expect(!waiting.isAnswered)
        node.pass(milliseconds: 1)
        #expect(waiting.response?.only?.error == ErrorCode.none)
        #expect(try waiting.response?.only?.values == [])
    }

    @Test func aFetchWaitsForMinBytes() throws {
        let node = try node(with: [["a"]])
        let waiting = try node.begin(fetchRequest(from: 0, wait: 60_000, minBytes: 100), version: 12)
        node.settle()
        #expect(!waiting.isAnswered)
        _ = try node.ask(produceRequest(try batch(["b"])), version: 9)
        #expect(try waiting.response?.only?.values == ["a", "b"])
    }

    @Test func theFirstBatchComesWholeEvenIfItIsLargerThanAsked() throws {
        let node = try node(with: [[String(repeating: "x", count: 5000)], ["b"]])
        let fetched = try node.ask(fetchRequest(from: 0, maxBytes: 100), version: 12)
        #expect(try fetched.only?.values.map(\.count) == [5000])
    }

    @Test func aFetchFromTheMiddleOfABatchGetsTheWholeBatch() throws {
        let node = try node(with: [["a", "b", "c"], ["d"]])
        #expect(try node.ask(fetchRequest(from: 1), version: 12).only?.values == ["a", "b", "c", "d"])
        #expect(try node.ask(fetchRequest(from: 3), version: 12).only?.values == ["d"])
    }

    @Test(arguments: [-1, 3, 1 << 40] as [Int64])
    func anOffsetOutsideTheLogIsOutOfRange(offset: Int64) throws {
        let node = try node(with: [["a", "b"]])
        #expect(try node.ask(fetchRequest(from: offset), version: 12).only?.error == .offsetOutOfRange)
    }

    @Test func aFetchAtTheEndIsEmptyAndNoError() throws {
        let node = try node(with: [["a", "b"]])
        let fetched = try node.ask(fetchRequest(from: 2), version: 12)
        #expect(fetched.only?.error == ErrorCode.none)
        #expect(try fetched.only?.values == [])
    }

    @Test func anotherLeaderEpochIsFencedOrUnknown() throws {
        let node = try node(with: [["a"]])
        #expect(try node.ask(fetchRequest(from: 0, epoch: 0), version: 12).only?.error == .fencedLeaderEpoch)
        #expect(try node.ask(fetchRequest(from: 0, epoch: 1), version: 12).only?.error == ErrorCode.none)
        #expect(try node.ask(fetchRequest(from: 0, epoch: 9), version: 12).only?.error == .unknownLeaderEpoch)
    }

    @Test func unknownTopicsAndPartitionsAreSaid() throws {
        let node = try node()
        #expect(try node.ask(fetchRequest("missing", from: 0), version: 12).only?.error == .unknownTopicOrPartition)
        #expect(
            try node.ask(fetchRequest(partition: 7, from: 0), version: 12).only?.error == .unknownTopicOrPartition)
        #expect(
            try node.ask(fetchRequest(id: TopicID(high: 5, low: 5), from: 0), version: 13).only?.error
                == .unknownTopicID)
    }

    // CVE-2018-1288: a client that calls itself a replica.
    @Test func aClientThatCallsItselfAReplicaIsRefused() throws {
        let node = try node(with: [["a"]])
        var request = fetchRequest(from: 0)
        request.replicaID = 1
        #expect(try node.ask(request, version: 12).error == .clusterAuthorizationFailed)
    }

    // H16: since version 15 a replica says who it is in another place.
    @Test(arguments: [11, 14, 15, 17] as [Int16])
    func aClientThatCallsItselfAReplicaIsRefusedInEveryVersion(version: Int16) throws {
        let node = try node(with: [["a"]])
        var request = fetchRequest(from: 0)
        request.replicaID = 1
        var state = FetchRequest.ReplicaState()
        state.replicaID = 1
        request.replicaState = state
        #expect(try node.ask(request, version: version).error == .clusterAuthorizationFailed)
    }

    @Test func aFetchForNothingIsAnsweredAtOnce() throws {
        let node = try node()
        var request = fetchRequest(from: 0, wait: 60_000)
        request.topics = []
        #expect(try node.ask(request, version: 12).topics.isEmpty)
    }

    @Test func anUnknownTopicDoesNotCutTheOthersWaitShort() throws {
        let node = try node()
        var request = fetchRequest(from: 0, wait: 500)
        request.topics += fetchRequest("missing", from: 0).topics
        let waiting = try node.begin(request, version: 12)
        node.pass(milliseconds: 499)
        #expect(!waiting.isAnswered)
        node.pass(milliseconds: 1)
        #expect(
            waiting.response?.topics.map { $0.partitions.map(\.error) } == [[.none], [.unknownTopicOrPartition]])
    }

    // H15.
    @Test func wishesBeyondAllMeasureAreCutToTheNodesOwnLimits() throws {
        var settings = NodeSettings()
        settings.fetches.bytesMax = .kibibytes(1)
        settings.fetches.waitMax = .milliseconds(200)
        let node = try OneNode(settings: settings)
        try node.topic("events")
        let value = String(repeating: "x", count: 300)
        for _ in 0..<10 { _ = try node.ask(produceRequest(try batch([value])), version: 9) }
        let large = fetchRequest(from: 0, wait: .max, minBytes: 1, maxBytes: .max)
        #expect(try node.ask(large, version: 12).only?.values.count == 2)
        let waiting = try node.begin(fetchRequest(from: 10, wait: .max, minBytes: .max, maxBytes: .max), version: 12)
        node.pass(milliseconds: 200)
        #expect(waiting.isAnswered)
    }

    /// T-K26 (KAFKA c6d2778a8d1).
    // KIP-320: what the reader has read before parts from this log.
    @Test func aReaderWhosePastIsOfAnotherEpochIsToldWhereItParts() throws {
        let node = try node(with: [["a", "b"]])
        func ask(_ epoch: Int32, from offset: Int64) throws -> FetchResponse.Partition {
            var request = fetchRequest(from: offset)
            request.topics[0].partitions[0].lastFetchedEpoch = epoch
            return try #require(try node.ask(request, version: 12).only)
        }
        // Epoch 1 has written everything here.
        #expect(try ask(1, from: 1).values == ["a", "b"])
        let ahead = try ask(1, from: 5)
        #expect(ahead.error == ErrorCode.none)
        #expect(ahead.divergingEpoch?.epoch == 1)
        #expect(ahead.divergingEpoch?.endOffset == 2)
        #expect(try ahead.values == [])
        let past = try ask(0, from: 1)
        #expect(past.divergingEpoch?.epoch == 0)
        #expect(past.divergingEpoch?.endOffset == 0)
        // Where nothing can be told, or before the log's start, the reader must begin anew (T-K26).
        #expect(try ask(7, from: 1).error == .offsetOutOfRange)
        #expect(try ask(1, from: -1).error == .offsetOutOfRange)
    }

    /// T-K22 (redpanda bd73f10597).
    // T-K22: an offset that is not committed yet is no reason to begin anew.
    @Test func anOffsetBetweenHighWatermarkAndEndIsInRange() throws {
        let node = try node(with: [["a"]])
        _ = try node.begin(produceRequest(try batch(["b", "c"]), acks: 1), version: 9)
        let asked = try node.begin(fetchRequest(from: 2), version: 12)
        #expect(asked.response?.only?.error == ErrorCode.none)
        #expect(asked.response?.only?.highWatermark == 1)
        let beyond = try node.begin(fetchRequest(from: 4), version: 12)
        #expect(beyond.response?.only?.error == .offsetOutOfRange)
    }

    @Test func aDroppedPartitionEndsTheWait() throws {
        let node = try OneNode()
        let id = try node.topic("events")
        let waiting = try node.begin(fetchRequest(from: 0, wait: 60_000), version: 12)
        node.settle()
        node.shard.drop(PartitionID(topic: id, index: 0), in: "/nonexistent")
        node.settle()
        #expect(waiting.response?.only?.error == .notLeaderOrFollower)
    }
}
