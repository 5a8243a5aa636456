// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import RecordBatches
import Simulation
import Testing

/// Syncs that fail, and syncs that something happens to while they are under way.
struct SyncTests {
    private let path = "/data/p/00000000000000000000.log"

    /// T-D1 (Rebello et al.).
    @Test func aFailedSyncEndsTheUseOfTheLogForGood() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        try log.add()
        try log.writeOut()
        let ticket = try #require(log.beginSync())
        files.fail(.synchronize, on: ".log")
        let result = ticket.run()
        #expect(throws: DiskError.self) { try result.get() }
        #expect(throws: DiskError.self, "a second run does not make it better") { try ticket.run().get() }
        let error = refusal { _ = try log.completeSync(ticket, result) }
        #expect(error == .disk(DiskError(.synchronize, code: 5, path: path)))
        #expect(refusal { try log.writeOut() } == .failed)
        #expect(refusal { _ = try log.read(from: .zero, limit: bytes(1)) } == .failed)
        #expect(refusal { _ = try log.fetch(from: .zero, upTo: Offset(1), limit: bytes(1)) } == .failed)
        #expect(refusal { try log.truncate(to: .zero) } == .failed)
        #expect(refusal { try log.restart(at: .origin) } == .failed)
        #expect(refusal { try log.checkpoint() } == .failed)
        #expect(refusal { try log.close() } == .failed)
        #expect(
            refusal { _ = try log.applyRetention(now: time(0), bytes: .zero, milliseconds: nil, committed: .zero) }
                == .failed)
        #expect(log.beginSync() == nil && !log.isDirty && log.durable == .zero)
        try log.add()
        #expect(log.end == LogIndex(1), "nothing more is taken")
    }

    /// After a failed sync the page cache shows what no later sync writes, also to a process that is started again.
    @Test func aProcessStartedAgainAfterAFailedSyncDoesNotBelieveThePageCache() throws {
        let files = try makeMachine()
        var log = try openLog(files)
        try log.add(size: 100)
        try log.writeOut()
        files.fail(.synchronize, on: ".log")
        #expect(refusal { try log.sync() } == .disk(DiskError(.synchronize, code: 5, path: path)))
        files.crash(.nothing)
        log = try openLog(files)
        #expect(log.durable == LogIndex(1))
        files.crash(.all)
        #expect(try openLog(files).entries().count == 1)
        #expect(try files.list("/data/p").allSatisfy { $0 != "sync-failed" })
    }

    /// T-D2 (KAFKA-3968).
    @Test func aNewSegmentsNameIsSynchronizedBeforeWhatItHoldsCounts() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 100))
        try log.add()
        try log.sync()
        try log.add()
        try log.writeOut()
        files.fail(.synchronize, on: "/data/p", after: 1)
        let ticket = try #require(log.beginSync())
        #expect(throws: DiskError.self, "the second sync of the ticket is the directory's") { try ticket.run().get() }
    }

    /// T-C6 (ra 324d9bc5).
    /// T-L5 (redpanda a1097d435d).
    @Test func aTruncationKeepsAnEarlierSyncFromCountingWhatWasCut() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        for _ in 0..<10 { try log.add(size: 100) }
        try log.writeOut()
        let ticket = try #require(log.beginSync())
        let result = ticket.run()
        try log.truncate(to: LogIndex(4))
        try log.addMarker(term: 2)
        try log.add(size: 100, term: 2)
        try log.writeOut()
        #expect(try log.completeSync(ticket, result) == LogIndex(4))
        #expect(log.isDirty)
        try log.sync()
        #expect(log.durable == LogIndex(4), "that sync was for the cut")
        try log.sync()
        #expect(log.durable == LogIndex(6) && !log.isDirty)
        files.crash(.all)
        let again = try openLog(files)
        #expect(again.end == LogIndex(6) && again.lastEntry.term == Term(2))
    }

    @Test func aRestartKeepsAnEarlierSyncFromCountingAtAll() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        for _ in 0..<10 { try log.add(size: 100) }
        try log.writeOut()
        let ticket = try #require(log.beginSync())
        let result = ticket.run()
        let anchor = LogAnchor(position: LogPosition(term: Term(2), end: LogIndex(3)), offset: Offset(3))
        try log.restart(at: anchor)
        for _ in 0..<9 { try log.add(size: 100, term: 2) }
        try log.writeOut()
        #expect(try log.completeSync(ticket, result) == LogIndex(3))
        try log.sync()
        #expect(log.durable == LogIndex(12))
    }

    @Test func aCheckpointThatIsOvertakenByATruncationIsNotWritten() throws {
        let files = try makeMachine()
        var log = try openLog(files)
        for _ in 0..<10 { try log.add(size: 100) }
        try log.writeOut()
        try log.checkpoint()
        let ticket = try #require(log.beginSync())
        try log.truncate(to: LogIndex(4))
        _ = try log.completeSync(ticket, ticket.run())
        try log.sync()
        files.crash(.all)
        log = try openLog(files)
        #expect(log.end == LogIndex(4), "a checkpoint that promised ten would refuse this")
    }

    @Test func aCheckpointThatWasWrittenIsReplacedBeforeATruncation() throws {
        for loss in [SimFileSystem.Loss.nothing, .some, .all] {
            let files = try makeMachine()
            var log = try openLog(files)
            for _ in 0..<10 { try log.add(size: 100) }
            try log.checkpoint()
            try log.sync()
            try log.truncate(to: LogIndex(4))
            files.crash(loss)
            log = try openLog(files)
            #expect(log.end == LogIndex(4) || log.end == LogIndex(10))
        }
    }

    /// T-D4 (KAFKA-17181).
    @Test func aFullDiskLosesNothingAndIsTriedAgain() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        try log.add(size: 100)
        try log.sync()
        for _ in 0..<5 { try log.add(size: 100) }
        files.capacity = 600
        let error = refusal { try log.writeOut() }
        #expect(error == .disk(DiskError(.write, code: 28, path: path)))
        #expect(try files.bytes(of: path).count == Int(log.size.rawValue) / 6, "the part that fitted is cut off")
        #expect(try log.entries().count == 6 && log.durable == LogIndex(1))
        try log.truncate(to: LogIndex(5))
        try log.addMarker(term: 2)
        files.capacity = nil
        try log.sync()
        try log.sync()
        #expect(log.durable == LogIndex(6))
        files.crash(.all)
        #expect(try openLog(files).entries().count == 6)
    }

    @Test func anyOtherFailedWriteEndsTheUseOfTheLog() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        try log.add(size: 100)
        files.fail(.write, on: ".log")
        #expect(refusal { try log.writeOut() } == .disk(DiskError(.write, code: 5, path: path)))
        #expect(refusal { try log.writeOut() } == .failed)
    }

    @Test func aCheckpointThatCannotBeWrittenCostsNothingButTheScan() throws {
        let files = try makeMachine()
        var log = try openLog(files)
        for _ in 0..<5 { try log.add(size: 100) }
        try log.checkpoint()
        files.fail(.write, code: 28, on: "checkpoint")
        try log.sync()
        #expect(log.durable == LogIndex(5))
        try log.checkpoint()
        #expect(log.isDirty, "it is asked for again")
        files.crash(.all)
        log = try openLog(files)
        #expect(log.end == LogIndex(5) && log.recovery.scanned == log.size)
    }

    @Test func closingWaitsForASyncThatIsUnderWayElsewhere() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        try log.add(size: 100)
        try log.writeOut()
        let ticket = try #require(log.beginSync())
        files.fail(.synchronize, on: ".log")
        _ = ticket.run()
        // The failure was seen elsewhere; a sync now would succeed, and would be wrong.
        #expect(refusal { try log.close() } == .disk(DiskError(.synchronize, code: 5, path: path)))
        files.crash(.all)
        #expect(try openLog(files).end == .zero)
    }

    @Test func aTruncationIsSynchronizedBeforeACleanClose() throws {
        let files = try makeMachine()
        var log = try openLog(files)
        for _ in 0..<5 { try log.add(size: 100) }
        try log.sync()
        try log.truncate(to: LogIndex(2))
        try log.add(size: 70, term: 3)
        try log.close()
        files.crash(.all)
        log = try openLog(files)
        #expect(log.end == LogIndex(3) && log.recovery.wasClean && log.lastEntry.term == Term(3))
    }

    /// A cut back to exactly where the log was closed looks as if nothing had happened since.
    @Test func aCutThatWasNeverSynchronizedIsNotTakenForACleanLog() throws {
        let files = try makeMachine()
        var log = try openLog(files)
        for _ in 0..<5 { try log.add(size: 100) }
        try log.close()
        files.crash(.nothing)
        log = try openLog(files)
        for _ in 0..<3 { try log.add(size: 100) }
        try log.sync()
        try log.truncate(to: LogIndex(5))
        files.crash(.nothing)
        log = try openLog(files)
        #expect(log.end == LogIndex(5) && !log.recovery.wasClean)
        files.crash(.all)
        #expect(try openLog(files).end == LogIndex(5), "what was cut does not come back")
    }

    @Test func anIdleLogAsksForNothing() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        try log.add(size: 100)
        try log.checkpoint()
        try log.sync()
        try log.sync()
        let syncs = files.syncs
        for _ in 0..<5 {
            try log.checkpoint()
            #expect(!log.isDirty && log.beginSync() == nil)
        }
        #expect(files.syncs == syncs)
    }
}
