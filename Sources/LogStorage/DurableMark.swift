// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import RecordBatches
import Synchronization

/// DURABLE MARK, the file `durable` beside the segments, version 1: how far the log was durable a moment ago. All
/// integers are big-endian.
///
///      at   size  field
///       0      4  magic, the letters "GDM1"
///       4      4  CRC-32C of everything after it
///       8      8  log index: everything below was durable when this was written
///
/// Beyond the checkpoint nobody else knows whether a broken entry was never whole, and may be cut, or has been durable,
/// acknowledged and then damaged, and may not. The mark is written after every sync and never synchronized for its own
/// sake, so it costs no wait. When only the process dies it is exact; after a loss of power it may be older, which
/// leaves open what it does not say. It must never say too much: before a cut it is lowered, durably.
final class DurableMark<FS: FileSystem>: Sendable {
    private struct State {
        /// What the file says at most.
        var marked: LogIndex
        /// Counts cuts: what was begun before one says nothing after it.
        var epoch = 0
        /// Open since it was first written to: a log that takes records writes it hundreds of times a second, and has
        /// its last segment open too.
        var file: FS.File?
        /// What was written last: its room is used again.
        var bytes = ByteBuffer()
    }

    private let directory: String
    private let fs: FS
    private let state: Mutex<State>

    static var name: String { "durable" }
    private static var magic: UInt32 { 0x4744_4d31 }
    private static var size: Int { 16 }

    init(in directory: String, fs: FS, marked: LogIndex?) {
        self.directory = directory
        self.fs = fs
        state = Mutex(State(marked: marked ?? .zero))
    }

    private var path: String { directory + "/" + Self.name }

    var epoch: Int { state.withLock { $0.epoch } }

    static func encode(_ index: LogIndex, into bytes: inout ByteBuffer) {
        bytes.clear(minimumCapacity: size)
        bytes.writeInteger(magic)
        bytes.writeInteger(0 as UInt32)
        bytes.writeInteger(index.rawValue)
        let crc = bytes.withUnsafeReadableBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[8...])) }
        bytes.setInteger(crc, at: bytes.readerIndex + 4)
    }

    /// Everything below `index` has just been made durable, by a sync that began in `epoch`. A failure costs only what
    /// the mark would have told.
    func raise(to index: LogIndex, epoch: Int) {
        state.withLock { state in
            guard state.epoch == epoch, index > state.marked else { return }
            // Also when it fails the file may say so.
            state.marked = index
            _ = try? write(index, &state)
        }
    }

    /// The log is about to be cut at `index`. Durable when it returns.
    func lower(to index: LogIndex) throws(DiskError) {
        try state.withLock { (state) throws(DiskError) in
            state.epoch += 1
            guard index < state.marked else { return }
            try write(index, &state).synchronize()
            state.marked = index
        }
    }

    private func write(_ index: LogIndex, _ state: inout State) throws(DiskError) -> FS.File {
        Self.encode(index, into: &state.bytes)
        let file: FS.File = if let open = state.file { open } else { try fs.open(path, .createOrOpen) }
        // After a failure it is opened anew.
        state.file = nil
        try state.bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in try file.write([bytes], at: .zero) }
        state.file = file
        return file
    }

    /// What the file says; `nil` when there is none, or it says nothing that can be believed.
    static func read(in directory: String, fs: FS) throws(LogError) -> LogIndex? {
        let path = directory + "/" + name
        guard try onDisk({ () throws(DiskError) in try fs.exists(path) }) else { return nil }
        guard let file = try? fs.open(path, .readOnly), var bytes = try? file.readBuffer(size, at: 0, path: path),
            bytes.readInteger(as: UInt32.self) == magic, let crc = bytes.readInteger(as: UInt32.self),
            bytes.withUnsafeReadableBytes({ CRC32C.checksum($0) }) == crc,
            let index = bytes.readInteger(as: Int64.self), index >= 0
        else { return nil }
        return LogIndex(index)
    }
}

/// What a completed sync says to the mark.
struct DurableMarkJob<FS: FileSystem>: Sendable {
    let mark: DurableMark<FS>
    let index: LogIndex
    let epoch: Int

    func run() { mark.raise(to: index, epoch: epoch) }
}
