// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// How a file is opened. All but `readOnly` give a file that can be read and written.
public enum OpenMode: Hashable, Sendable {
    /// Fails with `EEXIST` when the path is taken.
    case createNew
    /// Fails with `ENOENT` when there is no such file.
    case existing
    /// The same, for reading only.
    case readOnly
    case createOrOpen
}

/// Files and directories: the real ones, or those of a simulated machine that loses power.
///
/// Three promises are separate, as in POSIX: a written byte is *visible*, a synchronized file is *durable*, and a
/// name is durable only once its directory has been synchronized. All calls block.
public protocol FileSystem: Sendable {
    associatedtype File: StorageFile

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> File
    /// Makes one directory; its parent must exist. Succeeds when it already exists.
    func makeDirectory(_ path: String) throws(DiskError)
    /// The names (not paths) inside a directory, sorted.
    func list(_ path: String) throws(DiskError) -> [String]
    /// Gives a file another name, replacing what had it.
    func rename(_ path: String, to newPath: String) throws(DiskError)
    func remove(_ path: String) throws(DiskError)
    /// Removes a directory and all it holds. Succeeds when it does not exist.
    func removeTree(_ path: String) throws(DiskError)
    /// Makes the names of a directory durable: what was created, renamed and removed in it.
    func synchronizeDirectory(_ path: String) throws(DiskError)
    func exists(_ path: String) throws(DiskError) -> Bool
    func size(of path: String) throws(DiskError) -> ByteCount
    /// How large the volume is that holds `path`, and how much of it is left for this process.
    func space(at path: String) throws(DiskError) -> VolumeSpace
}

/// The size of a volume.
public struct VolumeSpace: Hashable, Sendable {
    public let total: ByteCount
    public let usable: ByteCount

    public init(total: ByteCount, usable: ByteCount) {
        self.total = total
        self.usable = usable
    }
}

/// One open file. It is closed when its last owner lets go, so a reader may keep a file that is removed meanwhile.
public protocol StorageFile: AnyObject, Sendable {
    func size() throws(DiskError) -> ByteCount
    /// Writes all of the pieces, one after the other, beginning at `position`.
    ///
    /// - Throws: when not everything could be written; any part of it may have been.
    func write(_ pieces: [UnsafeRawBufferPointer], at position: ByteCount) throws(DiskError)
    /// Fills `buffer` from `position` on and returns how many bytes there were: fewer only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at position: ByteCount) throws(DiskError) -> Int
    func truncate(to size: ByteCount) throws(DiskError)
    /// Has the file be `size` long at least, with room on the disk for all of it. What is new reads as zeros.
    func allocate(_ size: ByteCount) throws(DiskError)
    /// Returns once everything written so far is on stable storage (`fdatasync`).
    func synchronize() throws(DiskError)
    /// The system's descriptor, for `sendfile`; `nil` for a simulated file. Valid as long as the file is held.
    var descriptor: CInt? { get }
}

extension FileSystem {
    /// The directory that holds `path`.
    public static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

extension StorageFile {
    /// Writes zeros, for a system that has nothing better.
    public func allocate(_ size: ByteCount) throws(DiskError) {
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 1)
        defer { zeros.deallocate() }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        var position = try self.size().rawValue
        while position < size.rawValue {
            let count = Int(min(Int64(zeros.count), size.rawValue - position))
            try write([UnsafeRawBufferPointer(rebasing: zeros[..<count])], at: ByteCount(position))
            position += Int64(count)
        }
    }
}
