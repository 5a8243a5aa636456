// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Replication

/// Producers that remember what they were told, and consumers that read up to the high watermark.
struct Load {
    var nextNumber: [Int32]
    /// Where each consumer stands in each partition.
    var positions: [[Offset]]
    var retriers: [Retrier] = []

    init(climate: Climate) {
        nextNumber = Array(repeating: 0, count: climate.producers + 1)
        positions = Array(
            repeating: Array(repeating: .zero, count: climate.partitions), count: climate.consumers)
    }
}

extension Cluster {
    func scheduleLoad() {
        for producer in 0..<climate.producers { scheduleProducer(producer) }
        for consumer in 0..<climate.consumers { scheduleConsumer(consumer) }
    }

    private func scheduleProducer(_ producer: Int) {
        schedule(after: random.span(mean: climate.produceInterval)) {
            guard !self.isCalm else { return }
            let isAll = self.random.chance(perMille: self.climate.acksAllPerMille)
            self.produce(
                by: producer, to: self.random.below(self.climate.partitions),
                acknowledgement: isAll ? .all(minimumInSync: self.climate.minimumInSync) : .leader
            ) { _ in }
            self.scheduleProducer(producer)
        }
    }

    private func scheduleConsumer(_ consumer: Int) {
        schedule(after: 2_000_000 + random.span(mean: 15_000_000)) {
            for number in 0..<self.climate.partitions {
                let place = self.likelyLeader(of: number)
                self.schedule(on: place, life: self.nodes[place].life, after: 100_000) {
                    self.consume(consumer, number, at: place)
                }
            }
            self.scheduleConsumer(consumer)
        }
    }

    func likelyLeader(of number: Int) -> Int {
        guard !random.chance(perMille: 150), let leader = leaders[number]?.leader else {
            return random.below(nodes.count)
        }
        return Int(leader.rawValue)
    }

    // MARK: - Producing

    /// Sends one batch, never to be sent again, to whoever seems to lead.
    func produce(
        by producer: Int, to number: Int, acknowledgement: Acknowledgement, answered: @escaping (ProduceOutcome) -> Void
    ) {
        let name = BatchName(producer: Int64(producer), number: load.nextNumber[producer])
        load.nextNumber[producer] += 1
        let place = likelyLeader(of: number)
        records[number].sending(name)
        let records = random.within(1...3)
        // The same to every node, so that a producer's requests keep their order, as they do on a connection.
        schedule(on: place, life: nodes[place].life, after: 150_000) {
            self.append(name, count: records, to: number, at: place, acknowledgement, answered)
        }
    }

    private func append(
        _ name: BatchName, count: Int, to number: Int, at place: Int, _ acknowledgement: Acknowledgement,
        _ answered: @escaping (ProduceOutcome) -> Void
    ) {
        guard let replica = nodes[place].shard?.replica(partition(number)) else { return }
        let stamp = name.stampOfSingle
        let value = UInt64(bitPattern: name.producer) << 32 | UInt64(name.number.magnitude)
        guard
            let batch = batch(ProducerStamp(id: stamp.id, epoch: 0, baseSequence: stamp.sequence), value, count: count),
            let head = try? EntryHead.parse(batch)
        else {
            preconditionFailure("a simulated batch is well formed")
        }
        let endBefore = replica.log.end
        var isReturned = false
        replica.produce(
            batch, head: head, acknowledgement: acknowledgement, stampsTime: false,
            deadline: Moment(nanoseconds: now + nodes[place].clockOffset + 400_000_000)
        ) { [weak replica] outcome in
            self.produced(name, number, acknowledgement, outcome)
            if !isReturned, case .failed = outcome, replica?.log.end == endBefore { self.records[number].refused(name) }
            answered(outcome)
        }
        isReturned = true
        statistics.produced += 1
    }

    func produced(
        _ name: BatchName, _ number: Int, _ acknowledgement: Acknowledgement, _ outcome: ProduceOutcome
    ) {
        guard case .stored(let offset, _, _) = outcome else { return }
        digest.add(UInt64(offset.rawValue.magnitude))
        if case .all = acknowledgement {
            statistics.acknowledged += 1
            acknowledgements.append((number, name, offset))
        } else {
            records[number].stored(name, at: offset)
        }
    }

    func batch(_ stamp: ProducerStamp, _ value: UInt64, count: Int) -> ByteBuffer? {
        var builder = BatchBuilder(reservingCapacity: 128 + count * (climate.payloadBytes + 16))
        let filling = UInt8(truncatingIfNeeded: value)
        var value = ByteBuffer(integer: value)
        value.writeRepeatingByte(filling, count: climate.payloadBytes)
        for _ in 0..<count {
            builder.append(key: nil, value: value, timestamp: Timestamp(milliseconds: Int64(now / 1_000_000)))
        }
        guard var batch = try? builder.finish(producer: stamp) else { return nil }
        EntryHead.assign(baseOffset: .zero, term: .zero, in: &batch)
        return batch
    }

    // MARK: - Consuming

    private func consume(_ consumer: Int, _ number: Int, at place: Int) {
        guard let replica = nodes[place].shard?.replica(partition(number)), let end = replica.highWatermark else {
            return
        }
        let position = load.positions[consumer][number]
        guard position < end else { return }
        do {
            let limit = isCalm ? 200_000 : random.within(1...6_000)
            let found = try fetch(replica.log, from: position, upTo: end, limit: ByteCount(Int64(limit)))
            try take(found, consumer, number)
        } catch let error as Violation {
            broke(error)
        } catch LogError.outOfRange(let available) {
            load.positions[consumer][number] = max(available.lowerBound, position)
        } catch {
            broke(Violation(.noLoss, "n\(place) cannot serve \(position) below \(end): \(error)"))
        }
    }

    private func take(_ found: [EntryHead], _ consumer: Int, _ number: Int) throws(Violation) {
        var position = load.positions[consumer][number]
        for head in found {
            guard head.baseOffset == position, !head.isMarker else {
                throw Violation(
                    .offsetAccounting, "consumer \(consumer) stands at \(position) and got \(head.baseOffset)")
            }
            try records[number].read(
                BatchName(id: head.producerID, sequence: head.baseSequence), at: head.baseOffset,
                committedOffset: consensus[number].committedOffset, by: "consumer \(consumer)")
            position = head.nextOffset
        }
        load.positions[consumer][number] = position
    }

    /// What a fetch answers, checked byte by byte.
    func fetch(
        _ log: PartitionLog<SimFileSystem>, from position: Offset, upTo end: Offset, limit: ByteCount
    ) throws -> [EntryHead] {
        var bytes = ByteBuffer()
        for piece in try log.fetch(from: position, upTo: end, limit: limit) {
            switch piece {
            case .memory(let buffer): bytes.writeImmutableBuffer(buffer)
            case .file(let range):
                let size = Int(range.size.rawValue)
                try bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { space in
                    try range.file.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: space[..<size]), at: range.position)
                }
            }
        }
        return try EntryHead.all(in: bytes, verifyingChecksums: true)
    }
}
