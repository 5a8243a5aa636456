// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
public import MetadataCore
public import NIOCore
import RecordBatches
public import Replication

/// METADATA SNAPSHOT, version 2. All integers are big-endian.
///
///      at   size  field
///       0      4  magic, the letters "GMS2"
///       4      4  CRC-32C of everything else: of the magic, then of what follows
///       8      8  offset of the first command that is not in the state
///      16      n  the state, as `ClusterState.encodeSnapshot()` writes it
///
/// In version 1 ("GMS1") the checksum leaves the magic out. A later version is to have its checksum over everything
/// too, so that what this one cannot read is told from what is damaged.
///
/// The same bytes go to disk and, for a follower that is too far behind, over the wire.
public struct MetadataSnapshot: Sendable {
    public let state: ClusterState
    public let nextOffset: Offset

    /// Why bytes are no snapshot of the state.
    public enum Damage: SnapshotDamage, Hashable, CustomStringConvertible {
        case notASnapshot
        case checksum
        /// Sound, but of a version that this one does not know.
        case laterVersion
        /// Sound, but not to be understood.
        case state(String)

        /// Whether the disk, or the way here, has changed what was written.
        public var isRot: Bool { self == .notASnapshot || self == .checksum }

        public var description: String {
            switch self {
            case .notASnapshot: "this is no metadata snapshot"
            case .checksum: "the metadata snapshot is damaged: its checksum does not match"
            case .laterVersion: "the metadata snapshot was written by a later version of Godwit"
            case .state(let detail): "the metadata snapshot cannot be read: \(detail)"
            }
        }
    }

    private static let magic: UInt32 = 0x474d_5332
    private static let firstMagic: UInt32 = 0x474d_5331
    /// What the magics of all versions begin with.
    private static let kind: UInt32 = 0x474d_5300
    private static let headerSize = 16
    /// What a reader takes at most: a million partitions need about 40 MB.
    static let sizeLimit = 512 << 20

    public init(state: ClusterState, nextOffset: Offset) {
        self.state = state
        self.nextOffset = nextOffset
    }

    public init(decoding bytes: ByteBuffer) throws {
        var bytes = bytes
        guard bytes.readableBytes >= Self.headerSize, let magic = bytes.readInteger(as: UInt32.self),
            magic & ~0xff == Self.kind, let checksum = bytes.readInteger(as: UInt32.self)
        else { throw Damage.notASnapshot }
        guard Self.checksum(of: bytes, magic) == checksum else { throw Damage.checksum }
        guard magic == Self.magic || magic == Self.firstMagic else { throw Damage.laterVersion }
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
        bytes.setInteger(Self.checksum(of: bytes.getSlice(at: 8, length: bytes.readableBytes - 8), Self.magic), at: 4)
        return bytes
    }

    /// - Parameter body: everything behind the checksum.
    private static func checksum(of body: ByteBuffer?, _ magic: UInt32) -> UInt32 {
        let head = magic == firstMagic ? 0 : withUnsafeBytes(of: magic.bigEndian) { CRC32C.checksum($0) }
        return body?.withUnsafeReadableBytes { CRC32C.checksum($0, continuing: head) } ?? head
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

    /// Where a damaged one is kept for whoever wants to look at it.
    private var damagedPath: String { directory + "/snapshot.damaged" }

    /// Removes what a crash has left of a snapshot that was being written.
    public func removeLeftovers() throws(DiskError) {
        for writer in [Writer.own, .leader] where try files.exists(temporary(writer)) {
            try files.remove(temporary(writer))
        }
    }

    /// Puts a damaged snapshot where it is read no more.
    public func setAside() throws(DiskError) {
        try files.rename(path, to: damagedPath)
        try files.synchronizeDirectory(directory)
    }

    /// `nil` when there is none yet.
    /// - Throws: `MetadataSnapshot.Damage` when there is one that cannot be read, which is another thing.
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
