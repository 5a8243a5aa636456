// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches
import Testing

/// What compaction does to one batch.
struct BatchFilterTests {
    /// Records "k0" to "k4"; the third has no value.
    private func sample(codec: Codec) throws -> (bytes: ByteBuffer, head: EntryHead) {
        var builder = BatchBuilder()
        for place in 0..<5 {
            builder.append(
                key: ByteBuffer(string: "k\(place)"),
                value: place == 2 ? nil : ByteBuffer(string: String(repeating: "v", count: 40 + place)),
                headers: [RecordHeader(key: "h", value: ByteBuffer(string: "\(place)"))],
                timestamp: Timestamp(milliseconds: 1_000 + Int64(place) * 10))
        }
        var bytes = try builder.finish(
            codec: codec, producer: ProducerStamp(id: 9, epoch: 2, baseSequence: 100))
        EntryHead.assign(baseOffset: Offset(50), term: Term(3), in: &bytes)
        return (bytes, try EntryHead.parse(bytes))
    }

    private func filter(
        _ bytes: ByteBuffer, horizon: Int64 = 9_000, keeping: Set<Int32>
    ) throws -> BatchFilter.Outcome {
        var filter = BatchFilter(unpackedLimit: 1 << 20)
        let head = try EntryHead.parse(bytes)
        return try bytes.withUnsafeReadableBytes { (bytes) throws(BatchError) in
            try filter.apply(to: bytes, head: head, horizon: horizon) { record, _ in
                keeping.contains(record.offsetDelta) ? .keep : .drop
            }
        }
    }

    private func records(of batch: ByteBuffer) throws -> [BatchRecord] {
        var records = try BatchRecords(of: batch, limit: 1 << 20)
        var found: [BatchRecord] = []
        while let record = try records.next() { found.append(record) }
        return found
    }

    @Test(arguments: Codec.allCases)
    func whatStaysIsWhatItWas(codec: Codec) throws {
        let (bytes, before) = try sample(codec: codec)
        guard case .rewritten(let batch) = try filter(bytes, keeping: [1, 3]) else {
            Issue.record("some records go")
            return
        }
        let head = try EntryHead.parse(batch)
        try head.verifyChecksum(batch)
        #expect(head.slots == 5 && head.recordCount.rawValue == 2 && head.totalSize == batch.readableBytes)
        #expect(head.baseOffset == before.baseOffset && head.term == before.term && head.codec == codec)
        #expect(head.producerID == 9 && head.producerEpoch == 2 && head.baseSequence == 100)
        #expect(head.lastSequence == before.lastSequence)
        #expect(head.maxTimestamp == Timestamp(milliseconds: 1_030) && !head.attributes.hasDeleteHorizon)
        let all = try records(of: bytes)
        #expect(try records(of: batch) == [all[1], all[3]])
    }

    @Test(arguments: Codec.allCases)
    func tombstonesGetAHorizonAndTimesStay(codec: Codec) throws {
        let (bytes, _) = try sample(codec: codec)
        guard case .rewritten(let batch) = try filter(bytes, keeping: [0, 1, 2, 3, 4]) else {
            Issue.record("a horizon is set")
            return
        }
        let head = try EntryHead.parse(batch)
        try head.verifyChecksum(batch)
        #expect(head.attributes.hasDeleteHorizon && head.baseTimestamp == Timestamp(milliseconds: 9_000))
        #expect(try records(of: batch) == records(of: bytes), "times count from the horizon now, and are the same")
        // The second time there is nothing to do.
        guard case .unchanged = try filter(batch, horizon: 99_000, keeping: [0, 1, 2, 3, 4]) else {
            Issue.record("the horizon is set once")
            return
        }
        guard case .rewritten(let less) = try filter(batch, horizon: 99_000, keeping: [2]) else { return }
        #expect(try EntryHead.parse(less).baseTimestamp == Timestamp(milliseconds: 9_000))
        #expect(try records(of: less).map(\.timestamp) == [Timestamp(milliseconds: 1_020)])
    }

    @Test func aBatchThatLosesNothingOrEverythingSaysSo() throws {
        var builder = BatchBuilder()
        builder.append(key: ByteBuffer(string: "k"), value: ByteBuffer(string: "v"), timestamp: .init(milliseconds: 1))
        var bytes = try builder.finish()
        EntryHead.assign(baseOffset: .zero, term: .zero, in: &bytes)
        guard case .unchanged = try filter(bytes, keeping: [0]), case .emptied = try filter(bytes, keeping: []) else {
            Issue.record("unchanged, and emptied")
            return
        }
    }

    @Test func aHoleAndAnyRestOfItAreBatchesWithoutRecords() throws {
        let hole = HoleEntry.encode(baseOffset: Offset(7), slots: HoleEntry.maximumSlots, term: Term(4))
        let head = try EntryHead.parse(hole)
        try head.verifyChecksum(hole)
        #expect(head.isHole && head.slots == Int64(Int32.max) && hole.readableBytes == EntryHead.size)
        let rest = head.restOfHole(skipping: 10)
        let tail = try EntryHead.parse(rest)
        try tail.verifyChecksum(rest)
        #expect(tail.isHole && tail.baseOffset == Offset(17) && tail.nextOffset == head.nextOffset)
        #expect(tail.term == Term(4) && tail.codec == Codec.none)
        #expect(try records(of: hole).isEmpty)
        #expect(throws: BatchError.self) {
            try BatchValidator.validate(produced: hole, limits: BatchLimits(maximumSize: 1 << 20))
        }
    }

    @Test func anEmptiedBatchKeepsWhatItsProducerIsJudgedBy() throws {
        let (_, before) = try sample(codec: .lz4)
        let empty = HoleEntry.emptied(before)
        let head = try EntryHead.parse(empty)
        try head.verifyChecksum(empty)
        #expect(!head.isHole && head.recordCount.rawValue == 0 && head.codec == Codec.none)
        #expect(head.lastSequence == before.lastSequence && head.producerEpoch == 2 && head.slots == 5)
    }

    @Test func aTrimsPayloadIsReadStrictly() throws {
        let marker = MarkerEntry.encode(
            kind: .logStart, term: Term(1), nextOffset: Offset(9), timestamp: .init(milliseconds: 0),
            payload: LogStartPayload.encode(Offset(5)))
        #expect(LogStartPayload.offset(in: marker, at: marker.readerIndex) == Offset(5))
        for payload in [ByteBuffer(), ByteBuffer(integer: Int64(-1)), ByteBuffer(integer: Int32(4))] {
            let odd = MarkerEntry.encode(
                kind: .logStart, term: Term(1), nextOffset: Offset(9), timestamp: .init(milliseconds: 0),
                payload: payload)
            #expect(LogStartPayload.offset(in: odd, at: odd.readerIndex) == nil)
        }
    }
}
