// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches
import Testing

@Suite struct EntryHeadTests {
    private func marker(_ payload: String = "who we are") -> ByteBuffer {
        MarkerEntry.encode(
            kind: .membership, term: Term(7), nextOffset: Offset(41), timestamp: Timestamp(milliseconds: 1000),
            payload: buffer(payload))
    }

    @Test func theFieldsTileTheHeader() {
        var at = 0
        for field in BatchLayout.fields {
            #expect(field.at == at, "\(field.name)")
            at += field.size
        }
        #expect(at == BatchLayout.headerSize && at == EntryHead.size)
    }

    @Test func aBatchCarriesWhatWasPutIn() throws {
        var batch = try sampleBatch(producer: ProducerStamp(id: 9, epoch: 2, baseSequence: .max - 1))
        EntryHead.assign(baseOffset: Offset(100), term: Term(5), in: &batch)
        let head = try EntryHead.parse(batch)
        #expect(head.kind == .records && head.term == Term(5) && head.baseOffset == Offset(100))
        #expect(head.slots == 5 && head.recordCount == RecordCount(5))
        #expect(head.lastOffset == Offset(104) && head.nextOffset == Offset(105))
        #expect(head.totalSize == batch.readableBytes)
        #expect(head.baseTimestamp.milliseconds == 1_700_000_000_000)
        #expect(head.maxTimestamp.milliseconds == 1_700_000_000_004)
        #expect(head.producerID == 9 && head.producerEpoch == 2 && head.baseSequence == .max - 1)
        #expect(head.lastSequence == 2, "sequences go round at 2³¹")
        try head.verifyChecksum(batch)
    }

    @Test func assigningAPlaceLeavesTheChecksumAlone() throws {
        var batch = try sampleBatch()
        let produced = try accepted(batch)
        EntryHead.assign(baseOffset: Offset(1 << 40), term: Term(.max), in: &batch)
        let stored = try EntryHead.parse(batch)
        #expect(stored == produced.assigned(baseOffset: Offset(1 << 40), term: Term(.max)))
        try stored.verifyChecksum(batch)
    }

    @Test func stampingTheAppendTimeRenewsTheChecksum() throws {
        var batch = try sampleBatch()
        EntryHead.assign(baseOffset: .zero, term: .zero, in: &batch)
        let head = try EntryHead.parse(batch).stampAppendTime(Timestamp(milliseconds: 99), in: &batch)
        #expect(try EntryHead.parse(batch) == head)
        #expect(head.attributes.isLogAppendTime && head.maxTimestamp.milliseconds == 99)
        var records = try BatchRecords(of: batch, limit: 1 << 20)
        while let record = try records.next() { #expect(record.timestamp.milliseconds == 99) }
    }

    @Test(arguments: Codec.allCases)
    func aMissingMaxTimestampIsFoundAmongTheRecords(codec: Codec) throws {
        let good = try sampleBatch(count: 90, codec: codec)
        var batch = try tampered(good) { put(Int64(-1), at: 35, in: &$0) }
        let sent = try accepted(batch)
        let intact = try accepted(good)
        #expect(sent.needsMaxTimestamp && !intact.needsMaxTimestamp)
        let head = try sent.settingMaxTimestamp(in: &batch, unpackedLimit: 1 << 20)
        #expect(batch == good && head == intact)
    }

    @Test func aMarkerTakesASlotAndNoOffset() throws {
        let entry = marker()
        let head = try EntryHead.parse(entry)
        #expect(head.kind == .membership && head.isMarker && head.slots == 1)
        #expect(head.baseOffset == Offset(41) && head.nextOffset == Offset(41) && head.lastOffset == nil)
        #expect(head.recordCount == .zero && head.term == Term(7) && head.totalSize == entry.readableBytes)
        try head.verifyChecksum(entry)
        #expect(try MarkerEntry.payload(of: entry) == buffer("who we are"))
        #expect(try MarkerEntry.payload(of: marker("")).readableBytes == 0)
    }

    @Test func aMarkerOfAnUnknownKindKeepsItsKind() throws {
        let entry = MarkerEntry.encode(
            kind: EntryKind(rawValue: 200), term: .zero, nextOffset: .zero, timestamp: Timestamp(milliseconds: 0))
        #expect(try EntryHead.parse(entry).kind.rawValue == 200)
    }

    @Test func aMarkerFromAClientIsRefused() throws {
        #expect(refusal(marker())?.kind == .invalidRecord)
    }

    @Test func malformedMarkersAreRefused() throws {
        let edits: [(inout [UInt8]) -> Void] = [
            { $0[61] = 0 },  // the kind of records
            { put(Int32(0), at: 23, in: &$0) },  // takes an offset
            { put(Int32(1), at: 57, in: &$0) },  // has a record
            { $0[21] = 0x41 },  // one more bit
            { put(Int32(49), at: 8, in: &$0) },  // no room for its kind
        ]
        for edit in edits {
            let bad = try tampered(marker(), edit)
            #expect(errorOf { () throws(BatchError) in _ = try EntryHead.parse(bad) }?.kind != nil)
        }
    }

    @Test func everyShorterHeaderSaysHowMuchIsMissing() throws {
        var batch = try sampleBatch()
        EntryHead.assign(baseOffset: .zero, term: .zero, in: &batch)
        for (entry, needed) in [(batch, 61), (marker(), 62)] {
            for size in 0..<needed {
                let part = buffer(bytes(entry)[..<size])
                let error = errorOf { () throws(BatchError) in _ = try EntryHead.parse(part) }
                #expect(error?.neededBytes ?? 0 > size, "\(size)")
            }
            #expect(try EntryHead.parse(buffer(bytes(entry)[..<needed])).totalSize == entry.readableBytes)
        }
    }

    @Test func anEmptyHeaderIsNoEntry() {
        let zeros = buffer([UInt8](repeating: 0, count: 4096))
        #expect(errorOf { () throws(BatchError) in _ = try EntryHead.parse(zeros) }?.reason == .badMagic(0))
    }

    @Test(arguments: [Int64(-1), .min, .max, .max - 5])
    func storedOffsetsThatCannotBeAreRefused(offset: Int64) throws {
        let bad = try tampered {
            put(offset, at: 0, in: &$0)
            put(Int32(0), at: 12, in: &$0)
        }
        #expect(errorOf { () throws(BatchError) in _ = try EntryHead.parse(bad) }?.kind == .corrupt)
    }

    @Test func noHeaderTrapsTheParser() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<20_000 {
            var data = random.bytes(61 + Int(random.next() % 20))
            data[16] = 2
            if random.next() % 2 == 0 { data[8] = 0 }
            if random.next() % 3 == 0 { put(UInt16(0x4020), at: 21, in: &data) }
            let head = try? EntryHead.parse(buffer(data))
            if let head { #expect(head.nextOffset >= head.baseOffset && head.totalSize >= 61) }
        }
    }

    @Test func aWalkFindsEveryEntryAndItsPlace() throws {
        var all = ByteBuffer()
        var places: [Int] = []
        for (index, count) in [1, 4, 0, 9].enumerated() {
            places.append(all.writerIndex)
            var entry = count == 0 ? marker() : try sampleBatch(count: count)
            EntryHead.assign(baseOffset: Offset(Int64(index)), term: Term(1), in: &entry)
            all.writeBuffer(&entry)
        }
        let found = try all.withUnsafeReadableBytes { raw in
            var walker = EntryWalker(raw)
            var found: [Int] = []
            while let (head, position) = try walker.next() {
                #expect(try EntryHead.parse(all, at: position) == head)
                found.append(position)
            }
            return found
        }
        #expect(found == places)
        #expect(try EntryHead.all(in: all, verifyingChecksums: true).map(\.slots) == [1, 4, 1, 9])
        for size in 1..<all.readableBytes where !places.contains(size) {
            let part = buffer(bytes(all)[..<size])
            #expect(throws: BatchError.self) { try EntryHead.all(in: part) }
        }
        all.setInteger(0xff as UInt8, at: places[3] + 70)
        #expect(throws: BatchError.self) { try EntryHead.all(in: all, verifyingChecksums: true) }
    }
}
