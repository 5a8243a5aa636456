// SPDX-License-Identifier: Apache-2.0

/// A promise of reliability.md §2.1 that was broken.
public struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Promise: String, CaseIterable, Sendable {
        /// At most one leader in a term, ever.
        case electionSafety = "C1"
        /// The same index and term mean the same prefix.
        case logMatching = "C2"
        /// Whoever leads holds all that was committed before.
        case leaderCompleteness = "C3"
        /// What was committed at an index never changes.
        case stateMachineSafety = "C4"
        /// What is committed is durable on a majority, crashed machines' disks included.
        case quorumLog = "C5"
        /// A leader counts its own copy only once it is durable.
        case committedIsDurable = "C6"
        /// Terms, commits and log starts never go back; nor does the high watermark, from leader to leader.
        case monotonic = "C7"
        /// One vote a term, across restarts.
        case voteOnce = "C8"
        /// Nothing committed is cut.
        case noTruncationBelowCommit = "C9"
        /// What was promised to others survives a crash.
        case persistBeforeReply = "C10"
        /// Only entries of the own term are committed by counting.
        case currentTermCommit = "C11"
        /// One uncommitted change of the members at a time, by a leader that has committed in its term, to members
        /// whose quorums meet the old ones'; in force from its append on until it is cut.
        case memberDiscipline = "C12"
        /// A state is the fold of the committed log, whether applied or installed.
        case snapshot = "C13"
        /// Every acknowledged record is where it was acknowledged.
        case noLoss = "L1"
        /// What is read was sent, and what was refused is never read.
        case noInvention = "L2"
        /// One offset, one record, for all readers and all times.
        case offsetUnique = "L3"
        /// A producer's offsets rise, and lie above all that was acknowledged before it sent.
        case offsetMonotone = "L4"
        /// Offsets follow each other without a hole, and are the same function of the log everywhere.
        case offsetAccounting = "L5"
        /// An idempotent producer's batches are stored once each, in order and without a gap, and a retry gets the
        /// offset of its original.
        case producerOrder = "L6"
        /// A log's start never goes back, and compaction takes only committed records that later ones supersede.
        case retention = "L12"
        /// A lookup by time gives the first record that is readable and reaches it.
        case timeLookup = "L13"
        /// A committed offset never goes back but by an explicit commit.
        case groupOffsets = "L10"
        /// Who is no member of a group any more, or not in its generation, commits nothing.
        case groupFencing = "L10 fencing"
        /// A partition is nobody else's until its owner has let go.
        case soleOwner = "L10 owner"
        /// After the faults end there is a leader, and it commits.
        case liveness = "V1"
        /// Each request ends, or is refused with a known reason, within its time.
        case requestsEnd = "V2"
        /// What clients have seen, taken together, is the history of one log (reliability.md §2.2 and §2.3).
        case history = "H"
        /// Changes of who belongs to a group come to their end.
        case movesEnd = "V4"
        /// A replica stopped itself although its disk did what disks do.
        case stopped = "V5"
        /// After the faults end consumers read all that there is.
        case drained = "V6"
        /// What has rotted on a minority of disks is repaired from the others.
        case repaired = "F7"
        /// A cluster that is well and has nothing to do elects nobody again and again.
        case quiet = "V8"
    }

    public let promise: Promise
    public let detail: String
    /// Virtual nanoseconds since the start of the run.
    public var time: UInt64 = 0

    public init(_ promise: Promise, _ detail: String) {
        self.promise = promise
        self.detail = detail
    }

    public var description: String {
        "\(promise.rawValue) \(promise) at \(time / 1_000) µs: \(detail)"
    }
}
