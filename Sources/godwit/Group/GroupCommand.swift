// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import KafkaWire

struct GroupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "group",
        abstract: "Look at consumer groups, and change where they go on.",
        discussion: """
            Examples:
              godwit group list
              godwit group describe billing
              godwit group lag billing
              godwit group why billing                                       what it waits for, and what comes next
              godwit group seek billing --topic orders --to-earliest         shows the plan
              godwit group seek billing --topic orders --to-earliest --execute
              godwit group delete billing --execute
            """,
        subcommands: [
            GroupListCommand.self, GroupDescribe.self, GroupLag.self, GroupWhy.self, GroupSeek.self, GroupDelete.self,
        ])
}

struct GroupListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the groups.")

    @Option(help: ArgumentHelp("Only groups in this state; may be given several times.", valueName: "state"))
    var state: [String] = []

    @Option(help: ArgumentHelp("Only groups of this protocol: classic or consumer.", valueName: "type"))
    var type: [String] = []

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let found = try await client.admin.listGroups(states: state, types: type)
            for (node, why) in found.missing { Terminal.note("Without the groups of node \(node): \(why)") }
            guard !connection.json else {
                return Terminal.print(
                    JSON.array(
                        found.groups.map { group in
                            .object([
                                ("group", .string(group.id)), ("type", .string(group.type)),
                                ("state", .string(group.state)), ("protocolType", .string(group.protocolType)),
                                ("coordinator", .int(group.coordinator)),
                            ])
                        }
                    ).pretty)
            }
            guard !found.groups.isEmpty else { return Terminal.note("There are no such groups.") }
            var table = Table(("GROUP", .left), ("TYPE", .left), ("STATE", .left), ("COORDINATOR", .right))
            for group in found.groups {
                table.add(group.id, group.type.isEmpty ? "-" : group.type, group.state, "\(group.coordinator)")
            }
            Terminal.print(table.text)
        }
    }
}

struct GroupDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show a group's members and what they read.")

    @Argument(help: "The group's name.")
    var group: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            guard let found = try await client.admin.describeGroups([group]).first else { return }
            guard !connection.json else { return Terminal.print(json(found).pretty) }
            var facts = ["type \(found.type)", "state \(found.state)", "coordinator \(found.coordinator)"]
            if let epoch = found.epoch { facts.append("epoch \(epoch)") }
            if !found.assignor.isEmpty { facts.append("assignor \(found.assignor)") }
            Terminal.print("Group \(found.id)  " + facts.joined(separator: "  "))
            guard !found.members.isEmpty else { return Terminal.print("It has no members.") }
            var table = Table(
                ("MEMBER", .left), ("CLIENT", .left), ("HOST", .left), ("EPOCH", .right), ("READS", .left),
                ("IS TO READ", .left))
            for member in found.members {
                let target = member.target.map { $0 == member.assigned ? "the same" : shortened($0) }
                table.add(
                    member.instanceID.map { "\(member.id) (\($0))" } ?? member.id, member.clientID, member.host,
                    member.epoch.map { "\($0)" } ?? "-", shortened(member.assigned), target ?? "-")
            }
            Terminal.print(table.text)
        }
    }

    private func json(_ found: GroupDescription) -> JSON {
        .object([
            ("group", .string(found.id)), ("type", .string(found.type)), ("state", .string(found.state)),
            ("protocolType", .string(found.protocolType)), ("assignor", .string(found.assignor)),
            ("epoch", .optional(found.epoch)), ("coordinator", .int(found.coordinator)),
            (
                "members",
                .array(
                    found.members.map { member in
                        .object([
                            ("id", .string(member.id)), ("instanceId", .optional(member.instanceID)),
                            ("clientId", .string(member.clientID)), ("host", .string(member.host)),
                            ("epoch", .optional(member.epoch)), ("classic", .bool(member.isClassic)),
                            ("subscription", .array(member.subscription.map { .string($0) })),
                            ("assigned", places(member.assigned)), ("target", member.target.map(places) ?? .null),
                        ])
                    })
            ),
        ])
    }

    private func places(_ places: [TopicPartition]) -> JSON {
        .array(places.map { .object([("topic", .string($0.topic)), ("partition", .int($0.partition))]) })
    }
}

struct GroupLag: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lag", abstract: "Show how far a group has come, and how much is left.")

    @Argument(help: "The group's name.")
    var group: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let committed = try await client.admin.fetchOffsets(group)
            let members = try await membersIfKnown(client, group)?.members ?? []
            let readers = Dictionary(
                members.flatMap { member in member.assigned.map { ($0, member) } },
                uniquingKeysWith: { first, _ in first })
            let places = Set(committed.keys).union(readers.keys)
                .sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
            guard !places.isEmpty else {
                throw ClientError.refused(.groupIDNotFound, subject: "group '\(group)'", message: nil)
            }
            let ends = try await client.admin.offsets(places, .latest, patience: 2000)
            let rows = places.map { place in
                LagRow(
                    place: place, committed: committed[place]?.offset, end: ends[place],
                    reader: readers[place].map { "\($0.clientID) \($0.host)" })
            }
            let total = rows.compactMap(\.lag).reduce(0, +)
            guard !connection.json else {
                return Terminal.print(
                    JSON.object([
                        ("group", .string(group)), ("lag", .integer(total)),
                        ("partitions", .array(rows.map(\.json))),
                    ]).pretty)
            }
            var table = Table(
                ("TOPIC", .left), ("PARTITION", .right), ("COMMITTED", .right), ("END", .right), ("LAG", .right),
                ("READER", .left))
            for row in rows {
                table.add(
                    row.place.topic, "\(row.place.partition)", row.committed.map { "\($0)" } ?? "-",
                    row.end.map { "\($0)" } ?? "-", row.lag.map { "\($0)" } ?? "-", row.reader ?? "-")
            }
            Terminal.print(table.text)
            Terminal.print("\(grouped(total)) records behind in all.")
        }
    }
}

/// One partition of `group lag`.
struct LagRow {
    let place: TopicPartition
    let committed: Int64?
    let end: Int64?
    let reader: String?

    /// `nil` when the group has no offset or the end is not known. Never below zero.
    var lag: Int64? {
        guard let committed, let end else { return nil }
        return max(0, end - committed)
    }

    var json: JSON {
        .object([
            ("topic", .string(place.topic)), ("partition", .int(place.partition)),
            ("committed", .optional(committed)), ("end", .optional(end)), ("lag", .optional(lag)),
            ("reader", .optional(reader)),
        ])
    }
}

struct GroupWhy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Say what a group waits for: who holds it up, since when, and what comes next.")

    @Argument(help: "The group's name.")
    var group: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let found = try await client.admin.explainGroup(group)
            Terminal.print(connection.json ? Self.json(found).pretty : Self.sentences(found))
        }
    }

    static func sentences(_ found: GroupExplanation) -> String {
        guard !found.waits.isEmpty else { return "Group \(found.groupID) is \(found.state). Nothing holds it up." }
        var lines = ["Group \(found.groupID) is \(found.state). It waits:"]
        for wait in found.waits {
            lines.append("")
            if !wait.memberID.isEmpty {
                lines.append("  \(wait.memberID)  client \(wait.clientID)  host \(wait.clientHost)")
            }
            lines.append("    why    \(wait.reason)")
            lines.append("    since  \(span(wait.sinceMilliseconds))")
            let due = wait.dueMilliseconds >= 0 ? " (in \(span(wait.dueMilliseconds)) at the latest)" : ""
            lines.append("    next   \(wait.next)\(due)")
        }
        return lines.joined(separator: "\n")
    }

    static func json(_ found: GroupExplanation) -> JSON {
        .object([
            ("group", .string(found.groupID)), ("state", .string(found.state)),
            ("protocolType", .string(found.protocolType)),
            (
                "waits",
                .array(
                    found.waits.map { wait in
                        .object([
                            ("member", .string(wait.memberID)), ("clientId", .string(wait.clientID)),
                            ("host", .string(wait.clientHost)), ("reason", .string(wait.reason)),
                            ("sinceMs", .integer(wait.sinceMilliseconds)), ("next", .string(wait.next)),
                            ("dueMs", wait.dueMilliseconds < 0 ? .null : .integer(wait.dueMilliseconds)),
                        ])
                    })
            ),
        ])
    }

    private static func span(_ milliseconds: Int64) -> String {
        switch milliseconds {
        case ..<1000: "\(milliseconds) ms"
        case ..<120_000: "\(decimal(Double(milliseconds) / 1000, 1)) s"
        default: "\(milliseconds / 60_000) min \(milliseconds % 60_000 / 1000) s"
        }
    }
}

struct GroupDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Forget groups without members, or their offsets of some topics.",
        discussion: """
            Shows what would be forgotten; --execute does it.

            Examples:
              godwit group delete billing --execute
              godwit group delete billing --topic orders --topic refunds:0,1 --execute
            """)

    @Argument(help: "The groups' names.")
    var groups: [String]

    @Option(
        help: ArgumentHelp(
            "Only the offsets of this topic; may be given several times.", valueName: "topic[:partitions]"))
    var topic: [PartitionChoice] = []

    @Flag(help: "Do it.")
    var execute = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if groups.isEmpty { throw ValidationError("name a group") }
    }

    func run() async throws {
        try await connection.withClient { client in
            var forgotten: [(String, [TopicPartition])] = []
            for group in groups {
                let known = try await client.admin.fetchOffsets(group).keys
                let members = try await membersIfKnown(client, group)
                if members == nil, known.isEmpty {
                    throw ClientError.refused(.groupIDNotFound, subject: "group '\(group)'", message: nil)
                }
                // Offsets of topics that are not subscribed to may go while the group works: the coordinator decides.
                if topic.isEmpty { try refuseIfActive(group, members, execute: execute) }
                let places = known.filter { place in topic.isEmpty || topic.contains { $0.covers(place) } }
                    .sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
                if execute {
                    if topic.isEmpty {
                        try await client.admin.deleteGroup(group)
                    } else {
                        try await client.admin.deleteOffsets(group, places)
                    }
                }
                forgotten.append((group, places))
            }
            show(forgotten)
        }
    }

    private func show(_ forgotten: [(String, [TopicPartition])]) {
        if connection.json {
            return Terminal.print(
                JSON.object([
                    ("executed", .bool(execute)),
                    (
                        "groups",
                        .array(
                            forgotten.map { group, places in
                                .object([("group", .string(group)), ("offsets", .int(places.count))])
                            })
                    ),
                ]).pretty)
        }
        for (group, places) in forgotten {
            let what = places.isEmpty ? "no offsets" : "the offsets of \(shortened(places))"
            let verb = execute ? "Deleted" : "Would delete"
            Terminal.print(
                topic.isEmpty ? "\(verb) group \(group) with \(what)." : "\(verb) from group \(group) \(what).")
        }
        if !execute { Terminal.note("Nothing has been changed. --execute does it.") }
    }
}

/// A group's description, or `nil` when there is none: it may still have offsets.
func membersIfKnown(_ client: KafkaClient, _ group: String) async throws -> GroupDescription? {
    do throws(ClientError) {
        return try await client.admin.describeGroups([group]).first
    } catch {
        guard case .refused(.groupIDNotFound, _, _) = error else { throw error }
        return nil
    }
}

/// A group's offsets cannot be changed under its members.
func refuseIfActive(_ group: String, _ found: GroupDescription?, execute: Bool) throws {
    guard let found, !found.members.isEmpty else { return }
    let names = found.members.prefix(5).map { "\($0.clientID) at \($0.host)" }
    let more = found.members.count > names.count ? " and \(found.members.count - names.count) more" : ""
    let count = found.members.count == 1 ? "an active member" : "\(found.members.count) active members"
    let text = "group '\(group)' has \(count): \(names.joined(separator: ", "))\(more)"
    guard execute else { return Terminal.note("Note that \(text). --execute would be refused.") }
    throw ClientError.invalid("\(text); stop them first, then try again")
}

/// Partitions as `orders:0-3,7 refunds:1`.
func shortened(_ places: [TopicPartition]) -> String {
    var parts: [String] = []
    for (topic, partitions) in Dictionary(grouping: places, by: \.topic).sorted(by: { $0.key < $1.key }) {
        var runs: [ClosedRange<Int32>] = []
        for partition in partitions.map(\.partition).sorted() {
            if let last = runs.last, last.upperBound + 1 == partition {
                runs[runs.count - 1] = last.lowerBound...partition
            } else {
                runs.append(partition...partition)
            }
        }
        let texts = runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        parts.append("\(topic):\(texts.joined(separator: ","))")
    }
    return parts.isEmpty ? "nothing" : parts.joined(separator: " ")
}
