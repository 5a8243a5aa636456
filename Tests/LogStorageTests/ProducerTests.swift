// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Simulation
import Testing

/// A batch of an idempotent producer without a place yet.
func makeBatch(
    by producer: Int64, epoch: Int16 = 0, sequence: Int32, records: Int = 1, size: Int = 20, at time: Int64 = 0
) throws -> ByteBuffer {
    var builder = BatchBuilder()
    for number in 0..<records {
        builder.append(
            key: nil, value: ByteBuffer(repeating: 7, count: size),
            timestamp: Timestamp(milliseconds: time + Int64(number)))
    }
    return try builder.finish(producer: ProducerStamp(id: producer, epoch: epoch, baseSequence: sequence))
}

extension PartitionLog {
    /// Appends a batch whatever the log thinks of it, as a follower does.
    func add(
        by producer: Int64, epoch: Int16 = 0, sequence: Int32, records: Int = 1, term: Int32 = 1, at time: Int64 = 0
    ) throws {
        try add(try makeBatch(by: producer, epoch: epoch, sequence: sequence, records: records, at: time), term: term)
    }

    /// What the log thinks of a batch.
    func verdict(
        by producer: Int64, epoch: Int16 = 0, sequence: Int32, records: Int = 1
    ) throws -> ProducerVerdict {
        var batch = try makeBatch(by: producer, epoch: epoch, sequence: sequence, records: records)
        EntryHead.assign(baseOffset: endOffset, term: Term(1), in: &batch)
        return verdict(on: try EntryHead.parse(batch))
    }
}

/// What a log thinks of the batches of idempotent producers, rule by rule (KIP-98, KIP-360).
struct ProducerRuleTests {
    private func newLog(producersMax: Int = 10_000) throws -> SimLog {
        var limits = LogLimits.small()
        limits.producersMax = producersMax
        return try openLog(makeMachine(), limits)
    }

    @Test func aBatchWithoutAProducerIsAlwaysInOrder() throws {
        let log = try newLog()
        try log.add(records: 3)
        #expect(log.producers.isEmpty)
        #expect(try log.verdict(by: -1, epoch: -1, sequence: -1) == .inOrder)
    }

    @Test func theNextSequenceIsInOrder() throws {
        let log = try newLog()
        try log.add(by: 5, sequence: 0, records: 3)
        #expect(try log.verdict(by: 5, sequence: 3) == .inOrder)
        #expect(log.producers[5]?.lastSequence == 2)
    }

    @Test func aGapIsOutOfOrder() throws {
        let log = try newLog()
        try log.add(by: 5, sequence: 0, records: 3)
        #expect(try log.verdict(by: 5, sequence: 4) == .outOfOrder(expected: 3))
    }

    @Test func aRetryOfARememberedBatchIsADuplicateOfIt() throws {
        let log = try newLog()
        try log.add(records: 2)
        try log.addMarker(term: 1)
        try log.add(by: 5, sequence: 0, records: 3, at: 77)
        try log.add(by: 6, sequence: 0)
        let original = RememberedBatch(firstSequence: 0, slots: 3, baseOffset: Offset(2), timestamp: time(79))
        #expect(try log.verdict(by: 5, sequence: 0, records: 3) == .duplicate(original))
        #expect(log.end(of: original) == LogIndex(6))
    }

    @Test func aRetryCutDifferentlyIsOutOfOrder() throws {
        let log = try newLog()
        try log.add(by: 5, sequence: 0, records: 3)
        #expect(try log.verdict(by: 5, sequence: 0, records: 2) == .outOfOrder(expected: 3))
        #expect(try log.verdict(by: 5, sequence: 1, records: 2) == .outOfOrder(expected: 3))
        #expect(try log.verdict(by: 5, sequence: 2, records: 2) == .outOfOrder(expected: 3))
    }

    @Test func fiveBatchesAreRememberedAndTheSixthIsAnOldDuplicate() throws {
        let log = try newLog()
        for number in 0..<6 { try log.add(by: 5, sequence: Int32(number * 2), records: 2) }
        for number in 1..<6 {
            guard case .duplicate(let original) = try log.verdict(by: 5, sequence: Int32(number * 2), records: 2) else {
                Issue.record("batch \(number) is remembered")
                continue
            }
            #expect(original.baseOffset == Offset(Int64(number * 2)))
        }
        #expect(try log.verdict(by: 5, sequence: 0, records: 2) == .oldDuplicate)
        #expect(try log.verdict(by: 5, sequence: 0, records: 1) == .oldDuplicate, "stored, however it is cut")
        #expect(try log.verdict(by: 5, sequence: 1, records: 2) == .outOfOrder(expected: 12), "half remembered")
    }

    /// To be told that a batch is stored makes its producer drop it, so it must be certain.
    @Test func whatMayNotBeStoredIsNeverCalledADuplicate() throws {
        let log = try newLog()
        try log.add(by: 5, sequence: 100, records: 2)
        #expect(try log.verdict(by: 5, sequence: 98, records: 2) == .outOfOrder(expected: 102))
        for number in 1..<7 { try log.add(by: 5, sequence: Int32(100 + number * 2), records: 2) }
        #expect(try log.verdict(by: 5, sequence: 100, records: 2) == .oldDuplicate)
        #expect(try log.verdict(by: 5, sequence: 98, records: 2) == .outOfOrder(expected: 114))
        #expect(try log.verdict(by: 5, sequence: 99, records: 2) == .outOfOrder(expected: 114))
    }

    @Test func anOlderEpochIsStale() throws {
        let log = try newLog()
        try log.add(by: 5, epoch: 3, sequence: 0)
        #expect(try log.verdict(by: 5, epoch: 2, sequence: 1) == .staleEpoch(current: 3))
        #expect(try log.verdict(by: 5, epoch: 2, sequence: 0) == .staleEpoch(current: 3))
    }

    @Test func aNewEpochBeginsAtSequenceZero() throws {
        let log = try newLog()
        try log.add(by: 5, epoch: 3, sequence: 0)
        #expect(try log.verdict(by: 5, epoch: 4, sequence: 1) == .outOfOrder(expected: 0))
        #expect(try log.verdict(by: 5, epoch: 4, sequence: 0) == .inOrder)
        try log.add(by: 5, epoch: 4, sequence: 0)
        #expect(log.producers[5]?.batches.count == 1, "batches of the old epoch are no duplicates any more")
    }

    @Test func anUnknownProducerMustBegin() throws {
        let log = try newLog()
        #expect(try log.verdict(by: 5, epoch: 7, sequence: 1_234) == .unknownProducer)
        #expect(try log.verdict(by: 5, epoch: 7, sequence: 0) == .inOrder)
    }

    /// T-K12 (KAFKA-7692).
    @Test func sequencesWrapBehindInt32Max() throws {
        let log = try newLog()
        let last = Int32.max
        try log.add(by: 5, sequence: last - 3, records: 2)
        #expect(try log.verdict(by: 5, sequence: last - 1, records: 1) == .inOrder)
        try log.add(by: 5, sequence: last - 1, records: 5)
        #expect(log.producers[5]?.lastSequence == 2)
        #expect(try log.verdict(by: 5, sequence: 3) == .inOrder)
        #expect(try log.verdict(by: 5, sequence: 4) == .outOfOrder(expected: 3))
        guard case .duplicate = try log.verdict(by: 5, sequence: last - 1, records: 5) else {
            Issue.record("a batch over the wrap is recognised")
            return
        }
        for number in 0..<6 { try log.add(by: 5, sequence: Int32(3 + number)) }
        #expect(try log.verdict(by: 5, sequence: last - 1, records: 5) == .oldDuplicate)
        try log.add(by: 6, sequence: last)
        #expect(try log.verdict(by: 6, sequence: 0) == .inOrder, "T-K12, KAFKA-7692")
        #expect(try log.verdict(by: 6, sequence: last) != .inOrder)
    }

    @Test func whatTheLogSaysGoesWhateverItsOrder() throws {
        let log = try newLog()
        try log.add(by: 5, epoch: 4, sequence: 0, records: 3)
        try log.add(by: 5, epoch: 4, sequence: 50)
        #expect(log.producers[5]?.batches.count == 1, "a leader that had forgotten the producer took it")
        #expect(try log.verdict(by: 5, epoch: 4, sequence: 51) == .inOrder)
        try log.add(by: 5, epoch: 1, sequence: 9)
        #expect(try log.verdict(by: 5, epoch: 1, sequence: 10) == .inOrder)
    }

    @Test func aCutTakesBackWhatItCuts() throws {
        let log = try newLog()
        try log.add(by: 5, sequence: 0)
        try log.add(by: 5, sequence: 1)
        let before = log.producers
        let end = log.end
        for number in 2..<9 { try log.add(by: 5, sequence: Int32(number)) }
        try log.add(by: 6, sequence: 0)
        try log.add(by: 5, epoch: 1, sequence: 0)
        try log.truncate(to: end)
        #expect(log.producers == before)
        #expect(try log.verdict(by: 6, sequence: 8) == .unknownProducer)
    }

    @Test func theTableIsBoundedAndTheSilentGoFirst() throws {
        let log = try newLog(producersMax: 32)
        for id in 0..<32 { try log.add(by: Int64(id), sequence: 0) }
        try log.add(by: 0, sequence: 1)
        try log.add(by: 99, sequence: 0)
        #expect(log.producers.count == 30)
        #expect(log.producers[0] != nil && log.producers[99] != nil)
        #expect(log.producers[1] == nil && log.producers[2] == nil && log.producers[3] == nil)
        #expect(log.producers[4] != nil)
        for id in 1_000..<2_000 {
            try log.add(by: Int64(id), sequence: 0)
            #expect(log.producers.count <= 32)
        }
    }

    @Test func producersThatAreSilentForLongAreForgotten() throws {
        let log = try newLog()
        try log.add(by: 5, sequence: 0, at: 1)
        log.expireProducers(after: 0, expiration: 1_000)
        log.expireProducers(after: 600, expiration: 1_000)
        try log.add(by: 6, sequence: 0, at: 1)
        log.expireProducers(after: 399, expiration: 1_000)
        #expect(log.producers.count == 2, "dated long ago, but written a moment ago")
        log.expireProducers(after: 1, expiration: 1_000)
        #expect(log.producers.all.map(\.id) == [6])
        log.expireProducers(after: 1_000, expiration: 1_000)
        #expect(log.producers.isEmpty)
    }

    @Test func aCutDoesNotMakeANewProducerOld() throws {
        let log = try newLog()
        try log.add(by: 5, sequence: 0)
        let end = log.end
        for number in 0..<20 { try log.add(by: 6, sequence: Int32(number)) }
        log.expireProducers(after: 0, expiration: 1_000)
        try log.truncate(to: end)
        try log.add(by: 7, sequence: 0)
        log.expireProducers(after: 1_000, expiration: 1_000)
        #expect(log.producers.all.map(\.id) == [7])
    }

    @Test func compactionIsToldAllBatchesThatMayBeRetried() throws {
        let log = try newLog()
        for number in 0..<6 { try log.add(by: 5, sequence: Int32(number * 2), records: 2) }
        try log.add(by: 6, sequence: 0)
        let committed = log.end
        try log.add(by: 5, sequence: 12, records: 2)
        let remembered = log.rememberedBatchOffsets(below: committed)
        #expect(remembered == [3, 5, 7, 9, 11, 12].map { Offset($0) }, "what follows may be cut off again")
        #expect(log.rememberedBatchOffsets(below: log.end) == [5, 7, 9, 11, 12, 14].map { Offset($0) })
    }

    @Test func aRestartedLogKnowsNobody() throws {
        let log = try newLog()
        try log.add(by: 5, sequence: 0)
        try log.sync()
        try log.restart(
            at: LogAnchor(position: LogPosition(term: Term(2), end: LogIndex(40)), offset: Offset(40)))
        #expect(log.producers.isEmpty)
    }
}
