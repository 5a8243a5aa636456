// SPDX-License-Identifier: Apache-2.0

import Disk
import KafkaWire
public import LogModel
import LogStorage
public import NIOCore
public import Replication
public import Settings

/// The Kafka API of one event loop: takes requests apart, asks shards and the controller, and answers.
///
/// Each loop has its own broker, with its own copy of the cluster's view, so that nothing between a request and its
/// append is shared, locked or awaited. Partitions of other shards cost one hop there and one back.
public final class Broker<Environment: ShardEnvironment> {
    public typealias Files = Environment.Files

    public let settings: BrokerSettings
    public let shard: Shard<Environment>
    /// Which of the node's shards this is.
    public let index: Int
    /// All shards of the node, this one included; empty while there is only one.
    public private(set) var ports: [ShardPort<Environment>] = []
    public internal(set) var view: ClusterView
    /// Fetches that wait for records, with their deadlines.
    var waitingFetches: [FetchRun<Environment>] = []
    var waitingCreations: [CreationWait<Environment>] = []
    var waitingElections: [ElectionWait<Environment>] = []
    /// The coordinators of the groups whose partitions this loop's shard leads.
    public let groups: GroupCoordinators<Environment>
    /// Whether `__consumer_offsets` is being made at this loop's request.
    var createsOffsetsTopic = false
    /// Why the last attempt to make it failed.
    var offsetsTopicRefusal: String?
    /// The sessions of the connections on this loop.
    var fetchSessions: FetchSessions
    /// Batches that are packed anew for topics with a `compression.type` of their own.
    let repacking: RepackingLine<Environment>
    /// The way to the node's controller (on shard 0).
    public var controller: (any ControllerAccess)?

    public init(settings: BrokerSettings, shard: Shard<Environment>, index: Int) {
        self.settings = settings
        self.shard = shard
        self.index = index
        self.view = ClusterView(node: settings.node, defaults: settings.topicDefaults)
        self.groups = GroupCoordinators(on: shard, settings: settings.groups)
        self.fetchSessions = FetchSessions(settings, sharedBy: 1)
        self.repacking = RepackingLine(shard.environment)
    }

    /// Makes the node's other shards known. Called once, before the first request.
    public func connect(_ ports: [ShardPort<Environment>]) {
        self.ports = ports.count > 1 ? ports : []
        fetchSessions = FetchSessions(settings, sharedBy: shardCount)
    }

    var shardCount: Int { max(1, ports.count) }
    var environment: Environment { shard.environment }

    // MARK: - Requests

    /// Answers one request frame (without its length).
    ///
    /// - Parameters:
    ///   - host: where the client is, as groups show it.
    ///   - answer: called exactly once, on this loop, now or later.
    public func handle(_ frame: ByteBuffer, host: String = "", answer: @escaping (CallReply<Files>) -> Void) {
        var body = frame
        let header: RequestHeader
        do throws(WireError) {
            header = try RequestHeader.decode(from: &body)
        } catch {
            return answer(.close(reason: "an unreadable request header: \(error)"))
        }
        let call = Call<Files>(header: header, body: body, host: host, arrived: environment.now, answer: answer)
        shard.tickIfOverdue(now: call.arrived)
        guard ServedApis.serves(header.apiKey, version: header.version) else { return refuseVersion(call) }
        do throws(WireError) {
            try route(call)
        } catch {
            call.close("an unreadable \(header.apiKey) v\(header.version) request: \(error)")
        }
    }

    private func route(_ call: Call<Files>) throws(WireError) {
        switch call.header.apiKey {
        case .produce: try produce(call)
        case .fetch: try fetch(call)
        case .listOffsets: try listOffsets(call)
        case .metadata: try metadata(call)
        case .apiVersions: try apiVersions(call)
        case .createTopics: try createTopics(call)
        case .deleteTopics: try deleteTopics(call)
        case .deleteRecords: try deleteRecords(call)
        case .createPartitions: try createPartitions(call)
        case .describeConfigs: try describeConfigs(call)
        case .describeCluster: try describeCluster(call)
        case .offsetForLeaderEpoch: try offsetForLeaderEpoch(call)
        case .findCoordinator: try findCoordinator(call)
        case .joinGroup: try joinGroup(call)
        case .syncGroup: try syncGroup(call)
        case .heartbeat: try heartbeat(call)
        case .leaveGroup: try leaveGroup(call)
        case .offsetCommit: try offsetCommit(call)
        case .offsetFetch: try offsetFetch(call)
        case .offsetDelete: try offsetDelete(call)
        case .listGroups: try listGroups(call)
        case .describeGroups: try describeGroups(call)
        case .deleteGroups: try deleteGroups(call)
        case .consumerGroupHeartbeat: try consumerGroupHeartbeat(call)
        case .consumerGroupDescribe: try consumerGroupDescribe(call)
        case .explainGroup: try explainGroup(call)
        case .alterConfigs: try alterConfigs(call)
        case .incrementalAlterConfigs: try incrementalAlterConfigs(call)
        case .describeLogDirs: try describeLogDirs(call)
        case .describeTopicPartitions: try describeTopicPartitions(call)
        case .listConfigResources: try listConfigResources(call)
        case .initProducerID: try initProducerID(call)
        case .describeProducers: try describeProducers(call)
        case .electLeaders: try electLeaders(call)
        case .alterPartitionReassignments: try alterPartitionReassignments(call)
        case .listPartitionReassignments: try listPartitionReassignments(call)
        case .describeQuorum: try describeQuorum(call)
        case .addRaftVoter: try addRaftVoter(call)
        case .removeRaftVoter: try removeRaftVoter(call)
        case .describeMoves: try describeMoves(call)
        case .balanceCluster: try balanceCluster(call)
        default: preconditionFailure("\(call.header.apiKey) is advertised but not routed")
        }
    }

    /// ApiVersions answers an unknown version in version 0 with the range it speaks, so that the client can ask again;
    /// other APIs have no format to say it in, and the connection closes, as with Kafka.
    private func refuseVersion(_ call: Call<Files>) {
        guard call.header.apiKey == .apiVersions else {
            return call.close("\(call.header.apiKey) v\(call.header.version) is not served")
        }
        var response = ApiVersionsResponse()
        response.error = .unsupportedVersion
        response.apis = ServedApis.advertised
        do throws(WireError) {
            call.relay(try response.encodeFrame(correlationID: call.header.correlationID, version: 0).bytes)
        } catch {
            call.close("the answer could not be encoded: \(error)")
        }
    }

    private func apiVersions(_ call: Call<Files>) throws(WireError) {
        _ = try ApiVersionsRequest.decode(call.body, version: call.version)
        var response = ApiVersionsResponse()
        response.apis = ServedApis.advertised
        ServedApis.announceFeatures(in: &response, version: call.version)
        call.reply(response)
    }

    // MARK: - Time and change

    /// When `tick` has something to do again; `nil` when nothing waits.
    public var nextTick: Moment? {
        let fetch = waitingFetches.lazy.map(\.deadline).min()
        let creation = waitingCreations.lazy.map(\.deadline).min()
        let election = waitingElections.lazy.map(\.deadline).min()
        return [fetch, creation, election, groups.nextDeadline].compactMap(\.self).min()
    }

    /// To be called when the shard is woken: ends waits whose time is over.
    public func tick() {
        let now = environment.now
        for run in waitingFetches where run.deadline <= now { run.expire() }
        for wait in waitingCreations where wait.deadline <= now { wait.finish() }
        for wait in waitingElections where wait.deadline <= now { wait.finish() }
        groups.tick()
    }

    /// Appends what this turn's requests have gathered, then ends the shard's turn. To be called when the shard has
    /// asked for the end of a turn.
    public func endOfTurn() {
        groups.flush()
        shard.endOfTurn()
    }

    /// The cluster's view changed: topics, leaders or live nodes.
    public func update(_ change: (inout ClusterView) -> Void) {
        change(&view)
        for wait in waitingCreations where wait.isReady(in: view) { wait.finish() }
        for wait in waitingElections where wait.isReady(in: view) { wait.finish() }
        groups.follow(view)
    }
}

/// The way from one shard's loop to another's broker.
public struct ShardPort<Environment: ShardEnvironment>: Sendable {
    public let loop: any EventLoop
    public let broker: NIOLoopBound<Broker<Environment>>

    public init(_ broker: Broker<Environment>, on loop: any EventLoop) {
        self.loop = loop
        self.broker = NIOLoopBound(broker, eventLoop: loop)
    }
}

/// The numbers and switches that request handling holds by value.
public struct BrokerSettings: Sendable {
    public var node: NodeID
    public var topics: TopicSettings
    public var topicDefaults: TopicDefaults
    public var groups: GroupSettings
    /// How many nodes have a vote in the cluster's metadata: so many there will be, though they may not be up yet.
    public var voters: Int
    /// What one fetch may take at most, in bytes, whatever the client asks for.
    public var fetchLimit: Int
    /// How long a fetch may wait at most, in nanoseconds.
    public var fetchWaitLimit: UInt64
    /// How long a produce may wait at most, in nanoseconds.
    public var produceWaitLimit: UInt64
    /// The most bytes that one batch may unpack to where its records must be seen.
    public var unpackedLimit = Int(Setting.decompressedBytesMax.initial.rawValue)
    /// The node's settings, for DescribeConfigs.
    public var shown: [ShownSetting]
    /// How many incremental fetch sessions the node keeps.
    public var fetchSessionSlots = Setting.fetchSessionSlots.initial
    public var replicaSelector = Setting.replicaSelector.initial
    /// The directory of the partitions' logs.
    public var logDirectory = ""

    public init(
        node: NodeID, topics: TopicSettings, topicDefaults: TopicDefaults, groups: GroupSettings = GroupSettings(),
        voters: Int = 1, fetchLimit: Int, fetchWaitLimit: UInt64,
        produceWaitLimit: UInt64, shown: [ShownSetting]
    ) {
        self.node = node
        self.topics = topics
        self.topicDefaults = topicDefaults
        self.groups = groups
        self.voters = voters
        self.fetchLimit = fetchLimit
        self.fetchWaitLimit = fetchWaitLimit
        self.produceWaitLimit = produceWaitLimit
        self.shown = shown
    }
}
