// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient

struct TopicAlter: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alter", abstract: "Change a topic's settings.",
        discussion: """
            Settings that are not named stay as they are. `godwit topic configs TOPIC` shows them all.

            Examples:
              godwit topic alter events --set retention.ms=3600000 --set cleanup.policy=compact
              godwit topic alter events --unset retention.ms
              godwit topic alter events --set segment.bytes=1 --dry-run     says what the cluster thinks of it
            """)

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(help: ArgumentHelp("A setting and its new value; may be given several times.", valueName: "name=value"))
    var set: [String] = []

    @Option(
        help: ArgumentHelp("A setting that goes back to its default; may be given several times.", valueName: "name"))
    var unset: [String] = []

    @Flag(help: "Have the cluster check the change and change nothing.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        try validateTopic(topic)
        if try changes().isEmpty { throw ValidationError("say what to change: --set name=value or --unset name") }
    }

    func changes() throws -> [ConfigChange] {
        var named: Set<String> = []
        let sets = try set.map { entry in
            let sides = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty else {
                throw ValidationError("--set wants name=value, not '\(entry)'")
            }
            return ConfigChange.set(String(sides[0]), String(sides[1]))
        }
        let changes = sets + unset.map { .unset($0) }
        for change in changes {
            let name =
                switch change {
                case .set(let name, _), .unset(let name): name
                }
            guard named.insert(name).inserted else { throw ValidationError("'\(name)' is named twice") }
        }
        return changes
    }

    func run() async throws {
        let changes = try changes()
        try await connection.withClient { client in
            try await client.admin.alterTopicConfigs(topic, changes, validateOnly: dryRun)
            if connection.json {
                return Terminal.print(
                    JSON.object([
                        ("name", .string(topic)), ("executed", .bool(!dryRun)),
                        (
                            "changes",
                            .object(
                                changes.map { change in
                                    switch change {
                                    case .set(let name, let value): (name, .string(value))
                                    case .unset(let name): (name, .null)
                                    }
                                })
                        ),
                    ]).pretty)
            }
            let texts = changes.map { change in
                switch change {
                case .set(let name, let value): "\(name)=\(value)"
                case .unset(let name): "\(name) back to its default"
                }
            }
            Terminal.print("\(dryRun ? "Would change" : "Changed") topic \(topic): \(texts.joined(separator: ", ")).")
        }
    }
}

struct TopicTrim: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trim", abstract: "Delete a topic's oldest records.",
        discussion: """
            Shows the plan; --execute does it. What is trimmed is gone for everybody.

            Examples:
              godwit topic trim events --before-time 2026-11-01
              godwit topic trim events --partition 0 --before-offset 1200 --execute
            """)

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(help: ArgumentHelp("The first offset that stays.", valueName: "offset"))
    var beforeOffset: Int64?

    @Option(help: ArgumentHelp("Records of this time or later stay (UTC without a zone).", valueName: "time"))
    var beforeTime: Instant?

    @Option(name: [.short, .long], help: "A partition; may be given several times (default: all).")
    var partition: [Int32] = []

    @Flag(help: "Do it.")
    var execute = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        try validateTopic(topic)
        guard (beforeOffset == nil) != (beforeTime == nil) else {
            throw ValidationError("say --before-offset or --before-time, one of them")
        }
        if let beforeOffset, beforeOffset < 0 { throw ValidationError("--before-offset counts from 0") }
    }

    func run() async throws {
        try await connection.withClient { client in
            guard let found = try await client.admin.describeTopics([topic]).first else { return }
            for index in partition where !found.partitions.contains(where: { $0.index == index }) {
                throw ClientError.invalid("topic '\(topic)' has no partition \(index)")
            }
            let places = found.partitions.map(\.index).filter { partition.isEmpty || partition.contains($0) }
                .map { TopicPartition(topic: topic, partition: $0) }
            let earliest = try await client.admin.offsets(places, .earliest)
            let latest = try await client.admin.offsets(places, .latest)
            var goals: [TopicPartition: Int64] = [:]
            if let beforeTime {
                goals = try await client.admin.offsets(places, .timestamp(beforeTime.milliseconds))
            }
            var plan: [TrimStep] = []
            for place in places {
                guard let low = earliest[place], let high = latest[place] else {
                    throw ClientError.timedOut("the question for the ends of \(place)")
                }
                let goal = beforeOffset ?? goals[place] ?? low
                plan.append(TrimStep(place: place, from: low, to: min(max(goal, low), max(low, high))))
            }
            if execute {
                let wanted = plan.filter { $0.to > $0.from }.map { ($0.place, $0.to) }
                let begins = try await client.admin.deleteRecords(before: Dictionary(uniqueKeysWithValues: wanted))
                plan = plan.map { TrimStep(place: $0.place, from: $0.from, to: begins[$0.place] ?? $0.from) }
            }
            show(plan)
        }
    }

    private func show(_ plan: [TrimStep]) {
        let total = plan.reduce(0) { $0 + $1.to - $1.from }
        if connection.json {
            return Terminal.print(
                JSON.object([
                    ("name", .string(topic)), ("executed", .bool(execute)), ("offsets", .integer(total)),
                    (
                        "partitions",
                        .array(
                            plan.map { step in
                                .object([
                                    ("index", .int(step.place.partition)), ("from", .integer(step.from)),
                                    ("to", .integer(step.to)),
                                ])
                            })
                    ),
                ]).pretty)
        }
        var table = Table(
            ("PARTITION", .right), (execute ? "BEGAN AT" : "BEGINS AT", .right),
            (execute ? "BEGINS AT" : "WOULD BEGIN AT", .right), ("OFFSETS GONE", .right))
        for step in plan {
            table.add("\(step.place.partition)", "\(step.from)", "\(step.to)", "\(step.to - step.from)")
        }
        Terminal.print(table.text)
        if execute {
            Terminal.print("Trimmed \(grouped(total)) offsets from topic \(topic).")
        } else {
            Terminal.note("Nothing has been deleted. --execute deletes \(grouped(total)) offsets.")
        }
    }
}

/// What a trim does to one partition.
private struct TrimStep {
    let place: TopicPartition
    /// Where it begins.
    let from: Int64
    /// Where it is to begin.
    let to: Int64
}
