// SPDX-License-Identifier: Apache-2.0

import Disk

/// A file that the log has let go of, under its last name.
struct DeletedFile {
    let path: String
    /// How long it stays, in milliseconds.
    var remaining: Int64
}

extension PartitionLog {
    /// What a file is called between its removal from the log and its removal from the disk, as in Kafka.
    static var deletedSuffix: String { ".deleted" }

    /// Lets go of a segment's file: at once, or under another name until `file.delete.delay.ms` is over. The name it
    /// had is free for another segment either way.
    func delete(_ name: SegmentName) {
        let path = Segment<FS>.path(name, in: directory)
        try? fs.remove(path + Segment<FS>.indexSuffix)
        let file = path + Segment<FS>.logSuffix
        guard limits.deleteDelayMilliseconds > 0 else {
            try? fs.remove(file)
            return
        }
        let last = file + Self.deletedSuffix
        do throws(DiskError) {
            try fs.rename(file, to: last)
            deleted.append(DeletedFile(path: last, remaining: limits.deleteDelayMilliseconds))
        } catch {
            // The next opening removes what the checkpoint does not name.
            try? fs.remove(file)
        }
    }

    /// Whether files wait for their removal.
    public var hasDeletedFiles: Bool { !deleted.isEmpty }

    /// Takes out the files whose time is over, for the caller to remove from the disk, which may block.
    ///
    /// - Parameter elapsed: milliseconds since the last call.
    public func takeDeletedFiles(after elapsed: Int64) -> [String] {
        for place in deleted.indices { deleted[place].remaining -= elapsed }
        let due = deleted.filter { $0.remaining <= 0 }.map(\.path)
        deleted.removeAll { $0.remaining <= 0 }
        return due
    }

    /// Removes what an earlier life of the log has left behind.
    static func removeDeletedFiles(among names: [String], in directory: String, fs: FS) {
        for name in names where name.hasSuffix(deletedSuffix) { try? fs.remove(directory + "/" + name) }
    }
}
