// SPDX-License-Identifier: Apache-2.0

import Broker
import GodwitNode
import LogModel
import LogStorage
import Logging
import MetadataCore
import NIOCore
import RaftCore
import Replication
import Settings

/// Starting, stopping and losing machines.
extension World {
    func start(_ place: Int) {
        let machine = machines[place]
        // In calm whoever is outside the core stays as it is.
        guard !machine.isUp, !isCalm || core.contains(place) else { return }
        machine.life += 1
        machine.isPausedUntil = 0
        machine.isDiskBad = false
        machine.hasHadBadDisk = false
        machine.files.heal()
        machine.files.capacity = nil
        say("\(machine.id) starts its life \(machine.life)")
        do {
            try open(machine)
        } catch {
            return broke(Violation(.stopped, "\(machine.id) cannot start: \(error)"))
        }
        machine.hasStarted = true
        let life = machine.life
        // The cell exists; the rest of the start is an event on it, so that the checks look at what it does.
        schedule(on: place, life: life, after: 0) { self.begin(machine) }
    }

    private func open(_ machine: Machine) throws {
        let files = machine.files
        for name in ["data", "data/metadata", "data/topics", "data/votes"] { try files.makeDirectory(name) }
        try files.synchronizeDirectory("data")
        if planted == .forgottenVotes { try? files.removeTree("data/votes/0") }
        try files.makeDirectory("data/votes/0")
        try files.synchronizeDirectory("data/votes")
        let journal = try HardStateJournal.open(directory: "data/votes/0", in: files)
        let environment = SimCellEnvironment(world: self, machine: machine)
        let shard = Shard(
            settings: climate.shardSettings(of: machine.id, self), environment: environment, journal: journal)
        let broker = Broker(settings: climate.brokerSettings(of: machine.id), shard: shard, index: 0)
        let cell = NodeCell(index: 0, environment: environment, shard: shard, broker: broker)
        let bound = NIOLoopBound(cell, eventLoop: environment.loop)
        cell.connect([bound])
        broker.connect([ShardPort(broker, on: environment.loop)])
        broker.controller = ResidenceAccess(home: bound, from: environment.loop)
        machine.cell = cell
    }

    private func begin(_ machine: Machine) {
        guard let cell = machine.cell else { return }
        let restored: MetadataSnapshot?
        do {
            restored = try MetadataSnapshotFile(in: machine.memory.metadata, files: machine.files).read()
        } catch {
            return broke(Violation(.snapshot, "\(machine.id) cannot read its metadata snapshot: \(error)"))
        }
        cell.tick()
        cell.openMetadata(
            [NIOLoopBound(cell, eventLoop: cell.loop)], settings: climate.nodeSettings(of: machine.id),
            directory: machine.memory, restored: restored, random: SimGenerator(seed: random.next()),
            logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        ) { [unowned self] result in
            switch result {
            case .success: listen(machine)
            case .failure(let error):
                guard !machine.isDiskBad else { return }
                broke(Violation(.stopped, "\(machine.id) cannot open the metadata group: \(error)"))
            }
        }
    }

    private func listen(_ machine: Machine) {
        machine.isListening = true
        for peer in machines.indices where peer != machine.place {
            schedule(after: 1_000_000 + random.span(mean: 10_000_000)) { self.reconnect(machine.place, peer) }
        }
        awaitMetadata(machine, until: now + Self.metadataPatience)
    }

    /// How long clients are kept waiting for the cluster's metadata, as `NodeStart` has it.
    private static let metadataPatience: UInt64 = 5_000_000_000

    private func awaitMetadata(_ machine: Machine, until deadline: UInt64) {
        guard let cell = machine.cell else { return }
        let isInformed = cell.shard.replica(.metadata)?.isInformed ?? false
        guard isInformed || now >= deadline else {
            return schedule(on: machine.place, life: machine.life, after: 5_000_000) {
                self.awaitMetadata(machine, until: deadline)
            }
        }
        let id = machine.memory.identity.directory
        let settings = climate.nodeSettings(of: machine.id)
        let registration = NodeRegistration(
            id: machine.id, kafka: settings.kafka.advertised, peer: settings.peerAddress, rack: settings.node.rack,
            directory: DirectoryID(high: id.high, low: id.low))
        // What was applied is on its way to the broker, by the same loop.
        schedule(on: machine.place, life: machine.life, after: 20_000) {
            machine.isServing = true
            machine.cell?.residence?.introduce(registration, listening: SimDoor())
        }
    }

    /// A machine ends. Its peers and clients notice at once when its system still answers for it.
    func end(_ place: Int, losesPower: Bool) {
        let machine = machines[place]
        guard machine.isUp else { return }
        say("\(machine.id) \(losesPower ? "loses power" : "is killed")")
        release(machine)
        machine.life += 1
        machine.isListening = false
        machine.isServing = false
        machine.connected = Array(repeating: false, count: machines.count)
        machine.files.crash(losesPower ? .some : .nothing)
        for group in orderedGroups { group.consensus.crashed(machine.id) }
        let isNoticed = !losesPower || random.chance(perMille: 300)
        for peer in machines.indices where peer != place { breakConnection(place, peer, isNoticed: isNoticed) }
        for line in lines where line.place == place { line.nodeEnded(isNoticed: isNoticed) }
        groupWorld?.nodeEnded(place)
    }

    /// Breaks the rings of references that a node consists of.
    func release(_ machine: Machine) {
        machine.watched = []
        guard let cell = machine.cell else { return }
        machine.cell = nil
        cell.residence = nil
        cell.connect([])
        cell.broker.connect([])
        cell.broker.controller = nil
        cell.links.dissolve()
        cell.environment.dissolve()
        cell.shard.dissolve()
    }

    /// An orderly stop: leaderships are offered to others, logs are closed.
    func stopOrderly(_ place: Int, thenStartAfter rest: UInt64) {
        let machine = machines[place]
        let life = machine.life
        schedule(on: place, life: life, after: 0) { _ = machine.cell?.handOver() }
        schedule(on: place, life: life, after: 30_000_000) {
            self.say("\(machine.id) closes")
            machine.cell?.stop()
            self.end(place, losesPower: false)
            self.schedule(after: rest) { self.start(place) }
        }
    }

    /// In the order of their ids.
    var orderedGroups: [GroupWatch] { groups.keys.sorted().compactMap { groups[$0] } }
}
