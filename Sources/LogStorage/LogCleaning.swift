// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
import NIOCore
import RecordBatches
import Synchronization

/// What one step of a cleaning came to.
public enum CleaningStep: Sendable {
    /// There is more to do; so much was read and written.
    case working(ByteCount)
    /// A segment is ready to take its place: see `PartitionLog.install`.
    case cleaned(CleanedSegment, ByteCount)
    /// Everything is done: see `PartitionLog.endCleaning`.
    case finished(CleaningOutcome)
    /// It could not go on; what it had begun is removed. What was installed stays.
    case failed(LogError)
}

/// How far a cleaning that is finished came.
public struct CleaningOutcome: Hashable, Sendable {
    let cleaning: Int
    /// Below this every record has been looked at.
    let cleanedTo: LogIndex
    public internal(set) var recordsKept = 0
    public internal(set) var recordsDropped = 0
    /// Batches that could not be unpacked or read, and stay as they are.
    public internal(set) var batchesUnread = 0
    public internal(set) var bytesRead = ByteCount.zero
}

/// One compaction of a log's sealed segments: everything in it that blocks, in steps for an I/O thread.
///
///     1. the dirty part is read, and of every key the last offset noted (`KeyMap`), as far as memory goes
///     2. all segments up to there are written anew without the records that a later one supersedes, a group of small
///        neighbours into one segment; each is handed over when it is durable, and the log takes it in
///
/// It refers only to open files that no longer change, so the log may be appended to, read, cut and trimmed meanwhile;
/// when that took away what a new segment should replace, the log refuses it and the cleaning is over.
public final class LogCleaning<FS: FileSystem>: Sendable {
    private let work: Mutex<CleaningWork<FS>>

    init(_ work: CleaningWork<FS>) { self.work = Mutex(work) }

    /// Goes on for about `limit` bytes of input. Blocks. Not to be called again after `finished` or `failed`.
    public func step(_ limit: ByteCount) -> CleaningStep {
        work.withLock { work in
            do throws(LogError) {
                return try work.step(limit.rawValue)
            } catch {
                work.abandon()
                return .failed(error)
            }
        }
    }

    /// Removes what was begun and not handed over. Blocks.
    public func abandon() { work.withLock { $0.abandon() } }
}

/// A sealed segment to be cleaned.
struct CleaningSource<File: StorageFile>: Sendable {
    let name: SegmentName
    let size: Int64
    let file: File
    let path: String
    let isDirty: Bool
}

/// What a cleaning goes by.
struct CleaningOrder: Sendable {
    let number: Int
    let directory: String
    /// Where the dirty part begins: the slot of an entry, and where it lies in the first dirty source.
    let dirtyEntry: (index: LogIndex, position: Int64)
    /// The first record of the dirty part.
    let dirtyFrom: Offset
    let dirtyEnd: LogIndex
    let endOffset: Offset
    /// Records before it are hidden, and may go.
    let firstOffset: Offset
    let now: Int64
    let deleteRetention: Int64
    /// Ascending: batches that end at these offsets keep their header for the sake of their producer.
    let keptLastOffsets: [Offset]
    let segmentBytes: Int64
    let indexInterval: Int64
    let unpackedLimit: Int
}

struct CleaningWork<FS: FileSystem>: Sendable {
    private enum Phase: Sendable {
        case mapping(next: Int)
        case writing(next: Int)
        case done
    }

    private let order: CleaningOrder
    private let fs: FS
    private var sources: [CleaningSource<FS.File>]
    private var phase = Phase.mapping(next: 0)
    private var keys: KeyMap
    private var filter: BatchFilter
    private var reader: SegmentReader<FS.File>?
    /// The slot of the entry that the reader gives next, while mapping.
    private var at: LogIndex
    private var mappedTo: LogIndex
    private var mappedOffset: Offset
    private var output: CleanedOutput<FS>?
    private var group: Range<Int> = 0..<0
    private var isChanged = false
    private var outcome: CleaningOutcome
    private var budget: Int64 = 0

    init(_ order: CleaningOrder, sources: [CleaningSource<FS.File>], keys: KeyMap, fs: FS) {
        self.order = order
        self.sources = sources
        self.keys = keys
        self.fs = fs
        filter = BatchFilter(unpackedLimit: order.unpackedLimit)
        at = order.dirtyEntry.index
        mappedTo = order.dirtyEnd
        mappedOffset = order.endOffset
        phase = .mapping(next: sources.firstIndex { $0.isDirty } ?? sources.count)
        outcome = CleaningOutcome(cleaning: order.number, cleanedTo: order.dirtyEnd)
    }

    mutating func step(_ limit: Int64) throws(LogError) -> CleaningStep {
        budget = limit
        defer { outcome.bytesRead += ByteCount(limit - budget) }
        while budget > 0 {
            switch phase {
            case .mapping(let next): try map(next)
            case .writing(let next):
                if let segment = try write(next) { return .cleaned(segment, ByteCount(limit - budget)) }
            case .done:
                var answer = CleaningOutcome(cleaning: order.number, cleanedTo: mappedTo)
                answer.recordsKept = outcome.recordsKept
                answer.recordsDropped = outcome.recordsDropped
                answer.batchesUnread = outcome.batchesUnread
                answer.bytesRead = outcome.bytesRead + ByteCount(limit - budget)
                return .finished(answer)
            }
        }
        return .working(ByteCount(limit - budget))
    }

    func abandon() { output?.abandon() }

    // MARK: - Mapping

    private mutating func map(_ next: Int) throws(LogError) {
        guard next < sources.count else {
            // What lies wholly behind the keys that fitted is left as it is.
            sources.removeAll { $0.name.base >= mappedTo }
            phase = .writing(next: 0)
            reader = nil
            return
        }
        let source = sources[next]
        if reader == nil {
            let isFirst = at == order.dirtyEntry.index
            reader = SegmentReader(
                source.file, path: source.path, from: isFirst ? order.dirtyEntry.position : 0, to: source.size)
        }
        while budget > 0 {
            guard let head = try reader?.next() else {
                reader = nil
                phase = .mapping(next: next + 1)
                return
            }
            budget -= Int64(head.totalSize)
            if let full = note(head) {
                // What does not fit waits for the next cleaning.
                mappedTo = at.advanced(by: full.rawValue - head.baseOffset.rawValue)
                mappedOffset = full
                phase = .mapping(next: sources.count)
                return
            }
            at = at.advanced(by: head.slots)
        }
    }

    /// Notes the keys of a batch. Gives the first record for which there was no room.
    private mutating func note(_ head: EntryHead) -> Offset? {
        guard let reader, head.recordCount.rawValue > 0, !head.isControl else { return nil }
        let base = head.baseOffset.rawValue
        let from = order.dirtyFrom.rawValue
        do throws(BatchError) {
            return try reader.withEntry { (entry) throws(BatchError) in
                try head.withRecords(of: entry, limit: order.unpackedLimit) { (section) throws(BatchError) in
                    var records = RecordReader(section, count: Int(head.recordCount.rawValue))
                    while let record = try records.next() {
                        let offset = base + Int64(record.offsetDelta)
                        guard offset >= from, let key = record.key else { continue }
                        let bytes = UnsafeRawBufferPointer(rebasing: section[key])
                        guard keys.note(bytes, at: offset) else { return Offset(offset) }
                    }
                    return nil
                }
            }
        } catch {
            outcome.batchesUnread += 1
            return nil
        }
    }

    // MARK: - Writing

    private mutating func write(_ next: Int) throws(LogError) -> CleanedSegment? {
        if output == nil {
            guard next < sources.count else {
                phase = .done
                return nil
            }
            try beginGroup(at: next)
        }
        while budget > 0 {
            guard let head = try reader?.next() else {
                guard next + 1 < group.upperBound else { return try endGroup() }
                let source = sources[next + 1]
                reader = SegmentReader(source.file, path: source.path, from: 0, to: source.size)
                phase = .writing(next: next + 1)
                return nil
            }
            budget -= Int64(head.totalSize)
            try keep(head)
        }
        return nil
    }

    /// Small neighbours become one segment, as long as they fit into one before they shrink.
    private mutating func beginGroup(at first: Int) throws(LogError) {
        var last = first
        var size = sources[first].size
        while last + 1 < sources.count, size + sources[last + 1].size <= order.segmentBytes {
            last += 1
            size += sources[last].size
        }
        group = first..<last + 1
        isChanged = group.count > 1
        let old = sources[first]
        let name = SegmentName(base: old.name.base, generation: old.name.generation + 1)
        output = try CleanedOutput(name, in: order.directory, fs: fs, indexInterval: order.indexInterval)
        reader = SegmentReader(old.file, path: old.path, from: 0, to: old.size)
    }

    private mutating func endGroup() throws(LogError) -> CleanedSegment? {
        guard var finished = output else { return nil }
        reader = nil
        phase = .writing(next: group.upperBound)
        guard isChanged else {
            output = nil
            finished.abandon()
            return nil
        }
        let summary = try finished.finish()
        // Not before: what cannot be made durable is removed as an output that is under way.
        output = nil
        return CleanedSegment(
            cleaning: order.number, replaced: sources[group].map(\.name), summary: summary, end: finished.end)
    }

    private mutating func keep(_ head: EntryHead) throws(LogError) {
        guard !head.isMarker, !head.isControl else { return try copy(head) }
        guard head.recordCount.rawValue > 0 else { return try keepEmpty(head) }
        // Untouched: no key of it has been looked at.
        guard head.baseOffset < mappedOffset else {
            outcome.recordsKept += Int(head.recordCount.rawValue)
            return try copy(head)
        }
        guard let reader else { return }
        let judgement = Judgement(head: head, order: order, keys: keys, mappedOffset: mappedOffset)
        let (horizon, overflow) = order.now.addingReportingOverflow(order.deleteRetention)
        let verdict: BatchFilter.Outcome
        do throws(BatchError) {
            verdict = try reader.withEntry { (entry) throws(BatchError) in
                try filter.apply(to: entry, head: head, horizon: overflow ? .max : horizon) { record, section in
                    judgement.verdict(of: record, in: section)
                }
            }
        } catch {
            return try copy(head)
        }
        switch verdict {
        case .unchanged:
            outcome.recordsKept += Int(head.recordCount.rawValue)
            try copy(head)
        case .rewritten(let batch):
            isChanged = true
            let kept = (try? EntryHead.parse(batch).recordCount.rawValue) ?? 0
            outcome.recordsKept += Int(kept)
            outcome.recordsDropped += Int(head.recordCount.rawValue - kept)
            try output?.append(batch)
        case .emptied:
            outcome.recordsDropped += Int(head.recordCount.rawValue)
            try keepEmpty(head)
        }
    }

    /// A batch without records: its header, when that tells of a producer who may still go on, or slots of a hole.
    private mutating func keepEmpty(_ head: EntryHead) throws(LogError) {
        if head.producerID >= 0, let last = head.lastOffset, order.keeps(last) {
            guard head.recordCount.rawValue > 0 else { return try copy(head) }
            isChanged = true
            try output?.append(HoleEntry.emptied(head))
            return
        }
        if !head.isHole { isChanged = true }
        try output?.appendHole(at: head.baseOffset, slots: head.slots, term: head.term)
    }

    private mutating func copy(_ head: EntryHead) throws(LogError) {
        guard let reader, var target = output else { return }
        // Taken out, so that there is one owner of the bytes while they are written to.
        output = nil
        defer { output = target }
        try reader.withEntry { (entry) throws(LogError) in try target.append(entry, head: head) }
    }
}

extension CleaningOrder {
    func keeps(_ lastOffset: Offset) -> Bool {
        var low = 0
        var high = keptLastOffsets.count
        while low < high {
            let middle = (low + high) / 2
            if keptLastOffsets[middle] < lastOffset { low = middle + 1 } else { high = middle }
        }
        return low < keptLastOffsets.count && keptLastOffsets[low] == lastOffset
    }
}

/// Which records of a batch stay.
private struct Judgement {
    let head: EntryHead
    let order: CleaningOrder
    let keys: KeyMap
    let mappedOffset: Offset

    func verdict(of record: RecordView, in section: UnsafeRawBufferPointer) -> BatchFilter.Verdict {
        let offset = head.baseOffset.rawValue + Int64(record.offsetDelta)
        guard offset >= order.firstOffset.rawValue else { return .drop }
        guard offset < mappedOffset.rawValue else { return .keep }
        // Kafka drops what has no key too: it can neither supersede nor be superseded, and was refused when it came.
        guard let key = record.key else { return .drop }
        if let last = keys.last(of: UnsafeRawBufferPointer(rebasing: section[key])), last > offset { return .drop }
        guard record.value == nil, head.attributes.hasDeleteHorizon else { return .keep }
        return order.now >= head.baseTimestamp.milliseconds ? .drop : .keep
    }
}
