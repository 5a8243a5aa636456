// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// L1 to L6 of reliability.md for one partition: what producers were told and what consumers read.
public struct RecordChecks {
    public struct Sent: Hashable, Sendable {
        /// The highest acknowledged offset when the batch was sent.
        var floor: Int64
        var outcome = Outcome.unknown
    }

    public enum Outcome: Hashable, Sendable {
        case unknown
        /// Acknowledged by a majority: never to be lost.
        case committed(Offset)
        /// Acknowledged by the leader alone: may be lost.
        case stored(Offset)
        /// Nothing was written.
        case refused
    }

    public private(set) var batches: [BatchName: Sent] = [:]
    /// Every batch that any reader was given, by its first offset.
    private var read: [Offset: BatchName] = [:]
    /// Where the batches of idempotent producers were read.
    private var places: [BatchName: Offset] = [:]
    private var highestAcknowledged: Int64 = -1
    private var answeredOfProducer: [Int64: [(number: Int32, offset: Offset)]] = [:]
    public private(set) var acknowledged: [(offset: Offset, batch: BatchName)] = []
    public private(set) var readCount = 0

    public init() {}

    public mutating func sending(_ batch: BatchName) {
        batches[batch] = Sent(floor: highestAcknowledged)
    }

    public mutating func refused(_ batch: BatchName) { batches[batch]?.outcome = .refused }

    /// Acknowledged as stored on the leader only.
    public mutating func stored(_ batch: BatchName, at offset: Offset) {
        batches[batch]?.outcome = .stored(offset)
    }

    /// Acknowledged with acks=all. `committed` is what the consensus checks know to be committed at that offset.
    public mutating func acknowledged(
        _ batch: BatchName, at offset: Offset, committed: LoggedEntry?
    ) throws(Violation) {
        guard let sent = batches[batch] else { throw Violation(.noInvention, "\(batch) was never sent") }
        guard committed?.batch == batch else {
            let there = committed.map { "\($0.batch)" } ?? "nothing"
            throw Violation(.noLoss, "\(batch) was acknowledged at \(offset), where \(there) is committed")
        }
        if case .committed(let earlier) = sent.outcome {
            guard earlier == offset else {
                throw Violation(.producerOrder, "\(batch) was acknowledged at \(earlier) and at \(offset)")
            }
            return
        }
        guard offset.rawValue > sent.floor else {
            throw Violation(.offsetMonotone, "\(batch) got \(offset), though \(sent.floor) was known when it was sent")
        }
        try noteOrder(of: batch, at: offset)
        highestAcknowledged = max(highestAcknowledged, offset.rawValue)
        batches[batch]?.outcome = .committed(offset)
        acknowledged.append((offset, batch))
    }

    /// Answers may overtake each other, as when a leader of the past learns late that its last batches were committed;
    /// offsets follow the order of sending all the same.
    private mutating func noteOrder(of batch: BatchName, at offset: Offset) throws(Violation) {
        var answered = answeredOfProducer[batch.producer] ?? []
        let place = (answered.lastIndex { $0.number < batch.number } ?? -1) + 1
        let isInOrder =
            (place == 0 || answered[place - 1].offset < offset)
            && (place == answered.count || offset < answered[place].offset)
        guard isInOrder else {
            throw Violation(.offsetMonotone, "\(batch) got \(offset), out of the order in which it was sent")
        }
        answeredOfProducer[batch.producer] = nil
        answered.insert((batch.number, offset), at: place)
        answeredOfProducer[batch.producer] = answered
    }

    /// A consumer was given this entry.
    public mutating func read(
        _ batch: BatchName, at offset: Offset, committedOffset: Offset, by reader: String
    ) throws(Violation) {
        readCount += 1
        guard let sent = batches[batch] else {
            throw Violation(.noInvention, "\(reader) read \(batch) at \(offset), which nobody sent")
        }
        guard sent.outcome != .refused else {
            throw Violation(.noInvention, "\(reader) read \(batch) at \(offset), which was refused")
        }
        guard offset < committedOffset else {
            throw Violation(.quorumLog, "\(reader) read \(offset), committed ends at \(committedOffset)")
        }
        if let earlier = read[offset], earlier != batch {
            throw Violation(.offsetUnique, "\(reader) read \(batch) at \(offset), earlier \(earlier) was there")
        }
        if batch.isRetried {
            if let other = places[batch], other != offset {
                throw Violation(.producerOrder, "\(reader) read \(batch) at \(offset), it is at \(other) too")
            }
            places[batch] = offset
        }
        read[offset] = batch
        if case .committed(let promised) = sent.outcome, promised != offset {
            throw Violation(.noLoss, "\(reader) read \(batch) at \(offset), it was acknowledged at \(promised)")
        }
    }

    /// The whole of a replica's committed records, read at the end: each acknowledged batch is there, once.
    public func checkFinal(_ found: [(offset: Offset, batch: BatchName)], from start: Offset) throws(Violation) {
        var places: [BatchName: Offset] = [:]
        for (offset, batch) in found {
            if let other = places[batch] {
                let promise = batch.isRetried ? Violation.Promise.producerOrder : .noInvention
                throw Violation(promise, "\(batch) is at \(other) and at \(offset)")
            }
            places[batch] = offset
        }
        for (offset, batch) in acknowledged where offset >= start && places[batch] != offset {
            let place = places[batch].map { "at \($0)" } ?? "nowhere"
            throw Violation(.noLoss, "\(batch) was acknowledged at \(offset) and is \(place)")
        }
    }
}
