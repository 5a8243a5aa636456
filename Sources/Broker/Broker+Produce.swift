// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import RecordBatches
import Replication
import Settings

/// One partition's part of a produce request, checked and ready for its shard.
struct ProduceItem: Sendable {
    let partition: PartitionID
    let batch: ByteBuffer
    let head: EntryHead
    let acknowledgement: Acknowledgement
    let stampsTime: Bool
    let deadline: Moment
}

extension Broker {
    /// Produce (API key 0).
    func produce(_ call: Call<Files>) throws(WireError) {
        let request = try ProduceRequest.decode(call.body, version: call.version)
        let run = ProduceRun(call, request: request, broker: self)
        guard (-1...1).contains(request.acks) else { return run.refuseAll(.invalidRequiredAcks) }
        // Transactions are not advertised, so no conforming client sends this.
        guard request.transactionalID == nil else { return run.refuseAll(.transactionalIDNotFound) }
        run.start()
    }

    /// Appends one item to a partition of this shard.
    func produceHere(_ item: ProduceItem, completion: @escaping (ProduceOutcome) -> Void) {
        guard let replica = shard.replica(item.partition) else {
            // The cluster knows it, this node does not keep it (yet).
            return completion(.failed(.notLeader))
        }
        replica.produce(
            item.batch, head: item.head, acknowledgement: item.acknowledgement, stampsTime: item.stampsTime,
            deadline: item.deadline, completion: completion)
    }
}

/// A produce request on its way: gathers what becomes of each partition, then answers.
final class ProduceRun<Environment: ShardEnvironment> {
    private let call: Call<Environment.Files>
    private let request: ProduceRequest
    private let broker: Broker<Environment>
    private var response = ProduceResponse()
    /// One more than the partitions that are out, until all are sent off.
    private var outstanding = 1

    init(_ call: Call<Environment.Files>, request: ProduceRequest, broker: Broker<Environment>) {
        self.call = call
        self.request = request
        self.broker = broker
        response.topics = request.topics.map { topic in
            var answer = ProduceResponse.Topic()
            answer.name = topic.name
            answer.id = topic.id
            answer.partitions = topic.partitions.map { partition in
                var answer = ProduceResponse.Partition()
                answer.index = partition.index
                return answer
            }
            return answer
        }
    }

    func refuseAll(_ error: ErrorCode) {
        for topic in response.topics.indices {
            for partition in response.topics[topic].partitions.indices {
                refuse(topic, partition, error)
            }
        }
        settle()
    }

    func start() {
        let timeout = min(UInt64(max(0, request.timeout)) * 1_000_000, broker.settings.produceWaitLimit)
        let deadline = call.arrived.advanced(byNanoseconds: timeout)
        for (topicPlace, topic) in request.topics.enumerated() {
            let found =
                call.version >= 13 ? broker.view.topic(id: topic.id) : broker.view.topic(named: topic.name)
            for (place, partition) in topic.partitions.enumerated() {
                guard let found, found.hasPartition(partition.index) else {
                    refuse(
                        topicPlace, place,
                        found == nil && call.version >= 13 ? .unknownTopicID : .unknownTopicOrPartition)
                    continue
                }
                guard !found.isInternal else {
                    refuse(
                        topicPlace, place, .invalidTopic, message: "only the cluster writes to an internal topic")
                    continue
                }
                start(topicPlace, place, of: found, records: partition.records, index: partition.index, deadline)
            }
        }
        settle()
    }

    private func start(
        _ topicPlace: Int, _ place: Int, of topic: TopicView, records: ByteBuffer?, index: Int32, _ deadline: Moment
    ) {
        let id = PartitionID(topic: topic.id, index: index)
        let unpackedLimit = broker.settings.unpackedLimit
        let arrival = BatchArrival(
            batch: records ?? ByteBuffer(),
            limits: topic.batchLimits(
                now: broker.environment.wallClock, produceVersion: call.version, unpackedLimit: unpackedLimit),
            unpackedLimit: unpackedLimit, codec: topic.storedCodec, level: topic.configs.compressionLevel)
        guard arrival.isRepacked || broker.repacking.holds(id) else {
            return take(arrival.judged(), topicPlace, place, of: topic.configs, id, deadline)
        }
        outstanding += 1
        broker.repacking.add(arrival, to: id) { [configs = topic.configs] checked in
            self.take(checked, topicPlace, place, of: configs, id, deadline)
            self.settle()
        }
    }

    private func take(
        _ checked: Result<CheckedBatch, BatchError>, _ topicPlace: Int, _ place: Int, of configs: EffectiveTopicConfigs,
        _ id: PartitionID, _ deadline: Moment
    ) {
        let batch: CheckedBatch
        switch checked {
        case .success(let sound): batch = sound
        case .failure(let error): return refuse(topicPlace, place, ErrorCode(error), message: "\(error)")
        }
        guard !batch.head.isTransactional else {
            // As Kafka answers a transaction's records in a request without its id.
            return refuse(
                topicPlace, place, .transactionalIDAuthorizationFailed, message: "transactions are not served")
        }
        let acknowledgement: Acknowledgement =
            switch request.acks {
            case 0: .none
            case 1: .leader
            default: .all(minimumInSync: configs.minInsyncReplicas)
            }
        let item = ProduceItem(
            partition: id, batch: batch.bytes, head: batch.head, acknowledgement: acknowledgement,
            stampsTime: configs.timestampType == .logAppendTime, deadline: deadline)
        outstanding += 1
        let shard = id.shard(of: broker.shardCount)
        if shard == broker.index {
            broker.produceHere(item) { self.landed(topicPlace, place, id, $0) }
        } else {
            send(item, to: broker.ports[shard], topicPlace, place)
        }
    }

    private func send(_ item: ProduceItem, to port: ShardPort<Environment>, _ topicPlace: Int, _ place: Int) {
        let home = broker.ports[broker.index].loop
        let bound = NIOLoopBound(self, eventLoop: home)
        port.loop.execute {
            port.broker.value.produceHere(item) { outcome in
                home.execute { bound.value.landed(topicPlace, place, item.partition, outcome) }
            }
        }
    }

    private func landed(_ topic: Int, _ place: Int, _ id: PartitionID, _ outcome: ProduceOutcome) {
        switch outcome {
        case .stored(let baseOffset, let logStart, let appendTime):
            response.topics[topic].partitions[place].baseOffset = baseOffset.rawValue
            response.topics[topic].partitions[place].logStartOffset = logStart.rawValue
            response.topics[topic].partitions[place].logAppendTime = appendTime?.milliseconds ?? -1
        case .failed(let failure):
            refuse(topic, place, ErrorCode(failure), message: failure.explanation)
            if failure == .notLeader { hintLeader(topic, place, id) }
            if case .unknownProducer(let logStart) = failure {
                response.topics[topic].partitions[place].logStartOffset = logStart.rawValue
            }
        }
        settle()
    }

    private func refuse(_ topic: Int, _ place: Int, _ error: ErrorCode, message: String? = nil) {
        response.topics[topic].partitions[place].error = error
        response.topics[topic].partitions[place].baseOffset = -1
        response.topics[topic].partitions[place].errorMessage = message
    }

    /// Tells the client where to go instead of making it ask everybody (KIP-951).
    private func hintLeader(_ topic: Int, _ place: Int, _ id: PartitionID) {
        guard call.version >= 10, let hint = broker.view.leaderHint(of: id) else { return }
        response.topics[topic].partitions[place].currentLeader = hint.leader
        if !response.nodeEndpoints.contains(where: { $0.nodeID == hint.endpoint.nodeID }) {
            response.nodeEndpoints.append(hint.endpoint)
        }
    }

    private func settle() {
        outstanding -= 1
        guard outstanding == 0 else { return }
        guard request.acks != 0 else {
            // Kafka's way to tell a producer that wants no answers: the connection breaks, and it looks anew.
            let failed = response.topics.contains { $0.partitions.contains { $0.error != .none } }
            return failed ? call.close("a produce with acks=0 failed") : call.replyNothing()
        }
        call.reply(response)
    }
}
