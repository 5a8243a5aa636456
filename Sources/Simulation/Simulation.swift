// SPDX-License-Identifier: Apache-2.0

import LogModel
import LogStorage
import RecordBatches
import Replication

/// A whole cluster from one seed: the code that ships, on a virtual clock, network and disks.
///
///     storm: load and faults ─▶ calm: faults end, a leader must come and commit ─▶ all logs are read and compared
///
/// The same seed gives the same run, event for event.
public enum Simulation {
    /// Runs one seed to its end, or to the first broken promise.
    ///
    /// - Parameters:
    ///   - nodes: 3 or 5; drawn from the seed when `nil`.
    ///   - climate: instead of the one drawn from the seed.
    ///   - planted: a fault that the checks must find.
    ///   - trace: told each thing of note, in virtual time.
    public static func run(
        seed: UInt64, nodes: Int? = nil, climate: Climate? = nil, planted: PlantedFault? = nil,
        trace: ((String) -> Void)? = nil
    ) -> SimulationReport {
        let climate = climate ?? Climate(seed: seed, nodes: nodes)
        let cluster = Cluster(seed: seed, climate: climate, planted: planted)
        cluster.trace = trace
        cluster.say("\(climate)")
        cluster.runWhole()
        // What is still scheduled holds the cluster, which holds the schedule.
        defer { cluster.dissolve() }
        return SimulationReport(
            seed: seed, climate: climate, digest: cluster.digest.value, statistics: cluster.statistics,
            violation: cluster.violation)
    }
}

/// How a run went.
public struct SimulationReport: Sendable, CustomStringConvertible {
    public struct Statistics: Hashable, Sendable {
        public var events = 0
        public var letters = 0
        public var refusedLetters = 0
        public var elections = 0
        /// Logs opened anew after their disk had failed.
        public var revivals = 0
        public var produced = 0
        public var acknowledged = 0
        public var read = 0
        /// States installed from a leader's snapshot.
        public var snapshots = 0
        public var committed = 0
        /// Wishes for other members, and the changes that were committed on the way to them.
        public var wishes = 0
        public var memberChanges = 0
        public var faults: [Climate.Fault: Int] = [:]
        /// Requests of groups' members and administrators.
        public var groupRequests = 0
        /// Offsets of partitions acknowledged as committed.
        public var groupCommits = 0
        public var offsetFetches = 0
        /// Answers that gave a member its partitions.
        public var assignments = 0
        /// Answers that told a member that it is none any more.
        public var fencedMembers = 0
        /// Virtual nanoseconds.
        public var time: UInt64 = 0
    }

    public let seed: UInt64
    public let climate: Climate
    /// A digest of all events: equal for equal runs.
    public let digest: UInt64
    public let statistics: Statistics
    /// The first broken promise, if any.
    public let violation: Violation?

    public var description: String {
        guard let violation else {
            return """
                seed \(seed): \(statistics.events) events, \(statistics.elections) elections, \
                \(statistics.acknowledged) acknowledged, \(statistics.read) batches read
                """
        }
        return """
            seed \(seed) broke \(violation)
              climate: \(climate)
              to see it again: make sim SEED=\(seed)
            """
    }
}

extension Cluster {
    func runWhole() {
        for place in nodes.indices { start(place) }
        scheduleLoad()
        scheduleGroups()
        scheduleRetriers()
        schedule(after: climate.electionTimeout) { self.scheduleWeather() }
        scheduleWishes()
        guard run(until: now + climate.storm) else { return }
        run(until: max(now, nodes.map(\.isPausedUntil).max() ?? now))
        let minority = (nodes.count - 1) / 2
        let staysDown = random.chance(perMille: 400) ? random.within(1...minority) : 0
        // Somebody who is wished for must come up, or the wish cannot come true.
        calmDown(leavingDown: climate.wishInterval > 0 ? 0 : staysDown)
        guard proveAlive(), converge(0..<climate.partitions), drainGroups(),
            // All of them: while the groups drained, another node may have come up.
            converge(0..<climate.allPartitions)
        else { return finish() }
        do {
            for number in 0..<climate.partitions { try readEverything(number) }
        } catch let error as Violation {
            broke(error)
        } catch {
            broke(Violation(.noLoss, "a log cannot be read at the end: \(error)"))
        }
        finish()
    }

    private func finish() {
        statistics.time = now
        statistics.read = records.reduce(0) { $0 + $1.readCount }
        statistics.memberChanges = consensus.reduce(0) { $0 + $1.committed.count { $0.members != nil } }
        statistics.committed = consensus.reduce(0) { $0 + $1.committed.count }
    }

    /// V1: each partition takes in and commits a batch within a bounded time of the faults' end.
    private func proveAlive() -> Bool {
        var proved = Set<Int>()
        for number in 0..<climate.partitions { probe(number) { proved.insert(number) } }
        let bound = 12 * climate.electionTimeout + 500_000_000 + backlogTime
        guard run(until: now + bound, orUntil: { proved.count == self.climate.partitions }) else { return false }
        for number in 0..<climate.partitions where !proved.contains(number) {
            let bound = bound / 1_000_000
            broke(
                Violation(
                    .liveness, "partition \(number) commits nothing \(bound) ms after the faults:\(state(of: number))"))
        }
        return violation == nil
    }

    /// How long the network and the disks may take to carry what some replica still lacks.
    var backlogTime: UInt64 {
        var slots: Int64 = 0
        for checks in consensus {
            let ends = checks.replicas.map(\.end)
            guard let longest = ends.max(), let shortest = ends.min() else { continue }
            slots = max(slots, longest.slots(since: shortest))
        }
        return UInt64(slots) * 2 * climate.batchInterval
    }

    private func probe(_ number: Int, succeeded: @escaping () -> Void) {
        var isDone = false
        func attempt() {
            guard !isDone else { return }
            produce(by: climate.producers, to: number, acknowledgement: .all(minimumInSync: 1)) { outcome in
                guard case .stored = outcome else { return }
                isDone = true
                succeeded()
            }
            // Not faster than batches can be carried, or the probes themselves would be the backlog.
            schedule(after: max(25_000_000, 4 * climate.batchInterval), attempt)
        }
        attempt()
    }

    /// V3 and V6: all replicas that are up come to the same end, and every consumer reads all of it.
    private func converge(_ numbers: Range<Int>) -> Bool {
        let bound = now + 20 * climate.electionTimeout + 1_000_000_000 + backlogTime
        while now < bound {
            guard run(until: now + 20_000_000) else { return false }
            if numbers.allSatisfy({ hasConverged($0) }) { return true }
        }
        for number in numbers where !hasConverged(number) {
            broke(Violation(.liveness, "partition \(number) does not come to rest:\(state(of: number))"))
        }
        return false
    }

    private func state(of number: Int) -> String {
        var lines = ""
        for (place, replica) in consensus[number].replicas.enumerated() {
            lines += "\n    n\(place) "
            guard let view = replica.view else {
                lines += "down"
                continue
            }
            lines += "\(view.role) in \(view.term), commit \(view.commit), durable \(view.durable), end \(view.end)"
        }
        guard number < climate.partitions else { return lines }
        for producer in load.retriers where producer.partition == number && !producer.unacknowledged.isEmpty {
            lines += "\n    producer \(producer.id) waits for \(producer.unacknowledged.map(\.sequence))"
        }
        lines += "\n    members \(consensus[number].voting), wished \(wishes[number])"
        return lines + "\n    consumers at \(load.positions.map { $0[number] })"
    }

    private func hasConverged(_ number: Int) -> Bool {
        let end = consensus[number].committedEnd
        let offset = consensus[number].committedOffset
        guard hasWishedMembers(number) else { return false }
        for place in keepers(of: number) where nodes[place].isUp {
            guard let view = consensus[number].replicas[place].view, view.commit == end, view.end == end else {
                return false
            }
        }
        return number >= climate.partitions
            || load.positions.allSatisfy { $0[number] == offset }
                && load.retriers.allSatisfy { $0.partition != number || $0.unacknowledged.isEmpty }
    }

    /// Every replica's log, as a consumer would be given it: the same everywhere, with all that was acknowledged.
    private func readEverything(_ number: Int) throws {
        let end = consensus[number].committedOffset
        for place in keepers(of: number) {
            guard let replica = nodes[place].shard?.replica(partition(number)) else { continue }
            var position = replica.log.firstOffset
            let start = position
            var found: [(offset: Offset, batch: BatchName)] = []
            var order = ProducerOrderCheck()
            while position < end {
                let heads = try fetch(replica.log, from: position, upTo: end, limit: .mebibytes(1))
                guard !heads.isEmpty else {
                    throw Violation(.noLoss, "n\(place) has nothing at \(position), committed ends at \(end)")
                }
                for head in heads {
                    let isCut = position == replica.log.firstOffset || head.isHole
                    guard head.baseOffset == position || isCut && head.baseOffset < position else {
                        throw Violation(.offsetAccounting, "n\(place) has \(head.baseOffset) where \(position) belongs")
                    }
                    position = head.nextOffset
                    guard !head.isHole else { continue }
                    let batch = BatchName(id: head.producerID, sequence: head.baseSequence)
                    // Compaction leaves gaps between a producer's batches.
                    if !isCompacted(number) { try order.read(batch, slots: head.slots) }
                    try records[number].read(batch, at: head.baseOffset, committedOffset: end, by: "n\(place)")
                    found.append((head.baseOffset, batch))
                }
            }
            if !isCompacted(number) { try records[number].checkFinal(found, from: start) }
            try checkRecords(of: replica.log, number, at: place, upTo: end, from: start)
        }
    }

    /// L12 and L13: record by record, and by time.
    private func checkRecords(
        of log: PartitionLog<SimFileSystem>, _ number: Int, at place: Int, upTo end: Offset, from start: Offset
    ) throws {
        var found = try readRecords(of: log, upTo: end)
        if planted == .lostKey, isCompacted(number) { _ = found.popLast() }
        try compaction[number].checkFinal(
            found, committed: consensus[number].committed, from: start, isCompacted: isCompacted(number),
            on: nodes[place].id)
        let times = [0, found.first?.timestamp ?? 0, found.last?.timestamp ?? 0, Int64(now / 2_000_000), .max]
        for time in times {
            let answer = try log.offset(atOrAfter: Timestamp(milliseconds: time), upTo: end)
            try compaction[number].checkTime(time, answered: answer?.offset, found: found, on: nodes[place].id)
        }
    }
}
