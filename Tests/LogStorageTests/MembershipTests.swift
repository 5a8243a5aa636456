// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches
import Simulation
import Testing

@testable import LogStorage

/// Who belongs to the group, as the log's own markers say it: known at opening, without reading the log.
struct MembershipTests {
    private func add(_ payload: [UInt8], to log: SimLog) throws {
        let marker = MarkerEntry.encode(
            kind: .membership, term: Term(1), nextOffset: log.endOffset, timestamp: time(0),
            payload: ByteBuffer(bytes: payload))
        log.append(marker, heads: [try EntryHead.parse(marker)])
    }

    @Test func markersAreKnownAndCutOff() throws {
        let log = try openLog(try makeMachine())
        #expect(log.membershipAtStart == nil && log.membershipMarkers.isEmpty)
        try log.add(records: 3)
        try add([1, 2], to: log)
        try add([], to: log)
        #expect(
            log.membershipMarkers == [
                MembershipRow(slot: LogIndex(3), payload: [1, 2]), MembershipRow(slot: LogIndex(4), payload: []),
            ])
        try log.truncate(to: LogIndex(4))
        #expect(log.membershipMarkers.map(\.payload) == [[1, 2]])
        try log.truncate(to: LogIndex(3))
        #expect(log.membershipMarkers.isEmpty)
    }

    /// T-M4, T-M9: through a crash, with and without a checkpoint, and through the end of what they stood in.
    @Test(arguments: [SimFileSystem.Loss.nothing, .some, .all], [false, true])
    func markersOutlastCrashesAndRetention(loss: SimFileSystem.Loss, hasCheckpoint: Bool) throws {
        let files = try makeMachine()
        let limits = LogLimits.small(segment: 300)
        let log = try openLog(files, limits)
        try add([1], to: log)
        for _ in 0..<4 { try log.add(records: 2, size: 60) }
        try add([2], to: log)
        for _ in 0..<4 { try log.add(records: 2, size: 60) }
        try add([3], to: log)
        if hasCheckpoint { try log.checkpoint() }
        try log.sync()
        if hasCheckpoint { try log.sync() }
        files.crash(loss)
        let again = try openLog(files, limits)
        #expect(again.membershipAtStart == nil)
        #expect(again.membershipMarkers == log.membershipMarkers)
        #expect(again.membershipMarkers.map(\.payload) == [[1], [2], [3]])
        _ = try again.applyRetention(now: time(0), bytes: bytes(500), milliseconds: nil, committed: again.end)
        #expect(again.start.position.end > .zero)
        let known = [again.membershipAtStart].compactMap { $0 } + again.membershipMarkers.map(\.payload)
        #expect(known.first != [1] || again.membershipAtStart == [1])
        #expect(known.last == [3])
        files.crash(.all)
        let last = try openLog(files, limits)
        #expect(last.membershipAtStart == again.membershipAtStart && last.membershipAtStart != nil)
        #expect(last.membershipMarkers == again.membershipMarkers)
    }

    @Test(arguments: [SimFileSystem.Loss.nothing, .all])
    func aRestartedLogKnowsWhatItWasTold(loss: SimFileSystem.Loss) throws {
        let files = try makeMachine()
        let log = try openLog(files)
        try log.add(records: 3)
        try add([1], to: log)
        try log.sync()
        let anchor = LogAnchor(position: LogPosition(term: Term(4), end: LogIndex(90)), offset: Offset(80))
        try log.restart(at: anchor, membership: [7, 7])
        files.crash(loss)
        let again = try openLog(files)
        #expect(again.start == anchor && again.membershipAtStart == [7, 7] && again.membershipMarkers.isEmpty)
    }

    @Test func compactionKeepsTheMarkers() throws {
        let files = try makeMachine()
        let limits = LogLimits.small(segment: 300)
        let log = try openLog(files, limits)
        for number in 0..<6 {
            try log.add([Keyed("k", "\(number)")])
            try add([UInt8(number)], to: log)
        }
        for _ in 0..<3 { try log.add([Keyed("k", "last")]) }
        try log.sync()
        let before = log.membershipMarkers
        _ = try log.clean()
        #expect(log.membershipMarkers == before)
        try log.sync()
        files.crash(.all)
        let again = try openLog(files, limits)
        #expect(again.membershipMarkers == before)
        // They are in the files as well, for followers that are sent them.
        let kinds = try again.entries().map { try EntryHead.parse(ByteBuffer(bytes: $0)).kind }
        #expect(kinds.count { $0 == .membership } == 6)
    }

    // MARK: - The checkpoint

    private func checkpoint(_ table: MembershipTable) -> Checkpoint {
        var checkpoint = Checkpoint(emptyAt: .origin)
        checkpoint.memberships = table
        return checkpoint
    }

    @Test func checkpointsHoldTheTable() throws {
        var table = MembershipTable(atStart: [5])
        table.note(LogIndex(3), [])
        table.note(LogIndex(9), Array(repeating: 1, count: 300))
        for table in [table, MembershipTable(), MembershipTable(atStart: [])] {
            let checkpoint = checkpoint(table)
            #expect(try Checkpoint(decoding: checkpoint.encoded()) == checkpoint)
        }
        let whole = checkpoint(table).encoded()
        for length in 0..<whole.readableBytes {
            guard let part = whole.getSlice(at: 0, length: length) else { continue }
            #expect(throws: Checkpoint.Flaw.self) { try Checkpoint(decoding: part) }
        }
    }

    /// Sizes and places that no writer writes, under a checksum that is right.
    @Test func tablesThatContradictThemselvesAreRefused() throws {
        var table = MembershipTable(atStart: [5])
        table.note(LogIndex(3), [1])
        table.note(LogIndex(9), [2])
        let whole = checkpoint(table).encoded()
        // Count, bytes, slot and size of the first, slot of the second.
        for (place, value) in [(72, 4), (72, Int32.max), (76, 2), (76, .max), (88, 2), (88, .max), (88, -1)] {
            var bytes = whole
            bytes.setInteger(Int32(value), at: place)
            Self.seal(&bytes)
            #expect(throws: Checkpoint.Flaw.self, "\(place) \(value)") { try Checkpoint(decoding: bytes) }
        }
        var swapped = whole
        swapped.setInteger(Int64(9), at: 93)
        Self.seal(&swapped)
        #expect(throws: Checkpoint.Flaw.self) { try Checkpoint(decoding: swapped) }
    }

    /// What a node of before has left behind is read.
    @Test func checkpointsOfTheSecondVersionAreRead() throws {
        let now = checkpoint(MembershipTable()).encoded()
        var old = ByteBuffer(integer: 0x474c_4332 as UInt32)
        old.writeInteger(0 as UInt32)
        for range in [8..<72, 80..<now.readableBytes] {
            old.writeBytes(now.getBytes(at: range.lowerBound, length: range.count) ?? [])
        }
        Self.seal(&old)
        #expect(try Checkpoint(decoding: old) == checkpoint(MembershipTable()))
    }

    private static func seal(_ bytes: inout ByteBuffer) {
        let crc = bytes.withUnsafeReadableBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[8...])) }
        bytes.setInteger(crc, at: 4)
    }
}
