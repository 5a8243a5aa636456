// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import KafkaWire
import LogModel
import NIOCore

struct BenchTakeover: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "takeover",
        abstract: "Kill a coordinator of many committed offsets: how soon does its successor tell them?",
        discussion: """
            Commits --offsets offsets in groups that all belong to one partition of __consumer_offsets, and kills the
            node that leads it with SIGKILL. "Elected" is the time from the kill until another node says that it is the
            coordinator, "ready" the time from there to the first OffsetFetch that it answers without an error.
            Then every offset is fetched and compared. Ends with 1 when one is not what was committed.

            Examples:
              godwit bench takeover
              godwit bench takeover --offsets 1000000 --runs 5 --json
            """)

    @OptionGroup var target: BenchTopicOptions

    @Option(help: "How many offsets are committed.")
    var offsets = 100_000

    @Option(help: "How often a coordinator is killed.")
    var runs = 3

    @Option(
        help: ArgumentHelp(
            "How a killed node is started; {id} is its id (default: this program with "
                + "node --config cluster-configs/local/node{id}.yaml).", valueName: "command"))
    var restartCommand: String?

    @OptionGroup var local: LocalClusterOptions
    @OptionGroup var connection: ConnectionOptions

    private static let offsetsTopic = "__consumer_offsets"

    private struct Outcome {
        let node: Int32
        /// Nanoseconds from the kill.
        let elected: Int64
        /// Nanoseconds from `elected`.
        let ready: Int64
        let wrong: Int

        var line: String {
            "killed node \(node); elected after \(decimal(Double(elected) / 1e6, 1)) ms, ready "
                + "\(decimal(Double(ready) / 1e6, 1)) ms later; \(wrong) offsets wrong"
        }

        var json: JSON {
            .object([
                ("node", .int(node)), ("electedMilliseconds", .double(Double(elected) / 1e6)),
                ("readyMilliseconds", .double(Double(ready) / 1e6)), ("wrong", .int(wrong)),
            ])
        }
    }

    func validate() throws {
        guard (1...100_000_000).contains(offsets) else { throw ValidationError("--offsets is 1 to 100 million") }
        guard runs >= 1 else { throw ValidationError("--runs is at least 1") }
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
            let topic = try await target.prepare(client, patience: connection.timeout)
            let groups = try await groups(client, topic)
            try await store(client, topic, groups)
            var results: [Outcome] = []
            for run in 1...runs {
                try await waitUntilInSync(client, Self.offsetsTopic, patience: connection.timeout)
                let outcome = try await measure(client, topic, groups, cluster)
                results.append(outcome)
                if !connection.json { Terminal.print("run \(run): \(outcome.line)") }
                try await cluster.revive(outcome.node, command: restartCommand)
            }
            try await waitUntilInSync(client, Self.offsetsTopic, patience: connection.timeout)
            report(results, groups: groups.count, topic)
            if results.contains(where: { $0.wrong > 0 }) { throw ExitCode(1) }
        }
    }

    // MARK: Storing

    /// As many groups as it takes, whose offsets lie in one partition.
    private func groups(_ client: KafkaClient, _ topic: TopicDescription) async throws -> [String] {
        let count = (offsets + topic.partitions.count - 1) / topic.partitions.count
        let first = "bench-takeover-0"
        let coordinators = try await Coordinators(client)
        defer { coordinators.close() }
        // Asking for one makes the topic.
        _ = try await coordinators.find([first], patience: connection.timeout)
        let kept = try await waitForLeaders(client, Self.offsetsTopic, patience: connection.timeout)
        let place = Self.partition(of: first, among: kept.partitions.count)
        var names = [first]
        var number = 1
        while names.count < count {
            let name = "bench-takeover-\(number)"
            if Self.partition(of: name, among: kept.partitions.count) == place { names.append(name) }
            number += 1
        }
        return names
    }

    /// Where a group's offsets lie: Java's `String.hashCode`, its sign bit cleared, modulo the partitions.
    static func partition(of group: String, among count: Int) -> Int {
        let hash = group.utf16.reduce(Int32(0)) { $0 &* 31 &+ Int32($1) }
        return Int(hash & .max) % count
    }

    /// What a group has committed in every partition: told apart from any other group's.
    private func offset(_ group: Int) -> Int64 { Int64(group) + 1 }

    private func store(_ client: KafkaClient, _ topic: TopicDescription, _ groups: [String]) async throws {
        let coordinators = try await Coordinators(client)
        defer { coordinators.close() }
        let node = try await coordinators.find([groups[0]], patience: connection.timeout)[groups[0]] ?? -1
        let line = try coordinators.line(to: node)
        for part in stride(from: 0, to: groups.count, by: 50) {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for index in part..<min(part + 50, groups.count) {
                    let request = CommitLoad.request(
                        groups[index], topic, count: topic.partitions.count, offset: offset(index))
                    tasks.addTask {
                        let answer = try await line.ask(request)
                        let bad = answer.topics.flatMap(\.partitions).first { $0.error != .none }
                        if let bad { throw ClientError.refused(bad.error, subject: request.groupID, message: nil) }
                    }
                }
                try await tasks.waitForAll()
            }
        }
    }

    // MARK: Killing

    private func measure(
        _ client: KafkaClient, _ topic: TopicDescription, _ groups: [String], _ cluster: LocalCluster
    ) async throws -> Outcome {
        let coordinators = try await Coordinators(client)
        defer { coordinators.close() }
        let victim = try await coordinators.find([groups[0]], patience: connection.timeout)[groups[0]] ?? -1
        let survivors = coordinators.lines.filter { $0.node != victim }
        // Connections stand before the clock runs.
        for (_, line) in survivors { _ = try await line.ask(Coordinators.request([groups[0]])) }
        let killed = monotonicNanoseconds()
        try cluster.kill(victim)
        let successor = try await successor(of: victim, among: survivors.map(\.line), groups[0])
        let elected = monotonicNanoseconds()
        let line = try coordinators.line(to: successor)
        try await waitUntilReady(line, groups[0], topic)
        let ready = monotonicNanoseconds()
        return Outcome(
            node: victim, elected: elected - killed, ready: ready - elected,
            wrong: try await countWrong(line, groups, topic))
    }

    private func successor(of victim: Int32, among lines: [RequestLine], _ group: String) async throws -> Int32 {
        let start = monotonicSeconds()
        while monotonicSeconds() - start < max(60, connection.timeout.seconds) {
            for line in lines {
                guard let told = try? await line.ask(Coordinators.request([group])).coordinators.first else { continue }
                if told.error == .none, told.nodeID != victim { return told.nodeID }
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw ClientError.timedOut("a new coordinator of \(group)")
    }

    private func waitUntilReady(_ line: RequestLine, _ group: String, _ topic: TopicDescription) async throws {
        let start = monotonicSeconds()
        while monotonicSeconds() - start < max(60, connection.timeout.seconds) {
            let answer = try await line.ask(Self.fetch([group], topic))
            guard let told = answer.groups.first else { throw ClientError.badAnswer("no group in an OffsetFetch") }
            if told.error == .none { return }
            guard told.error.isRetriable else {
                throw ClientError.refused(told.error, subject: group, message: nil)
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw ClientError.timedOut("the offsets of \(group)")
    }

    /// How many offsets are not what was committed.
    private func countWrong(_ line: RequestLine, _ groups: [String], _ topic: TopicDescription) async throws -> Int {
        var wrong = groups.count * topic.partitions.count
        for part in stride(from: 0, to: groups.count, by: 50) {
            let names = Array(groups[part..<min(part + 50, groups.count)])
            let answer = try await line.ask(Self.fetch(names, topic))
            for told in answer.groups where told.error == .none {
                guard let index = names.firstIndex(of: told.groupID) else { continue }
                let right = offset(part + index)
                wrong -= told.topics.flatMap(\.partitions).count { $0.error == .none && $0.committedOffset == right }
            }
        }
        return wrong
    }

    private static func fetch(_ groups: [String], _ topic: TopicDescription) -> OffsetFetchRequest {
        var named = OffsetFetchRequest.Topic()
        named.name = topic.name
        named.id = topic.id ?? .zero
        named.partitions = topic.partitions.map(\.index)
        var request = OffsetFetchRequest()
        request.groups = groups.map { name in
            var group = OffsetFetchRequest.Group()
            group.groupID = name
            group.topics = [named]
            return group
        }
        return request
    }

    private func report(_ results: [Outcome], groups: Int, _ topic: TopicDescription) {
        let slowest = results.map(\.ready).max() ?? 0
        let stored = groups * topic.partitions.count
        guard !connection.json else {
            Terminal.print(
                JSON.object([
                    ("offsets", .int(stored)), ("groups", .int(groups)), ("runs", .array(results.map(\.json))),
                    ("slowestReadyMilliseconds", .double(Double(slowest) / 1e6)),
                    ("wrong", .int(results.reduce(0) { $0 + $1.wrong })),
                ]).pretty)
            return
        }
        Terminal.print(
            "\(grouped(stored)) offsets of \(grouped(groups)) groups; slowest of \(results.count): ready "
                + "\(decimal(Double(slowest) / 1e6, 1)) ms after the election")
    }
}
