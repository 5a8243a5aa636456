// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Replication
import Testing

/// Links that carry one way only, leaders that were stopped, and what they may say afterwards (reliability.md F10, F13,
/// C14).
@Suite struct NetworkCutTests {
    private func highestTerm(_ world: ShardWorld) -> Int32 {
        world.nodes.indices.map { world.replica($0).term.rawValue }.max() ?? 0
    }

    /// Every set of one-way cuts among three nodes: where two of them hear each other there is a leader within ten
    /// election timeouts and it stays, and in no case do terms go on growing.
    @Test(arguments: 0..<64) func everySetOfOneWayCuts(mask: Int) throws {
        let world = try ShardWorld(seed: UInt64(mask) + 1)
        let first = try #require(world.waitForLeader())
        let links = (0..<3).flatMap { one in (0..<3).filter { $0 != one }.map { (one, $0) } }
        for (bit, link) in links.enumerated() where mask & (1 << bit) != 0 { world.cuts[link.0][link.1] = true }
        let before = highestTerm(world)
        world.pass(milliseconds: 3_000)
        let settled = highestTerm(world)
        #expect(settled <= before + 3, "cuts \(mask), led by \(first): terms went from \(before) to \(settled)")
        let pairs = [(0, 1), (0, 2), (1, 2)].filter { !world.cuts[$0.0][$0.1] && !world.cuts[$0.1][$0.0] }
        let leader = world.leader
        #expect((leader != nil) == !pairs.isEmpty, "cuts \(mask), led by \(first)")
        world.pass(milliseconds: 6_000)
        #expect(highestTerm(world) == settled, "cuts \(mask), led by \(first)")
        #expect(world.leader == leader)
        for (one, other) in links { world.cuts[one][other] = false }
        #expect(world.pass(atMost: 3_000) { world.hasConverged })
    }

    /// The example of "Raft does not guarantee liveness in the face of network faults" (decentralizedthoughts,
    /// 2020-12-12), after an outage of six hours: the leader reaches one follower only, which reaches everybody.
    @Test func aLeaderThatReachesOneFollowerOnlyIsReplaced() throws {
        let world = try ShardWorld(nodes: 5)
        let first = try #require(world.waitForLeader())
        let others = (0..<5).filter { $0 != first }
        let bridge = others[0]
        let lost = others[3]
        for place in 0..<5 {
            if place != first, place != bridge {
                world.cuts[first][place] = true
                world.cuts[place][first] = true
            }
            if place != lost {
                world.cuts[lost][place] = true
                world.cuts[place][lost] = true
            }
        }
        #expect(world.pass(atMost: 3_000) { world.leader != nil && world.leader != first })
        world.pass(milliseconds: 1_000)
        let term = highestTerm(world)
        let leader = world.leader
        world.pass(milliseconds: 10_000)
        #expect(highestTerm(world) == term)
        #expect(world.leader == leader)
    }

    /// A link that flaps costs no elections as long as heartbeats come through now and then.
    @Test func aFlappingLinkDoesNotMoveLeadership() throws {
        let world = try ShardWorld()
        let first = try #require(world.waitForLeader())
        let term = highestTerm(world)
        for round in 0..<60 {
            world.cuts[first][(first + 1) % 3] = round % 2 == 0
            world.cuts[(first + 1) % 3][first] = round % 3 == 0
            world.pass(milliseconds: 120)
        }
        #expect(world.leader == first)
        #expect(highestTerm(world) == term)
    }

    /// Stopped, voted out, and going on where it was: it must not answer out of its old leadership, whatever has been
    /// waiting for it, before any tick of its clock and any letter has told it what has happened.
    @Test(arguments: [400, 900, 5_000]) func aLeaderThatWasStoppedAnswersNobody(milliseconds: Int) throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 50) { load.produce() }
        world.isPaused[first] = true
        world.pass(milliseconds: milliseconds)
        let old = world.replica(first)
        #expect(old.raft.isLeader)
        #expect(!old.isInTouch)
        #expect(!old.isConfirmed(since: Moment(nanoseconds: world.now - 1_000_000)))
        load.produce(to: first)
        #expect(load.failures.last == .notLeader)
        var answers: [Bool] = []
        old.confirmLeadership { answers.append($0) }
        world.isPaused[first] = false
        _ = world.pass(atMost: 1_000) { !answers.isEmpty }
        // A short stop may have cost nothing: nobody else had been elected.
        if world.leader != first { #expect(answers == [false]) }
        #expect(world.pass(atMost: 3_000) { world.hasConverged })
    }

    @Test func aLeaderIsConfirmedByItsHeartbeats() throws {
        let world = try ShardWorld()
        let first = try #require(world.waitForLeader())
        let asked = Moment(nanoseconds: world.now)
        #expect(!world.replica(first).isConfirmed(since: asked.advanced(byNanoseconds: 1)))
        world.pass(milliseconds: 60)
        #expect(world.replica(first).isConfirmed(since: asked))
        #expect(world.replica(first).isInTouch)
    }
}
