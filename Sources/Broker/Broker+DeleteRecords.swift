// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Replication
import Settings

extension Broker {
    /// DeleteRecords (API key 21).
    func deleteRecords(_ call: Call<Files>) throws(WireError) {
        let request = try DeleteRecordsRequest.decode(call.body, version: call.version)
        DeleteRecordsRun(call, request: request, broker: self).start()
    }

    /// Moves the start of one partition of this shard.
    func deleteRecordsHere(
        _ partition: PartitionID, before offset: Offset?, deadline: Moment,
        completion: @escaping (Result<Offset, TrimFailure>) -> Void
    ) {
        guard let replica = shard.replica(partition) else { return completion(.failure(.notLeader)) }
        replica.deleteRecords(before: offset, deadline: deadline, completion: completion)
    }
}

/// A DeleteRecords request on its way: gathers what becomes of each partition, then answers.
final class DeleteRecordsRun<Environment: ShardEnvironment> {
    private let call: Call<Environment.Files>
    private let request: DeleteRecordsRequest
    private let broker: Broker<Environment>
    private var response = DeleteRecordsResponse()
    /// One more than the partitions that are out, until all are sent off.
    private var outstanding = 1

    init(_ call: Call<Environment.Files>, request: DeleteRecordsRequest, broker: Broker<Environment>) {
        self.call = call
        self.request = request
        self.broker = broker
        response.topics = request.topics.map { topic in
            var answer = DeleteRecordsResponse.Topic()
            answer.name = topic.name
            answer.partitions = topic.partitions.map { partition in
                var answer = DeleteRecordsResponse.Partition()
                answer.index = partition.index
                answer.lowWatermark = -1
                return answer
            }
            return answer
        }
    }

    func start() {
        let timeout = min(UInt64(max(0, request.timeout)) * 1_000_000, broker.settings.produceWaitLimit)
        let deadline = call.arrived.advanced(byNanoseconds: timeout)
        for (topicPlace, topic) in request.topics.enumerated() {
            let found = broker.view.topic(named: topic.name)
            for (place, partition) in topic.partitions.enumerated() {
                if let error = refusal(of: partition, in: found) {
                    response.topics[topicPlace].partitions[place].error = error
                } else if let found {
                    let id = PartitionID(topic: found.id, index: partition.index)
                    let offset = partition.offset < 0 ? nil : Offset(partition.offset)
                    send(id, before: offset, deadline, topicPlace, place)
                }
            }
        }
        settle()
    }

    private func refusal(of partition: DeleteRecordsRequest.Partition, in topic: TopicView?) -> ErrorCode? {
        guard let topic, topic.hasPartition(partition.index) else { return .unknownTopicOrPartition }
        guard !topic.isInternal else { return .invalidTopic }
        // What only compaction may shorten is somebody's table, not a stream to be cut (KAFKA-4586).
        guard topic.configs.isDeleted else { return .policyViolation }
        return partition.offset < -1 ? .offsetOutOfRange : nil
    }

    private func send(_ id: PartitionID, before offset: Offset?, _ deadline: Moment, _ topic: Int, _ place: Int) {
        outstanding += 1
        let shard = id.shard(of: broker.shardCount)
        if shard == broker.index {
            broker.deleteRecordsHere(id, before: offset, deadline: deadline) { self.landed($0, topic, place) }
            return
        }
        let port = broker.ports[shard]
        let home = broker.ports[broker.index].loop
        let bound = NIOLoopBound(self, eventLoop: home)
        port.loop.execute {
            port.broker.value.deleteRecordsHere(id, before: offset, deadline: deadline) { outcome in
                home.execute { bound.value.landed(outcome, topic, place) }
            }
        }
    }

    private func landed(_ outcome: Result<Offset, TrimFailure>, _ topic: Int, _ place: Int) {
        switch outcome {
        case .success(let start): response.topics[topic].partitions[place].lowWatermark = start.rawValue
        case .failure(let failure): response.topics[topic].partitions[place].error = ErrorCode(failure)
        }
        settle()
    }

    private func settle() {
        outstanding -= 1
        if outstanding == 0 { call.reply(response) }
    }
}

extension ErrorCode {
    init(_ failure: TrimFailure) {
        switch failure {
        case .notLeader: self = .notLeaderOrFollower
        case .outOfRange: self = .offsetOutOfRange
        case .storageFailed: self = .kafkaStorageError
        case .timedOut: self = .requestTimedOut
        case .unknownPartition: self = .unknownTopicOrPartition
        }
    }
}
