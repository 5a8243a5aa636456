// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
public import NIOCore
import RecordBatches
import Synchronization

/// Writes a damaged segment anew: its sound entries as they are, and in the place of the damaged ones those of a peer.
///
///     damaged   [ a ][ b ][▒▒▒▒▒▒▒▒][ e ][▒▒▒]           [ a ][ b ] copied, then `needs` c and d, then [ e ] …
///     new       [ a ][ b ][ c ][ d ][ e ][ f ]           takes the old one's place: `PartitionLog.install`
///
/// Everything that blocks, in steps for an I/O thread. Memory is one answer of a peer. The new file is named by nothing
/// until it is whole and durable, so a crash leaves the damaged one, with its damage.
public final class LogRepair<FS: FileSystem>: Sendable {
    /// What one step came to.
    public enum Step: Sendable {
        /// There is more to do; so many bytes were read.
        case working(ByteCount)
        /// These entries are to be fetched: see `supply`.
        case needs(Range<LogIndex>)
        /// The segment is ready to take its place: see `PartitionLog.install`.
        case repaired(RepairedSegment)
        case failed(LogError)
    }

    private let work: Mutex<RepairWork<FS>>
    /// The first slot of the segment.
    public let base: LogIndex

    init(_ work: RepairWork<FS>, base: LogIndex) {
        self.work = Mutex(work)
        self.base = base
    }

    /// Goes on for about `limit` bytes. Blocks.
    public func step(_ limit: ByteCount) -> Step {
        work.withLock { work in
            do throws(LogError) {
                return try work.step(limit.rawValue)
            } catch {
                work.abandon()
                return .failed(error)
            }
        }
    }

    /// Takes entries of a peer, which begin where `needs` said. Blocks.
    ///
    /// - Parameter acceptsCompacted: whether entries may lack records that were there when they were written.
    /// - Returns: why they are of no use, when that is so; another peer's may be.
    public func supply(_ bytes: ByteBuffer, acceptsCompacted: Bool) -> RepairRefusal? {
        work.withLock { $0.supply(bytes, acceptsCompacted: acceptsCompacted) }
    }

    /// Removes what was begun. Blocks.
    public func abandon() { work.withLock { $0.abandon() } }
}

/// Why a peer's entries do not repair.
public enum RepairRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// They are not those that belong there.
    case wrong(String)
    /// They are compacted and the log here is not, so that what they lack may still stand here in an older record.
    case compacted
    case storage(LogError)

    public var description: String {
        switch self {
        case .wrong(let detail): detail
        case .compacted: "they are compacted, and this log is not"
        case .storage(let error): "\(error)"
        }
    }
}

/// A segment written anew, whole and durable.
public struct RepairedSegment: Sendable {
    let replaced: SegmentName
    let replacedSize: Int64
    let restarts: Int
    let summary: SegmentSummary
    let end: LogIndex
}

struct RepairWork<FS: FileSystem>: Sendable {
    private let plan: SegmentPlan
    private let damage: [LogDamage]
    private let restarts: Int
    private let source: FS.File?
    private var output: CleanedOutput<FS>?
    private var reader: SegmentReader<FS.File>?
    /// Which damage comes next.
    private var next = 0

    init(
        _ plan: SegmentPlan, damage: [LogDamage], source: FS.File?, output: CleanedOutput<FS>, restarts: Int
    ) {
        self.plan = plan
        self.damage = damage
        self.source = source
        self.output = output
        self.restarts = restarts
    }

    func abandon() { output?.abandon() }

    private var at: LogIndex { output?.end ?? plan.end }

    mutating func step(_ limit: Int64) throws(LogError) -> LogRepair<FS>.Step {
        guard output != nil else { throw .failed }
        var read: Int64 = 0
        while at < plan.end {
            while next < damage.count, damage[next].range.upperBound <= at { next += 1 }
            let hole = next < damage.count ? damage[next].range : plan.end..<plan.end
            if hole.contains(at) { return .needs(at..<hole.upperBound) }
            read += try copy(before: hole.lowerBound, limit: limit - read)
            if read >= limit, at < plan.end { return .working(ByteCount(read)) }
        }
        guard var finished = output else { throw .failed }
        let summary = try finished.finish()
        output = nil
        return .repaired(
            RepairedSegment(
                replaced: plan.name, replacedSize: plan.size, restarts: restarts, summary: summary, end: finished.end))
    }

    /// Copies sound entries, checking each once more.
    private mutating func copy(before end: LogIndex, limit: Int64) throws(LogError) -> Int64 {
        let before = next > 0 ? damage[next - 1] : nil
        let until = next < damage.count ? damage[next].bytes.lowerBound : plan.size
        if reader == nil {
            guard let source else { throw gone() }
            reader = SegmentReader(source, path: plan.path, from: before?.bytes.upperBound ?? 0, to: until)
            readerAt = before?.range.upperBound ?? plan.base
        }
        var read: Int64 = 0
        while at < end, read < limit {
            guard let head = try reader?.next() else { throw gone() }
            // A peer's entry may have reached further than what was thought damaged.
            if readerAt < at {
                readerAt = readerAt.advanced(by: head.slots)
                guard readerAt <= at else { throw gone() }
                continue
            }
            if let objection = plan.map.objection(to: head, at: at, before: plan.end) {
                throw .corrupt(
                    .init(file: plan.path, position: ByteCount(reader?.position ?? 0), detail: objection))
            }
            readerAt = readerAt.advanced(by: head.slots)
            read += Int64(head.totalSize)
            try append(head)
        }
        if at >= end { reader = nil }
        return max(read, 1)
    }

    /// The slot of the entry that the reader gives next.
    private var readerAt = LogIndex.zero

    private func gone() -> LogError {
        .corrupt(.init(file: plan.path, position: .zero, detail: "what was sound before slot \(plan.end) is not now"))
    }

    private mutating func append(_ head: EntryHead) throws(LogError) {
        guard let reader, var target = output else { throw .failed }
        output = nil
        defer { output = target }
        try reader.withEntry { (entry) throws(LogError) in try target.append(entry, head: head) }
    }

    mutating func supply(_ bytes: ByteBuffer, acceptsCompacted: Bool) -> RepairRefusal? {
        guard next < damage.count, damage[next].range.contains(at), output != nil else {
            return .wrong("nothing is needed at slot \(at)")
        }
        let end = damage[next].range.upperBound
        var position = bytes.readerIndex
        var slot = at
        var taken: [ByteBuffer] = []
        do {
            // All or nothing: the next peer is asked for the same entries.
            while slot < end, position < bytes.writerIndex {
                let head = try EntryHead.parse(bytes, at: position)
                try head.verifyChecksum(bytes, at: position)
                guard var entry = bytes.getSlice(at: position, length: head.totalSize) else { break }
                position += head.totalSize
                guard acceptsCompacted || head.isMarker || !head.isCompacted else { return .compacted }
                // A peer's hole may reach further than what is damaged here.
                if head.isHole, head.slots > end.slots(since: slot) {
                    entry = HoleEntry.encode(
                        baseOffset: head.baseOffset, slots: end.slots(since: slot), term: head.term)
                }
                let kept = try EntryHead.parse(entry)
                if let objection = plan.map.objection(to: kept, at: slot, before: plan.end) {
                    return .wrong(objection)
                }
                slot = slot.advanced(by: kept.slots)
                taken.append(entry)
            }
            for entry in taken { try output?.append(entry) }
            return nil
        } catch let error as LogError {
            return .storage(error)
        } catch {
            return .wrong("\(error)")
        }
    }
}

extension EntryHead {
    /// Whether compaction may have taken records from it.
    var isCompacted: Bool { recordCount.rawValue < slots || attributes.hasDeleteHorizon }
}

extension PartitionLog {
    /// Begins to repair the first damaged segment of which everything is durable. `nil` when there is none.
    public func beginRepair() throws(LogError) -> LogRepair<FS>? {
        try checkUsable()
        guard let segment = segments.first(where: { !$0.damage.isEmpty && $0.end <= durable && !$0.needsSync }) else {
            return nil
        }
        let plan = SegmentPlan(
            name: segment.name, path: segment.path, size: segment.size, end: segment.end, map: map)
        let source = try? fs.open(segment.path, .readOnly)
        // Not the name that a compaction under way would take.
        let name = SegmentName(base: segment.base, generation: segment.generation + 2)
        let output = try CleanedOutput(
            name, in: directory, fs: fs, indexInterval: limits.indexIntervalBytes.rawValue)
        return LogRepair(
            RepairWork(plan, damage: segment.damage, source: source, output: output, restarts: restarts),
            base: segment.base)
    }

    /// Whether compaction has looked at everything below `index`, so that no older record of a key is left there.
    public func isCleaned(below index: LogIndex) -> Bool { index <= cleanedTo }

    /// Lets a repaired segment take the place of the damaged one. Who reads the old one goes on in the old file.
    ///
    /// When the damaged segment is no longer what it was, because of a cut, a trim or a restart, the new one goes.
    ///
    /// - Returns: what is left to be done on an I/O thread; then `swapEnded`.
    public func install(_ repaired: RepairedSegment) throws(LogError) -> SegmentSwap<FS> {
        try checkUsable()
        guard repaired.restarts == restarts,
            let number = segments.firstIndex(where: { $0.name == repaired.replaced }),
            segments[number].end == repaired.end, segments[number].size == repaired.replacedSize
        else { return SegmentSwap(checkpoint: nil, outdated: [repaired.summary.name], directory: directory, fs: fs) }
        let old = segments[number]
        let segment = Segment<FS>(repaired.summary, end: repaired.end, directory: directory, in: fs, limits: limits)
        sizeOnDisk += segment.size - old.size
        segments[number] = segment
        // What memory holds lies at its old place in its old file.
        recent.evict(before: repaired.end)
        old.letGo()
        outdated.append(old.name)
        checkpointed.isClean = false
        if producersAreUnknown, damage.isEmpty { try restoreProducers() }
        var swap = SegmentSwap(
            checkpoint: try checkpointJob(upTo: durable), outdated: outdated, directory: directory, fs: fs)
        swap.note = damageNote()
        outdated = []
        return swap
    }
}
