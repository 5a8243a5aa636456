// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// How a produce to one partition ended.
public enum ProduceOutcome: Sendable {
    /// `baseOffset` is where the batch's first record lies.
    case stored(baseOffset: Offset, logStart: Offset, appendTime: Timestamp?)
    case failed(ProduceFailure)
}

public enum ProduceFailure: Error, Hashable, Sendable {
    /// Another node leads, or nobody does.
    case notLeader
    /// Fewer voters are in touch than `min.insync.replicas` asks for; nothing was written.
    case notEnoughReplicas
    /// The disk refused; this replica has stopped itself.
    case storageFailed
    case timedOut
    case unknownPartition
    case invalidTimestamp
    /// An idempotent producer's batch that is stored already, so long ago that where is forgotten.
    case duplicateSequence
    /// An idempotent producer's batch that does not follow the one before it.
    case outOfOrderSequence(got: Int32, expected: Int32)
    /// Nothing is known here of the producer, whose batch is not its first. What it needs to know where the log begins.
    case unknownProducer(logStart: Offset)
    /// The producer's id goes on in a later epoch.
    case staleProducerEpoch(got: Int16, current: Int16)
}

/// Produces that wait until what they wrote is committed: a queue in log order. A retry of an idempotent producer waits
/// where its original does.
struct WaitingProduces {
    struct Waiting {
        let end: LogIndex
        /// The term of the last slot: another leader's entries may come to take these places.
        let term: Term
        let stored: ProduceOutcome
        let completion: (ProduceOutcome) -> Void
        var deadline: Moment
    }

    private var queue: [Waiting] = []
    private var first = 0

    var isEmpty: Bool { first == queue.count }

    mutating func append(_ waiting: Waiting) {
        var place = queue.count
        while place > first, queue[place - 1].end > waiting.end { place -= 1 }
        queue.insert(waiting, at: place)
    }

    /// Takes out those that end at or before `commit`.
    mutating func take(committed commit: LogIndex) -> ArraySlice<Waiting> {
        let from = first
        while first < queue.count, queue[first].end <= commit { first += 1 }
        let taken = queue[from..<first]
        compact()
        return taken
    }

    /// Takes out those that end behind `end`, where the log was cut.
    mutating func take(cutAt end: LogIndex) -> ArraySlice<Waiting> {
        let kept = queue[first...].firstIndex { $0.end > end } ?? queue.endIndex
        let taken = queue[kept...]
        queue.removeSubrange(kept...)
        compact()
        return taken
    }

    /// Has nobody wait longer than until `deadline`.
    mutating func limit(to deadline: Moment) {
        #if MUTANTS
            if Mutant.isActive("T-S16") { return }
        #endif
        for place in first..<queue.count { queue[place].deadline = min(queue[place].deadline, deadline) }
    }

    /// Takes out all, committed or not.
    mutating func takeAll() -> ArraySlice<Waiting> {
        let taken = queue[first...]
        queue = []
        first = 0
        return taken
    }

    /// Takes out those whose time is over. Order of time need not be order of the log, so all are looked at.
    mutating func take(expiredAt now: Moment) -> [Waiting] {
        guard queue[first...].contains(where: { $0.deadline <= now }) else { return [] }
        let expired = queue[first...].filter { $0.deadline <= now }
        queue = queue[first...].filter { $0.deadline > now }
        first = 0
        return expired
    }

    private mutating func compact() {
        if first == queue.count {
            queue.removeAll(keepingCapacity: true)
            first = 0
        } else if first > 1024 {
            queue.removeFirst(first)
            first = 0
        }
    }
}

/// Somebody who wants to know when a partition's high watermark, or its leader, changes.
public final class CommitWatcher {
    let changed: () -> Void

    public init(changed: @escaping () -> Void) {
        self.changed = changed
    }
}
