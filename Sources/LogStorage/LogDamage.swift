// SPDX-License-Identifier: Apache-2.0

public import LogModel
import RecordBatches

/// A part of a log whose bytes are wrong, lie in the wrong place, or are gone.
///
/// What must lie there is known all the same: the tables of terms and markers come from the checkpoint. Nothing of the
/// segment is read until the part has been fetched from the peers; a corrupt entry is never taken for a missing one.
public struct LogDamage: Hashable, Sendable, CustomStringConvertible {
    /// The slots whose entries are damaged.
    public let range: Range<LogIndex>
    public let file: String
    /// Where they lie, or should, in bytes from the beginning of the file.
    public let bytes: Range<Int64>
    public let detail: String

    public init(range: Range<LogIndex>, file: String, bytes: Range<Int64>, detail: String) {
        self.range = range
        self.file = file
        self.bytes = bytes
        self.detail = detail
    }

    /// The same, for whoever wanted to read it.
    var error: LogError {
        .corrupt(.init(file: file, position: ByteCount(bytes.lowerBound), detail: detail))
    }

    public var description: String {
        "slots \(range.lowerBound)..<\(range.upperBound), \(file) from byte \(bytes.lowerBound): \(detail)"
    }

    /// What is left of it in a log that is cut at `end`.
    func cut(at end: LogIndex) -> LogDamage? {
        guard range.lowerBound < end else { return nil }
        guard end < range.upperBound else { return self }
        return LogDamage(
            range: range.lowerBound..<end, file: file, bytes: bytes.lowerBound..<bytes.lowerBound, detail: detail)
    }
}

extension PartitionLog {
    /// Which entry may lie at which slot of this log.
    var map: LogMap { LogMap(terms: terms, markers: markers) }
}

/// Which entry may lie at which slot: what a log's tables say, whatever its bytes say.
struct LogMap: Sendable {
    let terms: TermTable
    let markers: MarkerTable

    /// Why no entry with this head lies at `index` and ends at or before `end`; `nil` when one may.
    ///
    /// A block that is whole but was written for another place fails here: offset and term lie outside the checksum,
    /// and a copy of an older state of the file has them wrong.
    func objection(to head: EntryHead, at index: LogIndex, before end: LogIndex) -> String? {
        guard index < end, head.slots <= end.slots(since: index) else {
            return "an entry of \(head.slots) slots where \(end.rawValue - index.rawValue) are left"
        }
        guard head.baseOffset == markers.offset(at: index) else {
            return "offset \(head.baseOffset) where \(markers.offset(at: index)) belongs"
        }
        guard head.isMarker == markers.contains(index) else { return "a marker and a batch have changed places" }
        let next = index.advanced(by: head.slots)
        guard head.isMarker || markers.slots(in: index..<next).isEmpty else {
            return "a batch in the place of a marker"
        }
        guard terms.term(at: index) == head.term, terms.term(at: next.advanced(by: -1)) == head.term else {
            return "term \(head.term) where \(terms.term(at: index) ?? .zero) belongs"
        }
        return nil
    }

    /// The slots after `index` at which an entry with this head may begin: none when nobody can tell which.
    ///
    /// Markers that follow each other have the same offset and often the same term, so that one may look like another.
    func slots(for head: EntryHead, after index: LogIndex, before end: LogIndex) -> [LogIndex] {
        guard head.isMarker else {
            let slot = markers.index(of: head.baseOffset)
            return index < slot && slot < end ? [slot] : []
        }
        let alike = markers.slots(in: index.advanced(by: 1)..<end).filter {
            markers.offset(at: $0) == head.baseOffset && terms.term(at: $0) == head.term
        }
        return alike.count == 1 ? alike : []
    }
}
