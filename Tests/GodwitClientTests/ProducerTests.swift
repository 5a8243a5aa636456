// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import RecordBatches
import Synchronization
import Testing

@testable import GodwitClient

@Suite(.timeLimit(.minutes(1)))
struct ProducerTests {
    private func record(_ value: String, partition: Int32? = 0) -> ProducerRecord {
        ProducerRecord(
            topic: ScriptedCluster.topic, partition: partition, value: ByteBuffer(string: value), timestamp: 1)
    }

    @Test func aRecordIsStoredAndItsOffsetComesBack() async throws {
        let cluster = try await ScriptedCluster.start()
        let client = cluster.client()
        let producer = Producer(client)
        #expect(try await producer.send(record("a")).offset == 0)
        #expect(try await producer.send(record("b")).offset == 1)
        await client.close()
        await cluster.stop()
    }

    @Test func aHintOfTheNewLeaderIsFollowedWithoutAskingForMetadata() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { state in
            state.produce = { broker, _, _ in broker == 1 ? .redirect(to: 2, epoch: 1) : .store }
        }
        let client = cluster.client { $0.retryBackoff = .seconds(5) }
        let began = NIODeadline.now()
        #expect(try await Producer(client).send(record("a")).offset == 0)
        // Another leader is tried at once: the pause of five seconds is for the same leader only.
        #expect(NIODeadline.now() - began < .seconds(4))
        #expect(cluster.state.withLock { $0.stored } == [.init(broker: 2, partition: 0, values: ["a"])])
        await client.close()
        await cluster.stop()
    }

    @Test func aBrokenConnectionLeadsToTheNewLeader() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { state in
            state.produce = { broker, _, _ in broker == 1 ? .hangUp : .store }
        }
        let client = cluster.client()
        let producer = Producer(client)
        async let first = producer.send(record("a"))
        cluster.state.withLock { $0.leaders[0] = (2, 1) }
        #expect(try await first.offset == 0)
        #expect(cluster.state.withLock { $0.stored.map(\.broker) } == [2])
        await client.close()
        await cluster.stop()
    }

    @Test func theOrderOfAPartitionSurvivesFailures() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { state in
            state.produce = { _, _, attempt in attempt % 3 == 0 ? .store : .refuse(.notLeaderOrFollower) }
        }
        let client = cluster.client()
        var configuration = ProducerConfiguration()
        configuration.linger = .zero
        // Each record is a batch, and all of them wait behind the one that is refused.
        configuration.batchBytes = 1
        let producer = Producer(client, configuration)
        for number in 0..<50 { try producer.enqueue(record("\(number)")) }
        await producer.flush()
        let values = cluster.state.withLock { $0.stored.flatMap(\.values) }
        #expect(values == (0..<50).map(String.init))
        await client.close()
        await cluster.stop()
    }

    @Test func anAnswerThatGotLostMeansTheRecordIsSentAgain() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { state in
            state.produce = { _, _, attempt in attempt == 1 ? .storeAndHangUp : .store }
        }
        let client = cluster.client()
        #expect(try await Producer(client).send(record("a")).offset == 1)
        #expect(cluster.state.withLock { $0.stored.map(\.values) } == [["a"], ["a"]])
        await client.close()
        await cluster.stop()
    }

    @Test func whatTryingAgainCannotHelpAgainstFailsAtOnce() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { $0.produce = { _, _, _ in .refuse(.messageTooLarge) } }
        let client = cluster.client()
        await #expect(throws: ClientError.refused(.messageTooLarge, subject: "events-0", message: nil)) {
            try await Producer(client).send(record("a"))
        }
        #expect(cluster.state.withLock { $0.attempts } == 1)
        await client.close()
        await cluster.stop()
    }

    @Test func aPartitionThatDoesNotExistFailsAtOnce() async throws {
        let cluster = try await ScriptedCluster.start()
        let client = cluster.client()
        await #expect(throws: ClientError.invalid("topic 'events' has no partition 7")) {
            try await Producer(client).send(record("a", partition: 7))
        }
        await client.close()
        await cluster.stop()
    }

    @Test func recordsGatherInOneBatchWhileAnotherIsUnanswered() async throws {
        let cluster = try await ScriptedCluster.start()
        let client = cluster.client()
        var configuration = ProducerConfiguration()
        configuration.linger = .zero
        let producer = Producer(client, configuration)
        _ = try await producer.send(record("first"))
        cluster.state.withLock { $0.produce = { _, _, _ in .refuse(.notLeaderOrFollower) } }
        for number in 0..<20 {
            // Each in a turn of the loop of its own: without linger, a batch could leave in each.
            try producer.enqueue(record("\(number)"))
            try await client.eventLoop.submit {}.get()
        }
        cluster.state.withLock { $0.produce = { _, _, _ in .store } }
        await producer.flush()
        let sizes = cluster.state.withLock { $0.stored.map(\.values.count) }
        #expect(sizes.reduce(0, +) == 21)
        #expect(sizes.count <= 3)
        await client.close()
        await cluster.stop()
    }

    @Test func aFullBatchLeavesBeforeItsLinger() async throws {
        let cluster = try await ScriptedCluster.start()
        let client = cluster.client()
        var configuration = ProducerConfiguration()
        configuration.linger = .hours(1)
        configuration.batchBytes = 200
        let producer = Producer(client, configuration)
        let arrived = Mutex(0)
        let first = client.eventLoop.makePromise(of: Void.self)
        for _ in 0..<40 {
            try producer.enqueue(record("twenty bytes of text")) { _ in
                if arrived.withLock({ count in
                    count += 1
                    return count == 1
                }) {
                    first.succeed()
                }
            }
        }
        try await first.futureResult.get()
        await producer.flush()
        let sizes = cluster.state.withLock { $0.stored.map(\.values.count) }
        #expect(sizes.reduce(0, +) == 40)
        #expect(sizes.allSatisfy { $0 < 8 })
        await client.close()
        await cluster.stop()
    }

    @Test func aFullBufferRefusesAndTakesNothing() async throws {
        let cluster = try await ScriptedCluster.start()
        let client = cluster.client()
        var configuration = ProducerConfiguration()
        configuration.linger = .hours(1)
        configuration.bufferBytes = 100
        let producer = Producer(client, configuration)
        try producer.enqueue(record(String(repeating: "x", count: 200)))
        #expect(throws: ClientError.bufferFull) { try producer.enqueue(record("y")) }
        await producer.close()
        #expect(cluster.state.withLock { $0.stored.map(\.values.count) } == [1])
        #expect(throws: ClientError.closed) { try producer.enqueue(record("z")) }
        await client.close()
        await cluster.stop()
    }

    @Test func withoutAcknowledgementsThereIsNoOffset() async throws {
        let cluster = try await ScriptedCluster.start()
        let client = cluster.client()
        var configuration = ProducerConfiguration()
        configuration.acks = .none
        let receipt = try await Producer(client, configuration).send(record("a"))
        #expect(receipt.offset == nil)
        await client.close()
        await cluster.stop()
    }

    @Test func withoutTopicIdsTheLastVersionWithNamesIsSpoken() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { $0.topicID = .zero }
        let client = cluster.client()
        _ = try await Producer(client).send(record("a"))
        #expect(cluster.state.withLock { $0.versionsSeen[.produce] } == 12)
        await client.close()
        await cluster.stop()
    }

    @Test func aBrokerThatKnowsNoNewApiVersionsIsAskedInTheFirst() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { state in
            state.apiVersionsLimit = 2
            state.apis = [
                .init(key: .apiVersions, versions: 0...2), .init(key: .metadata, versions: 0...5),
                .init(key: .produce, versions: 0...7),
            ]
        }
        let client = cluster.client()
        #expect(try await Producer(client).send(record("a")).offset == 0)
        #expect(cluster.state.withLock { $0.versionsSeen[.produce] } == 7)
        #expect(cluster.state.withLock { $0.versionsSeen[.metadata] } == 5)
        await client.close()
        await cluster.stop()
    }

    @Test func nobodyListeningIsSaidWithEachAddress() async throws {
        let port = try SilentPort()
        let client = KafkaClient(
            ClientConfiguration(bootstrap: [BrokerAddress(host: "127.0.0.1", port: port.number)]))
        await #expect(throws: ClientError.noBroker(tried: ["127.0.0.1:\(port.number): nobody listens"])) {
            try await client.admin.listTopics()
        }
        await client.close()
        port.release()
    }

    @Test func aPreparedBatchMayBeSentManyTimes() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { state in
            state.produce = { _, _, attempt in attempt == 2 ? .hangUp : .store }
        }
        let client = cluster.client()
        var builder = BatchBuilder()
        builder.append(key: nil, value: ByteBuffer(string: "v"), timestamp: Timestamp(milliseconds: 1))
        let batch = PreparedBatch(try builder.finish())
        let sender = BatchSender(client)
        for expected in 0..<3 {
            let promise = client.eventLoop.makePromise(of: BatchReceipt.self)
            sender.send(batch, to: TopicPartition(topic: ScriptedCluster.topic, partition: 0)) { result in
                promise.completeWith(result.mapError { $0 })
            }
            #expect(try await promise.futureResult.get().baseOffset == Int64(expected))
        }
        await client.close()
        await cluster.stop()
    }
}

struct PartitionerTests {
    /// Values of Kafka's own Java client.
    @Test(arguments: [
        ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
    ])
    func keysHashAsInEveryOtherClient(key: String, hash: Int32) {
        #expect(Int32(bitPattern: murmur2(ByteBuffer(string: key))) == hash)
    }
}
