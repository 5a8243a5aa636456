// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import Replication
import Simulation
import Testing

/// Every call that a scenario makes of a disk fails once (reliability.md F6, T-D1): nothing acknowledged is lost, the
/// copy leaves its group within a second and comes back by itself.
@Suite struct FailingDiskTests {
    /// What the scenarios below make of one disk, and a few more.
    private static let calls = 0..<24

    private func run(
        _ operation: DiskError.Operation, code: Int32, on victim: (Int) -> Int, after passes: Int, times: Int = 1
    ) throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 30) { load.produce() }
        let place = victim(first)
        let files = world.nodes[place].files
        files.fail(operation, code: code, after: passes, times: times)
        world.pass(milliseconds: 200) { load.produce() }
        files.heal()
        let isWhole = world.pass(atMost: 8_000) { world.hasConverged && load.acknowledged.count > 100 }
        let comment: Comment = "\(operation) \(passes) on \(place), \(load.acknowledged.count) acknowledged"
        #expect(isWhole, comment)
        for node in world.nodes.indices {
            #expect(load.flaws(in: try world.records(of: node)) == [], comment)
        }
        for node in world.nodes where node.place != place {
            #expect(node.environment.count { if case .fenced = $0 { true } else { false } } == 0, comment)
        }
        #expect(world.nodes[place].environment.count { if case .stopped = $0 { true } else { false } } == 0, comment)
    }

    @Test(arguments: calls) func aSyncFailsOnTheLeader(passes: Int) throws {
        try run(.synchronize, code: 5, on: { $0 }, after: passes)
    }

    @Test(arguments: calls) func aSyncFailsOnAFollower(passes: Int) throws {
        try run(.synchronize, code: 5, on: { ($0 + 1) % 3 }, after: passes)
    }

    /// T-D17 (nats 6237).
    @Test(arguments: calls) func aWriteFailsOnTheLeader(passes: Int) throws {
        try run(.write, code: 5, on: { $0 }, after: passes)
    }

    @Test(arguments: calls) func aWriteFailsOnAFollower(passes: Int) throws {
        try run(.write, code: 5, on: { ($0 + 1) % 3 }, after: passes, times: 3)
    }

    @Test(arguments: calls) func aWriteFindsNoRoomOnTheLeader(passes: Int) throws {
        try run(.write, code: 28, on: { $0 }, after: passes, times: 4)
    }

    @Test(arguments: calls) func aWriteFindsNoRoomOnAFollower(passes: Int) throws {
        try run(.write, code: 28, on: { ($0 + 1) % 3 }, after: passes, times: 4)
    }

    @Test func theNextLeaderIsThereWithinASecond() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        world.pass(milliseconds: 30) { load.produce() }
        world.nodes[first].files.fail(.synchronize, times: 1_000_000)
        load.produce()
        #expect(world.pass(atMost: 20) { world.replica(first).stopped != nil })
        // Not even an election timeout of 300 ms: the last word of the old leader is that a peer shall stand.
        #expect(world.pass(atMost: 100) { world.leader != nil && world.leader != first })
        guard case .fenced(let reason, _) = world.replica(first).health else {
            Issue.record("\(world.replica(first).health)")
            return
        }
        #expect(reason.contains("synchronize"))
        load.produce(to: first)
        #expect(load.failures.last == .storageFailed)
        // As long as the disk fails it stays away.
        world.pass(milliseconds: 3_000) { load.produce() }
        #expect(world.replica(first).stopped != nil)
        world.nodes[first].files.heal()
        #expect(world.pass(atMost: 2_000) { world.hasConverged })
        #expect(load.flaws(in: try world.records(of: first)) == [])
    }

    @Test func failedVotesFenceEveryGroupOfTheShard() throws {
        let world = try ShardWorld()
        let first = try #require(world.waitForLeader())
        let follower = (first + 1) % 3
        world.nodes[follower].files.fail(.synchronize, on: "votes", times: 3)
        world.nodes[follower].files.fail(.synchronize, on: "data", times: 0)
        // Something to vote for.
        world.isPaused[first] = true
        #expect(world.pass(atMost: 3_000) { world.replica(follower).stopped != nil })
        world.isPaused[first] = false
        #expect(world.pass(atMost: 6_000) { world.hasConverged })
    }

    /// What a failed sync has left behind still shows in the page cache, and no later sync would bring it to the disk.
    @Test func aRevivedCopyHasOnItsDiskWhatItAcknowledges() throws {
        let world = try ShardWorld(nodes: 1)
        let load = WorldLoad(world)
        #expect(world.waitForLeader() == 0)
        world.pass(milliseconds: 20) { load.produce() }
        world.nodes[0].files.fail(.synchronize, on: ".log")
        load.produce()
        #expect(world.pass(atMost: 100) { world.replica(0).stopped != nil })
        #expect(world.pass(atMost: 2_000) { world.leader == 0 })
        let acknowledged = load.acknowledged.count
        world.pass(milliseconds: 5) { load.produce() }
        #expect(world.pass(atMost: 500) { load.acknowledged.count == acknowledged + 5 })
        #expect(load.flaws(in: try world.recordsAfterPowerLoss(of: 0)) == [])
    }

    /// Three replicas that hold the same, the leader's place and a follower's.
    private func converged() throws -> (ShardWorld, WorldLoad, leader: Int, follower: Int) {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let leader = try #require(world.waitForLeader())
        world.pass(milliseconds: 20) { load.produce() }
        #expect(world.pass(atMost: 1_000) { world.hasConverged })
        return (world, load, leader, (leader + 1) % 3)
    }

    /// Nothing on the disk says any more that there was more.
    @Test func aRevivedCopyWithoutTheEndThatItAcknowledgedDoesNotVote() throws {
        let (world, load, first, follower) = try converged()
        let files = world.nodes[follower].files
        files.fail(.synchronize, on: ".log")
        load.produce()
        #expect(world.pass(atMost: 20) { world.replica(follower).stopped != nil })
        let names = try files.list("data/log").filter { $0.hasSuffix(".log") }.sorted()
        let last = "data/log/" + (try #require(names.last))
        try files.open(last, .existing).truncate(to: ByteCount(try files.size(of: last).rawValue - 200))
        try files.remove("data/log/durable")
        world.isPaused[first] = true
        #expect(world.pass(atMost: 500) { world.replica(follower).stopped == nil })
        #expect(world.replica(follower).isRebuilding)
        world.isPaused[first] = false
        #expect(world.pass(atMost: 6_000) { world.hasConverged })
        #expect(load.flaws(in: try world.records(of: follower)) == [])
    }

    /// What was to take the place of a log was promised to nobody before it was on the disk.
    @Test func aCopyThatCouldNotKeepItsLeadersSnapshotHasForgottenNothing() throws {
        let (world, load, first, follower) = try converged()
        let end = world.replica(follower).log.end
        func cut(_ isCut: Bool) {
            world.cuts[first][follower] = isCut
            world.cuts[follower][first] = isCut
        }
        cut(true)
        world.pass(milliseconds: 100) { load.produce() }
        let deleted = try #require(world.replica(first).highWatermark)
        world.replica(first).deleteRecords(before: deleted, deadline: Moment(nanoseconds: .max)) { _ in }
        #expect(world.pass(atMost: 2_000) { world.replica(first).log.start.position.end > end })
        world.nodes[follower].files.fail(.synchronize, on: "checkpoint")
        cut(false)
        #expect(world.pass(atMost: 1_000) { world.replica(follower).stopped != nil })
        #expect(world.replica(follower).stopped?.contains("snapshot") == true)
        cut(true)
        #expect(world.pass(atMost: 1_000) { world.replica(follower).stopped == nil })
        #expect(world.replica(follower).log.end == end)
        #expect(!world.replica(follower).isRebuilding)
        cut(false)
        #expect(world.pass(atMost: 6_000) { world.hasConverged })
    }

    @Test func aCopyThatHasLostWhatItAcknowledgedDoesNotVote() throws {
        let world = try ShardWorld()
        let load = WorldLoad(world)
        let first = try #require(world.waitForLeader())
        let follower = (first + 1) % 3
        // This disk says "synchronized" and does nothing.
        world.nodes[follower].files.ignoresSync = true
        world.pass(milliseconds: 100) { load.produce() }
        world.nodes[follower].files.fail(.synchronize)
        world.pass(milliseconds: 20) { load.produce() }
        #expect(world.replica(follower).stopped != nil)
        let path = "data/log/00000000000000000000.log"
        let size = try world.nodes[follower].files.size(of: path)
        try world.nodes[follower].files.open(path, .existing).truncate(to: ByteCount(size.rawValue / 2))
        let names = try world.nodes[follower].files.list("data/log").filter { $0.hasSuffix(".log") }.dropFirst()
        for name in names { try world.nodes[follower].files.remove("data/log/" + name) }
        world.nodes[follower].files.ignoresSync = false
        world.isPaused[first] = true
        _ = world.pass(atMost: 500) { world.replica(follower).stopped == nil }
        let copy = world.replica(follower)
        // Either it sees at once that durable bytes are gone, or it comes back without a vote.
        #expect(copy.stopped != nil || copy.isRebuilding)
        world.isPaused[first] = false
        if copy.stopped == nil { #expect(world.pass(atMost: 6_000) { world.hasConverged }) }
    }
}
