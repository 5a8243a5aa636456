// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

/// Somebody with a command line: makes the topics, lets them grow, deletes records.
final class TopicAdmin: WireClient {
    private var missing: [String]
    private(set) var isDone = false

    init(world: World) {
        missing = world.climate.topics
        super.init(world: world, name: "admin")
    }

    func begin() {
        create()
        if climate.trimInterval > 0 { scheduleTrim() }
        if climate.moveInterval > 0 { scheduleMove() }
    }

    private func create() {
        guard let name = missing.first else { return findCoordinator() }
        var topic = CreateTopicsRequest.Topic()
        topic.name = name
        topic.partitionCount = Int32(climate.partitions)
        topic.replicationFactor = Int16(climate.replicationFactor)
        topic.configs = configs(of: name).map { name, value in
            var config = CreateTopicsRequest.Config()
            config.name = name
            config.value = value
            return config
        }
        var request = CreateTopicsRequest()
        request.topics = [topic]
        request.timeout = 5_000
        ask(request, at: somebody, patience: 12_000_000_000) { [self] response in
            let error = response?.topics.first?.error
            switch error {
            case .none?, .topicAlreadyExists?:
                missing.removeFirst()
                create()
            case nil, .invalidReplicationFactor?, .notController?, .requestTimedOut?, .unknownServerError?,
                .coordinatorNotAvailable?, .brokerNotAvailable?:
                world.schedule(after: 5 * backoff) { self.create() }
            case let error?:
                world.broke(Violation(.requestsEnd, "\(name) cannot be made: \(error)"))
            }
        }
    }

    /// Whoever asks for a coordinator first has the topic of the offsets made.
    private func findCoordinator() {
        guard climate.base.groups != nil else {
            isDone = true
            return
        }
        var request = FindCoordinatorRequest()
        request.key = "g0"
        request.coordinatorKeys = ["g0"]
        ask(request, at: somebody, patience: 12_000_000_000) { [self] response in
            let error = response?.coordinators.first?.error ?? response?.error
            guard error == ErrorCode.none, world.topicIDs[World.offsetsTopicName] != nil else {
                return world.schedule(after: 5 * backoff) { self.findCoordinator() }
            }
            isDone = true
        }
    }

    private func configs(of topic: String) -> [(String, String)] {
        let base = climate.base
        var configs: [(String, String)] = [
            ("index.interval.bytes", "\(base.indexIntervalBytes)"),
            ("min.insync.replicas", "\(min(base.minimumInSync, climate.replicationFactor))"),
        ]
        if climate.compacted.contains(topic) {
            configs += [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")]
        } else if let bytes = base.retentionBytes {
            configs.append(("retention.bytes", "\(bytes)"))
        }
        return configs
    }

    // MARK: - Moving partitions

    private func scheduleMove() {
        world.schedule(after: 1 + world.random.span(mean: climate.moveInterval)) {
            guard !self.world.isCalm else { return }
            if self.isDone { self.move() }
            self.scheduleMove()
        }
    }

    /// Wishes a partition elsewhere, or takes such a wish back. Nobody waits for what becomes of it.
    private func move() {
        var nodes = world.machines.map(\.id.rawValue)
        while nodes.count > climate.replicationFactor { nodes.remove(at: world.random.below(nodes.count)) }
        nodes.swapAt(0, world.random.below(nodes.count))
        var item = AlterPartitionReassignmentsRequest.Partition()
        item.index = Int32(world.random.below(climate.partitions))
        item.replicas = world.random.chance(perMille: 150) ? nil : nodes
        var topic = AlterPartitionReassignmentsRequest.Topic()
        topic.name = world.random.pick(climate.topics)
        topic.partitions = [item]
        var request = AlterPartitionReassignmentsRequest()
        request.topics = [topic]
        request.timeout = 5_000
        ask(request, at: somebody, patience: 12_000_000_000) { [self] response in
            let answer = response?.topics.first?.partitions.first
            world.say("a move of \(topic.name)-\(item.index) to \(nodes): \(answer?.errorMessage ?? "asked")")
        }
    }

    // MARK: - Deleting records

    private func scheduleTrim() {
        world.schedule(after: 1 + world.random.span(mean: climate.trimInterval)) {
            guard !self.world.isCalm else { return }
            self.trim()
            self.scheduleTrim()
        }
    }

    private func trim() {
        let name = world.random.pick(climate.topics)
        guard let known = topic(name), known.partitions > 0 else { return refresh(climate.topics) }
        let index = Int32(world.random.below(known.partitions))
        guard let place = place(of: index, name),
            let watch = world.groups[PartitionID(topic: known.id, index: index)]
        else { return refresh(climate.topics) }
        let end = watch.consensus.committedOffset.rawValue
        let start = watch.trimmed
        guard end > start else { return }
        // Most often a little, so that batches are cut in their middle.
        let most = world.random.chance(perMille: 100) ? end - start : min(end - start, 12)
        let offset = start + Int64(world.random.within(1...Int(most)))
        var topic = DeleteRecordsRequest.Topic()
        topic.name = name
        var item = DeleteRecordsRequest.Partition()
        item.index = index
        item.offset = offset
        topic.partitions = [item]
        var request = DeleteRecordsRequest()
        request.topics = [topic]
        request.timeout = Int32(climate.requestTimeout / 1_000_000)
        ask(request, at: place) { [self] response in
            guard let answer = response?.topics.first?.partitions.first, answer.error == .none else {
                return refresh(climate.topics)
            }
            if answer.lowWatermark < offset {
                world.broke(Violation(.retention, "\(offset) was deleted, \(answer.lowWatermark) is shown"))
            }
            watch.trimmed = max(watch.trimmed, answer.lowWatermark)
        }
    }
}
