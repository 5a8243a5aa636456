// SPDX-License-Identifier: Apache-2.0

import LogModel
import LogStorage
import RaftCore
import Replication
import Testing

/// Bugs that others have had between consensus and those who wait for it; Tests/History.md lists all.
@Suite struct HistoryTests {
    private func cut(_ place: Int, in world: ShardWorld, _ isCut: Bool = true) {
        for other in world.nodes.indices where other != place {
            world.cuts[place][other] = isCut
            world.cuts[other][place] = isCut
        }
    }

    /// T-R1 (etcd-raft 3189a66): what earlier leaders have committed is not known before an entry of the own term is.
    @Test func whoHasJustBeenElectedIsCertainOnlyOnceItKnowsAllCommits() throws {
        let world = try ShardWorld()
        let first = try #require(world.waitForLeader())
        world.nodes[first].shard.handOver()
        let others = world.nodes.indices.filter { $0 != first }
        #expect(world.pass(atMost: 1_000) { others.contains { world.replica($0).isLeader } })
        let next = try #require(others.first { world.replica($0).isLeader })
        #expect(world.replica(next).highWatermark == nil)
        for node in world.nodes { node.environment.diskDelay = 50_000_000 }
        var answers: [(isCertain: Bool, showsAll: Bool)] = []
        world.replica(next).confirmLeadership { isCertain in
            answers.append((isCertain, world.replica(next).highWatermark != nil))
        }
        #expect(world.pass(atMost: 1_000) { !answers.isEmpty })
        #expect(answers.count == 1 && answers.allSatisfy { $0.isCertain && $0.showsAll })
    }

    /// T-R3 (openraft 1ef3e574): who is about to hand over is asked for nothing, so a dead target blocks nobody.
    @Test func whoHandsOverSendsReadersElsewhereAtOnce() throws {
        let world = try ShardWorld()
        let first = try #require(world.waitForLeader())
        cut(first, in: world)
        world.nodes[first].shard.handOver()
        var answers: [Bool] = []
        world.replica(first).confirmLeadership { answers.append($0) }
        #expect(answers == [false])
    }

    /// T-S16 (openraft 43dd8b6f), T-R8 (KAFKA-10677), T-R4 (nats 59c390fcb).
    @Test func nobodyWaitsForEverForALeaderThatWasDeposed() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        cut(first, in: world)
        for _ in 0..<3 { load.produce(to: first) }
        var answers: [Bool] = []
        world.replica(first).confirmLeadership { answers.append($0) }
        var wakings = 0
        let watcher = CommitWatcher { wakings += 1 }
        world.replica(first).watch(watcher)
        #expect(world.pass(atMost: 2_000) { !world.replica(first).isLeader })
        #expect(wakings > 0, "parked fetches are answered at once")
        #expect(world.replica(first).highWatermark == nil)
        #expect(answers == [false])
        // Those who have written learn within two seconds that nobody knows.
        world.pass(milliseconds: 2_100)
        #expect(load.failures == [.timedOut, .timedOut, .timedOut])
    }

    /// T-C7 (redpanda c230235cfa), T-C15 (redpanda def3776cdd): what the next leader wrote in the same slots was not
    /// written by the one before.
    @Test func whoLostItsPlaceInTheLogIsNotToldThatItWasStored() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        load.produce()
        world.pass(milliseconds: 50)
        cut(first, in: world)
        for _ in 0..<3 { load.produce(to: first) }
        #expect(world.pass(atMost: 1_500) { world.leader != nil && world.leader != first })
        let next = try #require(world.leader)
        for _ in 0..<3 { load.produce(to: next) }
        world.pass(milliseconds: 50)
        cut(first, in: world, false)
        #expect(world.pass(atMost: 3_000) { world.hasConverged })
        #expect(load.failures == [.notLeader, .notLeader, .notLeader])
        #expect(load.acknowledged.count == 4)
        for place in world.nodes.indices { #expect(load.flaws(in: try world.records(of: place)) == []) }
    }

    /// T-C14 (redpanda 1aaf98fce8, 09917c7102): a leader shows what a majority has on disk, whoever asked for how much.
    @Test func nothingIsShownBeforeAMajorityHasIt() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        load.produce()
        world.pass(milliseconds: 50)
        let shown = world.replica(first).highWatermark
        cut(first, in: world)
        load.produce(to: first)
        world.pass(milliseconds: 20)
        #expect(world.replica(first).highWatermark == shown && shown == Offset(1))
        #expect(world.replica(first).log.durable == world.replica(first).log.end)
    }
}
