// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import NIOCore
import RecordBatches

/// The id and epoch under which a producer's batches are stored once each (KIP-98). Lives on the client's loop.
final class ProducerIdentity {
    enum State: Equatable {
        case unknown, asking
        case known(id: Int64, epoch: Int16)
        /// The brokers know nothing of it: batches go as they are.
        case unavailable
    }

    private(set) var state = State.unknown
    private let core: ClientCore
    private let settled: (ClientError?) -> Void

    /// - Parameter settled: called when an answer has come, with the reason when there is no identity to be had.
    init(_ core: ClientCore, settled: @escaping (ClientError?) -> Void) {
        self.core = core
        self.settled = settled
    }

    func ask() {
        guard state == .unknown else { return }
        state = .asking
        var request = InitProducerIDRequest()
        request.transactionTimeout = .max
        let asked = request
        core.retrying { (finish: @escaping (Result<InitProducerIDResponse, ClientError>) -> Void) in
            self.core.askAny(asked, timeout: self.core.configuration.requestTimeout) { result in
                finish(
                    result.flatMap { answer in
                        if answer.error == .none { return .success(answer) }
                        return .failure(.refused(answer.error, subject: "a producer id", message: nil))
                    })
            }
        } then: { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let answer): self.state = .known(id: answer.producerID, epoch: answer.producerEpoch)
            case .failure(.notSupported): self.state = .unavailable
            case .failure(let error):
                self.state = .unknown
                return self.settled(error)
            }
            self.settled(nil)
        }
    }

    /// Takes the next epoch, or lets go of the id when there is none. A producer without transactions may do so itself
    /// (KIP-360).
    func bump() {
        guard case .known(let id, let epoch) = state else { return }
        state = epoch < .max ? .known(id: id, epoch: epoch + 1) : .unknown
    }

    /// The brokers no longer take this identity: another one is needed.
    func forget() {
        if case .known = state { state = .unknown }
    }
}

/// The sequence numbers of one partition's batches.
///
/// Numbers go up by a batch's records, in the order of the first attempts, and stay with a batch through all of them.
/// When a batch fails for good there is a gap that the broker would never let pass, and when the broker has forgotten
/// the producer it cannot go on either: then the partition restarts at 0 under a newer epoch.
struct PartitionSequence {
    private(set) var id: Int64 = -1
    private(set) var epoch: Int16 = -1
    private var next: Int32 = 0
    /// The sequence of the oldest batch that is not acknowledged.
    private var expected: Int32 = 0
    /// Whether the partition has to restart before anything more is sent.
    var mustRestart = false

    func isUnder(_ id: Int64, _ epoch: Int16) -> Bool { self.id == id && self.epoch == epoch }

    mutating func restart(id: Int64, epoch: Int16) {
        (self.id, self.epoch, next, expected, mustRestart) = (id, epoch, 0, 0, false)
    }

    mutating func stamp(records: Int) -> ProducerStamp {
        defer { next = Self.after(next, records) }
        return ProducerStamp(id: id, epoch: epoch, baseSequence: next)
    }

    mutating func acknowledged(_ stamp: ProducerStamp, records: Int) {
        expected = Self.after(stamp.baseSequence, records)
    }

    /// Whether nothing before the batch is open: then its being out of order is no matter of waiting.
    func isNext(_ stamp: ProducerStamp) -> Bool { stamp.baseSequence == expected }

    /// Sequences go from 2³¹ − 1 on to 0.
    static func after(_ sequence: Int32, _ records: Int) -> Int32 {
        Int32(truncatingIfNeeded: (Int64(sequence) + Int64(records)) & 0x7fff_ffff)
    }
}
