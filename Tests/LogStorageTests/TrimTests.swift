// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches
import Simulation
import Testing

@testable import LogStorage

/// The log's start as a part of the log: trims.
struct TrimTests {
    @Test func aTrimCountsOnceItIsCommitted() throws {
        let log = try openLog(try makeMachine())
        try log.add(records: 10)
        try log.addTrim(to: 4)
        #expect(log.firstOffset == .zero && log.lastTrim == Offset(4))
        #expect(!log.settleTrims(below: LogIndex(10)), "the marker's own slot is not below")
        #expect(log.settleTrims(below: LogIndex(11)) && log.firstOffset == Offset(4))
        #expect(refusal { _ = try log.fetch(from: Offset(3), upTo: Offset(10), limit: bytes(1_000)) } != nil)
        #expect(try log.fetchAllFromFirst().map(\.baseOffset) == [.zero], "the batch that holds offset 4, whole")
        #expect(!log.settleTrims(below: log.end))
    }

    @Test func aTrimThatIsCutOffNeverWas() throws {
        let log = try openLog(try makeMachine())
        try log.add(records: 10)
        try log.addTrim(to: 4)
        try log.addTrim(to: 7)
        try log.truncate(to: LogIndex(11))
        #expect(log.lastTrim == Offset(4))
        try log.truncate(to: LogIndex(10))
        #expect(log.lastTrim == .zero)
        #expect(!log.settleTrims(below: log.end))
    }

    /// T-D9 (redpanda f7afddb9e2).
    @Test func theStartNeverGoesBackOrBeyondTheEnd() throws {
        let log = try openLog(try makeMachine())
        try log.add(records: 10)
        try log.addTrim(to: 8)
        try log.addTrim(to: 5)
        _ = log.settleTrims(below: log.end)
        #expect(log.firstOffset == Offset(8) && log.lastTrim == Offset(8))
        try log.addTrim(to: 6)
        _ = log.settleTrims(below: log.end)
        #expect(log.firstOffset == Offset(8) && log.lastTrim == Offset(8))
        try log.addTrim(to: 99)
        _ = log.settleTrims(below: log.end)
        #expect(log.firstOffset == Offset(10), "a start beyond the log is taken as its end")
    }

    @Test(arguments: [SimFileSystem.Loss.nothing, .some, .all])
    func trimsSurviveACrashAndASnapshotOfThemIsInTheCheckpoint(loss: SimFileSystem.Loss) throws {
        let files = try makeMachine()
        let log = try openLog(files)
        try log.add(records: 10)
        try log.addTrim(to: 4)
        try log.sync()
        _ = log.settleTrims(below: log.end)
        try log.addTrim(to: 6)
        try log.sync()
        try log.checkpoint()
        try log.sync()
        files.crash(loss)
        let again = try openLog(files)
        #expect(again.firstOffset == Offset(4), "what was settled is known without asking")
        #expect(again.lastTrim == Offset(6))
        #expect(again.settleTrims(below: again.end) && again.firstOffset == Offset(6))
    }

    @Test func segmentsThatAreHiddenGoAndTheOneWrittenToAsWell() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 300))
        for _ in 0..<6 { try log.add(records: 2, size: 60) }
        try log.addTrim(to: 5)
        try log.sync()
        #expect(try log.removeHiddenSegments(committed: log.end) == nil, "not committed")
        _ = log.settleTrims(below: log.end)
        let anchor = try #require(try log.removeHiddenSegments(committed: log.end))
        #expect(anchor.offset == Offset(4) && log.firstOffset == Offset(5), "offset 5 is inside a batch")
        try log.addTrim(to: 12)
        try log.sync()
        _ = log.settleTrims(below: log.end)
        _ = try log.removeHiddenSegments(committed: log.end)
        #expect(log.start.offset == Offset(12) && log.firstOffset == log.endOffset)
        #expect(log.size.rawValue < 100, "a marker at most is left")
        #expect(try files.list("/data/p").filter { $0.hasSuffix(".log") }.count <= 1)
        try log.add(records: 1)
        try log.sync()
        files.crash(.all)
        let again = try openLog(files, .small(segment: 300))
        #expect(again.firstOffset == Offset(12) && again.endOffset == Offset(13))
    }

    @Test func retentionOfAnIdleLogHidesEverything() throws {
        let log = try openLog(try makeMachine(), .small(segment: 300))
        for number in 0..<6 { try log.add(records: 1, size: 100, at: Int64(number) * 100) }
        try log.sync()
        func point(now: Int64, bytes size: Int64? = nil, milliseconds: Int64? = nil) -> Int64 {
            log.retentionPoint(
                now: time(now), bytes: size.map { bytes($0) }, milliseconds: milliseconds, committed: log.end
            ).rawValue
        }
        #expect(point(now: 600, milliseconds: 1_000) == 0)
        #expect(point(now: 1_200, milliseconds: 1_000) == 2, "a whole segment is too old")
        #expect(point(now: 9_000, milliseconds: 1_000) == 6, "all of it, what is written to included")
        #expect(point(now: 0, bytes: 0) < 6, "by size the last segment stays")
        #expect(
            log.retentionPoint(now: time(9_000), bytes: nil, milliseconds: 0, committed: LogIndex(3)).rawValue <= 3)
    }

    @Test func aCheckpointOfTheFirstVersionIsRead() throws {
        var first = ByteBuffer()
        first.writeInteger(0x474c_4331 as UInt32)
        var body = ByteBuffer()
        body.writeInteger(1 as UInt32)
        body.writeInteger(3 as Int32)
        for number in [7, 5, 20] as [Int64] { body.writeInteger(number) }
        for count in [1, 1, 1] as [UInt32] { body.writeInteger(count) }
        body.writeInteger(3 as Int32)
        body.writeInteger(7 as Int64)
        body.writeInteger(9 as Int64)
        for number in [7, 100, 1, 11, 12] as [Int64] { body.writeInteger(number) }
        first.writeInteger(body.withUnsafeReadableBytes { CRC32C.checksum($0) })
        first.writeBuffer(&body)
        let checkpoint = try Checkpoint(decoding: first)
        #expect(checkpoint.isClean && checkpoint.recoveryPoint == LogIndex(20))
        #expect(checkpoint.segments.map(\.name) == [SegmentName(base: LogIndex(7), generation: 0)])
        #expect(checkpoint.cleanedTo == LogIndex(7) && checkpoint.trims == TrimTable())
        #expect(try Checkpoint(decoding: checkpoint.encoded()) == checkpoint)
    }

    @Test func fileNamesAreReadStrictly() {
        func name(_ file: String) -> SegmentName? { Segment<SimFileSystem>.name(ofFile: file) }
        let base = "00000000000000000041"
        #expect(name(base + ".log") == SegmentName(base: LogIndex(41), generation: 0))
        #expect(name(base + ".12.log") == SegmentName(base: LogIndex(41), generation: 12))
        for bad in [".0.log", ".01.log", "..log", ".-1.log", ".1.2.log", ".99999999999.log", ".index"] {
            #expect(name(base + bad) == nil, "\(bad)")
        }
        let named = SegmentName(base: LogIndex(41), generation: 3)
        #expect(Segment<SimFileSystem>.path(named, in: "d") == "d/" + base + ".3")
    }
}

extension PartitionLog {
    fileprivate func fetchAllFromFirst() throws -> [EntryHead] {
        try fetch(from: firstOffset, upTo: endOffset, limit: .mebibytes(1)).flatMap { try $0.heads() }
    }
}
