// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import RaftCore
import Replication

/// Starting, stopping and losing machines.
extension Cluster {
    func start(_ place: Int) {
        guard !nodes[place].isUp else { return }
        nodes[place].life += 1
        let life = nodes[place].life
        let files = nodes[place].files
        nodes[place].isOpen = Array(repeating: false, count: climate.allPartitions)
        nodes[place].isPausedUntil = 0
        nodes[place].isDiskBad = false
        nodes[place].hasHadBadDisk = false
        nodes[place].files.heal()
        nodes[place].files.capacity = nil
        say("\(nodes[place].id) starts its life \(life)")
        do {
            try files.makeDirectory("data")
            if planted == .forgottenVotes { try? files.removeTree("data/journal") }
            let journal = try HardStateJournal.open(directory: "data/journal", in: files)
            let environment = SimEnvironment(cluster: self, place: place, life: life, files: files)
            nodes[place].shard = Shard(settings: shardSettings(place), environment: environment, journal: journal)
        } catch {
            broke(Violation(.stopped, "\(nodes[place].id) cannot open its votes: \(error)"))
            return
        }
        startCoordinators(at: place)
        for number in 0..<climate.allPartitions { host(number, at: place) }
        nodes[place].shard.map { $0.wake(at: $0.environment.now) }
        for peer in nodes.indices where peer != place { reconnectSoon(place, peer) }
    }

    private func reconnectSoon(_ place: Int, _ peer: Int) {
        schedule(after: 1_000_000 + random.span(mean: 10_000_000)) { self.reconnect(place, peer) }
    }

    private func shardSettings(_ place: Int) -> ShardSettings {
        ShardSettings(
            node: nodes[place].id,
            timing: RaftTiming(
                electionTimeout: climate.electionTimeout, heartbeatInterval: climate.heartbeatInterval,
                reconnectDelay: climate.reconnectDelay),
            limits: RaftLimits(
                maxAppendBytes: ByteCount(climate.maxAppendBytes),
                maxInflightBytes: ByteCount(climate.maxInflightBytes), maxInflightAppends: climate.maxInflightAppends),
            balanceInterval: climate.balanceInterval, retentionInterval: 150_000_000,
            checkpointInterval: 400_000_000,
            producerExpiration: planted == .forgetfulLeaders ? 0 : 86_400_000, seed: random.next(),
            cleaner: CleanerSettings(interval: 200_000_000, keySeed: (random.next(), random.next())),
            disk: DiskSettings(
                directory: "data", reserve: ByteCount(2_000), probeInterval: 50_000_000, slowSync: 25_000_000,
                recoveryTime: 500_000_000, stuckSync: 5_000_000_000, handOverInterval: 500_000_000,
                reopenFirst: 20_000_000, reopenLast: 500_000_000))
    }

    private func host(_ number: Int, at place: Int) {
        let limits = LogLimits(
            segmentBytes: ByteCount(climate.segmentBytes), segmentMilliseconds: 3_600_000,
            indexIntervalBytes: ByteCount(climate.indexIntervalBytes), tailBytes: ByteCount(climate.tailBytes),
            checkpointBytes: ByteCount(climate.checkpointBytes))
        let founders = climate.placement(of: number)
        let assignment = ReplicaAssignment(
            partition: partition(number), founders: founders.contains(nodes[place].id) ? founders : [],
            replicas: wishes[number], directory: "data/p\(number)", limits: limits,
            policy: LogPolicy(
                retention: .init(
                    bytes: number < climate.partitions ? climate.retentionBytes.map { ByteCount($0) } : nil),
                compaction: isCompacted(number) ? CleaningRules(minDirtyShare: 0, deleteRetention: 1 << 40) : nil))
        var state: FoldedState?
        if climate.isStateful, number == 0 {
            let loaded = FoldedState(cluster: self, place: place, number: number)
            do {
                try loaded.load()
            } catch {
                broke(Violation(.snapshot, "n\(place) cannot read its state: \(error)"))
            }
            state = loaded
        }
        nodes[place].shard?.host(assignment, state: state) { result in
            if case .success = result {
                self.opened(number, at: place)
                return self.hearWish(for: number, at: place)
            }
            // A node whose state machine cannot be opened ends, and whoever runs it starts it again.
            self.end(place, losesPower: false)
            self.schedule(after: 50_000_000 + self.random.span(mean: 100_000_000)) { self.start(place) }
        }
    }

    /// A log is open again: what it holds is held against what was promised.
    func opened(_ number: Int, at place: Int) {
        guard let replica = nodes[place].shard?.replica(partition(number)) else { return }
        let log = replica.log
        do throws(Violation) {
            let entries = try read(log, from: log.start.position.end, of: number)
            nodes[place].terms[number] = log.terms
            nodes[place].isOpen[number] = true
            try consensus[number].recovered(
                start: log.start.position, entries: entries, term: replica.term, at: nodes[place].id)
        } catch {
            broke(error)
        }
    }

    /// A machine ends. Its peers notice at once when its system still answers for it.
    func end(_ place: Int, losesPower: Bool) {
        guard nodes[place].isUp else { return }
        say("\(nodes[place].id) \(losesPower ? "loses power" : "is killed")")
        nodes[place].groups = nil
        nodes[place].shard = nil
        nodes[place].life += 1
        nodes[place].connected = Array(repeating: false, count: nodes.count)
        groups?.nodeEnded(place)
        nodes[place].files.crash(losesPower ? .some : .nothing)
        for number in 0..<climate.allPartitions { consensus[number].crashed(nodes[place].id) }
        let isNoticed = !losesPower || random.chance(perMille: 300)
        for peer in nodes.indices where peer != place { breakConnection(place, peer, isNoticed: isNoticed) }
    }

    /// An orderly stop: leaderships are offered to others, logs are closed.
    func stopOrderly(_ place: Int, thenStartAfter rest: UInt64) {
        let life = nodes[place].life
        schedule(on: place, life: life, after: 0) { self.nodes[place].shard?.handOver() }
        schedule(on: place, life: life, after: 30_000_000) {
            self.say("\(self.nodes[place].id) closes")
            self.nodes[place].shard?.close()
            self.end(place, losesPower: false)
            self.schedule(after: rest) { self.start(place) }
        }
    }

    func diskDelay(of place: Int) -> UInt64 {
        let isSlow = nodes[place].isSlowUntil > now
        return 5_000 + random.span(mean: isSlow ? 60_000_000 : climate.syncDelay)
    }
}
