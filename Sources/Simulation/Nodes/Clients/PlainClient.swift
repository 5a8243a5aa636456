// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import RecordBatches

/// A producer without idempotence: it sends a batch once, with whatever acknowledgement, and never again.
final class PlainClient: WireClient {
    let number: Int
    private var nextNumber: Int32 = 0
    private var isWaiting = false
    private var isRefreshing = false

    init(world: World, number: Int) {
        self.number = number
        super.init(world: world, name: "plain\(number)")
    }

    func begin() {
        refresh(climate.topics) { self.scheduleNext() }
    }

    private func scheduleNext() {
        world.schedule(after: 1 + world.random.span(mean: climate.base.produceInterval)) {
            guard !self.world.isCalm else { return }
            if !self.isWaiting { self.produce() }
            self.scheduleNext()
        }
    }

    private func produce() {
        let topic = world.random.pick(climate.topics)
        guard let known = self.topic(topic), known.partitions > 0 else { return refreshSoon() }
        let partition = Int32(world.random.below(known.partitions))
        let isAll = world.random.chance(perMille: climate.base.acksAllPerMille)
        send(to: partition, of: topic, acks: isAll ? -1 : Int16(world.random.below(2))) { _ in }
    }

    /// Sends one batch to whoever seems to lead.
    ///
    /// - Parameter told: whether it was acknowledged.
    func send(to partition: Int32, of topic: String, acks: Int16, told: @escaping (Bool) -> Void) {
        guard let known = self.topic(topic), let place = place(of: partition, topic),
            let watch = world.groups[PartitionID(topic: known.id, index: partition)]
        else {
            refreshSoon()
            return told(false)
        }
        let name = BatchName(producer: Int64(number), number: nextNumber)
        nextNumber += 1
        watch.records.sending(name)
        world.statistics.produced += 1
        let count = world.random.within(1...3)
        world.histories.sending(
            name, records: count, to: "\(topic)-\(partition)", by: self.name, acks: acks, at: world.now)
        let bytes = world.batch(
            called: name, count: count, stamp: nil,
            isCompacted: climate.compacted.contains(topic), allowsZstd: chosenVersion(.produce) >= 7)
        let request = ProduceRequest.of(
            bytes, to: partition, of: topic, known.id, acks: acks == -1 ? world.acksAll : acks,
            timeout: climate.requestTimeout)
        isWaiting = acks != 0
        ask(request, at: place, expectsAnswer: acks != 0) { [self] response in
            isWaiting = false
            guard let answer = response?.topics.first?.partitions.first else {
                refreshSoon()
                return told(false)
            }
            if answer.error == .none {
                world.histories.ended(name, at: answer.baseOffset, time: world.now)
                if acks == -1 {
                    world.acknowledged(name, at: answer.baseOffset, in: watch)
                } else {
                    watch.records.stored(name, at: Offset(answer.baseOffset))
                }
                return told(true)
            }
            switch answer.error {
            // Nothing was written.
            case .notLeaderOrFollower, .notEnoughReplicas, .unknownTopicOrPartition, .unknownTopicID:
                watch.records.refused(name)
                world.histories.ended(name, at: nil, time: world.now)
            case .requestTimedOut, .notEnoughReplicasAfterAppend, .kafkaStorageError: break
            default: world.broke(Violation(.requestsEnd, "\(name) was refused by n\(place): \(answer.error)"))
            }
            refreshSoon()
            told(false)
        }
    }

    private func refreshSoon() {
        guard !isRefreshing else { return }
        isRefreshing = true
        refresh(climate.topics) { self.isRefreshing = false }
    }
}
