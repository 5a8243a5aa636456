// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import RegularExpressions
import Settings
import Testing

@testable import GroupCore

@Suite struct ConsumerReconciliationTests {
    @Test func aPartitionIsGivenBackBeforeItIsGivenAway() {
        var bed = ConsumerTestbed()
        let all = bed.join("a").partitions
        let b = bed.join("b")
        #expect(b.memberEpoch == 2)
        #expect(b.partitions == PartitionSet())
        let asked = bed.heartbeat("a", 1, owned: all)
        #expect(asked.memberEpoch == 1, "who has to give back stays in its epoch")
        #expect(asked.partitions == bed.set("orders", [0, 1, 2]))
        #expect(bed.heartbeat("b", 2).assignment == nil)
        #expect(bed.heartbeat("a", 1).assignment == nil, "not said is not given back")
        #expect(bed.heartbeat("b", 2).assignment == nil)
        let done = bed.heartbeat("a", 1, owned: bed.set("orders", [0, 1, 2]))
        #expect(done.memberEpoch == 2)
        let got = bed.heartbeat("b", 2)
        #expect(got.memberEpoch == 2)
        #expect(got.partitions == bed.set("orders", [3, 4, 5]))
        #expect(bed.describe().groupState == "Stable")
    }

    @Test func nobodyElseStopsWhenAMemberLeaves() {
        var bed = ConsumerTestbed(topics: ConsumerTestbed.image(["orders": 12]))
        for member in ["a", "b", "c"] { _ = bed.join(member) }
        settle(&bed, ["a", "b", "c"])
        let before = bed.group()?.members["a"]?.assigned ?? PartitionSet()
        #expect(before.count == 4)
        _ = bed.heartbeat("b", -1)
        let after = bed.heartbeat("a", 3)
        #expect(before.isSubset(of: after.partitions ?? PartitionSet()))
        #expect(after.partitions?.count == 6)
        #expect(bed.heartbeat("c", 3).partitions?.count == 6)
    }

    /// Heartbeats of obedient members until nothing changes.
    private func settle(_ bed: inout ConsumerTestbed, _ members: [String]) {
        for _ in 0..<10 {
            for id in members {
                guard let member = bed.group()?.members[id] else { continue }
                _ = bed.heartbeat(id, member.epoch, owned: member.assigned)
            }
        }
        #expect(bed.describe().groupState == "Stable")
    }

    @Test func anAssignmentIsComputedOncePerEpoch() {
        var bed = ConsumerTestbed()
        for member in ["a", "b", "c"] { _ = bed.join(member) }
        settle(&bed, ["a", "b", "c"])
        let epochs = bed.log.compactMap { record -> Int32? in
            guard
                case .consumerGroupTargetAssignmentMetadata(_, let value?)? = CoordinatorRecord(
                    key: record.key, value: record.value)
            else { return nil }
            return value.assignmentEpoch
        }
        #expect(epochs == [1, 2, 3])
        let records = bed.log.count
        for member in ["a", "b", "c"] { _ = bed.heartbeat(member, 3) }
        #expect(bed.log.count == records, "a quiet heartbeat writes nothing")
    }

    @Test func newPartitionsAreSharedOut() {
        var bed = ConsumerTestbed()
        _ = bed.join("a")
        bed.change(topics: ConsumerTestbed.image(["orders": 8]))
        #expect(bed.group()?.groupEpoch == 2)
        let reply = bed.heartbeat("a", 1)
        #expect(reply.memberEpoch == 2)
        #expect(reply.partitions?.count == 8)
        bed.change(topics: ConsumerTestbed.image(["orders": 8, "others": 2]))
        #expect(bed.group()?.groupEpoch == 2, "what nobody subscribes to does not matter")
    }

    @Test func partitionsOfADeletedTopicAreTakenBack() {
        var bed = ConsumerTestbed()
        let had = bed.join("a", topics: ["orders", "payments"]).partitions
        bed.change(topics: ConsumerTestbed.image(["orders": 6]))
        let asked = bed.heartbeat("a", 1, owned: had)
        #expect(asked.partitions == bed.set("orders", [0, 1, 2, 3, 4, 5]))
        let done = bed.heartbeat("a", 1, owned: asked.partitions)
        #expect(done.memberEpoch == 2)
        #expect(bed.describe().groupState == "Stable")
    }

    @Test func aSubscriptionMayChange() {
        var bed = ConsumerTestbed()
        _ = bed.join("a")
        let more = bed.heartbeat("a", 1) { $0.subscribedTopicNames = ["payments", "orders", "orders"] }
        #expect(more.memberEpoch == 2)
        #expect(more.partitions?.count == 9)
        let fewer = bed.heartbeat("a", 2) { $0.subscribedTopicNames = ["payments"] }
        #expect(fewer.memberEpoch == 2)
        #expect(fewer.partitions == bed.set("payments", [0, 1, 2]))
    }

    @Test func theMajorityChoosesTheAssignor() {
        var bed = ConsumerTestbed()
        _ = bed.join("a", topics: ["orders", "payments"], assignor: "range")
        #expect(bed.describe().assignorName == "range")
        _ = bed.join("b", topics: ["orders", "payments"], assignor: "range")
        _ = bed.join("c", topics: ["orders", "payments"])
        #expect(bed.group()?.targets["a"] == bed.set("orders", [0, 1]).union(bed.set("payments", [0])))
        #expect(bed.heartbeat("a", 1) { $0.serverAssignor = "uniform" }.error == .none)
        #expect(bed.describe().assignorName == "range", "a tie is the first by name")
        _ = bed.heartbeat("b", -1)
        #expect(bed.describe().assignorName == "uniform")
    }

    // MARK: Regular expressions

    @Test func namesAndExpressionsAddUp() {
        var bed = ConsumerTestbed(topics: ConsumerTestbed.image(["orders": 2, "payments": 2, "payouts": 2]))
        let reply = bed.join("a", topics: ["orders"], regex: "payo.*")
        #expect(reply.partitions == bed.set("orders", [0, 1]).union(bed.set("payouts", [0, 1])))
        let described = bed.describe()
        #expect(described.members.first?.subscribedTopicRegex == "payo.*")
    }

    @Test func anExpressionMatchesTopicsThatComeAndGo() {
        var bed = ConsumerTestbed(topics: ConsumerTestbed.image(["orders": 2, "my-orders": 1]))
        let first = bed.join("a", topics: nil, regex: "orders.*")
        #expect(first.partitions == bed.set("orders", [0, 1]))
        bed.change(topics: ConsumerTestbed.image(["orders": 2, "orders-eu": 3]))
        #expect(bed.group()?.groupEpoch == 2)
        #expect(bed.heartbeat("a", 1).partitions?.count == 5)
        bed.change(topics: ConsumerTestbed.image(["orders-eu": 3]))
        let asked = bed.heartbeat("a", 2)
        #expect(asked.partitions == bed.set("orders-eu", [0, 1, 2]))
    }

    @Test func anExpressionThatNobodySubscribesToIsForgotten() {
        var bed = ConsumerTestbed()
        _ = bed.join("a", topics: nil, regex: "orders")
        _ = bed.join("b", topics: nil, regex: "orders")
        _ = bed.heartbeat("a", 1) { $0.subscribedTopicRegex = "pay.*" }
        #expect(bed.group()?.expressions.keys.sorted() == ["orders", "pay.*"])
        _ = bed.heartbeat("b", -1)
        #expect(bed.group()?.expressions.keys.sorted() == ["pay.*"])
        _ = bed.heartbeat("a", 1) { $0.subscribedTopicRegex = "" }
        #expect(bed.group()?.expressions.isEmpty == true)
        #expect(bed.group()?.subscribedTopics == [])
    }

    @Test func topicsMadeWhileNobodyCoordinatedAreFound() {
        var bed = ConsumerTestbed(topics: ConsumerTestbed.image(["orders": 2]))
        _ = bed.join("a", topics: nil, regex: "orders.*")
        let log = bed.log
        var next = ConsumerTestbed(topics: ConsumerTestbed.image(["orders": 2, "orders-eu": 1]), log: log)
        #expect(next.group()?.groupEpoch == 2)
        #expect(next.heartbeat("a", 1).partitions?.count == 3)
    }

    @Test func anExpressionThatTakesTooLongIsGivenUp() throws {
        let expression = try RegularExpression("(.*a){50}")
        let names = (0..<100).map { String(repeating: "a", count: 40) + "\($0)" }
        #expect(ConsumerGroup.matches(of: expression, in: names) == [])
        #expect(ConsumerGroup.matches(of: expression, in: names, steps: 10_000) == nil)
    }

    // MARK: Why

    @Test func whyTheGroupWaits() {
        var bed = ConsumerTestbed()
        let all = bed.join("a", rebalance: 20_000).partitions
        _ = bed.join("b")
        _ = bed.heartbeat("a", 1, owned: all)
        bed.advance(milliseconds: 4_000)
        let why = bed.explain()
        #expect(why.state == "Reconciling")
        #expect(why.waits.map(\.memberID) == ["a", "b"])
        #expect(why.waits.first?.reason.contains("still holds orders-3, orders-4, orders-5") == true)
        #expect(why.waits.first?.sinceMilliseconds == 4_000)
        #expect(why.waits.first?.dueMilliseconds == 16_000)
        #expect(why.waits.last?.reason.contains("which a still holds") == true)
        #expect(why.waits.last?.dueMilliseconds == 16_000)
        _ = bed.heartbeat("a", 1, owned: bed.set("orders", [0, 1, 2]))
        _ = bed.heartbeat("b", 2)
        #expect(bed.explain().waits.isEmpty)
        bed.change(topics: ConsumerTestbed.image(["orders": 7]))
        let assigning = bed.explain()
        #expect(assigning.state == "Assigning")
        #expect(assigning.waits.first?.next.contains("next heartbeat") == true)
    }

    // MARK: Replay

    @Test func theLogGivesTheSameGroup() {
        var bed = ConsumerTestbed()
        let all = bed.join("a", topics: ["payments"], regex: "ord.*", instance: "i", assignor: "range").partitions
        _ = bed.join("b", topics: ["orders"])
        _ = bed.heartbeat("a", 1, owned: all)
        let before = bed.describe()
        for log in [bed.log, bed.compacted] {
            var other = ConsumerTestbed(log: log)
            #expect(other.describe() == before)
            #expect(other.group()?.holders == bed.group()?.holders)
            #expect(other.group()?.targets == bed.group()?.targets)
            #expect(other.group()?.footprint == bed.group()?.footprint)
            #expect(other.group()?.topicVotes == bed.group()?.topicVotes)
            #expect(other.log.count == log.count, "loading changes nothing")
        }
    }

    @Test func anUnknownStateMakesTheMemberBeginAnew() {
        var bed = ConsumerTestbed()
        _ = bed.join("a")
        guard let member = bed.group()?.members["a"] else { return }
        var value = member.assignmentValue
        value.state = 9
        let strange = CoordinatorRecord.consumerGroupCurrentMemberAssignment(group: "g", member: "a", value).encoded
        var next = ConsumerTestbed(log: bed.log + [strange])
        #expect(next.heartbeat("a", 1, owned: member.assigned).error == .fencedMemberEpoch)
        #expect(next.join("a").partitions?.count == 6)
    }

    @Test func aThousandMembersAndOneLeaves() {
        var bed = ConsumerTestbed(topics: ConsumerTestbed.image(["orders": 10_000]))
        var group = ConsumerGroup(id: "g")
        var log = GroupEffects()
        group.groupEpoch = 1
        group.assignmentEpoch = 1
        for place in 0..<1_000 {
            var member = ConsumerMember(id: "m\(1_000 + place)", since: .zero)
            member.metadata.subscribedTopicNames = ["orders"]
            member.metadata.clientID = "client"
            member.metadata.clientHost = "/127.0.0.1"
            member.epoch = 1
            member.assigned = bed.set("orders", (0..<10).map { Int32(place * 10 + $0) })
            group.put(member)
            group.targets[member.id] = member.assigned
        }
        group.metadataHash = group.computeMetadataHash(bed.topics)
        group.store(into: &log)
        bed = ConsumerTestbed(topics: bed.topics, log: log.records)
        #expect(bed.heartbeat("m1500", -1).error == .none)
        let records = bed.log.count
        var moved = 0
        for place in 0..<1_000 where place != 500 {
            let reply = bed.heartbeat("m\(1_000 + place)", 1)
            #expect(reply.error == .none && reply.memberEpoch == 2)
            if let partitions = reply.partitions {
                #expect(partitions.count == 11)
                moved += 1
            }
        }
        #expect(moved == 10)
        // The epoch of the assignment, ten targets, and each member's step into the new epoch.
        #expect(bed.log.count - records == 1 + 10 + 999)
        #expect(bed.describe().groupState == "Stable")
    }
}
