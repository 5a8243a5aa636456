// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches
import Simulation
import Testing

@testable import LogStorage

/// Compaction: the last value of each key stays, at its offset, and everything else about the log is as it was.
struct CleaningTests {
    /// A log whose every batch of `count` keys fills a segment; the last one is written to.
    private func keyed(
        _ files: SimFileSystem, _ batches: [[Keyed]], segment: Int64 = 100, codec: Codec = .none
    ) throws -> SimLog {
        let log = try openLog(files, .small(segment: segment, index: 1))
        for batch in batches { try log.add(batch, codec: codec) }
        try log.sync()
        return log
    }

    @Test(arguments: Codec.allCases)
    func theLastValueOfEachKeyStaysAtItsOffset(codec: Codec) throws {
        let filler = String(repeating: "x", count: 90)
        let log = try keyed(
            try makeMachine(),
            [
                [Keyed("a", "1" + filler, at: 10), Keyed("b", "1" + filler, at: 11)],
                [Keyed("a", "2" + filler, at: 20), Keyed("c", "1" + filler, at: 21)],
                [Keyed("c", "2" + filler, at: 30), Keyed("a", "3" + filler, at: 31)],
                [Keyed("b", "9", at: 40)],
            ], codec: codec)
        let end = log.end
        let outcome = try #require(try log.clean())
        #expect(outcome.recordsDropped == 3 && outcome.batchesUnread == 0)
        #expect(
            try log.found() == [
                Found(1, Keyed("b", "1" + filler, at: 11)), Found(4, Keyed("c", "2" + filler, at: 30)),
                Found(5, Keyed("a", "3" + filler, at: 31)), Found(6, Keyed("b", "9", at: 40)),
            ], "the segment that is written to is not looked at")
        #expect(log.end == end && log.endOffset == Offset(7))
        #expect(log.cleanedTo == LogIndex(6))
        let heads = try log.fetchAll()
        #expect(heads.map(\.codec).contains(codec))
    }

    /// T-K7 (apache/kafka 64b8e178272): the cleaner stays below what is committed.
    @Test func whatIsNotCommittedIsNotLookedAt() throws {
        let log = try keyed(
            try makeMachine(),
            [[Keyed("a", "1")], [Keyed("a", "2")], [Keyed("a", "3")], [Keyed("a", "4")]], segment: 80)
        #expect(try log.clean(committed: LogIndex(2)) != nil)
        #expect(try log.found().map(\.record.value) == ["2", "3", "4"])
        #expect(try log.clean(committed: LogIndex(2)) == nil, "there is nothing new")
    }

    @Test func emptiedBatchesOfOneTermBecomeOneHole() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 400, index: 1))
        for number in 0..<4 { try log.add([Keyed("a", "\(number)"), Keyed("b", "\(number)")]) }
        try log.addMarker(term: 2)
        for number in 4..<9 { try log.add([Keyed("a", "\(number)"), Keyed("b", "\(number)")], term: 2) }
        try log.add(records: 1, size: 600, term: 2)
        try log.sync()
        let end = log.end
        try log.clean()
        var shape: [String] = []
        for entry in try log.entries() {
            let head = try EntryHead.parse(ByteBuffer(bytes: entry))
            shape.append(head.isMarker ? "marker" : head.isHole ? "hole \(head.slots)" : "\(head.recordCount.rawValue)")
        }
        #expect(shape.first == "hole 8" && shape.dropFirst().first == "marker", "\(shape)")
        #expect(log.end == end && log.index(of: Offset(8)) == LogIndex(9) && log.offset(at: LogIndex(9)) == Offset(8))
        // A second cleaning has nothing to change, and a reopened log is the same.
        let before = try log.entries()
        try log.sync()
        try log.close()
        let again = try openLog(files, .small(segment: 400, index: 1))
        #expect(try again.entries() == before && again.recovery.wasClean)
        #expect(again.cleanedTo == log.cleanedTo)
    }

    @Test func aReadMayBeginAnywhereInAHole() throws {
        let log = try openLog(try makeMachine(), .small(segment: 1_000, index: 1))
        for number in 0..<8 { try log.add([Keyed("a", "\(number)"), Keyed("b", "\(number)")]) }
        try log.add([Keyed("a", "x"), Keyed("b", "x")])
        try log.add(records: 1, size: 2_000)
        try log.sync()
        try log.clean()
        for slot in stride(from: Int64(0), to: 16, by: 1) {
            let slice = try log.read(from: LogIndex(slot), limit: bytes(10_000))
            let first = try #require(slice.bytes.first)
            let head = try EntryHead.parse(first)
            try head.verifyChecksum(first)
            #expect(head.baseOffset == Offset(slot) && head.isHole && head.slots == 16 - slot)
            #expect(slice.runs.last == slice.through && slice.through.end >= LogIndex(16))
        }
        #expect(try log.found().first?.offset == 16)
        #expect(try log.found(from: Offset(5)).first?.offset == 16)
        #expect(refusal { _ = try log.read(from: LogIndex(17), limit: bytes(100)) }?.isCorrupt == true)
    }

    @Test func tombstonesStayForTheirTimeAfterTheFirstCleaning() throws {
        let rules = CleaningRules(minDirtyShare: 0, deleteRetention: 1_000)
        let log = try keyed(
            try makeMachine(), [[Keyed("a", "1", at: 5)], [Keyed("a", nil, at: 6)], [Keyed("z", "1", at: 7)]],
            segment: 80)
        try log.clean(now: 50, rules: rules)
        #expect(try log.found() == [Found(1, Keyed("a", nil, at: 6)), Found(2, Keyed("z", "1", at: 7))])
        let marked = try #require(try log.fetchAll().first { $0.recordCount.rawValue == 1 })
        #expect(marked.attributes.hasDeleteHorizon && marked.baseTimestamp == time(1_050))
        #expect(marked.maxTimestamp == time(6))
        func next(_ now: Int64) throws -> [Int64] {
            try log.add([Keyed("z\(now)", "1", at: now)])
            try log.sync()
            try log.clean(now: now, rules: rules)
            return try log.found().map(\.offset)
        }
        #expect(try next(1_049).first == 1)
        #expect(try next(1_050).first == 2, "its time is over")
    }

    @Test func aProducersLastBatchKeepsItsHeader() throws {
        let log = try openLog(try makeMachine(), .small(segment: 150, index: 1))
        for sequence in 0..<4 as Range<Int32> {
            try log.add(
                [Keyed("a", "\(sequence)", at: 7)], producer: ProducerStamp(id: 5, epoch: 1, baseSequence: sequence))
        }
        try log.add([Keyed("a", "last")])
        try log.add(records: 1, size: 300)
        try log.sync()
        try log.clean(keeping: [Offset(3)])
        let heads = try log.fetchAll()
        let empty = heads.filter { $0.recordCount.rawValue == 0 && !$0.isHole }
        #expect(empty.map(\.baseOffset) == [Offset(3)])
        #expect(empty.first?.producerID == 5 && empty.first?.lastSequence == 3 && empty.first?.producerEpoch == 1)
        #expect(heads.reduce(0) { $0 + $1.slots } == 6)
    }

    @Test func keysBeyondTheMemoryWaitForTheNextCleaning() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 2_000, index: 1))
        for round in 0..<3 {
            for group in 0..<10 {
                try log.add((0..<10).map { Keyed("key \(group * 10 + $0)", "\(round)") })
            }
        }
        try log.add(records: 1, size: 3_000)
        try log.sync()
        let first = try #require(try log.clean(map: 24 * 60))
        let reached = log.cleanedTo
        #expect(reached > .zero && reached < LogIndex(300), "\(reached)")
        #expect(first.batchesUnread == 0)
        // What has been looked at is said in the checkpoint.
        try log.sync()
        try log.close()
        let again = try openLog(files, .small(segment: 2_000, index: 1))
        #expect(again.cleanedTo == reached)
        var rounds = 1
        while try again.clean(map: 24 * 60) != nil { rounds += 1 }
        #expect(rounds > 3 && again.cleanedTo >= LogIndex(300))
        let keyed = try again.found().filter { $0.record.key != nil }
        #expect(keyed.map(\.offset) == Array(200..<300), "the last of each key, and nothing else")
    }

    @Test func memoryIsBoundedByWhatWasAskedFor() {
        for size in [1 << 10, 1 << 16, 1 << 20] {
            var map = KeyMap(bytes: size, records: .max, seed: (3, 4))
            var count = 0
            while withUnsafeBytes(of: count.bigEndian, { map.note($0, at: Int64(count)) }) { count += 1 }
            #expect(count * KeyMap.entrySize <= size && count * KeyMap.entrySize > size / 2)
            for key in 0..<count {
                #expect(withUnsafeBytes(of: key.bigEndian) { map.last(of: $0) } == Int64(key))
            }
            #expect(withUnsafeBytes(of: count.bigEndian) { map.last(of: $0) } == nil)
        }
    }

    /// The test vector of the reference implementation is for 2-4 rounds; here only what a map needs.
    @Test func hashesDifferByKeyLengthAndSeed() {
        var seen: Set<[UInt64]> = []
        for length in 0..<40 {
            let bytes = [UInt8](repeating: 0, count: length)
            for seed in 0..<3 as Range<UInt64> {
                let hash = bytes.withUnsafeBytes { SipHash128.hash($0, (seed, 9)) }
                seen.insert([hash.0, hash.1])
            }
        }
        #expect(seen.count == 120)
    }

    @Test func readersInAReplacedSegmentGoOn() throws {
        try withFiles(.real) { files, directory in
            let log = try PartitionLog.open(
                directory: directory + "/p", in: files, limits: .small(segment: 200), now: time(0))
            for number in 0..<20 { try log.add([Keyed("a", "\(number)")]) }
            try log.sync()
            let pieces = try log.fetch(from: .zero, upTo: log.endOffset, limit: bytes(100_000))
            #expect(pieces.count > 1)
            try log.clean()
            let heads = try pieces.flatMap { try $0.heads() }
            #expect(heads.map(\.recordCount.rawValue) == Array(repeating: 1, count: 20))
            #expect(try log.found().count < 5)
        }
    }

    @Test func aTrimDuringACleaningEndsIt() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 120))
        for number in 0..<12 { try log.add([Keyed("a", "\(number)")]) }
        try log.sync()
        let cleaning = try #require(
            try log.beginCleaning(
                now: time(0), committed: log.end, rules: CleaningRules(), mapSize: bytes(4_096), seed: (1, 2)))
        _ = try log.applyRetention(now: time(0), bytes: bytes(500), milliseconds: nil, committed: log.end)
        var step = cleaning.step(bytes(1 << 20))
        while case .working = step { step = cleaning.step(bytes(1 << 20)) }
        guard case .cleaned(let segment, _) = step else {
            Issue.record("something is ready")
            return
        }
        let swap = try log.install(segment)
        #expect(!log.isCleaning, "what it was to replace is gone")
        #expect(swap.run())
        #expect(try files.list("/data/p").allSatisfy { !$0.contains(".1.") })
        #expect(try log.clean() != nil && log.found().map(\.record.value).last == "11")
    }

    @Test func whenACleaningIsDue() throws {
        let log = try keyed(
            try makeMachine(), (0..<6).map { [Keyed("a", "\($0)", at: Int64($0) * 100)] }, segment: 80)
        func share(_ rules: CleaningRules, now: Int64 = 1_000) -> Double? {
            log.cleanableShare(now: time(now), committed: log.end, rules: rules)
        }
        #expect(share(CleaningRules(minDirtyShare: 0.5)) == 1)
        #expect(share(CleaningRules(minDirtyShare: 1)) == nil)
        #expect(share(CleaningRules(minDirtyShare: 1, maxLag: 900)) == 1, "the oldest is older than that")
        #expect(share(CleaningRules(minDirtyShare: 1, maxLag: 1_000)) == nil)
        #expect(share(CleaningRules(minLag: 2_000)) == nil, "everything is too young")
        try log.clean(now: 1_000, rules: CleaningRules(minDirtyShare: 0, minLag: 850))
        #expect(log.cleanedTo == LogIndex(2), "the records at 0 and 100 are old enough")
        #expect(share(CleaningRules(minDirtyShare: 0)) ?? 0 > 0.4)
        try log.clean()
        #expect(share(CleaningRules(minDirtyShare: 0)) == nil, "there is nothing new")
    }

    @Test func whatCannotBeReadStaysAsItIs() throws {
        let log = try openLog(try makeMachine(), .small(segment: 300))
        try log.add([Keyed("a", "1")])
        // Says gzip, and is not: nothing that a validated batch can be, but a log may be older than its policy.
        var odd = try keyedBatch([Keyed("a", "2"), Keyed("b", "2")])
        odd.setInteger(UInt16(1), at: 21)
        let crc = odd.withUnsafeReadableBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[21...])) }
        odd.setInteger(crc, at: 17)
        try log.add(odd)
        try log.add([Keyed("a", "3")])
        try log.add(records: 1, size: 400)
        try log.sync()
        let outcome = try #require(try log.clean())
        #expect(outcome.batchesUnread == 1 && outcome.recordsDropped == 1)
        #expect(try log.entries()[1].count == odd.readableBytes)
    }

    @Test func rotIsFoundAndNothingIsReplaced() throws {
        let files = try makeMachine()
        let log = try keyed(files, (0..<4).map { [Keyed("a", "\($0)")] }, segment: 80)
        try files.flip(at: bytes(62), of: "/data/p/00000000000000000001.log")
        let names = try files.list("/data/p")
        #expect(refusal { try log.clean() }?.isCorrupt == true)
        #expect(try files.list("/data/p") == names && log.cleanedTo == .zero)
    }
}
