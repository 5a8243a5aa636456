// SPDX-License-Identifier: Apache-2.0

import Glibc
public import LogModel

/// The file system of the machine.
public struct RealFileSystem: FileSystem {
    public init() {}

    public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> RealFile {
        let flags: CInt =
            switch mode {
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            case .existing: O_RDWR
            case .readOnly: O_RDONLY
            case .createOrOpen: O_RDWR | O_CREAT
            }
        let descriptor = try check(.open, path) { Glibc.open(path, flags | O_CLOEXEC, 0o644) }
        return RealFile(descriptor: descriptor, path: path)
    }

    public func makeDirectory(_ path: String) throws(DiskError) {
        do throws(DiskError) {
            _ = try check(.makeDirectory, path) { mkdir(path, 0o755) }
        } catch {
            guard error.code == EEXIST else { throw error }
        }
    }

    public func list(_ path: String) throws(DiskError) -> [String] {
        guard let directory = opendir(path) else { throw DiskError(.list, code: errno, path: path) }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                guard errno == 0 else { throw DiskError(.list, code: errno, path: path) }
                break
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    public func rename(_ path: String, to newPath: String) throws(DiskError) {
        _ = try check(.rename, path) { Glibc.rename(path, newPath) }
    }

    public func remove(_ path: String) throws(DiskError) {
        _ = try check(.remove, path) { unlink(path) }
    }

    public func removeTree(_ path: String) throws(DiskError) {
        var info = stat()
        guard lstat(path, &info) == 0 else {
            if errno == ENOENT { return }
            throw DiskError(.remove, code: errno, path: path)
        }
        guard info.st_mode & S_IFMT == S_IFDIR else { return try remove(path) }
        for name in try list(path) { try removeTree(path + "/" + name) }
        _ = try check(.remove, path) { rmdir(path) }
    }

    public func synchronizeDirectory(_ path: String) throws(DiskError) {
        let descriptor = try check(.synchronize, path) { Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        defer { _ = close(descriptor) }
        _ = try check(.synchronize, path) { fsync(descriptor) }
    }

    public func exists(_ path: String) throws(DiskError) -> Bool {
        var info = stat()
        guard stat(path, &info) != 0 else { return true }
        guard errno == ENOENT || errno == ENOTDIR else { throw DiskError(.size, code: errno, path: path) }
        return false
    }

    public func size(of path: String) throws(DiskError) -> ByteCount {
        var info = stat()
        _ = try check(.size, path) { stat(path, &info) }
        return ByteCount(Int64(info.st_size))
    }

    public func space(at path: String) throws(DiskError) -> VolumeSpace {
        var info = statvfs()
        _ = try check(.size, path) { statvfs(path, &info) }
        func bytes(_ blocks: UInt) -> ByteCount {
            let (count, overflows) = UInt64(blocks).multipliedReportingOverflow(by: UInt64(info.f_frsize))
            return ByteCount(overflows ? .max : Int64(clamping: count))
        }
        return VolumeSpace(total: bytes(info.f_blocks), usable: bytes(info.f_bavail))
    }
}

/// An open file of the machine.
public final class RealFile: StorageFile {
    private let number: CInt
    private let path: String

    /// The most pieces one `pwritev` takes (`IOV_MAX` on Linux).
    private static let maximumPieces = 1024

    fileprivate init(descriptor: CInt, path: String) {
        number = descriptor
        self.path = path
    }

    deinit { _ = close(number) }

    public var descriptor: CInt? { number }

    public func size() throws(DiskError) -> ByteCount {
        var info = stat()
        _ = try check(.size, path) { fstat(number, &info) }
        return ByteCount(Int64(info.st_size))
    }

    public func write(_ pieces: [UnsafeRawBufferPointer], at position: ByteCount) throws(DiskError) {
        var position = position.rawValue
        var vectors: [iovec] = []
        vectors.reserveCapacity(pieces.count)
        for piece in pieces where piece.count > 0 {
            vectors.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress), iov_len: piece.count))
        }
        var first = 0
        while first < vectors.count {
            let count = min(vectors.count - first, Self.maximumPieces)
            let written = try vectors.withUnsafeBufferPointer { (all) throws(DiskError) in
                let some = UnsafeBufferPointer(rebasing: all[first..<first + count])
                return try check(.write, path) { pwritev(number, some.baseAddress, CInt(count), off_t(position)) }
            }
            guard written > 0 else { throw DiskError(.write, code: EIO, path: path) }
            position += Int64(written)
            var left = written
            while left > 0, left >= vectors[first].iov_len {
                left -= vectors[first].iov_len
                first += 1
            }
            if left > 0 {
                vectors[first].iov_base = vectors[first].iov_base?.advanced(by: left)
                vectors[first].iov_len -= left
            }
        }
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer, at position: ByteCount) throws(DiskError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try check(.read, path) {
                let place = off_t(position.rawValue) + off_t(done)
                return pread(number, buffer.baseAddress?.advanced(by: done), buffer.count - done, place)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    public func truncate(to size: ByteCount) throws(DiskError) {
        _ = try check(.truncate, path) { ftruncate(number, off_t(size.rawValue)) }
    }

    public func allocate(_ size: ByteCount) throws(DiskError) {
        // It answers with the error itself instead of setting errno.
        let code = posix_fallocate(number, 0, off_t(size.rawValue))
        guard code == 0 else { throw DiskError(.write, code: code, path: path) }
    }

    public func synchronize() throws(DiskError) {
        _ = try check(.synchronize, path) { fdatasync(number) }
    }
}

/// Makes a system call, again when a signal came between.
@inline(__always)
private func check<Answer: SignedInteger>(
    _ operation: DiskError.Operation, _ path: @autoclosure () -> String, _ call: () -> Answer
) throws(DiskError) -> Answer {
    while true {
        let answer = call()
        if answer >= 0 { return answer }
        let code = errno
        guard code == EINTR else { throw DiskError(operation, code: code, path: path()) }
    }
}
