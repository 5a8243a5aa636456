// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import RecordBatches

/// Sorts records into batches, one open batch a partition, and gives full or old batches to the dispatcher.
/// Lives on the client's loop.
final class ProducerCore {
    private final class OpenBatch {
        let place: TopicPartition
        var builder: BatchBuilder
        var records: [Producer.Pending] = []
        let since = NIODeadline.now()

        init(_ place: TopicPartition, capacity: Int) {
            self.place = place
            builder = BatchBuilder(reservingCapacity: capacity)
        }
    }

    private let core: ClientCore
    private let configuration: ProducerConfiguration
    private let dispatcher: ProduceDispatcher
    private let answered: (_ bytes: Int, _ count: Int) -> Void
    private var open: [TopicPartition: OpenBatch] = [:]
    /// In the order they were opened, so that the oldest are due first.
    private var order: [OpenBatch] = []
    /// Records of topics whose partitions are not known yet.
    private var unrouted: [String: (since: NIODeadline, records: [Producer.Pending])] = [:]
    /// The partition that records without a key go to until its batch is full (KIP-480).
    private var sticky: [String: Int32] = [:]
    private var alarm: Scheduled<Void>?
    private var isFlushing = false

    init(
        _ core: ClientCore, _ configuration: ProducerConfiguration,
        answered: @escaping (_ bytes: Int, _ count: Int) -> Void
    ) {
        self.core = core
        self.configuration = configuration
        self.answered = answered
        var limits = ProduceDispatcher.Limits()
        limits.acks = configuration.acks
        limits.inFlightPerPartition = configuration.inFlightPerPartition
        limits.isIdempotent = configuration.isIdempotent && configuration.acks == .all
        dispatcher = ProduceDispatcher(core, limits)
        core.listen(self) { [weak self] in self?.routeWaiting() }
    }

    func take(_ records: [Producer.Pending]) {
        for pending in records {
            if let partition = partition(for: pending.record) {
                append(pending, to: TopicPartition(topic: pending.record.topic, partition: partition))
            } else {
                unrouted[pending.record.topic, default: (.now(), [])].records.append(pending)
                core.follow(pending.record.topic)
            }
        }
        if core.isClosed { routeWaiting() }
        sealOld()
    }

    /// Sends open batches without waiting for more.
    func flush() {
        isFlushing = true
        for batch in order { seal(batch) }
        order.removeAll()
        isFlushing = !unrouted.isEmpty
    }

    // MARK: Which partition

    private func partition(for record: ProducerRecord) -> Int32? {
        guard let topic = core.map.topics[record.topic], !topic.partitions.isEmpty else { return nil }
        if let partition = record.partition { return partition }
        let count = Int32(topic.partitions.count)
        if let key = record.key { return Int32(murmur2(key) & 0x7fff_ffff) % count }
        let known = sticky[record.topic] ?? Int32.random(in: 0..<count)
        sticky[record.topic] = known
        return known % count
    }

    private func routeWaiting() {
        guard !unrouted.isEmpty else { return }
        let waiting = unrouted
        unrouted = [:]
        let now = NIODeadline.now()
        var isWaiting = false
        for (name, entry) in waiting {
            let topic = core.map.topics[name]
            if core.isClosed {
                refuse(entry.records, .closed)
            } else if let topic, !topic.partitions.isEmpty {
                take(entry.records)
            } else if now - entry.since > core.configuration.deliveryTimeout {
                refuse(entry.records, .refused(topic?.error ?? .unknownTopicOrPartition, subject: name, message: nil))
            } else if let error = topic?.error, error != .none, !error.isRetriable {
                refuse(entry.records, .refused(error, subject: name, message: nil))
            } else {
                unrouted[name] = entry
                isWaiting = true
            }
        }
        if isFlushing { flush() }
        guard isWaiting else { return }
        let ask = OnLoop({ [core] in core.isClosed ? () : core.refresh() }, core.loop)
        core.loop.scheduleTask(in: .milliseconds(100)) { ask.value() }
    }

    private func refuse(_ records: [Producer.Pending], _ error: ClientError) {
        for pending in records { pending.whenDone?(.failure(error)) }
        answered(records.reduce(0) { $0 + $1.size }, records.count)
    }

    // MARK: Batches

    private func append(_ pending: Producer.Pending, to place: TopicPartition) {
        if let batch = open[place], batch.builder.size + pending.size > configuration.batchBytes { sealNow(batch) }
        let batch: OpenBatch
        if let known = open[place] {
            batch = known
        } else {
            batch = OpenBatch(place, capacity: min(configuration.batchBytes, max(4096, pending.size * 4)))
            open[place] = batch
            order.append(batch)
        }
        let record = pending.record
        batch.builder.append(
            key: record.key, value: record.value, headers: record.headers,
            timestamp: Timestamp(milliseconds: record.timestamp))
        batch.records.append(pending)
        if batch.builder.size >= configuration.batchBytes { sealNow(batch) }
    }

    private func sealNow(_ batch: OpenBatch) {
        order.removeAll { $0 === batch }
        seal(batch)
    }

    /// Seals what has waited for long enough, and comes back for the rest.
    private func sealOld() {
        let now = NIODeadline.now()
        let due = order.prefix { isFlushing || $0.since + configuration.linger <= now }
        let leaving = due.filter { isFlushing || hasRoom(for: $0.place) }
        if !leaving.isEmpty {
            order.removeAll { batch in leaving.contains { $0 === batch } }
            for batch in leaving { seal(batch) }
        }
        // Batches that are due and stay are looked at again with the next answer.
        guard alarm == nil, let next = order.first(where: { $0.since + configuration.linger > now }) else { return }
        let wake = OnLoop(
            { [weak self] in
                self?.alarm = nil
                self?.sealOld()
            }, core.loop)
        alarm = core.loop.scheduleTask(deadline: next.since + configuration.linger) { wake.value() }
    }

    /// A batch that could not leave anyway goes on growing: many small ones would only queue.
    private func hasRoom(for place: TopicPartition) -> Bool {
        dispatcher.backlog(of: place) < configuration.inFlightPerPartition
    }

    private func seal(_ batch: OpenBatch) {
        open[batch.place] = nil
        if let known = sticky[batch.place.topic], known == batch.place.partition {
            sticky[batch.place.topic] = known + 1
        }
        let records = batch.records
        let bytes: ByteBuffer
        do throws(CompressionError) {
            bytes = try batch.builder.finish(codec: configuration.codec, level: configuration.level)
        } catch {
            return refuse(records, .invalid("the batch cannot be compressed: \(error)"))
        }
        let place = batch.place
        let deadline = batch.since + core.configuration.deliveryTimeout
        let outgoing = OutgoingBatch(bytes: bytes, deadline: deadline, records: records.count) {
            [weak self, answered] result in
            for (index, pending) in records.enumerated() {
                pending.whenDone?(
                    result.map { receipt in
                        RecordReceipt(place: place, offset: receipt.baseOffset.map { $0 + Int64(index) })
                    })
            }
            answered(records.reduce(0) { $0 + $1.size }, records.count)
            self?.sealOld()
        }
        dispatcher.submit(outgoing, to: place)
    }
}

/// MurmurHash2 with the seed of Kafka's Java client, so that a key goes to the same partition from every client.
func murmur2(_ key: ByteBuffer) -> UInt32 {
    key.withUnsafeReadableBytes { bytes in
        let multiplier: UInt32 = 0x5bd1_e995
        var hash = 0x9747_b28c ^ UInt32(truncatingIfNeeded: bytes.count)
        var place = 0
        while place + 4 <= bytes.count {
            var block = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
            block = block &* multiplier
            block ^= block >> 24
            block = block &* multiplier
            hash = hash &* multiplier
            hash ^= block
            place += 4
        }
        let rest = bytes.count - place
        if rest >= 3 { hash ^= UInt32(bytes[place + 2]) << 16 }
        if rest >= 2 { hash ^= UInt32(bytes[place + 1]) << 8 }
        if rest >= 1 {
            hash ^= UInt32(bytes[place])
            hash = hash &* multiplier
        }
        hash ^= hash >> 13
        hash = hash &* multiplier
        return hash ^ hash >> 15
    }
}
