// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel

extension PartitionLog {
    /// Has the next opening write again whatever it finds beyond the checkpoint, before it calls that durable.
    ///
    /// To be called before a log is opened whose disk has failed a write or a sync: what the page cache shows then may
    /// be on no disk, and no later sync would bring it there. Blocks.
    public static func distrust(_ directory: String, in fs: FS) throws(LogError) {
        do throws(DiskError) {
            let note = try fs.open(failureNote(in: directory), .createOrOpen)
            try note.synchronize()
            try fs.synchronizeDirectory(directory)
        } catch {
            throw .disk(error)
        }
    }

    static func failureNote(in directory: String) -> String { directory + "/sync-failed" }
}

extension LogError {
    /// Whether the disk had no room; the log is as usable as before then, unless the failed call says otherwise.
    public var isOutOfSpace: Bool {
        if case .disk(let error) = self { error.isOutOfSpace } else { false }
    }
}
