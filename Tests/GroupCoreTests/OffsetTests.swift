// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

@testable import GroupCore

/// Committed offsets: kept, fetched, deleted, expired.
@Suite struct OffsetTests {
    private static let day: Int64 = 86_400_000

    @Test func whatIsCommittedIsFetched() {
        var coordinator = TestCoordinator()
        #expect(coordinator.commit([0: 10, 1: 20], note: "here") == [.none, .none])
        let topic = coordinator.fetch([0, 1, 2]).topics[0]
        #expect(topic.name == "orders")
        #expect(topic.partitions.map(\.committedOffset) == [10, 20, -1])
        #expect(topic.partitions.map(\.metadata) == ["here", "here", ""])
        #expect(topic.partitions.map(\.committedLeaderEpoch) == [-1, -1, -1])
        #expect(topic.partitions.allSatisfy { $0.error == .none })
    }

    @Test func aGroupThatIsNotThereHasNoOffsets() {
        var coordinator = TestCoordinator()
        let response = coordinator.fetch(in: "nobody", [0])
        #expect(response.error == ErrorCode.none && response.topics[0].partitions.map(\.committedOffset) == [-1])
        #expect(coordinator.fetchAll("nobody").isEmpty)
    }

    @Test func allOffsetsAreFetchedInOrder() {
        var coordinator = TestCoordinator()
        _ = coordinator.commit(topic: "payments", [3: 3, 0: 0])
        _ = coordinator.commit([2: 2])
        #expect(coordinator.fetchAll() == ["orders": [2: 2], "payments": [0: 0, 3: 3]])
        var request = OffsetFetchRequest.Group()
        request.groupID = "g"
        request.topics = nil
        let call = coordinator.send(.offsetFetch(request, requireStable: false), version: 10)
        guard case .offsetFetch(let response)? = coordinator.replies[call] else {
            Issue.record("answered at once")
            return
        }
        #expect(response.topics.map(\.name) == ["orders", "payments"])
        #expect(response.topics.map(\.id) == [TopicID(high: 1, low: 1), TopicID(high: 1, low: 2)])
        #expect(response.topics[1].partitions.map(\.index) == [0, 3])
    }

    @Test func aSimpleGroupHasNoProtocolAndIsEmpty() {
        var coordinator = TestCoordinator()
        _ = coordinator.commit([0: 1])
        let listed = coordinator.core.list()
        #expect(listed.map(\.groupID) == ["g"] && listed[0].protocolType == "" && listed[0].groupState == "Empty")
        #expect(listed[0].groupType == "classic")
    }

    @Test func membersCommitWhileARebalanceIsPreparedButNotWhileAssignmentsAreAwaited() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2)
        _ = coordinator.joinTwice()
        #expect(coordinator.commit([0: 1], member: members[0], generation: 1) == [.none])
        for member in members { _ = coordinator.join(member: member) }
        #expect(coordinator.state() == "CompletingRebalance")
        #expect(coordinator.commit([0: 2], member: members[0], generation: 2) == [.rebalanceInProgress])
        #expect(coordinator.fetchAll() == ["orders": [0: 1]])
    }

    @Test func somebodyOutsideCommitsOnlyWhileTheGroupIsEmpty() {
        var coordinator = TestCoordinator()
        let member = coordinator.stableGroup(count: 1)[0]
        #expect(coordinator.commit([0: 1]) == [.unknownMemberID])
        _ = coordinator.leave([(member, nil)])
        #expect(coordinator.commit([0: 1]) == [.none])
    }

    @Test func aFailedOverCoordinatorHasTheSameOffsetsAndMembers() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2)
        _ = coordinator.commit([0: 10, 1: 11], member: members[0], generation: 1, note: "a longer note than 15 bytes")
        _ = coordinator.commit([0: 12], member: members[1], generation: 1)
        var next = coordinator.failedOver()
        #expect(next.fetchAll() == ["orders": [0: 12, 1: 11]])
        #expect(next.fetch([1]).topics[0].partitions[0].metadata == "a longer note than 15 bytes")
        #expect(next.state() == "Stable")
        #expect(members.map { next.heartbeat(member: $0, generation: 1) } == [.none, .none])
        #expect(next.commit([0: 13], member: members[0], generation: 1) == [.none])
        let sync = next.sync(member: members[1], generation: 1)
        #expect(next.synced(sync)?.assignment == ByteBuffer(string: "1"))
        // Sessions begin anew, and end.
        next.advance(milliseconds: 10_001)
        #expect(next.state() == "Empty")
    }

    @Test func aGroupThatIsTooLargeAfterFailoverRebalances() {
        var coordinator = TestCoordinator()
        _ = coordinator.stableGroup(count: 3)
        var settings = GroupSettings()
        settings.sizeMax = 2
        let next = TestCoordinator(settings: settings, log: coordinator.log)
        #expect(next.state() == "PreparingRebalance")
    }

    // MARK: Deletion

    @Test func offsetsOfAnEmptyGroupAreDeletedAndTheirRecordsWithThem() {
        var coordinator = TestCoordinator()
        _ = coordinator.commit([0: 1, 1: 1])
        let response = coordinator.deleteOffsets([0, 7])
        #expect(response.error == ErrorCode.none)
        #expect(response.topics[0].partitions.map(\.error) == [.none, .none])
        #expect(coordinator.fetchAll() == ["orders": [1: 1]])
        #expect(coordinator.records.last == .offsetCommit(group: "g", topic: "orders", partition: 0, nil))
        var next = coordinator.failedOver()
        #expect(next.fetchAll() == ["orders": [1: 1]])
    }

    @Test func aDeletedGroupIsGoneWithItsOffsets() {
        var coordinator = TestCoordinator()
        let member = coordinator.stableGroup(count: 1)[0]
        _ = coordinator.commit([0: 1], member: member, generation: 1)
        _ = coordinator.leave([(member, nil)])
        #expect(coordinator.delete("g") == ErrorCode.none)
        #expect(coordinator.core.list().isEmpty && coordinator.fetchAll().isEmpty)
        #expect(
            coordinator.records.suffix(2) == [
                .offsetCommit(group: "g", topic: "orders", partition: 0, nil), .groupMetadata("g", nil),
            ])
        var next = coordinator.failedOver()
        #expect(next.core.list().isEmpty && next.fetchAll().isEmpty)
    }

    @Test func offsetsOfATopicThatIsDeletedOrMadeAnewGoWithIt() {
        var coordinator = TestCoordinator()
        _ = coordinator.commit([0: 1])
        _ = coordinator.commit(topic: "payments", [0: 1])
        let orders = TestCoordinator.topics.topics[0]
        coordinator.topicsChange(to: TopicsImage([orders]))
        #expect(coordinator.fetchAll() == ["orders": [0: 1]])
        coordinator.topicsChange(
            to: TopicsImage([.init(id: TopicID(high: 9, low: 9), name: "orders", partitionRacks: [[], []])]))
        #expect(coordinator.fetchAll().isEmpty)
        var next = coordinator.failedOver()
        #expect(next.fetchAll().isEmpty)
    }

    // MARK: Expiry (KIP-211)

    @Test func offsetsOfASimpleGroupExpireAfterTheirLastCommit() {
        var coordinator = TestCoordinator()
        _ = coordinator.commit([0: 1, 1: 1])
        coordinator.advance(milliseconds: 5 * Self.day)
        _ = coordinator.commit([1: 2])
        coordinator.advance(milliseconds: 2 * Self.day + 600_000)
        #expect(coordinator.fetchAll() == ["orders": [1: 2]])
        coordinator.advance(milliseconds: 5 * Self.day)
        #expect(coordinator.core.list().isEmpty)
        #expect(coordinator.failedOver().core.list().isEmpty)
    }

    @Test func offsetsOfAGroupExpireAfterItsLastMemberHasGone() {
        var coordinator = TestCoordinator()
        let member = coordinator.stableGroup(count: 1, session: 1_800_000)[0]
        _ = coordinator.commit([0: 1], member: member, generation: 1)
        for _ in 0..<(10 * 48) {
            coordinator.advance(milliseconds: 1_790_000)
            _ = coordinator.heartbeat(member: member, generation: 1)
        }
        #expect(coordinator.fetchAll() == ["orders": [0: 1]])
        _ = coordinator.leave([(member, nil)])
        coordinator.advance(milliseconds: 7 * Self.day - 1)
        #expect(coordinator.fetchAll() == ["orders": [0: 1]])
        coordinator.advance(milliseconds: 600_000)
        #expect(coordinator.core.list().isEmpty)
    }

    @Test func aCommitToAGroupLongEmptyCountsFromItself() {
        var coordinator = TestCoordinator()
        let member = coordinator.stableGroup(count: 1)[0]
        _ = coordinator.commit([0: 1], member: member, generation: 1)
        _ = coordinator.leave([(member, nil)])
        coordinator.advance(milliseconds: 6 * Self.day)
        _ = coordinator.commit([1: 5])
        coordinator.advance(milliseconds: 2 * Self.day)
        #expect(coordinator.fetchAll() == ["orders": [1: 5]])
    }

    @Test func offsetsOfTopicsThatALiveGroupReadsNoMoreExpire() {
        var coordinator = TestCoordinator()
        var subscription = ConsumerProtocolSubscription()
        subscription.topics = ["orders"]
        subscription.userData = ByteBuffer()
        guard let metadata = try? subscription.encode(version: 1) else {
            Issue.record("a subscription can be written")
            return
        }
        let text = String(buffer: metadata)
        let member = coordinator.stableGroup(count: 1, protocols: [("range", text)], session: 1_800_000)[0]
        _ = coordinator.commit([0: 1], member: member, generation: 1)
        _ = coordinator.commit(topic: "payments", [0: 1], member: member, generation: 1)
        #expect(coordinator.deleteOffsets([0]).topics[0].partitions.map(\.error) == [.groupSubscribedToTopic])
        for _ in 0..<(8 * 48) {
            coordinator.advance(milliseconds: 1_790_000)
            _ = coordinator.heartbeat(member: member, generation: 1)
        }
        #expect(coordinator.fetchAll() == ["orders": [0: 1]])
    }

    @Test func aRetentionThatAnOldClientAsksForHolds() {
        var coordinator = TestCoordinator()
        _ = coordinator.commit([0: 1], retention: 3_600_000, version: 4)
        var next = coordinator.failedOver()
        next.advance(milliseconds: 3_600_000 - 1)
        #expect(next.fetchAll() == ["orders": [0: 1]])
        next.advance(milliseconds: 600_001)
        #expect(next.fetchAll().isEmpty)
    }

    @Test func manyExpiredOffsetsGoInPortions() {
        let wide = TopicsImage([
            .init(id: TopicID(high: 1, low: 1), name: "orders", partitionRacks: Array(repeating: [], count: 6_000))
        ])
        var settings = GroupSettings()
        settings.offsets.retentionCheckInterval = 86_400_000
        var coordinator = TestCoordinator(settings: settings, topics: wide)
        for group in ["a", "b", "c"] {
            _ = coordinator.commit(in: group, Dictionary(uniqueKeysWithValues: (0..<6_000).map { (Int32($0), 1) }))
        }
        let before = coordinator.log.count
        coordinator.advance(milliseconds: 7 * Self.day - 1)
        #expect(coordinator.log.count == before)
        coordinator.advance(milliseconds: 1)
        #expect(coordinator.log.count == before + 18_000)
        #expect(coordinator.core.list().isEmpty)
    }
}
