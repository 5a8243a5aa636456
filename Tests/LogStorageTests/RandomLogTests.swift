// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Simulation
import Testing

/// A log on a disk that loses power and fails, against a model that keeps a list: what was durable is there, and what
/// is there has been the log once.
struct RandomLogTests {
    @Test(arguments: 0..<400 as Range<UInt64>)
    func nothingDurableIsLostAndNothingIsInvented(seed: UInt64) throws {
        var run = try RandomLogRun(seed: seed)
        for _ in 0..<80 { try run.step() }
        try run.finish()
    }
}

/// What the log may be found to be after a crash.
private struct Candidate {
    var start: LogAnchor
    var entries: [Entry] = []
    /// Everything below must be there.
    var durable: LogIndex
    /// What the last membership marker before the start has said.
    var atStart: [UInt8]?

    struct Entry {
        let head: EntryHead
        let end: LogIndex
        let bytes: [UInt8]
    }

    var end: LogIndex { entries.last?.end ?? start.position.end }
    var endOffset: Offset { entries.last?.head.nextOffset ?? start.offset }
    var lastTerm: Term { entries.last?.head.term ?? start.position.term }
    var boundaries: [LogIndex] { [start.position.end] + entries.map(\.end) }

    mutating func truncate(to end: LogIndex) {
        entries.removeAll { $0.end > end }
        durable = min(durable, end)
    }

    var memberships: [MembershipRow] {
        var at = start.position.end
        return entries.compactMap { entry in
            defer { at = entry.end }
            guard entry.head.kind == .membership,
                let payload = try? MarkerEntry.payload(of: ByteBuffer(bytes: entry.bytes))
            else { return nil }
            return MembershipRow(slot: at, payload: Array(payload.readableBytesView))
        }
    }

    mutating func begin(at anchor: LogAnchor) {
        atStart = memberships.last { $0.slot < anchor.position.end }?.payload ?? atStart
        start = anchor
        entries.removeAll { $0.end <= anchor.position.end }
    }
}

private struct RandomLogRun {
    var random: SplitMix
    let files: SimFileSystem
    let limits: LogLimits
    var log: SimLog
    var now: Candidate
    /// Logs that have been replaced, but not yet durably so.
    var before: [Candidate] = []
    var ticket: (ticket: SyncTicket<SimFileSystem>, covers: LogIndex, replaced: Int)?
    var replacements = 0

    init(seed: UInt64) throws {
        random = SplitMix(state: seed)
        files = try makeMachine(seed: seed)
        limits = .small(
            segment: [300, 3_000, 20_000][random.below(3)], index: [1, 300, 5_000][random.below(3)],
            tail: [0, 2_000, 1 << 20][random.below(3)], checkpoint: [1, 4_000, 1 << 30][random.below(3)])
        log = try openLog(files, limits)
        now = Candidate(start: .origin, durable: .zero)
    }

    mutating func step() throws {
        switch random.below(100) {
        case ..<40: try append()
        case ..<55: try attempt(mayBeFull: true) { (log) throws(LogError) in try log.writeOut() }
        case ..<65: beginSync()
        case ..<75: try completeSync()
        case ..<82: try truncate()
        case ..<85: try retain()
        case ..<86: try restart()
        case ..<88: try attempt { (log) throws(LogError) in try log.checkpoint() }
        case ..<90: planFault()
        case ..<94: try crash(random.below(3) == 0 ? .nothing : random.below(4) == 0 ? .all : .some)
        case ..<95: try closeAndOpen()
        default: try verify(log, is: now)
        }
        // Entries that the log could not place are still its own.
        #expect(log.end == now.end)
    }

    mutating func finish() throws {
        files.heal()
        try crash(.some)
        try verify(log, is: now)
    }

    private mutating func append() throws {
        var buffer = ByteBuffer()
        var heads: [EntryHead] = []
        for _ in 0...random.below(3) {
            var entry = try randomEntry()
            let head = try EntryHead.parse(entry)
            now.entries.append(
                .init(head: head, end: now.end.advanced(by: head.slots), bytes: Array(entry.readableBytesView)))
            heads.append(head)
            buffer.writeBuffer(&entry)
        }
        log.append(buffer, heads: heads)
    }

    /// The next entry; a term begins with a leader's marker.
    private mutating func randomEntry() throws -> ByteBuffer {
        if random.below(6) == 0 {
            let term = Term(now.lastTerm.rawValue + 1)
            return MarkerEntry.encode(
                kind: .leaderStart, term: term, nextOffset: now.endOffset, timestamp: time(5),
                payload: LeaderStartPayload.encode(term))
        }
        if random.below(10) == 0 {
            return MarkerEntry.encode(
                kind: .membership, term: now.lastTerm, nextOffset: now.endOffset, timestamp: time(5),
                payload: ByteBuffer(repeating: UInt8(random.below(256)), count: random.below(100)))
        }
        var entry = try makeBatch(
            records: 1 + random.below(4), size: random.below(600), at: Int64(random.below(9_000)))
        EntryHead.assign(baseOffset: now.endOffset, term: now.lastTerm, in: &entry)
        return entry
    }

    /// Does what may meet a fault. After one the machine goes down, as a replica that cannot write does.
    private mutating func attempt(
        mayBeFull: Bool = false, _ work: (SimLog) throws(LogError) -> Void
    ) throws {
        do throws(LogError) {
            try work(log)
        } catch {
            if mayBeFull, case .disk(let disk) = error, disk.isOutOfSpace { return }
            try crash(random.below(2) == 0 ? .nothing : .some)
        }
    }

    private mutating func beginSync() {
        guard let ticket = log.beginSync() else { return }
        // What is in the files is all that a sync may speak for; asking for it is not part of the surface.
        self.ticket = (ticket, now.end, replacements)
    }

    private mutating func completeSync() throws {
        guard let ticket else { return }
        self.ticket = nil
        let result = ticket.ticket.run()
        do throws(LogError) {
            let durable = try log.completeSync(ticket.ticket, result)
            #expect(durable <= now.end && durable >= now.durable && durable <= max(ticket.covers, now.durable))
            #expect(now.boundaries.contains(durable))
            now.durable = durable
            if ticket.replaced == replacements { before.removeAll() }
        } catch {
            try crash(.some)
        }
    }

    private mutating func truncate() throws {
        let boundaries = now.boundaries
        let end = boundaries[boundaries.count - 1 - min(random.below(6), boundaries.count - 1)]
        guard end < now.end else { return }
        var old = now
        old.durable = min(old.durable, end)
        replacements += 1
        before.append(old)
        now.truncate(to: end)
        try attempt { (log) throws(LogError) in try log.truncate(to: end) }
    }

    private mutating func retain() throws {
        let keep = bytes(Int64(random.below(10_000)))
        let committed = now.durable
        var moved: LogAnchor?
        let old = log.start
        var failed = true
        let segmentEnds = now.boundaries
        do throws(LogError) {
            moved = try log.applyRetention(now: time(0), bytes: keep, milliseconds: nil, committed: committed)
            failed = false
        } catch {}
        if failed {
            // Either start may be found; which one it was to be, only the log knew.
            let replaced = before
            for end in segmentEnds where end > old.position.end && end <= committed {
                for var candidate in [now] + replaced {
                    candidate.begin(at: anchor(at: end, in: now))
                    before.append(candidate)
                }
            }
            return try crash(random.below(2) == 0 ? .nothing : .some)
        }
        guard let moved else { return }
        #expect(moved == anchor(at: moved.position.end, in: now))
        now.begin(at: moved)
        for number in before.indices {
            // What was cut lies behind what is committed, and so behind the new start.
            before[number].begin(at: moved)
        }
    }

    private func anchor(at end: LogIndex, in candidate: Candidate) -> LogAnchor {
        guard let entry = candidate.entries.first(where: { $0.end == end }) else { return candidate.start }
        return LogAnchor(position: LogPosition(term: entry.head.term, end: end), offset: entry.head.nextOffset)
    }

    private mutating func restart() throws {
        let skipped = Int64(random.below(50))
        let term = now.lastTerm.next
        let anchor = LogAnchor(
            position: LogPosition(term: term, end: now.end.advanced(by: skipped + Int64(random.below(3)))),
            offset: Offset(now.endOffset.rawValue + skipped))
        before.append(now)
        let membership = random.below(3) == 0 ? nil : [UInt8](repeating: 9, count: random.below(20))
        now = Candidate(start: anchor, durable: anchor.position.end, atStart: membership)
        var succeeded = false
        try attempt { (log) throws(LogError) in
            try log.restart(at: anchor, membership: membership)
            succeeded = true
        }
        if succeeded {
            before.removeAll()
            replacements += 1
        }
    }

    private mutating func planFault() {
        let operations: [DiskError.Operation] = [.write, .synchronize, .truncate, .open, .rename, .remove]
        let operation = operations[random.below(operations.count)]
        files.fail(operation, code: operation == .write && random.below(2) == 0 ? 28 : 5, after: random.below(4))
    }

    private mutating func crash(_ loss: SimFileSystem.Loss) throws {
        files.crash(loss)
        files.heal()
        ticket = nil
        // Opening is interrupted too.
        if random.below(3) == 0 {
            planFault()
            do throws(LogError) {
                _ = try SimLog.open(directory: "/data/p", in: files, limits: limits, now: time(0))
            } catch {
                #expect(!error.isCorrupt, "\(error)")
            }
            files.heal()
            files.crash(random.below(2) == 0 ? .nothing : .some)
        }
        log = try openLog(files, limits)
        let found = log
        let entries = try found.entries(limit: Int64(1 + random.below(3_000)))
        let candidates = [now] + before
        let match = candidates.first { candidate in
            candidate.start == found.start && candidate.durable <= found.end && entries.count <= candidate.entries.count
                && zip(entries, candidate.entries).allSatisfy { $0 == $1.bytes }
        }
        guard var match else {
            let known = candidates.map { "\($0.start)..<\($0.end), durable \($0.durable)" }
            Issue.record("\(found.start)..<\(found.end), \(found.recovery), is none of \(known)")
            throw LogError.failed
        }
        match.entries.removeAll { $0.end > found.end }
        match.durable = found.end
        now = match
        before.removeAll()
        replacements += 1
        #expect(log.durable == log.end)
        try verify(log, is: now)
    }

    private mutating func closeAndOpen() throws {
        files.heal()
        ticket = nil
        try log.close()
        files.crash(.all)
        log = try openLog(files, limits)
        #expect(log.recovery.wasClean && log.recovery.scanned == .zero, "\(log.recovery)")
        now.durable = now.end
        before.removeAll()
        replacements += 1
        try verify(log, is: now)
    }

    private mutating func verify(_ log: SimLog, is model: Candidate) throws {
        files.heal()
        #expect(log.start == model.start)
        #expect(log.end == model.end && log.endOffset == model.endOffset)
        #expect(log.lastEntry == LogPosition(term: model.lastTerm, end: model.end))
        #expect(log.membershipMarkers == model.memberships)
        #expect(log.membershipAtStart == model.atStart)
        #expect(log.size.rawValue == model.entries.reduce(0) { $0 + Int64($1.bytes.count) })
        #expect(try log.entries(limit: Int64(1 + random.below(3_000))) == model.entries.map(\.bytes))
        let batches = model.entries.filter { !$0.head.isMarker }
        #expect(try log.fetchAll(limit: Int64(1 + random.below(3_000))) == batches.map(\.head))
        var at = model.start.position.end
        for entry in model.entries {
            #expect(log.offset(at: at) == entry.head.baseOffset && log.offset(at: entry.end) == entry.head.nextOffset)
            #expect(log.terms.term(at: at) == entry.head.term)
            if !entry.head.isMarker { #expect(log.index(of: entry.head.baseOffset) == at) }
            at = entry.end
        }
        let wanted = time(Int64(random.below(9_000)))
        let naive = batches.first { $0.head.maxTimestamp >= wanted }
        let found = try log.offset(atOrAfter: wanted, upTo: log.endOffset)
        #expect((found == nil) == (naive == nil))
        if let found, let naive {
            #expect(found.offset >= naive.head.baseOffset && found.offset < naive.head.nextOffset)
        }
        let greatest = batches.map(\.head.maxTimestamp).max()
        #expect(try log.maxTimestamp(upTo: log.endOffset)?.timestamp == greatest)
    }
}

struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
