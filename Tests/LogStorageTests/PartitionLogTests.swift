// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Simulation
import Testing

/// What a log does while nothing goes wrong, on real and on simulated files.
struct PartitionLogTests {
    private typealias Log = PartitionLog<TestFiles>

    private func withLog(
        _ kind: DiskKind, _ limits: LogLimits = .small(),
        _ body: (PartitionLog<TestFiles>, TestFiles, String) throws -> Void
    ) throws {
        try withFiles(kind) { (files, directory) throws in
            let log = try Log.open(directory: directory + "/p", in: files, limits: limits, now: time(0))
            try body(log, files, directory + "/p")
        }
    }

    @Test(arguments: DiskKind.allCases)
    func aNewLogIsEmptyAndClean(kind: DiskKind) throws {
        try withLog(kind) { (log, _, _) throws in
            #expect(log.start == .origin && log.end == .zero && log.endOffset == .zero && log.durable == .zero)
            #expect(log.lastEntry == .empty && log.size == .zero && !log.isDirty && log.terms.rows.isEmpty)
            #expect(log.recovery.wasClean && log.recovery.segments.isEmpty)
            #expect(try log.read(from: .zero, limit: bytes(10)).bytes.isEmpty)
            #expect(try log.fetch(from: .zero, upTo: Offset(9), limit: bytes(10)).isEmpty)
            #expect(log.beginSync() == nil)
            #expect(try log.offset(atOrAfter: time(0), upTo: .zero) == nil)
            #expect(try log.maxTimestamp(upTo: .zero) == nil)
        }
    }

    @Test(arguments: DiskKind.allCases)
    func whatIsAppendedIsReadAtOnceAndDurableOnlyAfterASync(kind: DiskKind) throws {
        try withLog(kind) { (log, _, _) throws in
            try log.addMarker()
            try log.add(records: 3)
            #expect(log.end == LogIndex(4) && log.endOffset == Offset(3) && log.durable == .zero && log.isDirty)
            #expect(log.beginSync() == nil, "nothing is written out")
            let before = try log.entries()
            #expect(before.count == 2)
            try log.writeOut()
            #expect(log.durable == .zero)
            let ticket = try #require(log.beginSync())
            #expect(log.beginSync() == nil, "one at a time")
            try log.add(records: 2)
            try log.writeOut()
            #expect(try log.completeSync(ticket, ticket.run()) == LogIndex(4), "only what the sync covers")
            #expect(log.isDirty)
            try log.sync()
            #expect(log.durable == LogIndex(6) && !log.isDirty)
            #expect(try log.entries().prefix(2) == before[...])
        }
    }

    @Test(arguments: DiskKind.allCases, [0, 1 << 20] as [Int64])
    func readsAreCutAtEntriesAndSayWhichTermWroteWhat(kind: DiskKind, tail: Int64) throws {
        try withLog(kind, .small(segment: 1 << 20, tail: tail)) { (log, _, _) throws in
            for number in 0..<12 { try log.add(records: 2, size: 50, term: Int32(1 + number / 4)) }
            try log.writeOut()
            let one = log.size.rawValue / 12
            let all = try log.read(from: .zero, limit: log.size)
            #expect(
                all.runs == [8, 16, 24].enumerated().map { LogPosition(term: Term(Int32($0 + 1)), end: LogIndex($1)) })
            #expect(all.through == LogPosition(term: Term(3), end: LogIndex(24)) && all.size == log.size)
            let some = try log.read(from: LogIndex(6), limit: bytes(one * 3 - 1))
            #expect(some.through == LogPosition(term: Term(2), end: LogIndex(10)) && some.size == bytes(one * 2))
            #expect(some.runs == [LogPosition(term: Term(1), end: LogIndex(8)), some.through])
            #expect(try log.read(from: LogIndex(22), limit: bytes(1)).size == bytes(one), "at least one entry")
            #expect(refusal { _ = try log.read(from: LogIndex(7), limit: bytes(1)) }?.isCorrupt == true)
            let empty = try log.read(from: log.end, limit: bytes(1))
            #expect(empty.bytes.isEmpty && empty.through == log.lastEntry && empty.runs.isEmpty)
        }
    }

    @Test func entriesInMemoryAreReadWithoutACopy() throws {
        try withLog(.simulated, .small(tail: 1 << 20)) { (log, _, _) throws in
            var batch = try makeBatch(records: 5, size: 100)
            EntryHead.assign(baseOffset: .zero, term: Term(1), in: &batch)
            log.append(batch, heads: [try EntryHead.parse(batch)])
            try log.sync()
            let read = try #require(try log.read(from: .zero, limit: bytes(1)).bytes.first)
            let address = batch.withUnsafeReadableBytes { $0.baseAddress }
            #expect(read.withUnsafeReadableBytes { $0.baseAddress } == address)
            // A log that has not grown between two calls is idle and lets go of them.
            try log.checkpoint()
            try log.checkpoint()
            let reread = try #require(try log.read(from: .zero, limit: bytes(1)).bytes.first)
            #expect(reread.withUnsafeReadableBytes { $0.baseAddress } != address && reread == batch)
        }
    }

    @Test(arguments: DiskKind.allCases)
    func markersTakeSlotsButNoOffsetsAndAreNeverFetched(kind: DiskKind) throws {
        try withLog(kind, .small(segment: 1 << 20)) { (log, _, _) throws in
            try log.addMarker(term: 1)
            try log.add(records: 2, term: 1)
            try log.addMarker(term: 2)
            try log.addMarker(term: 2, kind: .membership)
            try log.add(records: 1, term: 2)
            try log.addMarker(term: 2)
            #expect(log.end == LogIndex(7) && log.endOffset == Offset(3))
            #expect((0...7).map { log.offset(at: LogIndex($0)).rawValue } == [0, 0, 1, 2, 2, 2, 3, 3])
            #expect((0...3).map { log.index(of: Offset($0)).rawValue } == [1, 2, 5, 7])
            for isWritten in [false, true] {
                if isWritten { try log.writeOut() }
                let pieces = try log.fetch(from: .zero, upTo: Offset(3), limit: bytes(1 << 20))
                #expect(pieces.count == 2)
                #expect(try pieces.flatMap { try $0.heads() }.map(\.baseOffset.rawValue) == [0, 2])
                let second = try log.fetch(from: Offset(2), upTo: Offset(3), limit: bytes(1))
                #expect(try second.flatMap { try $0.heads() }.map(\.baseOffset.rawValue) == [2])
            }
        }
    }

    @Test(arguments: DiskKind.allCases)
    func aFetchStaysBelowTheWatermarkAndWithinTheLimit(kind: DiskKind) throws {
        try withLog(kind, .small(segment: 1_500, index: 100)) { (log, _, _) throws in
            for number in 0..<30 {
                if number % 7 == 3 { try log.addMarker() }
                try log.add(records: 2, size: 60)
                if number == 25 { try log.writeOut() }
            }
            let size = try log.fetchAll().first.map { Int64($0.totalSize) } ?? 0
            #expect(try log.fetchAll().count == 30)
            #expect(try log.fetchAll(upTo: Offset(40)).count == 20)
            #expect(try log.fetchAll(upTo: Offset(1_000)).count == 30)
            func fetched(_ from: Int64, _ upTo: Int64, _ limit: Int64) throws -> [Int64] {
                try log.fetch(from: Offset(from), upTo: Offset(upTo), limit: bytes(limit))
                    .flatMap { try $0.heads() }.map(\.baseOffset.rawValue)
            }
            #expect(try fetched(5, 60, 1) == [4], "the batch that holds the offset, whole")
            #expect(try fetched(4, 60, size * 3 - 1) == [4, 6])
            #expect(try fetched(4, 60, size * 3) == [4, 6, 8] || fetched(4, 60, size * 3 + 70) == [4, 6, 8])
            #expect(try fetched(58, 60, 1) == [58])
            #expect(try fetched(50, 57, 10_000) == [50, 52, 54], "a batch across the bound stays out")
            #expect(try fetched(4, 9, 10_000) == [4, 6])
            #expect(try fetched(10, 10, 100) == [])
            #expect(refusal { _ = try fetched(61, 70, 1) } == .outOfRange(available: Offset(0)..<Offset(60)))
            #expect(try fetched(60, 70, 1) == [])
        }
    }

    @Test(arguments: DiskKind.allCases)
    func segmentsRollBySizeAtEntries(kind: DiskKind) throws {
        try withLog(kind, .small(segment: 1_000)) { (log, files, directory) throws in
            for _ in 0..<20 { try log.add(records: 1, size: 200) }
            try log.add(records: 1, size: 3_000)
            try log.add(records: 1, size: 200)
            try log.writeOut()
            let names = try files.list(directory).filter { $0.hasSuffix(".log") }
            #expect(
                names == [0, 3, 6, 9, 12, 15, 18, 20, 21].map { "000000000000000000\($0 < 10 ? "0" : "")\($0).log" })
            for name in names.dropLast(2) { #expect(try files.size(of: directory + "/" + name) <= bytes(1_000)) }
            try log.sync()
            #expect(log.durable == LogIndex(22))
            #expect(try log.entries().count == 22)
            #expect(try log.fetchAll(limit: 2_000).count == 22)
        }
    }

    @Test(arguments: DiskKind.allCases)
    func segmentsRollByTheTimeOfTheirBatches(kind: DiskKind) throws {
        try withLog(kind, .small(segment: 1 << 20, milliseconds: 1_000)) { (log, files, directory) throws in
            for at in [5_000, 5_999, 3_000, 6_000, 6_500, 7_000] as [Int64] {
                try log.addMarker()
                try log.add(at: at)
                try log.writeOut()
            }
            try log.add(at: 1 << 62 - 20)
            try log.add(at: -(1 << 62 - 20))
            try log.writeOut()
            let names = try files.list(directory).filter { $0.hasSuffix(".log") }.map { $0.suffix(6).prefix(2) }
            #expect(names == ["00", "07", "11", "12"])
            #expect(try log.entries().count == 14)
        }
    }

    @Test(arguments: DiskKind.allCases, [0, 1 << 20] as [Int64])
    func truncationReachesAcrossSegments(kind: DiskKind, tail: Int64) throws {
        try withLog(kind, .small(segment: 1_000, tail: tail)) { (log, files, directory) throws in
            for number in 0..<20 {
                if number % 5 == 0 { try log.addMarker(term: Int32(1 + number / 5)) }
                try log.add(records: 1, size: 200, at: Int64(number), term: Int32(1 + number / 5))
            }
            try log.sync()
            let before = try log.entries()
            try log.add(records: 4, size: 10, term: 4)
            #expect(refusal { try log.truncate(to: LogIndex(25)) }?.isCorrupt == true)
            #expect(log.end == LogIndex(28), "a refused truncation changes nothing")
            try log.truncate(to: LogIndex(24))
            #expect(log.durable == LogIndex(24), "what was only in memory goes without a trace")
            #expect(!log.isDirty)

            try log.truncate(to: LogIndex(8))
            #expect(log.end == LogIndex(8) && log.durable == LogIndex(8) && log.endOffset == Offset(6))
            #expect(log.lastEntry == LogPosition(term: Term(2), end: LogIndex(8)))
            #expect(try log.entries() == Array(before.prefix(8)))
            #expect(try log.maxTimestamp(upTo: log.endOffset)?.timestamp == time(5))
            #expect(try files.list(directory).filter { $0.hasSuffix(".log") }.count == 3)
            #expect(log.isDirty, "the truncation itself is to be synchronized")

            try log.add(records: 1, size: 10, term: 9)
            try log.writeOut()
            let sizeOnDisk = try files.list(directory).filter { $0.hasSuffix(".log") }
                .reduce(0) { $0 + (try files.size(of: directory + "/" + $1)).rawValue }
            #expect(sizeOnDisk < log.size.rawValue, "nothing is written over what was cut before the cut is durable")
            #expect(try log.entries().count == 9)
            try log.sync()
            #expect(log.durable == LogIndex(8) && log.isDirty)
            try log.sync()
            #expect(log.durable == LogIndex(9) && !log.isDirty)
            try log.truncate(to: .zero)
            #expect(log.end == .zero && log.lastEntry == .empty && log.terms.rows.isEmpty && log.size == .zero)
            try log.sync()
            try log.add(term: 10)
            try log.sync()
            #expect(try log.entries().count == 1)
        }
    }

    @Test(arguments: DiskKind.allCases)
    func aRestartLeavesAnEmptyLogAtTheAnchor(kind: DiskKind) throws {
        try withFiles(kind) { (files, directory) throws in
            let path = directory + "/p"
            func open() throws -> PartitionLog<TestFiles> {
                try PartitionLog.open(directory: path, in: files, limits: .small(segment: 1_000), now: time(0))
            }
            var log = try open()
            for _ in 0..<9 { try log.add(size: 300) }
            try log.sync()
            // The anchor falls together with the base of a segment that is there.
            let anchor = LogAnchor(position: LogPosition(term: Term(4), end: LogIndex(3)), offset: Offset(2))
            try log.restart(at: anchor)
            for isReopened in [false, true] {
                if isReopened { log = try open() }
                #expect(log.start == anchor && log.end == LogIndex(3) && log.endOffset == Offset(2))
                #expect(log.durable == LogIndex(3) && log.lastEntry == anchor.position && log.size == .zero)
                #expect(!log.isDirty && log.terms.rows.isEmpty)
                #expect(try files.list(path) == ["checkpoint", "durable"])
                #expect(refusal { _ = try log.read(from: .zero, limit: bytes(1)) } == .beforeStart(anchor))
                #expect(
                    refusal { _ = try log.fetch(from: .zero, upTo: Offset(9), limit: bytes(1)) }
                        == .outOfRange(available: Offset(2)..<Offset(2)))
                #expect(refusal { try log.truncate(to: .zero) } == .beforeStart(anchor))
            }
            try log.addMarker(term: 5)
            try log.add(term: 5)
            try log.sync()
            log = try open()
            #expect(log.end == LogIndex(5) && log.endOffset == Offset(3) && log.index(of: Offset(2)) == LogIndex(4))
        }
    }

    @Test(arguments: DiskKind.allCases)
    func retentionBySizeRemovesEndedCommittedSegments(kind: DiskKind) throws {
        try withLog(kind, .small(segment: 1_000)) { (log, files, directory) throws in
            try log.addMarker(term: 1)
            for number in 0..<20 { try log.add(size: 200, term: Int32(1 + number / 3)) }
            try log.sync()
            let all = try log.entries()
            let held = try #require(try log.fetch(from: .zero, upTo: Offset(1), limit: bytes(1)).first)
            #expect(try log.applyRetention(now: time(0), bytes: log.size, milliseconds: nil, committed: log.end) == nil)
            #expect(
                try log.applyRetention(now: time(0), bytes: bytes(0), milliseconds: nil, committed: LogIndex(3)) == nil)

            let moved = try log.applyRetention(now: time(0), bytes: bytes(0), milliseconds: nil, committed: LogIndex(9))
            #expect(moved == LogAnchor(position: LogPosition(term: Term(2), end: LogIndex(7)), offset: Offset(6)))
            #expect(log.start == moved && log.terms.rows.first?.start == LogIndex(7))
            #expect(try log.entries() == Array(all[7...]))
            #expect(try held.heads().map(\.baseOffset) == [.zero], "a reader keeps what it has")
            #expect(
                refusal { _ = try log.fetch(from: Offset(5), upTo: Offset(9), limit: bytes(1)) }
                    == .outOfRange(available: Offset(6)..<Offset(20)))

            _ = try log.applyRetention(now: time(0), bytes: bytes(0), milliseconds: nil, committed: log.end)
            #expect(try files.list(directory).filter { $0.hasSuffix(".log") }.count == 1, "the last one stays")
            #expect(log.start.position.end == LogIndex(19) && log.size.rawValue > 0)
            let again = try PartitionLog.open(directory: directory, in: files, limits: .small(), now: time(0))
            #expect(again.start == log.start && again.end == log.end)
            #expect(try again.entries() == Array(all[19...]))
        }
    }

    @Test(arguments: DiskKind.allCases)
    func retentionByTimeGoesByTheYoungestRecord(kind: DiskKind) throws {
        try withLog(kind, .small(segment: 600)) { (log, _, _) throws in
            for at in [100, 900, 200, 300, 400, 500, 600, 700] as [Int64] { try log.add(size: 200, at: at) }
            try log.sync()
            func apply(_ now: Int64) throws -> Int64? {
                try log.applyRetention(now: time(now), bytes: nil, milliseconds: 1_000, committed: log.end)?.offset
                    .rawValue
            }
            #expect(try apply(1_850) == nil, "the first segment holds a record of 900")
            #expect(try apply(1_901) == 6)
            #expect(try apply(1 << 50) == nil)
        }
    }

    @Test(arguments: DiskKind.allCases, [Codec.none, .gzip, .snappy, .lz4, .zstd])
    func recordsAreFoundByTimeInsideCompressedBatches(kind: DiskKind, codec: Codec) throws {
        try withLog(kind, .small(segment: 2_000, index: 200)) { (log, _, _) throws in
            var times: [Int64] = []
            for number in 0..<40 as Range<Int64> {
                if number % 9 == 0 { try log.addMarker() }
                let begin = number == 20 ? 100_000 : number * 100
                try log.add(try makeBatch(records: 8, size: 30, at: begin, codec: codec))
                times += (0..<8).map { begin + $0 }
                if number == 35 { try log.writeOut() }
            }
            for wanted in [-5, 0, 3, 8, 1_900, 1_903, 1_950, 3_907, 3_908, 100_003, 100_008] as [Int64] {
                let naive = times.firstIndex { $0 >= wanted }
                let found = try log.offset(atOrAfter: time(wanted), upTo: log.endOffset)
                #expect(found?.offset.rawValue == naive.map(Int64.init), "\(wanted)")
                #expect(found?.timestamp.milliseconds == naive.map { times[$0] })
                #expect(found == nil || found?.term == Term(1))
            }
            #expect(try log.offset(atOrAfter: time(1_903), upTo: Offset(155)) == nil, "not beyond the watermark")
            for upTo in [8, 160, 164, 168, 200, 320] as [Int] {
                let naive = try #require(times[..<(upTo / 8 * 8)].max())
                let found = try log.maxTimestamp(upTo: Offset(Int64(upTo)))
                #expect(found?.timestamp.milliseconds == naive, "\(upTo)")
                #expect(found?.offset.rawValue == times.firstIndex(of: naive).map(Int64.init))
            }
        }
    }

    @Test func aReadLogIsFoundThroughItsIndexWithoutReadingAll() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 1 << 30, index: 4_096))
        for number in 0..<2_000 { try log.add(size: 200, at: Int64(number)) }
        try log.sync()
        files.fail(.read, after: 40)
        // Two index blocks and a few windows of heads each: about ten reads, not thousands.
        _ = try log.read(from: LogIndex(1_500), limit: bytes(1))
        _ = try log.fetch(from: Offset(1_000), upTo: Offset(1_900), limit: bytes(20_000))
        _ = try log.offset(atOrAfter: time(700), upTo: Offset(1_900))
        files.heal()
    }
}
