// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import RaftCore
import Replication
import Simulation
import Testing

/// A disk without room (reliability.md F5): what is there is served, what does not fit is refused, and work goes on
/// when there is room again.
@Suite struct FullDiskTests {
    private func used(_ files: SimFileSystem) throws -> Int64 {
        let capacity = files.capacity
        files.capacity = 1 << 40
        defer { files.capacity = capacity }
        return try (1 << 40) - files.space(at: "data").usable.rawValue
    }

    /// Leaves this much room on a disk.
    private func leave(_ room: Int64, on files: SimFileSystem) throws { files.capacity = try used(files) + room }

    @Test func leadershipGoesToAPeerWithRoom() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 50) { load.produce() }
        try leave(0, on: world.nodes[first].files)
        #expect(world.pass(atMost: 1_000) { world.leader != nil && world.leader != first })
        let failures = load.failures.count
        world.pass(milliseconds: 2_000) { load.produce() }
        // It neither acknowledges nor breaks its group, and does not come back to lead.
        #expect(load.failures.count == failures)
        #expect(world.leader != first)
        #expect(world.replica(first).stopped == nil)
        if case .full = world.replica(first).health {} else { Issue.record("\(world.replica(first).health)") }
        #expect(world.replica(first).log.durable < world.replica(world.leader ?? 0).log.durable)
        let terms = world.replica(world.leader ?? 0).term
        world.nodes[first].files.capacity = nil
        #expect(world.pass(atMost: 4_000) { world.hasConverged })
        #expect(world.replica(first).health == .sound)
        #expect(world.replica(world.leader ?? 0).term == terms)
        #expect(load.flaws(in: try world.records(of: first)) == [])
        #expect(world.nodes[first].environment.count { if case .fenced = $0 { true } else { false } } == 0)
    }

    @Test func aSingleNodeRefusesAndGoesOnWithoutRestart() throws {
        var disk = ShardWorld.settings
        disk.ballast = Ballast(path: "data/ballast", size: ByteCount(3_000))
        let world = try ShardWorld(nodes: 1, disk: disk)
        let load = WorldLoad(world)
        #expect(world.waitForLeader() == 0)
        world.pass(milliseconds: 20) { load.produce() }
        world.pass(milliseconds: 100)
        let end = world.replica(0).log.endOffset
        // Somebody else takes all that is left, but for the ballast.
        try leave(0, on: world.nodes[0].files)
        world.pass(milliseconds: 200)
        load.produce(to: 0)
        #expect(load.failures.last == .storageFailed)
        // No offset was consumed, and what is there is served and can be deleted.
        #expect(world.replica(0).log.endOffset == end)
        #expect(try world.records(of: 0).count == 20)
        var deleted: Result<Offset, TrimFailure>?
        world.replica(0).deleteRecords(before: Offset(7), deadline: Moment(nanoseconds: .max)) { deleted = $0 }
        #expect(world.pass(atMost: 1_000) { deleted != nil })
        #expect((try? deleted?.get()) == Offset(7))
        world.nodes[0].files.capacity = nil
        #expect(world.pass(atMost: 1_000) { world.replica(0).health == .sound })
        load.produce(to: 0)
        #expect(world.pass(atMost: 1_000) { load.acknowledged[load.sent - 1] != nil })
        #expect(load.acknowledged[load.sent - 1] == end)
    }

    @Test func whatDidNotFitIsWrittenWhenThereIsRoom() throws {
        let world = try ShardWorld(nodes: 1)
        let load = WorldLoad(world)
        #expect(world.waitForLeader() == 0)
        world.pass(milliseconds: 20) { load.produce() }
        world.pass(milliseconds: 20)
        // Some of a batch fits, and not all of it.
        try leave(90, on: world.nodes[0].files)
        load.produce(to: 0, size: 400)
        world.pass(milliseconds: 100)
        #expect(load.acknowledged.count == 20)
        #expect(world.replica(0).stopped == nil)
        world.nodes[0].files.capacity = nil
        #expect(world.pass(atMost: 1_000) { load.acknowledged.count == 21 })
        #expect(load.flaws(in: try world.records(of: 0)) == [])
    }

    @Test func allNodesFullRefuseAndComeBack() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        _ = try #require(world.waitForLeader())
        world.pass(milliseconds: 50) { load.produce() }
        for node in world.nodes { try leave(0, on: node.files) }
        world.pass(milliseconds: 3_000) { load.produce() }
        #expect(load.failures.contains(.storageFailed))
        // A leader remains, for readers.
        #expect(world.leader != nil)
        for node in world.nodes { node.files.capacity = nil }
        let acknowledged = load.acknowledged.count
        #expect(
            world.pass(atMost: 8_000) {
                load.produce()
                return load.acknowledged.count > acknowledged + 100
            })
        #expect(world.pass(atMost: 4_000) { world.hasConverged })
        #expect(load.flaws(in: try world.records(of: 0)) == [])
    }

    @Test func aPeerThatRefusedAMomentAgoIsAskedAgain() throws {
        // A new leader's first entry needs some room everywhere.
        var disk = ShardWorld.settings
        disk.ballast = Ballast(path: "data/ballast", size: ByteCount(3_000))
        let world = try ShardWorld(disk: disk)
        let load = WorldLoad(world)
        let leader = try #require(world.waitForLeader())
        world.pass(milliseconds: 50) { load.produce() }
        #expect(world.pass(atMost: 1_000) { world.hasConverged })
        for node in world.nodes { try leave(0, on: node.files) }
        world.pass(milliseconds: 5_000)
        #expect(world.leader == leader, "nobody else would")
        let roomy = (leader + 1) % 3
        world.nodes[roomy].files.capacity = nil
        #expect(world.pass(atMost: 4_000) { world.leader == roomy })
    }

    @Test func whereAMajorityHasNoRoomTheLeaderStaysToServe() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let leader = try #require(world.waitForLeader())
        world.pass(milliseconds: 50) { load.produce() }
        for node in world.nodes { try leave(0, on: node.files) }
        world.pass(milliseconds: 3_000) { load.produce() }
        let others = [(leader + 1) % 3, (leader + 2) % 3]
        world.nodes[others[0]].files.capacity = nil
        world.pass(milliseconds: 5_000) { load.produce() }
        #expect(world.leader == leader && world.replica(leader).highWatermark != nil)
        world.nodes[others[1]].files.capacity = nil
        #expect(world.pass(atMost: 4_000) { world.leader.map(others.contains) ?? false })
    }

    @Test func ballastGoesOverboardAndIsTakenInAgain() throws {
        let files = SimFileSystem(seed: 3)
        try files.makeDirectory("data")
        files.capacity = 10_000
        let ballast = Ballast(path: "data/ballast", size: ByteCount(4_000))
        #expect(ballast.load(in: files))
        #expect(try files.space(at: "data").usable == ByteCount(6_000))
        #expect(ballast.drop(in: files))
        #expect(!ballast.drop(in: files))
        #expect(try files.space(at: "data").usable == ByteCount(10_000))
        files.capacity = 7_999
        // It takes as much room again.
        #expect(!ballast.load(in: files))
        files.capacity = 8_000
        #expect(ballast.load(in: files))
    }
}
