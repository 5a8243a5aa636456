// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import NIOCore
import RecordBatches
import Replication
import Testing

/// A batch of an idempotent producer, each record with a text of its own.
private func batch(
    by producer: Int64 = 5, epoch: Int16 = 0, sequence: Int32, records: Int = 1
) throws -> ByteBuffer {
    var builder = BatchBuilder()
    for number in 0..<records {
        builder.append(
            key: nil, value: ByteBuffer(string: "\(sequence + Int32(number))"),
            timestamp: Timestamp(milliseconds: 1_700_000_000_000))
    }
    return try builder.finish(producer: ProducerStamp(id: producer, epoch: epoch, baseSequence: sequence))
}

/// Idempotent producers as clients meet them.
@Suite struct IdempotenceTests {
    private func started() throws -> OneNode {
        let node = try OneNode()
        try node.topic("events")
        return node
    }

    private func produce(
        _ node: OneNode, epoch: Int16 = 0, sequence: Int32, records: Int = 1, acks: Int16 = -1
    ) throws -> ProduceResponse.Partition? {
        try node.ask(
            produceRequest(try batch(epoch: epoch, sequence: sequence, records: records), acks: acks), version: 9
        ).only
    }

    /// The log index and the offset differ by the leader's marker here (T-K2, redpanda#5356: the retry was answered
    /// with the former).
    @Test(arguments: [-1, 1] as [Int16])
    func aRetryIsStoredOnceAndGetsTheFirstOffset(acks: Int16) throws {
        let node = try started()
        #expect(try produce(node, sequence: 0, records: 2, acks: acks)?.baseOffset == 0)
        #expect(try produce(node, sequence: 2, records: 3, acks: acks)?.baseOffset == 2)
        let again = try produce(node, sequence: 0, records: 2, acks: acks)
        #expect(again?.error == ErrorCode.none && again?.baseOffset == 0)
        #expect(try produce(node, sequence: 2, records: 3, acks: acks)?.baseOffset == 2)
        #expect(try node.ask(fetchRequest(from: 0), version: 12).only?.values == ["0", "1", "2", "3", "4"])
    }

    @Test func aRetryWithoutAcksIsStoredOnce() throws {
        let node = try started()
        for _ in 0..<2 {
            let asked = try node.begin(produceRequest(try batch(sequence: 0), acks: 0), version: 9)
            node.settle()
            #expect(asked.gotNothing)
        }
        #expect(try node.ask(fetchRequest(from: 0), version: 12).only?.values == ["0"])
    }

    @Test func aRetryOfWhatIsNotCommittedWaitsForItsOriginal() throws {
        let node = try started()
        let first = try node.begin(produceRequest(try batch(sequence: 0, records: 2)), version: 9)
        let second = try node.begin(produceRequest(try batch(sequence: 2)), version: 9)
        let other = try node.begin(produceRequest(try batch(by: 6, sequence: 0)), version: 9)
        let retry = try node.begin(produceRequest(try batch(sequence: 0, records: 2)), version: 9)
        let hasty = try node.begin(produceRequest(try batch(sequence: 2), acks: 1), version: 9)
        node.settleDiskExcluded()
        #expect(!first.isAnswered && !retry.isAnswered)
        #expect(hasty.response?.only?.baseOffset == 2, "acks=1 asks for no more than the leader's log")
        node.settle()
        #expect(first.response?.only?.baseOffset == 0 && retry.response?.only?.baseOffset == 0)
        #expect(retry.response?.only?.error == ErrorCode.none)
        #expect(second.response?.only?.baseOffset == 2 && other.response?.only?.baseOffset == 3)
    }

    @Test func aRetryOfWhatIsNotCommittedTimesOutAsItsOriginalDoes() throws {
        let node = try started()
        let request = produceRequest(try batch(sequence: 0))
        let first = try node.begin(request, version: 9)
        let retry = try node.begin(request, version: 9)
        node.settleDiskExcluded()
        node.environment.now = node.environment.now.advanced(byNanoseconds: 6_000_000_000)
        node.shard.tick()
        #expect(first.response?.only?.error == .requestTimedOut && retry.response?.only?.error == .requestTimedOut)
        node.settle()
        #expect(try produce(node, sequence: 0)?.baseOffset == 0)
    }

    /// T-C15 (redpanda def3776cdd).
    @Test func aGapIsOutOfOrderSequenceNumber() throws {
        let node = try started()
        _ = try produce(node, sequence: 0)
        let refused = try produce(node, sequence: 2)
        #expect(refused?.error == .outOfOrderSequenceNumber && refused?.baseOffset == -1)
        #expect(refused?.errorMessage?.contains("2 came, 1 follows") == true)
        #expect(try produce(node, sequence: 1)?.baseOffset == 1)
    }

    @Test func aBatchThatIsNoLongerRememberedIsDuplicateSequenceNumber() throws {
        let node = try started()
        for sequence in 0..<6 { _ = try produce(node, sequence: Int32(sequence)) }
        #expect(try produce(node, sequence: 0)?.error == .duplicateSequenceNumber)
        #expect(try produce(node, sequence: 1)?.baseOffset == 1)
    }

    @Test func anOlderEpochIsInvalidProducerEpoch() throws {
        let node = try started()
        _ = try produce(node, epoch: 1, sequence: 0)
        #expect(try produce(node, epoch: 0, sequence: 0)?.error == .invalidProducerEpoch)
        #expect(try produce(node, epoch: 2, sequence: 1)?.error == .outOfOrderSequenceNumber)
        #expect(try produce(node, epoch: 2, sequence: 0)?.error == ErrorCode.none)
    }

    @Test func anUnknownProducerThatGoesOnIsToldSoAndWhereTheLogBegins() throws {
        let node = try started()
        let refused = try produce(node, sequence: 77)
        #expect(refused?.error == .unknownProducerID)
        // The Java client asks again for ever while it does not know.
        #expect(refused?.logStartOffset == 0)
        #expect(try produce(node, epoch: 1, sequence: 0)?.error == ErrorCode.none)
    }

    @Test func aRefusedBatchWithoutAcksClosesTheConnection() throws {
        let node = try started()
        _ = try produce(node, sequence: 0)
        let asked = try node.begin(produceRequest(try batch(sequence: 9), acks: 0), version: 9)
        node.settle()
        #expect(asked.closed != nil)
    }

    @Test func aRetryGetsTheAppendTimeOfItsOriginal() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("message.timestamp.type", "LogAppendTime")])
        node.environment.wallClock = Timestamp(milliseconds: 1_800_000_000_000)
        #expect(try produce(node, sequence: 0)?.logAppendTime == 1_800_000_000_000)
        node.environment.wallClock = Timestamp(milliseconds: 1_900_000_000_000)
        #expect(try produce(node, sequence: 0)?.logAppendTime == 1_800_000_000_000)
    }

    @Test func twoBatchesForOnePartitionAreRefused() throws {
        let node = try started()
        var two = try batch(sequence: 0)
        var second = try batch(sequence: 1)
        two.writeBuffer(&second)
        #expect(try node.ask(produceRequest(two), version: 9).only?.error == .invalidRecord)
    }

    @Test func transactionsAreRefused() throws {
        let node = try started()
        var transactional = try batch(sequence: 0)
        transactional.setInteger(UInt16(0x10), at: 21)
        let crc = transactional.withUnsafeReadableBytes {
            CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[21...]))
        }
        transactional.setInteger(crc, at: 17)
        let refused = try node.ask(produceRequest(transactional), version: 9).only
        #expect(refused?.error == .transactionalIDAuthorizationFailed)
        #expect(refused?.errorMessage == "transactions are not served")
    }

    // MARK: - InitProducerId

    @Test(arguments: InitProducerIDRequest.versions)
    func aProducerGetsANewIDInEpochZero(version: Int16) throws {
        let node = try started()
        let ids = CountingController()
        node.broker.controller = ids
        for expected in [7, 8] as [Int64] {
            let answer = try node.ask(InitProducerIDRequest(), version: version)
            #expect(answer.error == ErrorCode.none)
            #expect(answer.producerID == expected && answer.producerEpoch == 0)
        }
    }

    @Test func aProducerThatHadAnIDGetsANewOne() throws {
        let node = try started()
        node.broker.controller = CountingController()
        var request = InitProducerIDRequest()
        request.producerID = 3
        request.producerEpoch = 9
        #expect(try node.ask(request, version: 4).producerID == 7)
        request.producerEpoch = -1
        #expect(try node.ask(request, version: 4).error == .invalidRequest)
    }

    @Test func aTransactionalIDIsRefusedForGood() throws {
        let node = try started()
        node.broker.controller = CountingController()
        var request = InitProducerIDRequest()
        request.transactionalID = "orders"
        let refused = try node.ask(request, version: 4)
        #expect(refused.error == .transactionalIDAuthorizationFailed && refused.producerID == -1)
        request.transactionalID = ""
        #expect(try node.ask(request, version: 4).error == .invalidRequest)
    }

    @Test func withoutAnIDInTimeTheProducerIsToldToAskAgain() throws {
        let node = try started()
        #expect(try node.ask(InitProducerIDRequest(), version: 4).error == .coordinatorLoadInProgress)
        let ids = CountingController()
        ids.isEmpty = true
        node.broker.controller = ids
        #expect(try node.ask(InitProducerIDRequest(), version: 4).error == .coordinatorLoadInProgress)
    }

    // MARK: - DescribeProducers

    private func describe(_ node: OneNode, _ topic: String = "events", _ partitions: [Int32] = [0]) throws
        -> [DescribeProducersResponse.Partition]
    {
        var request = DescribeProducersRequest()
        var asked = DescribeProducersRequest.Topic()
        asked.name = topic
        asked.partitions = partitions
        request.topics = [asked]
        return try node.ask(request, version: 0).topics.first?.partitions ?? []
    }

    @Test func producersAreDescribed() throws {
        let node = try started()
        _ = try produce(node, epoch: 2, sequence: 0, records: 3)
        _ = try node.ask(produceRequest(try batch(by: 4, sequence: 0)), version: 9)
        let producers = try describe(node).first?.activeProducers ?? []
        #expect(producers.map(\.id) == [4, 5])
        #expect(producers.map(\.epoch) == [0, 2])
        #expect(producers.map(\.lastSequence) == [0, 2])
        #expect(producers.map(\.lastTimestamp) == [1_700_000_000_000, 1_700_000_000_000])
        #expect(producers.map(\.currentTransactionStartOffset) == [-1, -1])
    }

    @Test func unknownPartitionsAreSaid() throws {
        let node = try started()
        let errors = try describe(node, "events", [0, 1, -1]).map(\.error)
        #expect(errors == [.none, .unknownTopicOrPartition, .unknownTopicOrPartition])
        #expect(try describe(node, "missing").map(\.error) == [.unknownTopicOrPartition])
    }
}

private final class CountingController: ControllerAccess {
    var isEmpty = false
    private var next: Int64 = 7

    func administer(_ frame: ByteBuffer, reply: @escaping (ByteBuffer?) -> Void) { reply(nil) }

    func producerID(reply: @escaping (Int64?) -> Void) {
        guard !isEmpty else { return reply(nil) }
        reply(next)
        next += 1
    }
}
