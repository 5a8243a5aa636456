// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RaftCore
import RecordBatches
import Replication
import Simulation
import Testing

/// What rots on a minority is found and repaired from the peers, byte by byte; what rots on a majority is never served
/// (reliability.md F7, T-D13, T-S15).
@Suite struct RepairTests {
    /// A world with some segments, all of them committed and durable everywhere.
    private func world(_ rules: RepairWorld.Rules = .init(), records: Int = 150) throws -> RepairWorld {
        let world = try RepairWorld(rules)
        _ = try #require(world.waitForLeader())
        world.pass(milliseconds: records) { world.produce() }
        #expect(world.pass(atMost: 2_000) { world.hasConverged })
        return world
    }

    private func rot(_ world: RepairWorld, _ place: Int, segment: Int = 1, at position: Int64 = 700) throws {
        let node = world.nodes[place]
        try node.files.flip(bit: 3, at: ByteCount(position), of: node.segments[segment])
    }

    private func expectAlike(_ world: RepairWorld, _ comment: Comment? = nil) throws {
        let first = try world.entries(of: 0)
        for place in world.nodes.indices.dropFirst() {
            #expect(try world.entries(of: place) == first, comment)
        }
        #expect(try world.lost(at: 0) == [], comment)
    }

    @Test(arguments: 0..<3) func whatRotsOnARunningNodeIsFoundByTheScrubAndRepaired(place: Int) throws {
        let world = try world(.init(scrub: 2_000_000))
        try rot(world, place)
        #expect(world.pass(atMost: 3_000) { world.nodes[place].damages == 1 })
        #expect(
            world.pass(atMost: 5_000) {
                world.produce()
                return world.nodes[place].repairs == 1
            })
        #expect(world.pass(atMost: 3_000) { world.hasConverged })
        try expectAlike(world)
        #expect(world.replica(place)?.health == .sound)
        // Nothing else is damaged, then or ever.
        world.pass(milliseconds: 2_000)
        #expect(world.nodes.map(\.damages).reduce(0, +) == 1)
        let passes = world.nodes[place].count { if case .scrubbed = $0 { true } else { false } }
        #expect(passes >= 2)
    }

    @Test(arguments: [false, true]) func whatRotsOnAStoppedNodeIsRepairedUnderLoad(isGone: Bool) throws {
        let world = try world()
        let victim = try #require(world.leader)
        world.stop(victim, cleanly: true)
        let node = world.nodes[victim]
        let paths = node.segments
        if isGone {
            try node.files.remove(paths[1])
        } else {
            try node.files.open(paths[1], .existing).truncate(to: ByteCount(900))
        }
        world.pass(milliseconds: 600) { world.produce() }
        try world.start(victim)
        world.pass(milliseconds: 2_000) { world.produce() }
        #expect(world.pass(atMost: 5_000) { world.hasConverged })
        #expect(node.repairs == 1 && node.damages == 1)
        try expectAlike(world)
        // The next start finds nothing.
        world.stop(victim, cleanly: true)
        try world.start(victim)
        #expect(world.pass(atMost: 2_000) { world.hasConverged })
        #expect(node.damages == 1)
    }

    @Test func aReadMeetsDamageBeforeTheScrubDoes() throws {
        let world = try world()
        let leader = try #require(world.leader)
        try rot(world, leader)
        // A follower that was away is sent the damaged part: never wrong bytes.
        let follower = (leader + 1) % 3
        world.stop(follower)
        try world.nodes[follower].files.removeTree("data/log")
        try world.nodes[follower].files.synchronizeDirectory("data")
        try world.start(follower)
        #expect(world.pass(atMost: 10_000) { world.hasConverged })
        #expect(world.nodes[leader].repairs == 1)
        try expectAlike(world)
    }

    @Test func theSameRangeOnAMajorityHalts() throws {
        let world = try world(.init(scrub: 2_000_000))
        // The third copy is away, and comes back too late to be asked in time.
        world.stop(2)
        for place in [0, 1] { try rot(world, place) }
        #expect(world.pass(atMost: 120_000) { [0, 1].allSatisfy { world.replica($0)?.stopped != nil } })
        for place in [0, 1] {
            guard case .halted(let reason) = world.replica(place)?.health else {
                Issue.record("\(String(describing: world.replica(place)?.health))")
                continue
            }
            #expect(reason.contains(world.nodes[place].segments[1]) && reason.contains("restore"), "\(reason)")
        }
        // Nothing was deleted, and with the third copy and a restart all is well.
        try world.start(2)
        for place in [0, 1] {
            world.stop(place)
            try world.start(place)
        }
        #expect(world.pass(atMost: 20_000) { world.hasConverged })
        try expectAlike(world)
    }

    @Test func theSameRangeOnAllIsNeverServed() throws {
        let world = try world(.init(scrub: 2_000_000))
        for place in 0..<3 { try rot(world, place) }
        #expect(world.pass(atMost: 30_000) { (0..<3).allSatisfy { world.replica($0)?.stopped != nil } })
        #expect((0..<3).allSatisfy { world.nodes[$0].repairs == 0 })
        // Not after a restart either.
        for place in 0..<3 {
            world.stop(place)
            try world.start(place)
        }
        #expect(world.pass(atMost: 30_000) { (0..<3).allSatisfy { world.replica($0)?.stopped != nil } })
    }

    /// What only the leader had was never acknowledged. Nobody can give it back, and clients wait behind it.
    @Test func aLeaderWhoseEndRottedBeforeAnybodyElseHadItLetsAnotherLead() throws {
        let probe = Probe()
        try Probe.$current.withValue(probe) {
            let world = try world(.init(scrub: 2_000_000))
            let leader = try #require(world.leader)
            let (term, end) = (world.replica(leader)?.term, world.replica(leader)?.log.end)
            world.loses = { letter in
                if case .append = letter.message { letter.from == leader } else { false }
            }
            world.pass(milliseconds: 60) { world.produce() }
            // The checkpoint says that it was durable: nothing of it is cut.
            world.pass(milliseconds: 1_200)
            #expect(world.leader == leader && world.replica(leader)?.term == term)
            let node = world.nodes[leader]
            let last = try #require(node.segments.last)
            try node.files.flip(bit: 3, at: ByteCount(Int64(node.files.bytes(of: last).count / 2)), of: last)
            #expect(world.pass(atMost: 5_000) { node.damages > 0 })
            world.loses = { _ in false }
            #expect(
                world.pass(atMost: 20_000) {
                    world.produce()
                    return probe.hasHit("Repairs.gave-up-leadership")
                })
            #expect(world.pass(atMost: 10_000) { world.hasConverged })
            #expect(world.replica(leader)?.term != term && world.replica(leader)?.log.end != end)
            try expectAlike(world)
        }
    }

    @Test func differentRangesOnAllAreRepairedByEachOther() throws {
        let world = try world(.init(scrub: 2_000_000))
        for place in 0..<3 { try rot(world, place, segment: 1, at: 300 + Int64(place) * 1_000) }
        #expect(world.pass(atMost: 20_000) { world.nodes.allSatisfy { $0.repairs == 1 } })
        #expect(world.pass(atMost: 5_000) { world.hasConverged })
        try expectAlike(world)
    }

    @Test func aSingleCopyHaltsAndSaysWhatToDo() throws {
        let world = try world(.init(nodes: 1, scrub: 2_000_000))
        try rot(world, 0)
        #expect(world.pass(atMost: 5_000) { world.replica(0)?.stopped != nil })
        #expect(world.replica(0)?.stopped?.contains("restore the file from a backup") == true)
    }

    /// Where the peers have compacted what this copy has not, single entries of theirs could bring deleted keys back.
    @Test func damageThatOnlyCompactedCopiesCouldRepairHasTheLogFetchedAnew() throws {
        let rules = CleaningRules(minDirtyShare: 0, deleteRetention: 1)
        let world = try world(.init(scrub: 2_000_000, policy: LogPolicy(compaction: rules)))
        let victim = try #require(world.leader)
        world.stop(victim)
        let before = world.nodes[victim].segments
        // The others compact meanwhile; here what is older than all of that rots before it is compacted.
        world.pass(milliseconds: 3_000) { world.produce() }
        try world.nodes[victim].files.flip(bit: 3, at: ByteCount(700), of: try #require(before.dropLast().last))
        try world.start(victim)
        #expect(
            world.pass(atMost: 20_000) {
                world.produce()
                return world.nodes[victim].damages > 0
            })
        #expect(world.pass(atMost: 20_000) { world.hasConverged })
        let isAside = world.nodes[victim].count { if case .setAside = $0 { true } else { false } } == 1
        #expect(isAside || world.nodes[victim].repairs > 0)
        #expect(world.replica(victim)?.isDamaged == false)
    }

    /// Recovery does not look at what lies before the checkpoint, but who has written is read from there.
    @Test func whoCannotTellItsProducersDoesNotStandUntilTheyAreRepaired() throws {
        let world = try world(.init(segment: 1 << 20))
        world.pass(milliseconds: 1_500)
        let victim = try #require(world.leader)
        world.stop(victim)
        // A head: of what follows it the checksums are not computed then.
        let path = try #require(world.nodes[victim].segments.first)
        let heads = try EntryHead.all(in: ByteBuffer(bytes: try world.nodes[victim].files.bytes(of: path)))
        let third = heads.prefix(2).reduce(0) { $0 + $1.totalSize }
        try world.nodes[victim].files.flip(bit: 3, at: ByteCount(Int64(third + 16)), of: path)
        #expect(world.pass(atMost: 3_000) { world.leader != nil })
        try world.start(victim)
        #expect(world.pass(atMost: 3_000) { world.replica(victim) != nil })
        #expect(world.replica(victim)?.log.producersAreUnknown == true)
        #expect(world.replica(victim)?.isDamaged == false, "nobody has looked at it yet")
        #expect(world.pass(atMost: 5_000) { world.nodes[victim].repairs > 0 && world.hasConverged })
        #expect(world.replica(victim)?.log.producersAreUnknown == false)
        try expectAlike(world)
    }

    /// A sector that is gone does not come back, and the log it belongs to cannot be opened without it.
    @Test(arguments: [false, true]) func aLogThatTheDiskCannotReadAnyMoreIsFetchedAnew(isBack: Bool) throws {
        let world = try world()
        let victim = try #require(world.leader)
        world.stop(victim)
        let node = world.nodes[victim]
        let path = try #require(node.segments.last)
        let size = try node.files.size(of: path).rawValue
        for sector in 0...(size - 1) / 512 { try node.files.loseSector(at: ByteCount(sector * 512), of: path) }
        try world.start(victim)
        world.pass(milliseconds: 3_000)
        #expect(world.replica(victim) == nil, "a disk that is out of sorts has some time")
        if isBack {
            // Written anew, the sectors can be read again.
            let content = try node.files.bytes(of: path)
            let file = try node.files.open(path, .existing)
            try content.withUnsafeBytes { try file.write([$0], at: .zero) }
        }
        #expect(world.pass(atMost: 150_000) { world.replica(victim) != nil })
        #expect(world.pass(atMost: 5_000) { world.hasConverged })
        try expectAlike(world)
        #expect(node.count { if case .setAside = $0 { true } else { false } } == (isBack ? 0 : 1))
    }

    /// T-S15 (nats 7556).
    @Test(arguments: ["gone", "flipped"]) func aLogWithoutACheckpointIsSetAsideAndFetchedAnew(damage: String) throws {
        let world = try world()
        let victim = try #require(world.leader)
        world.stop(victim, cleanly: true)
        let node = world.nodes[victim]
        if damage == "gone" {
            try node.files.remove("data/log/checkpoint")
        } else {
            try node.files.flip(bit: 2, at: ByteCount(50), of: "data/log/checkpoint")
        }
        let kept = node.segments.count
        try world.start(victim)
        #expect(world.pass(atMost: 3_000) { world.replica(victim) != nil })
        #expect(world.replica(victim)?.isRebuilding == true, "it has forgotten for whom it voted")
        #expect(world.pass(atMost: 5_000) { world.hasConverged })
        try expectAlike(world)
        let aside = try node.files.list("data/log.damaged").filter { $0.hasSuffix(".log") }
        #expect(aside.count == kept, "nothing is deleted")
        #expect(node.count { if case .setAside = $0 { true } else { false } } == 1)
    }
}
