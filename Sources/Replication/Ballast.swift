// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
import Synchronization

/// A file of no content that keeps room on the disk: when nothing else fits any more it is thrown overboard, so that
/// votes, checkpoints and deletions can still be written. One for all shards of a node; all calls block.
public final class Ballast: Sendable {
    private let path: String
    private let size: ByteCount
    private let isThere = Mutex(false)

    /// - Parameter size: how much room it keeps.
    public init(path: String, size: ByteCount) {
        self.path = path
        self.size = size
    }

    /// Makes the file, if the disk has this much room and as much again.
    /// - Returns: whether it is there.
    @discardableResult
    public func load<Files: FileSystem>(in files: Files) -> Bool {
        isThere.withLock { isThere in
            guard !isThere, size > .zero else { return isThere }
            do throws(DiskError) {
                let space = try files.space(at: Files.parent(of: path))
                let file = try files.open(path, .createOrOpen)
                let missing = size - min(size, try file.size())
                guard missing == .zero || space.usable >= missing + size else {
                    try file.truncate(to: .zero)
                    return false
                }
                try file.allocate(size)
                isThere = true
            } catch {
                // Without ballast the node works all the same; it is tried again when there is room.
                try? files.remove(path)
            }
            return isThere
        }
    }

    /// Gives the room back.
    /// - Returns: whether there was any.
    public func drop<Files: FileSystem>(in files: Files) -> Bool {
        isThere.withLock { isThere in
            guard isThere else { return false }
            isThere = false
            return (try? files.remove(path)) != nil
        }
    }
}
