// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import LogStorage
import NIOCore
import Replication

extension Broker {
    /// InitProducerId (API key 22): an identity for a producer whose batches are to be stored once each.
    ///
    /// An idempotent producer always gets a new id, whatever it had before, and raises the epoch itself when it must
    /// (KIP-360).
    func initProducerID(_ call: Call<Files>) throws(WireError) {
        let request = try InitProducerIDRequest.decode(call.body, version: call.version)
        var response = InitProducerIDResponse()
        response.producerEpoch = -1
        if let error = Self.refusal(of: request) {
            response.error = error
            return call.reply(response)
        }
        guard let controller else {
            response.error = .coordinatorLoadInProgress
            return call.reply(response)
        }
        controller.producerID { id in
            if let id {
                response.producerID = id
                response.producerEpoch = 0
            } else {
                // What Kafka answers while it waits for its next block; clients ask again.
                response.error = .coordinatorLoadInProgress
            }
            call.reply(response)
        }
    }

    private static func refusal(of request: InitProducerIDRequest) -> ErrorCode? {
        guard (request.producerID < 0) == (request.producerEpoch < 0) else { return .invalidRequest }
        guard let id = request.transactionalID else { return nil }
        // Transactions are not served yet. This is the one error that the Java client and librdkafka both take as final
        // for a transactional producer: with any other that could fit, one of them asks again for ever.
        return id.isEmpty ? .invalidRequest : .transactionalIDAuthorizationFailed
    }
}

// MARK: - DescribeProducers (API key 61)

extension Broker {
    /// DescribeProducers: what leaders remember of the producers of their partitions (KIP-664).
    func describeProducers(_ call: Call<Files>) throws(WireError) {
        let request = try DescribeProducersRequest.decode(call.body, version: call.version)
        let round = ProducerRound { call.reply($0) }
        var asked: [[(topic: Int, place: Int, partition: PartitionID)]] = Array(repeating: [], count: shardCount)
        for (topicPlace, topic) in request.topics.enumerated() {
            var answer = DescribeProducersResponse.Topic()
            answer.name = topic.name
            let found = view.topic(named: topic.name)
            for (place, index) in topic.partitions.enumerated() {
                var partition = DescribeProducersResponse.Partition()
                partition.index = index
                if let found, found.hasPartition(index) {
                    let id = PartitionID(topic: found.id, index: index)
                    asked[id.shard(of: shardCount)].append((topicPlace, place, id))
                } else {
                    partition.error = .unknownTopicOrPartition
                }
                answer.partitions.append(partition)
            }
            round.response.topics.append(answer)
        }
        for (shard, asked) in asked.enumerated() where !asked.isEmpty {
            round.expect()
            if shard == index {
                round.take(asked.map { ($0.topic, $0.place, producersHere($0.partition)) })
                continue
            }
            let port = ports[shard]
            let home = ports[index].loop
            let bound = NIOLoopBound(round, eventLoop: home)
            port.loop.execute {
                let broker = port.broker.value
                let answers = asked.map { ($0.topic, $0.place, broker.producersHere($0.partition)) }
                home.execute { bound.value.take(answers) }
            }
        }
        round.take([])
    }

    private func producersHere(_ id: PartitionID) -> DescribeProducersResponse.Partition {
        var answer = DescribeProducersResponse.Partition()
        answer.index = id.index
        guard let replica = shard.replica(id), replica.isLeader else {
            answer.error = .notLeaderOrFollower
            return answer
        }
        answer.activeProducers = replica.log.producers.all.map { id, state in
            var producer = DescribeProducersResponse.Producer()
            producer.id = id
            producer.epoch = Int32(state.epoch)
            producer.lastSequence = state.lastSequence
            producer.lastTimestamp = state.lastTimestamp.milliseconds
            // −1: no transaction coordinator has written here.
            producer.coordinatorEpoch = -1
            return producer
        }
        return answer
    }
}

/// A DescribeProducers that is out to several shards.
private final class ProducerRound {
    var response = DescribeProducersResponse()
    private var outstanding = 1
    private let done: (DescribeProducersResponse) -> Void

    init(done: @escaping (DescribeProducersResponse) -> Void) { self.done = done }

    func expect() { outstanding += 1 }

    func take(_ answers: [(topic: Int, place: Int, answer: DescribeProducersResponse.Partition)]) {
        for (topic, place, answer) in answers { response.topics[topic].partitions[place] = answer }
        outstanding -= 1
        if outstanding == 0 { done(response) }
    }
}
