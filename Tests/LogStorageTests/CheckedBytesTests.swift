// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import RecordBatches
import Simulation
import Testing

@testable import LogStorage

/// What has rotted while a log was closed is found before a consumer is sent it.
struct CheckedBytesTests {
    /// Fetches from the start on, and gives the heads of what was sent, whose checksums match, and why it ended early.
    private func fetched(_ log: SimLog, limit: Int64) throws -> (heads: [EntryHead], refusal: LogError?) {
        var heads: [EntryHead] = []
        var at = log.start.offset
        while at < log.endOffset {
            let pieces: [FetchPiece<SimFileSystem.File>]
            do throws(LogError) {
                pieces = try log.fetch(from: at, upTo: log.endOffset, limit: bytes(limit))
            } catch {
                return (heads, error)
            }
            let some = try pieces.flatMap { try $0.heads() }
            at = try #require(some.last, "nothing at \(at) of \(log.endOffset)").nextOffset
            heads += some
        }
        return (heads, nil)
    }

    @Test(arguments: [300, 5_000] as [Int64]) func noWrongBitIsEverSent(limit: Int64) throws {
        let (files, twin) = try DamageTests.twins()
        let all = try twin.fetchAll()
        let entries = try twin.entries()
        let paths = try DamageTests.logFiles(files)
        let pristine = try paths.map { try files.bytes(of: $0) }
        var refusals = 0
        for (path, content) in zip(paths, pristine) {
            for position in stride(from: 0, to: content.count, by: 29) {
                try files.flip(bit: position % 8, at: bytes(Int64(position)), of: path)
                let log = try openLog(files, DamageTests.limits)
                let (heads, refusal) = try fetched(log, limit: limit)
                #expect(heads == Array(all.prefix(heads.count)), "\(path) \(position)")
                // A marker that has rotted is nothing that a consumer is sent.
                #expect(refusal?.isCorrupt ?? (heads == all), "\(path) \(position): \(String(describing: refusal))")
                if refusal != nil { refusals += 1 }
                _ = try DamageTests.scrub(log)
                #expect(log.damage.count == 1, "\(path) \(position)")
                try DamageTests.repair(log, from: twin)
                #expect(try log.fetchAll() == all && log.entries() == entries, "\(path) \(position)")
                try log.close()
                try DamageTests.restore(files, paths, pristine)
            }
        }
        #expect(refusals > 50)
    }

    @Test func whatWasCheckedOrWrittenHereIsNotCheckedAgain() throws {
        let (files, _) = try DamageTests.twins()
        let log = try openLog(files, DamageTests.limits)
        let segment = try #require(log.segments.first)
        #expect(!segment.checked.contains(0..<segment.size))
        #expect(try DamageTests.scrub(log) == [])
        for segment in log.segments { #expect(segment.checked.contains(0..<segment.size)) }
        try log.add(size: 40, at: 99, term: 2)
        try log.sync()
        let last = try #require(log.segments.last)
        #expect(last.checked.contains(0..<last.size))
        let again = try openLog(files, DamageTests.limits)
        _ = try again.fetchAll()
        let first = try #require(again.segments.first)
        #expect(first.checked.contains(0..<first.size))
    }

    /// Against a set of single bytes.
    @Test(arguments: 0..<200) func rangesAreKeptAsASetWouldBe(seed: UInt64) {
        var random = SimRandom(seed: seed)
        let size = Int64(random.below(400))
        var checked = CheckedBytes(of: size)
        var model = Set(size..<1_000)
        for _ in 0..<60 {
            let from = Int64(random.below(500))
            let range = from..<min(from + 1 + Int64(random.below(40)), 500)
            switch random.below(10) {
            case 0:
                checked.cut(at: from)
                model.formUnion(from..<1_000)
            case 1..<5:
                checked.add(range)
                model.formUnion(range)
            default:
                #expect(checked.contains(range) == range.allSatisfy(model.contains), "\(range)")
            }
        }
    }

    @Test func manyReadersCostNoMoreThanTheirLastPlaces() {
        var checked = CheckedBytes(of: 1_000_000)
        for number in 0..<1_000 as Range<Int64> { checked.add(number * 100..<number * 100 + 1 + number % 50) }
        let kept = (0..<1_000 as Range<Int64>).count { checked.contains($0 * 100..<$0 * 100 + 1) }
        #expect(kept == 64)
    }
}
