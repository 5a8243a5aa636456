// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
import NIOCore
import RecordBatches

extension PartitionLog {
    /// Opens the log in `directory`, or begins a new one there; the directory's parent must exist. Blocks.
    ///
    /// After a clean close nothing is read but the checkpoint. Otherwise every entry beyond the checkpoint's recovery
    /// point is checked; see `RecoveryTable`. What is kept is durable when this returns, and memory does not grow with
    /// what is read.
    ///
    /// Where bytes below the checkpoint's recovery point are wrong or gone, the log opens all the same, `damage` says
    /// which, and nothing of them is cut.
    ///
    /// - Throws: `.corrupt` when the checkpoint is damaged or gone, so that nobody knows what should be there; nothing
    ///   has been changed then.
    public static func open(
        directory: String, in fs: FS, limits: LogLimits, now: Timestamp, mayLoseItsEnd: Bool = true
    ) throws(LogError) -> sending PartitionLog {
        let isThere = try onDisk { () throws(DiskError) in try fs.exists(directory) }
        if !isThere { try onDisk { () throws(DiskError) in try fs.makeDirectory(directory) } }
        let names = try onDisk { () throws(DiskError) in try fs.list(directory) }
        removeDeletedFiles(among: names, in: directory, fs: fs)
        let files = names.compactMap { Segment<FS>.name(ofFile: $0) }.sorted()
        guard let checkpoint = try CheckpointFile.read(in: directory, fs: fs) else {
            #if MUTANTS
                if Mutant.isActive("T-S4") { return try begin(at: .origin, in: directory, fs: fs, limits: limits) }
            #endif
            // The checkpoint is durable before the first segment is made.
            guard files.isEmpty else {
                throw .corrupt(.init(file: directory + "/checkpoint", position: .zero, detail: "it is gone"))
            }
            // Also when the directory was there: who made it may have died before this.
            try onDisk { () throws(DiskError) in try fs.synchronizeDirectory(FS.parent(of: directory)) }
            return try begin(at: .origin, in: directory, fs: fs, limits: limits)
        }
        if checkpoint.isRestarting {
            try remove(files, in: directory, fs: fs)
            return try begin(
                at: checkpoint.start, trims: checkpoint.trims, memberships: checkpoint.memberships, in: directory,
                fs: fs, limits: limits)
        }
        // Retention and compaction have the checkpoint let go of files before they remove them, and name new ones only
        // once they are whole. Beyond the recovery point lies what was appended since.
        let live = Set(checkpoint.segments.map(\.name))
        let removed = files.filter { file in
            !live.contains(file) && (file.generation > 0 || file.base < checkpoint.recoveryPoint)
        }
        if !removed.isEmpty { try remove(removed, in: directory, fs: fs) }
        let suspects = try DamageNote.read(in: directory, fs: fs)
        let marked = try DurableMark.read(in: directory, fs: fs)
        let log = PartitionLog(
            directory: directory, fs: fs, limits: limits, checkpoint: checkpoint, segments: [],
            recovery: RecoveryReport(), hasDamageNote: suspects != nil, marked: marked)
        let rules = RecoveryRules(suspects: suspects, marked: marked ?? .zero, mayLoseItsEnd: mayLoseItsEnd)
        try log.recover(checkpoint, files: files.filter { !removed.contains($0) }, rules)
        try log.restoreProducers()
        // A note that says too much would have every start look there.
        if suspects != nil { log.damageNote().run() }
        return log
    }

    private static func begin(
        at anchor: LogAnchor, trims: TrimTable = TrimTable(), memberships: MembershipTable = MembershipTable(),
        in directory: String, fs: FS, limits: LogLimits
    ) throws(LogError) -> sending PartitionLog {
        var recovery = RecoveryReport()
        recovery.wasClean = true
        var checkpoint = Checkpoint(emptyAt: anchor)
        checkpoint.trims = trims
        checkpoint.memberships = memberships
        let log = PartitionLog(
            directory: directory, fs: fs, limits: limits, checkpoint: checkpoint, segments: [], recovery: recovery)
        try log.writeCheckpoint()
        return log
    }

    private static func remove(_ files: [SegmentName], in directory: String, fs: FS) throws(LogError) {
        try onDisk { () throws(DiskError) in
            // The checkpoint that lets them go may be visible and not yet durable; without it they would be missed.
            try fs.synchronizeDirectory(directory)
            for file in files.reversed() {
                let path = Segment<FS>.path(file, in: directory)
                if try fs.exists(path + Segment<FS>.indexSuffix) { try fs.remove(path + Segment<FS>.indexSuffix) }
                try fs.remove(path + Segment<FS>.logSuffix)
            }
            try fs.synchronizeDirectory(directory)
        }
    }

    private func recover(
        _ checkpoint: Checkpoint, files: [SegmentName], _ rules: RecoveryRules<FS>
    ) throws(LogError) {
        let promised = checkpoint.segments
        guard promised.first.map({ $0.base == start.position.end }) ?? (checkpoint.recoveryPoint == start.position.end)
        else {
            throw .corrupt(
                .init(file: directory + "/checkpoint", position: .zero, detail: "it does not cover its segments"))
        }
        var dropped: [SegmentName] = []
        var reached = start.position.end
        for (place, summary) in promised.enumerated() {
            let isLast = place + 1 == promised.count
            let end = isLast ? checkpoint.recoveryPoint : promised[place + 1].base
            let segment = Segment<FS>(summary, end: end, directory: directory, in: fs, limits: limits)
            try take(segment, scanning: isLast, isSuspect: rules.suspects?.names(summary.name) ?? false, rules)
            reached = segment.end
        }
        let names = Set(promised.map(\.name))
        for file in files where !names.contains(file) {
            guard file.base == reached else {
                note(
                    file.base, .init(promiseIsKept: true, connects: false, tailIsWhole: true, indexMatches: true))
                dropped.append(file)
                continue
            }
            let summary = SegmentSummary(emptyAt: file.base)
            let segment = Segment<FS>(summary, end: file.base, directory: directory, in: fs, limits: limits)
            try take(segment, scanning: true, isSuspect: false, rules)
            reached = segment.end
        }
        if end < rules.marked {
            recovery.hasLostItsEnd = true
            guard rules.mayLoseItsEnd else { throw lostEnd(rules, file: segments.last?.path, at: segments.last?.size) }
        }
        try finishRecovery(dropped: dropped, wasClosedCleanly: checkpoint.isClean)
    }

    private func lostEnd(_ rules: RecoveryRules<FS>, file: String?, at position: Int64?) -> LogError {
        let detail =
            "the entries end at slot \(end), but those before \(rules.marked) were durable: restore the file from a "
            + "backup, or delete \(directory)/\(DurableMark<FS>.name) to give up what follows"
        return .corrupt(.init(file: file ?? directory, position: ByteCount(position ?? 0), detail: detail))
    }

    /// Says that the loss of the log's end has been taken note of elsewhere, durably. Blocks.
    public func acceptLoss() throws(LogError) {
        try orFail { () throws(DiskError) in try mark.lower(to: end) }
    }

    /// Keeps a copy of what is about to be cut off a file though it had been durable. Nothing is deleted by itself.
    private func keepAside(_ segment: Segment<FS>, to end: Int64) throws(LogError) {
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        let copy = try onDisk { () throws(DiskError) in
            try fs.open(segment.path + ".damaged-at-\(segment.size)", .createOrOpen)
        }
        var position = segment.size
        while position < end {
            let bytes = try file.readBuffer(Int(min(1 << 20, end - position)), at: position, path: segment.path)
            try onDisk { () throws(DiskError) in
                try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in
                    try copy.write([bytes], at: ByteCount(position - segment.size))
                }
            }
            position += Int64(bytes.readableBytes)
        }
        try onDisk { () throws(DiskError) in try copy.synchronize() }
    }

    /// Adds a segment to the log, with what follows its promised part as far as that checks.
    ///
    /// Of promised bytes that are damaged nothing is cut, and nothing is forgotten: the segment is taken in with what
    /// is known of it, and is not read before it has been repaired.
    private func take(
        _ segment: Segment<FS>, scanning: Bool, isSuspect: Bool, _ rules: RecoveryRules<FS>
    ) throws(LogError) {
        let fileSize = try onDisk { () throws(DiskError) in
            try fs.exists(segment.path) ? try fs.size(of: segment.path).rawValue : nil
        }
        let isKept = (fileSize ?? 0) >= segment.size && fileSize != nil
        var indexMatches = segment.index.isPlausible(segmentSize: segment.size)
        segments.append(segment)
        sizeOnDisk += segment.size
        if isSuspect || !isKept {
            try findDamage(in: segment)
        } else if scanning || !indexMatches {
            do throws(LogError) {
                if indexMatches {
                    do throws(IndexDamage) { try segment.resume() } catch { indexMatches = false }
                }
                if !indexMatches { try segment.rebuildIndex() }
            } catch {
                guard case .corrupt = error else { throw error }
                try findDamage(in: segment)
            }
        }
        if !segment.damage.isEmpty { segment.resumeBehindDamage() }
        let tail = isKept ? fileSize ?? 0 : segment.size
        if scanning, tail > segment.size { try scan(segment, to: tail) }
        let row = note(
            segment.base,
            .init(
                promiseIsKept: segment.damage.isEmpty, connects: true,
                tailIsWhole: tail == segment.size || !scanning, indexMatches: indexMatches))
        guard scanning, isKept, tail > segment.size else { return }
        precondition(row.decision == .cutTornTail || row.decision == .openDamaged, "a torn tail is cut")
        if segment.end < rules.marked {
            guard rules.mayLoseItsEnd else { throw lostEnd(rules, file: segment.path, at: segment.size) }
            try keepAside(segment, to: tail)
        }
        try onDisk { () throws(DiskError) in try segment.file().truncate(to: ByteCount(segment.size)) }
        segment.needsSync = true
        Mark.hit("PartitionLog.cut-torn-end")
        recovery.cut += ByteCount(tail - segment.size)
    }

    /// Looks at every byte of a promised part of which something is wrong.
    private func findDamage(in segment: Segment<FS>) throws(LogError) {
        #if MUTANTS
            if Mutant.isActive("T-D13") { return }
        #endif
        let plan = SegmentPlan(
            name: segment.name, path: segment.path, size: segment.size, end: segment.end, map: map)
        var check = try check(of: segment, plan)
        while !check.isFinished { _ = try onDisk { () throws(DiskError) in try check.step(.max) } }
        recovery.scanned += ByteCount(segment.size)
        segment.damage = check.findings.damage
        if segment.damage.isEmpty { try segment.rebuildIndex() }
    }

    @discardableResult
    private func note(_ base: LogIndex, _ facts: RecoveryTable.Facts) -> RecoveryTable.Row {
        let row = RecoveryTable.decide(facts)
        recovery.segments.append(.init(base: base, row: row.label))
        return row
    }

    private func scan(_ segment: Segment<FS>, to fileSize: Int64) throws(LogError) {
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        var scan = EntryScan(file, from: segment.size, to: fileSize)
        let before = segment.size
        let isSuspect = try onDisk { () throws(DiskError) in try fs.exists(failureNote) }
        while let head = try onDisk({ () throws(DiskError) in try scan.next() }) {
            guard Succession(at: end, offset: endOffset, term: lastTerm).admits(head) else { break }
            if head.isMarker {
                let bytes = try file.readBuffer(Self.sizeToRead(of: head), at: segment.size, path: segment.path)
                note(marker: head, of: bytes, at: bytes.readerIndex)
            }
            if head.term != lastTerm || terms.rows.isEmpty {
                terms.note(head.term, at: end)
                lastTerm = head.term
            }
            segment.note(head)
            end = segment.end
            endOffset = head.nextOffset
        }
        recovery.scanned += ByteCount(scan.checked)
        guard segment.size > before else { return }
        if isSuspect { try writeAgain(segment, from: before) }
        sizeOnDisk += segment.size - before
        // Being readable says nothing about the disk: the process may have died with all of this in the page cache.
        segment.needsSync = true
    }

    /// How much of a marker says something here.
    private static func sizeToRead(of head: EntryHead) -> Int {
        switch head.kind {
        case .logStart: min(head.totalSize, 1 << 10)
        case .membership: min(head.totalSize, EntryHead.size + 1 + MembershipTable.maximumPayload)
        default: 0
        }
    }

    /// Writes bytes over themselves, so that the next sync writes what an earlier one failed to.
    private func writeAgain(_ segment: Segment<FS>, from position: Int64) throws(LogError) {
        let file = try onDisk { () throws(DiskError) in try segment.file() }
        var position = position
        while position < segment.size {
            let count = min(1 << 20, segment.size - position)
            let bytes = try file.readBuffer(Int(count), at: position, path: segment.path)
            try onDisk { () throws(DiskError) in
                try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in
                    try file.write([bytes], at: ByteCount(position))
                }
            }
            position += count
        }
    }

    private func finishRecovery(dropped: [SegmentName], wasClosedCleanly: Bool) throws(LogError) {
        written = end
        for file in dropped {
            let path = Segment<FS>.path(file, in: directory) + Segment<FS>.logSuffix
            recovery.cut += try onDisk { () throws(DiskError) in try fs.size(of: path) }
            guard recovery.hasLostItsEnd else { continue }
            try onDisk { () throws(DiskError) in try fs.rename(path, to: path + ".damaged") }
        }
        if !dropped.isEmpty, !recovery.hasLostItsEnd { try Self.remove(dropped, in: directory, fs: fs) }
        let hasChanged = !dropped.isEmpty || recovery.cut > .zero || durable < end
        recovery.wasClean = wasClosedCleanly && !hasChanged
        guard !recovery.wasClean else { return }
        // Also when nothing was found to do: what is readable may be in the page cache only, and a cut made by a
        // process that died then could be undone by the next loss of power, behind what has been written since.
        try onDisk { () throws(DiskError) in
            for segment in segments where segment.needsSync || segment === segments.last {
                if !segment.damage.isEmpty, try !fs.exists(segment.path) { continue }
                do throws(DiskError) {
                    try segment.file().synchronize()
                } catch {
                    _ = try? fs.open(failureNote, .createOrOpen)
                    throw error
                }
                segment.durableSize = segment.size
                segment.needsSync = false
            }
            if try fs.exists(failureNote) { try fs.remove(failureNote) }
            try fs.synchronizeDirectory(directory)
        }
        guard hasChanged else { return }
        durable = end
        try writeCheckpoint()
    }
}

/// What an opening knows beside the checkpoint.
struct RecoveryRules<FS: FileSystem> {
    /// Which segments are to be looked at as a whole.
    let suspects: DamageNote<FS>.Content?
    /// Everything below was durable.
    let marked: LogIndex
    /// Whether there is somebody from whom a lost end can be fetched again.
    let mayLoseItsEnd: Bool
}
