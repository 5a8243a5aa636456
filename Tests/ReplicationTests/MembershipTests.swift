// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import RaftCore
import Replication
import Simulation
import Testing

/// Groups whose leader takes them to other members, step by step (dissertation §4.3).
@Suite struct MembershipTests {
    private func nodes(_ places: [Int]) -> [NodeID] { places.map { NodeID(Int32($0)) } }

    /// Whether the group has these voters, nobody else, for certain, and its leader is one of them and is done.
    private func isSettled(_ world: ShardWorld, _ voters: [Int]) -> Bool {
        guard let leader = world.leader, voters.contains(leader) else { return false }
        let replica = world.replica(leader)
        return replica.membersCommitted == RaftMembers(voters: nodes(voters)) && replica.move == nil
    }

    private func isAgreed(_ world: ShardWorld, among voters: [Int]) -> Bool {
        guard let leader = world.leader else { return false }
        let end = world.replica(leader).log.end
        return voters.allSatisfy { world.replica($0).log.durable == end && world.replica($0).raft.commit == end }
    }

    private func expectNothingLost(
        _ world: ShardWorld, _ load: WorldLoad, on voters: [Int], _ comment: Comment? = nil
    ) throws {
        #expect(world.pass(atMost: 3_000) { isAgreed(world, among: voters) }, comment)
        for place in voters { #expect(load.flaws(in: try world.records(of: place)) == [], comment) }
    }

    private static let smaller = [[0, 1], [1, 2], [0, 2], [0], [2]]

    /// Asked at any moment of the group's first: while it elects, before its first entry is committed, between that and
    /// the entry that says who founded it.
    @Test(arguments: 0..<80) func aGroupIsMadeSmallerRightAfterItWasFormed(delay: Int) throws {
        for wanted in Self.smaller {
            let world = try ShardWorld(seed: UInt64(delay) + 1)
            let load = WorldLoad(world)
            world.pass(milliseconds: delay) { load.trickle() }
            world.wish(wanted)
            #expect(
                world.pass(atMost: 2_000) {
                    load.trickle()
                    return isSettled(world, wanted)
                }, "\(wanted) after \(delay) ms: \(String(describing: world.leader.map { world.replica($0).move }))")
            let acknowledged = load.acknowledged.count
            world.pass(milliseconds: 300) { load.trickle() }
            #expect(load.acknowledged.count > acknowledged + 10)
            try expectNothingLost(world, load, on: wanted, "\(wanted) after \(delay) ms")
        }
    }

    @Test func allReplicasAreReplacedUnderLoad() throws {
        let world = try ShardWorld(nodes: 6, founders: [0, 1, 2])
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 300) { load.trickle() }
        #expect(world.replica(first).membersCommitted?.voters == nodes([0, 1, 2]))
        world.wish([3, 4, 5])
        var phases: [MembershipMove.Phase] = []
        #expect(
            world.pass(atMost: 5_000) {
                load.trickle()
                if let phase = world.leader.flatMap({ world.replica($0).move?.phase }), phases.last != phase {
                    phases.append(phase)
                }
                return isSettled(world, [3, 4, 5])
            })
        #expect(phases.first == .catchingUp && phases.contains(.joining), "\(phases)")
        #expect(world.nodes.contains { $0.environment.settled.contains(RaftMembers(voters: nodes([3, 4, 5]))) })
        world.pass(milliseconds: 500) { load.trickle() }
        try expectNothingLost(world, load, on: [3, 4, 5])
        // They were told that they are out: none of them disturbs the group, or waits for anything.
        let term = world.replica(3).term
        world.pass(milliseconds: 3_000) { load.trickle() }
        #expect([0, 1, 2].allSatisfy { !world.replica($0).members.isElector(NodeID(Int32($0))) })
        #expect([3, 4, 5].allSatisfy { world.replica($0).term == term })
        // And back again, where something old lies already.
        world.wish([0, 4, 1])
        #expect(
            world.pass(atMost: 5_000) {
                load.trickle()
                return isSettled(world, [0, 1, 4])
            })
        try expectNothingLost(world, load, on: [0, 1, 4])
    }

    /// The leader is cut off at each moment of a move.
    @Test(arguments: 0..<40) func theNextLeaderFinishesTheMove(step: Int) throws {
        let world = try ShardWorld(nodes: 5, seed: UInt64(step), founders: [0, 1, 2])
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 200) { load.trickle() }
        let kept = (0..<3).filter { $0 != first }
        let wanted = [kept[0], 3, 4].sorted()
        world.wish(wanted)
        world.pass(milliseconds: step * 3) { load.trickle() }
        world.isPaused[first] = true
        #expect(
            world.pass(atMost: 6_000) {
                load.trickle()
                return isSettled(world, wanted)
            }, "\(String(describing: world.leader.map { world.replica($0).move }))")
        world.isPaused[first] = false
        world.pass(milliseconds: 1_000) { load.trickle() }
        #expect(isSettled(world, wanted))
        try expectNothingLost(world, load, on: wanted)
    }

    @Test func aMoveSaysWhomItWaitsForAndIsCancelled() throws {
        let world = try ShardWorld(nodes: 4, founders: [0, 1, 2])
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 200) { load.trickle() }
        for place in 0..<3 {
            world.cuts[3][place] = true
            world.cuts[place][3] = true
        }
        let wanted = [first, (first + 1) % 3, 3]
        world.wish(wanted)
        world.pass(milliseconds: 2_000) { load.trickle() }
        let move = try #require(world.replica(first).move)
        #expect(move.phase == .catchingUp)
        #expect(move.newcomers.map(\.node) == nodes([3]))
        #expect(move.newcomers.first?.isSilent == true)
        #expect(move.description == "\(NodeID(3)) does not answer")
        #expect(world.replica(first).membersCommitted?.learners == nodes([3]))
        world.wish([0, 1, 2])
        #expect(world.pass(atMost: 1_000) { isSettled(world, [0, 1, 2]) })
        try expectNothingLost(world, load, on: [0, 1, 2])
    }

    @Test func anotherWishMayComeAtAnyMoment() throws {
        let world = try ShardWorld(nodes: 6, founders: [0, 1, 2])
        let load = WorldLoad(world)
        _ = try #require(world.waitForLeader())
        let wishes = [[3, 4, 5], [0, 1, 2], [1, 4], [4], [0, 3, 5], [2, 5, 1]]
        for round in 0..<60 {
            world.wish(wishes[(round * 5 + round / 7) % wishes.count])
            world.pass(milliseconds: 5 + round * 7 % 90) { load.trickle() }
        }
        world.wish([1, 3, 5])
        #expect(
            world.pass(atMost: 6_000) {
                load.trickle()
                return isSettled(world, [1, 3, 5])
            })
        #expect(load.acknowledged.count > 50)
        try expectNothingLost(world, load, on: [1, 3, 5])
    }
}

/// Who leads for certain (dissertation §6.4).
@Suite struct LeadershipConfirmationTests {
    @Test func oneRoundOfHeartbeatsAnswersAllWhoAskInATurn() throws {
        let world = try ShardWorld()
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 100)
        func letters(asking count: Int) -> Int {
            world.pass(milliseconds: 60)
            var answers: [Bool] = []
            let before = world.letters
            for _ in 0..<count { world.replica(first).confirmLeadership { answers.append($0) } }
            #expect(answers.isEmpty)
            world.pass(milliseconds: 3)
            #expect(answers == Array(repeating: true, count: count))
            return world.letters - before
        }
        let one = letters(asking: 1)
        #expect(letters(asking: 200) <= one + 4)
    }

    @Test func whoHearsNobodyIsNotConfirmed() throws {
        let world = try ShardWorld()
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 100)
        for place in 0..<3 where place != first { world.cuts[place][first] = true }
        // What is still under way was sent before it was asked.
        var answers: [Bool] = []
        world.replica(first).confirmLeadership { answers.append($0) }
        world.pass(milliseconds: 200)
        #expect(answers.isEmpty)
        #expect(world.pass(atMost: 200) { answers == [false] })
    }

    /// While two configurations are in force, a majority of each has to say so.
    @Test func bothMajoritiesAreNeededWhileAGroupChanges() throws {
        let world = try ShardWorld(nodes: 5, founders: [0, 1, 2])
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 200)
        world.wish([first, 3, 4])
        let isJoint = world.pass(atMost: 2_000) { world.replica(first).members.isJoint }
        #expect(isJoint)
        // Those who come are silent from here on; the old majority answers.
        for place in [3, 4] { world.cuts[place][first] = true }
        world.pass(milliseconds: 5)
        var answers: [Bool] = []
        let asked = Moment(nanoseconds: world.now)
        world.replica(first).confirmLeadership { answers.append($0) }
        world.pass(milliseconds: 150)
        #expect(answers.isEmpty && !world.replica(first).isConfirmed(since: asked))
        for place in [3, 4] { world.cuts[place][first] = false }
        #expect(world.pass(atMost: 200) { !answers.isEmpty })
    }

    @Test func theOneVoterIsAlwaysSure() throws {
        let world = try ShardWorld(nodes: 1)
        #expect(world.waitForLeader() == 0)
        var answers: [Bool] = []
        world.replica(0).confirmLeadership { answers.append($0) }
        #expect(answers == [true])
        #expect(world.replica(0).isConfirmed(since: Moment(nanoseconds: world.now)))
    }

    @Test func whoIsFencedWhileItAsksIsRefused() throws {
        let world = try ShardWorld()
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 100)
        var answers: [Bool] = []
        world.nodes[first].files.fail(.synchronize, times: 1_000)
        let load = WorldLoad(world)
        load.produce(to: first)
        for place in 0..<3 where place != first { world.cuts[place][first] = true }
        world.replica(first).confirmLeadership { answers.append($0) }
        #expect(world.pass(atMost: 20) { world.replica(first).stopped != nil })
        #expect(answers == [false])
        #expect(!world.replica(first).isInTouch)
        world.replica(first).confirmLeadership { answers.append($0) }
        #expect(answers == [false, false])
    }
}
