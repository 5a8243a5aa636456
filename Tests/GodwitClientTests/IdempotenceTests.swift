// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import RecordBatches
import Synchronization
import Testing

@testable import GodwitClient

@Suite(.timeLimit(.minutes(1)))
struct IdempotenceTests {
    private func record(_ value: String, partition: Int32 = 0) -> ProducerRecord {
        ProducerRecord(
            topic: ScriptedCluster.topic, partition: partition, value: ByteBuffer(string: value), timestamp: 1)
    }

    private func stored(_ cluster: ScriptedCluster, _ partition: Int32 = 0) -> [String] {
        cluster.state.withLock { $0.stored.filter { $0.partition == partition }.flatMap(\.values) }
    }

    /// Each record is a batch.
    private func producer(_ client: KafkaClient, inFlight: Int = 1) -> Producer {
        var configuration = ProducerConfiguration()
        configuration.linger = .zero
        configuration.batchBytes = 1
        configuration.inFlightPerPartition = inFlight
        return Producer(client, configuration)
    }

    @Test func aRetryAfterALostAnswerIsStoredOnceAndTellsTheFirstOffset() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.rememberProducers()
        cluster.state.withLock { state in
            state.produce = { _, _, attempt in attempt == 2 ? .storeAndHangUp : .store }
        }
        let client = cluster.client()
        let producer = producer(client)
        #expect(try await producer.send(record("a")).offset == 0)
        #expect(try await producer.send(record("b")).offset == 1)
        #expect(try await producer.send(record("c")).offset == 2)
        #expect(stored(cluster) == ["a", "b", "c"])
        #expect(cluster.state.withLock { $0.stamps.map(\.baseSequence) } == [0, 1, 1, 2])
        await client.close()
        await cluster.stop()
    }

    @Test(arguments: [1, 5], 0..<6 as Range<UInt64>)
    func throughAllKindsOfFailuresEverythingIsStoredOnceAndInOrder(inFlight: Int, seed: UInt64) async throws {
        let cluster = try await ScriptedCluster.start(partitions: 2)
        cluster.rememberProducers()
        let draw = Mutex(seed &* 0x9e37_79b9 &+ 1)
        cluster.state.withLock { state in
            state.produce = { _, _, _ in
                let value = draw.withLock { word in
                    word = word &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return word >> 33
                }
                return switch value % 10 {
                case 0: .hangUp
                case 1: .storeAndHangUp
                case 2: .refuse(.notLeaderOrFollower)
                case 3: .refuse(.notEnoughReplicas)
                default: .store
                }
            }
        }
        let client = cluster.client()
        let producer = producer(client, inFlight: inFlight)
        for number in 0..<100 { try producer.enqueue(record("\(number)", partition: Int32(number % 2))) }
        await producer.flush()
        #expect(stored(cluster, 0) == stride(from: 0, to: 100, by: 2).map(String.init))
        #expect(stored(cluster, 1) == stride(from: 1, to: 100, by: 2).map(String.init))
        await client.close()
        await cluster.stop()
    }

    @Test(arguments: [1, 5])
    func aBrokerThatForgotTheProducerIsMetWithANewEpoch(inFlight: Int) async throws {
        let cluster = try await ScriptedCluster.start(partitions: 2)
        cluster.rememberProducers()
        let client = cluster.client()
        let producer = producer(client, inFlight: inFlight)
        for number in 0..<10 { try producer.enqueue(record("\(number)")) }
        await producer.flush()
        _ = try await producer.send(record("x", partition: 1))
        cluster.state.withLock { $0.producers[0] = nil }
        for number in 10..<20 { try producer.enqueue(record("\(number)")) }
        await producer.flush()
        #expect(stored(cluster) == (0..<20).map(String.init))
        let last = try #require(cluster.state.withLock { $0.stamps.last })
        #expect(last.id == 1000 && last.epoch == 1)
        // The other partition goes over to the new epoch too, from 0 on.
        _ = try await producer.send(record("y", partition: 1))
        let other = try #require(cluster.state.withLock { $0.stamps.last })
        #expect(other == ProducerStamp(id: 1000, epoch: 1, baseSequence: 0))
        await client.close()
        await cluster.stop()
    }

    @Test(arguments: [ErrorCode.unknownProducerID, .invalidProducerEpoch])
    func anIdentityThatIsNotTakenIsReplaced(error: ErrorCode) async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.rememberProducers()
        cluster.state.withLock { state in
            state.produce = { _, _, attempt in attempt == 2 ? .refuse(error) : .store }
        }
        let client = cluster.client()
        let producer = producer(client)
        for number in 0..<4 { try producer.enqueue(record("\(number)")) }
        await producer.flush()
        #expect(stored(cluster) == ["0", "1", "2", "3"])
        let last = try #require(cluster.state.withLock { $0.stamps.last })
        let fresh = error == .unknownProducerID ? (1000 as Int64, 1 as Int16) : (1001, 0)
        #expect((last.id, last.epoch, last.baseSequence) == (fresh.0, fresh.1, 2))
        await client.close()
        await cluster.stop()
    }

    @Test func aBatchThatIsRefusedForGoodLeavesNoGap() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.rememberProducers()
        cluster.state.withLock { state in
            state.produce = { _, _, attempt in attempt == 2 ? .refuse(.messageTooLarge) : .store }
        }
        let client = cluster.client()
        let producer = producer(client, inFlight: 5)
        let failures = Mutex(0)
        for number in 0..<6 {
            try producer.enqueue(record("\(number)")) { result in
                if case .failure = result { failures.withLock { $0 += 1 } }
            }
        }
        await producer.flush()
        #expect(failures.withLock { $0 } == 1)
        #expect(stored(cluster) == ["0", "2", "3", "4", "5"])
        await client.close()
        await cluster.stop()
    }

    @Test func afterTheLastEpochComesANewID() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.rememberProducers(epoch: .max)
        let client = cluster.client()
        let producer = producer(client)
        _ = try await producer.send(record("a"))
        cluster.state.withLock { $0.producers = [:] }
        _ = try await producer.send(record("b"))
        _ = try await producer.send(record("c"))
        #expect(stored(cluster) == ["a", "b", "c"])
        #expect(cluster.state.withLock { $0.stamps.last } == .init(id: 1001, epoch: .max, baseSequence: 1))
        await client.close()
        await cluster.stop()
    }

    @Test func aDuplicateOlderThanTheBrokersMemoryCountsAsStored() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.rememberProducers()
        cluster.state.withLock { state in
            state.produce = { _, _, _ in .refuse(.duplicateSequenceNumber) }
        }
        let client = cluster.client()
        #expect(try await producer(client).send(record("a")).offset == nil)
        await client.close()
        await cluster.stop()
    }

    @Test(arguments: [true, false])
    func withoutIdempotenceBatchesGoWithoutNumbers(isAsked: Bool) async throws {
        let cluster = try await ScriptedCluster.start()
        if isAsked { cluster.rememberProducers() }
        cluster.state.withLock { $0.remembersProducers = false }
        let client = cluster.client()
        var configuration = ProducerConfiguration()
        // Where brokers have no ids, none are needed.
        configuration.isIdempotent = !isAsked
        _ = try await Producer(client, configuration).send(record("a"))
        let head = try #require(try cluster.state.withLock { try $0.logs[0].map { try EntryHead.parse($0) } })
        #expect(head.producerID == -1)
        await client.close()
        await cluster.stop()
    }

    @Test func numbersGoOnFromZeroAfterTheLast() {
        #expect(PartitionSequence.after(5, 3) == 8)
        #expect(PartitionSequence.after(.max, 1) == 0)
        #expect(PartitionSequence.after(.max - 1, 5) == 3)
    }

    @Test func aStampPutInLaterIsTheSameAsOnePutInAtOnce() throws {
        func builder() -> BatchBuilder {
            var builder = BatchBuilder()
            for value in ["a", "b"] {
                builder.append(key: nil, value: ByteBuffer(string: value), timestamp: .init(milliseconds: 1))
            }
            return builder
        }
        let stamp = ProducerStamp(id: 1 << 40, epoch: 7, baseSequence: 99)
        var (first, second) = (builder(), builder())
        var late = try second.finish()
        stamp.put(into: &late)
        #expect(try first.finish(producer: stamp) == late)
    }
}
