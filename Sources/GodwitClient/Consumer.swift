// SPDX-License-Identifier: Apache-2.0
import LogModel
public import NIOCore
public import RecordBatches
import Synchronization

/// Where reading a partition begins.
public enum StartingPoint: Hashable, Sendable {
    /// The first record that is still held.
    case beginning
    /// What comes from now on.
    case end
    case offset(Int64)
    /// The first record of this time or later, in milliseconds since 1970.
    case timestamp(Int64)
}

public struct ConsumerConfiguration: Sendable {
    /// How long a broker may wait for records before it answers without any.
    public var maxWait: TimeAmount = .milliseconds(500)
    /// Bytes that make a broker answer before that.
    public var minBytes = 1
    /// Bytes of one answer.
    public var maxBytes = 16 << 20
    /// Bytes of one partition in an answer.
    public var partitionBytes = 2 << 20
    /// Bytes of fetched batches that wait for `next()`; beyond it nothing more is fetched.
    public var bufferBytes = 32 << 20
    /// Whether an offset that is out of range goes on at the nearest that is held. Otherwise it is an error.
    public var resetsOutOfRange = true

    public init() {}
}

/// Whole record batches of one partition, as they were stored.
public struct FetchedChunk: Sendable {
    public let place: TopicPartition
    /// Record batches back to back. The first may begin before `from`.
    public let bytes: ByteBuffer
    /// The offset that was asked for: earlier records in `bytes` are not part of the answer.
    public let from: Int64
    /// The offset after the last record.
    public let end: Int64
    /// The end of what consumers may see, at the time of the answer.
    public let highWatermark: Int64
    let unpackedLimit: Int

    /// Unpacks the records one after the other. Control records and those before `from` are left out.
    ///
    /// - Parameter verifyingChecksums: whether each batch's CRC is checked first.
    /// - Complexity: O(*n*) in the unpacked bytes.
    public func forEachRecord(
        verifyingChecksums: Bool = true, _ body: (BatchRecord) throws -> Void
    ) throws {
        var rest = bytes
        while rest.readableBytes > 0 {
            let head = try EntryHead.parse(rest)
            if !head.isControl {
                var records = try BatchRecords(
                    of: rest, limit: unpackedLimit, verifyingChecksum: verifyingChecksums)
                while let record = try records.next() {
                    if record.offset.rawValue >= from { try body(record) }
                }
            }
            rest.moveReaderIndex(forwardBy: head.totalSize)
        }
    }

    /// Counts records and bytes from the batches' headers, without unpacking.
    public func tally(verifyingChecksums: Bool) throws -> Int64 {
        var records: Int64 = 0
        for head in try EntryHead.all(in: bytes, verifyingChecksums: verifyingChecksums) where !head.isControl {
            records +=
                head.recordCount.rawValue - max(0, min(head.recordCount.rawValue, from - head.baseOffset.rawValue))
        }
        return records
    }
}

/// What a consumer meets.
public enum ConsumerEvent: Sendable {
    case records(FetchedChunk)
    /// The reader stands at the end of what consumers may see. Said again after each run of new records.
    case end(TopicPartition, offset: Int64)
}

/// Reads partitions chosen by the caller, from their leaders, and follows the leaders when they change.
///
///     let consumer = Consumer(client)
///     consumer.assign([(TopicPartition(topic: "events", partition: 0), .beginning)])
///     while let event = try await consumer.next() { … }
// SAFETY: `core` is touched on the client's loop alone; everything else is immutable or inside the mutex.
public final class Consumer: @unchecked Sendable {
    private struct Outbox {
        var events = CircularBuffer<ConsumerEvent>()
        var failure: ClientError?
        var isClosed = false
        var waiting: CheckedContinuation<Void, Never>?
    }

    private let client: KafkaClient
    private let configuration: ConsumerConfiguration
    private let outbox = Mutex(Outbox())
    private var core: ConsumerCore?

    public init(_ client: KafkaClient, _ configuration: ConsumerConfiguration = ConsumerConfiguration()) {
        self.client = client
        self.configuration = configuration
    }

    /// Begins to read these partitions too.
    public func assign(_ places: [(TopicPartition, StartingPoint)]) {
        client.core.loop.execute { [self] in
            onLoopCore().assign(places)
        }
    }

    /// The next event; `nil` after `close()`. For one caller at a time.
    ///
    /// - Throws: what ends reading: an error that trying again does not help against.
    public func next() async throws(ClientError) -> ConsumerEvent? {
        while true {
            let (event, failure, isClosed) = outbox.withLock { outbox in
                (outbox.events.popFirst(), outbox.failure, outbox.isClosed)
            }
            if let event {
                if case .records(let chunk) = event {
                    let bytes = chunk.bytes.readableBytes
                    client.core.loop.execute { self.core?.consumed(bytes) }
                }
                return event
            }
            if let failure { throw failure }
            if isClosed { return nil }
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let mayGo = outbox.withLock { outbox in
                    guard outbox.events.isEmpty, outbox.failure == nil, !outbox.isClosed else { return true }
                    precondition(outbox.waiting == nil, "one caller at a time reads a consumer")
                    outbox.waiting = continuation
                    return false
                }
                if mayGo { continuation.resume() }
            }
        }
    }

    /// Stops reading. `next()` gives what is still there and then `nil`.
    public func close() {
        put(nil, isClosed: true)
        client.core.loop.execute { self.core?.stop() }
    }

    private func onLoopCore() -> ConsumerCore {
        if let core { return core }
        let fresh = ConsumerCore(client.core, configuration) { [weak self] result in
            switch result {
            case .success(let event): self?.put(event)
            case .failure(let error): self?.put(nil, failure: error)
            }
        }
        core = fresh
        return fresh
    }

    private func put(_ event: ConsumerEvent?, failure: ClientError? = nil, isClosed: Bool = false) {
        let waiting = outbox.withLock { outbox in
            if let event, !outbox.isClosed { outbox.events.append(event) }
            if outbox.failure == nil { outbox.failure = failure }
            if isClosed { outbox.isClosed = true }
            defer { outbox.waiting = nil }
            return outbox.waiting
        }
        waiting?.resume()
    }
}
