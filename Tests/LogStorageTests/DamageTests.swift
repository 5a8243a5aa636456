// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches
import Simulation
import Testing

@testable import LogStorage

/// What has rotted is found, never served, and repaired from another copy.
struct DamageTests {
    /// A log of several segments with markers and two terms, closed; and its twin elsewhere.
    static func twins(_ limits: LogLimits = .small(segment: 1_200, index: 300)) throws -> (SimFileSystem, SimLog) {
        let files = try makeMachine()
        try files.makeDirectory("/twin")
        var logs = [try openLog(files, limits)]
        logs.append(
            try SimLog.open(directory: "/twin/p", in: files, limits: limits, now: time(0)))
        for log in logs {
            for number in 0..<24 {
                let term: Int32 = number < 11 ? 1 : 2
                if number % 7 == 3 { try log.addMarker(term: term) }
                try log.add(records: 1 + number % 3, size: 60, at: Int64(number), term: term)
                if number % 5 == 0 { try log.sync() }
            }
            try log.sync()
            try log.close()
        }
        files.crash(.all)
        return (files, try twin(files, limits))
    }

    static func twin(_ files: SimFileSystem, _ limits: LogLimits) throws -> SimLog {
        try SimLog.open(directory: "/twin/p", in: files, limits: limits, now: time(0))
    }

    static let limits = LogLimits.small(segment: 1_200, index: 300)

    /// Reads everything, as the scrub does.
    static func scrub(_ log: SimLog) throws -> [LogDamage] {
        var found: [LogDamage] = []
        var from = LogIndex.zero
        while let inspection = try log.beginInspection(atOrAfter: from) {
            steps: while true {
                switch inspection.step(bytes(200)) {
                case .working: continue
                case .finished: break steps
                case .failed(let error): throw error
                }
            }
            found += try log.endInspection(inspection)
            from = inspection.base.advanced(by: 1)
        }
        return found
    }

    /// Repairs everything from `twin`, which may be damaged itself.
    static func repair(_ log: SimLog, from twin: SimLog, limit: Int64 = 200) throws {
        while let repair = try log.beginRepair() {
            steps: while true {
                switch repair.step(bytes(150)) {
                case .working: continue
                case .needs(let range):
                    guard
                        case .entries(let entries) = try twin.readForRepair(
                            from: range.lowerBound, before: range.upperBound, limit: bytes(limit))
                    else { return repair.abandon() }
                    if let refusal = repair.supply(entries, acceptsCompacted: true) { throw refusal }
                case .repaired(let segment):
                    let swap = try log.install(segment)
                    log.swapEnded(swap, isDone: swap.run())
                    break steps
                case .failed(let error): throw error
                }
            }
        }
    }

    static func logFiles(_ files: SimFileSystem, _ directory: String = "/data/p") throws -> [String] {
        try files.list(directory).filter { $0.hasSuffix(".log") }.map { directory + "/" + $0 }
    }

    @Test func everyBitOfEverySegmentIsFoundAndRepaired() throws {
        let (files, twin) = try Self.twins()
        let entries = try twin.entries()
        let paths = try Self.logFiles(files)
        #expect(paths.count > 2)
        let pristine = try paths.map { try files.bytes(of: $0) }
        for (path, content) in zip(paths, pristine) {
            for position in 0..<content.count {
                let log = try openLog(files, Self.limits)
                try files.flip(bit: position % 8, at: bytes(Int64(position)), of: path)
                let found = try Self.scrub(log)
                #expect(found.count == 1 && log.damage == found, "\(path) \(position): \(found)")
                let range = try #require(found.first).range
                #expect(range.upperBound.slots(since: range.lowerBound) <= 6, "what is sound behind it is found")
                #expect(refusal { _ = try log.read(from: range.lowerBound, limit: bytes(1)) }?.isCorrupt == true)
                try Self.repair(log, from: twin)
                #expect(try log.damage.isEmpty && log.entries() == entries, "\(path) \(position)")
                // As it was before, for the next position.
                try log.close()
                try Self.restore(files, paths, pristine)
            }
        }
    }

    /// Puts the first files back; what a repair has written goes.
    static func restore(_ files: SimFileSystem, _ paths: [String], _ content: [[UInt8]]) throws {
        for name in try files.list("/data/p") { try files.remove("/data/p/" + name) }
        for name in try files.list("/twin/p") {
            try copy(files, "/twin/p/" + name, to: "/data/p/" + name)
        }
        for (path, bytes) in zip(paths, content) { try write(files, bytes, to: path) }
        try files.synchronizeDirectory("/data/p")
    }

    static func copy(_ files: SimFileSystem, _ path: String, to other: String) throws {
        try write(files, try files.bytes(of: path), to: other)
    }

    static func write(_ files: SimFileSystem, _ content: [UInt8], to path: String) throws {
        let file = try files.open(path, .createOrOpen)
        try file.truncate(to: .zero)
        try content.withUnsafeBufferPointer { (content) throws(DiskError) in
            try file.write([UnsafeRawBufferPointer(content)], at: .zero)
        }
        try file.synchronize()
    }

    @Test func everyPrefixOfEverySegmentIsRepairedOnOpening() throws {
        let (files, first) = try Self.twins()
        var twin = first
        let entries = try twin.entries()
        let paths = try Self.logFiles(files)
        let pristine = try paths.map { try files.bytes(of: $0) }
        for (path, content) in zip(paths, pristine) {
            for size in stride(from: 0, to: content.count, by: 13) {
                try files.open(path, .existing).truncate(to: bytes(Int64(size)))
                let log = try openLog(files, Self.limits)
                #expect(log.damage.count == 1 && log.end == twin.end, "\(path) \(size)")
                #expect(log.recovery.segments.filter { $0.row == "D" }.count == 1)
                // It goes on while it is damaged, and no byte of a damaged file is touched.
                try log.add(size: 40, at: 99, term: 2)
                try log.sync()
                #expect(try files.bytes(of: path) == Array(content.prefix(size)))
                try Self.repair(log, from: twin)
                #expect(try log.damage.isEmpty && Array(log.entries().dropLast()) == entries, "\(path) \(size)")
                files.crash(.all)
                twin = try Self.twin(files, Self.limits)
                let again = try openLog(files, Self.limits)
                #expect(try again.damage.isEmpty && again.entries().count == entries.count + 1)
                files.crash(.nothing)
                twin = try Self.twin(files, Self.limits)
                try Self.restore(files, paths, pristine)
            }
        }
    }

    @Test func aValidBlockInTheWrongPlaceIsDamage() throws {
        let (files, twin) = try Self.twins()
        let entries = try twin.entries()
        let paths = try Self.logFiles(files)
        let pristine = try paths.map { try files.bytes(of: $0) }
        // One segment holds another's content, as far as it goes: every checksum matches.
        for (place, path) in paths.enumerated() {
            for other in pristine.indices where other != place {
                let log = try openLog(files, Self.limits)
                var content = Array(pristine[other].prefix(pristine[place].count))
                content += pristine[place][content.count...]
                try Self.write(files, content, to: path)
                _ = try Self.scrub(log)
                #expect(!log.damage.isEmpty)
                #expect(refusal { _ = try log.entries() }?.isCorrupt == true)
                try Self.repair(log, from: twin)
                #expect(try log.entries() == entries)
                try log.close()
                try Self.restore(files, paths, pristine)
            }
        }
    }

    @Test func damageIsRememberedByTheNextStart() throws {
        let (files, _) = try Self.twins()
        let path = try #require(try Self.logFiles(files).first)
        var log = try openLog(files, Self.limits)
        try files.flip(bit: 1, at: bytes(150), of: path)
        let found = try Self.scrub(log)
        log.damageNote().run()
        try log.close()
        files.crash(.all)
        log = try openLog(files, Self.limits)
        #expect(log.damage == found && !found.isEmpty)
        try Self.repair(log, from: try Self.twin(files, Self.limits))
        #expect(try !files.exists("/data/p/damaged"))
        files.crash(.all)
        #expect(try openLog(files, Self.limits).damage.isEmpty)

        // A note that cannot be read, and one that says too much.
        try Self.write(files, [1, 2, 3], to: "/data/p/damaged")
        log = try openLog(files, Self.limits)
        #expect(try log.damage.isEmpty && log.recovery.scanned > bytes(2_000) && !files.exists("/data/p/damaged"))
    }

    @Test func everyBitAndPrefixOfTheDamageNoteIsHarmless() throws {
        let note = Array(
            DamageNote<SimFileSystem>.encode([SegmentName(base: LogIndex(3), generation: 2)]).readableBytesView)
        let files = try makeMachine()
        func read(_ content: [UInt8]) throws -> DamageNote<SimFileSystem>.Content? {
            try Self.write(files, content, to: "/data/damaged")
            return try DamageNote.read(in: "/data", fs: files)
        }
        #expect(try read(note) == .segments([SegmentName(base: LogIndex(3), generation: 2)]))
        for bit in 0..<note.count * 8 {
            var flipped = note
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(try read(flipped) == .unreadable, "\(bit)")
        }
        for size in 0..<note.count { #expect(try read(Array(note.prefix(size))) == .unreadable) }
    }

    @Test func twoCopiesWithDifferentDamageHelpEachOther() throws {
        let (files, twin) = try Self.twins()
        let entries = try twin.entries()
        let log = try openLog(files, Self.limits)
        let path = try #require(try Self.logFiles(files).first)
        let other = try #require(try Self.logFiles(files, "/twin/p").first)
        let size = try files.size(of: path).rawValue
        try files.flip(bit: 1, at: bytes(150), of: path)
        try files.flip(bit: 1, at: bytes(size - 5), of: other)
        #expect(try Self.scrub(log).count == 1 && Self.scrub(twin).count == 1)
        try Self.repair(log, from: twin)
        try Self.repair(twin, from: log)
        #expect(try log.entries() == entries && twin.entries() == entries)
    }

    @Test func theSameDamageOnBothIsNotRepairedAndNotServed() throws {
        let (files, twin) = try Self.twins()
        let log = try openLog(files, Self.limits)
        for directory in ["/data/p", "/twin/p"] {
            try files.flip(bit: 1, at: bytes(150), of: try #require(try Self.logFiles(files, directory).first))
        }
        let range = try #require(try Self.scrub(log).first).range
        _ = try Self.scrub(twin)
        try Self.repair(log, from: twin)
        #expect(log.damage.map(\.range) == [range])
        guard case .damaged = try twin.readForRepair(from: range.lowerBound, before: range.upperBound, limit: bytes(9))
        else {
            Issue.record("damaged entries are not given away")
            return
        }
    }

    /// A follower whose damaged end was never committed asks for slots at which its peers' entries do not begin.
    @Test func otherEntriesInTheirPlaceAreAbsentAndNotDamaged() throws {
        let (files, twin) = try Self.twins()
        // The second entry has two records, of which this is the later.
        let inside = LogIndex(2)
        guard case .absent = try twin.readForRepair(from: inside, before: LogIndex(3), limit: bytes(9)) else {
            Issue.record("a sound log is taken for damaged")
            return
        }
        try files.flip(bit: 1, at: bytes(200), of: try #require(try Self.logFiles(files, "/twin/p").first))
        guard case .damaged = try twin.readForRepair(from: inside, before: LogIndex(3), limit: bytes(9)) else {
            Issue.record("damage that nobody has found yet is taken for another log")
            return
        }
    }

    @Test func entriesThatDoNotBelongThereAreRefused() throws {
        let (files, twin) = try Self.twins()
        let log = try openLog(files, Self.limits)
        try files.flip(bit: 1, at: bytes(150), of: try #require(try Self.logFiles(files).first))
        let range = try #require(try Self.scrub(log).first).range
        let repair = try #require(try log.beginRepair())
        while case .working = repair.step(bytes(50)) {}
        guard
            case .entries(let right) = try twin.readForRepair(
                from: range.lowerBound, before: range.upperBound, limit: bytes(1)),
            case .entries(let later) = try twin.readForRepair(
                from: range.upperBound, before: twin.end, limit: bytes(1))
        else {
            Issue.record("the twin is sound")
            return
        }
        func refuses(_ bytes: ByteBuffer) -> Bool {
            if case .wrong = repair.supply(bytes, acceptsCompacted: true) { true } else { false }
        }
        #expect(refuses(later), "another place")
        for position in 0..<right.readableBytes {
            var flipped = right
            let byte = try #require(flipped.getInteger(at: flipped.readerIndex + position, as: UInt8.self))
            flipped.setInteger(byte ^ 4, at: flipped.readerIndex + position)
            #expect(refuses(flipped), "\(position)")
        }
        var otherTerm = right
        EntryHead.assign(baseOffset: try EntryHead.parse(right).baseOffset, term: Term(7), in: &otherTerm)
        #expect(refuses(otherTerm), "another term is another entry")
        #expect(repair.supply(right, acceptsCompacted: true) == nil)
    }

    /// Two markers in a row have the same offset and term: which of them is left behind damage nobody can tell.
    @Test func aMarkerBehindDamageIsNotTakenForItsNeighbour() throws {
        let files = try makeMachine()
        try files.makeDirectory("/twin")
        var logs = [try openLog(files, Self.limits)]
        logs.append(try SimLog.open(directory: "/twin/p", in: files, limits: Self.limits, now: time(0)))
        for log in logs {
            try log.add(size: 60)
            try log.addMarker()
            try log.addMarker(kind: .membership)
            try log.add(size: 60)
            try log.sync()
        }
        let path = try #require(try Self.logFiles(files).first)
        let heads = try EntryHead.all(in: ByteBuffer(bytes: try files.bytes(of: path)))
        let spoiled = heads.prefix(2).reduce(0) { $0 + $1.totalSize }
        for position in 0..<spoiled where position % 16 < 4 {
            try files.flip(bit: 6, at: bytes(Int64(position)), of: path)
        }
        #expect(try Self.scrub(logs[0]).map(\.range) == [LogIndex(0)..<LogIndex(3)])
        try Self.repair(logs[0], from: logs[1])
        #expect(try logs[0].entries() == logs[1].entries())
    }

    /// The next peer is asked for the same entries, so none of a refused answer may have been kept.
    @Test func anAnswerIsTakenWholeOrNotAtAll() throws {
        let (files, twin) = try Self.twins()
        try files.remove(try #require(try Self.logFiles(files).first))
        let log = try openLog(files, Self.limits)
        let range = try #require(log.damage.first).range
        let repair = try #require(try log.beginRepair())
        while case .working = repair.step(bytes(50)) {}
        guard
            case .entries(let right) = try twin.readForRepair(
                from: range.lowerBound, before: range.upperBound, limit: .mebibytes(1))
        else {
            Issue.record("the twin is sound")
            return
        }
        let first = try EntryHead.parse(right)
        #expect(first.totalSize < right.readableBytes, "there is more than one entry")
        var spoiled = right
        let place = right.readerIndex + first.totalSize + 25
        let byte = try #require(spoiled.getInteger(at: place, as: UInt8.self))
        spoiled.setInteger(byte ^ 1, at: place)
        #expect(repair.supply(spoiled, acceptsCompacted: true) != nil)
        #expect(repair.supply(right, acceptsCompacted: true) == nil)
    }

    @Test(arguments: 0..<40)
    func aCrashAtAnyStepOfARepairLeavesTheDamageOrTheRepair(step: Int) throws {
        let operations: [DiskError.Operation] = [.write, .synchronize, .rename, .remove, .open]
        for loss in [SimFileSystem.Loss.nothing, .some, .all] {
            let (files, twin) = try Self.twins()
            let entries = try twin.entries()
            var log = try openLog(files, Self.limits)
            try files.flip(bit: 1, at: bytes(150), of: try #require(try Self.logFiles(files).first))
            let found = try Self.scrub(log)
            log.damageNote().run()
            files.fail(operations[step % 5], after: step / 5, times: 1_000)
            try? Self.repair(log, from: twin)
            files.heal()
            files.crash(loss)
            log = try openLog(files, Self.limits)
            #expect(log.damage == found || log.damage.isEmpty, "\(log.damage)")
            try Self.repair(log, from: try Self.twin(files, Self.limits))
            #expect(try log.entries() == entries)
        }
    }

    @Test func aCutThroughDamageLeavesWhatIsSound() throws {
        for end in 0..<20 as Range<Int64> {
            let (files, first) = try Self.twins()
            var twin = first
            let entries = try twin.entries()
            let boundaries = try Self.boundaries(of: twin)
            guard boundaries.contains(LogIndex(end)) else { continue }
            for position in [10, 150, 700] as [Int64] {
                var log = try openLog(files, Self.limits)
                try files.flip(bit: 1, at: bytes(position), of: try #require(try Self.logFiles(files).first))
                let damaged = try #require(try Self.scrub(log).first).range
                try log.truncate(to: LogIndex(end))
                #expect(log.end == LogIndex(end))
                #expect(
                    log.damage.map(\.range)
                        == (damaged.lowerBound < LogIndex(end)
                            ? [damaged.lowerBound..<min(damaged.upperBound, LogIndex(end))] : []))
                try log.sync()
                try log.addMarker(term: 9)
                try log.sync()
                try Self.repair(log, from: twin)
                let kept = boundaries.filter { $0 < LogIndex(end) }.count
                #expect(try Array(log.entries().dropLast()) == Array(entries.prefix(kept)), "\(end) \(position)")
                files.crash(.all)
                log = try openLog(files, Self.limits)
                #expect(try log.damage.isEmpty && log.entries().count == kept + 1)
                files.crash(.nothing)
                twin = try Self.twin(files, Self.limits)
                try Self.restore(files, [], [])
            }
        }
    }

    static func boundaries(of log: SimLog) throws -> [LogIndex] {
        var at = LogIndex.zero
        var found: [LogIndex] = []
        for entry in try log.entries() {
            found.append(at)
            at = at.advanced(by: try EntryHead.parse(ByteBuffer(bytes: entry)).slots)
        }
        return found + [at]
    }

    @Test func everyBitOfAnIndexIsHarmless() throws {
        let limits = LogLimits.small(segment: 8_000, index: 200)
        let (files, twin) = try Self.twins(limits)
        let entries = try twin.entries()
        let index = try #require(try files.list("/data/p").first { $0.hasSuffix(".index") })
        let content = try files.bytes(of: "/data/p/" + index)
        #expect(content.count > 64)
        for bit in stride(from: 0, to: content.count * 8, by: 3) {
            try files.flip(bit: bit % 8, at: bytes(Int64(bit / 8)), of: "/data/p/" + index)
            let log = try openLog(files, limits)
            #expect(try Self.scrub(log).isEmpty && log.entries(limit: 1) == entries)
            #expect(try log.fetchAll(limit: 1).count == entries.count - 3)
            #expect(try log.offset(atOrAfter: time(13), upTo: log.endOffset)?.timestamp == time(13))
            files.crash(.all)
            try Self.write(files, content, to: "/data/p/" + index)
        }
    }
}
