// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Simulation
import Testing

/// What a log knows of its producers after cuts, restarts, crashes and the loss of files: always what its entries say.
struct ProducerRecoveryTests {
    private func snapshots(_ files: SimFileSystem) throws -> [String] {
        try files.list("/data/p").filter { $0.hasSuffix(".producers") }
    }

    /// A log that one producer has written.
    private func nineEntries(settledBelow index: LogIndex) throws -> (SimFileSystem, SimLog) {
        let files = try makeMachine()
        let log = try openLog(files)
        for number in 0..<9 { try log.add(by: 5, sequence: Int32(number)) }
        try log.sync()
        log.settleProducers(below: index)
        return (files, log)
    }

    @Test func aClosedLogIsOpenedFromItsSnapshotAlone() throws {
        let (files, log) = try nineEntries(settledBelow: LogIndex(9))
        try log.close()
        #expect(try snapshots(files) == ["00000000000000000009.producers"])
        // With the segment's heads unreadable, only the snapshot can say it.
        let reopened = try openLog(files)
        #expect(reopened.producers == log.producers)
        #expect(reopened.recovery.wasClean && reopened.recovery.scanned == .zero)
    }

    /// Kafka's checksum covers the epoch and the sequence, and not the offset, which a retry is answered with.
    @Test(arguments: [("the epoch", 51), ("the sequence", 56), ("the offset", 2)])
    func producersAreNotReadFromAnEntryThatHasRotted(_ what: String, _ position: Int64) throws {
        let (files, log) = try nineEntries(settledBelow: LogIndex(4))
        try log.checkpoint()
        let before = log.producers
        try log.close()
        let size = try files.size(of: "/data/p/00000000000000000000.log").rawValue / 9
        try files.flip(bit: 1, at: bytes(6 * size + position), of: "/data/p/00000000000000000000.log")
        let reopened = try openLog(files)
        #expect(reopened.producersAreUnknown, "\(what)")
        #expect(reopened.producers[5] == nil)
        try files.flip(bit: 1, at: bytes(6 * size + position), of: "/data/p/00000000000000000000.log")
        #expect(try openLog(files).producers == before)
    }

    @Test func whatIsNotSettledIsInNoSnapshot() throws {
        let (files, log) = try nineEntries(settledBelow: LogIndex(4))
        try log.close()
        #expect(try snapshots(files) == ["00000000000000000004.producers"])
        #expect(try openLog(files).producers == log.producers)
    }

    /// T-K11 (KAFKA-9144).
    @Test func producersOutliveTheSegmentsThatHeldThem() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 1_000))
        for number in 0..<7 { try log.add(by: 5, sequence: Int32(number)) }
        for _ in 0..<60 { try log.add() }
        try log.sync()
        let moved = try log.applyRetention(now: time(0), bytes: bytes(1_500), milliseconds: nil, committed: log.durable)
        #expect(moved.map { $0.offset >= Offset(7) } == true)
        #expect(log.producers[5]?.lastSequence == 6)
        files.crash(.all)
        let reopened = try openLog(files, .small(segment: 1_000))
        #expect(reopened.producers[5] == log.producers[5], "T-K11, KAFKA-9144")
    }

    /// A snapshot that cannot be written keeps retention from removing what only the segments say.
    @Test func retentionWaitsForTheSnapshot() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 1_000))
        for number in 0..<7 { try log.add(by: 5, sequence: Int32(number)) }
        for _ in 0..<60 { try log.add() }
        try log.sync()
        let start = log.start
        files.fail(.rename, code: 5, after: 0)
        #expect(throws: LogError.self) {
            try log.applyRetention(now: time(0), bytes: bytes(1_500), milliseconds: nil, committed: log.durable)
        }
        files.heal()
        #expect(log.start == start)
        #expect(
            try log.applyRetention(now: time(0), bytes: bytes(1_500), milliseconds: nil, committed: log.durable) != nil)
    }

    @Test func onAFullDiskRetentionMakesRoomFirst() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 1_000))
        for number in 0..<7 { try log.add(by: 5, sequence: Int32(number)) }
        for _ in 0..<60 { try log.add() }
        try log.sync()
        files.fail(.write, code: 28, after: 0)
        #expect(
            try log.applyRetention(now: time(0), bytes: bytes(1_500), milliseconds: nil, committed: log.durable) != nil)
        files.crash(.all)
        #expect(try openLog(files, .small(segment: 1_000)).producers[5] == log.producers[5])
    }

    /// What is before the start of the log of a copy is known from the copy it was made from.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func aCopyThatBeginsLaterKnowsTheSame(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let source = try openLog(makeMachine(), .small(segment: 400))
        var sequences: [Int32] = [0, Int32.max - 9, 7]
        for _ in 0..<60 {
            let producer = random.below(random.below(3) + 1)
            let count = 1 + random.below(3)
            let epoch = Int16(source.end.rawValue / 70)
            if source.producers[Int64(producer)]?.epoch != epoch { sequences[producer] = 0 }
            try source.add(by: Int64(producer), epoch: epoch, sequence: sequences[producer], records: count)
            sequences[producer] = Int32((Int64(sequences[producer]) + Int64(count)) & 0x7fff_ffff)
            if random.below(6) == 0 { try source.addMarker() }
        }
        try source.sync()
        let keep = bytes(Int64(random.below(4_000)))
        _ = try source.applyRetention(now: time(0), bytes: keep, milliseconds: nil, committed: source.durable)
        let files = try makeMachine(seed: 2)
        var copy = try openLog(files)
        let producers = source.producersAtStart()
        #expect(copy.canAdoptProducers(producers, at: source.start))
        var damaged = producers
        damaged.setInteger(UInt8(7), at: random.below(producers.readableBytes))
        #expect(!copy.canAdoptProducers(damaged, at: source.start) || damaged == producers)
        try copy.restart(at: source.start)
        try copy.adoptProducers(producers)
        if random.below(2) == 0 {
            files.crash(.nothing)
            files.crash(.all)
            copy = try openLog(files)
        }
        for entry in try source.entries() {
            let buffer = ByteBuffer(bytes: entry)
            copy.append(buffer, heads: [try EntryHead.parse(buffer)])
        }
        #expect(copy.end == source.end)
        #expect(copy.producers.all.map(\.id) == source.producers.all.map(\.id))
        for (id, state) in source.producers.all {
            #expect(copy.producers[id]?.batches == state.batches && copy.producers[id]?.epoch == state.epoch)
            #expect(copy.producers[id].map { $0.storedSequences <= state.storedSequences } == true)
        }
    }

    @Test func aSnapshotIsWrittenWhenASegmentEnds() throws {
        let files = try makeMachine()
        let log = try openLog(files, .small(segment: 1_000))
        for number in 0..<40 {
            try log.add(by: 5, sequence: Int32(number))
            try log.sync()
            log.settleProducers(below: log.durable)
        }
        #expect(try snapshots(files).count == 2, "the two newest are kept")
        files.crash(.all)
        #expect(try openLog(files, .small(segment: 1_000)).producers == log.producers)
    }

    @Test func aSnapshotOfAnotherLogIsNotBelieved() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        try log.add(by: 5, sequence: 0, term: 1)
        try log.sync()
        log.settleProducers(below: log.end)
        try log.close()
        // The same name, another term: what a copy of another disk would look like.
        let name = "/data/p/00000000000000000001.producers"
        let other = try makeMachine()
        let strange = try openLog(other)
        try strange.add(by: 77, sequence: 0, term: 2)
        try strange.sync()
        strange.settleProducers(below: strange.end)
        try strange.close()
        try put(try content(of: name, in: other), at: name, in: files)
        let reopened = try openLog(files)
        #expect(reopened.producers.all.map(\.id) == [5])
        #expect(try snapshots(files).isEmpty)
    }

    @Test func everyDamagedByteOfASnapshotIsNoticed() throws {
        let files = try makeMachine()
        let log = try openLog(files)
        for number in 0..<7 { try log.add(by: 5, sequence: Int32(number)) }
        try log.add(by: 6, epoch: 2, sequence: 0)
        log.expireProducers(after: 10, expiration: 1_000)
        try log.sync()
        log.settleProducers(below: log.end)
        try log.close()
        let path = "/data/p/00000000000000000008.producers"
        let good = try content(of: path, in: files)
        for place in good.indices {
            var bad = good
            bad[place] ^= 0x41
            try put(bad, at: path, in: files)
            // It is set aside, and the log is read instead.
            #expect(try openLog(files).producers.all.map(\.id) == [5, 6])
            #expect(try snapshots(files).isEmpty)
        }
        for length in good.indices {
            try put(Array(good[..<length]), at: path, in: files)
            #expect(try openLog(files).producers.all.map(\.id) == [5, 6])
        }
        try put(good, at: path, in: files)
        #expect(try openLog(files).producers == log.producers)
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func theTableIsWhatTheEntriesSay(seed: UInt64) throws {
        var run = try ProducerRun(seed: seed, mayLoseSnapshots: seed.isMultiple(of: 2))
        for _ in 0..<120 { try run.step() }
        try run.crash(.some)
        run.verify()
    }
}

private func content(of path: String, in files: SimFileSystem) throws -> [UInt8] {
    let file = try files.open(path, .readOnly)
    let range = FileRange(file: file, position: .zero, size: try file.size())
    return Array(try FetchPiece.file(range).content().readableBytesView)
}

private func put(_ content: [UInt8], at path: String, in files: SimFileSystem) throws {
    let file = try files.open(path, .createOrOpen)
    try file.truncate(to: .zero)
    try ByteBuffer(bytes: content).withUnsafeReadableBytes { bytes in try file.write([bytes], at: .zero) }
}

/// One entry as the oracle keeps it.
private struct Noted {
    let head: EntryHead
    let index: LogIndex
    var end: LogIndex { index.advanced(by: head.slots) }
}

/// A producer as the oracle finds it, by looking back from the end of the log.
private struct Remembered: Equatable {
    var epoch: Int16
    var batches: [RememberedBatch] = []
    var lastIndex: LogIndex

    init(_ state: ProducerState) {
        epoch = state.epoch
        batches = state.batches
        lastIndex = state.lastIndex
    }

    /// The latest run of batches in one epoch that follow each other, at most five.
    init?(_ producer: Int64, in entries: [Noted]) {
        let own = entries.filter { $0.head.producerID == producer }
        guard let last = own.last else { return nil }
        epoch = last.head.producerEpoch
        lastIndex = last.index
        var next: Int32?
        for entry in own.reversed() {
            let head = entry.head
            let after = Int32(truncatingIfNeeded: (Int64(head.baseSequence) + head.slots) % (1 << 31))
            guard head.producerEpoch == epoch, next == nil || next == after, batches.count < 5 else { break }
            batches.insert(
                RememberedBatch(
                    firstSequence: head.baseSequence, slots: head.slots, baseOffset: head.baseOffset,
                    timestamp: head.maxTimestamp), at: 0)
            next = head.baseSequence
        }
    }
}

private struct ProducerRun {
    var random: SplitMix
    let files: SimFileSystem
    let limits: LogLimits
    let mayLoseSnapshots: Bool
    var log: SimLog
    /// Everything that was ever appended and not cut, what retention has removed included.
    var entries: [Noted] = []
    var committed = LogIndex.zero
    var term: Int32 = 1
    /// The next sequence of each producer, by its id.
    var sequences: [Int32] = [0, 5, Int32.max - 6, 0]
    var epochs: [Int16] = [0, 0, 0, 0]

    init(seed: UInt64, mayLoseSnapshots: Bool) throws {
        random = SplitMix(state: seed)
        files = try makeMachine(seed: seed)
        self.mayLoseSnapshots = mayLoseSnapshots
        limits = .small(
            segment: [300, 1_500, 20_000][random.below(3)], tail: [0, 2_000][random.below(2)],
            checkpoint: [1, 2_000, 1 << 30][random.below(3)])
        log = try openLog(files, limits)
    }

    mutating func step() throws {
        switch random.below(100) {
        case ..<50: try append()
        case ..<60: try log.writeOut()
        case ..<72: try sync()
        case ..<80: try truncate()
        case ..<84: try log.checkpoint()
        case ..<88: if !mayLoseSnapshots { try retain() }
        case ..<91: if mayLoseSnapshots { try spoil() }
        case ..<95: try crash(random.below(2) == 0 ? .all : .some)
        default: try closeAndOpen()
        }
        verify()
    }

    private mutating func append() throws {
        var buffer = ByteBuffer()
        var heads: [EntryHead] = []
        var at = log.end
        var offset = log.endOffset
        for _ in 0...random.below(4) {
            if random.below(8) == 0 { term += 1 }
            var entry = try makeEntry(after: entries.last?.head.term)
            EntryHead.assign(baseOffset: offset, term: Term(term), in: &entry)
            let head = try EntryHead.parse(entry)
            entries.append(Noted(head: head, index: at))
            heads.append(head)
            buffer.writeBuffer(&entry)
            at = at.advanced(by: head.slots)
            offset = head.nextOffset
        }
        log.append(buffer, heads: heads)
    }

    private mutating func makeEntry(after last: Term?) throws -> ByteBuffer {
        // A term begins with a leader's marker.
        let choice = random.below(10)
        switch last == Term(term) ? choice : 0 {
        case 0:
            return MarkerEntry.encode(
                kind: .leaderStart, term: Term(term), nextOffset: log.endOffset, timestamp: time(0),
                payload: LeaderStartPayload.encode(Term(term)))
        case 1: return try makeBatch(records: 1 + random.below(3))
        default:
            let producer = random.below(4)
            if random.below(15) == 0 {
                epochs[producer] += random.below(5) == 0 ? -1 : 1
                epochs[producer] = max(0, epochs[producer])
                sequences[producer] = 0
            }
            if random.below(12) == 0 { sequences[producer] = Int32(random.below(1_000)) }
            let count = 1 + random.below(4)
            let first = sequences[producer]
            sequences[producer] = Int32((Int64(first) + Int64(count)) & 0x7fff_ffff)
            return try makeBatch(
                by: Int64(producer), epoch: epochs[producer], sequence: first, records: count, size: random.below(80),
                at: Int64(random.below(5_000)))
        }
    }

    private mutating func sync() throws {
        try log.sync()
        // What is durable may be committed, and is then never cut.
        let boundaries = entries.map(\.end).filter { committed <= $0 && $0 <= log.durable }
        guard !boundaries.isEmpty, random.below(3) > 0 else { return }
        committed = boundaries[random.below(boundaries.count)]
        log.settleProducers(below: committed)
    }

    private mutating func truncate() throws {
        let boundaries = entries.map(\.index).filter { committed <= $0 }.suffix(8)
        guard !boundaries.isEmpty else { return }
        let end = boundaries[boundaries.startIndex + random.below(boundaries.count)]
        entries.removeAll { $0.index >= end }
        try log.truncate(to: end)
        term += 1
        try log.sync()
    }

    private mutating func retain() throws {
        _ = try log.applyRetention(
            now: time(0), bytes: bytes(Int64(random.below(3_000))), milliseconds: nil, committed: committed)
    }

    /// A snapshot is lost, or damaged.
    private mutating func spoil() throws {
        for name in try files.list("/data/p") where name.hasSuffix(".producers") && random.below(2) == 0 {
            let path = "/data/p/" + name
            if random.below(2) == 0 {
                try files.remove(path)
            } else {
                try files.open(path, .existing).truncate(to: ByteCount(Int64(random.below(60))))
            }
        }
    }

    mutating func crash(_ loss: SimFileSystem.Loss) throws {
        files.crash(loss)
        log = try openLog(files, limits)
        let end = log.end
        entries.removeAll { $0.end > end }
        term += 1
    }

    private mutating func closeAndOpen() throws {
        try log.close()
        log = try openLog(files, limits)
        term += 1
    }

    func verify() {
        for producer in 0..<4 as Range<Int64> {
            #expect(
                log.producers[producer].map { Remembered($0) } == Remembered(producer, in: entries),
                "producer \(producer)")
        }
        #expect(log.producers.all.allSatisfy { $0.id < 4 })
    }
}
