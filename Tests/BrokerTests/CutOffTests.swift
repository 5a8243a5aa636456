// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import MetadataCore
import Settings
import Testing

/// What a node that hears of nobody any more tells clients about the others.
@Suite struct CutOffTests {
    /// Node 1 of two, which keeps `events`; both lead or have led.
    private func cluster() throws -> (OneNode, PartitionID) {
        let node = try OneNode()
        node.apply(
            .registerNode(
                NodeRegistration(
                    id: NodeID(2), kafka: NetworkAddress(host: "two.example", port: 9092),
                    peer: NetworkAddress(host: "two.example", port: 19092), rack: nil,
                    directory: DirectoryID(high: 3, low: 5))))
        return (node, PartitionID(topic: try node.topic("events"), index: 0))
    }

    private func term(_ node: OneNode, _ partition: PartitionID) throws -> Term {
        try #require(node.broker.view.leader(of: partition)).term
    }

    /// The node leads the partition no more, and knows of nobody who does.
    private func resign(_ node: OneNode, _ partition: PartitionID, isCutOff: Bool) throws {
        let term = try term(node, partition)
        node.broker.update {
            $0.note(partition, term: term, leader: nil)
            $0.replace(isCutOff: isCutOff)
        }
    }

    private var asked: MetadataRequest {
        var request = MetadataRequest()
        var topic = MetadataRequest.Topic()
        topic.name = "events"
        request.topics = [topic]
        return request
    }

    @Test func aNodeThatLeadsNoMoreDoesNotNameItself() throws {
        let (node, partition) = try cluster()
        try resign(node, partition, isCutOff: false)
        let answer = try node.ask(asked, version: 12)
        #expect(answer.topics.first?.partitions.map(\.leaderID) == [-1])
        #expect(answer.topics.first?.partitions.map(\.error) == [.leaderNotAvailable])
    }

    @Test func aFollowersDoubtIsNoReasonToForgetALeader() throws {
        let (node, partition) = try cluster()
        let later = Term(try term(node, partition).rawValue + 1)
        node.broker.update {
            $0.replace(alive: [NodeID(1), NodeID(2)])
            $0.note(partition, term: later, leader: NodeID(2))
            $0.note(partition, term: later, leader: nil)
        }
        #expect(try node.ask(asked, version: 12).topics.first?.partitions.map(\.leaderID) == [2])
    }

    @Test func whoAsksANodeThatIsCutOffIsSentElsewhere() throws {
        let (node, partition) = try cluster()
        try resign(node, partition, isCutOff: true)
        #expect(try node.begin(asked, version: 12).closed != nil)
        node.broker.update { $0.replace(isCutOff: false) }
        #expect(try node.ask(asked, version: 12).topics.first?.partitions.map(\.error) == [.leaderNotAvailable])
    }

    @Test func whoAsksForAllTopicsLooksAfterTheClusterAndIsAnswered() throws {
        let (node, partition) = try cluster()
        try resign(node, partition, isCutOff: true)
        var all = MetadataRequest()
        all.topics = nil
        let answer = try node.ask(all, version: 12)
        #expect(answer.topics.first?.partitions.map(\.error) == [.leaderNotAvailable])
    }

    @Test func whatANodeThatIsCutOffStillLeadsItSays() throws {
        let (node, _) = try cluster()
        node.broker.update { $0.replace(isCutOff: true) }
        #expect(try node.ask(asked, version: 12).topics.first?.partitions.map(\.leaderID) == [1])
    }

    @Test func aNodeThatIsCutOffNamesAllOthersAsItCannotKnow() throws {
        let (node, _) = try cluster()
        var none = MetadataRequest()
        none.topics = []
        #expect(try node.ask(none, version: 12).brokers.map(\.nodeID) == [1])
        node.broker.update { $0.replace(isCutOff: true) }
        #expect(try node.ask(none, version: 12).brokers.map(\.nodeID) == [1, 2])
    }

    @Test func whoLooksForACoordinatorIsSentElsewhereToo() throws {
        let (node, _) = try cluster()
        let topic = try node.topic("__consumer_offsets")
        let place = PartitionID(topic: topic, index: 0)
        var request = FindCoordinatorRequest()
        request.coordinatorKeys = ["g"]
        #expect(try node.ask(request, version: 4).coordinators.map(\.error) == [.none])
        try resign(node, place, isCutOff: true)
        #expect(try node.begin(request, version: 4).closed != nil)
    }
}
