// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import RecordBatches

/// The fetch loop: one request at a time to each leader, for all partitions it leads. Lives on the client's loop.
final class ConsumerCore {
    private final class Reading {
        let place: TopicPartition
        /// `nil` until the starting point has been looked up.
        var position: Int64?
        var start: StartingPoint
        var isSearching = false
        var isInFlight = false
        /// Whether the end has been announced since the last records.
        var saidEnd = false
        var failingSince: NIODeadline?
        var notBefore: NIODeadline?

        init(_ place: TopicPartition, _ start: StartingPoint) {
            self.place = place
            self.start = start
            if case .offset(let offset) = start { position = offset }
        }
    }

    private let core: ClientCore
    private let configuration: ConsumerConfiguration
    private let put: (Result<ConsumerEvent, ClientError>) -> Void
    private var readings: [Reading] = []
    private var byPlace: [TopicPartition: Reading] = [:]
    private var fetching: Set<BrokerAddress> = []
    /// Bytes handed over and not yet taken by the reader.
    private var buffered = 0
    private var isStopped = false
    private var pumpIsDue = false
    private var alarm: Scheduled<Void>?
    /// Where the next request begins, so that no partition always comes last.
    private var turn = 0

    init(
        _ core: ClientCore, _ configuration: ConsumerConfiguration,
        put: @escaping (Result<ConsumerEvent, ClientError>) -> Void
    ) {
        self.core = core
        self.configuration = configuration
        self.put = put
        core.listen(self) { [weak self] in self?.pumpSoon() }
    }

    func assign(_ places: [(TopicPartition, StartingPoint)]) {
        for (place, start) in places where byPlace[place] == nil {
            let reading = Reading(place, start)
            readings.append(reading)
            byPlace[place] = reading
            core.follow(place.topic)
        }
        pumpSoon()
    }

    /// Stops reading these partitions. What was fetched of them and has not been handed over is dropped with the answer.
    func unassign(_ places: Set<TopicPartition>) {
        for place in places { byPlace[place] = nil }
        readings.removeAll { places.contains($0.place) }
    }

    func consumed(_ bytes: Int) {
        let wasFull = buffered >= configuration.bufferBytes
        buffered -= bytes
        if wasFull, buffered < configuration.bufferBytes { pumpSoon() }
    }

    func stop() {
        isStopped = true
        alarm?.cancel()
        alarm = nil
        core.unlisten(self)
    }

    private func fail(_ error: ClientError) {
        guard !isStopped else { return }
        stop()
        put(.failure(error))
    }

    private func pumpSoon() {
        guard !pumpIsDue, !isStopped else { return }
        pumpIsDue = true
        let pump = OnLoop(
            { [weak self] in
                self?.pumpIsDue = false
                self?.pump()
            }, core.loop)
        core.loop.execute { pump.value() }
    }

    // MARK: Asking

    private func pump() {
        guard !isStopped else { return }
        guard !core.isClosed else { return fail(.closed) }
        guard buffered < configuration.bufferBytes else { return }
        search()
        let now = NIODeadline.now()
        var groups: [BrokerAddress: [Reading]] = [:]
        var alarmAt: NIODeadline?
        turn = readings.isEmpty ? 0 : (turn + 1) % readings.count
        for reading in readings[turn...] + readings[..<turn] where reading.position != nil && !reading.isInFlight {
            if let notBefore = reading.notBefore, notBefore > now {
                alarmAt = min(alarmAt ?? notBefore, notBefore)
                continue
            }
            guard let leader = core.map.leader(of: reading.place.topic, reading.place.partition) else {
                if let fault = hopeless(reading, now) { return fail(fault) }
                postpone(reading)
                core.refresh()
                alarmAt = min(alarmAt ?? .distantFuture, reading.notBefore ?? .distantFuture)
                continue
            }
            guard !fetching.contains(leader.node.address) else { continue }
            groups[leader.node.address, default: []].append(reading)
        }
        for (address, group) in groups { fetch(group, from: address) }
        if let alarmAt { ring(at: alarmAt) }
    }

    private func hopeless(_ reading: Reading, _ now: NIODeadline) -> ClientError? {
        guard let topic = core.map.topics[reading.place.topic] else { return nil }
        if topic.error == .none, !topic.partitions.isEmpty, topic.partitions[reading.place.partition] == nil {
            return .invalid("topic '\(reading.place.topic)' has no partition \(reading.place.partition)")
        }
        if topic.error != .none, !topic.error.isRetriable {
            return .refused(topic.error, subject: reading.place.topic, message: nil)
        }
        if let since = reading.failingSince, now - since > core.configuration.deliveryTimeout {
            return .refused(
                topic.error == .none ? .leaderNotAvailable : topic.error, subject: "\(reading.place)", message: nil)
        }
        return nil
    }

    private func postpone(_ reading: Reading) {
        let now = NIODeadline.now()
        let since = reading.failingSince ?? now
        reading.failingSince = since
        reading.notBefore = now + core.backoff(since: since)
    }

    /// Turns starting points into offsets.
    private func search() {
        var queries: [(TopicPartition, Int64)] = []
        for reading in readings where reading.position == nil && !reading.isSearching {
            let query: OffsetQuery =
                switch reading.start {
                case .beginning: .earliest
                case .end: .latest
                case .timestamp(let milliseconds): .timestamp(milliseconds)
                case .offset: .earliest
                }
            reading.isSearching = true
            queries.append((reading.place, query.wireValue))
        }
        guard !queries.isEmpty else { return }
        OffsetSearch(core, patience: core.configuration.deliveryTimeout) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let error): self.fail(error)
            case .success(let found):
                for (place, _) in queries {
                    guard let offset = found[place] else {
                        return self.fail(.timedOut("the search for the start of \(place)"))
                    }
                    self.byPlace[place]?.position = offset
                    self.byPlace[place]?.isSearching = false
                }
                self.pumpSoon()
            }
        }.start(queries)
    }

    private func fetch(_ group: [Reading], from address: BrokerAddress) {
        var request = FetchRequest()
        request.maxWait = Int32(clamping: configuration.maxWait.nanoseconds / 1_000_000)
        request.minBytes = Int32(clamping: configuration.minBytes)
        request.maxBytes = Int32(clamping: configuration.maxBytes)
        var hasIDs = true
        for reading in group {
            reading.isInFlight = true
            let topic = core.map.topics[reading.place.topic]
            var partition = FetchRequest.Partition()
            partition.index = reading.place.partition
            partition.fetchOffset = reading.position ?? 0
            partition.currentLeaderEpoch = topic?.partitions[reading.place.partition]?.leaderEpoch ?? -1
            partition.maxBytes = Int32(clamping: configuration.partitionBytes)
            hasIDs = hasIDs && topic.map { $0.id != .zero } ?? false
            if let known = request.topics.firstIndex(where: { $0.name == reading.place.topic }) {
                request.topics[known].partitions.append(partition)
            } else {
                var entry = FetchRequest.Topic()
                entry.name = reading.place.topic
                entry.id = topic?.id ?? .zero
                entry.partitions = [partition]
                request.topics.append(entry)
            }
        }
        fetching.insert(address)
        let timeout = core.configuration.requestTimeout + configuration.maxWait
        core.connection(to: address, .fetch).send(request, limit: hasIDs ? .max : 12, timeout: timeout) {
            [weak self] result in
            guard let self else { return }
            self.fetching.remove(address)
            for reading in group { reading.isInFlight = false }
            guard !self.isStopped else { return }
            switch result {
            case .failure(let error): self.failed(group, error)
            case .success(let answer):
                if answer.error != .none {
                    self.failed(group, .refused(answer.error, subject: "\(address)", message: nil))
                } else {
                    self.take(answer, group)
                }
            }
            self.pumpSoon()
        }
    }

    // MARK: Answers

    private func failed(_ group: [Reading], _ error: ClientError) {
        guard error.isRetriable else { return fail(error) }
        for reading in group { postpone(reading) }
        core.refresh()
    }

    private func take(_ answer: FetchResponse, _ group: [Reading]) {
        for topic in answer.topics {
            guard let name = topic.name.isEmpty ? core.map.name(of: topic.id) : topic.name else { continue }
            for partition in topic.partitions {
                guard let reading = byPlace[TopicPartition(topic: name, partition: partition.index)],
                    group.contains(where: { $0 === reading }), !isStopped
                else { continue }
                if partition.error == .none {
                    reading.failingSince = nil
                    reading.notBefore = nil
                    takeRecords(partition, reading)
                } else {
                    takeError(partition, answer, reading)
                }
            }
        }
    }

    private func takeError(_ partition: FetchResponse.Partition, _ answer: FetchResponse, _ reading: Reading) {
        let place = reading.place
        let error = ClientError.refused(partition.error, subject: "\(place)", message: nil)
        if partition.error == .offsetOutOfRange {
            guard configuration.resetsOutOfRange, let position = reading.position else { return fail(error) }
            // Behind the beginning: retention was faster. Ahead of the end: there is nothing yet.
            let isAhead = partition.logStartOffset >= 0 && position > partition.logStartOffset
            reading.start = isAhead ? .end : .beginning
            reading.position = nil
            return
        }
        guard error.isRetriable else { return fail(error) }
        postpone(reading)
        if core.takeHint(
            partition.currentLeader, answer.nodeEndpoints, topic: place.topic, partition: place.partition)
        {
            reading.notBefore = nil
        }
        core.refresh()
    }

    private func takeRecords(_ partition: FetchResponse.Partition, _ reading: Reading) {
        guard let position = reading.position else { return }
        if case .bytes(var bytes) = partition.records, bytes.readableBytes > 0 {
            switch wholeBatches(&bytes, reading.place) {
            case .failure(let error): return fail(error)
            case .success(let end) where end > position:
                reading.position = end
                reading.saidEnd = false
                buffered += bytes.readableBytes
                put(
                    .success(
                        .records(
                            FetchedChunk(
                                place: reading.place, bytes: bytes, from: position, end: end,
                                highWatermark: partition.highWatermark,
                                unpackedLimit: core.configuration.maxUnpackedBatchBytes))))
            case .success:
                // One batch larger than was asked for always comes whole (KIP-74), so this is an answer without an end.
                return fail(.badAnswer("no whole batch of \(reading.place) at offset \(position)"))
            }
        }
        let now = reading.position ?? position
        if now >= partition.highWatermark, !reading.saidEnd {
            reading.saidEnd = true
            put(.success(.end(reading.place, offset: now)))
        }
    }

    /// Cuts off a batch at the end that is not whole, which a broker may send. Gives the offset after the last record.
    private func wholeBatches(_ bytes: inout ByteBuffer, _ place: TopicPartition) -> Result<Int64, ClientError> {
        var position = bytes.readerIndex
        var end: Int64 = -1
        while position + EntryHead.size <= bytes.writerIndex {
            guard let length = bytes.getInteger(at: position + 8, as: Int32.self), length >= 0 else {
                return .failure(.badAnswer("\(place): a batch without a length"))
            }
            guard position + 12 + Int(length) <= bytes.writerIndex else { break }
            // Before KIP-101 a batch had no leader epoch (−1). It lies outside the checksum.
            if let epoch = bytes.getInteger(at: position + 12, as: Int32.self), epoch < 0 {
                bytes.setInteger(Int32(0), at: position + 12)
            }
            do throws(BatchError) {
                let head = try EntryHead.parse(bytes, at: position)
                end = head.nextOffset.rawValue
                position += head.totalSize
            } catch {
                return .failure(.badAnswer("\(place): \(error)"))
            }
        }
        bytes.moveWriterIndex(to: position)
        return .success(end)
    }

    private func ring(at time: NIODeadline) {
        guard alarm == nil else { return }
        let wake = OnLoop(
            { [weak self] in
                self?.alarm = nil
                self?.pump()
            }, core.loop)
        alarm = core.loop.scheduleTask(deadline: time) { wake.value() }
    }
}
