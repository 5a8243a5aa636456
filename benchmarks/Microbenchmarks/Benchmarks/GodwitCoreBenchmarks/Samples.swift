// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import RecordBatches

/// What the benchmarks work on: the same bytes every time.
enum Samples {
    static let recordSize = 1024
    static let recordsInBatch = 1000

    /// Bytes that no codec makes smaller.
    static func noise(_ count: Int, seed: UInt64 = 1) -> ByteBuffer {
        var state = seed
        var buffer = ByteBufferAllocator().buffer(capacity: count + 8)
        while buffer.readableBytes < count {
            // SplitMix64 (Steele, Lea, Flood 2014).
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            buffer.writeInteger(mixed ^ (mixed >> 31))
        }
        buffer.moveWriterIndex(to: buffer.readerIndex + count)
        return buffer
    }

    /// About 1 MB: 1,000 records of 1 KiB.
    static func batch(codec: Codec = .none, records: Int = recordsInBatch) -> ByteBuffer {
        let value = noise(recordSize)
        var builder = BatchBuilder(reservingCapacity: records * (recordSize + 16))
        for _ in 0..<records {
            builder.append(key: nil, value: value, timestamp: Timestamp(milliseconds: 1_700_000_000_000))
        }
        do {
            return try builder.finish(codec: codec)
        } catch {
            preconditionFailure("noise cannot be packed: \(error)")
        }
    }

    /// The body of a produce request as a client sends it: one batch for each of `partitions`.
    static func produceBody(partitions: Int32, version: Int16) -> ByteBuffer {
        var request = ProduceRequest()
        request.acks = -1
        request.timeout = 30_000
        var topic = ProduceRequest.Topic()
        topic.name = "events"
        topic.id = TopicID(high: 1, low: 1)
        let records = batch(records: 10)
        topic.partitions = (0..<partitions).map { index in
            var partition = ProduceRequest.Partition()
            partition.index = index
            partition.records = records
            return partition
        }
        request.topics = [topic]
        do {
            var frame = try request.encodeFrame(correlationID: 1, clientID: "bench", version: version).bytes
            frame.moveReaderIndex(forwardBy: 4)
            _ = try RequestHeader.decode(from: &frame)
            return frame
        } catch {
            preconditionFailure("a produce request cannot be written: \(error)")
        }
    }
}
