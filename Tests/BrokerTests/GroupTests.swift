// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import Testing

@testable import Broker
@testable import Replication

/// The shell around the group coordinator: where it is, when it answers, and what it says before it can.
@Suite struct GroupTests {
    private func nodeWithGroups() throws -> OneNode {
        let node = try OneNode()
        try node.topic("events", partitions: 2)
        try node.topic("__consumer_offsets", partitions: 4)
        return node
    }

    private func commit(_ offset: Int64, of group: String, topic: String = "events") -> OffsetCommitRequest {
        var request = OffsetCommitRequest()
        request.groupID = group
        var asked = OffsetCommitRequest.Topic()
        asked.name = topic
        var partition = OffsetCommitRequest.Partition()
        partition.committedOffset = offset
        asked.partitions = [partition]
        request.topics = [asked]
        return request
    }

    private func fetch(_ group: String, topics: [OffsetFetchRequest.Topic]? = nil) -> OffsetFetchRequest {
        var request = OffsetFetchRequest()
        var asked = OffsetFetchRequest.Group()
        asked.groupID = group
        asked.topics = topics
        request.groups = [asked]
        return request
    }

    @Test func theCoordinatorOfAGroupIsTheLeaderOfItsPartition() throws {
        let node = try nodeWithGroups()
        var request = FindCoordinatorRequest()
        request.coordinatorKeys = ["orders", ""]
        let found = try node.ask(request, version: 4).coordinators
        #expect(found.map(\.error) == [.none, .none])
        #expect(found.map(\.nodeID) == [1, 1])
        #expect(found.map(\.host) == ["one.example", "one.example"])
        request.key = "orders"
        let old = try node.ask(request, version: 2)
        #expect(old.error == .none && old.nodeID == 1 && old.port == 9092)
    }

    @Test func aCoordinatorIsNotAvailableBeforeItsTopicIsMade() throws {
        let node = try OneNode()
        var request = FindCoordinatorRequest()
        request.key = "orders"
        #expect(try node.ask(request, version: 3).error == .coordinatorNotAvailable)
        #expect(try node.ask(fetch("orders"), version: 8).groups.first?.error == .notCoordinator)
    }

    @Test func thereIsNoCoordinatorOfTransactions() throws {
        let node = try nodeWithGroups()
        var request = FindCoordinatorRequest()
        request.key = "tx"
        request.keyType = 1
        #expect(try node.ask(request, version: 3).error == .invalidRequest)
    }

    @Test func aCommitIsAnsweredOnceItIsOnDiskAndFetchedAfterwards() throws {
        let node = try nodeWithGroups()
        let asked = try node.begin(commit(41, of: "orders"), version: 8)
        node.settleDiskExcluded()
        #expect(!asked.isAnswered)
        let early = try node.begin(fetch("orders"), version: 8)
        node.settleDiskExcluded()
        #expect(!early.isAnswered, "an offset that could still be lost is not shown")
        node.settle()
        #expect(asked.response?.topics.first?.partitions.first?.error == ErrorCode.none)
        #expect(early.response?.groups.first?.topics.first?.partitions.first?.committedOffset == 41)
    }

    @Test func anOffsetOfAPartitionThatDoesNotExistIsRefused() throws {
        let node = try nodeWithGroups()
        var request = commit(1, of: "orders")
        var missing = OffsetCommitRequest.Partition()
        missing.index = 9
        request.topics[0].partitions.append(missing)
        request.topics.append(commit(1, of: "orders", topic: "nowhere").topics[0])
        let answer = try node.ask(request, version: 8)
        #expect(answer.topics[0].partitions.map(\.error) == [.none, .unknownTopicOrPartition])
        #expect(answer.topics[1].partitions.map(\.error) == [.unknownTopicOrPartition])
    }

    @Test func topicsGoByTheirIDsSinceVersionTen() throws {
        let node = try nodeWithGroups()
        let id = try #require(node.broker.view.cluster.allTopics.first { $0.name.rawValue == "events" }?.id)
        var request = commit(7, of: "orders")
        request.topics[0].id = id
        var unknown = request.topics[0]
        unknown.id = TopicID(high: 9, low: 9)
        request.topics.append(unknown)
        let committed = try node.ask(request, version: 10)
        #expect(committed.topics.map { $0.partitions[0].error } == [.none, .unknownTopicID])
        #expect(committed.topics.map(\.id) == [id, unknown.id])
        var byID = OffsetFetchRequest.Topic()
        byID.id = id
        byID.partitions = [0]
        let fetched = try node.ask(fetch("orders", topics: [byID]), version: 10)
        #expect(fetched.groups[0].topics.map(\.id) == [id])
        #expect(fetched.groups[0].topics[0].partitions[0].committedOffset == 7)
        let all = try node.ask(fetch("orders"), version: 10)
        #expect(all.groups[0].topics.map(\.id) == [id])
    }

    @Test func aNewLeaderKnowsWhatWasCommittedBefore() throws {
        let node = try nodeWithGroups()
        for offset in 0..<50 { _ = try node.ask(commit(Int64(offset), of: "orders-\(offset % 7)"), version: 8) }
        node.loseAndRegainLeadership()
        let answer = try node.ask(fetch("orders-3"), version: 8)
        #expect(answer.groups[0].error == .none)
        #expect(answer.groups[0].topics.first?.partitions.first?.committedOffset == 45)
    }

    /// A full disk ends a coordinator, not the leader. What it had written may yet be committed, and the next one
    /// would then go on from a log that says otherwise than it.
    @Test func theNextCoordinatorOfTheSameLeaderKnowsWhatIsOnItsWayToTheDisk() throws {
        let node = try nodeWithGroups()
        let first = try node.begin(commit(41, of: "orders"), version: 8)
        node.settleDiskExcluded()
        let offsets = node.broker.view.cluster.allTopics.first { $0.name.rawValue == "__consumer_offsets" }
        let place = PartitionID(
            topic: try #require(offsets?.id), index: GroupPlace.partition(of: "orders", count: 4))
        let replica = try #require(node.shard.replica(place))
        replica.lacksRoom = true
        let second = try node.begin(commit(42, of: "orders"), version: 8)
        node.settleDiskExcluded()
        #expect(second.response?.topics.first?.partitions.first?.error == .notCoordinator)
        #expect(first.response?.topics.first?.partitions.first?.error == .notCoordinator)
        _ = try node.begin(fetch("orders"), version: 8)
        node.settle()
        let answer = try node.ask(fetch("orders"), version: 8)
        #expect(answer.groups.first?.topics.first?.partitions.first?.committedOffset == 41)
    }

    /// A coordinator that took in the topics when it was made missed what became of them while it read its log.
    @Test func aTopicThatIsDeletedWhileACoordinatorLoadsTakesItsOffsetsWithIt() throws {
        let node = try OneNode()
        let events = try node.topic("events", partitions: 2)
        try node.topic("__consumer_offsets")
        _ = try node.ask(commit(7, of: "orders"), version: 8)
        node.loseLeadershipAndBeElectedAgain()
        let early = try node.begin(fetch("orders"), version: 8)
        #expect(early.response?.groups.first?.error == .coordinatorLoadInProgress)
        node.apply(.deleteTopic(events))
        node.waitForLeadership()
        let answer = try node.ask(fetch("orders"), version: 8)
        #expect(answer.groups[0].error == .none && answer.groups[0].topics.isEmpty)
    }

    /// What was last in the log has been cleaned away, so that its last record lies before its end (T-K24, KAFKA-9065:
    /// the loading never came to an end).
    /// T-S7 (redpanda bb3b63eed8).
    @Test func aCoordinatorIsLoadedFromALogWhoseTailWasCleanedAway() throws {
        let node = try OneNode(cleaner: CleanerSettings(interval: 100_000_000, keySeed: (1, 2)))
        try node.topic("events", partitions: 2)
        try node.topic(
            "__consumer_offsets", configs: [("cleanup.policy", "compact")],
            limits: LogLimits(segmentBytes: ByteCount(400)),
            policy: LogPolicy(compaction: CleaningRules(minDirtyShare: 0, deleteRetention: 0)))
        _ = try node.ask(commit(7, of: "kept"), version: 8)
        var delete = DeleteGroupsRequest()
        for number in 0..<20 {
            _ = try node.ask(commit(1, of: "gone-\(number)"), version: 8)
            delete.groups = ["gone-\(number)"]
            #expect(try node.ask(delete, version: 2).results.first?.error == ErrorCode.none)
        }
        let log = try #require(node.shard.allReplicas.last?.log)
        let before = log.size
        for _ in 0..<40 { node.pass(milliseconds: 50) }
        #expect(log.size < before, "what the tombstones speak of is gone")
        node.loseAndRegainLeadership()
        for _ in 0..<5 { node.pass(milliseconds: 50) }
        let answer = try node.ask(fetch("kept"), version: 8)
        #expect(answer.groups[0].error == .none)
        #expect(answer.groups[0].topics.first?.partitions.first?.committedOffset == 7)
    }

    @Test func membersThatWaitAreToldWhenTheCoordinatorIsGone() throws {
        let node = try nodeWithGroups()
        var join = JoinGroupRequest()
        join.groupID = "orders"
        join.sessionTimeout = 10_000
        join.rebalanceTimeout = 10_000
        join.protocolType = "consumer"
        var offered = JoinGroupRequest.JoinProtocol()
        offered.name = "range"
        join.protocols = [offered]
        let joining = try node.begin(join, version: 2)
        node.settle()
        #expect(!joining.isAnswered, "the first rebalance waits for more members")
        node.loseAndRegainLeadership()
        #expect(joining.response?.error == .notCoordinator)
    }

    @Test func groupsAreListedByStateAndType() throws {
        let node = try nodeWithGroups()
        _ = try node.ask(commit(1, of: "a"), version: 8)
        _ = try node.ask(commit(1, of: "b"), version: 8)
        #expect(try node.ask(ListGroupsRequest(), version: 5).groups.map(\.groupID) == ["a", "b"])
        var filtered = ListGroupsRequest()
        filtered.statesFilter = ["Stable"]
        #expect(try node.ask(filtered, version: 5).groups.isEmpty)
        filtered.statesFilter = ["empty"]
        filtered.typesFilter = ["CLASSIC"]
        #expect(try node.ask(filtered, version: 5).groups.count == 2)
    }

    @Test func featureLevelsAreAnnouncedToThoseWhoCanReadThem() throws {
        let node = try OneNode()
        let new = try node.ask(ApiVersionsRequest(), version: 4)
        #expect(new.finalizedFeatures.map(\.name) == ["group.version"])
        #expect(new.finalizedFeatures.first?.maxVersionLevel == 1)
        let old = try node.ask(ApiVersionsRequest(), version: 3)
        #expect(old.finalizedFeatures.isEmpty && old.supportedFeatures.isEmpty)
    }

    @Test func aGroupsPlaceIsWhereKafkaPutsIt() throws {
        for (group, partition) in [("", 0), ("console-consumer-1", 24), ("grüße", 23), ("orders", 17), ("🦤", 38)] {
            #expect(GroupPlace.partition(of: group, count: 50) == Int32(partition))
        }
    }
}
