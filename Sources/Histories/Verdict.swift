// SPDX-License-Identifier: Apache-2.0

/// What can be wrong with a history.
///
/// Names and meanings are those of Jepsen's Kafka workload (jepsen.tests.kafka) where it has them; those of Redpanda's
/// consistency checker (redpanda-data/chaos, reads_writes) and of this cluster's own promises have names of their own.
public enum Anomaly: String, Hashable, Sendable, CaseIterable, Codable {
    // Jepsen's.
    /// One offset of a log holds more than one value.
    case inconsistentOffsets = "inconsistent-offsets"
    /// One value is at more than one offset of its log.
    case duplicate
    /// A record acknowledged at an offset was read by nobody, and a later offset of the log was.
    case lostWrite = "lost-write"
    /// An acknowledged record was read by nobody by the end, and nothing behind it was.
    case unseen
    /// A record of a send that certainly failed was read.
    case abortedRead = "G1a"
    /// A consumer's polls jump over records of the log.
    case pollSkip = "poll-skip"
    case internalPollSkip = "int-poll-skip"
    /// A consumer's next poll begins at or before the end of the previous one.
    case nonmonotonicPoll = "nonmonotonic-poll"
    case internalNonmonotonicPoll = "int-nonmonotonic-poll"
    /// A producer's later record is at or before an earlier one.
    case nonmonotonicSend = "nonmonotonic-send"
    case internalNonmonotonicSend = "int-nonmonotonic-send"
    // Redpanda's.
    /// A record landed at or below an offset that had been acknowledged before it was sent.
    case offsetTooLow = "offset-too-low"
    /// A record was read that nobody sent, or not to this log, or that is damaged.
    case foreign
    /// The final scan found a hole between two offsets of a log.
    case gap
    // Our own.
    /// A record that a consumer had been shown is not in the final scan.
    case vanished
    /// An end of a log was claimed that lies before what had been acknowledged, read or claimed earlier.
    case staleRead = "stale-read"
    /// The start of a log went back.
    case startGoesBack = "start-goes-back"
    /// A group's offset was shown that a later commit had replaced.
    case groupOffsetBack = "group-offset-back"
    /// A group's offset was shown that nobody had committed.
    case groupOffsetForeign = "group-offset-foreign"
    /// A member committed less than had been committed before it asked: its position went back.
    case commitBack = "commit-back"
}

/// One anomaly in one place.
public struct Finding: Hashable, Sendable {
    public let anomaly: Anomaly
    public let log: String
    /// Who, what and where, for a person.
    public let sentence: String
}

/// What the checks say about a history.
public struct Verdict: Sendable {
    /// How many findings of one kind are kept word for word.
    public static let examplesOfAKind = 20

    public private(set) var counts: [Anomaly: Int] = [:]
    /// The first findings of each kind.
    public private(set) var examples: [Finding] = []
    /// Kinds that do not fail the history, because the caller said so.
    public let tolerated: Set<Anomaly>
    public internal(set) var figures = Figures()

    init(tolerated: Set<Anomaly>) { self.tolerated = tolerated }

    /// Whether nothing is wrong but what is tolerated.
    public var isSound: Bool { Anomaly.allCases.allSatisfy { counts[$0] == nil || tolerated.contains($0) } }

    /// The kinds that were found, in the order of their declaration.
    public var kinds: [Anomaly] { Anomaly.allCases.filter { counts[$0] != nil } }

    mutating func find(_ anomaly: Anomaly, _ log: String, _ sentence: @autoclosure () -> String) {
        counts[anomaly, default: 0] += 1
        guard counts[anomaly, default: 0] <= Self.examplesOfAKind else { return }
        examples.append(Finding(anomaly: anomaly, log: log, sentence: sentence()))
    }
}

/// What was counted and measured on the way.
public struct Figures: Hashable, Sendable {
    public var operations = 0
    /// Records whose acknowledgement is a promise.
    public var acknowledged = 0
    /// Records whose acknowledgement is none (acks=1).
    public var acknowledgedByLeader = 0
    public var failedSends = 0
    public var unknownSends = 0
    /// Of those, how many are in the log all the same.
    public var unknownSendsFound = 0
    /// Records given to consumers, each as often as it was given.
    public var recordsRead = 0
    /// Different offsets that were read.
    public var offsetsRead = 0
    /// Records that a producer without idempotence stored more than once, which it may.
    public var toleratedDuplicates = 0
    public var commits = 0
    public var offsetFetches = 0
    public var endsListed = 0
    /// The longest time, in nanoseconds, for which a record had been acknowledged before a poll began that did not
    /// reach it yet (Jepsen's worst-realtime-lag, final scans not counted).
    public var worstRealtimeLag: Int64 = 0
    /// How often each error was met, by the client's own words.
    public var errors: [String: Int] = [:]
}
