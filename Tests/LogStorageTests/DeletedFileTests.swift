// SPDX-License-Identifier: Apache-2.0

import LogModel
import LogStorage
import Simulation
import Testing

/// `file.delete.delay.ms`: what is out of the log stays on disk for a while, under a name that is in nobody's way.
@Suite struct DeletedFileTests {
    private let files: SimFileSystem

    init() throws { files = try makeMachine(seed: 5) }

    private func log(delay: Int64) throws -> SimLog {
        var limits = LogLimits.small()
        limits.deleteDelayMilliseconds = delay
        return try openLog(files, limits)
    }

    private func fill(_ log: SimLog) throws {
        for _ in 0..<40 { try log.add(size: 60) }
        try log.sync()
    }

    private func names(_ suffix: String) throws -> [String] {
        try files.list("/data/p").filter { $0.hasSuffix(suffix) }.sorted()
    }

    @Test func aFileGoesWhenItsTimeIsOver() throws {
        let log = try log(delay: 1_000)
        try fill(log)
        let before = try names(".log").count
        let moved = try log.applyRetention(
            now: Timestamp(milliseconds: .max), bytes: .zero, milliseconds: nil, committed: log.end)
        #expect(moved != nil)
        let deleted = try names(".log.deleted")
        #expect(!deleted.isEmpty)
        #expect(try names(".log").count + deleted.count == before)
        #expect(log.takeDeletedFiles(after: 999).isEmpty)
        #expect(log.takeDeletedFiles(after: 1).sorted() == deleted.map { "/data/p/" + $0 })
        #expect(!log.hasDeletedFiles)
    }

    @Test func withoutADelayAFileGoesAtOnce() throws {
        let log = try log(delay: 0)
        try fill(log)
        _ = try log.applyRetention(
            now: Timestamp(milliseconds: .max), bytes: .zero, milliseconds: nil, committed: log.end)
        #expect(try names(".deleted").isEmpty)
        #expect(!log.hasDeletedFiles)
    }

    @Test func theNextOpeningRemovesWhatWasLeft() throws {
        do {
            let log = try log(delay: .max)
            try fill(log)
            _ = try log.applyRetention(
                now: Timestamp(milliseconds: .max), bytes: .zero, milliseconds: nil, committed: log.end)
            #expect(try !names(".deleted").isEmpty)
            try log.writeOut()
            try log.close()
        }
        _ = try log(delay: .max)
        #expect(try names(".deleted").isEmpty)
    }
}
