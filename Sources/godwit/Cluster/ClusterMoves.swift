// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import KafkaWire

/// A move, and how far it is as far as its partition's leader says.
struct MoveReport {
    let move: Reassignment
    /// `nil` when the leader could not be asked.
    let seen: DescribeMovesResponse.Move?

    /// All that are under way.
    static func all(_ client: KafkaClient) async throws -> [MoveReport] {
        let moves = try await client.admin.listReassignments()
        let seen = try await client.admin.describeMoves(of: moves.map(\.place))
        return moves.map { MoveReport(move: $0, seen: seen[$0.place]) }
    }

    /// What share of the log the slowest new replica holds; `nil` when none is catching up.
    var share: Double? {
        seen?.replicas.map { replica in
            let length = replica.end - replica.start
            guard length > 0 else { return 1 }
            return Double(min(max(replica.match - replica.start, 0), length)) / Double(length)
        }.min()
    }

    var progress: String {
        guard let share, let bytes = seen?.logBytes else { return "-" }
        return "\(decimal(share * 100, 0)) % of \(byteText(bytes))"
    }

    var phase: String {
        guard let seen else { return "unknown" }
        return seen.phase.isEmpty ? "done" : seen.phase
    }

    var reason: String {
        guard let seen else { return "the partition's leader does not answer" }
        return seen.phase.isEmpty ? "the controller is being told" : seen.reason
    }

    var since: String {
        guard let seen, seen.sinceMilliseconds >= 0 else { return "-" }
        return "\(decimal(Double(seen.sinceMilliseconds) / 1000, 1)) s"
    }

    var nodes: String {
        let gone = move.removing.isEmpty ? "" : " from \(Self.list(move.removing))"
        return move.adding.isEmpty ? "back\(gone)" : "to \(Self.list(move.adding))\(gone)"
    }

    /// One line about the move.
    var line: String { "\(move.place) \(nodes): \(phase), \(progress), for \(since); \(reason)" }

    static func list(_ nodes: [Int32]) -> String { nodes.map { "\($0)" }.joined(separator: ",") }

    static func json(_ nodes: [Int32]) -> JSON { .array(nodes.map { .int($0) }) }

    var json: JSON {
        .object([
            ("topic", .string(move.place.topic)), ("partition", .int(move.place.partition)),
            ("replicas", Self.json(move.replicas)), ("adding", Self.json(move.adding)),
            ("removing", Self.json(move.removing)), ("phase", .string(phase)), ("waitsFor", .string(reason)),
            ("forMs", seen.map { .int($0.sinceMilliseconds) } ?? .null),
            ("logBytes", seen.map { .int($0.logBytes) } ?? .null),
            ("voters", seen.map { Self.json($0.voters) } ?? .null),
            ("outgoing", seen.map { Self.json($0.outgoing) } ?? .null),
            (
                "catchingUp",
                .array(
                    (seen?.replicas ?? []).map { replica in
                        .object([
                            ("node", .int(replica.id)), ("match", .int(replica.match)),
                            ("start", .int(replica.start)), ("end", .int(replica.end)),
                        ])
                    })
            ),
        ])
    }
}

/// `1234567` as `1.2 MB`.
func byteText(_ bytes: Int64) -> String {
    var value = Double(bytes)
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000 { return "\(decimal(value, unit == "B" ? 0 : 1)) \(unit)" }
        value /= 1000
    }
    return "\(decimal(value, 1)) TB"
}

struct ClusterMoves: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "moves",
        abstract: "Show the partitions that are being moved: how far each is, and what it waits for.")

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let moves = try await MoveReport.all(client)
            guard !connection.json else { return Terminal.print(JSON.array(moves.map(\.json)).pretty) }
            guard !moves.isEmpty else { return Terminal.note("Nothing is being moved.") }
            var table = Table(
                ("PARTITION", .left), ("TO", .left), ("FROM", .left), ("PHASE", .left), ("COPIED", .left),
                ("FOR", .right), ("WAITS FOR", .left))
            for move in moves {
                table.add(
                    "\(move.move.place)", MoveReport.list(move.move.adding), MoveReport.list(move.move.removing),
                    move.phase, move.progress, move.since, move.reason)
            }
            Terminal.print(table.text)
        }
    }
}

struct ClusterMove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Have partitions kept by the nodes you name.",
        discussion: """
            The first node becomes the preferred leader. With another number of nodes than before the partitions have
            another number of replicas afterwards. Returns once the cluster has taken the wish; `godwit cluster moves`
            shows how far it is.

            Examples:
              godwit cluster move orders --to 4,2,3
              godwit cluster move orders:0,2 --to 4,2,3
            """)

    @Argument(help: ArgumentHelp("Partitions: a topic, or topic:0,2,5-7.", valueName: "topic[:partitions]"))
    var choice: PartitionChoice

    @Option(help: ArgumentHelp("The nodes, the preferred leader first.", valueName: "nodes"))
    var to: String

    @OptionGroup var connection: ConnectionOptions

    func validate() throws { _ = try nodes() }

    private func nodes() throws -> [Int32] {
        try to.split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let node = Int32(part), node >= 0 else { throw ValidationError("--to wants node ids, like 4,2,3") }
            return node
        }
    }

    func run() async throws {
        let nodes = try nodes()
        try await connection.withClient { client in
            let known = try await client.admin.describeTopics([choice.topic]).flatMap(\.partitions)
            let indexes = choice.partitions ?? known.map(\.index)
            let wishes = Dictionary(
                indexes.map { (TopicPartition(topic: choice.topic, partition: $0), [Int32]?.some(nodes)) }
            ) { first, _ in first }
            let refused = try await client.admin.reassign(wishes)
            for (_, failure) in refused.sorted(by: { $0.key.partition < $1.key.partition }) {
                Terminal.note("godwit: \(failure)")
            }
            let taken = indexes.filter { refused[TopicPartition(topic: choice.topic, partition: $0)] == nil }
            if connection.json {
                Terminal.print(JSON.object([("taken", .array(taken.map { .int($0) }))]).pretty)
            } else if !taken.isEmpty {
                let count = taken.count == 1 ? "1 partition" : "\(taken.count) partitions"
                Terminal.print("\(count) of \(choice.topic) will be kept by \(MoveReport.list(nodes)).")
            }
            if !refused.isEmpty { throw ExitCode(1) }
        }
    }
}

struct ClusterCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Have partitions stay where they were before their moves began.",
        discussion: """
            With --all the evening out of the cluster is ended too, and nodes that are being emptied keep what they
            still have. Otherwise the controller would begin the moves anew.

            Examples:
              godwit cluster cancel orders:0,2
              godwit cluster cancel --all
            """)

    @Argument(help: ArgumentHelp("Partitions: a topic, or topic:0,2,5-7.", valueName: "topic[:partitions]"))
    var choices: [PartitionChoice] = []

    @Flag(help: "Cancel everything that is under way or planned.")
    var all = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard all != !choices.isEmpty else { throw ValidationError("name partitions, or say --all") }
    }

    func run() async throws {
        try await connection.withClient { client in
            if all { try await stopPlanning(client) }
            let moves = try await client.admin.listReassignments()
            let chosen = moves.map(\.place).filter { place in all || choices.contains { $0.covers(place) } }
            let wishes = Dictionary(chosen.map { ($0, [Int32]?.none) }) { first, _ in first }
            let refused = wishes.isEmpty ? [:] : try await client.admin.reassign(wishes)
            // One that has ended meanwhile, or was being cancelled already, is none to complain about.
            let failed = refused.filter { failure in
                guard case .refused(.noReassignmentInProgress, _, _) = failure.value else { return true }
                return false
            }
            let cancelled = chosen.filter { refused[$0] == nil }
            if connection.json {
                Terminal.print(
                    JSON.object([
                        ("cancelled", .array(cancelled.map { .string("\($0)") })),
                        ("failed", .array(failed.keys.map { "\($0)" }.sorted().map { .string($0) })),
                    ]).pretty)
            } else {
                Terminal.print(
                    cancelled.isEmpty
                        ? "Nothing was being moved."
                        : "Cancelled \(cancelled.count): \(cancelled.map { "\($0)" }.joined(separator: ", "))")
            }
            for (_, failure) in failed.sorted(by: { "\($0.key)" < "\($1.key)" }) { Terminal.note("godwit: \(failure)") }
            if !failed.isEmpty { throw ExitCode(1) }
        }
    }

    private func stopPlanning(_ client: KafkaClient) async throws {
        let now = try await client.admin.balance(.look)
        if now.isRebalancing { _ = try await client.admin.balance(.stopRebalancing, execute: true) }
        for node in now.nodes where node.isDraining {
            _ = try await client.admin.balance(.stopDraining, node: node.id, execute: true)
        }
    }
}
