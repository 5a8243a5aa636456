// SPDX-License-Identifier: Apache-2.0

import Foundation
import Simulation
import Testing

/// Clusters of whole nodes from seeds. `NODE_SEEDS=5000` runs that many, `NODE_SEED=42` replays one and says what
/// happens.
@Suite struct NodeSeedTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let one = environment["NODE_SEED"].flatMap(UInt64.init)
    private static let count = environment["NODE_SEEDS"].flatMap(UInt64.init) ?? usual
    // Unoptimized code is an order of magnitude slower.
    #if DEBUG
        private static let usual: UInt64 = 100
    #else
        private static let usual: UInt64 = 2_000
    #endif
    private static let batch: UInt64 = 25
    /// Where each batch of seeds begins.
    private static let batches = Array(stride(from: 0, to: count, by: Int(batch)))

    @Test(.enabled(if: one == nil), arguments: batches)
    func everyPromiseIsKept(from first: UInt64) {
        var broken = 0
        for seed in first..<min(first + Self.batch, Self.count) where broken < 3 {
            let report = NodeSimulation.run(seed: seed)
            guard report.violation != nil else { continue }
            broken += 1
            Issue.record("\(report)")
        }
    }

    @Test(.enabled(if: one != nil))
    func replay() {
        guard let seed = Self.one else { return }
        let report = NodeSimulation.run(seed: seed) { print($0) }
        print(report)
        #expect(report.violation == nil)
    }

    /// The same seed gives the same run, event for event.
    @Test(arguments: [UInt64(1), 2, 3, 5, 8, 13, 21, 34])
    func sameSeedGivesTheSameRun(seed: UInt64) {
        let first = NodeSimulation.run(seed: seed)
        let second = NodeSimulation.run(seed: seed)
        #expect(first.digest == second.digest)
        #expect(first.statistics == second.statistics)
    }

    /// Without faults nothing is broken, and a group elects few leaders.
    @Test func quietClusterIsQuiet() {
        for seed in UInt64(0)..<10 {
            let report = NodeSimulation.run(seed: seed, climate: WorldClimate(seed: seed, profile: .quiet))
            #expect(report.violation == nil, "\(report)")
            #expect(report.statistics.refusedLetters == 0)
            #expect(report.statistics.acknowledged > 0)
            #expect(report.statistics.read > 0)
        }
    }
}
