// SPDX-License-Identifier: Apache-2.0

public import Disk
import LogModel
import Synchronization

/// The part of making something durable that blocks, to be run on an I/O thread.
///
/// It refers only to open files and to bytes that no longer change, so the log may be appended to, written out and
/// even truncated meanwhile. Whoever began it gives the result back with `completeSync`.
public struct SyncTicket<FS: FileSystem>: Sendable {
    /// Which of its log's or journal's tickets this is.
    let number: Int
    let fs: FS
    /// Files with bytes that are not durable yet.
    var files: [FS.File] = []
    /// A new file that takes the place of an old one once it is durable itself.
    var replacement: (path: String, target: String)?
    /// A directory in which names were made or removed.
    var directory: String?
    var mark: DurableMarkJob<FS>?
    var producers: ProducerSnapshotJob<FS>?
    var checkpoint: CheckpointJob<FS>?
    /// A file made when the sync fails, for a process that starts again on the same machine: the page cache then shows
    /// bytes that no sync will ever write. It need not be durable, because a loss of power ends the lie as well.
    var failureNote: String?
    private let outcome = Outcome()

    init(number: Int, fs: FS) {
        self.number = number
        self.fs = fs
    }

    /// Blocks until all it covers is on stable storage. Run again, it gives the same result without doing anything:
    /// a failure must not be forgotten because another thread saw it first.
    public func run() -> Result<Void, DiskError> {
        outcome.result.withLock { result in
            if let result { return result }
            let answer = perform()
            result = answer
            return answer
        }
    }

    private final class Outcome: Sendable {
        let result = Mutex<Result<Void, DiskError>?>(nil)
    }

    private func perform() -> Result<Void, DiskError> {
        do throws(DiskError) {
            for file in files { try file.synchronize() }
            if let replacement { try fs.rename(replacement.path, to: replacement.target) }
            if let directory { try fs.synchronizeDirectory(directory) }
        } catch {
            if let failureNote { _ = try? fs.open(failureNote, .createOrOpen) }
            return .failure(error)
        }
        // What cannot be written of these costs a longer scan, no data: the old ones still stand.
        mark?.run()
        try? producers?.run()
        try? checkpoint?.run()
        return .success(())
    }
}

/// A checkpoint to be written once the files it speaks of are durable.
struct CheckpointJob<FS: FileSystem>: Sendable {
    let indexFiles: [FS.File]
    let image: CheckpointImage
    let file: CheckpointFile<FS>

    func run() throws(DiskError) {
        for index in indexFiles { try index.synchronize() }
        try file.replace(with: image)
    }
}
