// SPDX-License-Identifier: Apache-2.0

/// One line of a history as clients write it: an operation's beginning or its end.
///
/// The encoded form is flat, so that a client in any language writes it without a library:
///
///     {"at":1000,"client":"p1","op":7,"phase":"invoke","action":"send","log":"t-0","value":71}
///     {"at":1900,"client":"p1","op":7,"phase":"ok","offset":12}
///     {"at":2000,"client":"c1","op":3,"phase":"ok","action":"poll","read":[{"log":"t-0","records":[12,71,13,72]}]}
///
/// The end of an operation repeats nothing of its beginning; one whose beginning says nothing (a poll) may have a
/// single line with `began`. Operations without an end are of unknown outcome.
public struct HistoryEvent: Hashable, Sendable, Codable {
    public enum Phase: String, Hashable, Sendable, Codable {
        case invoke, ok, fail, info
    }

    public enum Action: String, Hashable, Sendable, Codable {
        case open, send, poll, assign, commit
        case fetchOffsets = "fetch-offsets"
        case listEnd = "list-end"
        case listStart = "list-start"
        case resent
    }

    public struct Sent: Hashable, Sendable, Codable {
        public var log: String
        public var value: Int64
        public var offset: Int64?

        public init(log: String, value: Int64, offset: Int64?) {
            self.log = log
            self.value = value
            self.offset = offset
        }
    }

    public struct Read: Hashable, Sendable, Codable {
        public var log: String
        /// Offset, value, offset, value, …
        public var records: [Int64]
        public var end: Int64?

        public init(log: String, records: [Int64], end: Int64?) {
            self.log = log
            self.records = records
            self.end = end
        }
    }

    /// Nanoseconds of the clock that all clients share.
    public var at: Int64
    public var client: String
    /// The operation's number, unique among those of its client.
    public var op: Int
    public var phase: Phase
    public var action: Action?
    /// With an end that had no line of its own for its beginning.
    public var began: Int64?
    public var log: String?
    public var value: Int64?
    public var offset: Int64?
    public var sent: [Sent]?
    public var read: [Read]?
    public var logs: [String]?
    public var values: [Int64]?
    public var group: String?
    public var error: String?
    // Of `open`.
    public var acks: ClientTraits.Acks?
    public var idempotent: Bool?
    public var ordered: Bool?
    public var followers: Bool?
    public var scan: Bool?

    public init(at: Int64, client: String, op: Int, phase: Phase, action: Action? = nil) {
        self.at = at
        self.client = client
        self.op = op
        self.phase = phase
        self.action = action
    }
}

/// Why a history cannot be judged.
public enum HistoryError: Error, Equatable, Sendable {
    /// An end without a beginning, and without `began` and `action` of its own.
    case endWithoutBeginning(client: String, op: Int)
    case beganTwice(client: String, op: Int)
    case missingField(String, client: String, op: Int)
    /// An operation that ends before it begins.
    case endsBeforeItBegins(client: String, op: Int)
    /// Offsets and values come in pairs.
    case oddRecords(client: String, op: Int)
}

/// Puts the lines of a history together to operations.
public struct HistoryReader: Sendable {
    private struct Key: Hashable {
        var client: String
        var op: Int
    }

    private var pending: [Key: HistoryEvent] = [:]
    private var done: [Operation] = []

    public init() {}

    /// Takes one line. Lines of one client come in order; those of different clients in any.
    public mutating func take(_ event: HistoryEvent) throws(HistoryError) {
        let key = Key(client: event.client, op: event.op)
        if event.phase == .invoke {
            guard pending.updateValue(event, forKey: key) == nil else {
                throw .beganTwice(client: event.client, op: event.op)
            }
            return
        }
        if let start = pending.removeValue(forKey: key) {
            done.append(try Self.operation(from: start, to: event))
        } else if event.action != nil {
            done.append(try Self.operation(from: event, to: event))
        } else {
            throw .endWithoutBeginning(client: event.client, op: event.op)
        }
    }

    /// All operations, those without an end included, by the time they began. O(n log n).
    public func operations() throws(HistoryError) -> [Operation] {
        var done = done
        let open = pending.values.sorted { ($0.client, $0.op) < ($1.client, $1.op) }
        for start in open { done.append(try Self.operation(from: start, to: nil)) }
        // Sorting is stable only by luck: the order in which lines came decides between equal times.
        let order = done.indices.sorted { (done[$0].began, $0) < (done[$1].began, $1) }
        return order.map { done[$0] }
    }

    private static func operation(
        from start: HistoryEvent, to end: HistoryEvent?
    ) throws(HistoryError) -> Operation {
        let began = start.phase == .invoke ? start.at : start.began ?? start.at
        let ended = end?.at ?? .max
        guard began <= ended else { throw .endsBeforeItBegins(client: start.client, op: start.op) }
        let outcome: Operation.Outcome =
            switch end?.phase {
            case .ok: .ok
            case .fail: .failed
            case .info, .invoke, nil: .unknown
            }
        return Operation(
            client: start.client, began: began, ended: ended, outcome: outcome,
            act: try act(from: start, to: end ?? start), error: end?.error)
    }

    private static func act(from start: HistoryEvent, to end: HistoryEvent) throws(HistoryError) -> Act {
        func missing(_ name: String) -> HistoryError {
            .missingField(name, client: start.client, op: start.op)
        }
        guard let action = start.action else { throw missing("action") }
        switch action {
        case .open:
            return .open(
                ClientTraits(
                    acks: start.acks ?? .all, isIdempotent: start.idempotent ?? true,
                    keepsOrder: start.ordered ?? start.idempotent ?? true,
                    readsFollowers: start.followers ?? false, isFinalScan: start.scan ?? false))
        case .send:
            if let several = end.sent ?? start.sent {
                return .send(several.map { SentRecord(log: $0.log, value: $0.value, offset: $0.offset) })
            }
            guard let log = start.log else { throw missing("log") }
            guard let value = start.value else { throw missing("value") }
            return .send([SentRecord(log: log, value: value, offset: end.phase == .ok ? end.offset : nil)])
        case .poll:
            return .poll(
                try (end.read ?? []).map { (read: HistoryEvent.Read) throws(HistoryError) in
                    guard read.records.count.isMultiple(of: 2) else {
                        throw HistoryError.oddRecords(client: start.client, op: start.op)
                    }
                    let records = stride(from: 0, to: read.records.count, by: 2).map {
                        ReadRecord(offset: read.records[$0], value: read.records[$0 + 1])
                    }
                    return ReadRange(log: read.log, records: records, end: read.end)
                })
        case .assign:
            return .assign(logs: end.logs ?? start.logs)
        case .resent:
            return .resent(values: end.values ?? start.values ?? [])
        case .commit, .fetchOffsets, .listEnd, .listStart:
            guard let log = start.log else { throw missing("log") }
            switch action {
            case .listEnd: return .listEnd(log: log, offset: end.phase == .ok ? end.offset : nil)
            case .listStart: return .listStart(log: log, offset: end.phase == .ok ? end.offset : nil)
            default: break
            }
            guard let group = start.group else { throw missing("group") }
            guard action == .commit else {
                return .fetchOffset(group: group, log: log, offset: end.phase == .ok ? end.offset : nil)
            }
            guard let offset = start.offset else { throw missing("offset") }
            return .commit(group: group, log: log, offset: offset)
        }
    }
}
