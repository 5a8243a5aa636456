// SPDX-License-Identifier: Apache-2.0

/// Makes a failing run small, so that a person can read it: what can be left out without the same promise being kept is
/// left out. First what clients do, then the faults, by halves (Zeller and Hildebrandt, "Simplifying and Isolating
/// Failure-Inducing Input", 2002).
public struct Shrinking {
    public let seed: UInt64
    /// The smallest climate found so far that breaks the promise.
    public private(set) var climate: WorldClimate
    public private(set) var report: NodeReport
    private let promise: Violation.Promise
    /// How many runs are left.
    private var runsLeft: Int

    /// `nil` when the seed breaks nothing.
    ///
    /// - Parameter runs: how many runs may be spent.
    public init?(seed: UInt64, climate: WorldClimate, runs: Int = 200) {
        let report = NodeSimulation.run(seed: seed, climate: climate)
        guard let violation = report.violation else { return nil }
        self.seed = seed
        self.climate = climate
        self.report = report
        promise = violation.promise
        runsLeft = runs
    }

    /// Whether the promise is broken with a smaller climate, which is then kept.
    private mutating func isStillBroken(_ change: (inout WorldClimate) -> Void) -> Bool {
        guard runsLeft > 0 else { return false }
        runsLeft -= 1
        var smaller = climate
        change(&smaller)
        let report = NodeSimulation.run(seed: seed, climate: smaller)
        guard report.violation?.promise == promise else { return false }
        climate = smaller
        self.report = report
        return true
    }

    public mutating func shrink() {
        let simpler: [(inout WorldClimate) -> Void] = [
            { $0.base.groups = nil }, { $0.hasWhims = false }, { $0.trimInterval = 0 }, { $0.moveInterval = 0 },
            { $0.chatterPerMille = 0 }, { $0.resetPerMille = 0 }, { $0.compressedPerMille = 0 },
            { $0.base.lossPerMille = 0 }, { $0.base.repetitionPerMille = 0 }, { $0.base.damagePerMille = 0 },
            { $0.base.isStream = true }, { $0.topics = ["events"] }, { $0.partitions = 1 }, { $0.compacted = [] },
            { $0.plains = 1 }, { $0.idempotents = 1 }, { $0.readers = 1 }, { $0.faultInterval = 0 },
        ]
        for change in simpler { _ = isStillBroken(change) }
        if climate.faultInterval > 0 { leaveOutFaults() }
    }

    private mutating func leaveOutFaults() {
        var size = max(1, report.statistics.strikes / 2)
        while true {
            var from = 0
            while from < report.statistics.strikes, runsLeft > 0 {
                let part = Set(from..<min(from + size, report.statistics.strikes))
                if !part.isSubset(of: climate.withoutFaults) {
                    _ = isStillBroken { $0.withoutFaults.formUnion(part) }
                }
                from += size
            }
            guard size > 1 else { return }
            size /= 2
        }
    }

    /// What is left, in a few lines.
    public var summary: String {
        let left = (0..<report.statistics.strikes).filter { !climate.withoutFaults.contains($0) }
        return "\(report)\n  the faults that it takes: \(left) of \(report.statistics.strikes)"
    }
}
