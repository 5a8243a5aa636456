// SPDX-License-Identifier: Apache-2.0

import Broker
import GodwitNode
import Histories
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import RecordBatches
import Replication

/// What must come about once the faults have ended.
extension World {
    /// V1: each partition takes in and commits a batch within a bounded time of the faults' end, asked by a client.
    func proveAlive() -> Bool {
        let prober = PlainClient(world: self, number: 999)
        plainProducers.append(prober)
        var left = orderedGroups.filter { $0.isData && !$0.isDoomed }.map(\.partition)
        prober.refresh(climate.topics)
        let bound = 20 * climate.base.electionTimeout + 8_000_000_000 + backlogTime
        func attempt(_ partition: PartitionID) {
            guard left.contains(partition), let name = groups[partition]?.topicName else { return }
            prober.send(to: partition.index, of: name, acks: -1) { isDone in
                if isDone { left.removeAll { $0 == partition } }
            }
            // Not faster than batches can be carried, or the probes themselves would be the backlog.
            schedule(after: max(100_000_000, 4 * climate.base.batchInterval)) { attempt(partition) }
        }
        for partition in left { attempt(partition) }
        guard run(until: now + bound, orUntil: { left.isEmpty }) else { return false }
        for partition in left {
            broke(
                Violation(
                    .liveness,
                    "\(name(partition)) commits nothing \(bound / 1_000_000) ms after the faults:"
                        + state(of: partition)
                ))
        }
        return violation == nil
    }

    /// How long the network and the disks may take to carry what some replica still lacks.
    var backlogTime: UInt64 {
        var slots: Int64 = 0
        for group in orderedGroups where !group.isDoomed {
            let ends = group.consensus.voting.filter(core.contains).map { group.consensus.replicas[$0].end }
            guard let longest = ends.max(), let shortest = ends.min() else { continue }
            slots = max(slots, longest.slots(since: shortest))
        }
        return UInt64(slots) * 2 * climate.base.batchInterval
    }

    /// V3 and V6: all replicas of the core come to the same end, producers are answered, and every consumer reads all.
    func converge() -> Bool {
        let bound = now + 20 * climate.base.electionTimeout + 10_000_000_000 + backlogTime
        while now < bound {
            guard run(until: now + 20_000_000) else { return false }
            if orderedGroups.allSatisfy({ hasConverged($0) }), movesAreDone { return true }
        }
        if !movesAreDone { broke(Violation(.movesEnd, "partitions are still being moved: \(moving)")) }
        for group in orderedGroups where !hasConverged(group) {
            broke(
                Violation(
                    .liveness, "\(name(group.partition)) does not come to rest:\(state(of: group.partition))"))
        }
        return false
    }

    /// V8: when nobody wants anything, a group elects once at most: when its leadership goes where it is preferred.
    func staysQuiet() -> Bool {
        for group in orderedGroups { group.elections = 0 }
        guard run(until: now + 10 * climate.base.electionTimeout) else { return false }
        for group in orderedGroups where group.elections > 1 {
            broke(
                Violation(
                    .quiet, "\(name(group.partition)) has elected \(group.elections) leaders and was asked nothing"))
        }
        return violation == nil
    }

    /// The partitions that some node of the core believes to be on the move.
    private var moving: [PartitionID] {
        machines.filter { core.contains($0.place) }
            .flatMap { $0.cell?.broker.view.cluster.movingPartitions ?? [] }
    }

    private var movesAreDone: Bool { moving.isEmpty }

    private func hasConverged(_ group: GroupWatch) -> Bool {
        guard !group.isDoomed else { return true }
        let end = group.consensus.committedEnd
        for place in core where group.consensus.voting.contains(place) {
            guard let view = group.consensus.replicas[place].view, view.commit == end, view.end == end else {
                return false
            }
        }
        guard group.isData, let name = group.topicName else { return true }
        let index = group.partition.index
        let offset = group.consensus.committedOffset.rawValue
        return consumers.allSatisfy { $0.position(name, index) == offset }
            && producers.allSatisfy { $0.isIdle || $0.topicName != name || $0.partition != index }
    }

    private func state(of partition: PartitionID) -> String {
        guard let group = groups[partition] else { return "" }
        var lines = ""
        for (place, replica) in group.consensus.replicas.enumerated() where group.consensus.voting.contains(place) {
            lines += "\n    n\(place)\(core.contains(place) ? "" : ", not in the core,") "
            guard let view = replica.view, machines[place].isUp else {
                lines += "down"
                continue
            }
            lines += "\(view.role) in \(view.term), commit \(view.commit), durable \(view.durable), end \(view.end)"
        }
        guard group.isData, let name = group.topicName else { return lines }
        for producer in producers where producer.topicName == name && producer.partition == partition.index {
            if !producer.isIdle { lines += "\n    \(producer.name) \(producer.state)" }
        }
        return lines + "\n    consumers at \(consumers.map { $0.position(name, partition.index) })"
    }

    // MARK: - Reading everything

    /// Every replica's log, as a consumer would be given it: the same everywhere, with all that was acknowledged.
    func readEverything(_ group: GroupWatch) throws {
        guard let topic = group.topicName else { return }
        let isCompacted = climate.compacted.contains(topic)
        let end = group.consensus.committedOffset
        // Who is no voter any more has a copy for a while that grows no longer.
        for machine in machines where core.contains(machine.place) && group.consensus.voting.contains(machine.place) {
            guard let replica = machine.cell?.shard.replica(group.partition) else { continue }
            let log = replica.log
            let start = log.firstOffset
            var position = start
            var found: [(offset: Offset, batch: BatchName)] = []
            var keys: [CompactionChecks.Found] = []
            var scanned: [ReadRecord] = []
            var order = ProducerOrderCheck()
            while position < end {
                let before = position
                for piece in try log.fetch(from: position, upTo: end, limit: .mebibytes(1)) {
                    var bytes = try piece.content()
                    while bytes.readableBytes > 0 {
                        var records = try BatchRecords(of: bytes, limit: 1 << 20)
                        let head = records.head
                        let isCut = position == start || head.isHole
                        guard head.baseOffset == position || isCut && head.baseOffset < position else {
                            throw Violation(
                                .offsetAccounting, "\(machine.id) has \(head.baseOffset) where \(position) belongs")
                        }
                        position = head.nextOffset
                        if !head.isHole {
                            let batch = BatchName(wire: head, bytes, at: bytes.readerIndex)
                            // Compaction leaves gaps between a producer's batches.
                            if !isCompacted { try order.read(batch, slots: head.slots) }
                            try group.records.read(
                                batch, at: head.baseOffset, committedOffset: end, by: "\(machine.id)")
                            found.append((head.baseOffset, batch))
                            scanned += try batch.records(of: bytes, at: bytes.readerIndex, from: start.rawValue)
                        }
                        while let record = try records.next() {
                            guard record.offset >= start else { continue }
                            let key = record.key?.getInteger(at: record.key?.readerIndex ?? 0, as: Int64.self) ?? -1
                            keys.append(
                                .init(offset: record.offset, key: key, timestamp: record.timestamp.milliseconds))
                        }
                        bytes.moveReaderIndex(forwardBy: head.totalSize)
                    }
                }
                guard position > before else {
                    throw Violation(.noLoss, "\(machine.id) has nothing at \(position), committed ends at \(end)")
                }
            }
            if !isCompacted { try group.records.checkFinal(found, from: start) }
            histories.scanned(
                scanned, of: "\(topic)-\(group.partition.index)", on: "\(machine.id)", at: now)
            if planted == .lostKey, isCompacted { _ = keys.popLast() }
            try group.compaction.checkFinal(
                keys, committed: group.consensus.committed, from: start, isCompacted: isCompacted, on: machine.id)
            for time in [0, keys.first?.timestamp ?? 0, keys.last?.timestamp ?? 0, .max] {
                let answer = try log.offset(atOrAfter: Timestamp(milliseconds: time), upTo: end)
                try group.compaction.checkTime(time, answered: answer?.offset, found: keys, on: machine.id)
            }
        }
    }
}
