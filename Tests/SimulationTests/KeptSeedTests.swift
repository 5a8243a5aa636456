// SPDX-License-Identifier: Apache-2.0

import LogModel
import Simulation
import Testing

/// Seeds that once broke a promise, with what was wrong. What they reach depends on every draw before, so that they
/// mean less with each change of the simulation; they cost little.
@Suite struct KeptSeedTests {
    private static let kept: [(seed: UInt64, profile: WorldClimate.Profile?, reason: String)] = [
        (7, nil, "a produce with acks=0 that fails closes its connection"),
        (8, nil, "two nodes asked for the same offset at a time"),
        (20, nil, "a node outside the core that only one node of the core can hear"),
        (23, nil, "a node outside the core that comes back after the calm has begun"),
        (13, nil, "a damaged leader led on though the others had compacted what it lacked"),
        (64, nil, "one of two markers with the same offset was taken for the other behind damage"),
        (103_722, nil, "peers with other entries in the place of a damaged end that was never committed were hopeless"),
        (108_025, nil, "producers were read from an entry that had rotted, and one was told it was out of order"),
        (54, .disks, "a refused answer left the repair ahead of what the next peer was asked for"),
        (80, .disks, "the same, of a compacted log"),
        (92, .disks, "a cut that met damage; who could not read its producers stood for election"),
        (264, .disks, "a leader whose uncommitted end had rotted led on for ever"),
    ]

    @Test(arguments: Set(kept.map(\.seed)).sorted())
    func keptSeedBreaksNothing(seed: UInt64) {
        for kept in Self.kept where kept.seed == seed {
            let climate = WorldClimate(seed: seed, profile: kept.profile)
            let report = NodeSimulation.run(seed: seed, climate: climate)
            #expect(report.violation == nil, "\(report)")
        }
    }

    /// The same of shards alone.
    private static let keptShards: [(seed: UInt64, reason: String)] = [
        (1243, "a snapshot from whoever was never told who founded the group said that nobody belongs to it"),
        (1300, "partitions that were added while a coordinator read its log were nobody's"),
        (4373, "votes promised while the journal was written anew were taken for durable"),
        (1448, "a state machine had been fed more than its copy, opened anew, knew to be committed"),
        (122_150, "a copy whose disk refused a snapshot was said to have acknowledged the snapshot, and lost its vote"),
        (138_069, "a coordinator read the groups without what the one before, of the same leader, had on its way"),
        (138_914, "a leader opened anew could not send the state that a peer needed before anything was committed"),
    ]

    @Test(arguments: keptShards.map(\.seed))
    func keptSeedOfShardsBreaksNothing(seed: UInt64) {
        let report = Simulation.run(seed: seed)
        #expect(report.violation == nil, "\(report)")
    }

    @Test func runWithoutViolationIsNotShrunk() {
        #expect(Shrinking(seed: 0, climate: WorldClimate(seed: 0, profile: .quiet)) == nil)
    }
}
