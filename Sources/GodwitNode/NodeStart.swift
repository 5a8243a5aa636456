// SPDX-License-Identifier: Apache-2.0

import Broker
import Disk
import LogModel
import LogStorage
import Logging
import MetadataCore
import NIOCore
import NIOPosix
import PeerWire
import RaftCore
import Replication
import Settings
import Transport

/// Puts a node together, from the bottom up:
///
///     data directory ─▶ loops and I/O threads ─▶ journals ─▶ cells ─▶ metadata group ─▶ peers ─▶ clients
struct NodeStart {
    private let settings: NodeSettings
    private let logger: Logger
    private let files = RealFileSystem()
    private let shards: Int
    private let cleanerGate = CleanerGate()
    /// Chosen anew at each start, and told to nobody.
    private let keySeed: (UInt64, UInt64)

    init(_ settings: NodeSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
        shards = settings.node.shards > 0 ? settings.node.shards : System.coreCount
        var random = SystemRandomNumberGenerator()
        keySeed = (random.next(), random.next())
    }

    func run() async throws -> Node {
        guard settings.isVoter || !settings.cluster.seeds.isEmpty else {
            throw NodeError.notAVoter(settings.node.id)
        }
        let directory = try openDirectory()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: shards)
        let threads = NIOThreadPool(numberOfThreads: settings.storage.threads)
        threads.start()
        do {
            let journals = JournalFolder(directory: directory, files: files, shards: shards)
            try journals.prepare(directory)
            let cells = try await makeCells(on: group, threads: threads, directory: directory, journals: journals)
            try await settle(cells, directory)
            let peers = try await listenForPeers(group, cells, directory)
            let kafka = try await letClientsIn(group, cells, directory, peers)
            return Node(
                settings: settings, group: group, threads: threads, cells: cells, kafka: kafka, peers: peers,
                directory: directory, farewells: try await farewells(cells), logger: logger)
        } catch {
            try? await threads.shutdownGracefully()
            try? await group.shutdownGracefully()
            throw error
        }
    }

    /// The cluster gets to know this node before clients do, unless it is only by listening that the node learns where
    /// clients will find it.
    private func letClientsIn(
        _ group: MultiThreadedEventLoopGroup, _ cells: [NIOLoopBound<ShardCell>], _ directory: DataDirectory,
        _ peers: PeerListener
    ) async throws -> KafkaListener {
        let port = Int(settings.kafka.advertised.port)
        guard port == 0 else {
            try await register(cells, directory, kafkaPort: port, peers: peers)
            try await waitForMetadata(cells, patience: isNewcomer(directory) ? nil : Self.metadataPatience)
            return try await listenForClients(group, cells)
        }
        if !isNewcomer(directory) { try await waitForMetadata(cells, patience: Self.metadataPatience) }
        let kafka = try await listenForClients(group, cells)
        try await register(cells, directory, kafkaPort: kafka.boundPort, peers: peers)
        return kafka
    }

    private func openDirectory() throws(NodeError) -> DataDirectory {
        do throws(DataDirectory.Failure) {
            let directory = try DataDirectory(settings.node.data, node: settings.node.id, shards: shards, files: files)
            try directory.makeFolders()
            try rememberFounders(directory)
            return directory
        } catch {
            throw .directory(error)
        }
    }

    /// Keeps for good who forms the cluster: what the configuration says at the first start.
    private func rememberFounders(_ directory: DataDirectory) throws(DataDirectory.Failure) {
        let configured = settings.voters.map(\.id)
        guard let stored = directory.identity.founders else {
            return try directory.update { $0.founders = configured }
        }
        guard !configured.isEmpty, Set(stored) != Set(configured) else { return }
        logger.warning(
            "cluster.voters is not what this node began with; only addresses are taken from it",
            metadata: ["began": "\(stored.map(\.rawValue))", "now": "\(configured.map(\.rawValue))"])
    }

    private func isNewcomer(_ directory: DataDirectory) -> Bool {
        directory.identity.cluster == nil && directory.identity.founders?.isEmpty ?? false
    }

    // MARK: - Cells

    private func makeCells(
        on group: MultiThreadedEventLoopGroup, threads: NIOThreadPool, directory: DataDirectory, journals: JournalFolder
    ) async throws -> [NIOLoopBound<ShardCell>] {
        var cells: [NIOLoopBound<ShardCell>] = []
        let shardSettings = shardSettings(directory)
        let brokerSettings = brokerSettings(directory)
        let identity = identity(directory)
        for (index, loop) in group.makeIterator().enumerated() {
            let bound = try await loop.submit {
                let journal = try journals.open(index)
                let cell = makeCell(
                    index, loop, threads, journal: journal, shardSettings, brokerSettings, identity: identity)
                return NIOLoopBound(cell, eventLoop: loop)
            }.get()
            cells.append(bound)
        }
        let all = cells
        for cell in all {
            try await cell.eventLoop.submit { cell.value.connect(all) }.get()
        }
        return cells
    }

    private func makeCell(
        _ index: Int, _ loop: any EventLoop, _ threads: NIOThreadPool,
        journal: sending HardStateJournal<RealFileSystem>, _ shardSettings: ShardSettings,
        _ brokerSettings: BrokerSettings, identity: PeerIdentity
    ) -> ShardCell {
        let way = CellReference()
        let links = PeerLinks(
            loop: loop, shard: index, identity: identity, limits: PeerLimits(), logger: logger,
            connected: { way.cell?.peerConnected($0) }, lost: { way.cell?.peerLost($0) })
        links.refused = { refusal, hello in way.cell?.refused(refusal, by: hello) }
        let environment = NodeEnvironment(
            node: settings.node.id, loop: loop, threads: threads, links: links, logger: logger)
        let shard = Shard(settings: shardSettings, environment: environment, journal: journal)
        let broker = Broker(settings: brokerSettings, shard: shard, index: index)
        let cell = ShardCell(index: index, environment: environment, shard: shard, broker: broker)
        way.cell = cell
        return cell
    }

    /// Lets the cells know each other, opens the metadata group on shard 0 and begins to tick.
    private func settle(_ cells: [NIOLoopBound<ShardCell>], _ directory: DataDirectory) async throws {
        guard let home = cells.first else { preconditionFailure("a node has at least one shard") }
        let now = try await home.eventLoop.submit { home.value.environment.wallClock }.get()
        let restored = try MetadataRecovery(in: directory.metadata, files: files, logger: logger)
            .restore(hasPeers: directory.identity.founders != [settings.node.id], now: now)
        let peers = ControllerResidence<NodeEnvironment>.voterEndpoints(settings)
        var ports: [ShardPort<NodeEnvironment>] = []
        for cell in cells {
            ports.append(try await cell.eventLoop.submit { ShardPort(cell.value.broker, on: cell.value.loop) }.get())
        }
        let allPorts = ports
        for cell in cells {
            try await cell.eventLoop.submit {
                let cell = cell.value
                cell.broker.connect(allPorts)
                cell.broker.controller = ResidenceAccess(home: home, from: cell.loop)
                cell.links.setPeers(peers)
                cell.tick()
            }.get()
        }
        let opened = home.eventLoop.makePromise(of: Void.self)
        home.eventLoop.execute {
            home.value.openMetadata(cells, settings: settings, directory: directory, restored: restored, logger: logger)
            {
                opened.completeWith($0)
            }
        }
        try await opened.futureResult.get()
    }

    /// From here on the node tells the cluster about itself.
    private func register(
        _ cells: [NIOLoopBound<ShardCell>], _ directory: DataDirectory, kafkaPort: Int, peers: PeerListener
    ) async throws {
        let kafka = settings.kafka.advertised
        let peer = settings.peerAddress
        let id = directory.identity.directory
        let registration = NodeRegistration(
            id: settings.node.id,
            kafka: NetworkAddress(host: kafka.host, port: kafka.port == 0 ? UInt16(kafkaPort) : kafka.port),
            peer: NetworkAddress(host: peer.host, port: peer.port == 0 ? UInt16(peers.boundPort) : peer.port),
            rack: settings.node.rack, directory: DirectoryID(high: id.high, low: id.low))
        guard let home = cells.first else { return }
        try await home.eventLoop.submit {
            home.value.residence?.introduce(registration, listening: peers)
        }.get()
    }

    /// Where the node says that it was removed from its cluster.
    private func farewells(_ cells: [NIOLoopBound<ShardCell>]) async throws -> AsyncStream<String> {
        let (farewells, continuation) = AsyncStream.makeStream(of: String.self)
        guard let home = cells.first else { return farewells }
        try await home.eventLoop.submit {
            home.value.residence?.onFarewell { continuation.yield($0) }
        }.get()
        return farewells
    }

    /// How long clients are kept waiting for the cluster's metadata at most. A node that finds no majority lets them
    /// in all the same: what it knows may be old, but it can say who is there.
    private static var metadataPatience: UInt64 { 5_000_000_000 }
    private static var metadataPoll: UInt64 { 5_000_000 }

    /// Waits until this node knows what the cluster has agreed on, so that no client is told that its topic does not
    /// exist because the node has just come back.
    ///
    /// - Parameter patience: for how many nanoseconds; `nil` for a node that belongs to no cluster yet, and so has
    ///   nothing to tell anybody.
    private func waitForMetadata(_ cells: [NIOLoopBound<ShardCell>], patience: UInt64?) async throws {
        guard let home = cells.first else { return }
        let begun = NIODeadline.now()
        var isTold = false
        while true {
            let goesOn = try await home.eventLoop.submit {
                let cell = home.value
                // A node that the cluster has removed waits for nothing any more.
                if cell.residence?.isDismissed ?? false { return false }
                let isInformed = cell.shard.replica(.metadata)?.isInformed ?? false
                return !isInformed || (patience == nil && cell.links.identity.cluster == nil)
            }.get()
            let waited = UInt64(max(0, (NIODeadline.now() - begun).nanoseconds))
            guard goesOn, waited < patience ?? .max else { break }
            if waited >= 1_000_000_000, patience != nil, !isTold {
                isTold = true
                logger.notice("waiting for a leader of the metadata group before clients are let in")
            }
            try await Task.sleep(nanoseconds: Self.metadataPoll)
        }
        // What was applied is on its way to the other loops; it is there when these turns have run.
        try await home.eventLoop.submit {}.get()
        for cell in cells { try await cell.eventLoop.submit {}.get() }
    }

    // MARK: - Listeners

    private func listenForPeers(
        _ group: MultiThreadedEventLoopGroup, _ cells: [NIOLoopBound<ShardCell>], _ directory: DataDirectory
    ) async throws -> PeerListener {
        let address = settings.peer.listen
        let inbox = PeerInbox(cells)
        do {
            return try await PeerListener.start(
                host: address.host, port: Int(address.port), group: group, identity: identity(directory),
                limits: PeerLimits(), receiver: inbox, logger: logger)
        } catch {
            throw NodeError.listen("peers", address: address, reason: "\(error)")
        }
    }

    private func listenForClients(
        _ group: MultiThreadedEventLoopGroup, _ cells: [NIOLoopBound<ShardCell>]
    ) async throws -> KafkaListener {
        let address = settings.kafka.listen
        let clientIDLimit = settings.requests.clientIDBytesMax
        let byLoop = Dictionary(uniqueKeysWithValues: cells.map { (ObjectIdentifier($0.eventLoop), $0) })
        do {
            return try await KafkaListener.start(
                host: address.host, port: Int(address.port), group: group, limits: connectionLimits, logger: logger
            ) { loop in
                guard let cell = byLoop[ObjectIdentifier(loop)] else {
                    preconditionFailure("every loop of the node has a cell")
                }
                return KafkaDispatcher(cell.value.broker, clientIDLimit: clientIDLimit)
            }
        } catch {
            throw NodeError.listen("Kafka clients", address: address, reason: "\(error)")
        }
    }

    private func identity(_ directory: DataDirectory) -> PeerIdentity {
        PeerIdentity(
            cluster: directory.identity.cluster, node: settings.node.id, directory: directory.identity.directory,
            isFresh: directory.isFresh)
    }

    // MARK: - Settings by value

    private func shardSettings(_ directory: DataDirectory) -> ShardSettings {
        let raft = settings.raft
        let id = directory.identity.directory
        return ShardSettings(
            node: settings.node.id,
            timing: RaftTiming(
                electionTimeout: raft.electionTimeout.wholeNanoseconds,
                heartbeatInterval: raft.heartbeatInterval.wholeNanoseconds,
                reconnectDelay: raft.reconnectDelay.wholeNanoseconds),
            limits: RaftLimits(
                maxAppendBytes: raft.appendBytes, maxInflightBytes: raft.inflightBytes,
                maxInflightAppends: raft.inflightAppends),
            balanceInterval: raft.leaderBalanceInterval.wholeNanoseconds,
            retentionInterval: settings.storage.retentionInterval.wholeNanoseconds,
            checkpointInterval: settings.storage.checkpointInterval.wholeNanoseconds,
            producerExpiration: Int64(settings.storage.producerExpiration),
            seed: id.high ^ id.low,
            cleaner: CleanerSettings(
                mapSize: settings.storage.cleanerMapBytes,
                bytesPerSecond: settings.storage.cleanerBytesPerSecond.rawValue == 0
                    ? nil : settings.storage.cleanerBytesPerSecond.rawValue,
                interval: settings.storage.cleanerInterval.wholeNanoseconds, keySeed: keySeed, gate: cleanerGate),
            disk: diskSettings(directory), catchUp: catchUpSettings,
            scrub: ScrubSettings(
                bytesPerSecond: settings.storage.scrubBytesPerSecond.rawValue == 0
                    ? nil : max(1, settings.storage.scrubBytesPerSecond.rawValue / Int64(shards))))
    }

    /// What the node may use, divided among its shards.
    private var catchUpSettings: CatchUpSettings {
        let rate = settings.raft.catchUpBytesPerSecond.rawValue
        return CatchUpSettings(
            bytesPerSecond: rate == 0 ? nil : max(1, rate / Int64(shards)),
            transfers: max(1, settings.raft.catchUpPartitions / shards),
            bytesInFlight: max(settings.raft.inflightBytes.rawValue, 64 << 20) / Int64(shards))
    }

    private func diskSettings(_ directory: DataDirectory) -> DiskSettings {
        let storage = settings.storage
        // Of a small volume the same share as is kept free, so that a small test disk is not all ballast.
        let total = (try? files.space(at: directory.path).total) ?? .zero
        let ballast = ByteCount(min(storage.reserve.rawValue, total.rawValue / 20))
        return DiskSettings(
            directory: directory.path, reserve: storage.reserve, slowSync: storage.slowSync.wholeNanoseconds,
            recoveryTime: storage.slowSyncRecovery.wholeNanoseconds,
            stuckSync: storage.stuckSync.wholeNanoseconds,
            ballast: Ballast(path: directory.path + "/ballast", size: ballast))
    }

    private func brokerSettings(_ directory: DataDirectory) -> BrokerSettings {
        var made = BrokerSettings(
            node: settings.node.id, topics: settings.topics, topicDefaults: TopicDefaults(settings),
            groups: settings.groups, voters: settings.voters.count,
            fetchLimit: Int(settings.fetches.bytesMax.rawValue),
            fetchWaitLimit: settings.fetches.waitMax.wholeNanoseconds,
            produceWaitLimit: settings.requests.produceWaitMax.wholeNanoseconds,
            shown: SettingDeclaration.all.map { declaration in
                let value = declaration.text(in: settings)
                return ShownSetting(
                    name: declaration.name, value: value, isDefault: value == declaration.initialText,
                    documentation: declaration.summary, initial: declaration.initialText, kind: declaration.kind)
            })
        made.fetchSessionSlots = settings.fetches.sessionSlots
        made.replicaSelector = settings.fetches.replicaSelector
        made.logDirectory = directory.topics
        made.unpackedLimit = Int(settings.requests.decompressedBytesMax.rawValue)
        return made
    }

    private var connectionLimits: Transport.ConnectionLimits {
        var limits = Transport.ConnectionLimits()
        limits.maxFrameBytes = Int(settings.requests.bytesMax.rawValue)
        limits.maxInflightBytes = Int(settings.requests.bytesInflight.rawValue)
        limits.maxOutstandingRequests = settings.connections.requestsInflight
        limits.outputHighWater = Int(settings.connections.responseBacklog.rawValue)
        limits.outputLowWater = limits.outputHighWater / 4
        limits.idleTimeout = .nanoseconds(Int64(clamping: settings.connections.idleTimeout.wholeNanoseconds))
        limits.frameProgressTimeout = .nanoseconds(Int64(clamping: settings.connections.stallTimeout.wholeNanoseconds))
        limits.writeStallTimeout = limits.frameProgressTimeout
        limits.maxConnections = settings.connections.max
        limits.maxConnectionsPerAddress = settings.connections.maxPerIP
        limits.maxNewConnectionsPerSecond = settings.connections.acceptRate
        return limits
    }
}

/// The way from a cell's links to the cell, which is made after them.
private final class CellReference {
    weak var cell: ShardCell?
}
