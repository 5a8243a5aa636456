// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
import Synchronization

/// A check of one segment's durable bytes: what of it blocks, in steps for an I/O thread.
///
/// It reads a file that is only appended to; what is cut or replaced meanwhile makes its findings void.
public final class SegmentInspection<FS: FileSystem>: Sendable {
    private let check: Mutex<SegmentCheck<FS>>
    let name: SegmentName
    let size: Int64
    let restarts: Int
    let cuts: Int

    init(_ check: SegmentCheck<FS>, name: SegmentName, size: Int64, restarts: Int, cuts: Int) {
        self.check = Mutex(check)
        self.name = name
        self.size = size
        self.restarts = restarts
        self.cuts = cuts
    }

    /// What one step of an inspection came to.
    public enum Step: Sendable {
        /// There is more; so many bytes were looked at.
        case working(ByteCount)
        /// See `PartitionLog.endInspection`.
        case finished(ByteCount)
        case failed(LogError)
    }

    /// Goes on for about `limit` bytes. Blocks.
    public func step(_ limit: ByteCount) -> Step {
        check.withLock { check in
            do throws(DiskError) {
                let bytes = ByteCount(try check.step(limit.rawValue))
                return check.isFinished ? .finished(bytes) : .working(bytes)
            } catch {
                return .failed(.disk(error))
            }
        }
    }

    /// The first slot of the segment.
    public var base: LogIndex { name.base }

    var findings: SegmentFindings { check.withLock { $0.findings } }
}

extension PartitionLog {
    /// What is damaged, in log order. Nothing of the segments concerned is read until they are repaired.
    /// - Complexity: O(*n*) in segments.
    public var damage: [LogDamage] { segments.flatMap(\.damage) }

    /// Begins to check the durable bytes of the first segment that begins at or after `index`. `nil` behind the last.
    public func beginInspection(atOrAfter index: LogIndex) throws(LogError) -> SegmentInspection<FS>? {
        try checkUsable()
        guard let segment = segments.first(where: { $0.base >= index && $0.base < durable && $0.size > 0 }) else {
            return nil
        }
        return try inspection(of: segment)
    }

    /// Where a reader that got the bytes unchecked, by `fetch`, has met damage: for `beginInspection(after:)`.
    public func suspects(from offset: Offset, size: ByteCount, detail: String) -> [LogError.Corruption] {
        guard let first = segmentNumber(at: index(of: offset)) else { return [] }
        var left = size.rawValue
        // The first one may be read from anywhere on.
        var suspects = [segments[first].path]
        for segment in segments[(first + 1)...] where left > 0 {
            suspects.append(segment.path)
            left -= segment.size
        }
        return suspects.map { .init(file: $0, position: .zero, detail: detail) }
    }

    /// Begins to check the segment in which a read has met damage. `nil` when it is gone, or known to be damaged.
    public func beginInspection(after corruption: LogError.Corruption) throws(LogError) -> SegmentInspection<FS>? {
        try checkUsable()
        guard let segment = segments.first(where: { $0.path == corruption.file }), segment.damage.isEmpty else {
            return nil
        }
        guard segment.base < durable else { return nil }
        return try inspection(of: segment)
    }

    private func inspection(of segment: Segment<FS>) throws(LogError) -> SegmentInspection<FS> {
        let isWhole = segment.end <= durable && !segment.needsSync
        let plan = SegmentPlan(
            name: segment.name, path: segment.path, size: isWhole ? segment.size : segment.durableSize,
            end: isWhole ? segment.end : durable, map: map)
        return SegmentInspection(
            try check(of: segment, plan), name: segment.name, size: plan.size, restarts: restarts, cuts: cuts)
    }

    /// Whether the checkpoint in the file can still be read; to be asked on an I/O thread. What has rotted there while
    /// the log is open costs nothing: see `rewriteCheckpoint`.
    public var checkpointCheck: @Sendable () -> Bool {
        let (directory, fs) = (directory, fs)
        return {
            do throws(LogError) {
                return try CheckpointFile.read(in: directory, fs: fs) != nil
            } catch {
                if case .corrupt = error { return false }
                return true
            }
        }
    }

    /// Asks that the next sync also writes the checkpoint.
    public func rewriteCheckpoint() {
        guard !hasFailed else { return }
        checkpointIsWanted = true
    }

    func check(of segment: Segment<FS>, _ plan: SegmentPlan) throws(LogError) -> SegmentCheck<FS> {
        // A handle of its own: who inspects must not keep the log's from being closed.
        let file = try openIfThere(segment.path)
        return SegmentCheck(
            plan, file: file, index: segment.index.stored > 0 ? try openIfThere(segment.index.path) : nil,
            rows: segment.index.stored)
    }

    private func openIfThere(_ path: String) throws(LogError) -> FS.File? {
        do throws(DiskError) {
            return try fs.open(path, .readOnly)
        } catch {
            guard error.isMissing else { throw .disk(error) }
            return nil
        }
    }

    /// Takes note of what an inspection has found.
    ///
    /// - Returns: what was not known before. Then the note of it is to be written: see `damageNote`.
    public func endInspection(_ inspection: SegmentInspection<FS>) throws(LogError) -> [LogDamage] {
        try checkUsable()
        // What was cut meanwhile may have been written anew, with other entries.
        guard inspection.restarts == restarts, inspection.cuts == cuts,
            let segment = segments.first(where: { $0.name == inspection.name }), inspection.size <= segment.size
        else { return [] }
        let findings = inspection.findings
        let known = Set(segment.damage.map(\.range))
        let new = findings.damage.filter { !known.contains($0.range) }
        // What a file has lost cannot come back, so what was known and is not found was cut.
        if !new.isEmpty { segment.damage = findings.damage }
        if findings.damage.isEmpty { segment.checked.add(0..<inspection.size) }
        if findings.damage.isEmpty, segment.damage.isEmpty, !findings.indexMatches { try segment.rebuildIndex() }
        return new
    }

    /// Has the disk remember what is damaged now. To be run on an I/O thread after every change of `damage`.
    public func damageNote() -> DamageNoteJob<FS> {
        damageNotes += 1
        return DamageNoteJob(
            note: damageNoteFile, segments: segments.filter { !$0.damage.isEmpty }.map(\.name), sequence: damageNotes)
    }
}
