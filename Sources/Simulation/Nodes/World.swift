// SPDX-License-Identifier: Apache-2.0

import GodwitNode
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import PeerWire
import RaftCore
import Replication

/// A cluster of whole nodes, their network, disks and clocks, and the clients that speak Kafka's protocol to them, all
/// on one thread and drawn from one seed.
///
///     WireClient ──bytes──▶ ClientLine ──▶ Broker ─▶ Shard ─▶ PartitionLog on a SimFileSystem
///                                            └─▶ Controller    ▲ letters over the PeerNetwork
///
/// After every event the checks look at the node it happened on, and at the letters that left it.
final class World {
    enum Event {
        case onNode(place: Int, life: Int, work: () -> Void)
        case free(() -> Void)
    }

    let climate: WorldClimate
    let planted: PlantedFault?
    var random: SimRandom
    var now: UInt64 = 1_000_000_000
    private var queue = EventQueue<Event>()
    var machines: [Machine] = []
    var network: PeerNetwork
    /// What the checks know of each partition that ever had a replica.
    var groups: [PartitionID: GroupWatch] = [:]
    var digest = RunDigest()
    var statistics = NodeReport.Statistics()
    var violation: Violation?
    var trace: ((String) -> Void)?
    var isCalm = false
    var histories = ClientHistories()
    /// How many faults there were, those that were left out included.
    var strikes = 0
    /// The ids of the topics that the checks have seen.
    var topicIDs: [String: TopicID] = [:]
    var groupWorld: GroupWorld?
    /// All that any producer was given.
    var producerIDs: Set<Int64> = []
    var lines: [ClientLine] = []
    var nextLine = 1
    var admin: TopicAdmin?
    var producers: [IdempotentClient] = []
    var plainProducers: [PlainClient] = []
    var consumers: [ReadingClient] = []
    /// The nodes that are healed when calm comes; what else there is stays as it is.
    var core: [Int] = []

    /// What happened during the event at hand, looked at once its node has been observed.
    private var departed: [(letter: PeerLetter, from: Int, to: Int)] = []
    private var restarted: [PartitionID] = []
    private var opened: [PartitionID] = []

    init(seed: UInt64, climate: WorldClimate, planted: PlantedFault?) {
        self.climate = climate
        self.planted = planted
        random = SimRandom(seed: seed)
        network = PeerNetwork(nodes: climate.nodes)
        for place in 0..<climate.nodes {
            machines.append(
                Machine(
                    place: place, nodes: climate.nodes, seed: random.next(),
                    clockOffset: random.next() % 1_000_000_000_000,
                    directory: TopicID(high: random.next() | 1, low: random.next())))
            machines[place].files.ignoresSync = planted == .lyingDisk && place == 0
        }
    }

    /// Lets go of everything; nothing can be run afterwards.
    func dissolve() {
        queue = EventQueue()
        for machine in machines { release(machine) }
        lines = []
        admin = nil
        producers = []
        plainProducers = []
        consumers = []
        groups = [:]
        groupWorld?.dissolve()
    }

    // MARK: - Events

    func schedule(on place: Int, life: Int, after delay: UInt64, _ work: @escaping () -> Void) {
        queue.schedule(.onNode(place: place, life: life, work: work), at: now + delay)
    }

    func schedule(after delay: UInt64, _ work: @escaping () -> Void) {
        queue.schedule(.free(work), at: now + delay)
    }

    /// Lets everything happen until `end`, or until a promise is broken. False when one was.
    @discardableResult
    func run(until end: UInt64, orUntil isDone: () -> Bool) -> Bool {
        while violation == nil, let time = queue.earliest, time <= end, let item = queue.next() {
            now = max(now, item.time)
            switch item.event {
            case .free(let work): work()
            case .onNode(let place, let life, let work):
                let machine = machines[place]
                guard machine.life == life, machine.isUp else { continue }
                guard machine.isPausedUntil <= now else {
                    queue.reschedule(.init(time: machine.isPausedUntil, order: item.order, event: item.event))
                    continue
                }
                statistics.events += 1
                work()
                settle(machine)
            }
            if isDone() { return violation == nil }
        }
        if violation == nil { now = max(now, end) }
        return violation == nil
    }

    @discardableResult
    func run(until end: UInt64) -> Bool { run(until: end, orUntil: { false }) }

    /// Looks at what an event has changed.
    private func settle(_ machine: Machine) {
        do throws(Violation) {
            for partition in opened { try watch(partition, on: machine) }
            opened.removeAll(keepingCapacity: true)
            for index in machine.watched.indices { try observe(machine, index) }
            forgetDropped(machine)
            restarted.removeAll(keepingCapacity: true)
            for (letter, from, to) in departed {
                guard let group = groups[letter.group] else { continue }
                try group.consensus.sent(letter.message, from: machines[from].id, to: machines[to].id)
            }
            departed.removeAll(keepingCapacity: true)
        } catch {
            broke(error)
        }
    }

    func note(_ letter: PeerLetter, from: Int, to: Int) { departed.append((letter, from, to)) }

    func broke(_ error: Violation) {
        guard violation == nil else { return }
        var timed = error
        timed.time = now
        violation = timed
        say("BROKEN \(timed)")
    }

    func say(_ sentence: @autoclosure () -> String) {
        guard let trace else { return }
        trace("\(now / 1_000) µs  \(sentence())")
    }

    // MARK: - What the shards tell

    func hasRestarted(_ partition: PartitionID) -> Bool { restarted.contains(partition) }

    func reported(_ event: ShardEvent, at machine: Machine) {
        say("\(machine.id) \(event)")
        switch event {
        case .opened(let partition, _): opened.append(partition)
        case .restarted(let partition, _): restarted.append(partition)
        case .stopped(let partition, let reason):
            guard !machine.isDiskBad else { return }
            // Told after the node has been observed, so that what made it stop is named first.
            schedule(after: 0) { self.broke(Violation(.stopped, "\(machine.id), \(partition): \(reason)")) }
        case .fenced(let partition, let reason):
            groups[partition]?.consensus.crashed(machine.id)
            machine.watched.removeAll { $0.replica.id == partition }
            guard !machine.hasHadBadDisk, !machine.hasRot else { return }
            schedule(after: 0) { self.broke(Violation(.stopped, "\(machine.id), \(partition): \(reason)")) }
        case .revived(let partition, _):
            statistics.revivals += 1
            opened.append(partition)
        case .damaged(let partition, let damage):
            statistics.damaged += 1
            guard !machine.hasRot else { return }
            schedule(after: 0) {
                self.broke(Violation(.persistBeforeReply, "\(machine.id), \(partition) is damaged: \(damage)"))
            }
        case .repaired: statistics.repaired += 1
        case .setAside(let partition, _, let reason):
            statistics.setAside += 1
            groups[partition]?.consensus.lost(machine.id)
            guard !machine.hasRot else { return }
            schedule(after: 0) {
                self.broke(Violation(.persistBeforeReply, "\(machine.id), \(partition) is set aside: \(reason)"))
            }
        case .badLetter: statistics.refusedLetters += 1
        case .becameLeader(let partition, _):
            statistics.elections += 1
            groups[partition]?.elections += 1
        case .disk:
            // A disk that is found slow, or well again, is a reason for one more of the groups on it: see V8.
            for group in orderedGroups where machine.cell?.shard.replica(group.partition) != nil {
                group.elections = 0
            }
        default: break
        }
    }

    // MARK: - Time

    func wallClock(of machine: Machine) -> Timestamp {
        Timestamp(
            milliseconds: Self.epoch + Int64(now / 1_000_000) + Int64(machine.place) * 3_000 + machine.wallOffset)
    }

    /// Where the wall clocks begin, in milliseconds.
    static let epoch: Int64 = 1_700_000_000_000

    func diskDelay(of machine: Machine) -> UInt64 {
        let stuck = machine.isStuckUntil > now ? machine.isStuckUntil - now : 0
        return stuck + 5_000 + random.span(mean: machine.isSlowUntil > now ? 60_000_000 : climate.base.syncDelay)
    }

    // MARK: - Names

    /// A partition by its topic's name, as far as anybody has heard of it.
    func name(_ partition: PartitionID) -> String {
        if partition == .metadata { return "metadata" }
        return "\(groups[partition]?.topicName ?? "?")-\(partition.index)"
    }

    /// The node that leads a partition by the latest word of any replica, as the checks see it.
    func leader(of partition: PartitionID) -> Int? {
        var best: (term: Term, place: Int)?
        for machine in machines {
            guard let replica = machine.cell?.shard.replica(partition), replica.isLeader else { continue }
            if best.map({ $0.term < replica.term }) ?? true { best = (replica.term, machine.place) }
        }
        return best?.place
    }
}
