// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches
import Simulation
import Testing

@testable import LogStorage

/// `godwit log verify` and `godwit log dump`, on files.
struct LogExaminationTests {
    private func flaws(_ files: SimFileSystem) throws -> [LogError.Corruption] {
        var examination = LogExamination(of: "/data/p", in: files)
        return try examination.run().flatMap(\.flaws)
    }

    @Test func aSoundLogHasNoFlaws() throws {
        let (files, twin) = try DamageTests.twins()
        var read = ByteCount.zero
        var examination = LogExamination(of: "/data/p", in: files) { read += $0 }
        let verdicts = try examination.run()
        #expect(verdicts.allSatisfy { $0.flaws.isEmpty && $0.remarks.isEmpty }, "\(verdicts)")
        let entries = verdicts.filter { $0.kind == .segment }.reduce(0) { $0 + $1.entries }
        #expect(try entries == twin.entries().count && read >= twin.size)
        #expect(verdicts.contains { $0.kind == .checkpoint } && verdicts.contains { $0.kind == .index })
    }

    @Test func everyFlippedBitIsReportedAndNothingIsChanged() throws {
        let (files, _) = try DamageTests.twins()
        let names = try files.list("/data/p").filter { $0 != DurableMark<SimFileSystem>.name }
        for name in names {
            let path = "/data/p/" + name
            let content = try files.bytes(of: path)
            for position in stride(from: 0, to: content.count, by: 5) {
                // The last four bytes of a row of the index say nothing.
                if name.hasSuffix(".index"), position % 32 >= 28 { continue }
                try files.flip(bit: position % 8, at: bytes(Int64(position)), of: path)
                let before = try files.bytes(of: path)
                let found = try flaws(files)
                #expect(!found.isEmpty, "\(name) \(position)")
                #expect(try files.bytes(of: path) == before && files.list("/data/p").contains(name))
                try files.flip(bit: position % 8, at: bytes(Int64(position)), of: path)
            }
            try files.remove(path)
            #expect(try !flaws(files).isEmpty, "\(name) is gone")
            try DamageTests.write(files, content, to: path)
        }
        #expect(try flaws(files).isEmpty)
    }

    @Test func aTornEndIsNoDamage() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        for _ in 0..<4 { try log.add(size: 30) }
        try log.writeOut()
        files.crash(.nothing)
        let path = "/data/p/00000000000000000000.log"
        try files.open(path, .existing).truncate(to: bytes(try files.size(of: path).rawValue - 3))
        var examination = LogExamination(of: "/data/p", in: files)
        let verdict = try #require(try examination.run().first { $0.file == path })
        #expect(verdict.flaws.isEmpty && verdict.entries == 3 && verdict.remarks.count == 1, "\(verdict)")
    }

    @Test func votesAreVerifiedAndListed() throws {
        let files = try makeMachine()
        let journal = try HardStateJournal.open(directory: "/data/j", in: files)
        let group = PartitionID(topic: TopicID(high: 1, low: 2), index: 3)
        journal.record(HardState(term: Term(4), vote: NodeID(2)), for: group)
        let ticket = try #require(try journal.beginSync())
        try journal.completeSync(ticket, ticket.run())
        let verdict = try LogExamination.verifyJournal(in: "/data/j", fs: files)
        #expect(verdict.flaws.isEmpty && verdict.entries == 1)
        let votes = try LogDump.journal(in: "/data/j", fs: files)
        #expect(votes.map(\.group) == [group] && votes.first?.state.vote == NodeID(2))
        try DamageTests.write(files, [], to: "/data/j/hardstate")
        #expect(try !LogExamination.verifyJournal(in: "/data/j", fs: files).flaws.isEmpty)
    }

    @Test func aDumpShowsWhatIsThereEvenWhenItIsDamaged() throws {
        let (files, twin) = try DamageTests.twins()
        let entries = try twin.entries()
        func dump() throws -> (intact: Int, broken: Int, unreadable: Int, segments: Int) {
            var seen = (intact: 0, broken: 0, unreadable: 0, segments: 0)
            try LogDump(of: "/data/p", in: files) { item in
                switch item {
                case .entry(let entry):
                    if entry.isIntact { seen.intact += 1 } else { seen.broken += 1 }
                case .unreadable: seen.unreadable += 1
                case .segment: seen.segments += 1
                case .checkpoint, .producers, .damaged: break
                }
            }.run()
            return seen
        }
        let logs = try DamageTests.logFiles(files)
        let sound = try dump()
        #expect(sound.intact == entries.count && sound.broken == 0 && sound.segments == logs.count)
        // A body, then a magic byte.
        try files.flip(at: bytes(90), of: logs[0])
        try files.flip(bit: 4, at: bytes(16), of: logs[1])
        let damaged = try dump()
        #expect(damaged.intact == entries.count - 2 && damaged.broken == 1 && damaged.unreadable == 1, "\(damaged)")
    }
}
