// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
public import MetadataCore
public import NIOCore
import RecordBatches
public import Replication

/// METADATA SNAPSHOT, version 1. All integers are big-endian.
///
///      at   size  field
///       0      4  magic, the letters "GMS1"
///       4      4  CRC-32C of everything after it
///       8      8  offset of the first command that is not in the state
///      16      n  the state, as `ClusterState.encodeSnapshot()` writes it
///
/// The same bytes go to disk and, for a follower that is too far behind, over the wire.
public struct MetadataSnapshot: Sendable {
    public let state: ClusterState
    public let nextOffset: Offset

    public enum Damage: SnapshotDamage, CustomStringConvertible {
        case notASnapshot
        case checksum
        case state(String)

        public var description: String {
            switch self {
            case .notASnapshot: "this is no metadata snapshot"
            case .checksum: "the metadata snapshot is damaged: its checksum does not match"
            case .state(let detail): "the metadata snapshot cannot be read: \(detail)"
            }
        }
    }

    private static let magic: UInt32 = 0x474d_5331
    private static let headerSize = 16
    /// What a reader takes at most: a million partitions need about 40 MB.
    static let sizeLimit = 512 << 20

    public init(state: ClusterState, nextOffset: Offset) {
        self.state = state
        self.nextOffset = nextOffset
    }

    public init(decoding bytes: ByteBuffer) throws {
        var bytes = bytes
        guard bytes.readableBytes >= Self.headerSize, bytes.readInteger(as: UInt32.self) == Self.magic,
            let checksum = bytes.readInteger(as: UInt32.self)
        else { throw Damage.notASnapshot }
        guard bytes.withUnsafeReadableBytes({ CRC32C.checksum($0) }) == checksum else { throw Damage.checksum }
        guard let offset = bytes.readInteger(as: Int64.self), offset >= 0 else { throw Damage.notASnapshot }
        nextOffset = Offset(offset)
        do {
            state = try ClusterState(snapshot: Array(bytes.readableBytesView))
        } catch {
            throw Damage.state("\(error)")
        }
    }

    public func encoded() -> ByteBuffer {
        let body = state.encodeSnapshot()
        var bytes = ByteBufferAllocator().buffer(capacity: Self.headerSize + body.count)
        bytes.writeInteger(Self.magic)
        bytes.writeInteger(UInt32(0))
        bytes.writeInteger(nextOffset.rawValue)
        bytes.writeBytes(body)
        let checksum = bytes.withUnsafeReadableBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[8...])) }
        bytes.setInteger(checksum, at: 4)
        return bytes
    }
}

/// Where a node keeps its latest metadata snapshot: replaced whole, by a rename.
public struct MetadataSnapshotFile<Files: FileSystem>: Sendable {
    private let files: Files
    private let directory: String

    public init(in directory: String, files: Files) {
        self.directory = directory
        self.files = files
    }

    private var path: String { directory + "/snapshot" }

    /// `nil` when there is none yet.
    public func read() throws -> MetadataSnapshot? {
        guard try files.exists(path) else { return nil }
        let file = try files.open(path, .readOnly)
        let size = Int(try file.size().rawValue)
        guard size <= MetadataSnapshot.sizeLimit else { throw MetadataSnapshot.Damage.notASnapshot }
        var bytes = ByteBufferAllocator().buffer(capacity: size)
        let count = try bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { (buffer) in
            try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<size]), at: .zero)
        }
        guard count == size else { throw MetadataSnapshot.Damage.notASnapshot }
        return try MetadataSnapshot(decoding: bytes)
    }

    /// Who is writing: each has a temporary file of its own.
    public enum Writer: String, Sendable {
        /// The node's own state, on an I/O thread.
        case own
        /// A leader's snapshot, on the loop.
        case leader
    }

    /// Puts the bytes on disk, but not yet in the snapshot's place.
    public func stage(_ bytes: ByteBuffer, by writer: Writer) throws(DiskError) {
        let file = try files.open(temporary(writer), .createOrOpen)
        try file.truncate(to: .zero)
        try bytes.withUnsafeReadableBytes { (buffer) throws(DiskError) in try file.write([buffer], at: .zero) }
        try file.synchronize()
    }

    /// Puts what was staged in the snapshot's place. Durable when it returns.
    public func adopt(from writer: Writer) throws(DiskError) {
        try files.rename(temporary(writer), to: path)
        try files.synchronizeDirectory(directory)
    }

    private func temporary(_ writer: Writer) -> String { "\(path).\(writer.rawValue)" }
}
