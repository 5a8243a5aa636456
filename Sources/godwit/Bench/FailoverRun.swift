// SPDX-License-Identifier: Apache-2.0
import GodwitClient
import NIOCore
import RecordBatches

/// The book-keeping of one run: which records were acknowledged when, and which were found again.
// SAFETY: written on the client's loop while the load runs, read by the command after the load has ended.
final class FailoverRun: @unchecked Sendable {
    /// What was read back.
    struct Seen {
        /// How often each sequence number was found.
        var counts: [Int: Int] = [:]
        /// Records whose value is not what was sent.
        var damaged = 0
        /// Records that follow one that was sent later.
        var misplaced = 0
        fileprivate var last: [TopicPartition: Int] = [:]
    }

    struct Outcome {
        let node: Int32
        let sent: Int
        let acknowledged: Int
        let failed: Int
        let lost: Int
        let duplicates: Int
        let damaged: Int
        let misplaced: Int
        /// The longest gap of each partition, in nanoseconds.
        let gaps: [(place: TopicPartition, nanoseconds: Int64)]
        let latencies: Latencies

        var longestGap: Int64 { gaps.map(\.nanoseconds).max() ?? 0 }

        var line: String {
            let worst = gaps.max { $0.nanoseconds < $1.nanoseconds }
            var text = "killed node \(node); longest gap \(decimal(Double(longestGap) / 1e6, 1)) ms"
            if let worst { text += " (\(worst.place))" }
            text += "; \(grouped(acknowledged)) acknowledged, \(lost) lost, \(duplicates) stored twice"
            if failed > 0 { text += ", \(failed) not acknowledged" }
            if damaged > 0 { text += ", \(damaged) damaged" }
            if misplaced > 0 { text += ", \(misplaced) out of order" }
            return text + "; longest wait \(decimal(latencies.maxMilliseconds, 1)) ms"
        }

        var json: JSON {
            .object([
                ("node", .int(node)), ("longestGapMilliseconds", .double(Double(longestGap) / 1e6)),
                ("sent", .int(sent)), ("acknowledged", .int(acknowledged)), ("failed", .int(failed)),
                ("lost", .int(lost)), ("duplicates", .int(duplicates)), ("damaged", .int(damaged)),
                ("outOfOrder", .int(misplaced)), ("latencyMilliseconds", latencies.json),
                (
                    "partitions",
                    .array(
                        gaps.map { gap in
                            .object([
                                ("index", .int(gap.place.partition)),
                                ("longestGapMilliseconds", .double(Double(gap.nanoseconds) / 1e6)),
                            ])
                        })
                ),
            ])
        }
    }

    private let places: [TopicPartition]
    private let recordSize: Int
    /// Tells this run's records from those of earlier ones.
    private let mark: UInt64
    private let filler: ByteBuffer
    private var acknowledged: [Bool] = []
    private var failed = 0
    private var sent = 0
    private var lastAcknowledgement: [Int64?]
    private var gaps: [Int64]
    private(set) var acknowledgedEnds: [TopicPartition: Int64] = [:]

    init(_ places: [TopicPartition], recordSize: Int, mark: UInt64 = .random(in: 1 ... .max)) {
        self.places = places
        self.recordSize = recordSize
        self.mark = mark
        var payload = Payload(compressibility: 0, seed: mark)
        filler = ByteBuffer(bytes: payload.next(recordSize - 8))
        lastAcknowledgement = Array(repeating: nil, count: places.count)
        gaps = Array(repeating: 0, count: places.count)
    }

    /// Key: the run's mark and the sequence number. Value: the sequence number and a filler.
    func record(_ sequence: Int) -> ProducerRecord {
        let place = places[sequence % places.count]
        sent = max(sent, sequence + 1)
        var key = ByteBufferAllocator().buffer(capacity: 16)
        key.writeInteger(mark)
        key.writeInteger(UInt64(sequence))
        return ProducerRecord(
            topic: place.topic, partition: place.partition, key: key, value: value(sequence),
            timestamp: wallMilliseconds())
    }

    private func value(_ sequence: Int) -> ByteBuffer {
        var value = ByteBufferAllocator().buffer(capacity: recordSize)
        value.writeInteger(UInt64(sequence))
        value.writeImmutableBuffer(filler)
        return value
    }

    func answered(_ sequence: Int, _ result: Result<RecordReceipt, ClientError>, _ now: Int64) {
        let line = sequence % places.count
        if let last = lastAcknowledgement[line] { gaps[line] = max(gaps[line], now - last) }
        guard case .success(let receipt) = result else {
            failed += 1
            return
        }
        lastAcknowledgement[line] = now
        if acknowledged.count <= sequence {
            acknowledged.append(contentsOf: repeatElement(false, count: sequence + 1 - acknowledged.count))
        }
        acknowledged[sequence] = true
        if let offset = receipt.offset {
            acknowledgedEnds[receipt.place] = max(acknowledgedEnds[receipt.place] ?? 0, offset + 1)
        }
    }

    func saw(_ record: BatchRecord, in place: TopicPartition, _ seen: inout Seen) {
        guard let key = record.key, key.readableBytes == 16,
            key.getInteger(at: key.readerIndex, as: UInt64.self) == mark,
            let number = key.getInteger(at: key.readerIndex + 8, as: UInt64.self), let sequence = Int(exactly: number)
        else { return }
        let count = seen.counts[sequence] ?? 0
        seen.counts[sequence] = count + 1
        if record.value != value(sequence) || places[sequence % places.count] != place { seen.damaged += 1 }
        // A record stored twice may follow later ones the second time: that is what no idempotence means.
        guard count == 0 else { return }
        if let last = seen.last[place], last > sequence { seen.misplaced += 1 }
        seen.last[place] = max(seen.last[place] ?? 0, sequence)
    }

    func outcome(node: Int32, tally: Tally, seen: Seen) -> Outcome {
        let lost = acknowledged.indices.count { acknowledged[$0] && seen.counts[$0] == nil }
        return Outcome(
            node: node, sent: sent, acknowledged: acknowledged.count { $0 }, failed: failed, lost: lost,
            duplicates: seen.counts.values.reduce(0) { $0 + $1 - 1 }, damaged: seen.damaged,
            misplaced: seen.misplaced,
            gaps: places.indices.map { (places[$0], gaps[$0]) }, latencies: tally.latencies)
    }
}
