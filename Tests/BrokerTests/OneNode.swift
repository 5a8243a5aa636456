// SPDX-License-Identifier: Apache-2.0

import Broker
import Disk
import Foundation
import KafkaWire
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import RaftCore
import RecordBatches
import Replication
import Settings

/// A world without threads: disk work is done when `OneNode.settle` gets to it.
final class StillEnvironment: ShardEnvironment {
    let files = RealFileSystem()
    var now = Moment(nanoseconds: 1_000_000_000)
    var wallClock = Timestamp(milliseconds: 1_700_000_000_000)
    var leaderships: [Leadership] = []
    var pending: [() -> Void] = []
    var turnEndAsked = false
    /// Letters that would have been sent.
    var sent: [(message: Message, peer: NodeID)] = []

    func send(_ message: Message, of group: PartitionID, payload: [ByteBuffer], to peer: NodeID) {
        sent.append((message, peer))
    }
    func flushLetters() {}
    func requestTurnEnd() { turnEndAsked = true }
    func wake(at moment: Moment) {}

    func submit<Answer>(
        _ job: @escaping @Sendable () -> sending Answer, then completion: @escaping (sending Answer) -> Void
    ) {
        pending.append { completion(job()) }
    }

    func learned(_ leadership: Leadership) { leaderships.append(leadership) }
    func report(_ event: ShardEvent) {}
}

/// One node with its shard, broker and controller, asked by whole frames as a client would.
final class OneNode {
    let environment = StillEnvironment()
    let shard: Shard<StillEnvironment>
    let broker: Broker<StillEnvironment>
    private(set) var state = ClusterState()
    let directory: String
    private var nextTopic: UInt64 = 1
    private var nextOffset = Offset(0)
    static let node = NodeID(1)

    init(
        settings: NodeSettings = NodeSettings(), index: Int = 0, logDirectory: String? = nil,
        cleaner: CleanerSettings = CleanerSettings(keySeed: (1, 2)),
        shown: [ShownSetting] = [.init(name: "node.id", value: "1", isDefault: false, documentation: "Who this is.")]
    ) throws {
        directory = NSTemporaryDirectory() + "godwit-broker-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory + "/votes", withIntermediateDirectories: true)
        let journal = try HardStateJournal.open(directory: directory + "/votes", in: RealFileSystem())
        shard = Shard(
            settings: ShardSettings(
                node: Self.node, timing: RaftTiming(), limits: RaftLimits(), balanceInterval: 1_000_000_000,
                retentionInterval: 60_000_000_000, checkpointInterval: 60_000_000_000, seed: 7,
                cleaner: cleaner),
            environment: environment, journal: journal)
        var brokerSettings = BrokerSettings(
            node: Self.node, topics: settings.topics, topicDefaults: TopicDefaults(settings),
            fetchLimit: Int(settings.fetches.bytesMax.rawValue),
            fetchWaitLimit: settings.fetches.waitMax.wholeNanoseconds,
            produceWaitLimit: settings.requests.produceWaitMax.wholeNanoseconds,
            shown: shown)
        brokerSettings.fetchSessionSlots = settings.fetches.sessionSlots
        brokerSettings.logDirectory = logDirectory ?? directory
        brokerSettings.replicaSelector = settings.fetches.replicaSelector
        broker = Broker(settings: brokerSettings, shard: shard, index: index)
        apply(.formCluster(ClusterID(high: 1, low: 2)))
        apply(
            .registerNode(
                NodeRegistration(
                    id: Self.node, kafka: NetworkAddress(host: "one.example", port: 9092),
                    peer: NetworkAddress(host: "one.example", port: 19092), rack: "r1",
                    directory: DirectoryID(high: 3, low: 4))))
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func apply(_ command: MetadataCommand) {
        state.apply(command, at: nextOffset)
        nextOffset = nextOffset + RecordCount(1)
        broker.update { $0.replace(cluster: state) }
    }

    /// Makes a topic; its partitions are kept and led by this node.
    @discardableResult
    func topic(
        _ name: String, partitions: Int = 1, configs: [(name: String, value: String?)] = [],
        limits: LogLimits = LogLimits(), policy: LogPolicy = LogPolicy()
    ) throws -> TopicID {
        let id = TopicID(high: 100, low: nextTopic)
        nextTopic += 1
        let placement = PartitionPlacement(replicas: [Self.node])
        apply(
            .createTopic(
                NewTopic(
                    id: id, name: try TopicName(name), partitions: Array(repeating: placement, count: partitions),
                    configs: try TopicConfigs(validating: configs), created: environment.wallClock)))
        for index in 0..<partitions {
            let partition = PartitionID(topic: id, index: Int32(index))
            shard.host(
                ReplicaAssignment(
                    partition: partition, replicas: [Self.node], directory: "\(directory)/\(id)-\(index)",
                    limits: limits, policy: policy))
        }
        waitForLeadership()
        return id
    }

    /// Passes time until this node leads all it keeps.
    func waitForLeadership() {
        settle()
        for _ in 0..<500 where !shard.allReplicas.allSatisfy({ $0.highWatermark != nil }) { pass(milliseconds: 10) }
    }

    private func loseLeadership() {
        for replica in shard.allReplicas {
            shard.receive(
                .voteReply(term: replica.term.next, granted: false), of: replica.id, payload: nil, from: NodeID(9))
        }
    }

    /// Each replica hears of a higher term, steps down, and is elected again.
    func loseAndRegainLeadership() {
        loseLeadership()
        settle()
        pass(milliseconds: 1)
        waitForLeadership()
    }

    /// The same up to where this node leads again and has committed nothing: its last disk work is under way.
    func loseLeadershipAndBeElectedAgain() {
        loseLeadership()
        for _ in 0..<2_000 where !shard.allReplicas.allSatisfy(\.isLeader) {
            environment.now = environment.now.advanced(byNanoseconds: 10_000_000)
            shard.tick()
            settleDiskExcluded()
            completeDiskWork()
        }
    }

    /// Runs everything that is ready, in the order it was asked for.
    func settle() {
        settleDiskExcluded()
        while !environment.pending.isEmpty || environment.turnEndAsked {
            completeDiskWork()
        }
    }

    /// Completes the disk work that is under way, not what follows from it.
    private func completeDiskWork() {
        let work = environment.pending
        environment.pending = []
        for job in work { job() }
        settleDiskExcluded()
    }

    /// As `settle`, but no disk work is completed: nothing can be committed.
    func settleDiskExcluded() {
        for leadership in environment.leaderships {
            broker.update { $0.note(leadership.partition, term: leadership.term, leader: leadership.leader) }
        }
        environment.leaderships = []
        while environment.turnEndAsked {
            environment.turnEndAsked = false
            broker.endOfTurn()
        }
    }

    func pass(milliseconds: UInt64) {
        environment.now = environment.now.advanced(byNanoseconds: milliseconds * 1_000_000)
        shard.tick()
        broker.tick()
        settle()
    }

    // MARK: - Asking

    /// What has become of a request.
    final class Asked<Response: WireResponse> {
        fileprivate(set) var response: Response?
        fileprivate(set) var closed: String?
        fileprivate(set) var gotNothing = false
        var isAnswered: Bool { response != nil || closed != nil || gotNothing }
    }

    /// Asks without waiting for the disk.
    func begin<Request: WireRequest>(_ request: Request, version: Int16) throws -> Asked<Request.Response> {
        var frame = try request.encodeFrame(correlationID: 5, clientID: "test", version: version).bytes
        frame.moveReaderIndex(forwardBy: 4)
        return begin(frame, Request.Response.self, version: version)
    }

    func begin<Response: WireResponse>(
        _ frame: ByteBuffer, _ type: Response.Type, version: Int16
    ) -> Asked<Response> {
        let asked = Asked<Response>()
        broker.handle(frame) { reply in
            precondition(!asked.isAnswered, "a request is answered once")
            switch reply {
            case .none: asked.gotNothing = true
            case .close(let reason): asked.closed = reason
            case .encoded(let bytes): asked.response = Self.decode(bytes, version)
            case .frame(let frame, let pieces): asked.response = Self.decode(Self.joined(frame, pieces), version)
            }
        }
        return asked
    }

    func ask<Request: WireRequest>(_ request: Request, version: Int16) throws -> Request.Response {
        let asked = try begin(request, version: version)
        settle()
        guard let response = asked.response else { throw NoAnswer(reason: asked.closed ?? "no answer") }
        return response
    }

    struct NoAnswer: Error { let reason: String }

    private static func decode<Response: WireResponse>(_ bytes: ByteBuffer, _ version: Int16) -> Response? {
        var body = bytes
        guard let length = body.readInteger(as: Int32.self), Int(length) == body.readableBytes else { return nil }
        guard (try? ResponseHeader.decode(from: &body, apiKey: Response.apiKey, version: version)) != nil else {
            return nil
        }
        return try? Response.decode(body, version: version)
    }

    private static func joined(_ frame: EncodedFrame, _ pieces: [[FetchPiece<RealFile>]]) -> ByteBuffer {
        var rest = frame.bytes
        var whole = ByteBuffer()
        var at = 0
        for (splice, pieces) in zip(frame.splices, pieces) {
            if var before = rest.readSlice(length: splice.at - at) { whole.writeBuffer(&before) }
            at = splice.at
            for piece in pieces {
                switch piece {
                case .memory(var bytes): whole.writeBuffer(&bytes)
                case .file(let range):
                    let size = Int(range.size.rawValue)
                    _ = try? whole.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { buffer in
                        try range.file.read(
                            into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<size]), at: range.position)
                    }
                }
            }
        }
        whole.writeBuffer(&rest)
        return whole
    }
}
