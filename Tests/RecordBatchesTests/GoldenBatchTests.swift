// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches
import Testing

/// Bytes that another implementation wrote.
@Suite struct GoldenBatchTests {
    private static let expected: [BatchRecord] = [
        BatchRecord(
            offset: Offset(0), timestamp: Timestamp(milliseconds: 1_700_000_000_000), key: buffer("k0"),
            value: buffer("v0"), headers: []),
        BatchRecord(
            offset: Offset(1), timestamp: Timestamp(milliseconds: 1_700_000_000_123), key: nil,
            value: buffer(String(repeating: "abcdefghij", count: 40)),
            headers: [
                RecordHeader(key: "h1", value: buffer("x")), RecordHeader(key: "h2", value: nil),
                RecordHeader(key: "schlüssel", value: buffer("")),
            ]),
        BatchRecord(
            offset: Offset(2), timestamp: Timestamp(milliseconds: 1_699_999_999_990), key: buffer(""), value: nil,
            headers: []),
    ]

    private func check(_ golden: [UInt8], _ codec: Codec) throws {
        var batch = buffer(golden)
        let head = try accepted(batch)
        #expect(head.codec == codec && head.slots == 3)
        #expect(head.baseTimestamp.milliseconds == 1_700_000_000_000)
        #expect(head.maxTimestamp.milliseconds == 1_700_000_000_123)
        EntryHead.assign(baseOffset: .zero, term: .zero, in: &batch)
        var records = try BatchRecords(of: batch, limit: 1 << 20)
        for record in Self.expected { #expect(try records.next() == record) }
        #expect(try records.next() == nil)
    }

    @Test func kafkaPythonsBatchesAreRead() throws {
        try check(GoldenBatches.none, .none)
        try check(GoldenBatches.gzip, .gzip)
        try check(GoldenBatches.snappy, .snappy)
        try check(GoldenBatches.lz4, .lz4)
        try check(GoldenBatches.zstd, .zstd)
        try check(GoldenBatches.transactional, .none)
    }

    @Test func aTransactionalBatchKeepsItsProducer() throws {
        let head = try accepted(buffer(GoldenBatches.transactional))
        #expect(head.isTransactional && head.producerID == 4711 && head.producerEpoch == 3)
        #expect(head.baseSequence == 2_147_483_646 && head.lastSequence == 0)
    }

    @Test func ourBytesAreKafkaPythonsBytes() throws {
        for (golden, producer) in [
            (GoldenBatches.none, nil),
            (GoldenBatches.transactional, ProducerStamp(id: 4711, epoch: 3, baseSequence: 2_147_483_646)),
        ] {
            var builder = BatchBuilder()
            for record in Self.expected {
                builder.append(
                    key: record.key, value: record.value, headers: record.headers, timestamp: record.timestamp)
            }
            var ours = bytes(try builder.finish(producer: producer, isTransactional: producer != nil))
            // A producer knows no leader epoch: Java and we write −1, kafka-python 0. The checksum leaves it out.
            put(Int32(0), at: 12, in: &ours)
            #expect(ours == golden)
        }
    }
}
