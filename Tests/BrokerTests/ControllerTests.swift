// SPDX-License-Identifier: Apache-2.0

import Broker
import Disk
import Foundation
import KafkaWire
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import Replication
import Settings
import Testing

/// A node whose metadata group runs for real, with itself as the only voter.
final class OneController {
    let node: OneNode
    let controller: Controller<StillEnvironment>
    let directory: String
    let inbox: Published

    init(in directory: String? = nil) throws {
        let node = try OneNode()
        let path = directory ?? NSTemporaryDirectory() + "godwit-controller-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let snapshots = MetadataSnapshotFile(in: path, files: RealFileSystem())
        var last: UInt64 = 50
        let inbox = Published()
        controller = Controller(
            shard: node.shard, snapshots: snapshots, restored: try snapshots.read(),
            drawID: {
                inbox.beforeID()
                last += 1
                return TopicID(high: 77, low: last)
            }, publish: { inbox.take($0, $1) })
        self.node = node
        self.directory = path
        self.inbox = inbox
        node.shard.host(
            ReplicaAssignment(
                partition: .metadata, replicas: [OneNode.node], directory: path + "/log",
                limits: LogLimits(segmentBytes: .kibibytes(16))),
            state: controller)
        node.waitForLeadership()
    }

    final class Published {
        var states: [ClusterState] = []
        var deleted: [Topic] = []
        /// Happens in the middle of a request that makes a topic.
        var beforeID: () -> Void = {}
        func take(_ state: ClusterState, _ topic: Topic?) {
            states.append(state)
            if let topic { deleted.append(topic) }
        }
    }

    func propose(_ command: MetadataCommand) -> Result<Void, ProposalFailure>? {
        var outcome: Result<Void, ProposalFailure>?
        controller.propose(command) { outcome = $0 }
        node.settle()
        return outcome
    }

    func form() {
        _ = propose(.formCluster(ClusterID(high: 8, low: 9)))
        _ = propose(
            .registerNode(
                NodeRegistration(
                    id: OneNode.node, kafka: NetworkAddress(host: "h", port: 1),
                    peer: NetworkAddress(host: "h", port: 2), rack: nil, directory: DirectoryID(high: 1, low: 1))))
    }

    var context: PlanningContext {
        PlanningContext(
            settings: NodeSettings().topics, defaults: TopicDefaults(), usable: [OneNode.node], seed: 1)
    }

    func answer<Request: WireRequest>(
        _ request: Request, version: Int16, defaults: TopicDefaults = TopicDefaults(),
        usable: [NodeID] = [OneNode.node]
    ) throws -> Request.Response {
        var frame = try request.encodeFrame(correlationID: 3, clientID: nil, version: version).bytes
        frame.moveReaderIndex(forwardBy: 4)
        var answer: ByteBuffer?
        let context = PlanningContext(
            settings: NodeSettings().topics, defaults: defaults, usable: usable, seed: 1)
        controller.answer(frame, in: context) { answer = $0 }
        node.settle()
        var body = try #require(answer)
        body.moveReaderIndex(forwardBy: 4)
        _ = try ResponseHeader.decode(from: &body, apiKey: Request.Response.apiKey, version: version)
        return try Request.Response.decode(body, version: version)
    }
}

func creation(_ name: String, partitions: Int32 = 1, replication: Int16 = 1) -> CreateTopicsRequest {
    var request = CreateTopicsRequest()
    var topic = CreateTopicsRequest.Topic()
    topic.name = name
    topic.partitionCount = partitions
    topic.replicationFactor = replication
    request.topics = [topic]
    return request
}

@Suite struct ControllerTests {
    @Test func aClusterFormsOnce() throws {
        let one = try OneController()
        guard case .success = one.propose(.formCluster(ClusterID(high: 1, low: 1))) else {
            Issue.record("the cluster did not form")
            return
        }
        guard case .failure(.refused(.clusterAlreadyFormed)) = one.propose(.formCluster(ClusterID(high: 2, low: 2)))
        else {
            Issue.record("the cluster formed twice")
            return
        }
        #expect(one.controller.state.clusterID == ClusterID(high: 1, low: 1))
    }

    @Test(arguments: CreateTopicsRequest.versions)
    func aTopicIsCreatedInEveryVersion(version: Int16) throws {
        let one = try OneController()
        one.form()
        let answer = try one.answer(creation("events", partitions: 3), version: version)
        #expect(answer.topics.map(\.error) == [.none])
        #expect(one.inbox.states.last?.topic(named: try TopicName("events"))?.partitions.count == 3)
        if version >= 5 { #expect(answer.topics.first?.partitionCount == 3) }
        if version >= 7 { #expect(answer.topics.first?.id == TopicID(high: 77, low: 51)) }
    }

    /// A log that has just been refused by its disk, or a leadership that is being handed over, fails a proposal in
    /// the very call, when the rest of the answer is not written yet.
    @Test func aProposalThatFailsAtOnceIsAnsweredInItsPlace() throws {
        let one = try OneController()
        one.form()
        let metadata = try #require(one.node.shard.replica(.metadata))
        var drawn = 0
        one.inbox.beforeID = {
            drawn += 1
            if drawn == 2 { metadata.stop("planted") }
        }
        var request = creation("first")
        request.topics += creation("second").topics + creation("third").topics
        let answer = try one.answer(request, version: 7)
        #expect(answer.topics.map(\.name) == ["first", "second", "third"])
        #expect(answer.topics.map(\.error) == [.notController, .notController, .notController])
    }

    @Test func whatCannotBeCreatedIsRefusedByName() throws {
        let one = try OneController()
        one.form()
        _ = try one.answer(creation("events"), version: 7)
        func error(_ request: CreateTopicsRequest) throws -> ErrorCode? {
            try one.answer(request, version: 7).topics.first?.error
        }
        #expect(try error(creation("events")) == .topicAlreadyExists)
        #expect(try error(creation("a/b")) == .invalidTopic)
        #expect(try error(creation("..")) == .invalidTopic)
        #expect(try error(creation("many", partitions: 0)) == .invalidPartitions)
        #expect(try error(creation("wide", replication: 3)) == .invalidReplicationFactor)
        var configured = creation("configured")
        var config = CreateTopicsRequest.Config()
        config.name = "no.such.config"
        config.value = "1"
        configured.topics[0].configs = [config]
        #expect(try error(configured) == .invalidConfig)
    }

    // H20.
    @Test func topicsAndPartitionsBeyondAllMeasureAreRefused() throws {
        let one = try OneController()
        one.form()
        func errors(_ request: CreateTopicsRequest) throws -> [ErrorCode] {
            try one.answer(request, version: 7).topics.map(\.error)
        }
        #expect(try errors(creation("many", partitions: 1_000_000)) == [.policyViolation])
        #expect(try errors(creation("most", partitions: .max)) == [.policyViolation])
        #expect(try errors(creation("less", partitions: .min)) == [.invalidPartitions])
        #expect(try errors(creation("wide", replication: 32_767)) == [.invalidReplicationFactor])
        #expect(try errors(creation("narrow", replication: -2)) == [.invalidReplicationFactor])
        var twice = creation("twice")
        twice.topics += creation("once").topics + twice.topics
        #expect(try errors(twice) == [.invalidRequest, .none, .invalidRequest])
        var crowd = creation("crowd", partitions: 6_000)
        crowd.topics += creation("other", partitions: 6_000).topics
        #expect(try errors(crowd) == [.none, .policyViolation])
        #expect(one.controller.state.topicNames.map(\.rawValue) == ["crowd", "once"])
    }

    @Test func validateOnlyCreatesNothing() throws {
        let one = try OneController()
        one.form()
        var request = creation("events")
        request.validateOnly = true
        #expect(try one.answer(request, version: 7).topics.map(\.error) == [.none])
        #expect(one.controller.state.allTopics.isEmpty)
    }

    @Test func aTopicIsDeletedByNameOrById() throws {
        let one = try OneController()
        one.form()
        let first = try one.answer(creation("a"), version: 7).topics[0].id
        _ = try one.answer(creation("b"), version: 7)
        var byName = DeleteTopicsRequest()
        byName.topicNames = ["b", "missing"]
        #expect(
            try one.answer(byName, version: 5).topics.map(\.error) == [.none, .unknownTopicOrPartition])
        var byID = DeleteTopicsRequest()
        var topic = DeleteTopicsRequest.Topic()
        topic.name = nil
        topic.id = first
        byID.topics = [topic]
        #expect(try one.answer(byID, version: 6).topics.map(\.error) == [.none])
        #expect(one.controller.state.allTopics.isEmpty)
        #expect(one.inbox.deleted.map(\.name.rawValue) == ["b", "a"])
        #expect(try one.answer(byID, version: 6).topics.map(\.error) == [.unknownTopicID])
    }

    @Test func partitionsAreAddedAndNeverTakenAway() throws {
        let one = try OneController()
        one.form()
        _ = try one.answer(creation("events", partitions: 2), version: 7)
        var request = CreatePartitionsRequest()
        var topic = CreatePartitionsRequest.Topic()
        topic.name = "events"
        topic.count = 5
        topic.assignments = nil
        request.topics = [topic]
        #expect(try one.answer(request, version: 3).results.map(\.error) == [.none])
        #expect(one.controller.state.partitionCount == 5)
        request.topics[0].count = 3
        #expect(try one.answer(request, version: 3).results.map(\.error) == [.invalidPartitions])
    }

    @Test func theStateComesBackFromTheLog() throws {
        let directory: String
        do {
            let one = try OneController()
            one.form()
            _ = try one.answer(creation("events", partitions: 2), version: 7)
            one.node.shard.close()
            directory = one.directory
        }
        let again = try OneController(in: directory)
        #expect(again.controller.state.topic(named: try TopicName("events"))?.partitions.count == 2)
        #expect(again.controller.state.clusterID == ClusterID(high: 8, low: 9))
    }

    /// And nothing that no snapshot holds (T-K21, redpanda 70541dfd0f).
    /// T-S6 (hraft 854cbcb).
    @Test func aSnapshotLetsTheLogBeforeItGo() throws {
        let directory: String
        do {
            let one = try OneController()
            one.form()
            // Snapshots are due every thousand commands.
            for round in 0..<2_100 {
                _ = one.propose(
                    .registerNode(
                        NodeRegistration(
                            id: NodeID(2), kafka: NetworkAddress(host: "host\(round)", port: 1),
                            peer: NetworkAddress(host: "h", port: 2), rack: nil,
                            directory: DirectoryID(high: 1, low: 1))))
            }
            let replica = try #require(one.node.shard.replica(.metadata))
            #expect(replica.logStart > Offset(900))
            one.node.shard.close()
            directory = one.directory
        }
        let again = try OneController(in: directory)
        #expect(again.controller.state.node(NodeID(2))?.kafka.host == "host2099")
        #expect(again.controller.state.clusterID == ClusterID(high: 8, low: 9))
    }
}
