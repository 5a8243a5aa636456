// SPDX-License-Identifier: Apache-2.0

public import Disk
import LogModel
import NIOCore
import RecordBatches
import Synchronization

/// DAMAGE NOTE, the file `damaged` beside the segments, version 1: which of them were found damaged, so that a restart
/// does not forget it. All integers are big-endian.
///
///      at   size  field
///       0      4  magic, the letters "GDN1"
///       4      4  CRC-32C of everything after it
///       8      4  number of segments, n
///      12 12 × n  base index (8), generation (4)
///
/// It only says where to look: what an opening finds there decides. One that cannot be read says "look everywhere".
public final class DamageNote<FS: FileSystem>: Sendable {
    enum Content: Hashable {
        case segments(Set<SegmentName>)
        case unreadable

        func names(_ segment: SegmentName) -> Bool {
            switch self {
            case .segments(let names): names.contains(segment)
            case .unreadable: true
            }
        }
    }

    private struct State {
        var newest = 0
        var isThere: Bool
    }

    private let path: String
    private let directory: String
    private let fs: FS
    private let state: Mutex<State>

    private static var magic: UInt32 { 0x4744_4e31 }
    private static var headerSize: Int { 12 }
    private static var rowSize: Int { 12 }

    init(in directory: String, fs: FS, isThere: Bool) {
        self.directory = directory
        self.fs = fs
        path = directory + "/" + Self.name
        state = Mutex(State(isThere: isThere))
    }

    static var name: String { "damaged" }

    static func encode(_ segments: [SegmentName]) -> ByteBuffer {
        var bytes = ByteBufferAllocator().buffer(capacity: headerSize + rowSize * segments.count)
        bytes.writeInteger(magic)
        bytes.writeInteger(0 as UInt32)
        bytes.writeInteger(UInt32(segments.count))
        for segment in segments {
            bytes.writeInteger(segment.base.rawValue)
            bytes.writeInteger(segment.generation)
        }
        let crc = bytes.withUnsafeReadableBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[8...])) }
        bytes.setInteger(crc, at: bytes.readerIndex + 4)
        return bytes
    }

    /// Says that these segments are damaged, and no other. Durable when it returns. A newer word wins.
    func replace(with segments: [SegmentName], sequence: Int) throws(DiskError) {
        try state.withLock { (state) throws(DiskError) in
            guard sequence > state.newest else { return }
            state.newest = sequence
            guard !segments.isEmpty else {
                guard state.isThere else { return }
                try fs.remove(path)
                try fs.synchronizeDirectory(directory)
                return state.isThere = false
            }
            let file = try fs.open(path + ".new", .createOrOpen)
            try file.truncate(to: .zero)
            let bytes = Self.encode(segments)
            try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in try file.write([bytes], at: .zero) }
            try file.synchronize()
            try fs.rename(path + ".new", to: path)
            try fs.synchronizeDirectory(directory)
            state.isThere = true
        }
    }

    /// `nil` when there is none.
    static func read(in directory: String, fs: FS) throws(LogError) -> Content? {
        let path = directory + "/" + name
        guard try onDisk({ () throws(DiskError) in try fs.exists(path) }) else { return nil }
        let size = try onDisk { () throws(DiskError) in try fs.size(of: path) }.rawValue
        guard size >= Int64(headerSize), size <= Checkpoint.sizeLimit,
            let file = try? fs.open(path, .readOnly),
            var bytes = try? file.readBuffer(Int(size), at: 0, path: path),
            bytes.readInteger(as: UInt32.self) == magic, let crc = bytes.readInteger(as: UInt32.self),
            bytes.withUnsafeReadableBytes({ CRC32C.checksum($0) }) == crc,
            let count = bytes.readInteger(as: UInt32.self), bytes.readableBytes == Int(count) * rowSize
        else { return .unreadable }
        var names: Set<SegmentName> = []
        for _ in 0..<count {
            guard let base = bytes.readInteger(as: Int64.self), base >= 0,
                let generation = bytes.readInteger(as: Int32.self)
            else { return .unreadable }
            names.insert(SegmentName(base: LogIndex(base), generation: generation))
        }
        return .segments(names)
    }
}

/// Has the disk remember which segments are damaged, to be run on an I/O thread.
public struct DamageNoteJob<FS: FileSystem>: Sendable {
    let note: DamageNote<FS>
    let segments: [SegmentName]
    let sequence: Int

    /// Blocks. A failure costs only that a restart has to find the damage again.
    public func run() { try? note.replace(with: segments, sequence: sequence) }
}
