// SPDX-License-Identifier: Apache-2.0

import Disk
import KafkaWire
import LogModel
import LogStorage
import NIOCore
import Replication

/// One replica of this node and how long its log is.
private struct ReplicaSize: Sendable {
    let partition: PartitionID
    let size: Int64
}

extension Broker {
    /// DescribeLogDirs (API key 35): what lies on this node's disk.
    func describeLogDirs(_ call: Call<Files>) throws(WireError) {
        let request = try DescribeLogDirsRequest.decode(call.body, version: call.version)
        gatherSizes { sizes in
            let topics = self.topics(of: sizes, asked: request.topics)
            let directory = self.settings.logDirectory
            let files = self.environment.files
            self.environment.submit({
                Result { () throws(DiskError) in try files.space(at: directory) }
            }) { space in
                var result = DescribeLogDirsResponse.Result()
                result.logDirectory = directory
                result.topics = topics
                switch space {
                case .success(let space):
                    result.totalBytes = space.total.rawValue
                    result.usableBytes = space.usable.rawValue
                case .failure:
                    result.error = .kafkaStorageError
                }
                var response = DescribeLogDirsResponse()
                response.results = [result]
                call.reply(response)
            }
        }
    }

    /// In the order of topic names and partition indexes. What is asked for and is not here is left out, as by Kafka.
    private func topics(
        of sizes: [ReplicaSize], asked: [DescribeLogDirsRequest.Topic]?
    ) -> [DescribeLogDirsResponse.Topic] {
        let byTopic = Dictionary(grouping: sizes) { $0.partition.topic }
        let wanted = asked.map { topics in
            Dictionary(topics.map { ($0.name, Set($0.partitions)) }) { $0.union($1) }
        }
        return view.topics.compactMap { topic in
            guard let here = byTopic[topic.id] else { return nil }
            var answer = DescribeLogDirsResponse.Topic()
            answer.name = topic.name
            for replica in here.sorted(by: { $0.partition.index < $1.partition.index }) {
                if let wanted, wanted[topic.name]?.contains(replica.partition.index) != true { continue }
                var partition = DescribeLogDirsResponse.Partition()
                partition.index = replica.partition.index
                partition.size = replica.size
                answer.partitions.append(partition)
            }
            return answer.partitions.isEmpty ? nil : answer
        }
    }

    private var sizesHere: [ReplicaSize] {
        shard.allReplicas.filter { $0.id != .metadata }
            .map { ReplicaSize(partition: $0.id, size: $0.log.size.rawValue) }
    }

    /// Asks all shards of the node.
    private func gatherSizes(then: @escaping ([ReplicaSize]) -> Void) {
        guard shardCount > 1 else { return then(sizesHere) }
        let round = SizeRound(expecting: shardCount, then: then)
        let home = ports[index].loop
        let bound = NIOLoopBound(round, eventLoop: home)
        for port in ports {
            port.loop.execute {
                let sizes = port.broker.value.sizesHere
                home.execute { bound.value.take(sizes) }
            }
        }
    }
}

/// A question that is out to all shards.
private final class SizeRound {
    private var sizes: [ReplicaSize] = []
    private var outstanding: Int
    private let then: ([ReplicaSize]) -> Void

    init(expecting count: Int, then: @escaping ([ReplicaSize]) -> Void) {
        outstanding = count
        self.then = then
    }

    func take(_ found: [ReplicaSize]) {
        sizes += found
        outstanding -= 1
        if outstanding == 0 { then(sizes) }
    }
}
