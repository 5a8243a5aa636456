// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Testing

@testable import GroupCore

/// Static membership (KIP-345, KIP-814).
@Suite struct StaticMemberTests {
    /// A stable group of static members `a`, which leads, and `b`.
    private func group(
        _ coordinator: inout TestCoordinator, session: Int32 = 30_000
    ) -> (a: String, b: String) {
        let calls = ["a", "b"].map { coordinator.join(instance: $0, session: session) }
        coordinator.advance(milliseconds: 6_000)
        let members = calls.map { coordinator.joined($0)?.memberID ?? "" }
        for (member, instance) in zip(members, ["a", "b"]).reversed() {
            _ = coordinator.sync(
                member: member, generation: 1, instance: instance,
                assignments: instance == "a" ? [members[0]: "for a", members[1]: "for b"] : [:])
        }
        #expect(coordinator.state() == "Stable")
        return (members[0], members[1])
    }

    @Test func aStaticMemberJoinsInOneStepAndItsIDTellsWhoItIs() {
        var coordinator = TestCoordinator()
        let members = group(&coordinator)
        #expect(members.a.hasPrefix("a-") && members.b.hasPrefix("b-"))
    }

    @Test func aRestartedFollowerGoesOnWithItsAssignmentAndNobodyRebalances() {
        var coordinator = TestCoordinator()
        let members = group(&coordinator)
        let call = coordinator.join(instance: "b", session: 30_000)
        let reply = coordinator.joined(call)
        #expect(reply?.error == ErrorCode.none && reply?.generationID == 1)
        #expect(reply?.leader == members.a && reply?.members == [] && reply?.skipsAssignment == false)
        let new = reply?.memberID ?? ""
        #expect(new != members.b)
        #expect(coordinator.state() == "Stable")
        let sync = coordinator.sync(member: new, generation: 1, instance: "b")
        #expect(coordinator.synced(sync)?.assignment == ByteBuffer(string: "for b"))
        guard case .groupMetadata(_, let value?)? = coordinator.records.last else {
            Issue.record("the new member id is stored")
            return
        }
        #expect(value.members.map(\.memberID) == [members.a, new])
    }

    @Test func aRestartedLeaderIsToldThatNothingIsToBeAssigned() {
        var coordinator = TestCoordinator()
        let members = group(&coordinator)
        let call = coordinator.join(instance: "a", session: 30_000)
        let reply = coordinator.joined(call)
        #expect(reply?.skipsAssignment == true && reply?.leader == reply?.memberID)
        #expect(reply?.members.map(\.memberID) == [reply?.memberID ?? "", members.b])
        #expect(coordinator.state() == "Stable")
    }

    @Test func aRestartedLeaderThatCouldNotBeToldIsNotToldThatItLeads() {
        var coordinator = TestCoordinator()
        let members = group(&coordinator)
        let call = coordinator.join(instance: "a", session: 30_000, version: 8)
        let reply = coordinator.joined(call)
        #expect(reply?.leader == members.a && reply?.memberID != members.a)
        #expect(reply?.members == [] && reply?.skipsAssignment == false)
    }

    @Test func theProcessThatWasReplacedIsFenced() {
        var coordinator = TestCoordinator()
        let members = group(&coordinator)
        _ = coordinator.join(instance: "b", session: 30_000)
        #expect(coordinator.heartbeat(member: members.b, generation: 1, instance: "b") == .fencedInstanceID)
        let join = coordinator.join(member: members.b, instance: "b", session: 30_000)
        #expect(coordinator.joined(join)?.error == .fencedInstanceID)
        let sync = coordinator.sync(member: members.b, generation: 1, instance: "b")
        #expect(coordinator.synced(sync)?.error == .fencedInstanceID)
        #expect(coordinator.commit([0: 1], member: members.b, generation: 1, instance: "b") == [.fencedInstanceID])
        #expect(coordinator.leave([(members.b, "b")]).members.map(\.error) == [.fencedInstanceID])
    }

    @Test func aCallThatTheReplacedProcessStillWaitsForIsFenced() {
        var coordinator = TestCoordinator()
        let members = group(&coordinator)
        let waiting = coordinator.join(member: members.a, instance: "a", session: 30_000)
        #expect(coordinator.joined(waiting) == nil)
        _ = coordinator.join(instance: "a", session: 30_000)
        #expect(coordinator.joined(waiting)?.error == .fencedInstanceID)
    }

    @Test func aRestartThatChangesWhatTheGroupAgreedUponRebalances() {
        var coordinator = TestCoordinator()
        let calls = ["a", "b"].map {
            coordinator.join(instance: $0, protocols: [("range", ""), ("sticky", "")], session: 30_000)
        }
        coordinator.advance(milliseconds: 6_000)
        let leader = coordinator.joined(calls[0])?.memberID ?? ""
        _ = coordinator.sync(member: leader, generation: 1, instance: "a")
        let call = coordinator.join(instance: "b", protocols: [("sticky", "")], session: 30_000)
        #expect(coordinator.joined(call) == nil)
        #expect(coordinator.state() == "PreparingRebalance")
    }

    @Test func aRestartWhileAssignmentsAreAwaitedRebalances() {
        var coordinator = TestCoordinator()
        let calls = ["a", "b"].map { coordinator.join(instance: $0, session: 30_000) }
        coordinator.advance(milliseconds: 6_000)
        let old = coordinator.joined(calls[1])?.memberID ?? ""
        let waiting = coordinator.sync(member: old, generation: 1, instance: "b")
        let call = coordinator.join(instance: "b", session: 30_000)
        #expect(coordinator.synced(waiting)?.error == .fencedInstanceID)
        #expect(coordinator.joined(call) == nil && coordinator.state() == "PreparingRebalance")
    }

    @Test func aStaticMemberThatDoesNotComeBackInTimeKeepsItsPlaceUntilItsSessionEnds() {
        var coordinator = TestCoordinator()
        let members = group(&coordinator, session: 100_000)
        let waiting = coordinator.join(member: members.a, instance: "a", session: 100_000, rebalance: 60_000)
        coordinator.advance(milliseconds: 60_000)
        let reply = coordinator.joined(waiting)
        #expect(reply?.generationID == 2 && reply?.members.map(\.memberID) == [members.a, members.b])
    }

    @Test func whenOnlyAbsentStaticMembersAreLeftTheirSessionsDecide() {
        var coordinator = TestCoordinator()
        let members = group(&coordinator, session: 100_000)
        _ = coordinator.leave([("", "a")])
        coordinator.advance(milliseconds: 60_000)
        #expect(coordinator.state() == "PreparingRebalance")
        #expect(coordinator.describe().members.map(\.memberID) == [members.b])
        coordinator.advance(milliseconds: 40_001)
        #expect(coordinator.state() == "Empty")
    }

    @Test func anAdministratorRemovesStaticMembersByInstanceAlone() {
        var coordinator = TestCoordinator()
        _ = group(&coordinator)
        let answers = coordinator.leave([("", "a"), ("", "nobody"), ("", "b")]).members
        #expect(answers.map(\.error) == [.none, .unknownMemberID, .none])
        #expect(answers.map(\.groupInstanceID) == ["a", "nobody", "b"])
        #expect(coordinator.state() == "Empty")
    }

    @Test func aStaticMemberIsTheSameAfterFailover() {
        var coordinator = TestCoordinator()
        let members = group(&coordinator)
        var next = coordinator.failedOver()
        #expect(next.state() == "Stable")
        #expect(next.heartbeat(member: members.b, generation: 1, instance: "b") == ErrorCode.none)
        let call = next.join(instance: "a", session: 30_000)
        let reply = next.joined(call)
        #expect(reply?.generationID == 1 && reply?.skipsAssignment == true)
    }
}
