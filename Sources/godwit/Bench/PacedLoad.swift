// SPDX-License-Identifier: Apache-2.0
import GodwitClient
import NIOCore

/// Records at a rate that is laid down ahead: record *i* is due at `start + i / rate`, whatever the cluster does.
///
/// A record's latency counts from when it was due, not from when it could be sent, so that a cluster that stalls
/// cannot hide the records that had to wait ("coordinated omission").
// SAFETY: every stored property is touched on the client's loop alone once `run` has begun.
final class PacedLoad: @unchecked Sendable {
    typealias Make = (_ sequence: Int) -> ProducerRecord
    /// Told of each answer, at a time of the monotonic clock in nanoseconds.
    typealias Answered = (_ sequence: Int, _ result: Result<RecordReceipt, ClientError>, _ now: Int64) -> Void

    private let loop: any EventLoop
    private let producer: Producer
    private let rate: Double
    private let recordSize: Int
    private let limit: LoadLimit
    private let warmup: Int
    private let onWarm: () -> Void
    private let make: Make
    private let answered: Answered
    private var tally = Tally()
    private var start: Int64 = 0
    private var next = 0
    private var open = 0
    private var isStopped = false
    private var progress = ProgressLine()
    private var finish: CheckedContinuation<Tally, Never>?

    /// - Parameter warmup: so many nanoseconds at the beginning count for nothing.
    init(
        _ client: KafkaClient, _ producer: Producer, rate: Double, recordSize: Int, limit: LoadLimit, warmup: Int64 = 0,
        onWarm: @escaping () -> Void = {}, make: @escaping Make, answered: @escaping Answered = { _, _, _ in }
    ) {
        precondition(rate > 0, "a rate of nothing never ends")
        loop = client.eventLoop
        self.producer = producer
        self.rate = rate
        self.recordSize = recordSize
        self.limit = limit
        self.warmup = Int(Double(warmup) * rate / 1e9)
        self.onWarm = onWarm
        self.make = make
        self.answered = answered
    }

    /// Sends until the limit or `stop()`, and returns when all is answered.
    func run() async -> Tally {
        await withCheckedContinuation { continuation in
            loop.execute { self.begin(continuation) }
        }
    }

    func stop() {
        loop.execute {
            self.isStopped = true
            self.endIfDone()
        }
    }

    private func begin(_ continuation: CheckedContinuation<Tally, Never>) {
        finish = continuation
        tally.restart()
        start = tally.began
        loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { task in
            guard self.finish != nil else { return task.cancel() }
            let note = ", \(grouped(self.open)) unanswered" + (self.next < self.warmup ? " (warm-up)" : "")
            self.progress.show(records: self.tally.records, bytes: self.tally.bytes, note: note)
        }
        if warmup == 0 { onWarm() }
        wake()
    }

    private func due(_ sequence: Int) -> Int64 { start + Int64(Double(sequence) * 1e9 / rate) }

    private var isOver: Bool {
        isStopped || next - warmup >= limit.records || due(next) - due(warmup) >= limit.nanoseconds
    }

    private func wake() {
        let now = monotonicNanoseconds()
        var pause: Int64 = 0
        while !isOver, due(next) <= now {
            let sequence = next
            if sequence == warmup, warmup > 0 {
                tally.restart()
                onWarm()
            }
            do throws(ClientError) {
                try producer.enqueue(make(sequence)) { self.answer(sequence, $0) }
            } catch {
                guard error == .bufferFull else {
                    tally.refused(records: 1, error)
                    isStopped = true
                    break
                }
                // The record stays due: its latency goes on growing.
                pause = 1_000_000
                break
            }
            open += 1
            next += 1
        }
        guard !isOver else { return endIfDone() }
        // At high rates several records share a wake-up.
        let at = max(due(next), now + max(pause, 50_000))
        loop.scheduleTask(deadline: .uptimeNanoseconds(UInt64(at))) { self.wake() }
    }

    private func answer(_ sequence: Int, _ result: Result<RecordReceipt, ClientError>) {
        let now = monotonicNanoseconds()
        open -= 1
        answered(sequence, result, now)
        // Answers of the warm-up that come later count for nothing either.
        if sequence >= warmup || next < warmup {
            tally.ended = now
            switch result {
            case .success: tally.acknowledged(records: 1, bytes: recordSize, nanoseconds: now - due(sequence))
            case .failure(let error): tally.refused(records: 1, error)
            }
        }
        endIfDone()
    }

    private func endIfDone() {
        guard open == 0, isOver, let finish else { return }
        self.finish = nil
        progress.clear()
        finish.resume(returning: tally)
    }
}
