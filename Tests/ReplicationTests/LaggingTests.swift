// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import RaftCore
import Replication
import Simulation
import Testing

/// Followers that lie behind: who is shown as in sync, and how they are brought up to date.
@Suite struct LaggingTests {
    private func lagging(_ world: ShardWorld, as place: Int) -> [NodeID] {
        world.replica(place).laggards.nodes
    }

    @Test func aFullReplicaIsNotInSync() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        let follower = (first + 1) % 3
        world.pass(milliseconds: 1_500) { if world.now / 1_000_000 % 10 == 0 { load.produce() } }
        #expect(lagging(world, as: first) == [])
        world.nodes[follower].files.capacity = 0
        world.pass(milliseconds: 6_000) { if world.now / 1_000_000 % 10 == 0 { load.produce() } }
        #expect(world.leader == first)
        #expect(lagging(world, as: first) == [NodeID(Int32(follower))])
        #expect(world.nodes[first].environment.lastLeadership?.lagging == [NodeID(Int32(follower))])
        world.nodes[follower].files.capacity = nil
        #expect(world.pass(atMost: 6_000) { lagging(world, as: first).isEmpty })
        #expect(world.nodes[first].environment.lastLeadership?.lagging == [])
    }

    @Test func aSilentReplicaIsNotInSync() throws {
        let world = try ShardWorld()
        let first = try #require(world.waitForLeader())
        let follower = (first + 1) % 3
        world.pass(milliseconds: 1_500)
        world.isPaused[follower] = true
        world.pass(milliseconds: 8_000)
        #expect(lagging(world, as: first) == [NodeID(Int32(follower))])
    }

    @Test func thePastIsSentNoFasterThanAllowed() throws {
        let rate: Int64 = 40_000
        let world = try ShardWorld(catchUp: CatchUpSettings(bytesPerSecond: rate, transfers: 1))
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        let follower = (first + 1) % 3
        world.isPaused[follower] = true
        world.pass(milliseconds: 600) { load.produce() }
        let acknowledged = load.acknowledged.count
        let missing = world.replica(first).log.size.rawValue - world.replica(follower).log.size.rawValue
        #expect(missing > 2 * rate)
        world.isPaused[follower] = false
        let began = world.now
        // The clients go on meanwhile.
        #expect(
            world.pass(atMost: 30_000) {
                if world.now / 1_000_000 % 20 == 0 { load.produce() }
                return world.replica(first).raft.isCaughtUp(NodeID(Int32(follower)))
            })
        #expect(world.now - began > UInt64(missing * 8 / 10 / rate) * 1_000_000_000)
        #expect(world.leader == first)
        #expect(load.acknowledged.count > acknowledged)
        #expect(load.failures.isEmpty)
        #expect(world.pass(atMost: 4_000) { world.hasConverged })
        #expect(world.nodes[first].shard.catchingUp.isEmpty)
    }
}
