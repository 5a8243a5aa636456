// SPDX-License-Identifier: Apache-2.0

/// One thing that one client did: when it was asked for, when the answer came, and what the answer was.
///
/// A history is a list of these, of all clients of a run, in any order. Chaos runs on real processes and the simulator
/// record the same thing, so that the same checks judge both.
public struct Operation: Hashable, Sendable {
    /// What the client knows about its own operation.
    public enum Outcome: String, Hashable, Sendable, Codable {
        /// It happened, and `act` says how it ended.
        case ok
        /// It certainly did not happen, and never will.
        case failed = "fail"
        /// It may have happened, may still happen, or may never: a timeout, a lost connection, a killed client.
        case unknown = "info"
    }

    /// Who did it. A client does the operations of one producer or one consumer; started anew, it has a new name.
    public var client: String
    /// When it was asked for, in nanoseconds of one clock that all clients of the history share and that never goes
    /// back.
    public var began: Int64
    /// When its end was known; `Int64.max` when it never was.
    public var ended: Int64
    public var outcome: Outcome
    public var act: Act
    /// What went wrong, in the client's words; they are only counted.
    public var error: String?

    public init(
        client: String, began: Int64, ended: Int64, outcome: Outcome = .ok, act: Act, error: String? = nil
    ) {
        self.client = client
        self.began = began
        self.ended = ended
        self.outcome = outcome
        self.act = act
        self.error = error
    }
}

/// What an operation was about. A `log` is the name of one partition of one topic, as in "orders-3".
public enum Act: Hashable, Sendable {
    /// The client's first operation: what may be expected of it.
    case open(ClientTraits)
    /// Records given to a producer together, usually one.
    case send([SentRecord])
    /// What a consumer was given by one call; a log that had nothing new need not be named.
    case poll([ReadRange])
    /// A consumer's positions were set anew by `assign`, `seek` or a rebalance; `nil` means those of all logs.
    case assign(logs: [String]?)
    /// A group's offset was set.
    case commit(group: String, log: String, offset: Int64)
    /// A group's offset was asked for; `nil` when there was none.
    case fetchOffset(group: String, log: String, offset: Int64?)
    /// ListOffsets, latest: the offset behind the last record that can be read.
    case listEnd(log: String, offset: Int64?)
    /// ListOffsets, earliest: the offset of the first record that is left.
    case listStart(log: String, offset: Int64?)
    /// It is known from elsewhere that the producers of these values gave them to the cluster more than once, as
    /// different records: one that begins a new epoch does, when it does not know what became of them (librdkafka,
    /// after OUT_OF_ORDER_SEQUENCE_NUMBER). Then no idempotence is to be expected for them.
    case resent(values: [Int64])
}

/// What a client was set to, hence what it may be promised.
public struct ClientTraits: Hashable, Sendable {
    public enum Acks: String, Hashable, Sendable, Codable {
        case all
        /// acks=1, or acks=all on a topic that is not synced before it is acknowledged: may be lost.
        case leader
        case none
    }

    public var acks: Acks
    /// `enable.idempotence`: a record is stored at most once.
    public var isIdempotent: Bool
    /// Whether records sent one after the other to one log land in that order: with idempotence, or with one request in
    /// flight.
    public var keepsOrder: Bool
    /// Reads from followers (KIP-392), whose high watermark may be behind.
    public var readsFollowers: Bool
    /// Reads every log from its start to its end after everything else has ended, with nothing compacted or deleted:
    /// what it does not find is not there.
    public var isFinalScan: Bool

    public init(
        acks: Acks = .all, isIdempotent: Bool = true, keepsOrder: Bool = true, readsFollowers: Bool = false,
        isFinalScan: Bool = false
    ) {
        self.acks = acks
        self.isIdempotent = isIdempotent
        self.keepsOrder = keepsOrder
        self.readsFollowers = readsFollowers
        self.isFinalScan = isFinalScan
    }
}

/// A record on its way into a log.
public struct SentRecord: Hashable, Sendable {
    public var log: String
    /// Unique in the whole history, and not negative.
    public var value: Int64
    /// Where the acknowledgement said that it landed; `nil` when none said so.
    public var offset: Int64?

    public init(log: String, value: Int64, offset: Int64? = nil) {
        self.log = log
        self.value = value
        self.offset = offset
    }
}

/// What one poll gave out of one log.
public struct ReadRange: Hashable, Sendable {
    public var log: String
    /// In the order in which the client was given them.
    public var records: [ReadRecord]
    /// The high watermark that the answer showed, when the client can see it and the answer was asked for after the
    /// operation had begun.
    public var end: Int64?

    public init(log: String, records: [ReadRecord], end: Int64? = nil) {
        self.log = log
        self.records = records
        self.end = end
    }
}

/// A record as a consumer found it.
public struct ReadRecord: Hashable, Sendable {
    public var offset: Int64
    /// The value that was sent; -1 when the bytes are not what any client of the history writes.
    public var value: Int64

    public init(offset: Int64, value: Int64) {
        self.offset = offset
        self.value = value
    }
}
