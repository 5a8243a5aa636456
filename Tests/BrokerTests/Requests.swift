// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import RecordBatches

/// Requests as clients write them, with what a test does not care about filled in.
func batch(_ values: [String], codec: Codec = .none, at time: Int64 = 1_700_000_000_000) throws -> ByteBuffer {
    var builder = BatchBuilder()
    for (place, value) in values.enumerated() {
        builder.append(
            key: nil, value: ByteBuffer(string: value), timestamp: Timestamp(milliseconds: time + Int64(place)))
    }
    return try builder.finish(codec: codec)
}

func produceRequest(
    _ records: ByteBuffer?, to topic: String = "events", id: TopicID = .zero, partition: Int32 = 0, acks: Int16 = -1
) -> ProduceRequest {
    var request = ProduceRequest()
    request.acks = acks
    request.timeout = 5_000
    var asked = ProduceRequest.Topic()
    asked.name = topic
    asked.id = id
    var part = ProduceRequest.Partition()
    part.index = partition
    part.records = records
    asked.partitions = [part]
    request.topics = [asked]
    return request
}

func fetchRequest(
    _ topic: String = "events", id: TopicID = .zero, partition: Int32 = 0, from offset: Int64, epoch: Int32 = -1,
    wait: Int32 = 0, minBytes: Int32 = 1, maxBytes: Int32 = 1 << 20
) -> FetchRequest {
    var request = FetchRequest()
    request.maxWait = wait
    request.minBytes = minBytes
    request.maxBytes = maxBytes
    var asked = FetchRequest.Topic()
    asked.name = topic
    asked.id = id
    var part = FetchRequest.Partition()
    part.index = partition
    part.fetchOffset = offset
    part.currentLeaderEpoch = epoch
    part.maxBytes = maxBytes
    asked.partitions = [part]
    request.topics = [asked]
    return request
}

func listOffsetsRequest(_ topic: String = "events", time: Int64, epoch: Int32 = -1) -> ListOffsetsRequest {
    var request = ListOffsetsRequest()
    var asked = ListOffsetsRequest.Topic()
    asked.name = topic
    var part = ListOffsetsRequest.Partition()
    part.timestamp = time
    part.currentLeaderEpoch = epoch
    asked.partitions = [part]
    request.topics = [asked]
    return request
}

extension ProduceResponse {
    var only: Partition? { topics.first?.partitions.first }
}

extension FetchResponse {
    var only: Partition? { topics.first?.partitions.first }
}

extension FetchResponse.Partition {
    /// The values of all records, batch by batch.
    var values: [String] {
        get throws {
            guard case .bytes(var bytes) = records else { return [] }
            var values: [String] = []
            while bytes.readableBytes > 0 {
                let head = try EntryHead.parse(bytes)
                guard let one = bytes.readSlice(length: head.totalSize) else { break }
                var records = try BatchRecords(of: one, limit: 1 << 20, verifyingChecksum: true)
                while let record = try records.next() {
                    values.append(record.value.map { String(buffer: $0) } ?? "")
                }
            }
            return values
        }
    }
}
