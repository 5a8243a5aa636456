// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches
import Simulation
import Testing

@testable import LogStorage

/// Damage of what lies beside the segments: detected, or harmless.
struct DamagedFilesTests {
    private let first = "/data/p/00000000000000000000.log"

    @Test func everyBitAndPrefixOfACheckpointIsNoticed() throws {
        let (files, _) = try DamageTests.twins()
        let path = "/data/p/checkpoint"
        let content = try files.bytes(of: path)
        let others = try files.list("/data/p")
        for bit in 0..<content.count * 8 {
            try files.flip(bit: bit % 8, at: bytes(Int64(bit / 8)), of: path)
            #expect(refusal { _ = try openLog(files, DamageTests.limits) }?.isCorrupt == true, "\(bit)")
            try files.flip(bit: bit % 8, at: bytes(Int64(bit / 8)), of: path)
        }
        for size in 0..<content.count {
            try DamageTests.write(files, Array(content.prefix(size)), to: path)
            #expect(refusal { _ = try openLog(files, DamageTests.limits) }?.isCorrupt == true, "\(size)")
        }
        #expect(try files.list("/data/p") == others, "nothing is changed")
    }

    @Test func aTemporaryFileOfACheckpointIsNoCheckpoint() throws {
        let (files, twin) = try DamageTests.twins()
        // T-S5: a crash while the next one was being written.
        try DamageTests.write(files, [1, 2, 3], to: "/data/p/checkpoint.new")
        try DamageTests.write(files, [1, 2, 3], to: "/data/p/producers.new")
        try DamageTests.write(files, [1, 2, 3], to: "/data/p/damaged.new")
        let log = try openLog(files, DamageTests.limits)
        #expect(try log.damage.isEmpty && log.entries() == twin.entries())
    }

    @Test func aLogThatIsSetAsideKeepsEveryFile() throws {
        let (files, _) = try DamageTests.twins()
        let names = try files.list("/data/p")
        #expect(try SettingAside.run("/data/p", in: files) == "/data/p.damaged")
        #expect(try files.list("/data/p.damaged") == names && !files.exists("/data/p"))
        try files.makeDirectory("/data/p")
        #expect(try SettingAside.run("/data/p", in: files) == "/data/p.damaged-2")
        files.crash(.all)
        #expect(try files.exists("/data/p.damaged") && files.exists("/data/p.damaged-2"))
    }

    // MARK: - The end of a log

    /// A log whose checkpoint promises nothing, of two terms: three synced entries and one that was only written.
    private func unclean(
        _ files: SimFileSystem
    ) throws -> (durable: LogIndex, durableSize: Int64, size: Int64, entries: [[UInt8]]) {
        let log = try openLog(files)
        try log.addMarker(term: 1)
        try log.add(size: 30, term: 1)
        try log.sync()
        try log.addMarker(term: 2)
        try log.sync()
        let durable = (log.durable, log.size.rawValue)
        try log.add(size: 31, term: 2)
        try log.writeOut()
        return (durable.0, durable.1, log.size.rawValue, try log.entries())
    }

    @Test func whatHasBeenDurableIsNeverTakenForTorn() throws {
        for position in 0..<1_000 as Range<Int64> {
            let files = try makeMachine()
            let (durable, durableSize, size, entries) = try unclean(files)
            guard position < size else { break }
            files.crash(.nothing)
            try files.flip(bit: Int(position % 8), at: bytes(position), of: first)
            let log = try openLog(files)
            // Also a term, though it lies outside what an entry's checksum covers.
            let found = try log.entries()
            #expect(log.recovery.hasLostItsEnd == (log.end < durable), "\(position)")
            #expect(log.recovery.hasLostItsEnd == (position < durableSize), "\(position)")
            #expect(Array(entries.prefix(found.count)) == found, "\(position)")
            // What was cut is kept beside it.
            let aside = try files.list("/data/p").filter { $0.contains(".damaged-at-") }
            #expect(aside.isEmpty != log.recovery.hasLostItsEnd)
            // It is said again until somebody has taken note of it.
            files.crash(.nothing)
            var again = try openLog(files)
            #expect(again.recovery.hasLostItsEnd == log.recovery.hasLostItsEnd)
            guard log.recovery.hasLostItsEnd else { continue }
            try again.acceptLoss()
            files.crash(.all)
            again = try openLog(files)
            #expect(!again.recovery.hasLostItsEnd)
        }
    }

    @Test func aCopyWithoutPeersIsLeftAsItIs() throws {
        let files = try makeMachine()
        _ = try unclean(files)
        files.crash(.nothing)
        try files.flip(at: bytes(70), of: first)
        let content = try files.bytes(of: first)
        func open() throws {
            _ = try SimLog.open(
                directory: "/data/p", in: files, limits: .small(), now: time(0), mayLoseItsEnd: false)
        }
        let refused = refusal { try open() }
        #expect("\(refused ?? .failed)".contains("delete /data/p/durable"))
        #expect(try files.bytes(of: first) == content)
        // The operator gives up what follows.
        try files.remove("/data/p/durable")
        try open()
    }

    @Test func everyBitAndPrefixOfTheMarkIsHarmless() throws {
        let files = try makeMachine()
        let (durable, _, _, entries) = try unclean(files)
        files.crash(.nothing)
        let content = try files.bytes(of: "/data/p/durable")
        var expected = ByteBuffer()
        DurableMark<SimFileSystem>.encode(durable, into: &expected)
        #expect(content == Array(expected.readableBytesView))
        let pristine = try files.bytes(of: first)
        for bit in 0..<content.count * 8 + content.count {
            var changed = content
            if bit < content.count * 8 { changed[bit / 8] ^= 1 << UInt8(bit % 8) } else { changed.removeLast(bit % 16) }
            try DamageTests.write(files, changed, to: "/data/p/durable")
            let log = try openLog(files)
            #expect(try !log.recovery.hasLostItsEnd && log.entries() == entries, "\(bit)")
            files.crash(.nothing)
            try DamageTests.write(files, pristine, to: first)
        }
    }

    @Test func aCutLowersTheMarkFirst() throws {
        for seed in 0..<60 as Range<UInt64> {
            let files = try makeMachine(seed: seed)
            var log = try openLog(files, .small(segment: 300))
            for _ in 0..<8 {
                try log.add(size: 60)
                try log.sync()
            }
            try log.truncate(to: LogIndex(3 + Int64(seed % 4)))
            if seed % 3 == 0 { try log.sync() }
            if seed % 5 == 0 { try log.add(size: 10, term: 2) }
            files.crash(seed % 2 == 0 ? .some : .nothing)
            log = try openLog(files, .small(segment: 300))
            #expect(!log.recovery.hasLostItsEnd, "\(seed)")
            try log.restart(at: LogAnchor(position: LogPosition(term: Term(3), end: LogIndex(2)), offset: Offset(2)))
            files.crash(.some)
            log = try openLog(files, .small(segment: 300))
            #expect(!log.recovery.hasLostItsEnd, "\(seed)")
        }
    }

    /// With an honest disk the mark never says too much, whatever is lost with the power.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func aLossOfPowerIsNoDamage(seed: UInt64) throws {
        let files = try makeMachine(seed: seed)
        var log = try openLog(files, .small(segment: 500, checkpoint: seed % 2 == 0 ? 400 : 1 << 40))
        for round in 0..<6 {
            for number in 0..<10 {
                try log.add(records: 1 + number % 2, size: 40)
                if (number + round + Int(seed)) % 3 == 0 { try log.writeOut() }
                if (number + Int(seed)) % 4 == 0 { try log.sync() }
            }
            let durable = log.durable
            files.crash(.some)
            log = try openLog(files, .small(segment: 500, checkpoint: 400))
            #expect(!log.recovery.hasLostItsEnd && log.damage.isEmpty && log.end >= durable, "\(log.recovery)")
        }
    }
}
