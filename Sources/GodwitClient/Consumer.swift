// SPDX-License-Identifier: Apache-2.0
import LogModel
public import NIOCore
public import RecordBatches

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

    /// Counts the records of the answer from the batches' headers. Only a batch that begins before `from` and has lost
    /// records to compaction is unpacked.
    public func tally(verifyingChecksums: Bool) throws -> Int64 {
        var records: Int64 = 0
        var position = bytes.readerIndex
        for head in try EntryHead.all(in: bytes, verifyingChecksums: verifyingChecksums) {
            defer { position += head.totalSize }
            guard !head.isControl else { continue }
            let before = max(0, from - head.baseOffset.rawValue)
            let count = head.recordCount.rawValue
            guard before > 0, count < head.slots else {
                records += count - min(count, before)
                continue
            }
            var kept = try BatchRecords(of: bytes, at: position, limit: unpackedLimit, verifyingChecksum: false)
            while let record = try kept.next() { records += record.offset.rawValue >= from ? 1 : 0 }
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
// SAFETY: `core` is touched on the client's loop alone; everything else is immutable or synchronized.
public final class Consumer: @unchecked Sendable {
    private let client: KafkaClient
    private let configuration: ConsumerConfiguration
    private let queue = EventQueue<ConsumerEvent>()
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
        let event = try await queue.next()
        if case .records(let chunk) = event {
            let bytes = chunk.bytes.readableBytes
            client.core.loop.execute { self.core?.consumed(bytes) }
        }
        return event
    }

    /// Stops reading. `next()` gives what is still there and then `nil`.
    public func close() {
        queue.close()
        client.core.loop.execute { self.core?.stop() }
    }

    private func onLoopCore() -> ConsumerCore {
        if let core { return core }
        let fresh = ConsumerCore(client.core, configuration) { [queue] result in
            switch result {
            case .success(let event): queue.put(event)
            case .failure(let error): queue.fail(error)
            }
        }
        core = fresh
        return fresh
    }
}
