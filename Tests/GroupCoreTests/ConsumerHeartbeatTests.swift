// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import Settings
import Testing

@testable import GroupCore

@Suite struct ConsumerHeartbeatTests {
    // MARK: Joining and leaving

    @Test func theFirstMemberGetsEverything() {
        var bed = ConsumerTestbed()
        let reply = bed.join("a")
        #expect(reply.error == .none)
        #expect(reply.memberID == "a")
        #expect(reply.memberEpoch == 1)
        #expect(reply.heartbeatInterval == 2_000)
        #expect(reply.partitions == bed.set("orders", [0, 1, 2, 3, 4, 5]))
        #expect(bed.describe().groupState == "Stable")
    }

    @Test func anAssignmentIsSentOnlyWhenItChanges() {
        var bed = ConsumerTestbed()
        let first = bed.join("a")
        let second = bed.heartbeat("a", 1, owned: first.partitions)
        #expect(second.error == .none)
        #expect(second.assignment == nil)
        let full = bed.heartbeat("a", 1, owned: first.partitions) {
            $0.rebalanceTimeout = 30_000
            $0.subscribedTopicNames = ["orders"]
        }
        #expect(full.partitions == first.partitions)
        #expect(full.memberEpoch == 1)
    }

    @Test func inV0TheCoordinatorChoosesTheMemberID() {
        var bed = ConsumerTestbed()
        let reply = bed.join("", version: 0)
        #expect(reply.error == .none)
        #expect(reply.memberID?.utf8.count == 36)
        #expect(bed.heartbeat(reply.memberID ?? "", 1, version: 0).error == .none)
    }

    @Test func whoLeavesLeavesItsPartitionsAtOnce() {
        var bed = ConsumerTestbed()
        _ = bed.join("a")
        _ = bed.join("b")
        let reply = bed.heartbeat("a", -1)
        #expect(reply.error == .none)
        #expect(reply.memberEpoch == -1)
        #expect(reply.memberID == "a")
        let b = bed.heartbeat("b", 2)
        #expect(b.memberEpoch == 3)
        #expect(b.partitions == bed.set("orders", [0, 1, 2, 3, 4, 5]))
        #expect(bed.heartbeat("b", -1).error == .none)
        #expect(bed.describe().groupState == "Empty")
    }

    // MARK: Refusals

    @Test func malformedRequestsAreInvalid() {
        var bed = ConsumerTestbed()
        _ = bed.join("a")
        let owned = bed.set("orders", [1]).wire
        let changes: [(Int32, (inout ConsumerGroupHeartbeatRequest) -> Void)] = [
            (1, { $0.groupID = "" }), (1, { $0.memberID = "" }), (0, { $0.memberID = "" }), (-1, { $0.memberID = "" }),
            (1, { $0.instanceID = "" }), (1, { $0.rackID = "" }), (-2, { _ in }), (-3, { _ in }),
            (1, { $0.rebalanceTimeout = -2 }),
            (0, { $0.topicPartitions = nil }), (0, { $0.rebalanceTimeout = -1 }),
            (0, { $0.subscribedTopicNames = nil }),
            (0, { $0.topicPartitions = owned }),
        ]
        for (epoch, change) in changes {
            let reply = bed.heartbeat("a", epoch) { request in
                if epoch == 0 {
                    request.topicPartitions = []
                    request.rebalanceTimeout = 1
                    request.subscribedTopicNames = ["orders"]
                }
                change(&request)
            }
            #expect(reply.error == .invalidRequest)
            #expect(reply.errorMessage?.isEmpty == false)
            #expect(reply.memberID == nil)
        }
    }

    @Test func unknownMember() {
        var bed = ConsumerTestbed()
        _ = bed.join("a")
        #expect(bed.heartbeat("b", 1).error == .unknownMemberID)
        #expect(bed.heartbeat("b", -1).error == .unknownMemberID)
        #expect(bed.heartbeat("b", 1) { $0.instanceID = "i" }.error == .unknownMemberID)
        #expect(bed.heartbeat("b", -2) { $0.instanceID = "i" }.error == .unknownMemberID)
    }

    @Test func unknownGroup() {
        var bed = ConsumerTestbed()
        #expect(bed.heartbeat("a", 1).error == .groupIDNotFound)
        #expect(bed.heartbeat("a", -1).error == .groupIDNotFound)
        #expect(bed.describe().error == .groupIDNotFound)
        #expect(bed.core.list().isEmpty)
    }

    @Test func fencedMemberEpoch() {
        var bed = ConsumerTestbed()
        let all = bed.join("a").partitions
        _ = bed.join("b")
        _ = bed.heartbeat("a", 1, owned: all)
        let kept = bed.set("orders", [0, 1, 2])
        #expect(bed.heartbeat("a", 1, owned: kept).memberEpoch == 2)
        #expect(bed.heartbeat("a", 3, owned: kept).error == .fencedMemberEpoch)
        // The epoch before is let pass only to who says that it has no more than it may.
        #expect(bed.heartbeat("a", 1).error == .fencedMemberEpoch)
        #expect(bed.heartbeat("a", 1, owned: all).error == .fencedMemberEpoch)
        let again = bed.heartbeat("a", 1, owned: kept)
        #expect(again.error == .none)
        #expect(again.memberEpoch == 2)
        #expect(again.partitions == kept, "it missed the reply that told it")
    }

    @Test func whoWasFencedJoinsAnewUnderItsID() {
        var bed = ConsumerTestbed()
        _ = bed.join("a")
        bed.change(topics: ConsumerTestbed.image(["orders": 5]))
        _ = bed.heartbeat("a", 1, owned: PartitionSet())
        bed.change(topics: ConsumerTestbed.image(["orders": 6]))
        #expect(bed.heartbeat("a", 2, owned: PartitionSet()).memberEpoch == 3)
        #expect(bed.heartbeat("a", 7).error == .fencedMemberEpoch)
        let reply = bed.join("a")
        #expect(reply.error == .none)
        #expect(reply.memberEpoch == 3)
        #expect(reply.partitions?.count == 6)
    }

    @Test func unsupportedAssignor() {
        var bed = ConsumerTestbed()
        #expect(bed.join("a", assignor: "sticky").error == .unsupportedAssignor)
        #expect(bed.core.list().isEmpty)
        var settings = GroupSettings()
        settings.consumer.assignors = [.uniform]
        var narrow = ConsumerTestbed(settings: settings)
        #expect(narrow.join("a", assignor: "range").error == .unsupportedAssignor)
        #expect(narrow.join("a", assignor: "uniform").error == .none)
    }

    @Test func invalidRegularExpression() {
        var bed = ConsumerTestbed()
        for regex in ["(", "a(?=b)", "(a)\\1"] {
            let reply = bed.join("a", topics: nil, regex: regex)
            #expect(reply.error == .invalidRegularExpression)
            #expect(reply.errorMessage?.contains(regex) == true)
        }
        #expect(bed.core.list().isEmpty)
    }

    @Test func groupMaxSizeReached() {
        var settings = GroupSettings()
        settings.consumer.sizeMax = 2
        var bed = ConsumerTestbed(settings: settings)
        #expect(bed.join("a").error == .none)
        #expect(bed.join("b").error == .none)
        #expect(bed.join("c").error == .groupMaxSizeReached)
        #expect(bed.join("b").error == .none)
        #expect(bed.heartbeat("a", -1).error == .none)
        #expect(bed.join("c").error == .none)
    }

    @Test func subscriptionsAreBoundedTogether() {
        var settings = GroupSettings()
        settings.metadataBytesMax = .kibibytes(16)
        var bed = ConsumerTestbed(settings: settings)
        let many = (0..<200).map { "a-topic-with-a-long-name-\($0)" }
        #expect(bed.join("a", topics: many).error == .none)
        #expect(bed.join("b", topics: many).error == .groupMaxSizeReached)
        #expect(bed.join("b", topics: ["orders"]).error == .none)
        #expect(bed.heartbeat("b", 2) { $0.subscribedTopicNames = many }.error == .groupMaxSizeReached)
    }

    // MARK: Static members

    @Test func aStaticMemberComesBackToWhatItHad() {
        var bed = ConsumerTestbed()
        _ = bed.join("a", instance: "i1")
        _ = bed.join("b", instance: "i2")
        _ = bed.heartbeat("a", 1, owned: bed.set("orders", [0, 1, 2])) { $0.instanceID = "i1" }
        let epoch = bed.heartbeat("a", 2) { $0.instanceID = "i1" }.memberEpoch
        let left = bed.heartbeat("a", -2) { $0.instanceID = "i1" }
        #expect(left.error == .none)
        #expect(left.memberEpoch == -2)
        _ = bed.heartbeat("b", 2) { $0.instanceID = "i2" }
        let back = bed.join("a2", instance: "i1")
        #expect(back.error == .none)
        #expect(back.memberEpoch == epoch)
        #expect(back.partitions == bed.set("orders", [0, 1, 2]))
        #expect(bed.group()?.groupEpoch == epoch, "nobody else noticed")
        #expect(bed.heartbeat("a", 2) { $0.instanceID = "i1" }.error == .fencedInstanceID)
        #expect(bed.heartbeat("a", -1) { $0.instanceID = "i1" }.error == .fencedInstanceID)
    }

    @Test func unreleasedInstanceID() {
        var bed = ConsumerTestbed()
        _ = bed.join("a", instance: "i1")
        #expect(bed.join("b", instance: "i1").error == .unreleasedInstanceID)
        #expect(bed.join("a", instance: "i1").error == .none, "a lost reply does not lock a member out")
    }

    @Test func aStaticMemberThatStaysAwayIsRemoved() {
        var bed = ConsumerTestbed()
        _ = bed.join("a", instance: "i1")
        _ = bed.heartbeat("a", -2) { $0.instanceID = "i1" }
        bed.advance(milliseconds: 44_000)
        #expect(bed.describe().members.count == 1)
        bed.advance(milliseconds: 2_000)
        #expect(bed.describe().members.isEmpty)
    }

    // MARK: Timeouts

    @Test func aMemberThatIsNotHeardOfIsRemoved() {
        var bed = ConsumerTestbed()
        _ = bed.join("a")
        _ = bed.join("b")
        bed.advance(milliseconds: 30_000)
        _ = bed.heartbeat("b", 2)
        bed.advance(milliseconds: 16_000)
        #expect(bed.heartbeat("a", 1).error == .unknownMemberID)
        #expect(bed.heartbeat("b", 2).partitions?.count == 6)
    }

    @Test func aMemberThatDoesNotGiveBackIsRemoved() {
        var bed = ConsumerTestbed()
        let all = bed.join("a", rebalance: 20_000).partitions
        _ = bed.join("b")
        #expect(bed.heartbeat("a", 1, owned: all).partitions?.count == 3)
        for _ in 0..<4 {
            bed.advance(milliseconds: 4_900)
            #expect(bed.heartbeat("a", 1, owned: all).error == .none)
            #expect(bed.heartbeat("b", 2).partitions?.isEmpty ?? true)
        }
        bed.advance(milliseconds: 1_000)
        #expect(bed.heartbeat("a", 1, owned: all).error == .unknownMemberID)
        #expect(bed.heartbeat("b", 2).partitions?.count == 6)
    }

    @Test func timeoutsBeginAnewAfterAFailOver() {
        var bed = ConsumerTestbed()
        let all = bed.join("a", rebalance: 20_000).partitions
        _ = bed.join("b")
        _ = bed.heartbeat("a", 1, owned: all)
        bed.advance(milliseconds: 19_000)
        bed.failOver()
        bed.advance(milliseconds: 19_000)
        #expect(bed.heartbeat("a", 1, owned: all).error == .none)
        bed.advance(milliseconds: 1_100)
        #expect(bed.heartbeat("a", 1, owned: all).error == .unknownMemberID)
        bed.advance(milliseconds: 25_000)
        #expect(bed.heartbeat("b", 2).error == .unknownMemberID)
    }

    // MARK: Offsets

    @Test func offsetsAreCommittedInTheMembersEpoch() {
        var bed = ConsumerTestbed()
        #expect(bed.join("a").memberEpoch == 1)
        #expect(bed.commit("a", 1) == ErrorCode.none)
        #expect(bed.commit("a", 0) == .staleMemberEpoch)
        #expect(bed.commit("a", 2) == .staleMemberEpoch)
        #expect(bed.commit("b", 1) == .unknownMemberID)
        #expect(bed.commit("", -1) == .unknownMemberID)
        #expect(bed.commit("a", 1, version: 8) == .unsupportedVersion)
        #expect(bed.fetch("a", 1) == ErrorCode.none)
        #expect(bed.fetch("a", 2) == .staleMemberEpoch)
        #expect(bed.fetch("b", 1) == .unknownMemberID)
        #expect(bed.fetch(nil, -1) == ErrorCode.none)
        _ = bed.heartbeat("a", -1)
        #expect(bed.commit("", -1) == ErrorCode.none)
    }

    // MARK: Deleting

    @Test func onlyAGroupWithoutMembersIsDeleted() {
        var bed = ConsumerTestbed()
        _ = bed.join("a", topics: ["payments"], regex: "ord.*")
        guard case .deleteGroup(let refused)? = bed.replies[bed.send(.deleteGroup("g"))] else { return }
        #expect(refused.error == .nonEmptyGroup)
        _ = bed.heartbeat("a", -1)
        guard case .deleteGroup(let done)? = bed.replies[bed.send(.deleteGroup("g"))] else { return }
        #expect(done.error == .none)
        #expect(bed.describe().error == .groupIDNotFound)
        #expect(bed.compacted.allSatisfy { $0.value == nil }, "nothing is left in the log")
    }
}
