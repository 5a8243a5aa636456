// SPDX-License-Identifier: Apache-2.0

import LogModel
import Simulation
import Testing

/// Nodes that are cut off from the others and not from their clients.
@Suite struct CutOffSeedTests {
    @Test func clientsAreSentToOthersAndNothingBreaks() {
        let probe = Probe()
        // Seed 17 leads there. When a change of the simulation leads it elsewhere, one of the next will.
        for seed in 17..<57 as Range<UInt64> where !probe.hasHit("Broker.sent-elsewhere") {
            var climate = WorldClimate(seed: seed, profile: .ordinary)
            climate.faults = [.isolation]
            let report = NodeSimulation.run(seed: seed, climate: climate, marks: probe)
            #expect(report.violation == nil, "\(report)")
        }
        #expect(probe.hasHit("Broker.sent-elsewhere"), "no seed of 40 leads there")
    }
}
