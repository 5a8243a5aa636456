// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Simulation
import Testing

/// Bugs that other logs have had on disk; Tests/History.md lists all.
struct HistoryTests {
    /// T-D6 (redpanda 056b711ae8): it may be any number. CRCs are linear in what they are of, so one can be solved for.
    @Test func aBatchWhoseChecksumIsZeroIsABatch() throws {
        let plain = try makeBatch(size: 40)
        let place = plain.writerIndex - 6
        func checksum(_ word: UInt32) -> UInt32 {
            var batch = plain
            batch.setInteger(word, at: place)
            return batch.withUnsafeReadableBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[21...])) }
        }
        // What each bit of the word changes; then elimination, from the highest bit of the checksum on.
        var rows = (0..<32).map { (word: UInt32(1) << $0, effect: checksum(1 << $0) ^ checksum(0)) }
        var (word, rest) = (UInt32(0), checksum(0))
        for bit in (0..<32).reversed().map({ UInt32(1) << $0 }) {
            guard let pivot = rows.firstIndex(where: { $0.effect & bit != 0 }) else { continue }
            let row = rows.remove(at: pivot)
            for other in rows.indices where rows[other].effect & bit != 0 {
                rows[other] = (rows[other].word ^ row.word, rows[other].effect ^ row.effect)
            }
            if rest & bit != 0 { (word, rest) = (word ^ row.word, rest ^ row.effect) }
        }
        #expect(checksum(word) == 0)
        var batch = plain
        batch.setInteger(word, at: place)
        batch.setInteger(UInt32(0), at: 17)
        let files = try makeMachine()
        var log = try openLog(files)
        try log.add(batch)
        try log.add()
        try log.sync()
        files.crash(.all)
        log = try openLog(files)
        #expect(log.end == LogIndex(2))
        #expect(try log.fetchAll().map(\.crc).first == 0)
    }

    /// T-D7 (redpanda 78a97495dc, 1161a5dffa): a segment that ends while a sync of it is under way.
    @Test func aSegmentThatEndsDuringASyncLosesNothing() throws {
        for loss in [SimFileSystem.Loss.all, .some, .nothing] {
            let files = try makeMachine()
            var log = try openLog(files, .small(segment: 300))
            try log.add(size: 100)
            try log.writeOut()
            let ticket = try #require(log.beginSync())
            for number in 0..<6 { try log.add(size: 100, at: Int64(number)) }
            try log.writeOut()
            #expect(try log.completeSync(ticket, ticket.run()) == LogIndex(1))
            try log.sync()
            #expect(log.durable == LogIndex(7))
            let entries = try log.entries()
            files.crash(loss)
            log = try openLog(files, .small(segment: 300))
            #expect(try log.entries() == entries)
        }
    }

    /// T-D8 (redpanda 76a9e6f100): segments of markers alone, of one record, and of nothing have names of their own.
    @Test func aSegmentWithoutRecordsIsToldFromOneWithARecord() throws {
        let files = try makeMachine()
        var log = try openLog(files, .small(segment: 100))
        for term in 1...3 as ClosedRange<Int32> {
            for _ in 0..<3 { try log.addMarker(term: term) }
            try log.add(size: 100, term: term)
            try log.sync()
        }
        let names = try files.list("/data/p").filter { $0.hasSuffix(".log") }
        #expect(Set(names).count == names.count && names.count > 6)
        #expect(log.endOffset == Offset(3) && log.end == LogIndex(12))
        let entries = try log.entries()
        try log.close()
        log = try openLog(files, .small(segment: 100))
        #expect(try log.entries() == entries)
        #expect(log.endOffset == Offset(3) && log.end == LogIndex(12))
    }

    /// T-D16 (KAFKA-7866): the index refuses a row, the record is there, and the next one gets the next offset.
    @Test func anIndexThatCannotBeWrittenCostsNoOffset() throws {
        let files = try makeMachine()
        var log = try openLog(files, .small(segment: 2_000, index: 100))
        for number in 0..<40 {
            if number == 10 { files.fail(.write, on: ".index", times: 3) }
            try log.add(size: 100, at: Int64(number))
            try log.sync()
            if number == 15 { try log.checkpoint() }
        }
        #expect(try log.fetchAll().map(\.baseOffset) == (0..<40).map { Offset($0) })
        files.crash(.all)
        log = try openLog(files, .small(segment: 2_000, index: 100))
        #expect(try log.fetchAll().map(\.baseOffset) == (0..<40).map { Offset($0) })
    }

    /// T-S3 (KAFKA-14618, nats aaf0373d2): the anchor's end is the first slot that is stored, and its offset the next.
    @Test func theFirstEntryAfterARestartTakesTheAnchorsPlace() throws {
        let files = try makeMachine()
        var log = try openLog(files)
        for _ in 0..<3 { try log.add() }
        try log.sync()
        let anchor = LogAnchor(position: LogPosition(term: Term(2), end: LogIndex(9)), offset: Offset(7))
        try log.restart(at: anchor)
        #expect(log.endOffset == Offset(7) && log.end == LogIndex(9) && log.offset(at: LogIndex(9)) == Offset(7))
        try log.add(term: 2)
        try log.sync()
        files.crash(.all)
        log = try openLog(files)
        #expect(try log.fetchAll().map(\.baseOffset) == [Offset(7)])
        #expect(log.start == anchor && log.end == LogIndex(10))
    }

    /// T-L9 (KAFKA-10706, KAFKA d2521855b8e): a cut at the end itself takes the term that began there; term 0 counts.
    @Test func termsThatWroteNothingAreForgottenWithACut() throws {
        let files = try makeMachine()
        var log = try openLog(files)
        try log.add(term: 0)
        try log.add(term: 1)
        for term in 2...5 as ClosedRange<Int32> {
            try log.addMarker(term: term)
            try log.sync()
            try log.truncate(to: LogIndex(2))
            #expect(log.terms.rows.map(\.term) == [Term(0), Term(1)])
            try log.sync()
        }
        try log.close()
        log = try openLog(files)
        #expect(log.terms.rows.map(\.term) == [Term(0), Term(1)])
    }
}
