// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches
import Replication

/// A batch as a client sent it, and what its topic wants of it.
struct BatchArrival: Sendable {
    let batch: ByteBuffer
    let limits: BatchLimits
    let unpackedLimit: Int
    /// What the topic stores batches with, `nil` for what they come with.
    let codec: Codec?
    let level: Int?

    /// Whether its records are packed anew before they are stored. One that has the topic's codec already stays as it
    /// is, whatever its level.
    var isRepacked: Bool {
        guard let codec, let sent = BatchValidator.declaredCodec(of: batch) else { return false }
        return sent != codec
    }

    /// The batch in the form it is stored in, or what is wrong with it.
    func judged() -> Result<CheckedBatch, BatchError> {
        Result { () throws(BatchError) in
            if isRepacked, let codec {
                let (bytes, head) = try BatchValidator.repack(
                    produced: batch, limits: limits, unpackedLimit: unpackedLimit, codec: codec, level: level)
                return CheckedBatch(bytes: bytes, head: head)
            }
            let head = try batch.withUnsafeReadableBytes { (bytes) throws(BatchError) in
                try BatchValidator.validate(produced: bytes, limits: limits)
            }
            return CheckedBatch(bytes: batch, head: head)
        }
    }
}

/// A batch that may be appended.
struct CheckedBatch: Sendable {
    let bytes: ByteBuffer
    let head: EntryHead
}

/// Packs batches anew on I/O threads, because a large one takes longer than a loop may stand still.
///
/// The batches of a partition are done one after the other, so that they are appended in the order in which they came;
/// a batch that would need no packing waits for those before it. Nothing bounds the queue but what bounds the requests
/// in flight, and a partition takes the memory of one unpacked batch.
final class RepackingLine<Environment: ShardEnvironment> {
    private struct Waiting {
        let arrival: BatchArrival
        let completion: (Result<CheckedBatch, BatchError>) -> Void
    }

    private let environment: Environment
    /// The first of each line is being packed. No line is empty.
    private var lines: [PartitionID: CircularBuffer<Waiting>] = [:]

    init(_ environment: Environment) { self.environment = environment }

    /// Whether batches of this partition are on their way.
    func holds(_ partition: PartitionID) -> Bool { !lines.isEmpty && lines[partition] != nil }

    /// Calls `completion` on this loop with what the batch has become.
    func add(
        _ arrival: BatchArrival, to partition: PartitionID,
        completion: @escaping (Result<CheckedBatch, BatchError>) -> Void
    ) {
        let isFirst = lines[partition] == nil
        lines[partition, default: []].append(Waiting(arrival: arrival, completion: completion))
        if isFirst { pack(arrival, of: partition) }
    }

    private func pack(_ arrival: BatchArrival, of partition: PartitionID) {
        environment.submit({ arrival.judged() }) { self.packed($0, of: partition) }
    }

    private func packed(_ outcome: Result<CheckedBatch, BatchError>, of partition: PartitionID) {
        guard let done = lines[partition]?.popFirst() else { preconditionFailure("what is packed stands in its line") }
        // Before the line moves on: a batch that comes while this one is appended must find its place behind it.
        done.completion(outcome)
        if let next = lines[partition]?.first {
            pack(next.arrival, of: partition)
        } else {
            lines[partition] = nil
        }
    }
}
