// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel

/// Why a log, or the journal of hard state, could not do what it was asked.
public enum LogError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The system refused. When the disk is full the log stays usable: see `PartitionLog.writeOut`.
    case disk(DiskError)
    /// Bytes that were durable are damaged or gone. Nothing has been cut; the copy must be repaired from its peers.
    case corrupt(Corruption)
    /// An earlier failure made this log untrustworthy; it must be opened anew, which checks it.
    case failed
    /// The offset asked for is not here.
    case outOfRange(available: Range<Offset>)
    /// The entry asked for lies before the log's start.
    case beforeStart(LogAnchor)

    /// What is damaged, and where.
    public struct Corruption: Hashable, Sendable, CustomStringConvertible {
        public let file: String
        /// Bytes from the beginning of the file.
        public let position: ByteCount
        public let detail: String

        public init(file: String, position: ByteCount, detail: String) {
            self.file = file
            self.position = position
            self.detail = detail
        }

        public var description: String { "\(file) at byte \(position.rawValue): \(detail)" }
    }

    public var description: String {
        switch self {
        case .disk(let error): "\(error)"
        case .corrupt(let what): "damaged: \(what)"
        case .failed: "the log failed earlier"
        case .outOfRange(let available):
            "the offset is outside \(available.lowerBound)..<\(available.upperBound)"
        case .beforeStart(let start): "the log begins at \(start)"
        }
    }
}

/// Runs file work and gives its errors as `LogError.disk`.
@inline(__always)
func onDisk<Answer>(_ work: () throws(DiskError) -> Answer) throws(LogError) -> Answer {
    do throws(DiskError) {
        return try work()
    } catch {
        throw .disk(error)
    }
}
