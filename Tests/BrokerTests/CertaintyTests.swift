// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import MetadataCore
import NIOCore
import RaftCore
import Replication
import Settings
import Testing

/// What is true of a leader only is told by one that has asked the other voters since (C14): they may have elected
/// another, which has taken in more.
@Suite struct CertaintyTests {
    /// Asks while nobody else answers: within an election timeout of their last word.
    private func ask<Request: WireRequest>(
        _ three: ThreeReplicas, _ request: Request, version: Int16
    ) throws -> OneNode.Asked<Request.Response> {
        three.answering = []
        // Heartbeats that were sent before the question say nothing about it.
        three.exchange()
        three.node.environment.now = three.node.environment.now.advanced(byNanoseconds: 1)
        let asked = try three.node.begin(request, version: version)
        three.node.settle()
        return asked
    }

    private func hearOthers(_ three: ThreeReplicas) {
        three.answering = [NodeID(2)]
        three.exchange()
        three.run(milliseconds: 200)
    }

    @Test func thereIsNothingMoreIsSaidOnceItIsCertain() throws {
        let three = try ThreeReplicas.leading(rackAware: false)
        let asked = try ask(three, three.fetch(from: 2), version: 11)
        #expect(!asked.isAnswered)
        hearOthers(three)
        #expect(asked.response?.only?.error == ErrorCode.none)
        #expect(asked.response?.only?.highWatermark == 2)
    }

    /// What cannot be said of another partition is no reason to say this one's end in haste.
    @Test func thereIsNothingMoreBesideAnErrorIsSaidOnceItIsCertain() throws {
        let three = try ThreeReplicas.leading(rackAware: false)
        let elsewhere = NewTopic(
            id: TopicID(high: 200, low: 2), name: try TopicName("elsewhere"),
            partitions: [PartitionPlacement(replicas: [NodeID(2), NodeID(3)])], configs: TopicConfigs(),
            created: three.node.environment.wallClock)
        three.node.apply(.createTopic(elsewhere))
        var request = three.fetch(from: 2)
        var other = request.topics[0]
        other.name = "elsewhere"
        request.topics.append(other)
        let asked = try ask(three, request, version: 11)
        #expect(!asked.isAnswered)
        hearOthers(three)
        #expect(asked.response?.topics.map { $0.partitions[0].error } == [.none, .notLeaderOrFollower])
        let second = try ask(three, request, version: 11)
        three.run(milliseconds: 5_000)
        #expect(second.response?.topics.map { $0.partitions[0].error } == [.notLeaderOrFollower, .notLeaderOrFollower])
    }

    @Test func whoHearsNobodyDoesNotSayThatThereIsNothingMore() throws {
        let three = try ThreeReplicas.leading(rackAware: false)
        let asked = try ask(three, three.fetch(from: 2), version: 11)
        three.run(milliseconds: 5_000)
        #expect(asked.response?.only?.error == .notLeaderOrFollower)
    }

    /// Records that are committed are so whoever leads.
    @Test func committedRecordsAreServedAtOnce() throws {
        let three = try ThreeReplicas.leading(rackAware: false)
        let asked = try ask(three, three.fetch(from: 0), version: 11)
        #expect(try asked.response?.only?.values == ["a", "b"])
    }

    @Test func whereALogEndsIsSaidOnceItIsCertain() throws {
        let three = try ThreeReplicas.leading(rackAware: false)
        let asked = try ask(three, listOffsetsRequest(time: -1), version: 4)
        #expect(!asked.isAnswered)
        hearOthers(three)
        #expect(asked.response?.topics.first?.partitions.first?.offset == 2)
        let second = try ask(three, listOffsetsRequest(time: -1), version: 4)
        three.run(milliseconds: 5_000)
        #expect(second.response?.topics.first?.partitions.first?.error == .notLeaderOrFollower)
    }

    @Test func whatAGroupHasCommittedIsSaidOnceItIsCertain() throws {
        let three = try ThreeReplicas(rackAware: false, topic: "__consumer_offsets")
        try three.lead()
        var commit = OffsetCommitRequest()
        commit.groupID = "orders"
        var topic = OffsetCommitRequest.Topic()
        topic.name = "__consumer_offsets"
        var partition = OffsetCommitRequest.Partition()
        partition.committedOffset = 41
        topic.partitions = [partition]
        commit.topics = [topic]
        let committed = try three.node.begin(commit, version: 8)
        three.run(milliseconds: 100)
        try #require(committed.response?.topics.first?.partitions.first?.error == ErrorCode.none)
        var fetch = OffsetFetchRequest()
        var group = OffsetFetchRequest.Group()
        group.groupID = "orders"
        group.topics = nil
        fetch.groups = [group]
        let asked = try ask(three, fetch, version: 8)
        #expect(!asked.isAnswered)
        hearOthers(three)
        #expect(asked.response?.groups.first?.topics.first?.partitions.first?.committedOffset == 41)
        let second = try ask(three, fetch, version: 8)
        three.run(milliseconds: 5_000)
        #expect(second.response?.groups.first?.error == .notCoordinator)
    }
}
