// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import RecordBatches

/// An idempotent producer, as the Java client and librdkafka are: it sends a batch under the same sequence number until
/// it is acknowledged, with several under way on one connection, and all of them again, in order, on the next one when
/// anything goes wrong. What it had sent before may still arrive after that.
final class IdempotentClient: WireClient {
    private struct Batch {
        let number: Int
        let sequence: Int32
        let bytes: ByteBuffer
    }

    let topicName: String
    let partition: Int32
    private var id: Int64?
    private var nextNumber = 0
    private var nextSequence: Int32 = 0
    /// In the order of their sequence numbers.
    private var unacknowledged: [Batch] = []
    /// Counts its connections; answers on an earlier one are not heard.
    private var round = 0
    private var leader = 0
    /// It has broken its connection off and waits before the next one.
    private var isBetween = true

    init(world: World, number: Int, topic: String, partition: Int32) {
        topicName = topic
        self.partition = partition
        super.init(world: world, name: "idempotent\(number)")
    }

    /// Nothing of its own is still under way.
    var isIdle: Bool { unacknowledged.isEmpty }
    var state: String { "waits for \(unacknowledged.map(\.sequence))\(id == nil ? ", has no id" : "")" }

    private var watch: GroupWatch? {
        topic(topicName).flatMap { world.groups[PartitionID(topic: $0.id, index: partition)] }
    }

    func begin() {
        askForID()
        scheduleNext()
    }

    private func askForID() {
        ask(InitProducerIDRequest.ofAnyProducer, at: somebody) { [self] response in
            guard let response, response.error == .none else {
                return world.schedule(after: backoff) { self.askForID() }
            }
            if !world.producerIDs.insert(response.producerID).inserted {
                world.broke(Violation(.producerOrder, "the producer id \(response.producerID) was given twice"))
            }
            id = response.producerID
            reconnect()
        }
    }

    private func scheduleNext() {
        world.schedule(after: world.random.span(mean: climate.base.produceInterval)) {
            guard !self.world.isCalm else { return }
            // Counted from the first that is not acknowledged, whatever is behind it: brokers remember so many.
            let first = self.unacknowledged.first?.number ?? self.nextNumber
            if self.nextNumber - first < self.climate.base.retrierWindow { self.produce() }
            self.scheduleNext()
        }
    }

    /// Begins one more batch.
    func produce() {
        guard let id, let watch else { return }
        let count = world.random.within(1...3)
        let name = BatchName(producer: BatchName.firstRetrier + id, number: nextSequence)
        let bytes = world.batch(
            called: name, count: count, stamp: ProducerStamp(id: id, epoch: 0, baseSequence: nextSequence),
            isCompacted: climate.compacted.contains(topicName), allowsZstd: chosenVersion(.produce) >= 7)
        let batch = Batch(number: nextNumber, sequence: nextSequence, bytes: bytes)
        nextNumber += 1
        nextSequence += Int32(count)
        unacknowledged.append(batch)
        watch.records.sending(name)
        world.histories.sending(
            name, records: count, to: "\(topicName)-\(partition)", by: self.name, acks: -1, at: world.now)
        world.statistics.produced += 1
        if !isBetween { send(batch) }
    }

    private func reconnect() {
        round += 1
        isBetween = true
        let round = round
        refresh([topicName]) { [self] in
            guard round == self.round else { return }
            guard let leader = place(of: partition, topicName) else { return reconnect() }
            isBetween = false
            self.leader = leader
            for batch in unacknowledged { send(batch) }
        }
    }

    private func send(_ batch: Batch) {
        let round = round
        let place = leader
        world.say("\(name) sends #\(batch.sequence) to n\(place)")
        let request = ProduceRequest.of(
            batch.bytes, to: partition, of: topicName, topic(topicName)?.id ?? .zero, acks: world.acksAll,
            timeout: climate.requestTimeout)
        ask(request, at: place) { [self] response in
            guard round == self.round else { return }
            guard let answer = response?.topics.first?.partitions.first else {
                hangUp(on: place)
                return reconnect()
            }
            answered(batch, answer, by: place)
        }
    }

    private func answered(_ batch: Batch, _ answer: ProduceResponse.Partition, by node: Int) {
        guard let id, let watch, let position = unacknowledged.firstIndex(where: { $0.sequence == batch.sequence })
        else { return }
        let name = BatchName(producer: BatchName.firstRetrier + id, number: batch.sequence)
        if answer.error != .none { world.say("\(name) is told of its batch: \(answer.error)") }
        switch answer.error {
        case .none:
            unacknowledged.remove(at: position)
            world.histories.ended(name, at: answer.baseOffset, time: world.now)
            world.acknowledged(name, at: answer.baseOffset, in: watch)
        case .duplicateSequenceNumber, .invalidProducerEpoch:
            world.broke(Violation(.producerOrder, "\(name) was refused: \(answer.error)"))
        case .outOfOrderSequenceNumber where position == 0 && world.leader(of: watch.partition) == node,
            .unknownProducerID where position == 0 && world.leader(of: watch.partition) == node:
            // What came before is acknowledged, so every leader has it. One that was voted out and has not heard of
            // it may lack it.
            world.broke(Violation(.producerOrder, "\(name) is next, and was refused by n\(node): \(answer.error)"))
        case .notLeaderOrFollower, .requestTimedOut, .notEnoughReplicas, .notEnoughReplicasAfterAppend,
            .unknownTopicOrPartition, .unknownTopicID, .kafkaStorageError, .outOfOrderSequenceNumber,
            .unknownProducerID:
            reconnect()
        default:
            world.broke(Violation(.requestsEnd, "\(name) was refused by n\(node): \(answer.error)"))
        }
    }
}

extension InitProducerIDRequest {
    static var ofAnyProducer: Self {
        var request = Self()
        request.transactionTimeout = .max
        return request
    }
}

extension ProduceRequest {
    static func of(
        _ batch: ByteBuffer, to partition: Int32, of name: String, _ id: TopicID, acks: Int16, timeout: UInt64
    ) -> Self {
        var request = Self()
        request.acks = acks
        request.timeout = Int32(timeout / 1_000_000)
        var topic = Topic()
        topic.name = name
        topic.id = id
        var item = Partition()
        item.index = partition
        item.records = batch
        topic.partitions = [item]
        request.topics = [topic]
        return request
    }
}

extension World {
    /// How acks=all is said, unless a fault is planted.
    var acksAll: Int16 { planted == .hastyLeader ? 1 : -1 }

    /// A batch of a few records, compressed now and then.
    ///
    /// - Parameter stamp: of an idempotent producer.
    func batch(called name: BatchName, count: Int, stamp: ProducerStamp?, isCompacted: Bool, allowsZstd: Bool)
        -> ByteBuffer
    {
        var builder = BatchBuilder(reservingCapacity: 128 + count * (climate.base.payloadBytes + 32))
        var value = ByteBuffer(integer: name.producer)
        value.writeInteger(name.number)
        value.writeRepeatingByte(UInt8(truncatingIfNeeded: name.number), count: climate.base.payloadBytes)
        for place in 0..<count {
            let key = CompactionChecks.key(of: name, place: Int64(place))
            // Some delete their key, and stay all the same.
            let isTombstone = stamp != nil && isCompacted && (name.number &+ Int32(place)) % 5 == 0
            builder.append(
                key: ByteBuffer(integer: key), value: isTombstone ? nil : value,
                timestamp: Timestamp(milliseconds: Self.epoch + Int64(now / 1_000_000) + key))
        }
        let codecs: [Codec] = allowsZstd ? [.gzip, .snappy, .lz4, .zstd] : [.gzip, .snappy, .lz4]
        let codec = random.chance(perMille: climate.compressedPerMille) ? random.pick(codecs) : .none
        do throws(CompressionError) {
            return try builder.finish(codec: codec, producer: stamp)
        } catch {
            preconditionFailure("a batch could not be compressed: \(error)")
        }
    }

    /// A client was told that its batch is committed.
    func acknowledged(_ name: BatchName, at offset: Int64, in watch: GroupWatch) {
        statistics.acknowledged += 1
        digest.add(UInt64(offset.magnitude))
        do throws(Violation) {
            guard offset >= 0 else { throw Violation(.noLoss, "\(name) was acknowledged at \(offset)") }
            let committed = watch.consensus.committedEntry(startingAt: Offset(offset))
            try watch.records.acknowledged(name, at: Offset(offset), committed: committed)
        } catch {
            broke(error)
        }
    }
}
