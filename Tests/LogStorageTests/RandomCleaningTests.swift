// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Simulation
import Testing

/// A log that is compacted, trimmed, cut and crashed, against a list of all that was ever appended to it.
struct RandomCleaningTests {
    @Test(arguments: 0..<250 as Range<UInt64>)
    func onlyWhatIsSupersededOrTrimmedIsMissing(seed: UInt64) throws {
        var run = try CleaningRun(seed: seed)
        for _ in 0..<60 { try run.step() }
        try run.finish()
    }

    /// Every file operation of a cleaning and its swaps fails once, and then the machine dies in each way.
    /// T-D10 (nats 7069ac3fa).
    @Test(arguments: [.open, .write, .synchronize, .rename, .truncate, .remove] as [DiskError.Operation])
    func aCrashAnywhereInACleaningLosesNothing(operation: DiskError.Operation) throws {
        var died = 0
        for passes in 0..<14 {
            for loss in [SimFileSystem.Loss.nothing, .some, .all] {
                var run = try CleaningRun(seed: UInt64(passes), segment: 300)
                for number in 0..<12 {
                    try run.append([Keyed("a", "\(number)"), Keyed("k\(number % 5)", "\(number)")])
                }
                try run.sync()
                run.files.fail(operation, after: passes, times: .max)
                do throws(LogError) {
                    try run.log.cleanAll(committed: run.log.durable)
                } catch {
                    died += 1
                }
                try run.crash(loss)
                try run.verify()
                // And what is left can be cleaned.
                try run.clean()
                try run.verify()
            }
        }
        #expect(died > 0 || operation == .remove || operation == .rename, "some were hit")
    }
}

extension PartitionLog {
    /// As a node does it, with a disk that may fail.
    func cleanAll(committed: LogIndex) throws(LogError) {
        let begun = try beginCleaning(
            now: time(0), committed: committed, rules: CleaningRules(minDirtyShare: 0), mapSize: bytes(1 << 16),
            seed: (1, 2))
        guard let begun else { return }
        while true {
            switch begun.step(bytes(200)) {
            case .working: continue
            case .cleaned(let segment, _):
                let swap = try install(segment)
                swapEnded(swap, isDone: swap.run())
            case .finished(let outcome): return endCleaning(outcome)
            case .failed(let error):
                endCleaning(nil)
                throw error
            }
        }
    }
}

private struct CleaningRun {
    private var random: SplitMix
    let files: SimFileSystem
    private let limits: LogLimits
    var log: SimLog
    /// Every record in the log or compacted out of it, by offset.
    private var model: [Found] = []
    /// Where each entry ends, and what offset follows it.
    private var boundaries: [(end: LogIndex, next: Offset, term: Int32)] = []
    private var trim = Offset.zero
    private var committed = LogIndex.zero
    private var deleteRetention: Int64
    private var now: Int64 = 0
    private var term: Int32 = 1

    init(seed: UInt64, segment: Int64? = nil) throws {
        random = SplitMix(state: seed)
        files = try makeMachine(seed: seed)
        let drawn = [200, 600, 3_000][random.below(3)] as Int64
        limits = .small(
            segment: segment ?? drawn, index: [1, 300][random.below(2)],
            tail: [0, 2_000, 1 << 20][random.below(3)], checkpoint: [1, 2_000, 1 << 30][random.below(3)])
        deleteRetention = [0, 40, 1 << 40][random.below(3)]
        log = try openLog(files, limits)
    }

    mutating func step() throws {
        now += 1
        switch random.below(100) {
        case ..<45: try appendSome()
        case ..<60: try sync()
        case ..<75: try clean()
        case ..<80: try appendTrim()
        case ..<84: settle()
        case ..<88: try cut()
        case ..<93: try crash([.nothing, .some, .all][random.below(3)])
        case ..<96: try crashWhileCleaning()
        default: try verify()
        }
    }

    mutating func finish() throws {
        try crash(.some)
        try clean()
        try verify()
    }

    // MARK: - What happens

    private mutating func appendSome() throws {
        if random.below(6) == 0 {
            term += Int32(random.below(2))
            try log.addMarker(term: term)
            boundaries.append((log.end, log.endOffset, term))
            return
        }
        var records: [Keyed] = []
        for _ in 0...random.below(4) {
            let value = random.below(4) == 0 ? nil : String(repeating: "v", count: random.below(80))
            records.append(Keyed("key \(random.below(8))", value, at: Int64(random.below(500))))
        }
        try append(records, codec: random.below(3) == 0 ? .lz4 : .none)
    }

    mutating func append(_ records: [Keyed], codec: Codec = .none) throws {
        let base = log.endOffset.rawValue
        try log.add(records, codec: codec, term: term)
        for (place, record) in records.enumerated() { model.append(Found(base + Int64(place), record)) }
        boundaries.append((log.end, log.endOffset, term))
    }

    mutating func sync() throws {
        try log.sync()
        committed = max(committed, log.durable)
        settle()
    }

    mutating func clean() throws {
        let rules = CleaningRules(minDirtyShare: 0, deleteRetention: deleteRetention)
        let before = log.cleanedTo
        let map = [24 * 4, 24 * 8, 1 << 16][random.below(3)]
        let outcome = try log.clean(
            now: now, committed: committed, rules: rules, map: Int64(map), slice: Int64(1 + random.below(2_000)))
        if outcome != nil { #expect(log.cleanedTo > before && log.cleanedTo <= committed) }
    }

    private mutating func appendTrim() throws {
        // Only what is committed is ever trimmed.
        let end = log.offset(at: committed).rawValue
        guard end > log.firstOffset.rawValue else { return }
        let offset = log.firstOffset.rawValue + Int64(random.below(Int(end - log.firstOffset.rawValue) + 1))
        try log.addTrim(to: offset, term: term)
        boundaries.append((log.end, log.endOffset, term))
    }

    private mutating func settle() {
        _ = log.settleTrims(below: committed)
        #expect(log.firstOffset >= trim, "the start never goes back")
        trim = log.firstOffset
        do {
            if let anchor = try log.removeHiddenSegments(committed: committed) {
                #expect(anchor.offset <= trim && anchor == log.start)
            }
        } catch {
            Issue.record("\(error)")
        }
    }

    private mutating func cut() throws {
        let places = boundaries.filter { $0.end >= committed }
        guard !places.isEmpty else { return }
        let place = places[random.below(places.count)]
        try log.truncate(to: place.end)
        shorten()
    }

    /// Forgets what the log no longer has behind its end.
    private mutating func shorten() {
        boundaries.removeAll { $0.end > log.end }
        model.removeAll { $0.offset >= log.endOffset.rawValue }
        term = boundaries.last?.term ?? term
    }

    mutating func crash(_ loss: SimFileSystem.Loss) throws {
        files.crash(loss)
        files.heal()
        log = try openLog(files, limits)
        #expect(log.end >= committed, "what was durable is there")
        shorten()
        settle()
        try verify()
    }

    private mutating func crashWhileCleaning() throws {
        try sync()
        let operations: [DiskError.Operation] = [.open, .write, .synchronize, .rename, .truncate, .remove]
        files.fail(operations[random.below(6)], after: random.below(8), times: .max)
        do throws(LogError) { try log.cleanAll(committed: committed) } catch {}
        try crash([.nothing, .some, .all][random.below(3)])
    }

    // MARK: - What must hold

    func verify() throws {
        let found = try log.found(limit: 1 + Int64(900))
        let byOffset = Dictionary(uniqueKeysWithValues: found.map { ($0.offset, $0) })
        let first = log.firstOffset.rawValue
        let end = log.offset(at: committed).rawValue
        let cleaned = log.offset(at: log.cleanedTo).rawValue
        var last: [String: Int64] = [:]
        var lastCleaned: [String: Int64] = [:]
        for record in model {
            let key = record.record.key ?? ""
            if record.offset < end { last[key] = record.offset }
            if record.offset < cleaned { lastCleaned[key] = record.offset }
        }
        for record in model where record.offset >= first {
            if let there = byOffset[record.offset] {
                #expect(there == record)
                let isLast = lastCleaned[record.record.key ?? ""] == record.offset
                #expect(record.offset >= cleaned || isLast, "\(record) was to go: cleaned to \(cleaned)")
                continue
            }
            let isSuperseded = (last[record.record.key ?? ""] ?? -1) > record.offset
            let isTombstone = record.record.value == nil && deleteRetention < 1 << 40
            #expect(record.offset < end && (isSuperseded || isTombstone), "\(record) is missing")
        }
        #expect(found.allSatisfy { $0.offset >= first } && found.map(\.offset) == found.map(\.offset).sorted())
        try verifyPlaces()
        for wanted in [0, 100, 250, 499, 500] as [Int64] {
            let naive = found.first { $0.record.time >= wanted }
            #expect(try log.offset(atOrAfter: time(wanted), upTo: log.endOffset)?.offset.rawValue == naive?.offset)
        }
        let greatest = found.map(\.record.time).max()
        let naive = found.first { $0.record.time == greatest }
        #expect(try log.maxTimestamp(upTo: log.endOffset)?.offset.rawValue == naive?.offset)
    }

    /// Slots, offsets and terms are what they were, and a follower that stands at any old boundary can be served.
    private func verifyPlaces() throws {
        #expect(boundaries.last.map { $0.end == log.end && $0.next == log.endOffset } ?? (log.end == .zero))
        for (end, next, term) in boundaries where end >= log.start.position.end {
            #expect(log.offset(at: end) == next)
            if end > log.start.position.end { #expect(log.terms.term(at: end.advanced(by: -1)) == Term(term)) }
            var at = end
            while at < log.end {
                let slice = try log.read(from: at, limit: bytes(400))
                var reached = at
                for buffer in slice.bytes {
                    for head in try EntryHead.all(in: buffer, verifyingChecksums: true) {
                        #expect(head.baseOffset == log.offset(at: reached))
                        reached = reached.advanced(by: head.slots)
                    }
                }
                #expect(reached == slice.through.end && reached > at)
                at = reached
            }
        }
    }
}
