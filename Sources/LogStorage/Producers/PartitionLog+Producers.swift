// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
public import NIOCore
public import RecordBatches

/// A log's producers, and what is needed to follow the log back and forth.
struct ProducerMemory<FS: FileSystem> {
    var table: ProducerTable
    let files: ProducerSnapshotFiles<FS>
    /// What the latest entries have changed, in log order.
    var changes: [ProducerTable.Change] = []
    /// Cuts down to here are undone with `changes`; for deeper ones the table is made anew.
    var undoFloor: LogIndex
    /// What has come since the newest snapshot, which an opening would have to read.
    var sinceSnapshot = Reading()
    /// Nothing below will ever be cut off.
    var settled: LogIndex
    /// Where the newest snapshot is taken that was asked for.
    var snapshotIndex: LogIndex

    /// How many changes are kept though they are committed: below, it is not worth moving the rest.
    static var keptChanges: Int { 16 }
    /// How many changes are kept at most; a cut that reaches further back makes the table anew.
    static var changesLimit: Int { 4_096 }
    /// After how much a checkpoint comes with a snapshot.
    static var snapshotInterval: Reading { Reading(entries: 1_000, bytes: 16 << 20) }

    /// Entries that are read to find out the producers.
    struct Reading {
        var entries = 0
        var bytes: Int64 = 0

        mutating func add(_ head: EntryHead) {
            entries += 1
            bytes += Int64(head.totalSize)
        }

        func reaches(_ other: Reading) -> Bool { entries >= other.entries || bytes >= other.bytes }
    }

    init(directory: String, fs: FS, capacity: Int, at index: LogIndex) {
        table = ProducerTable(capacity: capacity)
        files = ProducerSnapshotFiles(in: directory, fs: fs)
        undoFloor = index
        settled = index
        snapshotIndex = index
    }

    mutating func note(_ head: EntryHead, at index: LogIndex) {
        sinceSnapshot.add(head)
        guard head.producerID >= 0, let change = table.note(head, at: index) else { return }
        changes.append(change)
        guard changes.count > Self.changesLimit else { return }
        changes.removeFirst(Self.changesLimit / 2)
        undoFloor = max(undoFloor, changes.first?.index ?? undoFloor)
    }
}

extension PartitionLog {
    /// The idempotent producers that have written here: all entries count, committed or not.
    public var producers: ProducerTable { producerMemory.table }

    /// What a batch is that a producer wants appended here, which is for the leader to ask.
    /// - Complexity: O(1).
    public func verdict(on head: EntryHead) -> ProducerVerdict { producerMemory.table.verdict(on: head) }

    /// The end of a batch that `producers` remembers. The log's start for one that is gone from here.
    public func end(of batch: RememberedBatch) -> LogIndex {
        guard batch.baseOffset >= start.offset else { return start.position.end }
        return index(of: batch.baseOffset).advanced(by: batch.slots)
    }

    /// The last offset of each batch below `index` of which a retry may still come, ascending: compaction must keep
    /// those batches, empty if need be, so that whoever finds out the producers by reading the log recognises retries
    /// of all of them. With each producer's last alone, a retry of the one before would seem out of order.
    ///
    /// - Parameter index: below it nothing will be cut off: what is cut behind it makes earlier batches the latest.
    /// - Complexity: O(*n* log *n*) in producers.
    public func rememberedBatchOffsets(below index: LogIndex) -> [Offset] {
        let index = min(index, end)
        let table = producerMemory.undoFloor <= index ? recentProducers(at: index) : producers
        let batches = table.all.flatMap { $0.state.batches }
        return batches.map { Offset($0.baseOffset.rawValue + $0.slots - 1) }.sorted()
    }

    /// Says that nothing below `index`, an entry boundary, will ever be cut off: no way back need be kept, and a
    /// snapshot may be taken there.
    public func settleProducers(below index: LogIndex) {
        producerMemory.settled = max(producerMemory.settled, min(index, end))
        guard producerMemory.changes.count > ProducerMemory<FS>.keptChanges else { return }
        let settled = producerMemory.changes.prefix { $0.index < index }.count
        guard settled * 2 >= producerMemory.changes.count else { return }
        producerMemory.changes.removeFirst(settled)
        producerMemory.undoFloor = max(producerMemory.undoFloor, producerMemory.settled)
    }

    /// Lets time pass, and forgets producers that have been silent for long.
    ///
    /// - Parameters:
    ///   - milliseconds: by the monotonic clock, since the last call.
    ///   - expiration: how long a producer may be silent, in milliseconds (`producer.id.expiration.ms`).
    public func expireProducers(after milliseconds: Int64, expiration: Int64) {
        guard !hasFailed else { return }
        producerMemory.table.pass(milliseconds, end: end, expiration: expiration)
        if producerMemory.table.isEmpty { producerMemory.changes.removeAll() }
    }

    // MARK: - Called by the log

    /// The log has been cut at `newEnd`.
    func truncateProducers(to newEnd: LogIndex) throws(LogError) {
        if newEnd >= producerMemory.undoFloor {
            while let change = producerMemory.changes.last, change.index >= newEnd {
                producerMemory.table.undo(change)
                producerMemory.changes.removeLast()
            }
        } else {
            do throws(LogError) {
                producerMemory.table = try producersRead(at: newEnd)
            } catch {
                guard case .corrupt(let what) = error else { throw error }
                producersFlaw = what
            }
            producerMemory.changes = []
            producerMemory.undoFloor = newEnd
        }
        producerMemory.table.lowerMarks(to: newEnd)
        producerMemory.settled = min(producerMemory.settled, newEnd)
        producerMemory.snapshotIndex = min(producerMemory.snapshotIndex, newEnd)
    }

    /// The log has been emptied and begins elsewhere: who wrote what came before is not known.
    func restartProducers() {
        producersFlaw = nil
        producerMemory.files.forgetAll()
        producerMemory = ProducerMemory(directory: directory, fs: fs, capacity: limits.producersMax, at: end)
    }

    /// Finds out the producers of a log that has just been opened.
    func restoreProducers() throws(LogError) {
        var hasUnreadable = false
        let found = try onDisk { () throws(DiskError) in
            try producerMemory.files.adopt(capacity: limits.producersMax, hasUnreadable: &hasUnreadable) {
                self.holds($0)
            }
        }
        // Without any, the log tells all, unless its own beginning is gone.
        recovery.hasLostProducers = hasUnreadable && found == nil && start.position.end > .zero
        let from = found?.position.end ?? start.position.end
        let (table, read): (ProducerTable, ProducerMemory<FS>.Reading)
        do throws(LogError) {
            (table, read) = try fold(
                found?.table ?? ProducerTable(capacity: limits.producersMax), from: from, to: end)
            producersFlaw = nil
        } catch {
            guard case .corrupt(let what) = error else { throw error }
            producersFlaw = what
            (table, read) = (ProducerTable(capacity: limits.producersMax), ProducerMemory<FS>.Reading())
        }
        producerMemory.table = table
        producerMemory.changes = []
        producerMemory.undoFloor = end
        producerMemory.settled = from
        producerMemory.snapshotIndex = from
        producerMemory.sinceSnapshot = read
    }

    /// Tries once more what could not be found out, when nothing was found to be damaged after all.
    public func recallProducers() throws(LogError) {
        if producersAreUnknown, damage.isEmpty { try restoreProducers() }
    }

    /// The snapshot that is due, when a checkpoint is. It is written once everything it speaks of is durable.
    func producerSnapshotJob() -> ProducerSnapshotJob<FS>? {
        let index = min(producerMemory.settled, written)
        let isDue =
            producerMemory.sinceSnapshot.reaches(ProducerMemory<FS>.snapshotInterval)
            || producerMemory.snapshotIndex < (segments.last?.base ?? start.position.end)
        guard isDue, !producersAreUnknown else { return nil }
        guard producerMemory.snapshotIndex < index, producerMemory.undoFloor <= index else { return nil }
        producerMemory.snapshotIndex = index
        producerMemory.sinceSnapshot = ProducerMemory<FS>.Reading()
        return ProducerSnapshotJob(
            snapshot: ProducerSnapshot(position: position(at: index), table: recentProducers(at: index)),
            files: producerMemory.files)
    }

    /// Writes a snapshot here and now, unless there is one that says as much. A failure costs the next opening time.
    func storeProducers() {
        let index = min(producerMemory.settled, durable)
        guard !producersAreUnknown else { return }
        let known = producerMemory.files.newest?.end ?? start.position.end
        guard known < index, producerMemory.undoFloor <= index else { return }
        try? producerMemory.files.write(
            ProducerSnapshot(position: position(at: index), table: recentProducers(at: index)))
    }

    /// Everything before `index` is about to be removed, which is committed and durable. What it says of producers must
    /// not go with it (KAFKA-9144): a snapshot has to hold it, of a part that is committed and durable too, so that
    /// nothing can ever make it void.
    ///
    /// - Returns: false when the disk is full. Then it is for the caller to make room and to ask again.
    func keepProducers(before index: LogIndex) throws(LogError) -> Bool {
        settleProducers(below: index)
        let isKept = producerMemory.files.newest.map { index <= $0.end } ?? false
        guard !producers.isEmpty, !isKept else { return true }
        let index = min(producerMemory.settled, durable)
        let table = try index < producerMemory.undoFloor ? producersRead(at: index) : recentProducers(at: index)
        do throws(DiskError) {
            try producerMemory.files.write(ProducerSnapshot(position: position(at: index), table: table))
            return true
        } catch {
            guard error.isOutOfSpace else { throw .disk(error) }
            return false
        }
    }

    // MARK: - From log to log

    /// What this log knows of the producers of what lies before its start, for a copy that begins there.
    ///
    /// It is worked out from what is known now: the remembered batches before the start, and those of producers that
    /// have written nothing since. A copy that goes on from it with the entries behind the start comes to the same.
    public func producersAtStart() -> ByteBuffer {
        ProducerSnapshot(position: start.position, table: producers.before(start)).encoded()
    }

    /// Whether `bytes` are what `producersAtStart` gives in a log that begins at `anchor`.
    public func canAdoptProducers(_ bytes: ByteBuffer, at anchor: LogAnchor) -> Bool {
        let snapshot = try? ProducerSnapshot(decoding: bytes, capacity: limits.producersMax)
        return snapshot?.position == anchor.position
    }

    /// Takes what `producersAtStart` gave, in a log that has just been restarted there. Blocks.
    public func adoptProducers(_ bytes: ByteBuffer) throws(LogError) {
        try checkUsable()
        guard end == start.position.end,
            let snapshot = try? ProducerSnapshot(decoding: bytes, capacity: limits.producersMax),
            snapshot.position == start.position
        else { preconditionFailure("a log that was restarted takes over the producers before its start") }
        guard !snapshot.table.isEmpty else { return }
        producerMemory.table = snapshot.table
        try orFail { () throws(DiskError) in try producerMemory.files.write(snapshot) }
    }

    /// The table as it was when the log ended at `index`, which is not below `undoFloor`.
    private func recentProducers(at index: LogIndex) -> ProducerTable {
        var table = producers
        for change in producerMemory.changes.reversed().prefix(while: { index <= $0.index }) { table.undo(change) }
        table.lowerMarks(to: index)
        return table
    }

    private func position(at index: LogIndex) -> LogPosition {
        guard start.position.end < index else { return start.position }
        guard let term = terms.term(at: LogIndex(index.rawValue - 1)) else {
            preconditionFailure("an entry of the log has a term")
        }
        return LogPosition(term: term, end: index)
    }

    /// Whether `position` is one of this log, and so everything below it this log's.
    private func holds(_ position: LogPosition) -> Bool {
        start.position.end <= position.end && position.end <= end && self.position(at: position.end) == position
    }

    /// The table of the log's part below `index`, read from the newest snapshot that helps and the entries behind it.
    private func producersRead(at index: LogIndex) throws(LogError) -> ProducerTable {
        for position in producerMemory.files.positions where position.end <= index && holds(position) {
            guard let table = producerMemory.files.read(position, capacity: limits.producersMax) else { continue }
            return try fold(table, from: position.end, to: index).table
        }
        return try fold(ProducerTable(capacity: limits.producersMax), from: start.position.end, to: index).table
    }

    private func fold(
        _ table: ProducerTable, from: LogIndex, to: LogIndex
    ) throws(LogError) -> (table: ProducerTable, read: ProducerMemory<FS>.Reading) {
        var table = table
        var read = ProducerMemory<FS>.Reading()
        try forEachHead(from: from) { head, index in
            guard index < to else { return }
            table.note(head, at: index)
            read.add(head)
        }
        return (table, read)
    }

    /// Visits the heads of all entries that begin at or after `from`, in log order.
    ///
    /// Each entry is checked: a bit that has flipped in a producer's epoch would have its next batch refused as out of
    /// order, which is the end of the producer.
    private func forEachHead(from: LogIndex, _ visit: (EntryHead, LogIndex) -> Void) throws(LogError) {
        if from < written {
            let map = map
            let place = try locate(from)
            var at = place.index
            for number in place.segment..<segments.count {
                let segment = segments[number]
                var reader = try segment.reader(from: number == place.segment ? place.position : 0)
                while let head = try reader.next(at: at, before: segment.end, by: map) {
                    if at >= from { visit(head, at) }
                    at = at.advanced(by: head.slots)
                }
            }
        }
        for chunk in recent.unwrittenChunks {
            var at = chunk.start
            for head in chunk.heads {
                if at >= from { visit(head, at) }
                at = at.advanced(by: head.slots)
            }
        }
    }
}
