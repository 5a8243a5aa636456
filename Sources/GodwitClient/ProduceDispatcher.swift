// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import RecordBatches

/// How many replicas have to have a batch before it is acknowledged.
public enum Acknowledgement: Int16, Hashable, Sendable {
    /// No answer at all: what is lost is lost.
    case none = 0
    /// The leader has it.
    case leader = 1
    /// All in-sync replicas have it: with Godwit a majority, on disk.
    case all = -1
}

/// Where a batch landed.
public struct BatchReceipt: Hashable, Sendable {
    public let place: TopicPartition
    /// The offset of the batch's first record; `nil` with `Acknowledgement.none`.
    public let baseOffset: Int64?
    /// The leader's time in milliseconds where the topic keeps append times.
    public let appendTime: Int64?
}

/// One batch on its way to a partition.
final class OutgoingBatch {
    private(set) var bytes: ByteBuffer
    let deadline: NIODeadline
    /// How many sequence numbers it takes.
    let records: Int
    /// Set with the first attempt, with idempotence.
    private(set) var stamp: ProducerStamp?
    let completion: (Result<BatchReceipt, ClientError>) -> Void
    /// Keeps the encoded request of a batch that is sent again and again.
    let frames: PreparedBatch.Frames?
    fileprivate var order: UInt64 = 0

    init(
        bytes: ByteBuffer, deadline: NIODeadline, records: Int = 0, frames: PreparedBatch.Frames? = nil,
        completion: @escaping (Result<BatchReceipt, ClientError>) -> Void
    ) {
        self.bytes = bytes
        self.deadline = deadline
        self.records = records
        self.frames = frames
        self.completion = completion
    }

    func put(_ stamp: ProducerStamp) {
        self.stamp = stamp
        stamp.put(into: &bytes)
    }
}

/// Brings batches to the leaders of their partitions, in order for each partition, and tries again what failed.
///
/// Lives on the client's loop. All batches that are ready for one leader in one turn of the loop share a request.
final class ProduceDispatcher {
    struct Limits {
        var acks = Acknowledgement.all
        /// Whether batches are numbered, so that one that is sent again is stored once.
        var isIdempotent = false
        /// Without idempotence, one keeps the order of a partition's records through every failure.
        var inFlightPerPartition = 1
        var requestBytes = 4 << 20
        /// After this long without an answer, the client asks whether somebody else leads by now.
        var suspicion: TimeAmount = .seconds(1)
    }

    /// The batches of one partition.
    private final class Line {
        let place: TopicPartition
        var queue = CircularBuffer<OutgoingBatch>()
        var inFlight = 0
        var nextOrder: UInt64 = 0
        var failingSince: NIODeadline?
        var notBefore: NIODeadline?
        /// Whom the last attempt went to. Another leader is tried without a pause.
        var lastTried: (node: Int32, epoch: Int32)?
        var sequence = PartitionSequence()

        init(_ place: TopicPartition) { self.place = place }
    }

    private struct Parcel {
        let line: Line
        let batch: OutgoingBatch
    }

    /// A request that waits for its answer.
    private final class Flight {
        let address: BrokerAddress
        let parcels: [Parcel]
        let sent = NIODeadline.now()

        init(_ address: BrokerAddress, _ parcels: [Parcel]) {
            self.address = address
            self.parcels = parcels
        }
    }

    private let core: ClientCore
    private let limits: Limits
    private var lines: [TopicPartition: Line] = [:]
    /// Lines with batches to send, each once.
    private var busy: [Line] = []
    private var flights: [ObjectIdentifier: Flight] = [:]
    private var pumpIsDue = false
    private var alarm: Scheduled<Void>?
    private var watch: Scheduled<Void>?
    private lazy var identity = ProducerIdentity(core) { [weak self] in self?.identified($0) }

    init(_ core: ClientCore, _ limits: Limits) {
        self.core = core
        self.limits = limits
        core.listen(self) { [weak self] in self?.mapChanged() }
    }

    // MARK: Taking batches

    func submit(_ batch: OutgoingBatch, to place: TopicPartition) {
        core.loop.preconditionInEventLoop()
        guard !core.isClosed else { return batch.completion(.failure(.closed)) }
        core.follow(place.topic)
        let line = lines[place] ?? Line(place)
        lines[place] = line
        batch.order = line.nextOrder
        line.nextOrder += 1
        if line.queue.isEmpty { busy.append(line) }
        line.queue.append(batch)
        pumpSoon()
    }

    /// Batches that have not been answered yet, for a partition.
    func backlog(of place: TopicPartition) -> Int {
        lines[place].map { $0.queue.count + $0.inFlight } ?? 0
    }

    /// Once a turn of the loop, so that what comes together goes together.
    private func pumpSoon() {
        guard !pumpIsDue else { return }
        pumpIsDue = true
        let pump = OnLoop(
            { [weak self] in
                self?.pumpIsDue = false
                self?.pump()
            }, core.loop)
        core.loop.execute { pump.value() }
    }

    // MARK: Sending

    private func pump() {
        guard !core.isClosed else { return failAll(.closed) }
        let now = NIODeadline.now()
        var ready: [BrokerAddress: [Parcel]] = [:]
        var order: [BrokerAddress] = []
        var alarmAt: NIODeadline?
        var isLeaderless = false
        for line in busy {
            dropLate(line, now)
            while line.inFlight < limits.inFlightPerPartition, let batch = line.queue.first {
                guard let leader = core.map.leader(of: line.place.topic, line.place.partition) else {
                    isLeaderless = true
                    if line.failingSince == nil { line.failingSince = now }
                    if let fault = hopeless(line) { return refuse(line, fault) }
                    break
                }
                let isNew = line.lastTried.map { $0.node != leader.node.id || $0.epoch < leader.epoch } ?? false
                if let notBefore = line.notBefore, notBefore > now, !isNew {
                    alarmAt = min(alarmAt ?? notBefore, notBefore)
                    break
                }
                guard isNumbered(line, batch) else { break }
                line.notBefore = nil
                line.lastTried = (leader.node.id, leader.epoch)
                line.queue.removeFirst()
                line.inFlight += 1
                if ready[leader.node.address] == nil { order.append(leader.node.address) }
                ready[leader.node.address, default: []].append(Parcel(line: line, batch: batch))
            }
        }
        busy.removeAll { $0.queue.isEmpty }
        for address in order { depart(ready[address] ?? [], to: address) }
        if isLeaderless {
            core.refresh()
            let soon = now + core.configuration.retryBackoff
            alarmAt = min(alarmAt ?? soon, soon)
        }
        if let alarmAt { ring(at: alarmAt) }
    }

    /// A partition that the cluster says does not exist, although the topic does.
    private func hopeless(_ line: Line) -> ClientError? {
        guard let topic = core.map.topics[line.place.topic], topic.error == .none, !topic.partitions.isEmpty,
            topic.partitions[line.place.partition] == nil
        else { return nil }
        return .invalid("topic '\(line.place.topic)' has no partition \(line.place.partition)")
    }

    private func refuse(_ line: Line, _ error: ClientError) {
        let batches = Array(line.queue)
        line.queue.removeAll()
        busy.removeAll { $0 === line }
        for batch in batches { fail(batch, of: line, error) }
        pumpSoon()
    }

    private func dropLate(_ line: Line, _ now: NIODeadline) {
        while let batch = line.queue.first, batch.deadline <= now {
            line.queue.removeFirst()
            fail(batch, of: line, .timedOut("a batch for \(line.place)"))
        }
    }

    /// Cuts what goes to one broker into requests.
    private func depart(_ parcels: [Parcel], to address: BrokerAddress) {
        var group: [Parcel] = []
        var bytes = 0
        for parcel in parcels {
            let size = parcel.batch.bytes.readableBytes
            // One batch a partition and request; a batch with a frame of its own goes alone.
            let isFull =
                bytes + size > limits.requestBytes || parcel.batch.frames != nil
                || group.contains { $0.line === parcel.line }
            if isFull, !group.isEmpty {
                launch(group, to: address)
                group = []
                bytes = 0
            }
            group.append(parcel)
            bytes += size
            if parcel.batch.frames != nil {
                launch(group, to: address)
                group = []
                bytes = 0
            }
        }
        if !group.isEmpty { launch(group, to: address) }
    }

    private func launch(_ parcels: [Parcel], to address: BrokerAddress) {
        let connection = core.connection(to: address, .produce)
        let hasIDs = parcels.allSatisfy { core.map.topics[$0.line.place.topic].map { $0.id != .zero } ?? false }
        let limit: Int16 = hasIDs ? .max : 12
        let frame = { [self] (correlationID: Int32, version: Int16) in
            if parcels.count == 1, let frames = parcels[0].batch.frames {
                let place = parcels[0].line.place
                let id = core.map.topics[place.topic]?.id ?? .zero
                return frames.frame(correlationID, version, place, id) {
                    encode(self.request(parcels), correlationID, self.core.configuration.clientID, version)
                }
            }
            return encode(request(parcels), correlationID, core.configuration.clientID, version)
        }
        let flight = Flight(address, parcels)
        flights[ObjectIdentifier(flight)] = flight
        if limits.acks == .none {
            connection.sendWithoutAnswer(ProduceRequest.self, limit: limit, frame: frame) { [self] result in
                landed(flight)
                for parcel in parcels {
                    switch result {
                    case .success: succeed(parcel, baseOffset: nil, appendTime: nil)
                    case .failure(let error): failed(parcel, error)
                    }
                }
                pumpSoon()
            }
        } else {
            let timeout = core.configuration.requestTimeout
            connection.send(ProduceRequest.self, limit: limit, timeout: timeout, frame: frame) { [self] result in
                landed(flight)
                answered(parcels, result)
                pumpSoon()
            }
            armWatch()
        }
    }

    private func request(_ parcels: [Parcel]) -> ProduceRequest {
        var request = ProduceRequest()
        request.acks = limits.acks.rawValue
        request.timeout = Int32(clamping: core.configuration.requestTimeout.nanoseconds / 1_000_000)
        for parcel in parcels {
            let place = parcel.line.place
            var partition = ProduceRequest.Partition()
            partition.index = place.partition
            partition.records = parcel.batch.bytes
            if let known = request.topics.firstIndex(where: { $0.name == place.topic }) {
                request.topics[known].partitions.append(partition)
            } else {
                var topic = ProduceRequest.Topic()
                topic.name = place.topic
                topic.id = core.map.topics[place.topic]?.id ?? .zero
                topic.partitions = [partition]
                request.topics.append(topic)
            }
        }
        return request
    }

    // MARK: Answers

    private func landed(_ flight: Flight) {
        flights[ObjectIdentifier(flight)] = nil
        for parcel in flight.parcels { parcel.line.inFlight -= 1 }
    }

    private func answered(_ parcels: [Parcel], _ result: Result<ProduceResponse, ClientError>) {
        let answer: ProduceResponse
        switch result {
        case .failure(let error):
            for parcel in parcels { failed(parcel, error) }
            return
        case .success(let response): answer = response
        }
        for parcel in parcels {
            let place = parcel.line.place
            let id = core.map.topics[place.topic]?.id
            let partition = answer.topics.lazy
                .filter { $0.name == place.topic || ($0.name.isEmpty && ($0.id == id || parcels.count == 1)) }
                .flatMap(\.partitions).first { $0.index == place.partition }
            guard let partition else {
                failed(parcel, .badAnswer("a produce answer without \(place)"))
                continue
            }
            if partition.error == .none {
                succeed(
                    parcel, baseOffset: partition.baseOffset,
                    appendTime: partition.logAppendTime >= 0 ? partition.logAppendTime : nil)
            } else {
                _ = core.takeHint(
                    partition.currentLeader, answer.nodeEndpoints, topic: place.topic, partition: place.partition)
                failed(parcel, .refused(partition.error, subject: "\(place)", message: partition.errorMessage))
            }
        }
    }

    private func succeed(_ parcel: Parcel, baseOffset: Int64?, appendTime: Int64?) {
        parcel.line.failingSince = nil
        parcel.line.lastTried = nil
        if let stamp = parcel.batch.stamp { parcel.line.sequence.acknowledged(stamp, records: parcel.batch.records) }
        parcel.batch.completion(
            .success(BatchReceipt(place: parcel.line.place, baseOffset: baseOffset, appendTime: appendTime)))
    }

    private func failed(_ parcel: Parcel, _ error: ClientError) {
        if case .refused(let code, _, _) = error, let stamp = parcel.batch.stamp {
            switch meaning(of: code, parcel.line, stamp) {
            case .isStored: return succeed(parcel, baseOffset: nil, appendTime: nil)
            case .again: return sendAgain(parcel, error)
            case .nothing: break
            }
        }
        guard error.isRetriable else { return fail(parcel.batch, of: parcel.line, error) }
        sendAgain(parcel, error)
    }

    private func sendAgain(_ parcel: Parcel, _ error: ClientError) {
        let now = NIODeadline.now()
        let line = parcel.line
        let since = line.failingSince ?? now
        line.failingSince = since
        guard !core.isClosed, parcel.batch.deadline > now else { return fail(parcel.batch, of: line, error) }
        line.notBefore = now + core.backoff(since: since)
        if line.queue.isEmpty { busy.append(line) }
        // Back to its place before the younger ones.
        let place = line.queue.firstIndex { $0.order > parcel.batch.order } ?? line.queue.endIndex
        line.queue.insert(parcel.batch, at: place)
        core.refresh()
    }

    /// For good. A number that the broker may never see leaves a gap behind it.
    private func fail(_ batch: OutgoingBatch, of line: Line, _ error: ClientError) {
        if batch.stamp != nil { line.sequence.mustRestart = true }
        batch.completion(.failure(error))
    }

    // MARK: Numbers

    /// Gives the batch its number, unless that has to wait.
    private func isNumbered(_ line: Line, _ batch: OutgoingBatch) -> Bool {
        guard limits.isIdempotent else { return true }
        if line.sequence.mustRestart {
            // Answers that are on their way belong to the old numbers.
            guard line.inFlight == 0 else { return false }
            if case .known(let id, let epoch) = identity.state, line.sequence.isUnder(id, epoch) { identity.bump() }
        }
        guard case .known(let id, let epoch) = identity.state else {
            identity.ask()
            return identity.state == .unavailable
        }
        // Another partition may have raised the epoch. What has a number keeps it, unless it is void.
        let isIdle = line.inFlight == 0 && batch.stamp == nil
        if line.sequence.mustRestart || (isIdle && !line.sequence.isUnder(id, epoch)) {
            line.sequence.restart(id: id, epoch: epoch)
            for waiting in line.queue where waiting.stamp != nil {
                waiting.put(line.sequence.stamp(records: waiting.records))
            }
        }
        if batch.stamp == nil { batch.put(line.sequence.stamp(records: batch.records)) }
        return true
    }

    private enum Meaning { case isStored, again, nothing }

    /// What an error says about a numbered batch (KIP-360).
    private func meaning(of code: ErrorCode, _ line: Line, _ stamp: ProducerStamp) -> Meaning {
        switch code {
        case .duplicateSequenceNumber: return .isStored
        case .outOfOrderSequenceNumber:
            // An older batch may only be on its way. If none is, the broker has lost what came before.
            if line.sequence.isNext(stamp) { line.sequence.mustRestart = true }
            return .again
        case .unknownProducerID:
            line.sequence.mustRestart = true
            return .again
        case .invalidProducerEpoch, .producerFenced:
            if case .known(stamp.id, stamp.epoch) = identity.state { identity.forget() }
            line.sequence.mustRestart = true
            return .again
        default: return .nothing
        }
    }

    private func identified(_ error: ClientError?) {
        guard let error else { return pumpSoon() }
        if error.isRetriable { return ring(at: .now() + core.configuration.retryBackoff) }
        failAll(error)
    }

    // MARK: Time

    private func ring(at time: NIODeadline) {
        guard alarm == nil else { return }
        let wake = OnLoop(
            { [weak self] in
                self?.alarm = nil
                self?.pump()
            }, core.loop)
        alarm = core.loop.scheduleTask(deadline: time) { wake.value() }
    }

    private func mapChanged() {
        guard !core.isClosed else { return failAll(.closed) }
        // A leader that stopped answering (a frozen process, a lost network) resets no connection. Once the cluster has
        // another one, waiting for the old one is pointless.
        let now = NIODeadline.now()
        for flight in Array(flights.values) where flight.sent + limits.suspicion <= now {
            let hasMoved = flight.parcels.contains { parcel in
                guard let leader = core.map.leader(of: parcel.line.place.topic, parcel.line.place.partition) else {
                    return false
                }
                return leader.node.address != flight.address
            }
            if hasMoved { core.abandon(flight.address, .produce) }
        }
        if !busy.isEmpty { pumpSoon() }
    }

    private func armWatch() {
        guard watch == nil else { return }
        let look = OnLoop(
            { [weak self] in
                guard let self else { return }
                self.watch = nil
                guard !self.core.isClosed, !self.flights.isEmpty else { return }
                let limit = NIODeadline.now() - self.limits.suspicion
                if self.flights.values.contains(where: { $0.sent <= limit }) { self.core.refresh() }
                self.armWatch()
            }, core.loop)
        watch = core.loop.scheduleTask(in: .nanoseconds(limits.suspicion.nanoseconds / 2)) { look.value() }
    }

    private func failAll(_ error: ClientError) {
        let waiting = busy.map { ($0, Array($0.queue)) }
        for line in busy { line.queue.removeAll() }
        busy.removeAll()
        alarm?.cancel()
        alarm = nil
        watch?.cancel()
        watch = nil
        for (line, batches) in waiting {
            for batch in batches { fail(batch, of: line, error) }
        }
    }
}
