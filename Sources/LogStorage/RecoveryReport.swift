// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// What opening a log found and did.
public struct RecoveryReport: Hashable, Sendable, CustomStringConvertible {
    /// The row of `RecoveryTable` that each segment met, in log order.
    public internal(set) var segments: [Segment] = []
    /// Bytes whose checksums were computed.
    public internal(set) var scanned = ByteCount.zero
    /// Bytes removed because they were never whole. None of them was known to be durable.
    public internal(set) var cut = ByteCount.zero
    /// The end of the log is gone, though it had been durable: what this copy has acknowledged, it has forgotten.
    /// See `PartitionLog.acceptLoss`.
    public internal(set) var hasLostItsEnd = false
    /// What is known of idempotent producers before the log's start is gone.
    public internal(set) var hasLostProducers = false
    /// Whether the log was closed properly the last time, or is new.
    public internal(set) var wasClean = false

    public struct Segment: Hashable, Sendable {
        public let base: LogIndex
        /// The letter of the row, A to E.
        public let row: Character
    }

    public var description: String {
        let rows = segments.map { String($0.row) }.joined()
        let letters = rows.isEmpty ? "no segments" : "segments \(rows)"
        let cut = cut > .zero ? ", \(cut) cut" : ""
        return "\(wasClean ? "clean" : "unclean"), \(letters), \(scanned) scanned\(cut)"
    }
}

/// What becomes of each segment when a log is opened.
///
/// A cut never touches what the checkpoint promises: bytes that were durable and are not there are damage, and damage
/// is repaired from the peers, never by forgetting. A segment with damage is kept as it is, and not read.
enum RecoveryTable {
    enum Decision: Hashable {
        case keep, rebuildIndex, cutTornTail, openDamaged, dropSegment
    }

    struct Facts: Hashable {
        /// Everything below the recovery point is there.
        var promiseIsKept: Bool
        /// The segment begins where the one before it ends.
        var connects: Bool
        /// Everything beyond the recovery point is whole entries that check.
        var tailIsWhole: Bool
        var indexMatches: Bool
    }

    struct Row {
        let label: Character
        let decision: Decision
        let promise: Bool?
        let connects: Bool?
        let tail: Bool?
        let index: Bool?

        func matches(_ facts: Facts) -> Bool {
            (promise ?? facts.promiseIsKept) == facts.promiseIsKept && (connects ?? facts.connects) == facts.connects
                && (tail ?? facts.tailIsWhole) == facts.tailIsWhole
                && (index ?? facts.indexMatches) == facts.indexMatches
        }
    }

    // The columns are the point, so the formatter keeps out.
    // swift-format-ignore
    static let rows: [Row] = [
        Row(label: "A", decision: .keep,         promise: true,  connects: true,  tail: true,  index: true),
        Row(label: "B", decision: .rebuildIndex, promise: true,  connects: true,  tail: true,  index: false),
        Row(label: "C", decision: .cutTornTail,  promise: true,  connects: true,  tail: false, index: nil),
        Row(label: "D", decision: .openDamaged, promise: false, connects: nil,   tail: nil,   index: nil),
        Row(label: "E", decision: .dropSegment,  promise: true,  connects: false, tail: nil,   index: nil),
    ]

    static func decide(_ facts: Facts) -> Row {
        let matches = rows.filter { $0.matches(facts) }
        precondition(matches.count == 1, "the table must meet every situation once")
        return matches[0]
    }
}
