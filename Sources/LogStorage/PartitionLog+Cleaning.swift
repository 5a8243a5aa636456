// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
import RecordBatches

/// When and how a compacted log is cleaned; Kafka's topic configs of the same names.
public struct CleaningRules: Hashable, Sendable {
    /// A log is cleaned when more than this share of it has not been (`min.cleanable.dirty.ratio`).
    public var minDirtyShare: Double
    /// How old a record must be, in milliseconds, before it is cleaned (`min.compaction.lag.ms`).
    public var minLag: Int64
    /// How old a record may become, in milliseconds, before it is cleaned whatever the share (`max.compaction.lag.ms`).
    public var maxLag: Int64
    /// How long tombstones stay once they have been cleaned, in milliseconds (`delete.retention.ms`).
    public var deleteRetention: Int64

    public init(
        minDirtyShare: Double = 0.5, minLag: Int64 = 0, maxLag: Int64 = .max, deleteRetention: Int64 = 86_400_000
    ) {
        self.minDirtyShare = minDirtyShare
        self.minLag = minLag
        self.maxLag = maxLag
        self.deleteRetention = deleteRetention
    }
}

/// The part of a change of segments that blocks, to be run on an I/O thread.
public struct SegmentSwap<FS: FileSystem>: Sendable {
    let checkpoint: CheckpointJob<FS>?
    let outdated: [SegmentName]
    /// What is still damaged once the checkpoint stands.
    var note: DamageNoteJob<FS>?
    let directory: String
    let fs: FS

    /// Has the checkpoint name the new segments, then removes the old ones.
    ///
    /// - Returns: whether the old ones are gone. When not, they are left to the next swap or opening: nothing is lost.
    public func run() -> Bool {
        if let checkpoint {
            try? checkpoint.run()
            guard checkpoint.file.completed >= checkpoint.image.sequence else { return false }
        }
        for name in outdated { CleanedOutput<FS>.remove(name, in: directory, fs: fs) }
        note?.run()
        return true
    }
}

extension PartitionLog {
    /// The share of the log that would be looked at for the first time, when `rules` ask for a cleaning now.
    ///
    /// - Parameter committed: nothing from here on is looked at.
    /// - Complexity: O(*n*) in segments.
    public func cleanableShare(now: Timestamp, committed: LogIndex, rules: CleaningRules) -> Double? {
        guard !hasFailed, cleaning == nil else { return nil }
        let count = cleanableSegments(now: now, committed: committed, rules: rules)
        var clean: Int64 = 0
        var dirty: Int64 = 0
        var oldest: Int64?
        for segment in segments[..<count] {
            guard segment.end > cleanedTo else {
                clean += segment.size
                continue
            }
            dirty += segment.size
            if oldest == nil { oldest = segment.firstTimestamp }
        }
        guard dirty > 0 else { return nil }
        let share = Double(dirty) / Double(clean + dirty)
        if share > rules.minDirtyShare { return share }
        guard let oldest else { return nil }
        let (age, overflow) = now.milliseconds.subtractingReportingOverflow(oldest)
        return (overflow ? oldest < now.milliseconds : age > rules.maxLag) ? share : nil
    }

    /// How many segments at the front may be cleaned: sealed, committed, durable and old enough.
    private func cleanableSegments(now: Timestamp, committed: LogIndex, rules: CleaningRules) -> Int {
        let bound = min(committed, durable)
        var count = 0
        for segment in segments.dropLast() {
            guard segment.end <= bound, !segment.needsSync, segment.damage.isEmpty else { break }
            let (age, overflow) = now.milliseconds.subtractingReportingOverflow(segment.maxTimestamp)
            if rules.minLag > 0, segment.maxTimestamp != .min, !overflow, age < rules.minLag { break }
            count += 1
        }
        return count
    }

    /// Begins to clean the log; `nil` when nothing may be cleaned, or a cleaning is under way.
    ///
    /// - Parameters:
    ///   - mapSize: the memory for keys (`log.cleaner.dedupe.buffer.size`).
    ///   - keeping: ascending; batches that end at these offsets keep their header when they lose all records, because
    ///     a producer's next sequence number is judged by it.
    ///   - seed: a secret that nobody who chooses keys knows.
    public func beginCleaning(
        now: Timestamp, committed: LogIndex, rules: CleaningRules, mapSize: ByteCount, keeping: [Offset] = [],
        seed: (UInt64, UInt64)
    ) throws(LogError) -> LogCleaning<FS>? {
        try checkUsable()
        let count = cleanableSegments(now: now, committed: committed, rules: rules)
        guard cleaning == nil, count > 0, segments[count - 1].end > cleanedTo else { return nil }
        let from = max(cleanedTo, start.position.end)
        let entry = try locate(from)
        var sources: [CleaningSource<FS.File>] = []
        for segment in segments[..<count] {
            let file = try onDisk { () throws(DiskError) in try segment.file() }
            sources.append(
                CleaningSource(
                    name: segment.name, size: segment.size, file: file, path: segment.path,
                    isDirty: segment.end > from))
        }
        let end = segments[count - 1].end
        cleanings += 1
        cleaning = cleanings
        let order = CleaningOrder(
            number: cleanings, directory: directory, dirtyEntry: (entry.index, entry.position),
            dirtyFrom: markers.offset(at: from), dirtyEnd: end, endOffset: markers.offset(at: end),
            firstOffset: firstOffset, now: now.milliseconds, deleteRetention: rules.deleteRetention,
            keptLastOffsets: keeping, segmentBytes: limits.segmentBytes.rawValue,
            indexInterval: limits.indexIntervalBytes.rawValue, unpackedLimit: Int(limits.unpackedBytes.rawValue))
        let keys = KeyMap(bytes: Int(mapSize.rawValue), records: end.slots(since: from), seed: seed)
        return LogCleaning(CleaningWork(order, sources: sources, keys: keys, fs: fs))
    }

    /// Lets a cleaned segment take the place of those it was made of. Who reads one of them goes on in the old file.
    ///
    /// When what was to be replaced is no longer there, because of a trim or a restart, the cleaning is over
    /// (`isCleaning`) and the new segment goes.
    ///
    /// - Returns: what is left to be done on an I/O thread.
    public func install(_ cleaned: CleanedSegment) throws(LogError) -> SegmentSwap<FS> {
        try checkUsable()
        guard cleaning == cleaned.cleaning,
            let first = segments.firstIndex(where: { $0.name == cleaned.replaced.first }),
            first + cleaned.replaced.count < segments.count,
            segments[first..<first + cleaned.replaced.count].map(\.name) == cleaned.replaced
        else {
            cleaning = nil
            return SegmentSwap(checkpoint: nil, outdated: [cleaned.summary.name], directory: directory, fs: fs)
        }
        let replaced = first..<first + cleaned.replaced.count
        precondition(segments[replaced.upperBound - 1].end == cleaned.end, "compaction keeps every slot")
        let segment = Segment<FS>(cleaned.summary, end: cleaned.end, directory: directory, in: fs, limits: limits)
        sizeOnDisk += segment.size - segments[replaced].reduce(0) { $0 + $1.size }
        segments.replaceSubrange(replaced, with: [segment])
        // What memory holds lies at its old place in its old file.
        recent.evict(before: cleaned.end)
        outdated.append(contentsOf: cleaned.replaced)
        // From here on every checkpoint names the new segment, which is durable; until one of them stands, the old one
        // names files that are still there.
        checkpointed.isClean = false
        let swap = SegmentSwap(
            checkpoint: try checkpointJob(upTo: durable), outdated: outdated, directory: directory, fs: fs)
        outdated = []
        return swap
    }

    /// Whether a cleaning has begun and not ended.
    public var isCleaning: Bool { cleaning != nil }

    /// Takes note of how a swap went.
    public func swapEnded(_ swap: SegmentSwap<FS>, isDone: Bool) {
        if !isDone { outdated.append(contentsOf: swap.outdated) }
    }

    /// Ends a cleaning.
    ///
    /// - Parameter outcome: `nil` when it did not come to its end; the next one then looks at the same part again.
    public func endCleaning(_ outcome: CleaningOutcome?) {
        if let outcome, outcome.cleaning == cleaning {
            cleanedTo = max(cleanedTo, min(outcome.cleanedTo, end))
            checkpointIsWanted = true
        }
        cleaning = nil
    }
}
