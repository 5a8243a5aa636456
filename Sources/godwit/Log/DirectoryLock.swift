// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Keeps a node from starting on a data directory while it is looked at. The lock goes with the process.
struct DirectoryLock: ~Copyable {
    private let descriptor: CInt?

    /// Takes the lock of the data directory that `directory` is, or is a part of.
    ///
    /// - Throws: when a node is running on it. A directory of which nobody has ever made a lock, a copy for instance,
    ///   needs none.
    init(of directory: String) throws {
        var path = directory
        for _ in 0..<4 {
            let descriptor = open(path + "/lock", O_RDONLY | O_CLOEXEC)
            guard descriptor < 0 else {
                guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 else {
                    _ = close(descriptor)
                    throw ValidationError("a node is running on \(path): stop it first")
                }
                self.descriptor = descriptor
                return
            }
            path += "/.."
        }
        descriptor = nil
    }

    deinit {
        if let descriptor { _ = close(descriptor) }
    }
}
