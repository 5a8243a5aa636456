// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import NIOCore

/// A change of one setting.
public enum ConfigChange: Hashable, Sendable {
    case set(String, String)
    /// Back to the default.
    case unset(String)
}

extension Admin {
    /// Changes some of a topic's settings and leaves the others.
    ///
    /// - Parameter validateOnly: whether the cluster only says what it would do.
    public func alterTopicConfigs(
        _ topic: String, _ changes: [ConfigChange], validateOnly: Bool = false
    ) async throws(ClientError) {
        var resource = IncrementalAlterConfigsRequest.Resource()
        resource.type = .topic
        resource.name = topic
        resource.configs = changes.map { change in
            var config = IncrementalAlterConfigsRequest.Config()
            switch change {
            case .set(let name, let value): (config.name, config.operation, config.value) = (name, .set, value)
            case .unset(let name): (config.name, config.operation, config.value) = (name, .delete, nil)
            }
            return config
        }
        var request = IncrementalAlterConfigsRequest()
        request.resources = [resource]
        request.validateOnly = validateOnly
        _ = try await askController(request) { answer in
            answer.results.first.map { ($0.error, $0.errorMessage) }
        } subject: {
            topic
        }
    }

    /// Lets partitions begin at later offsets. What lies before is no longer there for anybody.
    ///
    /// - Returns: where each partition begins now.
    /// - Throws: the first error that trying again does not help against; other partitions may have been trimmed.
    public func deleteRecords(
        before offsets: [TopicPartition: Int64]
    ) async throws(ClientError) -> [TopicPartition: Int64] {
        let result: Result<[TopicPartition: Int64], ClientError> = await client.onLoop { core, done in
            RecordDeletion(core, offsets, then: done).start()
        }
        return try result.get()
    }
}

/// Asks each partition's leader to let it begin later, with retries. Lives on the client's loop.
private final class RecordDeletion {
    private let core: ClientCore
    private let since = NIODeadline.now()
    private let done: (Result<[TopicPartition: Int64], ClientError>) -> Void
    private var open: [TopicPartition: Int64]
    private var begins: [TopicPartition: Int64] = [:]
    private var asking = 0
    private var failure: ClientError?
    private var isDone = false

    init(
        _ core: ClientCore, _ offsets: [TopicPartition: Int64],
        then: @escaping (Result<[TopicPartition: Int64], ClientError>) -> Void
    ) {
        self.core = core
        open = offsets
        done = then
    }

    func start() {
        for place in open.keys { core.follow(place.topic) }
        core.refresh { [self] result in
            if case .failure(let error) = result { return finish(.failure(error)) }
            round()
        }
    }

    private func round() {
        guard !core.isClosed else { return finish(.failure(.closed)) }
        guard !open.isEmpty else { return finish(.success(begins)) }
        var groups: [BrokerAddress: [TopicPartition]] = [:]
        for place in open.keys {
            guard let leader = core.map.leader(of: place.topic, place.partition) else {
                failure = .refused(.leaderNotAvailable, subject: "\(place)", message: nil)
                continue
            }
            groups[leader.node.address, default: []].append(place)
        }
        asking = groups.count
        guard asking > 0 else { return pause() }
        for (address, places) in groups { ask(address, places) }
    }

    private func ask(_ address: BrokerAddress, _ places: [TopicPartition]) {
        var request = DeleteRecordsRequest()
        request.timeout = Int32(clamping: core.configuration.requestTimeout.nanoseconds / 1_000_000)
        request.topics = byTopic(places).map { name, partitions in
            var topic = DeleteRecordsRequest.Topic()
            topic.name = name
            topic.partitions = partitions.map { index in
                var partition = DeleteRecordsRequest.Partition()
                partition.index = index
                partition.offset = open[TopicPartition(topic: name, partition: index)] ?? 0
                return partition
            }
            return topic
        }
        let timeout = core.configuration.requestTimeout
        core.connection(to: address, .control).send(request, timeout: timeout) { [self] result in
            switch result {
            case .success(let answer): take(answer)
            case .failure(let error): failed(error)
            }
            asking -= 1
            guard asking == 0, !isDone else { return }
            if open.isEmpty { finish(.success(begins)) } else { pause() }
        }
    }

    private func take(_ answer: DeleteRecordsResponse) {
        for topic in answer.topics {
            for partition in topic.partitions {
                let place = TopicPartition(topic: topic.name, partition: partition.index)
                guard open[place] != nil else { continue }
                if partition.error == .none {
                    open[place] = nil
                    begins[place] = partition.lowWatermark
                } else {
                    failed(.refused(partition.error, subject: "\(place)", message: nil))
                }
            }
        }
    }

    private func failed(_ error: ClientError) {
        failure = error
        if !error.isRetriable { finish(.failure(error)) }
    }

    private func pause() {
        guard !isDone else { return }
        guard .now() + core.backoff(since: since) < since + core.configuration.deliveryTimeout else {
            return finish(.failure(failure ?? .timedOut("deleting records")))
        }
        let again = OnLoop({ [self] in core.refresh { [self] _ in round() } }, core.loop)
        core.loop.scheduleTask(in: core.backoff(since: since)) { again.value() }
    }

    private func finish(_ result: Result<[TopicPartition: Int64], ClientError>) {
        guard !isDone else { return }
        isDone = true
        done(result)
    }
}
