// SPDX-License-Identifier: Apache-2.0

import Broker
import Disk
public import LogModel
import LogStorage
public import Logging
import MetadataCore
import NIOCore
import NIOPosix
import PeerWire
import RaftCore
import Replication
public import Settings
import Transport

/// A running node: event loops with their shards and brokers, the controller, and the listeners.
///
///     KafkaListener ──frames──▶ Broker ─┬─▶ Shard ──▶ PartitionLog
///     PeerListener ──letters──▶ PeerInbox ─▶ Shard ◀──▶ PeerLinks ──▶ other nodes
///                                       └─▶ Controller (shard 0) ──▶ Broker.view on every loop
///
/// An embedding program starts one with `Node.start` and ends it with `stop`.
public final class Node: Sendable {
    public let settings: NodeSettings
    /// Where clients connect.
    public let kafkaPort: Int
    public let peerPort: Int

    private let group: MultiThreadedEventLoopGroup
    private let threads: NIOThreadPool
    private let cells: [NIOLoopBound<ShardCell>]
    private let kafka: KafkaListener
    private let peers: PeerListener
    private let logger: Logger
    private let keptOpen: DataDirectory
    private let farewells: AsyncStream<String>

    /// Starts a node and returns once it listens; it may not have found its peers yet.
    ///
    /// - Throws: `NodeError` when the data directory or a port cannot be used.
    public static func start(_ settings: NodeSettings, logger: Logger) async throws -> Node {
        try await NodeStart(settings, logger: logger).run()
    }

    init(
        settings: NodeSettings, group: MultiThreadedEventLoopGroup, threads: NIOThreadPool,
        cells: [NIOLoopBound<ShardCell>], kafka: KafkaListener, peers: PeerListener, directory: DataDirectory,
        farewells: AsyncStream<String>, logger: Logger
    ) {
        self.settings = settings
        self.group = group
        self.threads = threads
        self.cells = cells
        self.kafka = kafka
        self.peers = peers
        self.logger = logger
        self.keptOpen = directory
        self.farewells = farewells
        kafkaPort = kafka.boundPort
        peerPort = peers.boundPort
    }

    /// Waits until the node was removed from its cluster, and says so in a sentence; then there is nothing left but to
    /// `stop` it. `nil` when the task is cancelled.
    public func removal() async -> String? {
        for await farewell in farewells { return farewell }
        return nil
    }

    /// Gives its leaderships away, closes every log cleanly and ends all threads.
    public func stop() async {
        logger.info("stopping")
        kafka.stopAccepting()
        await handOver()
        await kafka.close()
        await peers.close()
        for cell in cells {
            try? await cell.eventLoop.submit { cell.value.stop() }.get()
        }
        try? await threads.shutdownGracefully()
        try? await group.shutdownGracefully()
        logger.info("stopped")
    }

    /// Gives leadership away until nothing is led here that a peer could lead, but no longer than `handOverLimit`: when
    /// all nodes are stopped together there is soon nobody left to take over.
    private func handOver() async {
        let limit = min(settings.requests.shutdownTimeout.wholeNanoseconds, Self.handOverLimit)
        for _ in 0...limit / Self.handOverPoll {
            var led = 0
            for cell in cells {
                led += (try? await cell.eventLoop.submit { cell.value.handOver() }.get()) ?? 0
            }
            if led == 0 { return }
            try? await Task.sleep(nanoseconds: Self.handOverPoll)
        }
    }

    private static let handOverLimit: UInt64 = 2_000_000_000
    private static let handOverPoll: UInt64 = 10_000_000
}

/// Why a node could not start.
public enum NodeError: Error, CustomStringConvertible {
    case directory(DataDirectory.Failure)
    case storage(String)
    case notAVoter(NodeID)
    case listen(String, address: NetworkAddress, reason: String)

    public var description: String {
        switch self {
        case .directory(let failure): "\(failure)"
        case .storage(let detail): detail
        case .notAVoter(let id):
            "node \(id.rawValue) is not among cluster.voters, the nodes that form the cluster; to join a cluster that "
                + "runs already, give cluster.seeds instead"
        case .listen(let what, let address, let reason):
            "cannot listen for \(what) on \(address): \(reason); is another node running there?"
        }
    }
}
