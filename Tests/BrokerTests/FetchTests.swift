// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Replication
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

    @Test func sessionsAreNotKept() throws {
        let node = try node(with: [["a"]])
        var request = fetchRequest(from: 0)
        request.sessionEpoch = 0
        #expect(try node.ask(request, version: 12).sessionID == 0)
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
