// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

@testable import GroupCore

@Suite struct MigrationTests {
    /// A classic group with one member that has all of `orders`, in generation 1.
    private func classicGroup(_ settings: GroupSettings = .init()) throws -> (ConsumerTestbed, String) {
        var bed = ConsumerTestbed(settings: settings)
        let named = try some(bed.joined(bed.joinClassic("")))
        #expect(named.error == .memberIDRequired)
        let call = bed.joinClassic(named.memberID)
        bed.advance(milliseconds: 3_000)
        let joined = try some(bed.joined(call))
        #expect(joined.error == .none && joined.generationID == 1)
        var assignment = ConsumerProtocolAssignment()
        var orders = ConsumerProtocolTopicPartitions()
        orders.topic = "orders"
        orders.partitions = [0, 1, 2, 3, 4, 5]
        assignment.assignedPartitions = [orders]
        let bytes = try assignment.encode(version: 1)
        let synced = try some(bed.synced(bed.syncClassic(named.memberID, 1, assignments: [named.memberID: bytes])))
        #expect(synced.error == .none)
        return (bed, named.memberID)
    }

    private func kind(_ bed: ConsumerTestbed) -> Group.Kind? {
        bed.core.table.place(of: "g").flatMap { bed.core.table.kind(at: $0) }
    }

    @Test func aClassicGroupIsUpgradedUnderItsMembers() throws {
        var (bed, old) = try classicGroup()
        #expect(bed.commit(old, 1) == ErrorCode.none)
        let new = bed.join("new")
        #expect(new.error == .none)
        #expect(new.memberEpoch == 2)
        #expect(new.partitions == PartitionSet())
        #expect(kind(bed) == .consumer)
        // The old member learns of it as of any rebalance, gives back, and goes on.
        #expect(bed.heartbeatClassic(old, 1) == .rebalanceInProgress)
        let first = try some(bed.joined(bed.joinClassic(old, owned: ["orders": [0, 1, 2, 3, 4, 5]])))
        #expect(first.error == .none && first.generationID == 1 && first.leader.isEmpty && first.members.isEmpty)
        let asked = try some(bed.synced(bed.syncClassic(old, first.generationID)))
        #expect(bed.partitions(asked.assignment) == bed.set("orders", [0, 1, 2]))
        #expect(bed.heartbeatClassic(old, 1) == .rebalanceInProgress)
        let second = try some(bed.joined(bed.joinClassic(old, owned: ["orders": [0, 1, 2]])))
        #expect(second.generationID == 2)
        let done = try some(bed.synced(bed.syncClassic(old, 2)))
        #expect(bed.partitions(done.assignment) == bed.set("orders", [0, 1, 2]))
        #expect(bed.heartbeatClassic(old, 2) == ErrorCode.none)
        #expect(bed.heartbeat("new", 2).partitions == bed.set("orders", [3, 4, 5]))
        #expect(bed.describe().members.map(\.memberType).sorted() == [0, 1])
        #expect(bed.fetch("new", 2) == ErrorCode.none)
        #expect(bed.commit(old, 1) == .illegalGeneration)
        // The log tells the same story.
        let before = bed.describe()
        var other = ConsumerTestbed(log: bed.compacted)
        #expect(other.describe() == before)
        #expect(other.heartbeatClassic(old, 2) == ErrorCode.none)
    }

    @Test func theLastConsumerMemberTakesTheProtocolWithIt() throws {
        var (bed, old) = try classicGroup()
        _ = bed.join("new")
        _ = bed.joined(bed.joinClassic(old))
        _ = bed.synced(bed.syncClassic(old, 2))
        #expect(bed.heartbeat("new", -1).error == .none)
        #expect(kind(bed) == .classic)
        #expect(bed.heartbeat("new", 2).error == .groupIDNotFound)
        // It rebalances among those that are left.
        let again = bed.joinClassic(old)
        let joined = try some(bed.joined(again))
        #expect(joined.error == .none && joined.leader == old && joined.members.count == 1)
        let other = ConsumerTestbed(log: bed.compacted)
        #expect(kind(other) == .classic)
    }

    @Test func aConsumerMemberThatTimesOutDowngradesTheGroup() throws {
        var (bed, old) = try classicGroup()
        _ = bed.join("new")
        for _ in 0..<8 {
            let joined = bed.joined(bed.joinClassic(old))
            _ = bed.synced(bed.syncClassic(old, joined?.generationID ?? -1))
            bed.advance(milliseconds: 5_000)
        }
        #expect(kind(bed) == .consumer)
        _ = bed.joined(bed.joinClassic(old))
        bed.advance(milliseconds: 6_000)
        #expect(kind(bed) == .classic)
    }

    @Test(arguments: [GroupMigrationPolicy.disabled, .downgrade]) func upgradesMayBeForbidden(
        policy: GroupMigrationPolicy
    ) throws {
        var settings = GroupSettings()
        settings.consumer.migrationPolicy = policy
        var (bed, old) = try classicGroup(settings)
        #expect(bed.join("new").error == .groupIDNotFound)
        #expect(kind(bed) == .classic)
        #expect(bed.heartbeatClassic(old, 1) == ErrorCode.none)
    }

    @Test(arguments: [GroupMigrationPolicy.disabled, .upgrade]) func downgradesMayBeForbidden(
        policy: GroupMigrationPolicy
    ) throws {
        var settings = GroupSettings()
        settings.consumer.migrationPolicy = policy
        var bed = ConsumerTestbed(settings: settings)
        _ = bed.join("new")
        let old = try some(bed.joinClassicTwice())
        #expect(old.error == .none)
        _ = bed.heartbeat("new", -1)
        #expect(kind(bed) == .consumer)
        let joined = try some(bed.joined(bed.joinClassic(old.memberID)))
        let synced = try some(bed.synced(bed.syncClassic(old.memberID, joined.generationID)))
        #expect(bed.partitions(synced.assignment).count == 6)
    }

    @Test func aGroupOfAnotherKindStaysWhatItIs() throws {
        var bed = ConsumerTestbed()
        let named = try some(bed.joined(bed.joinClassic("", type: "connect")))
        _ = bed.joinClassic(named.memberID, type: "connect")
        #expect(bed.join("new").error == .groupIDNotFound)
    }

    @Test func aGroupThatIsFullIsNotUpgraded() throws {
        var settings = GroupSettings()
        settings.consumer.sizeMax = 1
        var (bed, _) = try classicGroup(settings)
        #expect(bed.join("new").error == .groupIDNotFound)
    }

    @Test func whoIsRefusedChangesNothing() throws {
        var (bed, _) = try classicGroup()
        let records = bed.log.count
        #expect(bed.join("new", topics: nil, regex: "(").error == .invalidRegularExpression)
        #expect(bed.heartbeat("new", 3).error == .groupIDNotFound)
        #expect(kind(bed) == .classic && bed.log.count == records)
    }

    @Test func whoeverWaitsIsAnsweredWhenTheGroupIsUpgraded() throws {
        var (bed, old) = try classicGroup()
        let second = try some(bed.joined(bed.joinClassic("")))
        let waiting = bed.joinClassic(second.memberID)
        #expect(bed.replies[waiting] == nil)
        _ = bed.join("new")
        #expect(bed.joined(waiting)?.error == .rebalanceInProgress)
        #expect(bed.group()?.members.keys.sorted() == [old, second.memberID, "new"].sorted())
    }

    @Test func anEmptyGroupIsEitherAtOnce() throws {
        var bed = ConsumerTestbed()
        #expect(bed.commit("", -1) == ErrorCode.none)
        #expect(kind(bed) == .classic)
        #expect(bed.join("new").error == .none)
        #expect(bed.heartbeat("new", -1).error == .none)
        #expect(bed.joined(bed.joinClassic(""))?.error == .memberIDRequired)
        #expect(kind(bed) == .classic)
        #expect(bed.join("new").error == .none)
        #expect(kind(bed) == .consumer)
    }

    // MARK: Members of the classic protocol in a consumer group

    @Test func inconsistentGroupProtocol() throws {
        var bed = ConsumerTestbed()
        _ = bed.join("new")
        #expect(bed.joined(bed.joinClassic("", type: "connect"))?.error == .inconsistentGroupProtocol)
        let old = try some(bed.joinClassicTwice())
        #expect(bed.joined(bed.joinClassic("", protocols: ["sticky"]))?.error == .inconsistentGroupProtocol)
        #expect(bed.joined(bed.joinClassic("", protocols: ["sticky", "range"]))?.error == .memberIDRequired)
        let call = bed.syncClassic(old.memberID, old.generationID, name: "sticky")
        #expect(bed.synced(call)?.error == .inconsistentGroupProtocol)
    }

    @Test func unknownMembersGenerationsAndInstances() throws {
        var bed = ConsumerTestbed()
        _ = bed.join("new", instance: "i")
        let old = try some(bed.joinClassicTwice())
        #expect(bed.heartbeatClassic("new", 1) == .unknownMemberID)
        #expect(bed.heartbeatClassic("nobody", 1) == .unknownMemberID)
        #expect(bed.heartbeatClassic(old.memberID, 9) == .illegalGeneration)
        #expect(bed.heartbeatClassic(old.memberID, old.generationID, instance: "i") == .fencedInstanceID)
        #expect(bed.heartbeatClassic(old.memberID, old.generationID, instance: "j") == .unknownMemberID)
        #expect(bed.synced(bed.syncClassic("new", 1))?.error == .unknownMemberID)
        #expect(bed.synced(bed.syncClassic(old.memberID, 9))?.error == .illegalGeneration)
        #expect(bed.joined(bed.joinClassic("x", instance: "i"))?.error == .fencedInstanceID)
        #expect(bed.joined(bed.joinClassic("x", instance: "j"))?.error == .unknownMemberID)
        #expect(bed.leaveClassic("new") == .unknownMemberID)
        #expect(bed.leaveClassic("nobody") == .unknownMemberID)
        #expect(bed.leaveClassic(old.memberID) == ErrorCode.none)
    }

    @Test func groupMaxSizeReachedForClassicMembersToo() throws {
        var settings = GroupSettings()
        settings.consumer.sizeMax = 1
        var bed = ConsumerTestbed(settings: settings)
        _ = bed.join("new")
        #expect(bed.joined(bed.joinClassic(""))?.error == .groupMaxSizeReached)
        #expect(bed.joined(bed.joinClassic("", version: 3))?.error == .groupMaxSizeReached)
    }

    @Test func aClassicMemberThatDoesNotSyncOrJoinIsRemoved() throws {
        var bed = ConsumerTestbed()
        _ = bed.join("new")
        let old = try some(bed.joinClassicTwice())
        for _ in 0..<6 {
            bed.advance(milliseconds: 5_100)
            _ = bed.heartbeatClassic(old.memberID, old.generationID)
            _ = bed.heartbeat("new", bed.group()?.members["new"]?.epoch ?? 0)
        }
        #expect(bed.group()?.members[old.memberID] == nil)
    }

    @Test func aStaticMemberChangesItsProtocolBothWays() throws {
        var bed = ConsumerTestbed()
        _ = bed.join("new", instance: "i")
        let other = try some(bed.joinClassicTwice())
        _ = bed.heartbeat("new", 1, owned: bed.set("orders", [0, 1, 2])) { $0.instanceID = "i" }
        // The last member of the consumer protocol comes back with the classic one.
        let back = try some(bed.joined(bed.joinClassic("", instance: "i")))
        #expect(back.error == .none)
        #expect(kind(bed) == .classic)
        // And one of them comes back with the consumer protocol again.
        let again = bed.join("newer", instance: "i")
        #expect(again.error == .none)
        #expect(kind(bed) == .consumer)
        #expect(bed.group()?.members.keys.sorted() == ["newer", other.memberID].sorted())
    }
}

/// `#require` for what a mutating call returns.
private func some<Value>(_ value: Value?) throws -> Value { try #require(value) }
