// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
public import NIOCore

/// A finished record batch that may be sent many times. Its request is encoded once and then sent without a copy.
///
/// Use one for each partition and client.
public struct PreparedBatch: Sendable {
    /// The batch, with its header.
    public let bytes: ByteBuffer
    fileprivate let frames: Frames

    public init(_ bytes: ByteBuffer) {
        self.bytes = bytes
        frames = Frames()
    }

    /// The encoded request, for the version and the topic it was encoded for.
    // SAFETY: `kept` is touched on the loop of the one client that sends the batch.
    final class Frames: @unchecked Sendable {
        private var kept: (version: Int16, place: TopicPartition, id: TopicID, frame: ByteBuffer)?

        /// Everything up to the correlation id: length, API key and version (4 + 2 + 2 bytes), then the id itself.
        private static let prefix = 8
        private static let head = 12

        func frame(
            _ correlationID: Int32, _ version: Int16, _ place: TopicPartition, _ id: TopicID,
            encode: () -> Result<OutgoingFrame, ClientError>
        ) -> Result<OutgoingFrame, ClientError> {
            if kept?.version != version || kept?.place != place || kept?.id != id {
                switch encode() {
                case .failure(let error): return .failure(error)
                case .success(let outgoing): kept = (version, place, id, outgoing.head)
                }
            }
            guard let frame = kept?.frame, var head = frame.getSlice(at: frame.readerIndex, length: Self.prefix),
                let rest = frame.getSlice(
                    at: frame.readerIndex + Self.head, length: frame.readableBytes - Self.head)
            else { return encode() }
            var fresh = ByteBufferAllocator().buffer(capacity: Self.head)
            fresh.writeBuffer(&head)
            fresh.writeInteger(correlationID)
            return .success(OutgoingFrame(head: fresh, rest: rest, version: version))
        }
    }
}

/// Sends finished batches: what a load generator or a mirror needs. A `Producer` builds batches from records.
///
/// Batches of one partition arrive in the order they were sent in as long as `inFlightPerPartition` is 1.
// SAFETY: `dispatcher` is touched on the client's loop alone.
public final class BatchSender: @unchecked Sendable {
    private let client: KafkaClient
    private var limits = ProduceDispatcher.Limits()
    private var dispatcher: ProduceDispatcher?

    public init(_ client: KafkaClient, acks: Acknowledgement = .all, inFlightPerPartition: Int = 1) {
        precondition(inFlightPerPartition > 0, "without requests in flight nothing moves")
        self.client = client
        limits.acks = acks
        limits.inFlightPerPartition = inFlightPerPartition
    }

    /// Sends a batch and calls `whenDone` on the client's event loop. May be called from any thread; from the loop
    /// itself it costs no hop.
    public func send(
        _ batch: PreparedBatch, to place: TopicPartition,
        whenDone: @escaping @Sendable (Result<BatchReceipt, ClientError>) -> Void
    ) {
        let core = client.core
        let act = { @Sendable [self] in
            onLoopDispatcher().submit(
                OutgoingBatch(
                    bytes: batch.bytes, deadline: .now() + core.configuration.deliveryTimeout, frames: batch.frames,
                    completion: whenDone), to: place)
        }
        if core.loop.inEventLoop { act() } else { core.loop.execute(act) }
    }

    private func onLoopDispatcher() -> ProduceDispatcher {
        if let dispatcher { return dispatcher }
        let fresh = ProduceDispatcher(client.core, limits)
        dispatcher = fresh
        return fresh
    }
}
