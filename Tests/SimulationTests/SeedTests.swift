// SPDX-License-Identifier: Apache-2.0

import Foundation
import Simulation
import Testing

/// Whole clusters from seeds. `SEEDS=5000` runs that many, `SEED=42` replays one and says what happens.
@Suite struct SeedTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let one = environment["SEED"].flatMap(UInt64.init)
    private static let count = environment["SEEDS"].flatMap(UInt64.init) ?? 1_000
    private static let batch: UInt64 = 50
    /// Where each batch of seeds begins.
    private static let batches = Array(stride(from: 0, to: count, by: Int(batch)))

    @Test(.enabled(if: one == nil), arguments: batches)
    func everyPromiseIsKept(from first: UInt64) {
        var broken = 0
        for seed in first..<min(first + Self.batch, Self.count) where broken < 3 {
            let report = Simulation.run(seed: seed)
            guard report.violation != nil else { continue }
            broken += 1
            Issue.record("\(report)")
        }
    }

    @Test(.enabled(if: one != nil))
    func replay() {
        guard let seed = Self.one else { return }
        let report = Simulation.run(seed: seed) { print($0) }
        print(report)
        #expect(report.violation == nil)
    }

    /// The same seed gives the same run, event for event.
    @Test(arguments: [UInt64(1), 2, 3, 5, 8, 13, 21, 34])
    func sameSeedGivesTheSameRun(seed: UInt64) {
        let first = Simulation.run(seed: seed)
        let second = Simulation.run(seed: seed)
        #expect(first.digest == second.digest)
        #expect(first.statistics == second.statistics)
    }

    @Test func differentSeedsGiveDifferentRuns() {
        let digests = Set((UInt64(0)..<20).map { Simulation.run(seed: $0).digest })
        #expect(digests.count == 20)
    }

    /// V8: without faults a partition elects once and stays with whom it has elected.
    @Test func quietClusterElectsOnce() {
        for seed in UInt64(0)..<20 {
            let climate = Climate.quiet(seed: seed)
            let report = Simulation.run(seed: seed, climate: climate)
            #expect(report.violation == nil, "\(report)")
            #expect(report.statistics.elections == climate.allPartitions, "\(report)")
            #expect(report.statistics.refusedLetters == 0)
        }
    }

    /// A simulation in which little happens proves little: over some seeds everything must have happened.
    @Test func seedsMeetAllWeathersAndRealLoad() {
        var events = 0
        var acknowledged = 0
        var read = 0
        var elections = 0
        var snapshots = 0
        var refused = 0
        var faults: Set<Climate.Fault> = []
        var sizes: Set<Int> = []
        var commits = 0
        var fetches = 0
        var assignments = 0
        var fenced = 0
        for seed in UInt64(0)..<60 {
            let report = Simulation.run(seed: seed)
            events += report.statistics.events
            acknowledged += report.statistics.acknowledged
            read += report.statistics.read
            elections += report.statistics.elections
            snapshots += report.statistics.snapshots
            refused += report.statistics.refusedLetters
            faults.formUnion(report.statistics.faults.keys)
            sizes.insert(report.climate.nodes)
            commits += report.statistics.groupCommits
            fetches += report.statistics.offsetFetches
            assignments += report.statistics.assignments
            fenced += report.statistics.fencedMembers
        }
        #expect(events > 60 * 2_000)
        #expect(acknowledged > 60 * 50)
        #expect(read > 60 * 100)
        #expect(elections > 60 * 2)
        #expect(snapshots > 0)
        #expect(refused > 0)
        #expect(faults == Set(Climate.Fault.allCases))
        #expect(sizes == [3, 4, 5, 6])
        #expect(commits > 30 * 8)
        #expect(fetches > 30 * 10)
        #expect(assignments > 30 * 4)
        #expect(fenced > 5)
    }
}
