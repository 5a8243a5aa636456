// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

@testable import GroupCore

/// What is refused, and with which of Kafka's errors.
@Suite struct BadInputTests {
    @Test func unknownMember() {
        var coordinator = TestCoordinator()
        #expect(coordinator.heartbeat("nobody", member: "m", generation: 1) == .unknownMemberID)
        let early = coordinator.join("nobody", member: "m")
        #expect(coordinator.joined(early)?.error == .unknownMemberID)
        let sync = coordinator.sync("nobody", member: "m", generation: 1)
        #expect(coordinator.synced(sync)?.error == .unknownMemberID)
        #expect(coordinator.leave(in: "nobody", [("m", nil)]).members.map(\.error) == [.unknownMemberID])
        #expect(coordinator.core.list().isEmpty)

        _ = coordinator.stableGroup(count: 1)
        #expect(coordinator.heartbeat(member: "m", generation: 1) == .unknownMemberID)
        let join = coordinator.join(member: "m")
        #expect(coordinator.joined(join)?.error == .unknownMemberID && coordinator.joined(join)?.memberID == "m")
        let second = coordinator.sync(member: "m", generation: 1)
        #expect(coordinator.synced(second)?.error == .unknownMemberID)
        #expect(coordinator.commit([0: 1], member: "m", generation: 1) == [.unknownMemberID])
        let unknownInstance = coordinator.join(member: "m", instance: "i")
        #expect(coordinator.joined(unknownInstance)?.error == .unknownMemberID)
        #expect(
            coordinator.leave([("m", nil), ("", nil)]).members.map(\.error) == [.unknownMemberID, .unknownMemberID])
        #expect(coordinator.state() == "Stable")
    }

    @Test func illegalGeneration() {
        var coordinator = TestCoordinator()
        let member = coordinator.stableGroup(count: 1)[0]
        #expect(coordinator.heartbeat(member: member, generation: 2) == .illegalGeneration)
        #expect(coordinator.heartbeat(member: member, generation: 0) == .illegalGeneration)
        let sync = coordinator.sync(member: member, generation: 2)
        #expect(coordinator.synced(sync)?.error == .illegalGeneration)
        #expect(coordinator.commit([0: 1], member: member, generation: 0) == [.illegalGeneration])
        #expect(coordinator.commit([0: 1], member: member, generation: -1) == [.illegalGeneration])
    }

    @Test func aCommitToAGroupThatIsNotThere() {
        var coordinator = TestCoordinator()
        #expect(coordinator.commit([0: 1], member: "m", generation: 3, version: 8) == [.illegalGeneration])
        #expect(coordinator.commit([0: 1], member: "m", generation: 3, version: 9) == [.groupIDNotFound])
        #expect(coordinator.core.list().isEmpty && coordinator.log.isEmpty)
    }

    @Test func fencedInstance() {
        var coordinator = TestCoordinator()
        let first = coordinator.join(instance: "i")
        coordinator.advance(milliseconds: 6_000)
        let old = coordinator.joined(first)?.memberID ?? ""
        _ = coordinator.sync(member: old, generation: 1, instance: "i")
        #expect(coordinator.heartbeat(member: "other", generation: 1, instance: "i") == .fencedInstanceID)
        #expect(coordinator.heartbeat(member: old, generation: 1, instance: "other") == .unknownMemberID)
    }

    @Test func rebalanceInProgress() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2)
        _ = coordinator.join(member: members[0])
        #expect(coordinator.heartbeat(member: members[1], generation: 1) == .rebalanceInProgress)
        let sync = coordinator.sync(member: members[1], generation: 1)
        #expect(coordinator.synced(sync)?.error == .rebalanceInProgress)
    }

    @Test func inconsistentProtocol() {
        var coordinator = TestCoordinator()
        let nothing = coordinator.join(protocols: [])
        #expect(coordinator.joined(nothing)?.error == .inconsistentGroupProtocol)
        let untyped = coordinator.join(type: "")
        #expect(coordinator.joined(untyped)?.error == .inconsistentGroupProtocol)
        #expect(coordinator.core.list().isEmpty)

        let member = coordinator.stableGroup(count: 1)[0]
        let foreign = coordinator.join(protocols: [("sticky", "")])
        #expect(coordinator.joined(foreign)?.error == .inconsistentGroupProtocol)
        let connect = coordinator.join(type: "connect")
        #expect(coordinator.joined(connect)?.error == .inconsistentGroupProtocol)
        let again = coordinator.join(member: member, protocols: [("sticky", "")])
        #expect(coordinator.joined(again)?.error == .inconsistentGroupProtocol)
        for (type, name) in [("connect", "range"), ("consumer", "sticky"), (nil, "range"), ("consumer", nil)] {
            let sync = coordinator.sync(member: member, generation: 1, type: type, name: name)
            #expect(coordinator.synced(sync)?.error == .inconsistentGroupProtocol)
        }
        let old = coordinator.sync(member: member, generation: 1, type: nil, name: nil, version: 4)
        #expect(coordinator.synced(old)?.error == ErrorCode.none)
    }

    @Test(arguments: [0, -1, 5_999, 1_800_001, Int32.max, Int32.min])
    func invalidSessionTimeout(_ timeout: Int32) {
        var coordinator = TestCoordinator()
        let call = coordinator.join(session: timeout)
        #expect(coordinator.joined(call)?.error == .invalidSessionTimeout)
        #expect(coordinator.core.list().isEmpty && coordinator.core.deadline != nil)
    }

    @Test func invalidGroupID() {
        var coordinator = TestCoordinator()
        let join = coordinator.join("")
        #expect(coordinator.joined(join)?.error == .invalidGroupID)
        let sync = coordinator.sync("", member: "m", generation: 1)
        #expect(coordinator.synced(sync)?.error == .invalidGroupID)
        #expect(coordinator.heartbeat("", member: "m", generation: 1) == .invalidGroupID)
        #expect(coordinator.leave(in: "", [("m", nil)]).error == .invalidGroupID)
    }

    @Test func groupTooLarge() {
        var settings = GroupSettings()
        settings.sizeMax = 2
        var coordinator = TestCoordinator(settings: settings)
        let members = coordinator.stableGroup(count: 2)
        let third = coordinator.join()
        #expect(coordinator.joined(third)?.error == .groupMaxSizeReached)
        #expect(coordinator.state() == "Stable")
        // Those that are in may join again, even while others wait.
        let again = members.map { coordinator.join(member: $0) }
        #expect(again.map { coordinator.joined($0)?.generationID } == [2, 2])
    }

    @Test func groupTooLargeWhileARebalanceIsPrepared() {
        var settings = GroupSettings()
        settings.sizeMax = 2
        var coordinator = TestCoordinator(settings: settings)
        let first = coordinator.join(version: 3)
        let second = coordinator.join(version: 3)
        let third = coordinator.join(version: 3)
        #expect(coordinator.joined(third)?.error == .groupMaxSizeReached)
        coordinator.advance(milliseconds: 9_000)
        #expect([first, second].map { coordinator.joined($0)?.error } == [ErrorCode.none, ErrorCode.none])
    }

    @Test func metadataTooLarge() {
        var coordinator = TestCoordinator()
        let note = String(repeating: "x", count: 4_096)
        #expect(coordinator.commit([0: 1], note: note) == [.none])
        #expect(coordinator.commit([0: 2], note: note + "x") == [.offsetMetadataTooLarge])
        #expect(coordinator.commit([1: 2], note: nil) == [.none])
        #expect(coordinator.fetchAll() == ["orders": [0: 1, 1: 2]])
    }

    @Test func aCommitToATopicThatIsNotThere() {
        var coordinator = TestCoordinator()
        #expect(coordinator.commit(topic: "nothing", [0: 1]) == [.unknownTopicOrPartition])
        #expect(coordinator.commit([16: 1]) == [.unknownTopicOrPartition])
        #expect(coordinator.commit([-1: 1]) == [.unknownTopicOrPartition])
        #expect(coordinator.commit([.max: 1]) == [.unknownTopicOrPartition])
        #expect(coordinator.core.list().isEmpty)
    }

    @Test func nonEmptyGroup() {
        var coordinator = TestCoordinator()
        _ = coordinator.stableGroup(count: 1)
        #expect(coordinator.delete("g") == .nonEmptyGroup)
        let calls = coordinator.join("connect", type: "connect", version: 3)
        coordinator.advance(milliseconds: 6_000)
        #expect(coordinator.joined(calls)?.error == ErrorCode.none)
        #expect(coordinator.deleteOffsets(in: "connect", [0]).error == .nonEmptyGroup)
    }

    @Test func groupIDNotFound() {
        var coordinator = TestCoordinator()
        #expect(coordinator.delete("nobody") == .groupIDNotFound)
        #expect(coordinator.deleteOffsets(in: "nobody", [0]).error == .groupIDNotFound)
        let description = coordinator.describe("nobody", version: 6)
        #expect(description.error == .groupIDNotFound && description.groupState == "Dead")
        #expect(description.errorMessage == "Group nobody not found.")
        let old = coordinator.describe("nobody", version: 5)
        #expect(old.error == ErrorCode.none && old.groupState == "Dead" && old.errorMessage == nil)
        #expect(coordinator.explain("nobody").error == .groupIDNotFound)
    }

    @Test func offsetsThatAreReadAreNotDeleted() {
        var coordinator = TestCoordinator()
        let member = coordinator.stableGroup(count: 1)[0]
        _ = coordinator.commit([0: 1], member: member, generation: 1)
        // What its members read is not known, so it may be anything.
        let response = coordinator.deleteOffsets([0])
        #expect(response.topics[0].partitions.map(\.error) == [.groupSubscribedToTopic])
        #expect(coordinator.deleteOffsets(topic: "nothing", [0]).error == ErrorCode.none)
        _ = coordinator.leave([(member, nil)])
        #expect(
            coordinator.deleteOffsets(topic: "nothing", [0]).topics[0].partitions[0].error == .unknownTopicOrPartition)
    }

    // MARK: Abuse (reliability.md H19)

    @Test func emptyMemberIDsRepeatedlyAreBoundedAndForgotten() {
        var settings = GroupSettings()
        settings.sizeMax = 100
        var coordinator = TestCoordinator(settings: settings)
        let calls = (0..<1_000).map { _ in coordinator.join(session: 6_000) }
        let errors = calls.map { coordinator.joined($0)?.error }
        #expect(errors.count { $0 == .memberIDRequired } == 100)
        #expect(errors.count { $0 == .groupMaxSizeReached } == 900)
        coordinator.advance(milliseconds: 6_000)
        #expect(coordinator.core.list().isEmpty && coordinator.core.table.count == 0 && coordinator.log.isEmpty)
        #expect(coordinator.core.deadlines.isEmpty)
    }

    @Test func groupsThatNobodyJoinsLeaveNothingBehind() {
        var settings = GroupSettings()
        settings.countMax = 500
        var coordinator = TestCoordinator(settings: settings)
        let calls = (0..<1_000).map { coordinator.join("g\($0)", session: 6_000) }
        #expect(calls.count { coordinator.joined($0)?.error == .groupMaxSizeReached } == 500)
        #expect(coordinator.commit(in: "another", [0: 1]) == [.policyViolation])
        coordinator.advance(milliseconds: 6_000)
        #expect(coordinator.core.table.count == 0 && coordinator.log.isEmpty)
    }

    @Test func hugeMetadataIsBounded() {
        var settings = GroupSettings()
        settings.metadataBytesMax = .kibibytes(16)
        var coordinator = TestCoordinator(settings: settings)
        let big = String(repeating: "x", count: 10_000)
        let first = coordinator.join(protocols: [("range", big)], version: 3)
        let second = coordinator.join(protocols: [("range", big)], version: 3)
        #expect(coordinator.joined(second)?.error == .groupMaxSizeReached)
        coordinator.advance(milliseconds: 6_000)
        let member = coordinator.joined(first)?.memberID ?? ""
        // Other metadata of the same length in place of it is no more.
        _ = coordinator.sync(member: member, generation: 1)
        let again = coordinator.join(member: member, protocols: [("range", big)])
        #expect(coordinator.joined(again)?.error == ErrorCode.none)
        let more = coordinator.join(member: member, protocols: [("range", big + big)])
        #expect(coordinator.joined(more)?.error == .groupMaxSizeReached)
    }

    @Test func aHugeAssignmentIsRefusedAndTheGroupRebalances() {
        var settings = GroupSettings()
        settings.metadataBytesMax = .kibibytes(16)
        var coordinator = TestCoordinator(settings: settings)
        let calls = (0..<2).map { _ in coordinator.joinTwice() }
        coordinator.advance(milliseconds: 9_000)
        let waiting = coordinator.sync(member: calls[1].member, generation: 1)
        let lead = coordinator.sync(
            member: calls[0].member, generation: 1,
            assignments: [calls[0].member: String(repeating: "x", count: 20_000)])
        #expect(coordinator.synced(lead)?.error == .unknownServerError)
        #expect(coordinator.synced(waiting)?.error == .unknownServerError)
        #expect(coordinator.state() == "PreparingRebalance" && coordinator.log.isEmpty)
    }

    @Test func aStormOfDeletionsAndJoinsEndsInNothing() {
        var coordinator = TestCoordinator()
        for round in 0..<200 {
            let first = coordinator.join(version: 3)
            coordinator.advance(milliseconds: 3_000)
            #expect(coordinator.delete("g") == .nonEmptyGroup)
            coordinator.advance(milliseconds: 3_000)
            let member = coordinator.joined(first)?.memberID ?? ""
            #expect(coordinator.joined(first)?.generationID == 1, "round \(round)")
            _ = coordinator.leave([(member, nil)])
            #expect(coordinator.delete("g") == .none)
        }
        #expect(coordinator.core.table.count == 0 && coordinator.core.deadlines.isEmpty)
        #expect(coordinator.failedOver().core.list().isEmpty)
    }

    @Test func timeoutsOfNothingDoNotMakeTimeStandStill() {
        var settings = GroupSettings()
        settings.initialRebalanceDelay = 0
        var coordinator = TestCoordinator(settings: settings)
        let calls = (0..<2).map { coordinator.join(instance: "i\($0)", session: 6_000, rebalance: Int32($0) - 1) }
        coordinator.advance(milliseconds: 20_000)
        #expect(calls.allSatisfy { coordinator.joined($0) != nil })
        #expect(coordinator.state() == "Empty")
    }

    @Test func aLongClientIDMakesAMemberIDThatCanBeStored() {
        var coordinator = TestCoordinator()
        coordinator.clientID = String(repeating: "ä", count: 16_000)
        let (member, call) = coordinator.joinTwice()
        coordinator.advance(milliseconds: 6_000)
        #expect(member.utf8.count <= 300)
        _ = coordinator.sync(member: member, generation: 1)
        #expect(coordinator.joined(call)?.error == ErrorCode.none && coordinator.log.count == 1)
        #expect(coordinator.failedOver().state() == "Stable")
    }
}
