// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Replication
import Testing

/// A disk that answers late, or never (reliability.md F8).
@Suite struct SlowDiskTests {
    @Test func leadershipLeavesASlowDiskAndDoesNotComeBackAtOnce() throws {
        let world = try ShardWorld(balance: 500_000_000)
        let load = WorldLoad(world)
        _ = try #require(world.waitForLeader())
        // The preferred replica leads, and is the one with the slow disk.
        #expect(world.pass(atMost: 8_000) { world.leader == 0 })
        world.pass(milliseconds: 100) { load.produce() }
        world.nodes[0].environment.diskDelay = 250_000_000
        #expect(
            world.pass(atMost: 3_000) {
                load.produce()
                return world.leader != nil && world.leader != 0
            })
        let elections = world.nodes.map { node in
            node.environment.count { if case .becameLeader = $0 { true } else { false } }
        }
        world.pass(milliseconds: 6_000) { load.trickle() }
        // Preferred or not: it does not lead while it is slow, and offers cost no elections.
        #expect(world.leader != 0)
        let after = world.nodes.map { node in
            node.environment.count { if case .becameLeader = $0 { true } else { false } }
        }
        #expect(after == elections)
        world.nodes[0].environment.diskDelay = 1_000_000
        // It must have been well for two seconds, and the peer that it refused must offer again.
        #expect(
            world.pass(atMost: 40_000) {
                load.trickle()
                return world.leader == 0
            })
        #expect(world.pass(atMost: 2_000) { world.hasConverged })
        #expect(load.flaws(in: try world.records(of: 0)) == [])
    }

    @Test func whereAllDisksAreSlowNobodyHandsOver() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        for node in world.nodes { node.environment.diskDelay = 200_000_000 }
        world.pass(milliseconds: 6_000) { load.trickle() }
        #expect(world.leader == first)
    }

    @Test func aLeaderWhoseSyncNeverEndsLeaves() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 100) { load.produce() }
        world.nodes[first].environment.diskDelay = nil
        #expect(
            world.pass(atMost: 2_000) {
                load.produce()
                return world.leader != nil && world.leader != first
            })
        world.pass(milliseconds: 4_000) { load.trickle() }
        #expect(world.replica(first).stopped != nil)
        world.nodes[first].environment.unstick()
        #expect(world.pass(atMost: 3_000) { world.hasConverged })
        #expect(load.flaws(in: try world.records(of: first)) == [])
    }

    @Test func aSlowFollowerDelaysNobody() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 500) { load.produce() }
        let before = load.acknowledged.count
        world.nodes[(first + 1) % 3].environment.diskDelay = 900_000_000
        world.pass(milliseconds: 500) { load.produce() }
        #expect(load.acknowledged.count - before > 450)
        #expect(world.leader == first)
        #expect(load.failures.isEmpty)
    }
}
