// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches
import Testing

/// Batches that a topic stores in another form than their producer's.
@Suite struct RepackTests {
    private func repacked(
        _ batch: ByteBuffer, _ codec: Codec, level: Int? = nil,
        _ limits: BatchLimits = BatchLimits(maximumSize: 1 << 24), unpackedLimit: Int = 1 << 24
    ) throws(BatchError) -> (batch: ByteBuffer, head: EntryHead) {
        try BatchValidator.repack(
            produced: batch, limits: limits, unpackedLimit: unpackedLimit, codec: codec, level: level)
    }

    private func records(_ batch: ByteBuffer) throws -> [BatchRecord] {
        var batch = batch
        EntryHead.assign(baseOffset: .zero, term: .zero, in: &batch)
        var reader = try BatchRecords(of: batch, at: batch.readerIndex, limit: 1 << 24)
        var records: [BatchRecord] = []
        while let record = try reader.next() { records.append(record) }
        return records
    }

    private func refusal(
        _ batch: ByteBuffer, _ codec: Codec = .gzip, _ limits: BatchLimits = BatchLimits(maximumSize: 1 << 24),
        unpackedLimit: Int = 1 << 24
    ) -> BatchError? {
        errorOf { () throws(BatchError) in
            _ = try repacked(batch, codec, limits, unpackedLimit: unpackedLimit)
        }
    }

    @Test(arguments: Codec.allCases, Codec.allCases)
    func theRecordsAndTheProducerStayWhoeverPacks(from: Codec, to: Codec) throws {
        let producer = ProducerStamp(id: 77, epoch: 3, baseSequence: 41)
        let sent = try sampleBatch(count: 300, codec: from, producer: producer)
        let (stored, head) = try repacked(sent, to)
        // Passes everything that a batch from a client has to, checksum and every record included.
        #expect(try accepted(stored) == head)
        #expect(head.codec == to && head.slots == 300 && head.totalSize == stored.readableBytes)
        #expect(head.producerID == 77 && head.producerEpoch == 3 && head.baseSequence == 41)
        #expect(try records(stored) == records(sent))
    }

    @Test func aLevelIsHeeded() throws {
        let sent = try sampleBatch(count: 2_000)
        let quick = try repacked(sent, .gzip, level: 1).batch
        let thorough = try repacked(sent, .gzip, level: 9).batch
        #expect(thorough.readableBytes < quick.readableBytes)
    }

    /// `UnifiedLog.append` and `MemoryRecordsBuilder` give a batch that they write the time of its latest record.
    @Test func theGreatestTimeIsMadeTrue() throws {
        let lying = try tampered { put(Int64(1_800_000_000_000), at: 35, in: &$0) }
        #expect(try accepted(lying).maxTimestamp == Timestamp(milliseconds: 1_800_000_000_000))
        #expect(try repacked(lying, .lz4).head.maxTimestamp == Timestamp(milliseconds: 1_700_000_000_004))
    }

    @Test(arguments: [Codec.snappy, .gzip])
    func whatComesOutLargerIsStillInTheTopicsForm(codec: Codec) throws {
        var random = SeededRandom(seed: 9)
        var builder = BatchBuilder()
        builder.append(
            key: nil, value: buffer(random.bytes(64)), timestamp: Timestamp(milliseconds: 1_700_000_000_000))
        let sent = try builder.finish()
        let (stored, head) = try repacked(sent, codec)
        #expect(head.codec == codec && stored.readableBytes > sent.readableBytes)
        #expect(try records(stored) == records(sent))
    }

    @Test func whatIsWrongWithABatchIsFoundWhateverItsCodec() throws {
        #expect(refusal(ByteBuffer())?.reason == .noBatch)
        #expect(refusal(try tampered(sealing: false) { $0[17] ^= 1 })?.kind == .corrupt)
        let broken = try tampered(sampleBatch(count: 300, codec: .gzip)) { $0[$0.count - 5] ^= 1 }
        #expect(refusal(broken)?.kind == .corrupt)
        #expect(refusal(try tampered { $0[22] = 0x20 })?.reason == .controlBatch)
        #expect(refusal(try tampered { $0[22] = 5 })?.reason == .refusedCodec(5))
        #expect(refusal(frame(section: record(offsetDelta: 1), count: 1))?.kind == .invalidRecord)
        let old = BatchLimits(maximumSize: 1 << 24, allowsZstd: false)
        #expect(refusal(try sampleBatch(codec: .zstd), .gzip, old)?.reason == .refusedCodec(4))
        let keyed = BatchLimits(maximumSize: 1 << 24, requiresKeys: true)
        #expect(refusal(try sampleBatch(codec: .zstd), .gzip, keyed)?.kind == .invalidRecord)
    }

    @Test func neitherFormMayBeTooLarge() throws {
        var builder = BatchBuilder()
        builder.append(
            key: nil, value: buffer([UInt8](repeating: 0, count: 100_000)),
            timestamp: Timestamp(milliseconds: 1_700_000_000_000))
        let small = try builder.finish(codec: .gzip)
        let limits = BatchLimits(maximumSize: 50_000)
        #expect(small.readableBytes < 50_000)
        #expect(try repacked(small, .zstd, limits).head.totalSize < 50_000)
        guard case .batchTooLarge(let size, 50_000) = refusal(small, .none, limits)?.reason else {
            Issue.record("a batch that grows beyond the limit is taken")
            return
        }
        #expect(size > 100_000)
        let bomb = refusal(small, .zstd, limits, unpackedLimit: 99_999)
        #expect(bomb?.reason == .compression(.outputTooLarge(.gzip, limit: 99_999)))
    }

    @Test func theDeclaredCodecIsReadFromTheHeader() throws {
        for codec in Codec.allCases {
            #expect(BatchValidator.declaredCodec(of: try sampleBatch(count: 300, codec: codec)) == codec)
        }
        #expect(BatchValidator.declaredCodec(of: ByteBuffer(repeating: 0, count: 60)) == nil)
        #expect(BatchValidator.declaredCodec(of: try tampered { $0[22] = 6 }) == nil)
    }
}
