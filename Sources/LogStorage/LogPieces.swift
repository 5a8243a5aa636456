// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
public import NIOCore

/// Whole entries of a log, for replication.
public struct LogSlice: Sendable {
    /// The entries back to back. A boundary between buffers is a boundary between entries.
    public var bytes: [ByteBuffer]
    /// The last entry's term, and its end. When the slice is empty: the place that was asked for.
    public var through: LogPosition
    /// Which term wrote which part: each run ends at `end` and begins where the one before it ends.
    public var runs: [LogPosition]
    public var size: ByteCount
}

/// A part of what a fetch answers.
public enum FetchPiece<File: StorageFile>: Sendable {
    /// Appended a moment ago, not in a file yet.
    case memory(ByteBuffer)
    /// In the page cache or on disk: a candidate for `sendfile`.
    case file(FileRange<File>)

    public var size: ByteCount {
        switch self {
        case .memory(let buffer): ByteCount(Int64(buffer.readableBytes))
        case .file(let range): range.size
        }
    }
}

/// Bytes of a file that stay readable for as long as the range is held, even when retention removes the file.
public struct FileRange<File: StorageFile>: Sendable {
    public let file: File
    public let position: ByteCount
    public let size: ByteCount

    public init(file: File, position: ByteCount, size: ByteCount) {
        self.file = file
        self.position = position
        self.size = size
    }
}

/// A record found by its time.
public struct TimedOffset: Hashable, Sendable {
    public var offset: Offset
    public var timestamp: Timestamp
    public var term: Term

    public init(offset: Offset, timestamp: Timestamp, term: Term) {
        self.offset = offset
        self.timestamp = timestamp
        self.term = term
    }
}
