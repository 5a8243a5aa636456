// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

@testable import GroupCore

/// How members of a classic group come together.
@Suite struct ClassicGroupTests {
    @Test func aMemberJoinsInTwoStepsAndIsAloneInItsGeneration() {
        var coordinator = TestCoordinator()
        let (member, call) = coordinator.joinTwice()
        #expect(member.hasPrefix("client-") && member.utf8.count == 43)
        #expect(coordinator.joined(call) == nil)
        #expect(coordinator.state() == "PreparingRebalance")
        coordinator.advance(milliseconds: 2_999)
        #expect(coordinator.joined(call) == nil)
        coordinator.advance(milliseconds: 3_001)
        let reply = coordinator.joined(call)
        #expect(reply?.error == ErrorCode.none)
        #expect(reply?.generationID == 1 && reply?.leader == member && reply?.memberID == member)
        #expect(reply?.protocolName == "range" && reply?.protocolType == "consumer")
        #expect(reply?.members.map(\.memberID) == [member])
        #expect(coordinator.state() == "CompletingRebalance")
        #expect(coordinator.log.isEmpty)
        let sync = coordinator.sync(member: member, generation: 1, assignments: [member: "all"])
        #expect(coordinator.synced(sync)?.assignment == ByteBuffer(string: "all"))
        #expect(coordinator.state() == "Stable")
        #expect(coordinator.log.count == 1)
    }

    @Test func anOldMemberJoinsInOneStep() {
        var coordinator = TestCoordinator()
        let call = coordinator.join(version: 3)
        coordinator.advance(milliseconds: 6_000)
        #expect(coordinator.joined(call)?.error == ErrorCode.none)
    }

    @Test func inTheFirstVersionTheSessionTimeoutIsTheRebalanceTimeout() {
        var coordinator = TestCoordinator()
        let old = coordinator.join(session: 7_000, rebalance: -1, version: 0)
        coordinator.advance(milliseconds: 6_000)
        let oldID = coordinator.joined(old)?.memberID ?? ""
        _ = coordinator.sync(member: oldID, generation: 1, assignments: [:], version: 0)
        _ = coordinator.joinTwice(rebalance: 1)
        for _ in 0..<6 {
            coordinator.advance(milliseconds: 1_000)
            #expect(coordinator.heartbeat(member: oldID, generation: 1) == .rebalanceInProgress)
        }
        coordinator.advance(milliseconds: 1_001)
        #expect(coordinator.heartbeat(member: oldID, generation: 1) == .unknownMemberID)
    }

    @Test func theInitialDelayIsBegunAnewWhileMembersComeUpToTheRebalanceTimeout() {
        var coordinator = TestCoordinator()
        var calls: [UInt64] = []
        // One more every two seconds: each time the delay ends somebody has come.
        for _ in 0..<5 {
            calls.append(coordinator.joinTwice(rebalance: 10_000).call)
            coordinator.advance(milliseconds: 2_000)
        }
        #expect(calls.allSatisfy { coordinator.joined($0) != nil })
        #expect(Set(calls.compactMap { coordinator.joined($0)?.generationID }) == [1])
        #expect(coordinator.joined(calls[0])?.members.count == 5)
    }

    @Test func withoutAnInitialDelayTheFirstMemberIsNotKeptWaiting() {
        var settings = GroupSettings()
        settings.initialRebalanceDelay = 0
        var coordinator = TestCoordinator(settings: settings)
        let (_, call) = coordinator.joinTwice()
        coordinator.advance(milliseconds: 0)
        #expect(coordinator.joined(call)?.error == ErrorCode.none)
    }

    @Test func onlyTheLeaderIsToldOfTheMembersAndItsAssignmentIsHandedRound() {
        var coordinator = TestCoordinator()
        let calls = (0..<3).map { _ in coordinator.joinTwice(protocols: [("range", "topics")]) }
        coordinator.advance(milliseconds: 9_000)
        let leader = calls[0].member
        #expect(calls.map { coordinator.joined($0.call)?.leader } == [leader, leader, leader])
        #expect(calls.map { coordinator.joined($0.call)?.members.count } == [3, 0, 0])
        #expect(coordinator.joined(calls[0].call)?.members.last?.metadata == ByteBuffer(string: "topics"))
        let early = coordinator.sync(member: calls[1].member, generation: 1)
        #expect(coordinator.synced(early) == nil)
        let lead = coordinator.sync(
            member: leader, generation: 1,
            assignments: [leader: "a", calls[1].member: "b", "who is that": "x"])
        #expect(coordinator.synced(lead)?.assignment == ByteBuffer(string: "a"))
        #expect(coordinator.synced(early)?.assignment == ByteBuffer(string: "b"))
        let late = coordinator.sync(member: calls[2].member, generation: 1)
        #expect(coordinator.synced(late)?.assignment == ByteBuffer())
        #expect(coordinator.state() == "Stable")
    }

    @Test func theProtocolThatMostMembersLikeBestOfThoseAllKnowIsTaken() {
        var coordinator = TestCoordinator()
        _ = coordinator.joinTwice(protocols: [("only-mine", ""), ("range", ""), ("sticky", "")])
        _ = coordinator.joinTwice(protocols: [("sticky", ""), ("range", "")])
        let (_, call) = coordinator.joinTwice(protocols: [("sticky", ""), ("range", "")])
        coordinator.advance(milliseconds: 9_000)
        #expect(coordinator.joined(call)?.protocolName == "sticky")
    }

    @Test func somebodyNewMakesTheOthersJoinAgain() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2)
        let (third, call) = coordinator.joinTwice()
        #expect(coordinator.state() == "PreparingRebalance")
        #expect(
            members.map { coordinator.heartbeat(member: $0, generation: 1) } == [
                .rebalanceInProgress, .rebalanceInProgress,
            ])
        let again = members.map { coordinator.join(member: $0) }
        #expect(coordinator.joined(call)?.generationID == 2)
        #expect(again.map { coordinator.joined($0)?.generationID } == [2, 2])
        #expect(coordinator.joined(again[0])?.members.count == 3)
        #expect(third != members[0])
    }

    @Test func whoDoesNotJoinAgainWithinTheRebalanceTimeoutIsOut() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 3, session: 300_000, rebalance: 20_000)
        let first = coordinator.join(member: members[0], session: 300_000, rebalance: 20_000)
        let second = coordinator.join(member: members[1], session: 300_000, rebalance: 20_000)
        coordinator.advance(milliseconds: 19_999)
        #expect(coordinator.joined(first) == nil)
        coordinator.advance(milliseconds: 1)
        #expect(coordinator.joined(first)?.members.map(\.memberID) == [members[0], members[1]])
        #expect(coordinator.joined(second)?.generationID == 2)
        #expect(coordinator.heartbeat(member: members[2], generation: 1) == .unknownMemberID)
    }

    @Test func anotherMemberLeadsWhenTheLeaderDoesNotComeBack() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 3, session: 300_000, rebalance: 20_000)
        _ = coordinator.joinTwice(session: 300_000, rebalance: 20_000)
        let second = coordinator.join(member: members[1], session: 300_000, rebalance: 20_000)
        coordinator.advance(milliseconds: 20_000)
        #expect(coordinator.joined(second)?.leader == members[1])
    }

    @Test func aMemberThatIsSilentForItsSessionTimeoutIsOutAndTheOthersRebalance() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2)
        for _ in 0..<3 {
            coordinator.advance(milliseconds: 3_000)
            #expect(coordinator.heartbeat(member: members[0], generation: 1) == ErrorCode.none)
        }
        coordinator.advance(milliseconds: 1_001)
        #expect(coordinator.heartbeat(member: members[0], generation: 1) == .rebalanceInProgress)
        let again = coordinator.join(member: members[0])
        #expect(coordinator.joined(again)?.members.map(\.memberID) == [members[0]])
    }

    @Test func aCommitIsASignOfLife() {
        var coordinator = TestCoordinator()
        let member = coordinator.stableGroup(count: 1)[0]
        for _ in 0..<5 {
            coordinator.advance(milliseconds: 9_000)
            #expect(coordinator.commit([0: 1], member: member, generation: 1) == [.none])
        }
        coordinator.advance(milliseconds: 10_001)
        #expect(coordinator.state() == "Empty")
    }

    @Test func aMemberThatWaitsForOthersIsNotHeldToItsSessionTimeout() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2, session: 6_000, rebalance: 60_000)
        let waiting = coordinator.join(member: members[0], session: 6_000)
        for _ in 0..<11 {
            coordinator.advance(milliseconds: 5_000)
            #expect(coordinator.heartbeat(member: members[1], generation: 1) == .rebalanceInProgress)
        }
        coordinator.advance(milliseconds: 5_000)
        #expect(coordinator.joined(waiting)?.generationID == 2)
    }

    @Test func somebodyNewWhoWaitsForFiveMinutesIsToldToStartOver() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 1, session: 1_800_000, rebalance: 1_000_000)
        let (_, call) = coordinator.joinTwice(rebalance: 1_000_000)
        coordinator.advance(milliseconds: 299_999)
        #expect(coordinator.joined(call) == nil)
        coordinator.advance(milliseconds: 1)
        #expect(coordinator.joined(call)?.error == .unknownMemberID)
        #expect(coordinator.heartbeat(member: members[0], generation: 1) == .rebalanceInProgress)
    }

    @Test func membersThatNeverSyncAreOutAfterTheRebalanceTimeout() {
        var coordinator = TestCoordinator()
        let calls = (0..<3).map { _ in coordinator.joinTwice(session: 300_000, rebalance: 20_000) }
        coordinator.advance(milliseconds: 9_000)
        let waiting = coordinator.sync(member: calls[1].member, generation: 1)
        coordinator.advance(milliseconds: 20_000)
        #expect(coordinator.synced(waiting)?.error == .rebalanceInProgress)
        #expect(coordinator.heartbeat(member: calls[0].member, generation: 1) == .unknownMemberID)
        let again = coordinator.join(member: calls[1].member, session: 300_000)
        #expect(coordinator.joined(again)?.members.map(\.memberID) == [calls[1].member])
        #expect(coordinator.joined(again)?.generationID == 2)
    }

    @Test func aGroupWhereAllHaveSyncedDoesNotRebalanceOnItsOwn() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2, session: 300_000, rebalance: 20_000)
        coordinator.advance(milliseconds: 60_000)
        #expect(coordinator.state() == "Stable")
        #expect(members.map { coordinator.heartbeat(member: $0, generation: 1) } == [ErrorCode.none, ErrorCode.none])
    }

    @Test func aFollowerThatJoinsAgainUnchangedIsToldOfTheCurrentGeneration() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2)
        let call = coordinator.join(member: members[1])
        #expect(coordinator.joined(call)?.generationID == 1 && coordinator.joined(call)?.members == [])
        #expect(coordinator.state() == "Stable")
    }

    @Test func aLeaderThatJoinsAgainUnchangedWantsTheWorkSharedOutAnew() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2)
        _ = coordinator.join(member: members[0])
        #expect(coordinator.state() == "PreparingRebalance")
    }

    @Test func cooperativeMembersKeepWhatTheySayTheyOwnThroughTheGeneration() {
        // KIP-429 is the clients' affair: the coordinator hands what they own to the leader, and keeps nobody waiting.
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2, protocols: [("cooperative-sticky", "owns nothing")])
        let claims = members.map { coordinator.join(member: $0, protocols: [("cooperative-sticky", "owns \($0)")]) }
        #expect(
            coordinator.joined(claims[0])?.members.map { String(buffer: $0.metadata) } == members.map { "owns \($0)" })
        let syncs = members.reversed().map {
            coordinator.sync(
                member: $0, generation: 2, assignments: $0 == members[0] ? [$0: "one"] : [:],
                name: "cooperative-sticky")
        }
        #expect(syncs.compactMap { coordinator.synced($0)?.error } == [.none, .none])
    }

    @Test func aMemberThatAsksTwiceIsAnsweredTwiceAndCountedOnce() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2)
        let first = coordinator.join(member: members[0])
        let second = coordinator.join(member: members[0])
        #expect(coordinator.joined(first)?.error == .rebalanceInProgress)
        #expect(coordinator.joined(second) == nil)
        _ = coordinator.join(member: members[1])
        #expect(coordinator.joined(second)?.error == ErrorCode.none)
    }

    @Test func theLastMemberToLeaveEmptiesTheGroupAndTheLogSaysSo() {
        var coordinator = TestCoordinator()
        let member = coordinator.stableGroup(count: 1)[0]
        #expect(coordinator.leave([(member, nil)]).members.map(\.error) == [.none])
        #expect(coordinator.state() == "Empty")
        guard case .groupMetadata("g", let value?)? = coordinator.records.last else {
            Issue.record("the empty generation is stored")
            return
        }
        #expect(value.members == [] && value.generation == 2 && value.protocolType == "consumer")
        #expect(value.leader == nil && value.protocolName == nil)
    }

    @Test func aMemberThatLeavesMidRebalanceHoldsItUpNoLonger() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2)
        let waiting = coordinator.join(member: members[0])
        #expect(coordinator.joined(waiting) == nil)
        _ = coordinator.leave([(members[1], nil)])
        #expect(coordinator.joined(waiting)?.generationID == 2)
    }

    @Test func aPendingMemberHoldsARebalanceUpUntilItsSessionEnds() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 1, session: 300_000)
        _ = coordinator.join(session: 6_000)
        #expect(coordinator.state() == "Stable")
        let waiting = coordinator.join(member: members[0], session: 300_000)
        #expect(coordinator.joined(waiting) == nil)
        coordinator.advance(milliseconds: 6_000)
        #expect(coordinator.joined(waiting)?.generationID == 2)
    }

    @Test func whatWaitsIsAnsweredWhenItsMemberLeaves() {
        var coordinator = TestCoordinator()
        let calls = (0..<2).map { _ in coordinator.joinTwice() }
        coordinator.advance(milliseconds: 9_000)
        let waiting = coordinator.sync(member: calls[1].member, generation: 1)
        _ = coordinator.leave([(calls[1].member, nil)])
        #expect(coordinator.synced(waiting)?.error == .unknownMemberID)
    }
}
