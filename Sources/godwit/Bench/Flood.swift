// SPDX-License-Identifier: Apache-2.0
import GodwitClient
import LogModel
import NIOCore
import RecordBatches

/// When a load is over: at the first limit that is reached.
struct LoadLimit: Sendable {
    var records = Int.max
    var nanoseconds = Int64.max
}

/// Batches made ahead, sent again and again, as fast as they are acknowledged: so many in flight for each partition.
///
/// A batch's latency counts from the moment it is handed to the client.
// SAFETY: every stored property is touched on the client's loop alone once `run` has begun.
final class Flood: @unchecked Sendable {
    struct Ready {
        let batch: PreparedBatch
        let records: Int
        /// Of the records' values.
        let bytes: Int
    }

    private let loop: any EventLoop
    private let sender: BatchSender
    private let pool: [(place: TopicPartition, batches: [Ready])]
    private let inFlight: Int
    private let limit: LoadLimit
    private let warmup: Int64
    private let onWarm: () -> Void
    private var tally = Tally()
    private var isWarm: Bool
    private var sent = 0
    private var unanswered = 0
    private var next: [Int]
    private var progress = ProgressLine()
    private var finish: CheckedContinuation<Tally, Never>?

    /// - Parameters:
    ///   - warmup: nanoseconds whose figures are dropped.
    ///   - onWarm: called on the loop when the figures begin to count.
    init(
        _ client: KafkaClient, _ sender: BatchSender, pool: [(place: TopicPartition, batches: [Ready])], inFlight: Int,
        limit: LoadLimit, warmup: Int64, onWarm: @escaping () -> Void
    ) {
        loop = client.eventLoop
        self.sender = sender
        self.pool = pool
        self.inFlight = inFlight
        self.limit = limit
        self.warmup = warmup
        self.onWarm = onWarm
        isWarm = warmup == 0
        next = Array(repeating: 0, count: pool.count)
    }

    func run() async -> Tally {
        await withCheckedContinuation { continuation in
            loop.execute { self.begin(continuation) }
        }
    }

    private func begin(_ continuation: CheckedContinuation<Tally, Never>) {
        finish = continuation
        tally.restart()
        if isWarm { onWarm() }
        let ticker = loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { task in
            guard self.finish != nil else { return task.cancel() }
            self.progress.show(
                records: self.tally.records, bytes: self.tally.bytes, note: self.isWarm ? "" : " (warm-up)")
        }
        for _ in 0..<inFlight {
            for line in pool.indices { send(line) }
        }
        if unanswered == 0 { ticker.cancel() }
    }

    private func send(_ line: Int) {
        let now = monotonicNanoseconds()
        if !isWarm, now - tally.began >= warmup {
            isWarm = true
            sent = 0
            tally.restart()
            onWarm()
        }
        let isOver = isWarm && (sent >= limit.records || now - tally.began >= limit.nanoseconds)
        guard !isOver, tally.failed == 0 else {
            if unanswered == 0 { end() }
            return
        }
        let (place, batches) = pool[line]
        let ready = batches[next[line] % batches.count]
        next[line] += 1
        sent += ready.records
        unanswered += 1
        sender.send(ready.batch, to: place) { result in
            self.unanswered -= 1
            self.answered(ready, result, since: now)
            self.send(line)
        }
    }

    private func answered(_ ready: Ready, _ result: Result<BatchReceipt, ClientError>, since: Int64) {
        let now = monotonicNanoseconds()
        tally.ended = now
        switch result {
        case .success: tally.acknowledged(records: ready.records, bytes: ready.bytes, nanoseconds: now - since)
        case .failure(let error): tally.refused(records: ready.records, error)
        }
    }

    private func end() {
        guard let finish else { return }
        self.finish = nil
        progress.clear()
        finish.resume(returning: tally)
    }
}

extension Flood {
    /// Makes batches of at most `batchBytes` for each partition; all together take no more than about 64 MB.
    static func makePool(
        _ places: [TopicPartition], recordSize: Int, batchBytes: Int, compressibility: Double, codec: Codec
    ) throws -> [(place: TopicPartition, batches: [Ready])] {
        let each = max(1, min(8, (64 << 20) / max(1, batchBytes * places.count)))
        return try places.enumerated().map { index, place in
            var payload = Payload(compressibility: compressibility, seed: UInt64(index + 1))
            return (
                place,
                try (0..<each).map { _ in
                    try makeBatch(&payload, recordSize: recordSize, batchBytes: batchBytes, codec: codec)
                }
            )
        }
    }

    private static func makeBatch(
        _ payload: inout Payload, recordSize: Int, batchBytes: Int, codec: Codec
    ) throws -> Ready {
        var builder = BatchBuilder(reservingCapacity: batchBytes)
        let now = Timestamp(milliseconds: wallMilliseconds())
        let most = BatchBuilder.maximumSize(key: 0, value: recordSize)
        repeat {
            builder.append(key: nil, value: ByteBuffer(bytes: payload.next(recordSize)), timestamp: now)
        } while builder.size + most <= batchBytes
        let records = builder.count
        let bytes = try builder.finish(codec: codec)
        return Ready(batch: PreparedBatch(bytes), records: records, bytes: records * recordSize)
    }
}
