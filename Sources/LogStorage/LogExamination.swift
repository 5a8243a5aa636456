// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
import RecordBatches

/// What was found in one file of a log that nobody runs on.
public struct FileVerdict: Sendable {
    public enum Kind: String, Sendable {
        case checkpoint, segment, index, producers, damageNote = "damage note", hardState = "hard state", other
    }

    public let file: String
    public let kind: Kind
    public internal(set) var size = ByteCount.zero
    /// Whole entries, records of votes, or whatever the file has many of.
    public internal(set) var entries = 0
    /// What is wrong.
    public internal(set) var flaws: [LogError.Corruption] = []
    /// What is worth knowing, and not wrong.
    public internal(set) var remarks: [String] = []

    init(_ file: String, _ kind: Kind) {
        self.file = file
        self.kind = kind
    }

    mutating func add(_ detail: String, at position: Int64 = 0) {
        flaws.append(.init(file: file, position: ByteCount(position), detail: detail))
    }
}

/// Reads and checks every file of a log's directory, and changes nothing. No node may be running on it.
public struct LogExamination<FS: FileSystem> {
    private let directory: String
    private let fs: FS
    private let progress: (ByteCount) -> Void
    private var verdicts: [FileVerdict] = []

    /// - Parameter progress: told how many bytes have been read since it was told last.
    public init(of directory: String, in fs: FS, progress: @escaping (ByteCount) -> Void = { _ in }) {
        self.directory = directory
        self.fs = fs
        self.progress = progress
    }

    /// Whether a directory looks like a log's.
    public static func isLog(_ names: [String]) -> Bool {
        names.contains("checkpoint") || names.contains { Segment<FS>.name(ofFile: $0) != nil }
    }

    /// Whether a directory looks like that of a journal of hard state.
    public static func isJournal(_ names: [String]) -> Bool { names.contains(HardStateJournal<FS>.name) }

    /// One verdict a file, in the order of their names.
    public mutating func run() throws(LogError) -> [FileVerdict] {
        verdicts = []
        let names = try onDisk { () throws(DiskError) in try fs.list(directory) }
        let files = names.compactMap { Segment<FS>.name(ofFile: $0) }.sorted()
        var verdict = FileVerdict(directory + "/" + CheckpointFile<FS>.name, .checkpoint)
        verdict.size = size(of: verdict.file) ?? .zero
        var checkpoint: Checkpoint?
        do throws(LogError) {
            checkpoint = try CheckpointFile.read(in: directory, fs: fs)
            if checkpoint == nil, !files.isEmpty { verdict.add("it is gone") }
        } catch {
            guard case .corrupt(let what) = error else { throw error }
            verdict.flaws.append(what)
        }
        verdicts.append(verdict)
        if let checkpoint, !checkpoint.isRestarting {
            try verify(checkpoint, files)
        } else {
            for file in files { try verifyAlone(file) }
        }
        for name in names where name.hasSuffix(ProducerSnapshotFiles<FS>.suffix) { try verifyProducers(name) }
        if names.contains(DamageNote<FS>.name) { try verifyNote() }
        return verdicts.sorted { $0.file < $1.file }
    }

    private func size(of path: String) -> ByteCount? { try? fs.size(of: path) }

    private func open(_ path: String) throws(LogError) -> FS.File? {
        do throws(DiskError) {
            return try fs.open(path, .readOnly)
        } catch {
            guard error.isMissing else { throw .disk(error) }
            return nil
        }
    }

    // MARK: - Segments

    private mutating func verify(_ checkpoint: Checkpoint, _ files: [SegmentName]) throws(LogError) {
        let promised = checkpoint.segments
        let first = promised.first?.base ?? checkpoint.recoveryPoint
        if first != checkpoint.start.position.end {
            verdicts[0].add("it says that the log begins at \(checkpoint.start.position.end), but its segments do not")
        }
        let map = LogMap(terms: checkpoint.terms, markers: checkpoint.markers)
        var walk = TailWalk(checkpoint)
        for (place, summary) in promised.enumerated() {
            let isLast = place + 1 == promised.count
            let plan = SegmentPlan(
                name: summary.name, path: path(summary.name) + Segment<FS>.logSuffix, size: summary.size,
                end: isLast ? checkpoint.recoveryPoint : promised[place + 1].base, map: map)
            var verdict = try verify(plan, rows: summary.indexRows)
            if isLast {
                try walk.go(on: plan.path, from: summary.size, fs: fs, isClean: checkpoint.isClean, into: &verdict)
                progress(verdict.size - min(verdict.size, ByteCount(summary.size)))
            }
            verdicts.append(verdict)
        }
        let names = Set(promised.map(\.name))
        for file in files where !names.contains(file) {
            var verdict = FileVerdict(path(file) + Segment<FS>.logSuffix, .segment)
            verdict.size = size(of: verdict.file) ?? .zero
            if file.generation > 0 || file.base < checkpoint.recoveryPoint {
                verdict.remarks.append("left over; the next start removes it")
            } else if file.base != walk.at {
                verdict.remarks.append("it does not follow what lies before it; the next start removes it")
            } else {
                try walk.go(on: verdict.file, from: 0, fs: fs, isClean: checkpoint.isClean, into: &verdict)
                progress(verdict.size)
            }
            verdicts.append(verdict)
        }
    }

    private func path(_ name: SegmentName) -> String { Segment<FS>.path(name, in: directory) }

    private mutating func verify(_ plan: SegmentPlan, rows: Int) throws(LogError) -> FileVerdict {
        var verdict = FileVerdict(plan.path, .segment)
        verdict.size = size(of: plan.path) ?? .zero
        let indexPath = path(plan.name) + Segment<FS>.indexSuffix
        let file = try open(plan.path)
        let index = rows > 0 ? try open(indexPath) : nil
        var check = SegmentCheck<FS>(plan, file: file, index: index, rows: rows)
        while !check.isFinished {
            progress(ByteCount(try onDisk { () throws(DiskError) in try check.step(8 << 20) }))
        }
        verdict.entries = check.findings.entries
        for damage in check.findings.damage {
            verdict.add(
                "\(damage.detail) (slots \(damage.range.lowerBound) to \(damage.range.upperBound), "
                    + "\(damage.bytes.count) bytes)", at: damage.bytes.lowerBound)
        }
        var indexVerdict = FileVerdict(indexPath, .index)
        indexVerdict.size = size(of: indexPath) ?? .zero
        indexVerdict.entries = rows
        if rows > 0, index == nil { indexVerdict.add("it is gone; the next start builds it anew") }
        if !check.findings.indexMatches {
            indexVerdict.add("it says something else than the segment; it is built anew when that is met")
        }
        if rows > 0 || indexVerdict.size > .zero { verdicts.append(indexVerdict) }
        return verdict
    }

    /// Without a checkpoint nobody knows what should be there; what is there may be whole all the same.
    private mutating func verifyAlone(_ name: SegmentName) throws(LogError) {
        var verdict = FileVerdict(path(name) + Segment<FS>.logSuffix, .segment)
        let size = size(of: verdict.file) ?? .zero
        verdict.size = size
        guard let file = try open(verdict.file) else { return }
        var scan = EntryScan(file, from: 0, to: size.rawValue)
        while try onDisk({ () throws(DiskError) in try scan.next() }) != nil { verdict.entries += 1 }
        progress(size)
        if scan.position < size.rawValue {
            verdict.add("no whole entry with a matching checksum lies here", at: scan.position)
        }
        verdicts.append(verdict)
    }

    // MARK: - Beside them

    private mutating func verifyProducers(_ name: String) throws(LogError) {
        var verdict = FileVerdict(directory + "/" + name, .producers)
        verdict.size = size(of: verdict.file) ?? .zero
        let bytes = try? open(verdict.file)?.readBuffer(Int(verdict.size.rawValue), at: 0, path: verdict.file)
        if let snapshot = bytes.flatMap({ try? ProducerSnapshot(decoding: $0, capacity: .max) }) {
            verdict.entries = snapshot.table.all.count
        } else {
            verdict.add("this is no snapshot of producers, or its checksum does not match")
        }
        progress(verdict.size)
        verdicts.append(verdict)
    }

    private mutating func verifyNote() throws(LogError) {
        var verdict = FileVerdict(directory + "/" + DamageNote<FS>.name, .damageNote)
        verdict.size = size(of: verdict.file) ?? .zero
        switch try DamageNote.read(in: directory, fs: fs) {
        case .segments(let names):
            verdict.entries = names.count
            verdict.remarks.append("\(names.count) segments were found damaged and are not repaired yet")
        case .unreadable: verdict.add("it cannot be read; the next start looks at every segment")
        case nil: break
        }
        verdicts.append(verdict)
    }

    /// The hard-state journal in a directory of its own.
    public static func verifyJournal(in directory: String, fs: FS) throws(LogError) -> FileVerdict {
        var verdict = FileVerdict(directory + "/" + HardStateJournal<FS>.name, .hardState)
        do throws(LogError) {
            let content = try HardStateJournal.content(in: directory, fs: fs)
            verdict.size = content.fileSize
            verdict.entries = content.states.count
            if content.torn > .zero { verdict.remarks.append("\(content.torn) at the end were never whole") }
        } catch {
            guard case .corrupt(let what) = error else { throw error }
            verdict.flaws.append(what)
        }
        return verdict
    }
}

/// What lies behind a checkpoint's recovery point: it need not be whole, because nobody was told that it is.
private struct TailWalk {
    private(set) var at: LogIndex
    private var offset: Offset
    private var term: Term

    init(_ checkpoint: Checkpoint) {
        at = checkpoint.recoveryPoint
        offset = checkpoint.markers.offset(at: at)
        term = checkpoint.terms.rows.last?.term ?? checkpoint.start.position.term
    }

    mutating func go<FS: FileSystem>(
        on path: String, from position: Int64, fs: FS, isClean: Bool, into verdict: inout FileVerdict
    ) throws(LogError) {
        guard verdict.size.rawValue > position, let file = try? fs.open(path, .readOnly) else { return }
        var scan = EntryScan(file, from: position, to: verdict.size.rawValue)
        var whole = position
        while let head = try onDisk({ () throws(DiskError) in try scan.next() }) {
            guard Succession(at: at, offset: offset, term: term).admits(head) else { break }
            (at, offset, term) = (at.advanced(by: head.slots), head.nextOffset, head.term)
            whole = scan.position
            verdict.entries += 1
        }
        let torn = verdict.size.rawValue - whole
        guard torn > 0 else { return }
        let detail = "\(ByteCount(torn)) at the end are no whole entries"
        if isClean {
            verdict.add(detail + ", though the log was closed properly", at: whole)
        } else {
            verdict.remarks.append(detail + "; the next start cuts them off")
        }
    }
}
