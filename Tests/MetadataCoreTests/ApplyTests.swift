// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Settings
import Testing

@Suite struct ApplyTests {
    @Test func nothingIsTakenBeforeTheClusterHasFormed() {
        for command in sampleCommands.dropFirst() {
            var state = ClusterState()
            #expect(state.apply(command, at: Offset(4)) == .refused(.clusterNotFormed))
            #expect(state.end == Offset(5) && state.says(sameAs: ClusterState()))
        }
    }

    @Test func aClusterFormsOnce() {
        var state = ClusterState()
        #expect(state.apply(.formCluster(sampleCluster)) == .clusterFormed(sampleCluster))
        #expect(state.clusterID == sampleCluster)
        #expect(state.apply(.formCluster(sampleCluster)) == .nothing)
        let other = ClusterID(high: 1, low: 1)
        #expect(state.apply(.formCluster(other)) == .refused(.clusterAlreadyFormed(sampleCluster)))
        #expect(state.clusterID == sampleCluster && state.end == Offset(3))
    }

    @Test func idsPrintAsKafkasDo() {
        // java.util.UUID 01234567-89ab-cdef-fedc-ba9876543210 as Uuid.toString has it: base64 of its 16 bytes.
        #expect(sampleCluster.description == "ASNFZ4mrze_-3LqYdlQyEA")
        #expect(ClusterID(high: 0, low: 0).description == "AAAAAAAAAAAAAAAAAAAAAA")
        #expect(DirectoryID(high: .max, low: .max).description == "_____________________w")
    }

    @Test func nodesAreKeptInTheOrderOfTheirIDs() {
        var state = ClusterState()
        state.apply(.formCluster(sampleCluster))
        for id in [5, 1, 3] as [Int32] {
            #expect(state.apply(.registerNode(registration(id))) == .nodeRegistered(registration(id), previous: nil))
        }
        #expect(state.nodes.map(\.id.rawValue) == [1, 3, 5])
        #expect(state.node(NodeID(3)) == registration(3))
        for id in [0, 2, 4, 6] as [Int32] { #expect(state.node(NodeID(id)) == nil) }
    }

    @Test func aRegistrationAppliedAgainChangesNothing() {
        var state = ClusterState.formed()
        let before = state
        #expect(state.apply(.registerNode(registration(2))) == .nothing)
        #expect(state.says(sameAs: before))
    }

    @Test func aNodeThatLostItsDiskSaysSo() {
        var state = ClusterState.formed()
        let again = registration(2, rack: "new", disk: 99)
        #expect(state.apply(.registerNode(again)) == .nodeRegistered(again, previous: registration(2)))
        #expect(state.nodes.count == 3 && state.node(NodeID(2)) == again)
    }

    @Test func onlyTopicsOlderThanItsDirectoryAreLostOnANode() throws {
        var state = ClusterState.formed()
        state.apply(newTopic("old", id: 1))
        let first = DirectoryID(high: 1, low: 2)
        let second = DirectoryID(high: 99, low: 2)
        let old = try #require(state.topic(topicID(1)))
        #expect(!state.hasLost(old, on: NodeID(2), directory: first))
        // Before the node has registered anew, and after it.
        #expect(state.hasLost(old, on: NodeID(2), directory: second))
        state.apply(.registerNode(registration(2, disk: 99)))
        #expect(state.hasLost(old, on: NodeID(2), directory: second))
        #expect(!state.hasLost(old, on: NodeID(1), directory: first))
        state.apply(newTopic("new", id: 2))
        #expect(!state.hasLost(try #require(state.topic(topicID(2))), on: NodeID(2), directory: second))
        // Another address on the same disk changes nothing.
        state.apply(.registerNode(registration(2, kafkaPort: 1, disk: 99)))
        #expect(!state.hasLost(try #require(state.topic(topicID(2))), on: NodeID(2), directory: second))
        let restored = try ClusterState(snapshot: state.encodeSnapshot())
        #expect(restored.hasLost(old, on: NodeID(2), directory: second))
    }

    @Test func aCommandBeforeTheEndWasApplied() {
        var state = ClusterState.formed()
        let before = state
        #expect(state.apply(newTopic("a", id: 1), at: Offset(3)) == .alreadyApplied)
        #expect(state == before)
        guard case .topicCreated(let topic) = state.apply(newTopic("a", id: 1), at: Offset(10)) else {
            Issue.record("offsets may be skipped")
            return
        }
        #expect(topic.createdAt == Offset(10) && state.end == Offset(11))
    }

    @Test func aTopicIsFoundByNameAndByID() throws {
        var state = ClusterState.formed()
        state.apply(newTopic("b", id: 2, placements([1, 2], [2, 3])))
        state.apply(newTopic("a", id: 3, placements([3])))
        let topic = try #require(state.topic(topicID(2)))
        #expect(state.topic(named: name("b")) == topic && topic.replicationFactor == 2)
        #expect(state.allTopics.map(\.name) == [name("a"), name("b")] && state.topicNames == [name("a"), name("b")])
        #expect(state.partitionCount == 3)
        let second = PartitionID(topic: topicID(2), index: 1)
        #expect(state.placement(of: second)?.preferredLeader == NodeID(2))
        #expect(state.placement(of: PartitionID(topic: topicID(2), index: 2)) == nil)
        #expect(state.placement(of: PartitionID(topic: topicID(5), index: 0)) == nil)
        #expect(state.partitions(on: NodeID(3)) == [PartitionID(topic: topicID(3), index: 0), second])
        #expect(state.partitions(on: NodeID(9)).isEmpty)
    }

    @Test func aTopicIsCreatedOnce() {
        var state = ClusterState.formed()
        let command = newTopic("a.b", id: 1)
        state.apply(command)
        let before = state
        #expect(state.apply(command) == .nothing)
        #expect(state.apply(newTopic("a.b", id: 2)) == .refused(.topicAlreadyExists(name("a.b"))))
        #expect(state.apply(newTopic("a_b", id: 2)) == .refused(.topicNameCollides(with: name("a.b"))))
        #expect(state.apply(newTopic("c", id: 1)) == .refused(.topicIDInUse(topicID(1))))
        #expect(state.says(sameAs: before))
    }

    @Test(arguments: [TopicID.zero, .metadata])
    func reservedIDsAreRefused(id: TopicID) {
        var state = ClusterState.formed()
        let topic = NewTopic(
            id: id, name: name("a"), partitions: placements([1]), configs: TopicConfigs(),
            created: Timestamp(milliseconds: 0))
        #expect(state.apply(.createTopic(topic)) == .refused(.topicIDInUse(id)))
    }

    @Test func placementsThatCannotBeAreRefused() {
        var state = ClusterState.formed(nodes: 256)
        let everyone = PartitionPlacement(replicas: (1...256).map { NodeID($0) })
        for (partitions, refusal) in [
            ([], MetadataRefusal.invalidPlacement), (placements([]), .invalidPlacement),
            (placements([1], []), .invalidPlacement), (placements([1, 1]), .invalidPlacement),
            ([everyone], .invalidPlacement), (placements([1, 0]), .unknownNode(NodeID(0))),
            (placements([1], [257]), .unknownNode(NodeID(257))),
        ] as [([PartitionPlacement], MetadataRefusal)] {
            #expect(state.apply(newTopic("a", id: 1, partitions)) == .refused(refusal))
        }
        #expect(state.topicNames.isEmpty && state.partitionCount == 0)
        let most = PartitionPlacement(replicas: (1...255).map { NodeID($0) })
        state.apply(newTopic("a", id: 1, [most]))
        #expect(state.partitionCount == 1)
    }

    @Test func aDeletedTopicLeavesNothingBehind() throws {
        var state = ClusterState.formed()
        let empty = state
        state.apply(newTopic("a.b", id: 1, placements([1], [2])))
        let topic = try #require(state.topic(topicID(1)))
        #expect(state.apply(.deleteTopic(topicID(1))) == .topicDeleted(topic))
        #expect(state.says(sameAs: empty) && state.topic(named: name("a.b")) == nil)
        #expect(state.apply(.deleteTopic(topicID(1))) == .refused(.unknownTopic(topicID(1))))
        guard case .topicCreated = state.apply(newTopic("a_b", id: 1)) else {
            Issue.record("the name collides with a topic that is gone")
            return
        }
    }

    @Test func partitionsAreAddedOnlyToAsManyAsWerePlanned() throws {
        var state = ClusterState.formed()
        state.apply(newTopic("a", id: 1, placements([1], [2])))
        func add(_ after: Int, _ partitions: [PartitionPlacement], to id: UInt64 = 1) -> MetadataChange {
            let added = AddedPartitions(topic: topicID(id), after: after, partitions: partitions)
            return state.apply(.createPartitions(added))
        }
        #expect(add(1, placements([3])) == .refused(.partitionCountChanged(now: 2)))
        #expect(add(2, placements([9])) == .refused(.unknownNode(NodeID(9))))
        #expect(add(2, []) == .refused(.invalidPlacement))
        #expect(add(2, placements([3]), to: 8) == .refused(.unknownTopic(topicID(8))))
        #expect(state.partitionCount == 2)
        let change = add(2, placements([3], [1]))
        let topic = try #require(state.topic(topicID(1)))
        #expect(change == .partitionsCreated(topic, from: 2))
        #expect(topic.partitions == placements([1], [2], [3], [1]) && state.partitionCount == 4)
        #expect(add(2, placements([3], [1])) == .refused(.partitionCountChanged(now: 4)), "the same once more")
    }

    @Test func configsAreReplacedAsAWhole() throws {
        var state = ClusterState.formed()
        state.apply(newTopic("a", id: 1, configs: configs([("retention.ms", "1")])))
        let altered = configs([("segment.ms", "5")])
        let change = state.apply(.alterTopicConfigs(topicID(1), altered))
        #expect(change == .topicConfigsAltered(try #require(state.topic(topicID(1)))))
        #expect(state.topic(topicID(1))?.configs == altered)
        #expect(state.apply(.alterTopicConfigs(topicID(1), altered)) == .nothing)
        #expect(state.apply(.alterTopicConfigs(topicID(2), altered)) == .refused(.unknownTopic(topicID(2))))
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func equalHistoriesGiveEqualStates(seed: UInt64) {
        var first = ClusterState()
        var second = ClusterState()
        for command in history(seed: seed) {
            let before = first
            let change = first.apply(command)
            #expect(change == second.apply(command))
            if case .refused = change { #expect(first.says(sameAs: before)) }
            #expect(first.partitionCount == first.allTopics.reduce(0) { $0 + $1.partitions.count })
            #expect(
                first.topicNames == first.topicNames.sorted() && first.nodes.map(\.id) == first.nodes.map(\.id).sorted()
            )
        }
        #expect(first == second && first.encodeSnapshot() == second.encodeSnapshot())
    }

    @Test func refusalsAreSentences() {
        let refusals: [MetadataRefusal] = [
            .clusterAlreadyFormed(sampleCluster), .clusterNotFormed, .topicAlreadyExists(name("a")),
            .topicNameCollides(with: name("a")), .topicIDInUse(topicID(1)), .unknownTopic(topicID(1)),
            .unknownNode(NodeID(3)), .invalidPlacement, .partitionCountChanged(now: 3),
            .producerIDsExhausted,
        ]
        #expect(Set(refusals.map(\.description)).count == refusals.count)
    }
}

@Suite struct LeaderTableTests {
    private let partition = PartitionID(topic: topicID(1), index: 0)

    /// T-R7 (redpanda bea80d6637).
    @Test func theHighestTermWins() {
        var table = LeaderTable()
        #expect(table.learn(partition, term: Term(2), leader: NodeID(1)) == true)
        #expect(table.learn(partition, term: Term(1), leader: NodeID(3)) == false)
        #expect(table.leader(of: partition) == NodeID(1))
        #expect(table.learn(partition, term: Term(3), leader: NodeID(2)) == true)
        #expect(table[partition] == LeaderTable.Row(term: Term(3), leader: NodeID(2)) && table.count == 1)
    }

    @Test func aLeaderReplacesNobodyAndNeverAnotherOfItsTerm() {
        var table = LeaderTable()
        table.learn(partition, term: Term(5), leader: nil)
        #expect(table.learn(partition, term: Term(5), leader: nil) == false)
        #expect(table.learn(partition, term: Term(5), leader: NodeID(1)) == true)
        #expect(table.learn(partition, term: Term(5), leader: NodeID(1)) == false)
        #expect(table.learn(partition, term: Term(5), leader: NodeID(2)) == false)
        #expect(table.learn(partition, term: Term(5), leader: nil) == false)
        #expect(table.leader(of: partition) == NodeID(1))
        #expect(table.learn(partition, term: Term(6), leader: nil) == true)
        #expect(table.leader(of: partition) == nil && table[partition]?.term == Term(6))
    }

    @Test func aForgottenPartitionIsNew() {
        var table = LeaderTable()
        table.learn(partition, term: Term(5), leader: NodeID(1))
        table.forget(partition)
        #expect(table[partition] == nil && table.count == 0)
        #expect(table.learn(partition, term: Term(1), leader: NodeID(2)) == true)
    }
}
