// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import Synchronization
import Testing

@testable import GodwitClient

@Suite(.timeLimit(.minutes(1)))
struct AdminGroupsTests {
    private let place = TopicPartition(topic: ScriptedCluster.topic, partition: 0)

    private func stage(
        patience: Int64 = 20_000
    ) async throws -> (cluster: ScriptedCluster, group: ScriptedGroup, client: KafkaClient) {
        let cluster = try await ScriptedCluster.start()
        let group = ScriptedGroup(cluster)
        return (cluster, group, cluster.client { $0.deliveryTimeout = .milliseconds(patience) })
    }

    @Test func theGroupsOfAllNodesAreListedByName() async throws {
        let (cluster, _, client) = try await stage()
        let answers = Mutex(0)
        cluster.answer(ListGroupsRequest.self) { broker, _ in
            var answer = ListGroupsResponse()
            // The first answer of all says that groups are being loaded.
            let isFirst = answers.withLock { count in
                count += 1
                return count == 1
            }
            if isFirst { answer.error = .coordinatorLoadInProgress }
            var group = ListGroupsResponse.Group()
            (group.groupID, group.groupState, group.groupType) = (broker == 1 ? "b" : "a", "Stable", "Consumer")
            if !isFirst { answer.groups = [group] }
            return answer
        }
        let found = try await client.admin.listGroups()
        #expect(found.groups.map(\.id) == ["a", "b"] && found.groups.map(\.coordinator) == [2, 1])
        #expect(found.groups[0].type == "consumer" && found.missing.isEmpty)
        await client.close()
        await cluster.stop()
    }

    @Test func aNodeThatDoesNotAnswerIsSaidToBeMissing() async throws {
        let (cluster, _, client) = try await stage(patience: 30)
        cluster.answer(ListGroupsRequest.self) { broker, _ in broker == 1 ? ListGroupsResponse() : nil }
        let found = try await client.admin.listGroups()
        #expect(found.groups.isEmpty && found.missing.map(\.node) == [2])
        await client.close()
        await cluster.stop()
    }

    @Test func aClassicGroupIsDescribedWithWhatItsMembersWereToldToRead() async throws {
        let (cluster, _, client) = try await stage()
        cluster.answer(ConsumerGroupDescribeRequest.self) { _, request in
            var answer = ConsumerGroupDescribeResponse()
            var group = ConsumerGroupDescribeResponse.Group()
            (group.groupID, group.error) = (request.groupIDs[0], .groupIDNotFound)
            answer.groups = [group]
            return answer
        }
        var assignment = ConsumerProtocolAssignment()
        var partitions = ConsumerProtocolTopicPartitions()
        (partitions.topic, partitions.partitions) = ("events", [1, 0])
        assignment.assignedPartitions = [partitions]
        let bytes = try assignment.encode(version: 1)
        cluster.answer(DescribeGroupsRequest.self) { _, request in
            var answer = DescribeGroupsResponse()
            var group = DescribeGroupsResponse.Group()
            (group.groupID, group.groupState, group.protocolData) = (request.groups[0], "Stable", "range")
            if request.groups[0] == "nobody" { group.groupState = "Dead" }
            var member = DescribeGroupsResponse.Member()
            (member.memberID, member.clientID, member.memberAssignment) = ("m", "app", bytes)
            group.members = [member]
            answer.groups = [group]
            return answer
        }
        let found = try #require(try await client.admin.describeGroups(["group"]).first)
        #expect(found.type == "classic" && found.assignor == "range" && found.coordinator == 1)
        #expect(found.members.first?.assigned.map(\.partition) == [0, 1])
        await #expect(throws: ClientError.refused(.groupIDNotFound, subject: "group 'nobody'", message: nil)) {
            _ = try await client.admin.describeGroups(["nobody"])
        }
        await client.close()
        await cluster.stop()
    }

    @Test func offsetsAreReadAndSetFromOutside() async throws {
        let (cluster, group, client) = try await stage()
        group.state.withLock { $0.offsets = [0: 5] }
        #expect(try await client.admin.fetchOffsets("group") == [place: CommittedOffset(offset: 5)])
        let other = TopicPartition(topic: ScriptedCluster.topic, partition: 1)
        #expect(try await client.admin.fetchOffsets("group", [other]) == [:])
        try await client.admin.commitOffsets("group", [place: CommittedOffset(offset: 2)])
        #expect(group.state.withLock { $0.journal } == ["commit 0@2 epoch -1"])
        group.state.withLock { $0.commitErrors = [.unknownMemberID] }
        await #expect(throws: ClientError.refused(.unknownMemberID, subject: "group 'group', events-0", message: nil)) {
            try await client.admin.commitOffsets("group", [place: CommittedOffset(offset: 3)])
        }
        await client.close()
        await cluster.stop()
    }

    @Test(arguments: [ErrorCode.coordinatorLoadInProgress, .notCoordinator, .coordinatorNotAvailable])
    func aCoordinatorThatIsNotReadyIsAskedAgain(error: ErrorCode) async throws {
        let (cluster, group, client) = try await stage()
        group.state.withLock { state in
            state.offsets = [0: 5]
            state.fetchErrors = [error, error]
            state.commitErrors = [error]
        }
        #expect(try await client.admin.fetchOffsets("group").count == 1)
        try await client.admin.commitOffsets("group", [place: CommittedOffset(offset: 2)])
        #expect(group.state.withLock { $0.offsets } == [0: 2])
        await client.close()
        await cluster.stop()
    }

    @Test func groupsAreDeletedByTheirCoordinator() async throws {
        let (cluster, _, client) = try await stage()
        let answers = Mutex<[ErrorCode]>([.notCoordinator, .none, .nonEmptyGroup])
        cluster.answer(DeleteGroupsRequest.self) { _, request in
            var answer = DeleteGroupsResponse()
            var result = DeleteGroupsResponse.Result()
            (result.groupID, result.error) = (request.groups[0], answers.withLock { $0.removeFirst() })
            answer.results = [result]
            return answer
        }
        try await client.admin.deleteGroup("group")
        await #expect(throws: ClientError.refused(.nonEmptyGroup, subject: "group 'group'", message: nil)) {
            try await client.admin.deleteGroup("group")
        }
        await client.close()
        await cluster.stop()
    }

    @Test func anExplanationIsAskedForThoughNobodyAdvertisesIt() async throws {
        let (cluster, _, client) = try await stage()
        cluster.answer(ExplainGroupRequest.self, isAdvertised: false) { _, request in
            var answer = ExplainGroupResponse()
            var group = GroupExplanation()
            (group.groupID, group.state) = (request.groupIDs[0], "Stable")
            answer.groups = [group]
            return answer
        }
        #expect(try await client.admin.explainGroup("group").state == "Stable")
        await client.close()
        await cluster.stop()
    }

    @Test func aBrokerThatHangsUpCannotExplain() async throws {
        let (cluster, _, client) = try await stage()
        await #expect(throws: ClientError.notSupported("explaining groups")) {
            _ = try await client.admin.explainGroup("group")
        }
        await client.close()
        await cluster.stop()
    }

    @Test func recordsAreDeletedByThePartitionsLeader() async throws {
        let (cluster, _, client) = try await stage()
        let answers = Mutex<[ErrorCode]>([.notLeaderOrFollower, .none, .offsetOutOfRange])
        cluster.answer(DeleteRecordsRequest.self) { _, request in
            var answer = DeleteRecordsResponse()
            var topic = DeleteRecordsResponse.Topic()
            topic.name = request.topics[0].name
            var partition = DeleteRecordsResponse.Partition()
            (partition.lowWatermark, partition.error) = (
                request.topics[0].partitions[0].offset, answers.withLock { $0.removeFirst() }
            )
            topic.partitions = [partition]
            answer.topics = [topic]
            return answer
        }
        #expect(try await client.admin.deleteRecords(before: [place: 7]) == [place: 7])
        await #expect(throws: ClientError.refused(.offsetOutOfRange, subject: "events-0", message: nil)) {
            _ = try await client.admin.deleteRecords(before: [place: 9])
        }
        await client.close()
        await cluster.stop()
    }

    @Test func settingsAreChangedOneByOne() async throws {
        let (cluster, _, client) = try await stage()
        let seen = Mutex<[IncrementalAlterConfigsRequest]>([])
        cluster.answer(IncrementalAlterConfigsRequest.self) { _, request in
            seen.withLock { $0.append(request) }
            var answer = IncrementalAlterConfigsResponse()
            var result = IncrementalAlterConfigsResponse.Result()
            if request.validateOnly { (result.error, result.errorMessage) = (.invalidConfig, "too small") }
            answer.results = [result]
            return answer
        }
        try await client.admin.alterTopicConfigs("events", [.set("retention.ms", "5"), .unset("segment.ms")])
        let configs = try #require(seen.withLock { $0.first?.resources.first?.configs })
        #expect(configs.map(\.operation) == [.set, .delete] && configs.map(\.value) == ["5", nil])
        await #expect(throws: ClientError.refused(.invalidConfig, subject: "events", message: "too small")) {
            try await client.admin.alterTopicConfigs("events", [.set("retention.ms", "5")], validateOnly: true)
        }
        await client.close()
        await cluster.stop()
    }
}
