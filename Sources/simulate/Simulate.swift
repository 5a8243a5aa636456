// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import LogModel
import Simulation

/// Runs seeds of the whole-node simulation, for as long as one likes.
@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Runs simulated clusters, each from a seed, and says which of them broke a promise.")

    @Option(help: "The first seed.") var from: UInt64 = 0
    @Option(help: "How many seeds to run.") var seeds: UInt64 = .max
    @Option(help: "How many seconds to go on.") var seconds: Int = .max
    @Option(help: "lite, ordinary, reconfiguration, disks or quiet, instead of the one drawn from each seed.")
    var profile: String?
    @Flag(help: "Shards alone, without the nodes around them; of the profiles only quiet.") var shards = false
    @Option(help: "A fault to put in on purpose.") var plant: String?
    @Option(help: "End after so many broken seeds.") var failures: Int = 5
    @Flag(help: "Say what happens, event by event.") var trace = false
    @Flag(help: "Print each seed and the digest of its events.") var digests = false
    @Flag(help: "Make each broken seed small, and say what is left of it.") var shrink = false
    @Flag(help: "List how often each mark of the code was hit.") var marks = false

    func validate() throws {
        if let profile, WorldClimate.Profile(rawValue: profile) == nil {
            throw ValidationError("there is no profile \(profile)")
        }
        if let plant, PlantedFault(rawValue: plant) == nil { throw ValidationError("there is no fault \(plant)") }
    }

    func run() throws {
        var tally = Tally()
        let probe = Probe()
        let began = Self.seconds(CLOCK_MONOTONIC)
        var said = began
        var seed = from
        while seed - from < seeds, tally.broken < failures, Self.seconds(CLOCK_MONOTONIC) - began < seconds {
            defer {
                seed += 1
                if Self.seconds(CLOCK_MONOTONIC) - said >= 60 {
                    said = Self.seconds(CLOCK_MONOTONIC)
                    print(tally.line)
                    fflush(nil)
                }
            }
            guard !shards else {
                runShards(seed, &tally)
                continue
            }
            let climate = WorldClimate(seed: seed, profile: profile.flatMap { .init(rawValue: $0) })
            let report = NodeSimulation.run(
                seed: seed, climate: climate, planted: plant.flatMap { .init(rawValue: $0) }, marks: probe,
                trace: trace ? { print($0) } : nil)
            tally.add(report)
            if digests { print("\(seed) \(report.digest)") } else if report.violation != nil || trace { print(report) }
            if shrink, report.violation != nil, var shrinking = Shrinking(seed: seed, climate: climate) {
                shrinking.shrink()
                print(shrinking.summary)
            }
        }
        if !digests { print(tally.line) }
        if marks {
            for (name, count) in probe.marks.sorted(by: { $0.key < $1.key }) { print("mark \(name): \(count)") }
        }
        if tally.broken > 0 { throw ExitCode.failure }
    }

    private func runShards(_ seed: UInt64, _ tally: inout Tally) {
        let report = Simulation.run(
            seed: seed, climate: profile == "quiet" ? Climate.quiet(seed: seed) : nil,
            planted: plant.flatMap { .init(rawValue: $0) }, trace: trace ? { print($0) } : nil)
        tally.add(report)
        if digests { print("\(seed) \(report.digest)") } else if report.violation != nil || trace { print(report) }
    }

    private static func seconds(_ clock: clockid_t) -> Int {
        var time = timespec()
        clock_gettime(clock, &time)
        return time.tv_sec
    }

    /// What all runs came to.
    private struct Tally {
        var runs = 0
        var broken = 0
        var events = 0
        var requests = 0
        var acknowledged = 0
        var elections = 0
        var faults = 0
        var time: UInt64 = 0

        mutating func add(_ report: NodeReport) {
            runs += 1
            broken += report.violation == nil ? 0 : 1
            events += report.statistics.events
            requests += report.statistics.requests
            acknowledged += report.statistics.acknowledged
            elections += report.statistics.elections
            faults += report.statistics.faults.values.reduce(0, +)
            time += report.statistics.time
        }

        mutating func add(_ report: SimulationReport) {
            runs += 1
            broken += report.violation == nil ? 0 : 1
            events += report.statistics.events
            requests += report.statistics.groupRequests + report.statistics.produced
            acknowledged += report.statistics.acknowledged
            elections += report.statistics.elections
            faults += report.statistics.faults.values.reduce(0, +)
            time += report.statistics.time
        }

        var line: String {
            let spent = max(1, Simulate.seconds(CLOCK_PROCESS_CPUTIME_ID))
            return """
                \(runs) seeds, \(broken) broken, \(events) events, \(faults) faults, \(requests) requests, \
                \(acknowledged) acknowledged, \(elections) elections, \(time / 1_000_000_000) s simulated in \
                \(spent) CPU s: \(10 * runs / spent / 10).\(10 * runs / spent % 10) seeds a second
                """
        }
    }
}
