// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import NIOCore
import RecordBatches

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

struct BenchFailover: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover",
        abstract: "Kill a leader under load: the longest gap in acknowledgements, and acknowledged records lost.",
        discussion: """
            Records go out at a steady rate to all partitions with acks=all. After a while the node that leads
            --partition (or --node) is killed with SIGKILL, by the process id in cluster-data/nodeN.pid or --pids. Then
            everything is read back and compared with what was acknowledged. Between runs the node is started again
            and waited for until all replicas are in sync.

            A gap is the time between two acknowledgements that follow each other in one partition; the worst
            partition counts. Ends with 1 when an acknowledged record is lost.

            Examples:
              godwit bench failover
              godwit bench failover --runs 10 --rate 2000 --partitions 6 --replication-factor 3 --json
              godwit bench failover --pids 1=4711,2=4712,3=4713 --no-restart
            """)

    @OptionGroup var target: BenchTopicOptions

    @Option(help: "How often.")
    var runs = 1

    @Option(help: "Kill this node, whatever it leads.")
    var node: Int32?

    @Option(help: "Kill the node that leads this partition.")
    var partition: Int32 = 0

    @Option(help: ArgumentHelp("Records a second, over all partitions.", valueName: "rate"))
    var rate = Rate.perSecond(1000)

    @Option(help: "Bytes of each record's value.")
    var recordSize = Size(bytes: 1024)

    @Option(help: "none, gzip, snappy, lz4 or zstd.")
    var compression = CodecName.none

    @Option(help: ArgumentHelp("How long the load runs before the kill.", valueName: "time"))
    var before = Span(seconds: 2)

    @Option(help: ArgumentHelp("How long the load runs after the kill.", valueName: "time"))
    var after = Span(seconds: 4)

    @Option(
        help: ArgumentHelp(
            "How a killed node is started; {id} is its id (default: this program with "
                + "node --config cluster-configs/local/node{id}.yaml).", valueName: "command"))
    var restartCommand: String?

    @Flag(inversion: .prefixedNo, help: "Start the killed node again after each run.")
    var restart = true

    @OptionGroup var local: LocalClusterOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard case .perSecond(let number) = rate, number <= 1_000_000 else {
            throw ValidationError("--rate is a number of records a second, up to 1m")
        }
        guard (16...(1 << 20)).contains(recordSize.bytes) else {
            throw ValidationError("--record-size is 16 bytes to 1 MiB")
        }
        guard runs >= 1 else { throw ValidationError("--runs is at least 1") }
        guard restart || runs == 1 else { throw ValidationError("--no-restart goes with one run only") }
    }

    func run() async throws {
        var cluster = try local.cluster()
        try await connection.withClient { client in
            guard !cluster.nodes.isEmpty else {
                throw LocalCluster.Flaw(
                    description:
                        "no running node found in \(local.clusterData)/node*.pid; start the local cluster with "
                        + "`make up`, or name the nodes' processes with --pids 1=PID,2=PID,…")
            }
            _ = try await target.prepare(client, patience: connection.timeout)
            var results: [FailoverRun.Outcome] = []
            for index in 1...runs {
                try await waitUntilInSync(client, target.topic, patience: connection.timeout)
                let outcome = try await measure(client, cluster)
                results.append(outcome)
                if !connection.json { Terminal.print("run \(index): \(outcome.line)") }
                if restart { try await cluster.revive(outcome.node, command: restartCommand) }
            }
            if restart { try await waitUntilInSync(client, target.topic, patience: connection.timeout) }
            let worst = results.map(\.longestGap).max() ?? 0
            let lost = results.reduce(0) { $0 + $1.lost }
            if connection.json {
                Terminal.print(
                    JSON.object([
                        ("topic", .string(target.topic)), ("runs", .array(results.map(\.json))),
                        ("longestGapMilliseconds", .double(Double(worst) / 1e6)), ("lost", .int(lost)),
                    ]).pretty)
            } else {
                Terminal.print(
                    "longest gap of \(results.count) run\(results.count == 1 ? "" : "s"): "
                        + "\(decimal(Double(worst) / 1e6, 1)) ms; acknowledged records lost: \(lost)")
            }
            if lost > 0 { throw ExitCode(1) }
        }
    }

    private func measure(_ client: KafkaClient, _ cluster: LocalCluster) async throws -> FailoverRun.Outcome {
        guard case .perSecond(let perSecond) = rate else { throw ValidationError("--rate is a number") }
        let topic = try await waitForLeaders(client, target.topic, patience: connection.timeout)
        let places = topic.partitions.map { TopicPartition(topic: topic.name, partition: $0.index) }
        let begin = try await client.admin.offsets(places, .latest)
        var configuration = ProducerConfiguration()
        configuration.codec = compression.codec
        configuration.linger = .zero
        let producer = Producer(client, configuration)
        let run = FailoverRun(places, recordSize: recordSize.bytes)
        let load = PacedLoad(
            client, producer, rate: perSecond, recordSize: recordSize.bytes, limit: LoadLimit(),
            make: { run.record($0) }, answered: { run.answered($0, $1, $2) })
        async let tally = load.run()
        let victim: Int32
        do {
            try await Task.sleep(for: .nanoseconds(before.nanoseconds))
            victim = try await leader(client)
            try cluster.kill(victim)
            try await Task.sleep(for: .nanoseconds(after.nanoseconds))
        } catch {
            load.stop()
            _ = await tally
            throw error
        }
        load.stop()
        let counts = await tally
        await producer.close()
        let seen = try await readBack(client, run, begin)
        return run.outcome(node: victim, tally: counts, seen: seen)
    }

    private func leader(_ client: KafkaClient) async throws -> Int32 {
        if let node { return node }
        let found = try await client.admin.describeTopics([target.topic]).first
        guard let place = found?.partitions.first(where: { $0.index == partition }) else {
            throw ClientError.invalid("topic '\(target.topic)' has no partition \(partition)")
        }
        guard let leader = place.leader else {
            throw ClientError.invalid("\(target.topic)-\(partition) has no leader that could be killed")
        }
        return leader
    }

    /// Reads what the run has written, as far as it was acknowledged.
    private func readBack(
        _ client: KafkaClient, _ run: FailoverRun, _ begin: [TopicPartition: Int64]
    ) async throws -> FailoverRun.Seen {
        var seen = FailoverRun.Seen()
        let consumer = Consumer(client)
        consumer.assign(begin.map { ($0.key, .offset($0.value)) })
        let patience = Task {
            try await Task.sleep(for: .nanoseconds(connection.timeout.nanoseconds))
            consumer.close()
        }
        defer {
            patience.cancel()
            consumer.close()
        }
        var open = run.acknowledgedEnds
        for place in open.keys where begin[place] == nil { open[place] = nil }
        while !open.isEmpty, let event = try await consumer.next() {
            guard case .records(let chunk) = event else { continue }
            try chunk.forEachRecord { run.saw($0, in: chunk.place, &seen) }
            if let end = open[chunk.place], chunk.end >= end { open[chunk.place] = nil }
        }
        return seen
    }
}
