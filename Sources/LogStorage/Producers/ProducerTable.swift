// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import RecordBatches

/// A batch of an idempotent producer, as far as a retry of it must be recognised.
public struct RememberedBatch: Hashable, Sendable {
    public let firstSequence: Int32
    /// How many sequence numbers, and slots of the log, it takes.
    public let slots: Int64
    public let baseOffset: Offset
    /// The batch's greatest timestamp; its append time where the topic has the broker write that.
    public let timestamp: Timestamp

    public init(firstSequence: Int32, slots: Int64, baseOffset: Offset, timestamp: Timestamp) {
        self.firstSequence = firstSequence
        self.slots = slots
        self.baseOffset = baseOffset
        self.timestamp = timestamp
    }

    /// Modulo 2³¹, as all sequence numbers (KAFKA-7692).
    public var lastSequence: Int32 { firstSequence.sequence(after: slots - 1) }
    /// The one that a batch in order begins with.
    public var nextSequence: Int32 { firstSequence.sequence(after: slots) }
}

/// What a log knows of one idempotent producer.
public struct ProducerState: Hashable, Sendable {
    public internal(set) var epoch: Int16
    /// The latest in log order, at most `ProducerTable.window`, each beginning where the one before it ended. Empty
    /// while only control batches are known.
    public internal(set) var batches: [RememberedBatch] = []
    /// How many sequence numbers up to the last one are certain to have been stored in this epoch, at most 2³⁰.
    public internal(set) var storedSequences: Int64 = 0
    public internal(set) var lastTimestamp: Timestamp
    /// The slot of the producer's last entry.
    public internal(set) var lastIndex: LogIndex

    /// −1 before the first batch.
    public var lastSequence: Int32 { batches.last?.lastSequence ?? -1 }

    init(epoch: Int16, at index: LogIndex, timestamp: Timestamp) {
        self.epoch = epoch
        lastIndex = index
        lastTimestamp = timestamp
    }

    /// `nil` when nothing is known of what the producer wrote there.
    fileprivate func before(_ anchor: LogAnchor) -> ProducerState? {
        guard anchor.position.end <= lastIndex else { return self }
        let kept = batches.filter { $0.baseOffset < anchor.offset }
        guard let last = kept.last, let end = batches.last?.nextSequence else { return nil }
        var state = ProducerState(
            epoch: epoch, at: LogIndex(anchor.position.end.rawValue - 1), timestamp: last.timestamp)
        state.batches = kept
        state.storedSequences = max(0, storedSequences - last.nextSequence.sequences(to: end))
        return state
    }

    fileprivate mutating func note(_ head: EntryHead) {
        if let last = batches.last, last.nextSequence != head.baseSequence {
            // The leader that took it no longer knew what came before. Its word is the log, so nothing is known here.
            batches.removeAll(keepingCapacity: true)
            storedSequences = 0
        }
        if batches.count == ProducerTable.window { batches.removeFirst() }
        batches.append(
            RememberedBatch(
                firstSequence: head.baseSequence, slots: head.slots, baseOffset: head.baseOffset,
                timestamp: head.maxTimestamp))
        storedSequences = min(storedSequences + head.slots, ProducerTable.sequenceHorizon)
    }
}

/// What a new batch of an idempotent producer is, seen from a log.
public enum ProducerVerdict: Hashable, Sendable {
    /// To be appended: it continues what is known, or begins.
    case inOrder
    /// It goes on where nothing is known of its producer, which may have batches on their way that belong before it.
    case unknownProducer
    /// A retry of a batch that is remembered; it gets that one's answer.
    case duplicate(RememberedBatch)
    /// A retry of a batch that is stored, but so long ago that its offset is forgotten.
    case oldDuplicate
    /// Something is missing before it, or it overlaps what is stored in no way that a retry could.
    case outOfOrder(expected: Int32)
    /// The producer's id is in use with a later epoch.
    case staleEpoch(current: Int16)
}

/// The idempotent producers of one log (KIP-98): a pure function of the log's entries, committed or not.
///
/// Every entry is noted in log order; what a truncation cuts is taken back by `undo`. What is forgotten, by age or for
/// want of room, makes its producer begin anew, with the next epoch (KIP-360). Kafka since 2.5 lets whoever is unknown
/// go on with any sequence number; then a batch that overtakes the first one, refused a moment before by who was not
/// the leader yet, is stored, and the first one never can be. The simulation finds that in one of a hundred runs.
public struct ProducerTable: Hashable, Sendable {
    /// How many batches of a producer are remembered, Kafka's number of requests in flight.
    public static let window = 5
    /// Half of all sequence numbers: what is further away cannot be told to lie before or behind.
    static let sequenceHorizon: Int64 = 1 << 30

    /// How many producers are remembered at most. When one too many comes, those go that have been silent longest, a
    /// sixteenth at a time.
    let capacity: Int
    /// Looked up; iterated only where the order cannot matter.
    private(set) var states: [Int64: ProducerState] = [:]
    /// How long this log has been open in all its lives together, in milliseconds.
    private(set) var age: Int64 = 0
    /// Where the log ended at some of its ages, oldest first.
    private(set) var marks: [AgeMark] = []

    struct AgeMark: Hashable, Sendable {
        var age: Int64
        var end: LogIndex
    }

    public init(capacity: Int) {
        precondition(capacity > 0, "a table has room for a producer")
        self.capacity = capacity
    }

    /// What a snapshot has kept.
    init(capacity: Int, states: [Int64: ProducerState], age: Int64, marks: [AgeMark]) {
        self.init(capacity: capacity)
        self.states = states
        self.age = age
        self.marks = marks
        if states.count > capacity { _ = evict(sparing: nil) }
    }

    public var count: Int { states.count }
    public var isEmpty: Bool { states.isEmpty }

    public subscript(producer: Int64) -> ProducerState? { states[producer] }

    /// All producers in the order of their ids.
    /// - Complexity: O(*n* log *n*).
    public var all: [(id: Int64, state: ProducerState)] {
        states.sorted { $0.key < $1.key }.map { (id: $0.key, state: $0.value) }
    }

    // MARK: - Judging

    /// What a batch is that its producer wants appended. Batches without a producer id are in order.
    public func verdict(on head: EntryHead) -> ProducerVerdict {
        guard head.producerID >= 0 else { return .inOrder }
        guard let state = states[head.producerID] else { return head.baseSequence == 0 ? .inOrder : .unknownProducer }
        if head.producerEpoch < state.epoch { return .staleEpoch(current: state.epoch) }
        guard head.producerEpoch == state.epoch, let last = state.batches.last, let oldest = state.batches.first else {
            return head.baseSequence == 0 ? .inOrder : .outOfOrder(expected: 0)
        }
        let isRetry = { (batch: RememberedBatch) in
            batch.firstSequence == head.baseSequence && batch.slots == head.slots
        }
        if let original = state.batches.last(where: isRetry) { return .duplicate(original) }
        let expected = last.nextSequence
        if head.baseSequence == expected { return .inOrder }
        // Only what is certain to be stored may be called so: a producer drops what it is told is a duplicate.
        let behind = head.baseSequence.sequences(to: expected)
        let remembered = oldest.firstSequence.sequences(to: expected)
        guard behind <= state.storedSequences, behind - head.slots >= remembered else {
            return .outOfOrder(expected: expected)
        }
        return .oldDuplicate
    }

    // MARK: - Following the log

    /// What an entry has changed, for when it is cut off again.
    struct Change: Sendable {
        let index: LogIndex
        let producer: Int64
        let before: ProducerState?
        let evicted: [(id: Int64, state: ProducerState)]
    }

    /// Takes in the entry at `index`. `nil` when it changes nothing: it is a marker or has no producer id.
    /// - Complexity: O(1), and O(*n* log *n*) once in *n*/16 new producers when the table is full.
    @discardableResult
    mutating func note(_ head: EntryHead, at index: LogIndex) -> Change? {
        guard !head.isMarker, head.producerID >= 0 else { return nil }
        let before = states[head.producerID]
        var state = ProducerState(epoch: head.producerEpoch, at: index, timestamp: head.maxTimestamp)
        if let before, before.epoch == head.producerEpoch {
            state.batches = before.batches
            state.storedSequences = before.storedSequences
        }
        // A control batch, the end of a transaction, has no sequence number (KIP-98).
        if !head.isControl { state.note(head) }
        states[head.producerID] = state
        let evicted = before == nil && states.count > capacity ? evict(sparing: head.producerID) : []
        return Change(index: index, producer: head.producerID, before: before, evicted: evicted)
    }

    /// Takes back the change made last.
    mutating func undo(_ change: Change) {
        states[change.producer] = change.before
        for (id, state) in change.evicted { states[id] = state }
    }

    private mutating func evict(sparing spared: Int64?) -> [(id: Int64, state: ProducerState)] {
        let silent = states.sorted { ($0.value.lastIndex, $0.key) < ($1.value.lastIndex, $1.key) }
            .prefix(states.count - capacity + capacity / 16).filter { $0.key != spared }
        for (id, _) in silent { states[id] = nil }
        return silent.map { (id: $0.key, state: $0.value) }
    }

    /// The log has been cut at `end`.
    mutating func lowerMarks(to end: LogIndex) {
        for number in marks.indices where marks[number].end > end { marks[number].end = end }
    }

    /// The table of the part of the log that lies before `anchor`, as far as this one still tells.
    func before(_ anchor: LogAnchor) -> ProducerTable {
        var table = self
        table.states = states.compactMapValues { $0.before(anchor) }
        table.lowerMarks(to: anchor.position.end)
        return table
    }

    // MARK: - Forgetting

    /// Lets `milliseconds` pass for a log that ends at `end` now, and forgets who has written nothing for `expiration`.
    ///
    /// Age is counted in time that the log has been open, not by the wall clock: a clock that jumps, or records that
    /// are dated long ago, must not make a log forget a producer that is still there (reliability F12). So an expiry
    /// comes late rather than early, by up to a sixteenth and by the time that the node was down.
    mutating func pass(_ milliseconds: Int64, end: LogIndex, expiration: Int64) {
        age += max(0, milliseconds)
        guard !states.isEmpty else {
            marks.removeAll()
            return
        }
        if let last = marks.lastIndex(where: { age - $0.age >= expiration }) {
            let silentBelow = marks[last].end
            marks.removeSubrange(...last)
            if states.contains(where: { $0.value.lastIndex < silentBelow }) {
                states = states.filter { $0.value.lastIndex >= silentBelow }
            }
        }
        if marks.last.map({ age - $0.age >= expiration / 16 }) ?? true { marks.append(AgeMark(age: age, end: end)) }
    }
}

extension Int32 {
    /// The sequence number `count` behind this one, modulo 2³¹.
    func sequence(after count: Int64) -> Int32 { Int32((Int64(self) + count) & 0x7fff_ffff) }

    /// How many sequence numbers `self..<end` are, modulo 2³¹.
    func sequences(to end: Int32) -> Int64 { (Int64(end) - Int64(self)) & 0x7fff_ffff }
}
