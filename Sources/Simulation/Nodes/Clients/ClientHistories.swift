// SPDX-License-Identifier: Apache-2.0

import Histories
import LogModel
import NIOCore
import RecordBatches

/// What the clients of a run did and were told, for the checks that real clusters are judged by, too.
///
/// Group offsets are left out: administrators set them back and delete them here, which `OffsetRegister` understands
/// and a history does not.
struct ClientHistories {
    private(set) var operations: [Operation] = []
    private var opened: Set<String> = []
    /// Sends of which nothing is known yet, by batch.
    private var pending: [BatchName: Operation] = [:]

    /// Notes what may be expected of a client, once.
    private mutating func open(_ client: String, _ traits: ClientTraits, at time: UInt64) {
        guard opened.insert(client).inserted else { return }
        operations.append(Operation(client: client, began: Int64(time), ended: Int64(time), act: .open(traits)))
    }

    /// - Parameter acks: what the client was told to ask for, as the wire has it.
    mutating func sending(
        _ batch: BatchName, records: Int, to log: String, by client: String, acks: Int16, at time: UInt64
    ) {
        let kind: ClientTraits.Acks = acks == -1 ? .all : acks == 0 ? .none : .leader
        let name = "\(client), acks=\(acks)"
        open(name, ClientTraits(acks: kind, isIdempotent: batch.isRetried, keepsOrder: batch.isRetried), at: time)
        let sent = (0..<records).map { SentRecord(log: log, value: batch.value(ofRecord: $0)) }
        pending[batch] = Operation(
            client: name, began: Int64(time), ended: .max, outcome: .unknown, act: .send(sent))
    }

    /// - Parameter offset: of its first record; `nil` when nothing was written.
    mutating func ended(_ batch: BatchName, at offset: Int64?, time: UInt64) {
        guard var operation = pending.removeValue(forKey: batch), case .send(var records) = operation.act else {
            return
        }
        operation.ended = Int64(time)
        operation.outcome = offset == nil ? .failed : .ok
        for index in records.indices { records[index].offset = offset.map { $0 + Int64(index) } }
        operation.act = .send(records)
        operations.append(operation)
    }

    /// - Parameter end: the high watermark, where only a leader can have answered.
    mutating func read(
        _ records: [ReadRecord], end: Int64?, of log: String, by client: String, from began: UInt64, to ended: UInt64
    ) {
        open(client, ClientTraits(), at: began)
        if let end {
            let range = ReadRange(log: log, records: [], end: end)
            operations.append(
                Operation(client: client, began: Int64(began), ended: Int64(ended), act: .poll([range])))
        }
        guard !records.isEmpty else { return }
        // It may ask two nodes at a time; what it takes from their answers is in the order in which they come.
        let range = ReadRange(log: log, records: records)
        operations.append(Operation(client: client, began: Int64(ended), ended: Int64(ended), act: .poll([range])))
    }

    mutating func listed(_ act: Act, by client: String, from began: UInt64, to ended: UInt64) {
        open(client, ClientTraits(), at: began)
        operations.append(Operation(client: client, began: Int64(began), ended: Int64(ended), act: act))
    }

    /// A consumer goes on from somewhere else.
    mutating func jumped(in log: String, by client: String, at time: UInt64) {
        open(client, ClientTraits(), at: time)
        operations.append(
            Operation(client: client, began: Int64(time), ended: Int64(time), act: .assign(logs: [log])))
    }

    /// What one replica's log holds when all is over.
    mutating func scanned(_ records: [ReadRecord], of log: String, on node: String, at time: UInt64) {
        let client = "scan of \(log) on \(node)"
        open(client, ClientTraits(isFinalScan: true), at: time)
        operations.append(
            Operation(
                client: client, began: Int64(time), ended: Int64(time),
                act: .poll([ReadRange(log: log, records: records)])))
    }

    /// All of it, with the sends whose outcome nobody will ever know.
    var whole: [Operation] {
        let names = pending.keys.sorted { ($0.producer, $0.number) < ($1.producer, $1.number) }
        return operations + names.compactMap { pending[$0] }
    }
}

extension BatchName {
    /// What a history calls a record of this batch: no two are called alike.
    func value(ofRecord place: Int) -> Int64 { producer << 34 | Int64(number) << 2 | Int64(place) }

    /// The records of this batch that lie at `start` or behind it, by what each of them says that it is: -1 when that
    /// is nothing that the client has written.
    ///
    /// Compaction leaves gaps in a batch and keeps the offsets of what stays.
    func records(of bytes: ByteBuffer, at position: Int, from start: Int64) throws(Violation) -> [ReadRecord] {
        var found: [ReadRecord] = []
        do throws(BatchError) {
            var records = try BatchRecords(of: bytes, at: position, limit: 1 << 20, verifyingChecksum: false)
            let base = records.head.baseOffset.rawValue
            while let record = try records.next() {
                let offset = record.offset.rawValue
                guard offset >= start else { continue }
                var value = record.value
                let isOwn =
                    value == nil
                    || value?.readInteger(as: Int64.self) == producer && value?.readInteger(as: Int32.self) == number
                found.append(ReadRecord(offset: offset, value: isOwn ? self.value(ofRecord: Int(offset - base)) : -1))
            }
        } catch {
            throw Violation(.noLoss, "\(self) cannot be read: \(error)")
        }
        return found
    }
}

extension World {
    /// V2 to V6 say that the clients came to their ends; this says whether all that they were told fits together.
    func judgeHistories() {
        var check = HistoryCheck()
        // What is deleted by right is read by nobody, and jumped over by those who read.
        if !climate.compacted.isEmpty || climate.trimInterval > 0 || climate.base.retentionBytes != nil {
            check.tolerated = [.lostWrite, .unseen, .pollSkip, .internalPollSkip, .gap, .vanished]
        }
        let verdict = check.verdict(on: histories.whole)
        statistics.operations = verdict.figures.operations
        guard !verdict.isSound else { return }
        let worst = verdict.examples.filter { !check.tolerated.contains($0.anomaly) }
        let sentences = worst.prefix(3).map { "\($0.anomaly.rawValue) in \($0.log): \($0.sentence)" }
        broke(Violation(.history, sentences.joined(separator: "; ")))
    }
}
