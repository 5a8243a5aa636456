// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

extension Broker {
    /// The most partitions in one answer: Kafka's default of `max.request.partition.size.limit`.
    private static var partitionLimit: Int { 2_000 }

    /// DescribeTopicPartitions (API key 75): topics and their partitions in the order of names, page by page (KIP-966).
    func describeTopicPartitions(_ call: Call<Files>) throws(WireError) {
        let request = try DescribeTopicPartitionsRequest.decode(call.body, version: call.version)
        var response = DescribeTopicPartitionsResponse()
        if let cursor = request.cursor, cursor.partition < 0 {
            response.topics = request.topics.map { .init(naming: $0.name, error: .invalidRequest) }
            return call.reply(response)
        }
        let from = request.cursor?.topicName ?? ""
        let asked = Set(request.topics.map(\.name)).filter { $0 >= from }.sorted()
        let names = request.topics.isEmpty ? view.topics.map(\.name).filter { $0 >= from } : asked
        var left = min(max(1, Int(request.responsePartitionLimit)), Self.partitionLimit)
        for name in names {
            // A cursor into a topic that is gone goes on at the beginning of the next one.
            let first = name == from ? request.cursor?.partition ?? 0 : 0
            guard left > 0 else {
                response.nextCursor = .init(at: name, first)
                break
            }
            guard let topic = view.topic(named: name) else {
                let isLegal = (try? TopicName(name)) != nil
                response.topics.append(
                    .init(naming: name, error: isLegal ? .unknownTopicOrPartition : .invalidTopic))
                continue
            }
            let start = min(Int(first), topic.partitions.count)
            let end = min(start + left, topic.partitions.count)
            response.topics.append(describe(topic, start..<end))
            left -= end - start
            guard end == topic.partitions.count else {
                response.nextCursor = .init(at: name, Int32(end))
                break
            }
        }
        call.reply(response)
    }

    private func describe(_ topic: TopicView, _ range: Range<Int>) -> DescribeTopicPartitionsResponse.Topic {
        var answer = DescribeTopicPartitionsResponse.Topic()
        answer.name = topic.name
        answer.id = topic.id
        answer.isInternal = topic.isInternal
        answer.operations = Operations.topic
        answer.partitions = range.map { index in
            let state = self.state(of: topic, index)
            var partition = DescribeTopicPartitionsResponse.Partition()
            partition.error = state.error
            partition.index = Int32(index)
            partition.leaderID = state.leaderID
            partition.leaderEpoch = state.leaderEpoch
            partition.replicas = state.replicas
            partition.inSyncReplicas = state.inSyncReplicas
            partition.offlineReplicas = state.offlineReplicas
            // Raft needs no list of replicas that may lead: any that a majority elects has what was acknowledged.
            partition.eligibleLeaderReplicas = []
            partition.lastKnownEligibleReplicas = []
            return partition
        }
        return answer
    }
}

extension DescribeTopicPartitionsResponse.Topic {
    fileprivate init(naming name: String, error: ErrorCode) {
        self.init()
        self.name = name
        self.error = error
    }
}

extension TopicPartitionCursor {
    fileprivate init(at topic: String, _ partition: Int32) {
        self.init()
        topicName = topic
        self.partition = partition
    }
}
