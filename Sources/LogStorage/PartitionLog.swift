// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
import NIOCore

/// The log of one partition: segments of Kafka batches and markers in a directory of their own.
///
///     start ───── durable ───── written ───── end
///       │            │             │           └ appended: visible to reads, in memory
///       │            │             └ written out: in the page cache
///       │            └ on stable storage, as a completed sync has proved
///       └ what lies before was removed by retention, or was never here
///
/// Confined to one event loop. Only `SyncTicket.run` may go elsewhere.
///
/// - Invariant: `start.position.end <= durable <= written <= end`, all of them entry boundaries.
public final class PartitionLog<FS: FileSystem> {
    let directory: String
    let fs: FS
    /// What holds for all that is done from now on; what is written already stays as it is.
    public var limits: LogLimits

    /// What opening the log found and did.
    public internal(set) var recovery: RecoveryReport
    /// Where the log begins.
    public internal(set) var start: LogAnchor
    /// The end of the last appended entry.
    public internal(set) var end: LogIndex
    /// The offset that the next record gets.
    public internal(set) var endOffset: Offset
    /// Everything below survives a loss of power.
    public internal(set) var durable: LogIndex
    /// Which term wrote which part.
    public internal(set) var terms: TermTable
    var lastTerm: Term
    var markers: MarkerTable
    var trims: TrimTable
    var memberships: MembershipTable
    /// Compaction has looked at every record below, and none of them is older than another of the same key below.
    public internal(set) var cleanedTo: LogIndex
    /// Which cleaning is under way, if one is; see `LogCleaning`.
    var cleaning: Int?
    var cleanings = 0
    /// Files that compaction has replaced and could not remove yet.
    var outdated: [SegmentName] = []

    /// In log order; the last one is written to. Empty until something is written out.
    var segments: [Segment<FS>]
    var recent = RecentEntries()
    var producerMemory: ProducerMemory<FS>
    /// What kept the producers from being found out: a part of the log is damaged. They are once it is repaired.
    public internal(set) var producersFlaw: LogError.Corruption?
    public var producersAreUnknown: Bool { producersFlaw != nil }
    /// The end of what is in the files.
    var written: LogIndex
    var sizeOnDisk: Int64
    var unwrittenSize: Int64 = 0

    var hasFailed = false
    /// Files that go when their time is over.
    var deleted: [DeletedFile] = []
    /// Names were made or removed since the directory was last synchronized.
    var directoryNeedsSync = false
    /// Bytes were cut off a file, and no sync begun since has completed. Until then nothing is written: otherwise a
    /// crash could leave the new bytes in the place of the old ones with more of the old ones behind them, and the log
    /// would have a past that never was.
    var cutNeedsSync = false
    var cuts = 0
    var restarts = 0
    /// While a restart has not come to its end: see `durablePosition`.
    var durableBeforeRestart: LogPosition?
    var syncUnderWay: SyncUnderWay?
    var tickets = 0

    let mark: DurableMark<FS>
    let damageNoteFile: DamageNote<FS>
    var damageNotes = 0
    let checkpointFile: CheckpointFile<FS>
    var checkpointSequence = 0
    var checkpointIsWanted = false
    /// What the newest checkpoint says, as far as it is known here.
    var checkpointed: (start: LogIndex, recoveryPoint: LogIndex, isClean: Bool)
    var syncedSinceCheckpoint: Int64 = 0
    /// The end at the last request for a checkpoint: a log that has not grown since is idle.
    var endWhenLastAsked: LogIndex?

    /// What a sync that has begun will have made durable.
    struct SyncUnderWay {
        let ticket: SyncTicket<FS>
        let covers: LogIndex
        let sizes: [(base: LogIndex, size: Int64)]
        let cuts: Int
        let restarts: Int
        let start: LogIndex
    }

    /// The log as a checkpoint describes it; recovery adds what lies beyond.
    init(
        directory: String, fs: FS, limits: LogLimits, checkpoint: Checkpoint, segments: [Segment<FS>],
        recovery: RecoveryReport, hasDamageNote: Bool = false, marked: LogIndex? = nil
    ) {
        self.directory = directory
        failureNote = Self.failureNote(in: directory)
        self.fs = fs
        self.limits = limits
        self.recovery = recovery
        self.segments = segments
        start = checkpoint.start
        markers = checkpoint.markers
        terms = checkpoint.terms
        trims = checkpoint.trims
        memberships = checkpoint.memberships
        cleanedTo = checkpoint.cleanedTo
        end = checkpoint.recoveryPoint
        endOffset = checkpoint.markers.offset(at: checkpoint.recoveryPoint)
        lastTerm = checkpoint.terms.rows.last?.term ?? checkpoint.start.position.term
        durable = end
        written = end
        sizeOnDisk = segments.reduce(0) { $0 + $1.size }
        mark = DurableMark(in: directory, fs: fs, marked: marked)
        damageNoteFile = DamageNote(in: directory, fs: fs, isThere: hasDamageNote)
        checkpointFile = CheckpointFile(in: directory, fs: fs, recoveryPoint: checkpoint.recoveryPoint)
        producerMemory = ProducerMemory(directory: directory, fs: fs, capacity: limits.producersMax, at: end)
        checkpointed = (checkpoint.start.position.end, checkpoint.recoveryPoint, checkpoint.isClean)
    }

    /// See `SyncTicket.failureNote`.
    let failureNote: String

    /// The last entry's term and end; the start anchor's position while the log is empty.
    public var lastEntry: LogPosition { LogPosition(term: lastTerm, end: end) }

    /// The end of what is on stable storage, and the term of the entry before it. After a restart that has failed it is
    /// that of the log before, which may still be the one on the disk.
    public var durablePosition: LogPosition {
        if let durableBeforeRestart { return durableBeforeRestart }
        guard durable > start.position.end, let term = terms.term(at: durable.advanced(by: -1)) else {
            return start.position
        }
        return LogPosition(term: term, end: durable)
    }

    /// The first offset that may be read: what lies before is gone, or hidden by a committed trim.
    ///
    /// It never falls while the log is open. After a restart it may be lower until it is known what is committed.
    public var firstOffset: Offset { max(start.offset, min(trims.settled, endOffset)) }

    /// What `firstOffset` becomes once everything appended is committed.
    public var lastTrim: Offset { max(start.offset, trims.last) }

    /// Takes note that everything below `commit` is committed. Gives whether `firstOffset` may have moved.
    public func settleTrims(below commit: LogIndex) -> Bool { trims.settle(below: min(commit, end)) }

    /// Bytes of all entries.
    public var size: ByteCount { ByteCount(sizeOnDisk + unwrittenSize) }

    /// Whether a sync has something to do: bytes or names that are not durable, or a checkpoint that was asked for.
    public var isDirty: Bool {
        guard !hasFailed else { return false }
        return durable < end || directoryNeedsSync || cutNeedsSync || checkpointIsWanted
    }

    /// The offset of the record at `index`; of a marker, that of the first record after it. Indexes outside the log are
    /// taken as its ends.
    /// - Complexity: O(log *n*) in markers.
    public func offset(at index: LogIndex) -> Offset { markers.offset(at: min(index, end)) }

    /// The slot of the record with `offset`; of the end offset, the log's end. Offsets outside the log are taken as
    /// its ends.
    /// - Complexity: O(log *n*) in markers.
    public func index(of offset: Offset) -> LogIndex { min(markers.index(of: offset), end) }

    func checkUsable() throws(LogError) {
        guard !hasFailed else { throw .failed }
    }

    /// Runs file work after whose failure nothing about the log can be relied upon.
    func orFail<Answer>(_ work: () throws(DiskError) -> Answer) throws(LogError) -> Answer {
        do throws(DiskError) {
            return try work()
        } catch {
            hasFailed = true
            throw .disk(error)
        }
    }

    /// The written segment that holds `index`.
    func segmentNumber(at index: LogIndex) -> Int? {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].base <= index { low = middle + 1 } else { high = middle }
        }
        guard low > 0, index < segments[low - 1].end else { return nil }
        return low - 1
    }
}
