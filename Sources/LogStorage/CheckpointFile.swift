// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import Synchronization

/// An encoded checkpoint, and its place among those of its log.
struct CheckpointImage: Sendable {
    let sequence: Int
    let recoveryPoint: LogIndex
    let bytes: ByteBuffer
}

/// The checkpoint file of one log, replaced whole: written beside, synchronized, renamed, the directory synchronized.
///
/// A sync on an I/O thread and the log on its loop both write it. What was encoded later wins, whoever comes first.
final class CheckpointFile<FS: FileSystem>: Sendable {
    private struct State {
        /// What has a lower or the same sequence is out of date.
        var newest = 0
        /// The one that certainly stands in the file.
        var completed = 0
        /// The highest recovery point that the file can have after a crash.
        var recoveryPoint: LogIndex
    }

    private let directory: String
    private let fs: FS
    private let state: Mutex<State>

    static var name: String { "checkpoint" }

    init(in directory: String, fs: FS, recoveryPoint: LogIndex) {
        self.directory = directory
        self.fs = fs
        state = Mutex(State(recoveryPoint: recoveryPoint))
    }

    /// Makes `image` the checkpoint unless a newer one, or `invalidate`, came before. Durable when it returns.
    func replace(with image: CheckpointImage) throws(DiskError) {
        try state.withLock { (state) throws(DiskError) in
            guard image.sequence > state.newest else { return }
            state.newest = image.sequence
            state.recoveryPoint = max(state.recoveryPoint, image.recoveryPoint)
            let path = directory + "/" + Self.name
            let temporary = path + ".new"
            let file = try fs.open(temporary, .createOrOpen)
            try file.truncate(to: .zero)
            try image.bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in try file.write([bytes], at: .zero) }
            #if MUTANTS
                if Mutant.isActive("T-D3") { return try fs.rename(temporary, to: path) }
            #endif
            try file.synchronize()
            try fs.rename(temporary, to: path)
            try fs.synchronizeDirectory(directory)
            state.recoveryPoint = image.recoveryPoint
            state.completed = image.sequence
        }
    }

    /// The sequence of the one that certainly stands in the file.
    var completed: Int { state.withLock { $0.completed } }

    func holds(_ image: CheckpointImage) -> Bool { state.withLock { $0.completed == image.sequence } }

    /// Keeps everything up to `sequence` that is not written yet from being written, and tells the highest recovery
    /// point that may stand in the file.
    func invalidate(upTo sequence: Int) -> LogIndex {
        state.withLock { state in
            state.newest = max(state.newest, sequence)
            return state.recoveryPoint
        }
    }

    /// `nil` when there is none.
    static func read(in directory: String, fs: FS) throws(LogError) -> Checkpoint? {
        let path = directory + "/" + name
        guard try onDisk({ () throws(DiskError) in try fs.exists(path) }) else { return nil }
        let file = try onDisk { () throws(DiskError) in try fs.open(path, .readOnly) }
        let size = try onDisk { () throws(DiskError) in try file.size() }.rawValue
        guard size <= Checkpoint.sizeLimit else {
            throw .corrupt(.init(file: path, position: .zero, detail: "too large for a checkpoint"))
        }
        let bytes = try file.readBuffer(Int(size), at: 0, path: path)
        do throws(Checkpoint.Flaw) {
            return try Checkpoint(decoding: bytes)
        } catch {
            throw .corrupt(.init(file: path, position: .zero, detail: error.detail))
        }
    }
}
