// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches
import Simulation
import Testing

@testable import LogStorage

/// Opening after a stop, a kill, a loss of power, and damage.
struct RecoveryTests {
    private let first = "/data/p/00000000000000000000.log"

    /// T-D3 (KAFKA-16541).
    /// T-D5 (KAFKA-15375).
    @Test(arguments: DiskKind.allCases)
    func afterACleanCloseNothingIsScanned(kind: DiskKind) throws {
        try withFiles(kind) { (files, directory) throws in
            func open() throws -> PartitionLog<TestFiles> {
                try PartitionLog.open(directory: directory + "/p", in: files, limits: .small(), now: time(0))
            }
            let log = try open()
            for number in 0..<60 { try number % 10 == 0 ? log.addMarker() : log.add(size: 300, at: Int64(number)) }
            let (entries, lastEntry, endOffset) = (try log.entries(), log.lastEntry, log.endOffset)
            try log.close()
            #expect(refusal { try log.writeOut() } == .failed)
            for _ in 0..<2 {
                let again = try open()
                #expect(again.recovery.wasClean && again.recovery.scanned == .zero && again.recovery.cut == .zero)
                #expect(again.recovery.segments.allSatisfy { $0.row == "A" } && again.recovery.segments.count > 3)
                #expect(again.lastEntry == lastEntry && again.endOffset == endOffset && again.durable == lastEntry.end)
                #expect(try again.entries() == entries && !again.isDirty)
                #expect(try again.maxTimestamp(upTo: endOffset)?.timestamp == time(59))
                try again.close()
            }
        }
    }

    @Test func aKilledLogIsScannedFromItsCheckpointOnly() throws {
        let files = try makeMachine()
        var log = try openLog(files, .small(segment: 1 << 20))
        for _ in 0..<50 { try log.add(size: 300) }
        try log.checkpoint()
        try log.sync()
        let before = log.size
        for _ in 0..<5 { try log.add(size: 300) }
        try log.sync()
        let entries = try log.entries()
        files.crash(.nothing)
        log = try openLog(files, .small(segment: 1 << 20))
        #expect(!log.recovery.wasClean && log.recovery.scanned == log.size - before, "\(log.recovery)")
        #expect(try log.entries() == entries && log.durable == LogIndex(55))
        files.crash(.all)
        log = try openLog(files, .small(segment: 1 << 20))
        #expect(log.recovery.scanned == .zero && log.end == LogIndex(55), "what recovery found is durable")
    }

    @Test func whatLiesInThePageCacheCountsOnlyOnceItIsSynchronized() throws {
        let files = try makeMachine()
        var log = try openLog(files)
        try log.add(size: 300)
        try log.writeOut()
        files.crash(.nothing)
        log = try openLog(files)
        #expect(log.end == LogIndex(1) && log.durable == LogIndex(1))
        files.crash(.all)
        log = try openLog(files)
        #expect(log.end == LogIndex(1))
    }

    @Test func aSyncedSegmentMovesTheCheckpointBehindIt() throws {
        let files = try makeMachine()
        var log = try openLog(files, .small(segment: 1_000))
        for _ in 0..<30 {
            try log.add(size: 300)
            try log.sync()
        }
        files.crash(.all)
        log = try openLog(files, .small(segment: 1_000))
        #expect(log.recovery.scanned < bytes(1_000) && log.end == LogIndex(30), "\(log.recovery)")
    }

    /// T-D6 (redpanda 056b711ae8).
    @Test func everyTornTailIsCutToTheEntryBeforeIt() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 1 << 20))
        try log.add(size: 20)
        try log.addMarker()
        try log.sync()
        let whole = log.size.rawValue
        let entries = try log.entries()
        try log.add(records: 2, size: 20)
        try log.writeOut()
        let content = try files.bytes(of: first)
        for size in Int(whole)..<content.count {
            for isZeroed in [false, true] {
                // The last bytes may be zeros themselves.
                if isZeroed, content[size...].allSatisfy({ $0 == 0 }) { continue }
                files.crash(.nothing)
                let file = try files.open(first, .existing)
                try file.truncate(to: bytes(Int64(size)))
                // What the disk did not get may also be there as zeros.
                if isZeroed { try file.truncate(to: bytes(Int64(content.count))) }
                try files.removeTree("/data/p/checkpoint")
                try writeCheckpoint(to: files)
                let torn = try openLog(files, .small(segment: 1 << 20))
                #expect(try torn.entries() == entries, "\(size)")
                #expect(torn.recovery.segments.map(\.row) == [size == Int(whole) && !isZeroed ? "A" : "C"])
                #expect(try files.bytes(of: first).count == Int(whole))
                try torn.add(size: 5)
                try torn.sync()
                try restore(content, files)
            }
        }
    }

    /// The checkpoint of a log of which nothing is promised.
    private func writeCheckpoint(to files: SimFileSystem) throws {
        let bytes = Checkpoint(emptyAt: .origin).encoded()
        let file = try files.open("/data/p/checkpoint", .createNew)
        try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in try file.write([bytes], at: .zero) }
    }

    private func restore(_ content: [UInt8], _ files: SimFileSystem) throws {
        let file = try files.open(first, .existing)
        try content.withUnsafeBufferPointer { (content) throws(DiskError) in
            try file.write([UnsafeRawBufferPointer(content)], at: .zero)
        }
    }

    @Test func everyFlippedBitInTheTailEndsTheLogBeforeIt() throws {
        for position in 0..<90 {
            let files = try makeMachine()
            let log = try openLog(files)
            try log.add(size: 20)
            try log.sync()
            let size = Int(log.size.rawValue)
            try log.add(size: 20)
            try log.add(size: 20)
            try log.writeOut()
            guard position < size else { break }
            files.crash(.nothing)
            try files.flip(bit: position % 8, at: bytes(Int64(size + position)), of: first)
            let again = try openLog(files)
            // The term lies outside the checksum, and a higher one is as good as another: peers compare it.
            let isTerm = (12..<16).contains(position)
            #expect(again.end <= LogIndex(isTerm ? 3 : 1), "\(position)")
            #expect(again.end >= LogIndex(1))
        }
    }

    /// T-D13 (tigerbeetle).
    @Test func damageBelowTheRecoveryPointIsAnErrorAndNeverCut() throws {
        let files = try makeMachine()
        var log = try openLog(files)
        for _ in 0..<5 { try log.add(size: 200) }
        try log.close()
        files.crash(.all)
        let content = try files.bytes(of: first)
        for position in stride(from: 0, to: content.count, by: 7) {
            files.crash(.nothing)
            log = try openLog(files)
            try files.flip(at: bytes(Int64(position)), of: first)
            #expect(refusal { _ = try log.entries() }?.isCorrupt == true, "\(position)")
            try files.flip(at: bytes(Int64(position)), of: first)
            #expect(try files.bytes(of: first) == content)
        }
    }

    /// T-S4 (KAFKA 8c8b5366a69).
    /// T-D11 (ra f68c255a).
    @Test func promisedBytesThatAreGoneAreAnError() throws {
        func prepared() throws -> SimFileSystem {
            let files = try makeMachine()
            let log = try openLog(files, .small(segment: 1_000))
            for _ in 0..<10 { try log.add(size: 300) }
            try log.close()
            files.crash(.all)
            return files
        }
        var files = try prepared()
        try files.open(first, .existing).truncate(to: bytes(100))
        var log = try openLog(files)
        #expect(log.damage.map(\.range) == [LogIndex(0)..<LogIndex(2)] && log.end == LogIndex(10), "\(log.damage)")
        #expect(try files.bytes(of: first).count == 100, "nothing is cut")

        files = try prepared()
        try files.remove(first)
        log = try openLog(files)
        #expect(log.damage.map(\.range) == [LogIndex(0)..<LogIndex(2)] && log.end == LogIndex(10), "\(log.damage)")
        #expect(try log.read(from: LogIndex(2), limit: bytes(10)).runs.count == 1)
        #expect(refusal { _ = try log.read(from: LogIndex(1), limit: bytes(10)) }?.isCorrupt == true)

        files = try prepared()
        try files.remove("/data/p/checkpoint")
        #expect(refusal { _ = try openLog(files) }?.isCorrupt == true)

        let size = try files.size(of: first)
        #expect(size.rawValue > 0)
        files = try prepared()
        for position in try files.bytes(of: "/data/p/checkpoint").indices {
            try files.flip(bit: 3, at: bytes(Int64(position)), of: "/data/p/checkpoint")
            #expect(refusal { _ = try openLog(files) }?.isCorrupt == true, "\(position)")
            try files.flip(bit: 3, at: bytes(Int64(position)), of: "/data/p/checkpoint")
        }
        #expect(try openLog(files).end == LogIndex(10))
    }

    /// T-D15 (redpanda dcd6bd96b2).
    @Test func missingAndDamagedIndexesAreBuiltAnew() throws {
        let files = try makeMachine()
        let limits = LogLimits.small(segment: 20_000, index: 400)
        var log = try openLog(files, limits)
        for number in 0..<200 { try number % 20 == 7 ? log.addMarker() : log.add(size: 200, at: Int64(number)) }
        let (entries, heads) = (try log.entries(), try log.fetchAll())
        try log.close()
        files.crash(.all)
        for damage in 0..<4 {
            files.crash(.nothing)
            for name in try files.list("/data/p") where name.hasSuffix(".index") {
                let path = "/data/p/" + name
                switch damage {
                case 0: try files.remove(path)
                case 1: try files.open(path, .existing).truncate(to: bytes(40))
                case 2: try files.flip(bit: 5, at: bytes(try files.size(of: path).rawValue - 30), of: path)
                default:
                    // In the middle, where opening does not look: met when it is used.
                    let rows = try files.size(of: path).rawValue / 32
                    for row in 1..<max(1, rows - 1) {
                        try files.flip(bit: 2, at: bytes(row * 32 + 9), of: path)
                    }
                }
            }
            log = try openLog(files, limits)
            #expect(log.recovery.segments.allSatisfy { $0.row == (damage < 3 ? "B" : "A") }, "\(log.recovery)")
            #expect(try log.entries(limit: 1) == entries && log.fetchAll(limit: 1) == heads)
            #expect(try log.offset(atOrAfter: time(133), upTo: log.endOffset)?.timestamp == time(133))
            try log.close()
            files.crash(.all)
            log = try openLog(files, limits)
            #expect(log.recovery.wasClean)
        }
    }

    @Test func filesLeftFromBeforeAreRemoved() throws {
        let files = try makeMachine()
        var log = try openLog(files, .small(segment: 1_000))
        for _ in 0..<10 { try log.add(size: 300) }
        try log.sync()
        // The power goes after the checkpoint said that the segments are gone, and before they were.
        files.fail(.remove, times: 100)
        let anchor = try #require(
            try log.applyRetention(now: time(0), bytes: .zero, milliseconds: nil, committed: log.end))
        files.heal()
        files.crash(.all)
        #expect(try files.exists(first))
        log = try openLog(files, .small(segment: 1_000))
        #expect(log.start == anchor && log.end == LogIndex(10))
        #expect(try !files.exists(first))
        // The same for a segment whose predecessor lost its end.
        for _ in 0..<3 { try log.add(size: 300) }
        try log.writeOut()
        let names = try files.list("/data/p").filter { $0.hasSuffix(".log") }
        files.crash(.nothing)
        let cut = try files.open("/data/p/" + names[names.count - 2], .existing)
        try cut.truncate(to: bytes(try cut.size().rawValue - 1))
        try files.synchronizeDirectory("/data/p")
        log = try openLog(files, .small(segment: 1_000))
        #expect(log.recovery.segments.map(\.row).suffix(2) == ["C", "E"], "\(log.recovery)")
        #expect(try files.list("/data/p").filter { $0.hasSuffix(".log") }.count == names.count - 1)
        #expect(log.end == LogIndex(11))
    }

    @Test(arguments: 0..<12)
    func aRestartThatIsInterruptedLeavesTheOldLogOrTheNew(step: Int) throws {
        for seed in 0..<20 as Range<UInt64> {
            let files = try makeMachine(seed: seed)
            var log = try openLog(files, .small(segment: 1_000))
            for _ in 0..<10 { try log.add(size: 300) }
            try log.sync()
            let anchor = LogAnchor(position: LogPosition(term: Term(3), end: LogIndex(6)), offset: Offset(6))
            let operations: [DiskError.Operation] = [.write, .synchronize, .rename, .remove]
            files.fail(operations[step % 4], after: step / 4)
            if (try? log.restart(at: anchor)) == nil {
                #expect(refusal { try log.writeOut() } == .failed)
            }
            files.heal()
            files.crash()
            log = try openLog(files, .small(segment: 1_000))
            let isOld = log.start == .origin && log.end == LogIndex(10)
            let isNew = log.start == anchor && log.end == LogIndex(6)
            #expect(isOld || isNew, "\(log.start) \(log.end)")
        }
    }

    @Test(arguments: 0..<16)
    func everySituationMeetsExactlyOneRow(bits: Int) {
        func bit(_ place: Int) -> Bool { bits >> place & 1 == 1 }
        let facts = RecoveryTable.Facts(
            promiseIsKept: bit(0), connects: bit(1), tailIsWhole: bit(2), indexMatches: bit(3))
        #expect(RecoveryTable.rows.filter { $0.matches(facts) }.count == 1)
        #expect((RecoveryTable.decide(facts).decision == .openDamaged) == !bit(0), "what was promised is never cut")
    }

    @Test func checkpointsReadBackAndShortOnesAreRefused() throws {
        var checkpoint = Checkpoint(
            emptyAt: LogAnchor(position: LogPosition(term: Term(2), end: LogIndex(5)), offset: Offset(4)))
        checkpoint.isClean = true
        checkpoint.recoveryPoint = LogIndex(90)
        checkpoint.terms.note(Term(3), at: LogIndex(5))
        checkpoint.terms.note(Term(7), at: LogIndex(60))
        for slot in [5, 6, 60] as [Int64] { checkpoint.markers.note(LogIndex(slot)) }
        checkpoint.segments = [
            SegmentSummary(base: LogIndex(5), size: 700, indexRows: 3, firstTimestamp: nil, maxTimestamp: .min),
            SegmentSummary(base: LogIndex(60), size: 70, indexRows: 0, firstTimestamp: -1, maxTimestamp: 8),
        ]
        let bytes = checkpoint.encoded()
        #expect(try Checkpoint(decoding: bytes) == checkpoint)
        for size in 0..<bytes.readableBytes {
            let part = try #require(bytes.getSlice(at: bytes.readerIndex, length: size))
            #expect(throws: Checkpoint.Flaw.self) { try Checkpoint(decoding: part) }
        }
    }
}
