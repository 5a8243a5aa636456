// SPDX-License-Identifier: Apache-2.0

import LogModel
import Simulation
import Testing

/// Seeds that once broke a promise, with what was wrong. What they reach depends on every draw before, so that they
/// mean less with each change of the simulation; they cost little.
@Suite struct KeptSeedTests {
    private static let kept: [(seed: UInt64, reason: String)] = [
        (7, "a produce with acks=0 that fails closes its connection"),
        (8, "two nodes asked for the same offset at a time"),
        (20, "a node outside the core that only one node of the core can hear"),
        (23, "a node outside the core that comes back after the calm has begun"),
    ]

    @Test(arguments: kept.map(\.seed))
    func keptSeedBreaksNothing(seed: UInt64) {
        let report = NodeSimulation.run(seed: seed)
        #expect(report.violation == nil, "\(report)")
    }

    @Test func runWithoutViolationIsNotShrunk() {
        #expect(Shrinking(seed: 0, climate: WorldClimate(seed: 0, profile: .quiet)) == nil)
    }
}
