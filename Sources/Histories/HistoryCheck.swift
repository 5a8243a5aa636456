// SPDX-License-Identifier: Apache-2.0

/// Judges histories: the checks of Jepsen's Kafka workload that need no transactions, Redpanda's consistency checker,
/// and what a cluster promises beyond them. Every check is a pass over sorted operations, O(n log n) at most.
///
///     let verdict = HistoryCheck().verdict(on: operations)
///     precondition(verdict.isSound)
public struct HistoryCheck: Sendable {
    /// Kinds that are counted and do not fail the history.
    public var tolerated: Set<Anomaly> = []
    /// Takes an acknowledgement of acks=1 for a promise. For controls that must be caught.
    public var believesEveryAck = false
    /// Takes every producer for an idempotent one. For controls that must be caught.
    public var expectsIdempotence = false

    public init() {}

    /// All checks. The history must have ended: nothing is still being done, and consumers have read to the end of
    /// every log (otherwise tolerate `.unseen`).
    public func verdict(on operations: [Operation]) -> Verdict {
        var verdict = Verdict(tolerated: tolerated)
        let history = GroupedHistory(operations, self)
        history.count(into: &verdict.figures)
        for log in history.logs { checkRecords(log, &verdict) }
        for log in history.logs { checkOffsetsRise(log, &verdict) }
        checkSendOrder(history, &verdict)
        checkPolls(history, &verdict)
        checkScans(history, &verdict)
        for log in history.logs { checkStaleness(log, &verdict) }
        for offsets in history.groupOffsets { checkGroupOffsets(offsets, &verdict) }
        return verdict
    }
}

/// A history sorted by what the checks ask: by log, by client, by group.
struct GroupedHistory {
    /// Logs in the order of their names.
    private(set) var logs: [LogHistory] = []
    private var places: [String: Int] = [:]
    private var resent: Set<Int64> = []
    /// Clients in the order of their names, each with its operations in the order in which they began.
    private(set) var clients: [ClientHistory] = []
    private(set) var groupOffsets: [GroupOffsetHistory] = []
    private let operations: [Operation]

    init(_ operations: [Operation], _ check: HistoryCheck) {
        self.operations = operations
        var byClient: [String: [Operation]] = [:]
        for operation in operations { byClient[operation.client, default: []].append(operation) }
        for name in byClient.keys.sorted() {
            let own = byClient[name] ?? []
            let order = own.indices.sorted { (own[$0].began, $0) < (own[$1].began, $1) }
            var traits = ClientTraits()
            for case .open(let declared) in own.map(\.act) { traits = declared }
            if check.believesEveryAck, traits.acks == .leader { traits.acks = .all }
            if check.expectsIdempotence { traits.isIdempotent = true }
            clients.append(ClientHistory(name: name, traits: traits, operations: order.map { own[$0] }))
        }
        let names = Set(operations.flatMap { Self.logNames($0.act) }).sorted()
        for (place, name) in names.enumerated() {
            places[name] = place
            logs.append(LogHistory(name: name))
        }
        for case .resent(let values) in operations.map(\.act) { resent.formUnion(values) }
        for client in clients { spread(client) }
        for place in logs.indices { logs[place].sort() }
        groupOffsets = GroupOffsetHistory.all(in: clients)
    }

    func log(_ name: String) -> LogHistory? { places[name].map { logs[$0] } }

    private static func logNames(_ act: Act) -> [String] {
        switch act {
        case .send(let records): records.map(\.log)
        case .poll(let ranges): ranges.map(\.log)
        case .listEnd(let log, _), .listStart(let log, _): [log]
        case .open, .assign, .commit, .fetchOffset, .resent: []
        }
    }

    private mutating func spread(_ client: ClientHistory) {
        for operation in client.operations {
            switch operation.act {
            case .send(let records):
                for record in records {
                    guard let place = places[record.log] else { continue }
                    logs[place].add(record, operation, client.traits, isResent: resent.contains(record.value))
                }
            case .poll(let ranges) where operation.outcome == .ok:
                for range in ranges {
                    guard let place = places[range.log] else { continue }
                    logs[place].add(range, operation, client.traits)
                }
            case .listEnd(let log, .some(let offset)) where operation.outcome == .ok:
                guard let place = places[log] else { continue }
                logs[place].addEnd(offset, operation)
            case .listStart(let log, .some(let offset)) where operation.outcome == .ok:
                guard let place = places[log] else { continue }
                logs[place].addStart(offset, operation)
            case .open, .assign, .commit, .fetchOffset, .resent, .poll, .listEnd, .listStart: break
            }
        }
    }

    func count(into figures: inout Figures) {
        figures.operations = operations.count
        for operation in operations {
            if let error = operation.error { figures.errors[error, default: 0] += 1 }
            switch operation.act {
            case .commit: figures.commits += 1
            case .fetchOffset: figures.offsetFetches += 1
            case .listEnd: figures.endsListed += 1
            case .open, .send, .poll, .assign, .listStart, .resent: break
            }
        }
        for log in logs {
            figures.offsetsRead += log.read.count
            figures.recordsRead += log.recordsRead
            for send in log.sends {
                switch send.outcome {
                case .ok where send.isPromise: figures.acknowledged += 1
                case .ok: figures.acknowledgedByLeader += 1
                case .failed: figures.failedSends += 1
                case .unknown:
                    figures.unknownSends += 1
                    if log.offsets[send.value] != nil { figures.unknownSendsFound += 1 }
                }
            }
        }
    }
}

/// What one client did, in the order in which it did it.
struct ClientHistory {
    let name: String
    let traits: ClientTraits
    let operations: [Operation]
}

/// All that a history says about one log.
struct LogHistory {
    struct Send {
        let client: String
        let value: Int64
        let offset: Int64?
        let began: Int64
        let ended: Int64
        let outcome: Operation.Outcome
        let isPromise: Bool
        let isIdempotent: Bool
    }

    /// An end or a start of the log that an answer claimed.
    struct Claim {
        let client: String
        let offset: Int64
        let began: Int64
        let ended: Int64
        let what: String
    }

    let name: String
    private(set) var sends: [Send] = []
    /// Each value that was sent to this log, and its place in `sends`.
    private(set) var senders: [Int64: Int] = [:]
    /// What was read at each offset by anyone, first readings only.
    private(set) var read: [Int64: Int64] = [:]
    /// Readings of an offset that differ from its first: offset, value, client.
    private(set) var differing: [(offset: Int64, value: Int64, client: String)] = []
    /// Each value and all offsets at which it was read or acknowledged.
    private(set) var offsets: [Int64: [Int64]] = [:]
    private(set) var recordsRead = 0
    private(set) var ends: [Claim] = []
    private(set) var starts: [Claim] = []
    /// Offsets with a record, rising: read by anyone, or acknowledged as a promise.
    private(set) var known: [Int64] = []
    /// What was certain about the end of the log, and since when.
    private(set) var certainEnds = RisingBound()
    /// The same by acknowledgements alone.
    private(set) var acknowledgedEnds = RisingBound()

    init(name: String) { self.name = name }

    mutating func add(
        _ record: SentRecord, _ operation: Operation, _ traits: ClientTraits, isResent: Bool
    ) {
        let isPromise = operation.outcome == .ok && traits.acks == .all
        let offset = isPromise ? record.offset : nil
        senders[record.value] = sends.count
        sends.append(
            Send(
                client: operation.client, value: record.value, offset: offset, began: operation.began,
                ended: operation.ended, outcome: operation.outcome, isPromise: isPromise,
                isIdempotent: traits.isIdempotent && !isResent))
        guard let offset else { return }
        note(value: record.value, at: offset)
        certainEnds.add(offset + 1, at: operation.ended)
        acknowledgedEnds.add(offset + 1, at: operation.ended)
    }

    mutating func add(_ range: ReadRange, _ operation: Operation, _ traits: ClientTraits) {
        for record in range.records {
            recordsRead += 1
            if let first = read[record.offset] {
                if first != record.value { differing.append((record.offset, record.value, operation.client)) }
            } else {
                read[record.offset] = record.value
            }
            note(value: record.value, at: record.offset)
        }
        if let last = range.records.map(\.offset).max() { certainEnds.add(last + 1, at: operation.ended) }
        if let end = range.end, !traits.readsFollowers {
            ends.append(claim(end, operation, "a fetch"))
            certainEnds.add(end, at: operation.ended)
        }
    }

    mutating func addEnd(_ offset: Int64, _ operation: Operation) {
        ends.append(claim(offset, operation, "ListOffsets"))
        certainEnds.add(offset, at: operation.ended)
    }

    mutating func addStart(_ offset: Int64, _ operation: Operation) {
        starts.append(claim(offset, operation, "ListOffsets"))
    }

    private func claim(_ offset: Int64, _ operation: Operation, _ what: String) -> Claim {
        Claim(client: operation.client, offset: offset, began: operation.began, ended: operation.ended, what: what)
    }

    private mutating func note(value: Int64, at offset: Int64) {
        if offsets[value]?.contains(offset) != true { offsets[value, default: []].append(offset) }
    }

    mutating func sort() {
        var all = Set(read.keys)
        for send in sends { if let offset = send.offset { all.insert(offset) } }
        known = all.sorted()
        certainEnds.sort()
        acknowledgedEnds.sort()
    }

    /// The first offset with a record in `range`. O(log n).
    func firstKnown(in range: Range<Int64>) -> Int64? {
        let place = known.firstPlace { $0 >= range.lowerBound }
        return place < known.count && known[place] < range.upperBound ? known[place] : nil
    }
}

/// A bound that is known to have been reached, by time: at each moment, the greatest of all that were added before it.
struct RisingBound {
    private var steps: [(at: Int64, bound: Int64)] = []

    mutating func add(_ bound: Int64, at moment: Int64) { steps.append((moment, bound)) }

    /// Must be called between the last `add` and the first question.
    mutating func sort() {
        steps.sort { ($0.at, $0.bound) < ($1.at, $1.bound) }
        for index in steps.indices.dropFirst() {
            steps[index].bound = max(steps[index].bound, steps[index - 1].bound)
        }
    }

    /// What had been reached before `moment`; `nil` when nothing had. O(log n).
    func before(_ moment: Int64) -> Int64? {
        let place = steps.firstPlace { $0.at >= moment }
        return place > 0 ? steps[place - 1].bound : nil
    }
}

extension Array {
    /// The first index whose element fulfils a condition that, once fulfilled, all later ones fulfil; `count` when none
    /// does. O(log n).
    func firstPlace(_ holds: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
