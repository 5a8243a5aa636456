// SPDX-License-Identifier: Apache-2.0

/// L6 of reliability.md over a whole log, read from its start: each idempotent producer's sequence numbers follow each
/// other without a gap and without a repetition, modulo 2³¹.
public struct ProducerOrderCheck {
    /// What each producer's next batch begins with. Looked up, never iterated.
    private var next: [Int64: Int32] = [:]

    public init() {}

    /// The next batch in the log, which takes `slots` sequence numbers.
    public mutating func read(_ batch: BatchName, slots: Int64) throws(Violation) {
        guard batch.isRetried else { return }
        if let expected = next[batch.producer], expected != batch.number {
            throw Violation(.producerOrder, "\(batch) is stored where number \(expected) of its producer belongs")
        }
        next[batch.producer] = Int32((Int64(batch.number) + slots) & 0x7fff_ffff)
    }
}
