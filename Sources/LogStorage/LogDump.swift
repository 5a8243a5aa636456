// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
public import NIOCore
public import RecordBatches

/// One thing that lies in a log's directory, for a person to read.
public enum DumpedItem: Sendable {
    /// What the checkpoint says, as names and values.
    case checkpoint(file: String, [(name: String, value: String)])
    case segment(file: String, size: ByteCount)
    case entry(DumpedEntry)
    /// Bytes of a file that are no entry.
    case unreadable(file: String, bytes: Range<Int64>)
    case producers(file: String, below: LogPosition, [DumpedProducer])
    /// A file that cannot be read at all.
    case damaged(LogError.Corruption)
}

/// An entry as it lies in its file.
public struct DumpedEntry: Sendable {
    public let position: Int64
    /// Counted from the file's name; `nil` behind bytes that could not be read.
    public let index: LogIndex?
    public let head: EntryHead
    public let isIntact: Bool
    /// The whole entry.
    public let bytes: ByteBuffer
}

/// What is remembered of an idempotent producer.
public struct DumpedProducer: Sendable {
    public let id: Int64
    public let epoch: Int16
    public let lastSequence: Int32?
    public let lastOffset: Offset?
}

/// Shows what lies in a log's directory, changing nothing and believing nothing. No node may be running on it.
public struct LogDump<FS: FileSystem> {
    private let directory: String
    private let fs: FS
    private let visit: (DumpedItem) throws -> Void

    public init(of directory: String, in fs: FS, visit: @escaping (DumpedItem) throws -> Void) {
        self.directory = directory
        self.fs = fs
        self.visit = visit
    }

    /// The checkpoint, then each segment with its entries, then the snapshots of producers.
    public func run() throws {
        do throws(LogError) {
            if let checkpoint = try CheckpointFile.read(in: directory, fs: fs) {
                try? visit(.checkpoint(file: directory + "/" + CheckpointFile<FS>.name, checkpoint.lines))
            }
        } catch {
            guard case .corrupt(let what) = error else { throw error }
            try visit(.damaged(what))
        }
        let names = try fs.list(directory)
        for name in names.compactMap({ Segment<FS>.name(ofFile: $0) }).sorted() { try dump(name) }
        for name in names where name.hasSuffix(ProducerSnapshotFiles<FS>.suffix) { try dumpProducers(name) }
    }

    private func dump(_ name: SegmentName) throws {
        let path = Segment<FS>.path(name, in: directory) + Segment<FS>.logSuffix
        let file = try fs.open(path, .readOnly)
        let size = try file.size().rawValue
        try visit(.segment(file: path, size: ByteCount(size)))
        var position: Int64 = 0
        var index: LogIndex? = name.base
        while position < size {
            guard let entry = try entry(in: file, path, at: position, size: size, index: index) else {
                let next = try nextEntry(in: file, path, after: position, size: size)
                try visit(.unreadable(file: path, bytes: position..<next))
                (position, index) = (next, nil)
                continue
            }
            try visit(.entry(entry))
            position += Int64(entry.head.totalSize)
            index = index?.advanced(by: entry.head.slots)
        }
    }

    private func entry(
        in file: FS.File, _ path: String, at position: Int64, size: Int64, index: LogIndex?
    ) throws -> DumpedEntry? {
        let headSize = Int(min(Int64(EntryHead.size + 1), size - position))
        let start = try file.readBuffer(headSize, at: position, path: path)
        guard let head = try? EntryHead.parse(start), Int64(head.totalSize) <= size - position else { return nil }
        let bytes = try file.readBuffer(head.totalSize, at: position, path: path)
        let isIntact = (try? head.verifyChecksum(bytes, at: bytes.readerIndex)) != nil
        return DumpedEntry(position: position, index: index, head: head, isIntact: isIntact, bytes: bytes)
    }

    /// The next place at which a whole entry with a matching checksum lies, or the file's end.
    private func nextEntry(in file: FS.File, _ path: String, after position: Int64, size: Int64) throws -> Int64 {
        var window = [UInt8](repeating: 0, count: 1 << 20)
        var from = position + 1
        while from < size {
            let got = try file.read(bytes: &window, at: from)
            guard got > EntryHead.size else { break }
            for offset in 0..<got - EntryHead.size where window[offset + 16] == 2 {
                let place = from + Int64(offset)
                if let entry = try entry(in: file, path, at: place, size: size, index: nil), entry.isIntact {
                    return place
                }
            }
            from += Int64(got - EntryHead.size)
        }
        return size
    }

    private func dumpProducers(_ name: String) throws {
        let path = directory + "/" + name
        let size = Int(try fs.size(of: path).rawValue)
        let bytes = try fs.open(path, .readOnly).readBuffer(size, at: 0, path: path)
        guard let snapshot = try? ProducerSnapshot(decoding: bytes, capacity: .max) else {
            return try visit(.damaged(.init(file: path, position: .zero, detail: "this is no snapshot of producers")))
        }
        let producers = snapshot.table.all.map { id, state in
            let last = state.batches.last
            return DumpedProducer(
                id: id, epoch: state.epoch,
                lastSequence: last.map { Int32((Int64($0.firstSequence) + $0.slots - 1) & 0x7fff_ffff) },
                lastOffset: last.map { Offset($0.baseOffset.rawValue + $0.slots - 1) })
        }
        try visit(.producers(file: path, below: snapshot.position, producers))
    }

    /// The terms and votes of a journal of hard state, in the order of their groups.
    public static func journal(
        in directory: String, fs: FS
    ) throws(LogError) -> [(group: PartitionID, state: HardState)] {
        let states = try HardStateJournal.content(in: directory, fs: fs).states
        return states.keys.sorted().compactMap { group in states[group].map { (group, $0) } }
    }
}

extension Checkpoint {
    fileprivate var lines: [(name: String, value: String)] {
        var lines = [
            ("start", "\(start)"), ("recovery point", "\(recoveryPoint)"), ("closed properly", "\(isClean)"),
            ("cleaned to", "\(cleanedTo)"), ("markers", "\(markers.slots.count)"),
            ("first offset left by trims", "\(trims.settled)"),
        ]
        if isRestarting { lines.append(("restarting", "every segment is to be removed")) }
        for row in terms.rows { lines.append(("term \(row.term)", "from slot \(row.start)")) }
        for row in trims.rows { lines.append(("trim at slot \(row.slot)", "to offset \(row.offset)")) }
        for segment in segments {
            let generation = segment.generation > 0 ? ", generation \(segment.generation)" : ""
            lines.append(
                (
                    "segment \(segment.base)",
                    "\(segment.size) bytes, \(segment.indexRows) index rows\(generation)"
                ))
        }
        return lines
    }
}
