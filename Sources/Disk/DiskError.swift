// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Why the operating system refused a file operation.
public struct DiskError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Operation: String, Sendable {
        case open, size, read, write, truncate, synchronize, list, makeDirectory, rename, remove
    }

    public let operation: Operation
    /// The system's `errno` for the failed call.
    public let code: Int32
    public let path: String

    public init(_ operation: Operation, code: Int32, path: String) {
        self.operation = operation
        self.code = code
        self.path = path
    }

    /// Whether what the file holds can no longer be known, so that its owner must stop instead of trying again.
    ///
    /// After a failed `fsync` the kernel may have dropped the dirty pages, and a second `fsync` reports success
    /// (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
    public var isFatal: Bool {
        switch operation {
        case .synchronize: true
        case .write, .truncate: !isOutOfSpace
        case .open, .size, .read, .list, .makeDirectory, .rename, .remove: false
        }
    }

    /// Whether the disk, or the user's part of it, is full.
    public var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }

    /// Whether the disk could not read what it stores.
    public var isUnreadable: Bool { operation == .read && code == EIO }

    /// Whether the path named nothing.
    public var isMissing: Bool { code == ENOENT }

    public var description: String {
        let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
        return "\(operation.rawValue) \(path): \(reason)"
    }
}
