// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import KafkaWire
import LogModel

struct TopicCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topic",
        abstract: "Create, list, describe, change, trim and delete topics.",
        discussion: """
            Examples:
              godwit topic create events --partitions 6 --replication-factor 3 --config retention.ms=86400000
              godwit topic list
              godwit topic describe events --json
              godwit topic add-partitions events --to 12
              godwit topic alter events --set retention.ms=3600000
              godwit topic trim events --before-time 2026-11-01
              godwit topic delete events
            """,
        subcommands: [
            TopicCreate.self, TopicList.self, TopicDescribe.self, TopicAddPartitions.self, TopicConfigs.self,
            TopicAlter.self, TopicTrim.self, TopicDelete.self,
        ])
}

struct TopicCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a topic.",
        discussion: """
            Returns when every partition has a leader, so that what comes next finds the topic ready.

            Examples:
              godwit topic create events
              godwit topic create events --partitions 6 --replication-factor 3
              godwit topic create events --config max.message.bytes=2097152 --if-not-exists
            """)

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(help: "How many partitions (default: the cluster's own).")
    var partitions: Int32?

    @Option(help: "On how many nodes each partition is kept (default: the cluster's own).")
    var replicationFactor: Int16?

    @Option(name: [.customShort("c"), .long], help: ArgumentHelp("A setting of the topic.", valueName: "name=value"))
    var config: [String] = []

    @Flag(help: "Be content when the topic exists.")
    var ifNotExists = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        _ = try configs()
        try validateTopic(topic)
        if let partitions, partitions < 1 { throw ValidationError("--partitions is at least 1") }
        if let replicationFactor, replicationFactor < 1 { throw ValidationError("--replication-factor is at least 1") }
    }

    private func configs() throws -> [(String, String)] {
        try config.map { entry in
            let sides = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty else {
                throw ValidationError("--config wants name=value, not '\(entry)'")
            }
            return (String(sides[0]), String(sides[1]))
        }
    }

    func run() async throws {
        let configs = try configs()
        try await connection.withClient { client in
            var isNew = true
            var id: TopicID?
            do {
                id = try await client.admin.createTopic(
                    topic, partitions: partitions ?? -1, replicationFactor: replicationFactor ?? -1, configs: configs)
            } catch let error as ClientError {
                guard ifNotExists, case .refused(.topicAlreadyExists, _, _) = error else { throw error }
                isNew = false
            }
            let made = try await waitForLeaders(client, topic, patience: connection.timeout)
            if connection.json {
                Terminal.print(
                    JSON.object([
                        ("name", .string(topic)), ("id", .optional((id ?? made.id).map(kafkaText))),
                        ("created", .bool(isNew)), ("partitions", .int(made.partitions.count)),
                        ("replicationFactor", .int(made.partitions.first?.replicas.count ?? 0)),
                    ]).pretty)
            } else {
                let count = made.partitions.count
                let copies = made.partitions.first?.replicas.count ?? 0
                Terminal.print(
                    "\(isNew ? "Created" : "Found") topic \(topic): \(count) partition\(count == 1 ? "" : "s"), "
                        + "\(copies) replica\(copies == 1 ? "" : "s") each.")
            }
        }
    }
}

struct TopicList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the topics.")

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let topics = try await client.admin.listTopics()
            guard !connection.json else {
                return Terminal.print(
                    JSON.array(
                        topics.map { topic in
                            .object([
                                ("name", .string(topic.name)), ("id", .optional(topic.id.map(kafkaText))),
                                ("partitions", .int(topic.partitions.count)),
                                ("replicationFactor", .int(topic.partitions.first?.replicas.count ?? 0)),
                                ("leaderless", .int(topic.partitions.count { $0.leader == nil })),
                            ])
                        }
                    ).pretty)
            }
            guard !topics.isEmpty else { return Terminal.note("There are no topics yet.") }
            var table = Table(("TOPIC", .left), ("PARTITIONS", .right), ("REPLICAS", .right), ("LEADERLESS", .right))
            for topic in topics {
                table.add(
                    topic.name, "\(topic.partitions.count)", "\(topic.partitions.first?.replicas.count ?? 0)",
                    "\(topic.partitions.count { $0.leader == nil })")
            }
            Terminal.print(table.text)
        }
    }
}

struct TopicDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show a topic's partitions, leaders, offsets and settings.")

    @Argument(help: "The topic's name.")
    var topic: String

    @OptionGroup var connection: ConnectionOptions

    func validate() throws { try validateTopic(topic) }

    func run() async throws {
        try await connection.withClient { client in
            guard let found = try await client.admin.describeTopics([topic]).first else { return }
            let led = found.partitions.filter { $0.leader != nil }
                .map { TopicPartition(topic: topic, partition: $0.index) }
            if led.count < found.partitions.count {
                Terminal.note("\(found.partitions.count - led.count) partitions have no leader at the moment.")
            }
            // Where a leader is lost in between, its offsets are left out after a moment, and not waited for.
            let earliest = try await client.admin.offsets(led, .earliest, patience: 2000)
            let latest = try await client.admin.offsets(led, .latest, patience: 2000)
            let configs = try await configsIfKnown(client)
            if connection.json {
                Terminal.print(json(found, configs, earliest, latest).pretty)
            } else {
                show(found, configs, earliest, latest)
            }
        }
    }

    private func configsIfKnown(_ client: KafkaClient) async throws -> [ConfigEntry] {
        do throws(ClientError) {
            return try await client.admin.topicConfigs(topic)
        } catch {
            if case .notSupported = error { return [] }
            throw error
        }
    }

    private func json(
        _ found: TopicDescription, _ configs: [ConfigEntry], _ earliest: [TopicPartition: Int64],
        _ latest: [TopicPartition: Int64]
    ) -> JSON {
        .object([
            ("name", .string(found.name)), ("id", .optional(found.id.map(kafkaText))),
            ("configs", .object(configs.map { ($0.name, .optional($0.value)) })),
            (
                "partitions",
                .array(
                    found.partitions.map { partition in
                        let place = TopicPartition(topic: topic, partition: partition.index)
                        return .object([
                            ("index", .int(partition.index)), ("leader", .optional(partition.leader)),
                            ("replicas", .array(partition.replicas.map { .int($0) })),
                            ("isr", .array(partition.inSync.map { .int($0) })),
                            ("leaderEpoch", .optional(partition.leaderEpoch)),
                            ("earliest", .optional(earliest[place])), ("latest", .optional(latest[place])),
                        ])
                    })
            ),
        ])
    }

    private func show(
        _ found: TopicDescription, _ configs: [ConfigEntry], _ earliest: [TopicPartition: Int64],
        _ latest: [TopicPartition: Int64]
    ) {
        Terminal.print("Topic \(found.name)" + (found.id.map { "  id \(kafkaText($0))" } ?? ""))
        let set = configs.filter { !$0.isDefault }
        if !set.isEmpty {
            Terminal.print("Settings: " + set.map { "\($0.name)=\($0.value ?? "(secret)")" }.joined(separator: ", "))
        }
        var table = Table(
            ("PARTITION", .right), ("LEADER", .right), ("REPLICAS", .left), ("IN SYNC", .left), ("EPOCH", .right),
            ("EARLIEST", .right), ("LATEST", .right))
        for partition in found.partitions {
            let place = TopicPartition(topic: topic, partition: partition.index)
            table.add(
                "\(partition.index)", partition.leader.map { "\($0)" } ?? "none",
                partition.replicas.map { "\($0)" }.joined(separator: ","),
                partition.inSync.map { "\($0)" }.joined(separator: ","),
                partition.leaderEpoch.map { "\($0)" } ?? "-", earliest[place].map { "\($0)" } ?? "-",
                latest[place].map { "\($0)" } ?? "-")
        }
        Terminal.print(table.text)
    }
}

struct TopicAddPartitions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add-partitions", abstract: "Give a topic more partitions.",
        discussion: """
            Records stay where they are; keys may go to other partitions from then on.

            Example:
              godwit topic add-partitions events --to 12
            """)

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(name: .customLong("to"), help: ArgumentHelp("How many there shall be in all.", valueName: "count"))
    var count: Int32

    @OptionGroup var connection: ConnectionOptions

    func validate() throws { try validateTopic(topic) }

    func run() async throws {
        try await connection.withClient { client in
            try await client.admin.addPartitions(topic, upTo: count)
            let made = try await waitForLeaders(client, topic, patience: connection.timeout, count: Int(count))
            if connection.json {
                Terminal.print(
                    JSON.object([("name", .string(topic)), ("partitions", .int(made.partitions.count))]).pretty)
            } else {
                Terminal.print("Topic \(topic) has \(made.partitions.count) partitions now.")
            }
        }
    }
}

struct TopicConfigs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "configs", abstract: "Show a topic's settings.")

    @Argument(help: "The topic's name.")
    var topic: String

    @OptionGroup var connection: ConnectionOptions

    func validate() throws { try validateTopic(topic) }

    func run() async throws {
        try await connection.withClient { client in
            let configs = try await client.admin.topicConfigs(topic)
            if connection.json {
                return Terminal.print(
                    JSON.array(
                        configs.map { config in
                            .object([
                                ("name", .string(config.name)), ("value", .optional(config.value)),
                                ("default", .bool(config.isDefault)), ("readOnly", .bool(config.isReadOnly)),
                            ])
                        }
                    ).pretty)
            }
            var table = Table(("SETTING", .left), ("VALUE", .left), ("FROM", .left))
            for config in configs {
                table.add(config.name, config.value ?? "(secret)", config.isDefault ? "default" : "set")
            }
            Terminal.print(table.text)
        }
    }
}

struct TopicDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete topics with all their records.")

    @Argument(help: "The topics' names.")
    var topics: [String]

    @OptionGroup var connection: ConnectionOptions

    func validate() throws { for topic in topics { try validateTopic(topic) } }

    func run() async throws {
        try await connection.withClient { client in
            for topic in topics { try await client.admin.deleteTopic(topic) }
            if connection.json {
                Terminal.print(JSON.object([("deleted", .array(topics.map { .string($0) }))]).pretty)
            } else {
                for topic in topics { Terminal.print("Deleted topic \(topic).") }
            }
        }
    }
}

func validateTopic(_ name: String) throws {
    do {
        _ = try TopicName(name)
    } catch {
        throw ValidationError("'\(name)': \(error)")
    }
}

/// Finds a topic, with leaders or without: producing and consuming wait for those themselves. A node may not have heard
/// of a new topic yet, so a missing one is asked for again for a moment.
func findTopic(_ client: KafkaClient, _ topic: String, patience: Span) async throws -> TopicDescription {
    let start = monotonicSeconds()
    while true {
        do throws(ClientError) {
            if let found = try await client.admin.describeTopics([topic]).first { return found }
        } catch {
            guard case .refused(.unknownTopicOrPartition, _, _) = error,
                monotonicSeconds() - start < min(2, patience.seconds)
            else { throw error }
        }
        try await Task.sleep(for: .milliseconds(50))
    }
}

/// Waits until every partition of a topic has a leader, and says so when that takes a while.
func waitForLeaders(
    _ client: KafkaClient, _ topic: String, patience: Span, count: Int = 1
) async throws -> TopicDescription {
    let start = monotonicSeconds()
    var hasSaidSo = false
    while true {
        let found: TopicDescription?
        do throws(ClientError) {
            found = try await client.admin.describeTopics([topic]).first
        } catch {
            // A node that has not heard of the new topic yet.
            guard case .refused(.unknownTopicOrPartition, _, _) = error, monotonicSeconds() - start < patience.seconds
            else { throw error }
            found = nil
        }
        let leaderless = found?.partitions.count { $0.leader == nil } ?? count
        if let found, leaderless == 0, found.partitions.count >= count { return found }
        let waited = monotonicSeconds() - start
        guard waited < patience.seconds else {
            throw ClientError.timedOut("\(topic): a leader for \(leaderless) partitions")
        }
        if waited > 1, !hasSaidSo {
            hasSaidSo = true
            Terminal.note("Waiting for leaders of \(leaderless) partitions of \(topic) …")
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// A topic's id as Kafka's own tools print it: base64 with the URL alphabet, without padding.
func kafkaText(_ id: TopicID) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    var bytes: [UInt8] = []
    for half in [id.high, id.low] {
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: half >> shift)) }
    }
    return base64(bytes, alphabet)
}

func base64(_ bytes: [UInt8], _ alphabet: [Character]) -> String {
    var text = ""
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        var bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
        var digits: [Character] = []
        for _ in 0..<4 {
            digits.append(alphabet[bits & 63])
            bits >>= 6
        }
        text += String(digits.reversed().prefix(group.count + 1))
    }
    return text
}
