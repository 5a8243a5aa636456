// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import NIOEmbedded
import RecordBatches
import Replication
import Settings
import Testing

/// A node with two event loops, each with its own share of one topic's partitions.
private final class TwoShards {
    let halves: [OneNode]
    private let loops = [EmbeddedEventLoop(), EmbeddedEventLoop()]

    init(partitions: Int32, configs: [(name: String, value: String?)] = []) throws {
        halves = [try OneNode(index: 0), try OneNode(index: 1)]
        let id = TopicID(high: 300, low: 1)
        let placement = PartitionPlacement(replicas: [OneNode.node])
        let configs = try TopicConfigs(validating: configs)
        for half in halves {
            half.apply(
                .createTopic(
                    NewTopic(
                        id: id, name: try TopicName("events"),
                        partitions: Array(repeating: placement, count: Int(partitions)), configs: configs,
                        created: half.environment.wallClock)))
        }
        for index in 0..<partitions {
            let partition = PartitionID(topic: id, index: index)
            let half = halves[partition.shard(of: 2)]
            half.shard.host(
                ReplicaAssignment(
                    partition: partition, replicas: [OneNode.node], directory: "\(half.directory)/\(index)",
                    limits: LogLimits()))
        }
        for half in halves { half.waitForLeadership() }
        let ports = zip(halves, loops).map { ShardPort($0.broker, on: $1) }
        for half in halves { half.broker.connect(ports) }
    }

    deinit { for loop in loops { try? loop.syncShutdownGracefully() } }

    func ask<Request: WireRequest>(_ request: Request, version: Int16) throws -> Request.Response {
        let asked = try halves[0].begin(request, version: version)
        for _ in 0..<20 {
            for (half, loop) in zip(halves, loops) {
                loop.run()
                half.settle()
            }
        }
        return try #require(asked.response)
    }
}

@Suite struct TwoShardTests {
    /// Packing is done where the client is, the append where the partition is.
    @Test func batchesForTheOtherShardArePackedAnewToo() throws {
        let two = try TwoShards(partitions: 8, configs: [("compression.type", "zstd")])
        let values = (0..<50).map { "value \($0)" }
        var request = produceRequest(try batch(values, codec: .gzip))
        request.topics[0].partitions = try (0..<8 as Range<Int32>).map { index in
            var partition = ProduceRequest.Partition()
            partition.index = index
            // Some come in the topic's form.
            partition.records = try batch(values, codec: index % 3 == 0 ? .zstd : .gzip)
            return partition
        }
        let stored = try two.ask(request, version: 9)
        #expect(stored.topics[0].partitions.map(\.index) == [0, 1, 2, 3, 4, 5, 6, 7])
        #expect(stored.topics[0].partitions.allSatisfy { $0.error == ErrorCode.none && $0.baseOffset == 0 })
        for index in 0..<8 as Range<Int32> {
            let fetched = try #require(try two.ask(fetchRequest(partition: index, from: 0), version: 12).only)
            guard case .bytes(let bytes) = fetched.records else {
                Issue.record("partition \(index) is empty")
                continue
            }
            #expect(try EntryHead.parse(bytes).codec == .zstd)
            #expect(try fetched.values == values)
        }
    }

    // KIP-74: the limit is the whole answer's, wherever its partitions are.
    @Test func twoShardsTogetherKeepToTheLimitOfOneAnswer() throws {
        let two = try TwoShards(partitions: 8)
        for partition in 0..<8 as Range<Int32> {
            let stored = try two.ask(
                produceRequest(try batch([String(repeating: "x", count: 1_000)]), partition: partition), version: 9)
            #expect(stored.only?.error == ErrorCode.none)
        }
        func fetched(limit: Int32) throws -> [Int32] {
            var request = fetchRequest(from: 0, maxBytes: limit)
            request.topics[0].partitions = (0..<8 as Range<Int32>).map { index in
                var partition = FetchRequest.Partition()
                partition.index = index
                partition.maxBytes = 1 << 20
                return partition
            }
            let answer = try two.ask(request, version: 12)
            #expect(answer.topics[0].partitions.map(\.index) == [0, 1, 2, 3, 4, 5, 6, 7])
            return try answer.topics[0].partitions.filter { try !$0.values.isEmpty }.map(\.index)
        }
        #expect(try fetched(limit: 1 << 20) == [0, 1, 2, 3, 4, 5, 6, 7])
        #expect(try fetched(limit: 3_300).count == 3)
        // The first in order gives its batch though it is too long, and nobody else does.
        #expect(try fetched(limit: 100) == [0])
    }
}
