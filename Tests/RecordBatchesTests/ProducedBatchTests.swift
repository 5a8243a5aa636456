// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches
import Testing

/// What a hostile or broken client may send instead of a batch, one test each.
@Suite struct ProducedBatchTests {
    @Test(arguments: Codec.allCases)
    func aSoundBatchIsAccepted(codec: Codec) throws {
        let batch = try sampleBatch(count: 300, codec: codec)
        let heads = try BatchValidator.validate(produced: batch, limits: generous)
        #expect(heads.count == 1 && heads[0].slots == 300 && heads[0].codec == codec)
        #expect(heads[0].term == .zero && heads[0].baseOffset == .zero)
    }

    @Test func nothingAtAllIsRefused() {
        #expect(refusal(ByteBuffer())?.reason == .noBatch)
    }

    @Test func aBadChecksumIsRefused() throws {
        let bad = try tampered(sealing: false) { $0[17] ^= 1 }
        guard case .checksumMismatch = refusal(bad)?.reason else {
            Issue.record("accepted")
            return
        }
    }

    @Test(arguments: [Int8(0), 1, 3, -1, .max])
    func anotherFormatIsRefused(magic: Int8) throws {
        let error = refusal(try tampered { $0[16] = UInt8(bitPattern: magic) })
        #expect(error?.reason == .badMagic(magic))
        #expect(error?.kind == (magic == 0 || magic == 1 ? .invalidRecord : .corrupt))
    }

    @Test(arguments: [Int32(-1), .min, -6, 3, 5, .max])
    func aLastOffsetDeltaThatDoesNotFitTheCountIsRefused(delta: Int32) throws {
        let bad = try tampered { put(delta, at: 23, in: &$0) }
        #expect(refusal(bad)?.reason == .badRecordCount(count: 5, lastOffsetDelta: delta))
    }

    @Test(arguments: [Int32(0), -1, .min, 4, 6, .max])
    func aCountThatDoesNotFitTheDeltaIsRefused(count: Int32) throws {
        let bad = try tampered { put(count, at: 57, in: &$0) }
        #expect(refusal(bad)?.kind == .invalidRecord)
    }

    @Test func aBatchWithoutRecordsIsRefused() {
        #expect(refusal(frame(section: [], count: 0))?.reason == .badRecordCount(count: 0, lastOffsetDelta: -1))
    }

    @Test(arguments: [BatchLimits.Depth.header, .uncompressed])
    func moreRecordsThanBytesAreRefusedWithoutAWalk(depth: BatchLimits.Depth) {
        let bad = frame(section: record(), count: .max)
        #expect(refusal(bad, BatchLimits(maximumSize: 1 << 20, depth: depth))?.kind == .invalidRecord)
    }

    /// Each claimed record would take an offset, so the claim of an unread section is held against its size.
    @Test(arguments: [(Codec.gzip, 1032), (.snappy, 22), (.lz4, 255), (.zstd, 32_768)])
    func moreRecordsThanASectionCanUnpackToAreRefusedUnread(codec: Codec, ratio: Int) throws {
        let section = bytes(try codec.compress(buffer(record())))
        let most = Int32(section.count * ratio / 7)
        let limits = BatchLimits(maximumSize: 1 << 20)
        let attributes = UInt16(codec.rawValue)
        #expect(refusal(frame(section: section, count: most, attributes: attributes), limits) == nil)
        let bad = frame(section: section, count: most + 1, attributes: attributes)
        #expect(refusal(bad, limits)?.reason == .badRecordCount(count: most + 1, lastOffsetDelta: most))
        #expect(refusal(frame(section: section, count: .max, attributes: attributes), limits)?.kind == .invalidRecord)
    }

    @Test(arguments: Codec.allCases)
    func manyEmptyRecordsAreNoLie(codec: Codec) throws {
        let section = (0..<60_000 as Range<Int64>).flatMap { record(offsetDelta: $0) }
        let packed = bytes(try codec.compress(buffer(section), level: nil))
        let batch = frame(section: packed, count: 60_000, attributes: UInt16(codec.rawValue))
        #expect(refusal(batch) == nil && refusal(batch, BatchLimits(maximumSize: 1 << 24)) == nil)
    }

    @Test(arguments: [Int32(-1), .min, 0, 48, 49, .max])
    func aBatchLengthThatIsNotTheLengthIsRefused(length: Int32) throws {
        let bad = try tampered { put(length, at: 8, in: &$0) }
        let limits = BatchLimits(maximumSize: .max)
        #expect(refusal(bad, limits) != nil)
        if length < 49 { #expect(refusal(bad, limits)?.reason == .badLength(Int(length))) }
    }

    @Test func everyTruncationIsRefusedAsDamage() throws {
        let whole = bytes(try sampleBatch())
        for size in 1..<whole.count {
            #expect(refusal(buffer(whole[..<size]))?.kind == .corrupt, "\(size)")
        }
    }

    @Test(arguments: Codec.allCases)
    func everyFlippedBitUnderTheChecksumIsRefused(codec: Codec) throws {
        let whole = bytes(try sampleBatch(count: 20, codec: codec))
        for bit in 16 * 8..<whole.count * 8 {
            var data = whole
            data[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(refusal(buffer(data)) != nil, "bit \(bit)")
        }
    }

    @Test func severalBatchesForOnePartitionAreRefused() throws {
        var two = try sampleBatch()
        let size = two.readableBytes
        two.writeImmutableBuffer(try sampleBatch())
        #expect(refusal(two)?.reason == .severalBatches(extraBytes: size))
        var padded = try sampleBatch()
        padded.writeInteger(0 as UInt8)
        #expect(refusal(padded)?.reason == .severalBatches(extraBytes: 1))
    }

    @Test func aControlBatchFromAClientIsRefused() throws {
        #expect(refusal(try tampered { $0[22] |= 0x20 })?.reason == .controlBatch)
    }

    @Test(arguments: [6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    func everyReservedAttributeBitIsRefused(bit: Int) throws {
        let bad = try tampered { put(UInt16(1) << bit, at: 21, in: &$0) }
        #expect(refusal(bad)?.reason == .reservedAttributes(1 << UInt16(bit)))
    }

    @Test(arguments: [Int64(1), -1, .max, .min])
    func aBaseOffsetIsNotTheClientsToChoose(offset: Int64) throws {
        let error = refusal(try tampered { put(offset, at: 0, in: &$0) })
        #expect(error?.reason == .nonZeroBaseOffset(offset) && error?.kind == .invalidRecord)
    }

    @Test(arguments: [Int64.min, -2, .max, 1 << 62, 1_700_000_000_000_000])
    func timestampsThatCannotBeAreRefused(time: Int64) throws {
        for place in [27, 35] {
            let error = refusal(try tampered { put(time, at: place, in: &$0) })
            #expect(error?.reason == .badTimestamp(time) && error?.kind == .invalidTimestamp)
        }
    }

    @Test func aRecordsTimestampIsJudgedWithoutOverflow() {
        let latest = BatchLimits.sensibleTimestamps.upperBound
        for (base, delta) in [(Int64(5), Int64.max), (5, .min), (0, -2), (latest, 1)] {
            let bad = frame(section: record(timestampDelta: delta), count: 1, baseTimestamp: base)
            #expect(refusal(bad)?.kind == .invalidTimestamp)
        }
        #expect(refusal(frame(section: record(), count: 1, baseTimestamp: -1)) == nil, "no time is a time")
    }

    @Test func boundsOnTimeAreTheTopicsOwn() throws {
        let narrow = BatchLimits(maximumSize: 1 << 20, timestamps: 1_700_000_000_000...1_700_000_000_003)
        #expect(refusal(try sampleBatch(count: 1), narrow) == nil)
        #expect(refusal(try sampleBatch(count: 5), narrow)?.kind == .invalidTimestamp)
    }

    @Test func aClientMayNotClaimAppendTime() throws {
        #expect(refusal(try tampered { $0[22] |= 0x08 })?.kind == .invalidTimestamp)
    }

    @Test(arguments: [(Int64(-2), Int16(-1), Int32(-1)), (.min, -1, -1), (1, -1, 0), (1, 0, -1), (0, .min, .min)])
    func producerFieldsThatDoNotGoTogetherAreRefused(id: Int64, epoch: Int16, sequence: Int32) throws {
        let bad = try tampered {
            put(id, at: 43, in: &$0)
            put(epoch, at: 51, in: &$0)
            put(sequence, at: 53, in: &$0)
        }
        #expect(refusal(bad)?.reason == .inconsistentProducer(id: id, epoch: epoch, sequence: sequence))
    }

    @Test func aSequenceWithoutAProducerIsIgnored() throws {
        let likeSarama = try tampered { put(Int32(0), at: 53, in: &$0) }
        let head = try accepted(likeSarama)
        #expect(head.lastSequence == -1)
    }

    @Test func aTransactionWithoutAProducerIsRefused() throws {
        #expect(refusal(try tampered { $0[22] |= 0x10 })?.kind == .invalidRecord)
    }

    @Test(arguments: [UInt8(5), 6, 7])
    func anUnknownCodecIsRefused(codec: UInt8) throws {
        let error = refusal(try tampered { $0[22] |= codec })
        #expect(error?.reason == .refusedCodec(codec) && error?.kind == .unsupportedCompression)
    }

    @Test func zstdIsRefusedWhereTheProtocolVersionIsTooOld() throws {
        let batch = try sampleBatch(count: 300, codec: .zstd)
        #expect(refusal(batch, BatchLimits(maximumSize: 1 << 20, allowsZstd: false))?.reason == .refusedCodec(4))
    }

    @Test func aBatchAboveTheLimitIsTooLarge() throws {
        let batch = try sampleBatch()
        let size = batch.readableBytes
        #expect(refusal(batch, BatchLimits(maximumSize: size)) == nil)
        #expect(refusal(batch, BatchLimits(maximumSize: size - 1))?.kind == .tooLarge)
    }

    @Test func headersBeyondTheRecordAreRefused() {
        for count in [Int64(1), 100, Int64(Int32.max), -1, Int64(Int32.min)] {
            #expect(refusal(frame(section: record(rest: [1, 1] + varint(count)), count: 1))?.kind == .invalidRecord)
        }
        let keyless: [UInt8] = [1, 1] + varint(1) + [1, 1]
        #expect(refusal(frame(section: record(rest: keyless), count: 1))?.kind == .invalidRecord)
        let fewer: [UInt8] = [1, 1] + varint(1) + [0, 0, 0, 0]
        #expect(refusal(frame(section: record(rest: fewer), count: 1))?.kind == .invalidRecord)
    }

    @Test func keysAndValuesBeyondTheRecordAreRefused() {
        for length in [Int64(4), 1000, Int64(Int32.max), -2, Int64(Int32.min)] {
            #expect(refusal(frame(section: record(rest: varint(length) + [1, 0]), count: 1))?.kind == .invalidRecord)
            #expect(refusal(frame(section: record(rest: [1] + varint(length) + [0]), count: 1))?.kind == .invalidRecord)
        }
    }

    @Test func recordLengthsBeyondTheBatchAreRefused() {
        for length in [Int64(-1), 0, 5, 7, 1000, Int64(Int32.max), Int64(Int32.min)] {
            let bad = varint(length) + record().dropFirst()
            #expect(refusal(frame(section: bad, count: 1))?.kind == .invalidRecord, "\(length)")
        }
    }

    @Test func recordsOutOfOrderAreRefused() {
        for deltas in [[1, 0], [0, 2], [0, 0], [-1, 0], [0, Int64(Int32.max)]] {
            let section = deltas.flatMap { record(offsetDelta: $0) }
            #expect(refusal(frame(section: section, count: 2))?.kind == .invalidRecord, "\(deltas)")
        }
    }

    @Test func bytesAfterTheLastRecordAreRefused() {
        #expect(refusal(frame(section: record() + [0], count: 1))?.kind == .invalidRecord)
        #expect(refusal(frame(section: record() + record(offsetDelta: 1), count: 1))?.kind == .invalidRecord)
    }

    @Test func aRecordThatSaysItIsCompressedItselfIsRefused() {
        #expect(refusal(frame(section: record(attributes: 1), count: 1))?.kind == .invalidRecord)
    }

    @Test func paddedAndOverlongVarintsAreRefused() {
        let padded: [[UInt8]] = [[0x80, 0], [0x80, 0x80, 0x80, 0x80, 0x80, 0], [0xff, 0xff, 0xff, 0xff, 0x1f]]
        for bad in padded {
            let body: [UInt8] = [0, 0, 0] + bad + [1, 0]
            #expect(refusal(frame(section: varint(Int64(body.count)) + body, count: 1))?.kind == .invalidRecord)
        }
        let long = [UInt8](repeating: 0xff, count: 9)
        for last in [[UInt8(2)], [0x80, 0], [0xff, 1]] {
            let body: [UInt8] = [0] + long + last + [0, 1, 1, 0]
            #expect(refusal(frame(section: varint(Int64(body.count)) + body, count: 1))?.kind == .invalidRecord)
        }
    }

    @Test func compressedRecordsAreWalkedOnlyWhenAsked() throws {
        let section = try Codec.lz4.compress(buffer(record(offsetDelta: 3)))
        let bad = frame(section: bytes(section), count: 1, attributes: 3)
        #expect(refusal(bad)?.kind == .invalidRecord)
        #expect(refusal(bad, BatchLimits(maximumSize: 1 << 20)) == nil)
        let noise = frame(section: [1, 2, 3, 4, 5, 6, 7, 8, 9], count: 1, attributes: 3)
        #expect(refusal(noise)?.kind == .corrupt)
    }

    @Test func aBombIsTooLargeForTheDeepCheck() throws {
        let section = try Codec.zstd.compress(buffer([UInt8](repeating: 0, count: 1 << 22)))
        let bomb = frame(section: bytes(section), count: 1, attributes: 4)
        let limits = BatchLimits(maximumSize: 1 << 20, depth: .all(unpackedLimit: 1 << 20))
        #expect(refusal(bomb, limits)?.kind == .tooLarge)
    }

    @Test func noBytesTrapTheValidator() throws {
        var random = SeededRandom(seed: 3)
        let whole = try Codec.allCases.map { bytes(try sampleBatch(count: 30, codec: $0)) }
        for round in 0..<6_000 {
            var data = whole[round % whole.count]
            for _ in 0...Int(random.next() % 4) {
                data[Int(random.next() % UInt64(data.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if round % 4 == 0 { data.removeLast(Int(random.next() % UInt64(data.count - 61))) }
            put(Int32(data.count - 12), at: 8, in: &data)
            seal(&data)
            _ = refusal(buffer(data))
            var records = try? BatchRecords(of: buffer(data), limit: 1 << 16)
            while (try? records?.next()) != nil {}
        }
    }
}
