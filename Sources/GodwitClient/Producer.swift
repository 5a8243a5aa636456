// SPDX-License-Identifier: Apache-2.0
public import NIOCore
public import RecordBatches
import Synchronization

/// A record to be produced.
public struct ProducerRecord: Sendable {
    public var topic: String
    /// `nil`: by the key's hash as Kafka's own clients do it, and without a key wherever a batch is being filled.
    public var partition: Int32?
    public var key: ByteBuffer?
    /// `nil` is a tombstone.
    public var value: ByteBuffer?
    public var headers: [RecordHeader]
    /// Milliseconds since 1970.
    public var timestamp: Int64

    public init(
        topic: String, partition: Int32? = nil, key: ByteBuffer? = nil, value: ByteBuffer?,
        headers: [RecordHeader] = [], timestamp: Int64
    ) {
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.headers = headers
        self.timestamp = timestamp
    }

    /// About what the record takes in memory and in a batch, in bytes.
    var size: Int {
        BatchBuilder.maximumSize(key: key?.readableBytes ?? 0, value: value?.readableBytes ?? 0, headers: headers)
    }
}

/// Where a record landed.
public struct RecordReceipt: Hashable, Sendable {
    public let place: TopicPartition
    /// `nil` with `Acknowledgement.none`.
    public let offset: Int64?

    public init(place: TopicPartition, offset: Int64?) {
        self.place = place
        self.offset = offset
    }
}

public struct ProducerConfiguration: Sendable {
    public var acks = Acknowledgement.all
    public var codec = Codec.none
    /// Of the codec; `nil` for its default.
    public var level: Int?
    /// A batch is sent when it has this many bytes before compression, if not earlier.
    public var batchBytes = 512 << 10
    /// How long a batch waits for more records.
    public var linger: TimeAmount = .milliseconds(5)
    /// Bytes of records that may wait or be on their way; beyond it `send` waits and `enqueue` refuses.
    public var bufferBytes = 64 << 20
    /// Whether a batch that has to be sent again is stored once (KIP-98): `enable.idempotence`. Counts with
    /// `Acknowledgement.all` alone, and with brokers that give out producer ids.
    public var isIdempotent = true
    /// Batches of one partition that may be unanswered. Without idempotence, more than one can change their order when
    /// one fails; with it, brokers remember five.
    public var inFlightPerPartition = 1

    public init() {}
}

/// Sends records in batches. Within a partition they arrive in the order they were given, also through failures.
///
///     let producer = Producer(client)
///     let receipt = try await producer.send(ProducerRecord(topic: "events", value: bytes, timestamp: now))
///     await producer.flush()
///
/// A record whose acknowledgement got lost is sent again. With idempotence, which is the default, it is stored once all
/// the same.
// SAFETY: `core` is touched on the client's loop alone; everything else is immutable or inside the mutex.
public final class Producer: @unchecked Sendable {
    public typealias WhenDone = @Sendable (Result<RecordReceipt, ClientError>) -> Void

    struct Pending {
        let record: ProducerRecord
        let size: Int
        let whenDone: WhenDone?
    }

    private struct Inbox {
        var records: [Pending] = []
        /// Bytes of records that are not answered yet.
        var bytes = 0
        /// Records that are not answered yet.
        var count = 0
        var isClosed = false
        var waitingForRoom: [CheckedContinuation<Void, Never>] = []
        var waitingForNone: [CheckedContinuation<Void, Never>] = []
        var flushes = false
    }

    private let client: KafkaClient
    private let configuration: ProducerConfiguration
    private let inbox = Mutex(Inbox())
    private var core: ProducerCore?

    /// - Precondition: one to five batches of a partition in flight with idempotence, at least one without.
    public init(_ client: KafkaClient, _ configuration: ProducerConfiguration = ProducerConfiguration()) {
        let limit = configuration.isIdempotent && configuration.acks == .all ? 5 : Int.max
        precondition((1...limit).contains(configuration.inFlightPerPartition), "brokers remember five batches")
        self.client = client
        self.configuration = configuration
    }

    /// Sends one record and waits until it is acknowledged. Waits for room in the buffer first.
    public func send(_ record: ProducerRecord) async throws(ClientError) -> RecordReceipt {
        try await waitForRoom()
        let result: Result<RecordReceipt, ClientError> = await withCheckedContinuation { continuation in
            accept([record]) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Takes a record and calls `whenDone` on the client's event loop once it is acknowledged or has failed.
    ///
    /// - Throws: `.bufferFull` when the buffer has no room: nothing was taken then.
    public func enqueue(_ record: ProducerRecord, whenDone: WhenDone? = nil) throws(ClientError) {
        let (isClosed, hasRoom) = inbox.withLock { ($0.isClosed, $0.bytes < configuration.bufferBytes) }
        guard !isClosed else { throw .closed }
        guard hasRoom else { throw .bufferFull }
        accept([record], whenDone: whenDone)
    }

    /// Takes many records, waiting for room first. `whenDone` is called for each of them.
    public func enqueue(contentsOf records: [ProducerRecord], whenDone: WhenDone? = nil) async throws(ClientError) {
        try await waitForRoom()
        accept(records, whenDone: whenDone)
    }

    /// Sends what waits for more records, and returns when nothing is unanswered any more.
    public func flush() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isEmpty = inbox.withLock { inbox in
                guard inbox.count > 0 else { return true }
                inbox.waitingForNone.append(continuation)
                inbox.flushes = true
                return false
            }
            if isEmpty { return continuation.resume() }
            client.core.loop.execute { self.drain() }
        }
    }

    /// Sends what is there and takes no more.
    public func close() async {
        inbox.withLock { $0.isClosed = true }
        await flush()
    }

    private func waitForRoom() async throws(ClientError) {
        while true {
            let (isClosed, hasRoom) = inbox.withLock { ($0.isClosed, $0.bytes < configuration.bufferBytes) }
            guard !isClosed else { throw .closed }
            if hasRoom { return }
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let mayGo = inbox.withLock { inbox in
                    guard inbox.bytes >= configuration.bufferBytes else { return true }
                    inbox.waitingForRoom.append(continuation)
                    return false
                }
                if mayGo { continuation.resume() }
            }
        }
    }

    private func accept(_ records: [ProducerRecord], whenDone: WhenDone?) {
        guard !records.isEmpty else { return }
        let pending = records.map { Pending(record: $0, size: $0.size, whenDone: whenDone) }
        let wasEmpty = inbox.withLock { inbox in
            let wasEmpty = inbox.records.isEmpty
            inbox.records.append(contentsOf: pending)
            inbox.count += pending.count
            for one in pending { inbox.bytes += one.size }
            return wasEmpty
        }
        // One hop for all that comes before the loop gets to it.
        if wasEmpty { client.core.loop.execute { self.drain() } }
    }

    private func drain() {
        let (records, flushes) = inbox.withLock { inbox in
            defer { inbox.records = [] }
            return (inbox.records, inbox.flushes)
        }
        let core =
            core
            ?? ProducerCore(client.core, configuration) { [weak self] bytes, count in
                self?.answered(bytes: bytes, count: count)
            }
        self.core = core
        core.take(records)
        if flushes { core.flush() }
    }

    private func answered(bytes: Int, count: Int) {
        let (room, none) = inbox.withLock { inbox in
            inbox.bytes -= bytes
            inbox.count -= count
            var room: [CheckedContinuation<Void, Never>] = []
            var none: [CheckedContinuation<Void, Never>] = []
            if inbox.bytes < configuration.bufferBytes { swap(&room, &inbox.waitingForRoom) }
            if inbox.count == 0 {
                swap(&none, &inbox.waitingForNone)
                inbox.flushes = false
            }
            return (room, none)
        }
        for waiter in room + none { waiter.resume() }
    }
}
