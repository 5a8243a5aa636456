// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// A cluster of whole nodes from one seed: the code that ships, from the bytes of Kafka's protocol down to the sectors
/// of the disks, on a virtual clock.
///
///     forming: topics are made ─▶ storm: load and faults ─▶ calm: a healed core must converge ─▶ all is read
///
/// The same seed gives the same run, event for event.
public enum NodeSimulation {
    /// Runs one seed to its end, or to the first broken promise.
    ///
    /// - Parameters:
    ///   - climate: instead of the one drawn from the seed.
    ///   - planted: a fault that the checks must find.
    ///   - marks: told which marks of the code were hit.
    ///   - trace: told each thing of note, in virtual time.
    public static func run(
        seed: UInt64, climate: WorldClimate? = nil, planted: PlantedFault? = nil, marks: Probe? = nil,
        trace: ((String) -> Void)? = nil
    ) -> NodeReport {
        let climate = climate ?? WorldClimate(seed: seed)
        let probe = Probe(whims: climate.hasWhims ? seed : nil)
        let report = Probe.$current.withValue(probe) {
            let world = World(seed: seed, climate: climate, planted: planted)
            world.trace = trace
            world.say("\(climate)")
            world.runWhole()
            // What is still scheduled holds the world, which holds the schedule.
            defer { world.dissolve() }
            return NodeReport(
                seed: seed, climate: climate, digest: world.digest.value, statistics: world.statistics,
                violation: world.violation)
        }
        marks?.add(probe)
        return report
    }
}

/// How a run went.
public struct NodeReport: Sendable, CustomStringConvertible {
    public struct Statistics: Hashable, Sendable {
        public var events = 0
        public var letters = 0
        public var refusedLetters = 0
        /// Of clients.
        public var requests = 0
        public var elections = 0
        /// Logs opened anew after their disk had failed.
        public var revivals = 0
        /// Places at which something durable was damaged.
        public var rotten = 0
        /// Parts of logs found damaged, segments written anew with the peers' help, and logs fetched anew.
        public var damaged = 0
        public var repaired = 0
        public var setAside = 0
        public var produced = 0
        public var acknowledged = 0
        public var read = 0
        public var committed = 0
        /// Requests of groups' members and administrators.
        public var groupRequests = 0
        /// What clients did and were told, as histories count it.
        public var operations = 0
        /// Offsets of partitions acknowledged as committed.
        public var groupCommits = 0
        public var offsetFetches = 0
        /// Answers that gave a member its partitions.
        public var assignments = 0
        /// Answers that told a member that it is none any more.
        public var fencedMembers = 0
        public var faults: [WorldClimate.Fault: Int] = [:]
        /// How many faults there were, those that were left out included.
        public var strikes = 0
        /// Virtual nanoseconds.
        public var time: UInt64 = 0
    }

    public let seed: UInt64
    public let climate: WorldClimate
    /// A digest of all events: equal for equal runs.
    public let digest: UInt64
    public let statistics: Statistics
    /// The first broken promise, if any.
    public let violation: Violation?

    public var description: String {
        guard let violation else {
            return """
                seed \(seed): \(statistics.events) events, \(statistics.requests) requests, \(statistics.elections) \
                elections, \(statistics.acknowledged) acknowledged, \(statistics.read) batches read
                """
        }
        return """
            seed \(seed) broke \(violation)
              climate: \(climate)
              to see it again: make sim NODE_SEED=\(seed)
            """
    }
}

extension World {
    func runWhole() {
        for place in machines.indices { schedule(after: random.span(mean: 20_000_000)) { self.start(place) } }
        let admin = TopicAdmin(world: self)
        self.admin = admin
        schedule(after: 10_000_000) { admin.begin() }
        if climate.startsInStorm { scheduleWeather() }
        guard form(admin) else { return finish() }
        beginLoad()
        schedulePlantedCuts()
        if !climate.startsInStorm { scheduleWeather() }
        guard run(until: now + climate.base.storm) else { return finish() }
        calmDown()
        guard proveAlive(), converge(), groupWorld?.drain() ?? true, converge() else { return finish() }
        guard staysQuiet() else { return finish() }
        guard healed() else { return finish() }
        do {
            for group in orderedGroups where group.isData { try readEverything(group) }
        } catch let error as Violation {
            broke(error)
        } catch {
            broke(Violation(.noLoss, "a log cannot be read at the end: \(error)"))
        }
        if violation == nil { judgeHistories() }
        finish()
    }

    private func finish() {
        statistics.committed = groups.values.reduce(0) { $0 + $1.consensus.committed.count }
        statistics.time = now
        statistics.strikes = strikes
    }

    /// The cluster comes about, and its topics are made.
    private func form(_ admin: TopicAdmin) -> Bool {
        // In a storm this may take for ever, and then it ends.
        let patience = now + climate.patience
        guard run(until: patience, orUntil: { admin.isDone }) else { return false }
        guard !admin.isDone else { return true }
        if climate.startsInStorm, climate.faultInterval > 0 {
            calmDown(isWhole: true)
            guard run(until: now + climate.patience, orUntil: { admin.isDone }) else { return false }
            isCalm = false
            scheduleWeather()
        }
        if !admin.isDone { broke(Violation(.liveness, "the topics are not made in time")) }
        return admin.isDone
    }

    private func beginLoad() {
        var number = 0
        for topic in climate.topics {
            for producer in 0..<climate.idempotents {
                producers.append(
                    IdempotentClient(
                        world: self, number: number, topic: topic, partition: Int32(producer % climate.partitions)))
                number += 1
            }
        }
        for number in 0..<climate.plains { plainProducers.append(PlainClient(world: self, number: number)) }
        for number in 0..<climate.readers { consumers.append(ReadingClient(world: self, number: number)) }
        groupWorld = climate.base.groups.map { GroupWorld(cluster: self, climate: $0) }
        groupWorld?.begin()
        for client in producers { client.begin() }
        for client in plainProducers { client.begin() }
        for client in consumers { client.begin() }
    }
}
