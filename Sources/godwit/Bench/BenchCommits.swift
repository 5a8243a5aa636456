// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import NIOCore

struct BenchCommits: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commits",
        abstract: "Measure offset commits: commits/s, latencies, and commits per CPU second of their coordinator.",
        discussion: """
            So many groups of one coordinator commit offsets, each the next when the last one is acknowledged. The CPU
            seconds are all that the coordinator's process uses meanwhile, its share in the replication included.

            Examples:
              godwit bench commits --groups 200 --duration 20s
              godwit bench commits --partitions 100 --partitions-per-commit 50 --json
            """)

    @OptionGroup var target: BenchTopicOptions

    @Option(help: "How many groups commit at a time.")
    var groups = 200

    @Option(help: "How many partitions each commit names.")
    var partitionsPerCommit = 1

    @Option(help: "How many connections they share.")
    var connections = 8

    @Option(help: ArgumentHelp("How long.", valueName: "time"))
    var duration = Span(seconds: 10)

    @Option(help: ArgumentHelp("Drop the figures of so long at the beginning.", valueName: "time"))
    var warmup = Span(seconds: 2)

    @OptionGroup var local: LocalClusterOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...100_000).contains(groups) else { throw ValidationError("--groups is 1 to 100,000") }
        guard (1...1000).contains(connections) else { throw ValidationError("--connections is 1 to 1,000") }
        guard (1...10_000).contains(partitionsPerCommit) else {
            throw ValidationError("--partitions-per-commit is 1 to 10,000")
        }
    }

    func run() async throws {
        let cluster = try local.cluster()
        try await connection.withClient { client in
            let topic = try await target.prepare(client, patience: connection.timeout)
            guard partitionsPerCommit <= topic.partitions.count else {
                throw ClientError.invalid("topic '\(topic.name)' has only \(topic.partitions.count) partitions")
            }
            let coordinators = try await Coordinators(client)
            defer { coordinators.close() }
            try await coordinators.waitUntilBalanced(client, patience: connection.timeout)
            // Groups are spread over the nodes: of several times as many, those of the first one's coordinator.
            let names = (0..<(groups * 8)).map { "bench-commits-\($0)" }
            let found = try await coordinators.find(names, patience: connection.timeout)
            let node = found[names[0]] ?? -1
            let chosen = Array(names.filter { found[$0] == node }.prefix(groups))
            let address = try coordinators.line(to: node).address
            let lines = (0..<connections).map { _ in RequestLine(client, to: address) }
            defer { for line in lines { line.close() } }
            var limit = LoadLimit()
            limit.nanoseconds = duration.nanoseconds
            let meter = BenchProduce.Meter(cluster)
            let load = CommitLoad(
                client, lines: lines, groups: chosen, topic: topic, perCommit: partitionsPerCommit, limit: limit,
                warmup: warmup.nanoseconds, onWarm: { meter.begin() })
            let tally = await load.run()
            let cost = meter.cost.figures(bytes: 0)
            report(tally, cost, node, groups: chosen.count)
            if let failure = tally.failure { throw failure }
        }
    }

    private func report(_ tally: Tally, _ cost: Cost.Figures, _ node: Int32, groups: Int) {
        let seconds = cost.nodes.first { $0.id == node }?.seconds
        let perSecond = seconds.map { $0 > 0 ? Double(tally.records) / $0 : 0 }
        guard !connection.json else {
            Terminal.print(
                JSON.object([
                    ("groups", .int(groups)), ("partitionsPerCommit", .int(partitionsPerCommit)),
                    ("coordinator", .int(node)), ("seconds", .double(tally.seconds)), ("commits", .int(tally.records)),
                    ("failed", .int(tally.failed)), ("commitsPerSecond", .double(tally.recordsPerSecond)),
                    ("commitsPerCPUSecond", perSecond.map { .double($0) } ?? .null),
                    ("latencyMilliseconds", tally.latencies.json), ("cpu", cost.json),
                ]).pretty)
            return
        }
        Terminal.print(
            "\(grouped(tally.records)) commits of \(groups) groups in \(decimal(tally.seconds, 2)) s: "
                + "\(grouped(Int(tally.recordsPerSecond))) commits/s")
        Terminal.print("commits: " + tally.latencies.line)
        if let perSecond {
            Terminal.print("node \(node), their coordinator: \(grouped(Int(perSecond))) commits per CPU second")
        } else {
            Terminal.note("CPU time is not shown: node \(node) has no pid here; name it with --pids \(node)=PID")
        }
    }
}
