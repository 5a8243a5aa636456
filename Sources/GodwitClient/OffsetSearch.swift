// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import NIOCore

/// Finds offsets in many partitions by asking each one's leader (ListOffsets), with retries.
///
/// Lives on the client's loop.
final class OffsetSearch {
    private let core: ClientCore
    private let deadline: NIODeadline
    private let since = NIODeadline.now()
    private let done: (Result<[TopicPartition: Int64], ClientError>) -> Void
    private var open: [TopicPartition: Int64] = [:]
    private var found: [TopicPartition: Int64] = [:]
    private var asking = 0
    private var failure: ClientError?
    private var isDone = false

    init(
        _ core: ClientCore, patience: TimeAmount, then: @escaping (Result<[TopicPartition: Int64], ClientError>) -> Void
    ) {
        self.core = core
        deadline = .now() + patience
        done = then
    }

    /// - Parameter queries: each partition with its timestamp as ListOffsets has it (−1 the end, −2 the beginning).
    func start(_ queries: [(TopicPartition, Int64)]) {
        for (place, query) in queries {
            open[place] = query
            core.follow(place.topic)
        }
        // The map may be older than the topic.
        core.refresh { [self] result in
            if case .failure(let error) = result { return finish(.failure(error)) }
            round()
        }
    }

    private func round() {
        guard !isDone else { return }
        guard !core.isClosed else { return finish(.failure(.closed)) }
        guard !open.isEmpty else { return finish(.success(found)) }
        var groups: [BrokerAddress: [TopicPartition]] = [:]
        for place in open.keys {
            if let topic = core.map.topics[place.topic], topic.error == .none, !topic.partitions.isEmpty,
                topic.partitions[place.partition] == nil
            {
                return finish(.failure(.invalid("topic '\(place.topic)' has no partition \(place.partition)")))
            }
            guard let leader = core.map.leader(of: place.topic, place.partition) else { continue }
            groups[leader.node.address, default: []].append(place)
        }
        asking = groups.count
        guard asking > 0 else { return pause() }
        for (address, places) in groups { ask(address, places) }
    }

    private func ask(_ address: BrokerAddress, _ places: [TopicPartition]) {
        var request = ListOffsetsRequest()
        for place in places {
            var partition = ListOffsetsRequest.Partition()
            partition.index = place.partition
            partition.timestamp = open[place] ?? -1
            if let known = request.topics.firstIndex(where: { $0.name == place.topic }) {
                request.topics[known].partitions.append(partition)
            } else {
                var topic = ListOffsetsRequest.Topic()
                topic.name = place.topic
                topic.partitions = [partition]
                request.topics.append(topic)
            }
        }
        let connection = core.connection(to: address, .control)
        connection.send(request, timeout: core.configuration.requestTimeout) { [self] result in
            switch result {
            case .success(let answer): take(answer)
            case .failure(let error):
                failure = error
                if !error.isRetriable { finish(.failure(error)) }
            }
            asking -= 1
            if asking == 0 { open.isEmpty ? round() : pause() }
        }
    }

    private func take(_ answer: ListOffsetsResponse) {
        for topic in answer.topics {
            for partition in topic.partitions {
                let place = TopicPartition(topic: topic.name, partition: partition.index)
                guard let query = open[place] else { continue }
                if partition.error != .none {
                    let error = ClientError.refused(partition.error, subject: "\(place)", message: nil)
                    failure = error
                    if !error.isRetriable { return finish(.failure(error)) }
                } else if partition.offset < 0, query >= 0 {
                    // No record of that time or later: the end is meant.
                    open[place] = -1
                } else {
                    open[place] = nil
                    found[place] = max(0, partition.offset)
                }
            }
        }
    }

    /// Waits a moment for leaders to appear. What is still open at the deadline stays unanswered.
    private func pause() {
        guard !isDone else { return }
        guard .now() + core.backoff(since: since) < deadline else {
            if found.isEmpty, let failure { return finish(.failure(failure)) }
            return finish(.success(found))
        }
        let again = OnLoop(
            { [self] in
                core.refresh { [self] _ in round() }
            }, core.loop)
        core.loop.scheduleTask(in: core.backoff(since: since)) { again.value() }
    }

    private func finish(_ result: Result<[TopicPartition: Int64], ClientError>) {
        guard !isDone else { return }
        isDone = true
        done(result)
    }
}
