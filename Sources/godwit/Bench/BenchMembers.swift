// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import NIOCore

struct BenchMembers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "members",
        abstract: "Measure a large consumer group (KIP-848): one member leaves, how soon have the others settled?",
        discussion: """
            Joins so many members to one group, all from this process. Then one leaves, and joins again, --runs times.
            "Owned" is the time from the leaving until every partition has an owner again, "settled" until every other
            member knows the new epoch. A member hears of anything only in the answer to its next heartbeat: neither
            can be shorter than what is left of the interval, which the coordinator chooses unless --heartbeat does.
            "Interrupted" are members other than the leaving one that lost a partition or were thrown out.

            Examples:
              godwit bench members --members 1000 --partitions 1000 --replication-factor 1
              godwit bench members --members 100 --heartbeat 1s --json
            """)

    @OptionGroup var target: BenchTopicOptions

    @Option(help: "How many members.")
    var members = 1000

    @Option(help: "The group (default: a new one).")
    var group: String?

    @Option(help: "How many connections they share.")
    var connections = 16

    @Option(help: ArgumentHelp("How often each speaks (default: as the coordinator says).", valueName: "time"))
    var heartbeat: Span?

    @Option(help: "How often one leaves.")
    var runs = 3

    @OptionGroup var local: LocalClusterOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (2...100_000).contains(members) else { throw ValidationError("--members is 2 to 100,000") }
        guard (1...1000).contains(connections) else { throw ValidationError("--connections is 1 to 1,000") }
        guard runs >= 1 else { throw ValidationError("--runs is at least 1") }
    }

    func run() async throws {
        let cluster = try local.cluster()
        try await connection.withClient { client in
            let topic = try await target.prepare(client, patience: connection.timeout)
            let name = group ?? "bench-members-\(UInt32.random(in: 0 ... .max))"
            let coordinators = try await Coordinators(client)
            defer { coordinators.close() }
            try await coordinators.waitUntilBalanced(client, patience: connection.timeout)
            let found = try await coordinators.find([name], patience: connection.timeout)
            let address = try coordinators.line(to: found[name] ?? -1).address
            let lines = (0..<connections).map { _ in RequestLine(client, to: address) }
            defer { for line in lines { line.close() } }
            let load = MemberLoad(
                client, lines: lines, group: name, topic: topic, count: members, pace: heartbeat?.nanoseconds)
            let cost = Cost(cluster)
            do {
                let patience = Span(seconds: max(120, connection.timeout.seconds))
                let joined = try await load.join(patience: patience)
                var results: [MemberLoad.Effects] = []
                for run in 1...runs {
                    // At any moment of the members' round: the end of the last settling is always the same one.
                    let pace = heartbeat?.nanoseconds ?? Int64(load.interval) * 1_000_000
                    try await Task.sleep(for: .nanoseconds(Int64.random(in: 0...max(0, pace))))
                    let leaving = await load.owner(after: run * members / (runs + 1))
                    results.append(try await load.leave(leaving, patience: patience))
                    _ = try await load.rejoin(leaving, patience: patience)
                }
                load.stop()
                report(topic, joined, results, interval: load.interval, cost.figures(bytes: 0))
            } catch {
                load.stop()
                throw error
            }
        }
    }

    private func report(
        _ topic: TopicDescription, _ joined: MemberLoad.Effects, _ results: [MemberLoad.Effects], interval: Int32,
        _ cost: Cost.Figures
    ) {
        let pace = heartbeat?.seconds ?? Double(interval) / 1000
        let settled = results.map { Double($0.settledAfter) / 1e9 }
        let owned = results.map { Double($0.ownedAfter) / 1e9 }
        let interrupted = results.map(\.interrupted)
        guard !connection.json else {
            Terminal.print(
                JSON.object([
                    ("members", .int(members)), ("partitions", .int(topic.partitions.count)),
                    ("heartbeatSeconds", .double(pace)),
                    ("joinedSeconds", .double(Double(joined.settledAfter) / 1e9)),
                    ("ownedSeconds", .array(owned.map { .double($0) })),
                    ("settledSeconds", .array(settled.map { .double($0) })),
                    ("longestSettledSeconds", .double(settled.max() ?? 0)),
                    ("mostInterrupted", .int(interrupted.max() ?? 0)), ("cpu", cost.json),
                ]).pretty)
            return
        }
        Terminal.print(
            "\(grouped(members)) members of \(grouped(topic.partitions.count)) partitions had joined after "
                + "\(decimal(Double(joined.settledAfter) / 1e9, 2)) s; each speaks every \(decimal(pace, 1)) s")
        for (index, result) in results.enumerated() {
            Terminal.print(
                "leaving \(index + 1): all partitions owned after \(decimal(owned[index], 2)) s, settled after "
                    + "\(decimal(settled[index], 2)) s; \(result.interrupted) others interrupted, \(result.gained) "
                    + "given more")
        }
    }
}
