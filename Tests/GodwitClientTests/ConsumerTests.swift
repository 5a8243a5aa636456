// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import RecordBatches
import Synchronization
import Testing

@testable import GodwitClient

@Suite(.timeLimit(.minutes(1)))
struct ConsumerTests {
    private let place = TopicPartition(topic: ScriptedCluster.topic, partition: 0)

    /// A cluster with one batch for each of `batches`.
    private func filled(_ batches: [[String]]) async throws -> (ScriptedCluster, KafkaClient) {
        let cluster = try await ScriptedCluster.start()
        let client = cluster.client()
        let sender = BatchSender(client)
        for values in batches {
            var builder = BatchBuilder()
            for value in values {
                builder.append(key: nil, value: ByteBuffer(string: value), timestamp: Timestamp(milliseconds: 1))
            }
            let promise = client.eventLoop.makePromise(of: BatchReceipt.self)
            sender.send(PreparedBatch(try builder.finish()), to: place) { promise.completeWith($0.mapError { $0 }) }
            _ = try await promise.futureResult.get()
        }
        return (cluster, client)
    }

    private func values(_ consumer: Consumer) async throws -> [String] {
        var values: [String] = []
        while let event = try await consumer.next() {
            switch event {
            case .end: return values
            case .records(let chunk):
                try chunk.forEachRecord { values.append(String(buffer: $0.value ?? ByteBuffer())) }
            }
        }
        return values
    }

    @Test func everythingComesInOrderFromTheBeginning() async throws {
        let (cluster, client) = try await filled([["a", "b"], ["c"]])
        let consumer = Consumer(client)
        consumer.assign([(place, .beginning)])
        #expect(try await values(consumer) == ["a", "b", "c"])
        consumer.close()
        await client.close()
        await cluster.stop()
    }

    @Test func readingFromTheMiddleOfABatchLeavesOutWhatComesBefore() async throws {
        let (cluster, client) = try await filled([["a", "b"], ["c"]])
        let consumer = Consumer(client)
        consumer.assign([(place, .offset(1))])
        #expect(try await values(consumer) == ["b", "c"])
        consumer.close()
        await client.close()
        await cluster.stop()
    }

    @Test(arguments: [1, 11, 12, 17, 60, 61, 70])
    func aBatchThatIsCutOffAtTheEndIsLeftForTheNextFetch(length: Int) async throws {
        let (cluster, client) = try await filled([["a", "b"]])
        cluster.state.withLock { state in
            guard let log = state.logs[0] else { return }
            state.fetchTail = log.getSlice(at: log.readerIndex, length: length) ?? ByteBuffer()
        }
        let consumer = Consumer(client)
        consumer.assign([(place, .beginning)])
        #expect(try await values(consumer) == ["a", "b"])
        consumer.close()
        await client.close()
        await cluster.stop()
    }

    @Test func anOffsetThatRetentionHasTakenGoesOnAtTheBeginning() async throws {
        let (cluster, client) = try await filled([["a", "b"], ["c"]])
        cluster.state.withLock { $0.logStart = 2 }
        let consumer = Consumer(client)
        consumer.assign([(place, .offset(0))])
        #expect(try await values(consumer) == ["c"])
        consumer.close()
        await client.close()
        await cluster.stop()
    }

    @Test func anOffsetOutOfRangeIsAnErrorWhenItIsAskedToBe() async throws {
        let (cluster, client) = try await filled([["a"]])
        var configuration = ConsumerConfiguration()
        configuration.resetsOutOfRange = false
        let consumer = Consumer(client, configuration)
        consumer.assign([(place, .offset(9))])
        await #expect(throws: ClientError.refused(.offsetOutOfRange, subject: "events-0", message: nil)) {
            try await consumer.next()
        }
        await client.close()
        await cluster.stop()
    }

    @Test func aDamagedBatchIsNotHandedOut() async throws {
        let (cluster, client) = try await filled([["a", "b"]])
        cluster.state.withLock { state in
            guard var log = state.logs[0] else { return }
            log.setInteger(UInt8(0xff), at: log.writerIndex - 2)
            state.logs[0] = log
        }
        let consumer = Consumer(client)
        consumer.assign([(place, .beginning)])
        await #expect(throws: (any Error).self) { _ = try await values(consumer) }
        consumer.close()
        await client.close()
        await cluster.stop()
    }

    // MARK: Offset search

    @Test func aSearchGoesOnWhenTheLeaderHasMoved() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { state in
            state.listOffsets = { attempt, _ in attempt == 1 ? (.notLeaderOrFollower, -1) : (.none, 42) }
        }
        let client = cluster.client()
        #expect(try await client.admin.offsets([place], .latest) == [place: 42])
        await client.close()
        await cluster.stop()
    }

    @Test func aTimeAfterTheLastRecordIsTheEnd() async throws {
        let cluster = try await ScriptedCluster.start()
        cluster.state.withLock { state in
            state.listOffsets = { _, timestamp in timestamp >= 0 ? (.none, -1) : (.none, 7) }
        }
        let client = cluster.client()
        #expect(try await client.admin.offsets([place], .timestamp(99)) == [place: 7])
        await client.close()
        await cluster.stop()
    }

    @Test func aSearchInAPartitionThatDoesNotExistFailsAtOnce() async throws {
        let cluster = try await ScriptedCluster.start()
        let client = cluster.client()
        let missing = TopicPartition(topic: ScriptedCluster.topic, partition: 3)
        await #expect(throws: ClientError.invalid("topic 'events' has no partition 3")) {
            try await client.admin.offsets([missing], .latest)
        }
        await client.close()
        await cluster.stop()
    }
}
