// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Testing

@testable import GroupCore

/// What `godwit group why` has to tell, and what is shown of a group.
@Suite struct ExplainTests {
    @Test func aStableGroupWaitsForNothing() {
        var coordinator = TestCoordinator()
        _ = coordinator.stableGroup(count: 2)
        let explanation = coordinator.explain()
        #expect(explanation.state == "Stable" && explanation.protocolType == "consumer" && explanation.waits == [])
    }

    @Test func theInitialDelayIsNamedWithItsEnd() {
        var coordinator = TestCoordinator()
        _ = coordinator.joinTwice()
        coordinator.advance(milliseconds: 1_000)
        let waits = coordinator.explain().waits
        #expect(waits.count == 1 && waits[0].memberID == "")
        #expect(waits[0].sinceMilliseconds == 1_000 && waits[0].dueMilliseconds == 2_000)
        #expect(waits[0].next == "the rebalance goes on with the one member that has joined")
    }

    @Test func whoHasNotJoinedAgainIsNamed() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 3, session: 30_000)
        _ = coordinator.join(member: members[0], session: 30_000)
        coordinator.advance(milliseconds: 4_000)
        _ = coordinator.heartbeat(member: members[2], generation: 1)
        coordinator.advance(milliseconds: 1_000)
        let waits = coordinator.explain().waits
        #expect(waits.map(\.memberID) == [members[1], members[2]])
        #expect(waits.map(\.sinceMilliseconds) == [5_000, 5_000])
        // The first has a session that ends before the rebalance does.
        #expect(waits.map(\.dueMilliseconds) == [25_000, 29_000])
        #expect(waits[1].reason.hasSuffix("last heard of 1000 ms ago"))
        #expect(waits[0].clientID == "client" && waits[0].clientHost == "/127.0.0.1")
        #expect(waits[0].next == "it is removed from the group, and the rebalance goes on without it")
    }

    @Test func aPendingMemberIsNamed() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 1)
        let first = coordinator.join(session: 6_000)
        coordinator.advance(milliseconds: 1_000)
        _ = coordinator.join(member: members[0])
        let waits = coordinator.explain().waits
        #expect(waits.map(\.memberID) == [coordinator.joined(first)?.memberID ?? ""])
        #expect(waits.map(\.dueMilliseconds) == [5_000] && waits.map(\.sinceMilliseconds) == [1_000])
    }

    @Test func aLeaderThatHandsInNothingIsNamed() {
        var coordinator = TestCoordinator()
        let calls = (0..<2).map { _ in coordinator.joinTwice(session: 300_000, rebalance: 20_000) }
        coordinator.advance(milliseconds: 9_000)
        _ = coordinator.sync(member: calls[1].member, generation: 1)
        let waits = coordinator.explain().waits
        #expect(waits.map(\.memberID) == [calls[0].member])
        #expect(waits[0].reason.hasPrefix("it leads the group and has not handed in the assignment"))
        #expect(waits[0].dueMilliseconds > 0 && waits[0].dueMilliseconds <= 20_000)
    }

    @Test func aStableGroupIsDescribedWithWhatItsMembersHave() {
        var coordinator = TestCoordinator()
        let members = coordinator.stableGroup(count: 2, protocols: [("range", "topics")])
        let description = coordinator.describe()
        #expect(description.groupState == "Stable" && description.protocolData == "range")
        #expect(Set(description.members.map(\.memberID)) == Set(members))
        #expect(description.members.map { String(buffer: $0.memberMetadata) } == ["topics", "topics"])
        #expect(Set(description.members.map { String(buffer: $0.memberAssignment) }) == ["0", "1"])
        _ = coordinator.join(member: members[0])
        let between = coordinator.describe()
        #expect(between.groupState == "PreparingRebalance" && between.protocolData == "")
        #expect(between.members.allSatisfy { $0.memberMetadata.readableBytes == 0 })
    }

    @Test func groupsAreListedInOrder() {
        var coordinator = TestCoordinator()
        for name in ["c", "a", "b"] { _ = coordinator.commit(in: name, [0: 1]) }
        #expect(coordinator.core.list().map(\.groupID) == ["a", "b", "c"])
    }
}
