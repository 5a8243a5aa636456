// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel

extension PartitionLog {
    /// Begins to make durable what has been written out. `nil` when there is nothing to do, or a sync is under way.
    public func beginSync() -> SyncTicket<FS>? {
        guard !hasFailed, syncUnderWay == nil, durable < written || isDirtyOnDisk else { return nil }
        tickets += 1
        var ticket = SyncTicket(number: tickets, fs: fs)
        ticket.failureNote = failureNote
        var sizes: [(base: LogIndex, size: Int64)] = []
        for segment in segments where segment.needsSync {
            guard let file = segment.openFile else {
                preconditionFailure("a segment that was written to is open")
            }
            ticket.files.append(file)
            sizes.append((segment.base, segment.size))
            segment.needsSync = false
        }
        #if MUTANTS
            if Mutant.isActive("T-D2") { directoryNeedsSync = false }
        #endif
        if directoryNeedsSync {
            ticket.directory = directory
            directoryNeedsSync = false
        }
        if checkpointIsWanted || syncedSinceCheckpoint >= limits.checkpointBytes.rawValue {
            ticket.producers = producerSnapshotJob()
            ticket.checkpoint = checkpointJob()
            checkpointIsWanted = false
            syncedSinceCheckpoint = 0
        }
        ticket.mark = DurableMarkJob(mark: mark, index: written, epoch: mark.epoch)
        syncUnderWay = SyncUnderWay(
            ticket: ticket, covers: written, sizes: sizes, cuts: cuts, restarts: restarts, start: start.position.end)
        return ticket
    }

    private var isDirtyOnDisk: Bool {
        directoryNeedsSync || cutNeedsSync || checkpointIsWanted || segments.contains { $0.needsSync }
    }

    /// Takes note of how a sync went, and gives what is durable now.
    ///
    /// A truncation since the sync began keeps what it cut from counting; a restart lets nothing of it count.
    ///
    /// - Throws: `.disk` when it failed: the log is of no more use, because a second sync would report success without
    ///   having written what the first one lost.
    public func completeSync(
        _ ticket: SyncTicket<FS>, _ result: Result<Void, DiskError>
    ) throws(LogError) -> LogIndex {
        try checkUsable()
        guard let sync = syncUnderWay, sync.ticket.number == ticket.number else {
            preconditionFailure("a sync is completed once, by the log that began it")
        }
        syncUnderWay = nil
        #if MUTANTS
            if Mutant.isActive("T-D1"), case .failure = result { return durable }
        #endif
        if case .failure(let error) = result {
            hasFailed = true
            throw .disk(error)
        }
        guard sync.restarts == restarts else { return durable }
        // Nothing is written between a cut and the end of the syncs begun before it, so what is shorter now was cut.
        for (base, size) in sync.sizes {
            guard let segment = segments.last(where: { $0.base <= base }), segment.base == base else { continue }
            let covered = min(size, segment.size)
            syncedSinceCheckpoint += max(0, covered - segment.durableSize)
            segment.durableSize = max(segment.durableSize, covered)
        }
        durable = max(durable, min(sync.covers, written))
        if sync.cuts == cuts { cutNeedsSync = false }
        if let image = sync.ticket.checkpoint?.image, checkpointFile.holds(image) {
            checkpointed = (sync.start, image.recoveryPoint, false)
        }
        return durable
    }

    /// Asks that the next sync also moves the point from which a crashed log is scanned. It costs that sync two more
    /// waits for the disk, and the loop none. A log that has not changed since asks for nothing.
    ///
    /// A log that has not grown between two calls also lets go of the entries it kept in memory.
    public func checkpoint() throws(LogError) {
        try checkUsable()
        if endWhenLastAsked == end { recent.evict(toCost: 0) }
        endWhenLastAsked = end
        guard checkpointed.recoveryPoint != end || checkpointed.start != start.position.end else { return }
        checkpointIsWanted = true
    }

    /// Writes and synchronizes everything, and marks the log as properly closed: the next opening scans nothing.
    /// Blocks. The log is of no more use afterwards.
    public func close() throws(LogError) {
        #if MUTANTS
            if Mutant.isActive("T-D5") { return try writeCheckpoint(isClean: true) }
        #endif
        try checkUsable()
        try writeOut()
        try synchronizeNow()
        if recent.hasUnwritten {
            try writeOut()
            try synchronizeNow()
        }
        storeProducers()
        let isCurrent =
            checkpointed.recoveryPoint == durable && checkpointed.start == start.position.end && checkpointed.isClean
        if !isCurrent { try writeCheckpoint(isClean: true) }
        hasFailed = true
    }

    /// The same as a sync, here and now; waits for one that is under way elsewhere.
    func synchronizeNow() throws(LogError) {
        if let sync = syncUnderWay { _ = try completeSync(sync.ticket, sync.ticket.run()) }
        checkpointIsWanted = false
        guard let ticket = beginSync() else { return }
        _ = try completeSync(ticket, ticket.run())
    }

    /// The checkpoint to be written once all that is written out is durable.
    private func checkpointJob() -> CheckpointJob<FS> {
        for segment in segments { segment.index.store() }
        let indexFiles = segments.compactMap { $0.index.takeUnsynced() }
        var checkpoint = Checkpoint(emptyAt: start)
        checkpoint.recoveryPoint = written
        checkpoint.terms = terms
        checkpoint.terms.truncate(to: written)
        checkpoint.markers = markers
        checkpoint.markers.truncate(to: written)
        checkpoint.trims = trims
        checkpoint.trims.truncate(to: written)
        checkpoint.memberships = memberships
        checkpoint.memberships.truncate(to: written)
        checkpoint.cleanedTo = min(cleanedTo, written)
        checkpoint.segments = segments.filter { !$0.isEmpty || !$0.damage.isEmpty }.map { segment in
            SegmentSummary(
                base: segment.base, generation: segment.generation, size: segment.size,
                indexRows: segment.index.stored, firstTimestamp: segment.firstTimestamp,
                maxTimestamp: segment.maxTimestamp)
        }
        return CheckpointJob(indexFiles: indexFiles, image: image(of: checkpoint), file: checkpointFile)
    }

    private func image(of checkpoint: Checkpoint) -> CheckpointImage {
        checkpointSequence += 1
        return CheckpointImage(
            sequence: checkpointSequence, recoveryPoint: checkpoint.recoveryPoint, bytes: checkpoint.encoded())
    }

    /// Writes a checkpoint of what is durable, here and now.
    ///
    /// - Parameter point: a lower recovery point than `durable`, at an entry boundary, for what is about to be cut.
    func writeCheckpoint(
        isClean: Bool = false, isRestarting: Bool = false, upTo point: LogIndex? = nil
    ) throws(LogError) {
        let point = min(point ?? durable, durable)
        var checkpoint = try draft(upTo: point)
        checkpoint.isClean = isClean
        checkpoint.isRestarting = isRestarting
        let image = image(of: checkpoint)
        do throws(DiskError) {
            for segment in segments {
                if let index = segment.index.takeUnsynced() { try index.synchronize() }
            }
            try checkpointFile.replace(with: image)
        } catch {
            // On a full disk the old checkpoint still stands.
            hasFailed = hasFailed || !error.isOutOfSpace
            throw .disk(error)
        }
        checkpointed = (start.position.end, point, isClean)
        syncedSinceCheckpoint = 0
    }

    /// What a checkpoint says whose recovery point is `point`, which is durable.
    private func draft(upTo point: LogIndex) throws(LogError) -> Checkpoint {
        var checkpoint = Checkpoint(emptyAt: start)
        checkpoint.recoveryPoint = point
        checkpoint.terms = terms
        checkpoint.terms.truncate(to: point)
        checkpoint.markers = markers
        checkpoint.markers.truncate(to: point)
        checkpoint.trims = trims
        checkpoint.trims.truncate(to: point)
        checkpoint.memberships = memberships
        checkpoint.memberships.truncate(to: point)
        checkpoint.cleanedTo = min(cleanedTo, point)
        for segment in segments where segment.base < point {
            checkpoint.segments.append(try summary(of: segment, upTo: point))
        }
        return checkpoint
    }

    /// A checkpoint of what is durable, to be written elsewhere.
    func checkpointJob(upTo point: LogIndex) throws(LogError) -> CheckpointJob<FS> {
        let checkpoint = try draft(upTo: point)
        let indexFiles = segments.compactMap { $0.index.takeUnsynced() }
        return CheckpointJob(indexFiles: indexFiles, image: image(of: checkpoint), file: checkpointFile)
    }

    private func summary(of segment: Segment<FS>, upTo point: LogIndex) throws(LogError) -> SegmentSummary {
        segment.index.store()
        var size = segment.size
        var rows = segment.index.stored
        if point < segment.end {
            size = point <= segment.base ? 0 : try cutPlace(at: point).position
            rows = min(rows, (try? segment.index.count { $0.position < size }) ?? 0)
        }
        return SegmentSummary(
            base: segment.base, generation: segment.generation, size: size, indexRows: rows,
            firstTimestamp: size > 0 ? segment.firstTimestamp : nil,
            maxTimestamp: size > 0 ? segment.maxTimestamp : .min)
    }
}
