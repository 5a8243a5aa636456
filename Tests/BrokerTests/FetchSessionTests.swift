// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

/// A client with a fetch session on topic "events" (KIP-227).
private struct SessionClient {
    let node: OneNode
    var id: Int32 = 0
    var epoch: Int32 = 0

    /// A request of this session for partitions and offsets, by default none.
    func request(_ wanted: [Int32: Int64] = [:], wait: Int32 = 0, maxBytes: Int32 = 1 << 20) -> FetchRequest {
        var request = fetchRequest(from: 0, wait: wait, maxBytes: maxBytes)
        request.sessionID = id
        request.sessionEpoch = epoch
        request.topics[0].partitions = wanted.keys.sorted().map { index in
            var partition = FetchRequest.Partition()
            partition.index = index
            partition.fetchOffset = wanted[index] ?? 0
            partition.maxBytes = 1 << 20
            return partition
        }
        if wanted.isEmpty { request.topics = [] }
        return request
    }

    /// Asks, and goes on to the next epoch as a client does.
    mutating func fetch(_ wanted: [Int32: Int64] = [:], maxBytes: Int32 = 1 << 20) throws -> FetchResponse {
        let answer = try node.ask(request(wanted, maxBytes: maxBytes), version: 12)
        if answer.error == .none { (id, epoch) = (answer.sessionID, epoch + 1) }
        return answer
    }

    func produce(_ values: [String], to partition: Int32) throws {
        _ = try node.ask(produceRequest(try batch(values), partition: partition), version: 9)
    }
}

extension FetchResponse {
    fileprivate var indexes: [Int32] { topics.flatMap { $0.partitions.map(\.index) } }
}

@Suite struct FetchSessionTests {
    private func client(partitions: Int = 4, settings: NodeSettings = NodeSettings()) throws -> SessionClient {
        let node = try OneNode(settings: settings)
        try node.topic("events", partitions: partitions)
        return SessionClient(node: node)
    }

    @Test func aSessionIsOpenedByAWholeRequestAndTellsOfChangesOnly() throws {
        var client = try client()
        let opened = try client.fetch([0: 0, 1: 0, 2: 0])
        #expect(opened.sessionID > 0)
        #expect(opened.indexes == [0, 1, 2])
        #expect(try client.fetch().indexes.isEmpty)
        try client.produce(["a"], to: 1)
        let news = try client.fetch()
        #expect(news.indexes == [1])
        #expect(try news.only?.values == ["a"])
        // The client names only where it wants to go on.
        #expect(try client.fetch([1: 1]).indexes.isEmpty)
        try client.produce(["b"], to: 1)
        #expect(try client.fetch().only?.values == ["b"])
    }

    @Test(arguments: [7, 12, 13, 17] as [Int16])
    func everyVersionWithSessionsKeepsThem(version: Int16) throws {
        let node = try OneNode()
        let id = try node.topic("events")
        var request = fetchRequest(id: id, from: 0)
        request.sessionEpoch = 0
        let opened = try node.ask(request, version: version)
        #expect(opened.sessionID > 0)
        request.sessionID = opened.sessionID
        request.sessionEpoch = 1
        request.topics = []
        #expect(try node.ask(request, version: version).topics.isEmpty)
        _ = try node.ask(produceRequest(try batch(["a"])), version: 9)
        request.sessionEpoch = 2
        #expect(try node.ask(request, version: version).only?.values == ["a"])
    }

    @Test func anOldVersionHasNoSession() throws {
        var request = try client().request([0: 0])
        request.sessionEpoch = 0
        #expect(try client().node.ask(request, version: 6).sessionID == 0)
    }

    @Test func partitionsAreAddedAndForgotten() throws {
        var client = try client()
        _ = try client.fetch([0: 0])
        #expect(try client.fetch([3: 0]).indexes == [3])
        var request = client.request()
        var forgotten = FetchRequest.ForgottenTopic()
        forgotten.name = "events"
        forgotten.partitions = [0]
        request.forgottenTopics = [forgotten]
        #expect(try client.node.ask(request, version: 12).indexes.isEmpty)
        client.epoch += 1
        try client.produce(["a"], to: 0)
        try client.produce(["b"], to: 3)
        #expect(try client.fetch().indexes == [3])
    }

    @Test func aSessionWithoutPartitionsIsOver() throws {
        var client = try client()
        _ = try client.fetch([0: 0])
        var request = client.request()
        var forgotten = FetchRequest.ForgottenTopic()
        forgotten.name = "events"
        forgotten.partitions = [0]
        request.forgottenTopics = [forgotten]
        #expect(try client.node.ask(request, version: 12).sessionID == 0)
        client.epoch += 1
        #expect(try client.fetch().error == .fetchSessionIDNotFound)
    }

    @Test func aHighWatermarkThatMovedIsTold() throws {
        var client = try client()
        _ = try client.fetch([0: 1_000])
        #expect(try client.fetch().only?.error == .offsetOutOfRange)
        // Errors are told again until they are over.
        #expect(try client.fetch().only?.error == .offsetOutOfRange)
        #expect(try client.fetch([0: 0]).only?.error == ErrorCode.none)
        #expect(try client.fetch().indexes.isEmpty)
    }

    @Test func whatFollowsADivergenceIsToldThoughTheHighWatermarkIsTheSame() throws {
        var client = try client()
        try client.produce(["a"], to: 0)
        var request = client.request([0: 5])
        request.topics[0].partitions[0].lastFetchedEpoch = 1
        let opened = try client.node.ask(request, version: 12)
        #expect(opened.only?.divergingEpoch?.endOffset == 1)
        (client.id, client.epoch) = (opened.sessionID, 1)
        #expect(try client.fetch().only?.divergingEpoch?.endOffset == 1)
        #expect(try client.fetch([0: 1]).only?.highWatermark == 1)
        #expect(try client.fetch().indexes.isEmpty)
    }

    @Test func anotherEpochIsRefused() throws {
        var client = try client()
        _ = try client.fetch([0: 0])
        for wrong in [2, 5, -2, .min, .max] as [Int32] {
            var request = client.request()
            request.sessionEpoch = wrong
            let answer = try client.node.ask(request, version: 12)
            #expect(answer.error == .invalidFetchSessionEpoch)
            #expect(answer.sessionID == 0)
        }
        #expect(try client.fetch().error == ErrorCode.none)
        // A request that comes twice.
        client.epoch -= 1
        #expect(try client.fetch().error == .invalidFetchSessionEpoch)
    }

    @Test func aSessionThatIsNotKnownIsNotFound() throws {
        var client = try client()
        client.id = 77
        client.epoch = 1
        #expect(try client.fetch().error == .fetchSessionIDNotFound)
        client.epoch = -3
        #expect(try client.fetch().error == .fetchSessionIDNotFound)
    }

    @Test(arguments: [0, -1] as [Int32])
    func aWholeRequestEndsTheSessionThatItNames(epoch: Int32) throws {
        var client = try client()
        _ = try client.fetch([0: 0])
        let old = client
        client.epoch = epoch
        let answer = try client.fetch([0: 0])
        #expect(answer.error == ErrorCode.none)
        #expect((answer.sessionID == 0) == (epoch == -1))
        #expect(answer.sessionID != old.id)
        #expect(try old.node.ask(old.request(), version: 12).error == .fetchSessionIDNotFound)
    }

    @Test func aSessionDoesNotChangeHowTopicsAreNamed() throws {
        var client = try client()
        _ = try client.fetch([0: 0])
        #expect(try client.node.ask(client.request(), version: 13).error == .fetchSessionTopicIDError)
    }

    @Test func anUnknownTopicIdStaysInTheSessionUntilItIsKnown() throws {
        let node = try OneNode()
        let known = try node.topic("first")
        // What the next topic will be called.
        let coming = TopicID(high: known.high, low: known.low + 1)
        var request = fetchRequest(id: coming, from: 0)
        request.sessionEpoch = 0
        let opened = try node.ask(request, version: 13)
        #expect(opened.only?.error == .unknownTopicID)
        request.sessionID = opened.sessionID
        request.topics = []
        for epoch in 1...2 as ClosedRange<Int32> {
            request.sessionEpoch = epoch
            #expect(try node.ask(request, version: 13).only?.error == .unknownTopicID)
        }
        #expect(try node.topic("second") == coming)
        request.sessionEpoch = 3
        #expect(try node.ask(request, version: 13).only?.error == ErrorCode.none)
    }

    // KIP-74: whoever gave records goes to the end.
    @Test func noPartitionStarvesBehindOthers() throws {
        var client = try client()
        for partition in 0..<4 as Range<Int32> {
            for _ in 0..<4 { try client.produce([String(repeating: "x", count: 500)], to: partition) }
        }
        var next: [Int32: Int64] = [0: 0, 1: 0, 2: 0, 3: 0]
        var order: [Int32] = []
        var changed = next
        for _ in 0..<8 {
            let answer = try client.fetch(changed, maxBytes: 700)
            changed = [:]
            for partition in answer.topics.flatMap(\.partitions) {
                guard try partition.values.count > 0 else { continue }
                order.append(partition.index)
                next[partition.index, default: 0] += 1
                changed[partition.index] = next[partition.index]
            }
        }
        #expect(order == [0, 1, 2, 3, 0, 1, 2, 3])
    }

    @Test func aRequestGivenUpForAnotherIsAnsweredWithItsEpochsError() throws {
        var client = try client()
        _ = try client.fetch([0: 0])
        let first = try client.node.begin(client.request(wait: 500), version: 12)
        client.epoch += 1
        let second = try client.node.begin(client.request(wait: 500), version: 12)
        client.node.pass(milliseconds: 500)
        #expect(first.response?.error == .invalidFetchSessionEpoch)
        #expect(second.response?.error == ErrorCode.none)
    }

    // H15: sessions without end.
    @Test func sessionsBeyondTheirNumberAreNotMade() throws {
        var settings = NodeSettings()
        settings.fetches.sessionSlots = 2
        let node = try OneNode(settings: settings)
        try node.topic("events", partitions: 4)
        var small = SessionClient(node: node)
        var other = SessionClient(node: node)
        _ = try small.fetch([0: 0])
        _ = try other.fetch([0: 0, 1: 0])
        for _ in 0..<100 {
            let whole = try node.ask(SessionClient(node: node).request([0: 0, 1: 0, 2: 0]), version: 12)
            #expect(whole.error == ErrorCode.none)
            #expect(whole.sessionID == 0)
            #expect(whole.indexes == [0, 1, 2])
        }
        // After two minutes a larger one takes the place of the smallest, though both are in use.
        for _ in 0..<3 {
            node.pass(milliseconds: 60_000)
            #expect(try small.fetch().error == ErrorCode.none)
            #expect(try other.fetch().error == ErrorCode.none)
        }
        var third = SessionClient(node: node)
        #expect(try third.fetch([0: 0]).sessionID == 0)
        third = SessionClient(node: node)
        #expect(try third.fetch([0: 0, 1: 0, 2: 0]).sessionID > 0)
        #expect(try small.fetch().error == .fetchSessionIDNotFound)
        #expect(try other.fetch().error == ErrorCode.none)
    }

    @Test func aSessionUnusedForTwoMinutesGivesWay() throws {
        var settings = NodeSettings()
        settings.fetches.sessionSlots = 1
        let node = try OneNode(settings: settings)
        try node.topic("events", partitions: 4)
        var first = SessionClient(node: node)
        _ = try first.fetch([0: 0, 1: 0])
        node.pass(milliseconds: 120_001)
        var second = SessionClient(node: node)
        #expect(try second.fetch([0: 0]).sessionID > 0)
        #expect(try first.fetch().error == .fetchSessionIDNotFound)
    }

    @Test func noSlotsMeanNoSessions() throws {
        var settings = NodeSettings()
        settings.fetches.sessionSlots = 0
        var client = try client(settings: settings)
        #expect(try client.fetch([0: 0]).sessionID == 0)
    }

    // H15: partitions without end.
    @Test func aSessionThatWouldTakeTooMuchMemoryIsNotMade() throws {
        var client = try client(partitions: 1)
        var request = client.request([0: 0])
        var partition = FetchRequest.Partition()
        request.topics[0].partitions = (0..<360_000 as Range<Int32>).map { index in
            partition.index = index
            return partition
        }
        request.sessionEpoch = 0
        let answer = try client.node.ask(request, version: 12)
        #expect(answer.sessionID == 0)
        #expect(answer.topics.first?.partitions.count == 360_000)
        // Nor does one become so large later.
        _ = try client.fetch([0: 0])
        request.sessionID = client.id
        request.sessionEpoch = client.epoch
        #expect(try client.node.ask(request, version: 12).error == .fetchSessionIDNotFound)
        #expect(try client.fetch().error == .fetchSessionIDNotFound)
    }
}
