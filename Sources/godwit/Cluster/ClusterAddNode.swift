// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import GodwitClient
import LogModel
import Settings

struct ClusterAddNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add-node", abstract: "Write the configuration file of a node that is to join the cluster.",
        discussion: """
            Asks the running cluster for its nodes, chooses an id that none has, and writes the file for the new
            machine. Nothing changes in the cluster until the node is started there: then it registers itself by any one
            of the seeds. It gets new partitions at once, and its share of the old ones by `godwit cluster rebalance`.

            Examples:
              godwit cluster add-node --host node4.example.org
              godwit cluster add-node --host 10.0.0.4 --id 7 --rack zone-2 --output node7.yaml
            """)

    @Option(help: "The name or address by which clients and the other nodes reach the new machine.")
    var host: String

    @Option(help: "The node's id (the first one above all others when not given).")
    var id: Int32?

    @Option(help: "The rack, or zone, that it stands in.")
    var rack: String?

    @Option(help: ArgumentHelp("Where its data will lie.", valueName: "directory"))
    var data = "/var/lib/godwit"

    @Option(help: "Where Kafka clients are answered.")
    var kafkaPort: UInt16 = 9092

    @Option(help: "Where the other nodes are answered.")
    var peerPort: UInt16 = 19092

    @Option(
        name: [.short, .long], help: ArgumentHelp("The file to write (node<id>.yaml; - prints it).", valueName: "file"))
    var output: String?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        let text = host.contains(":") && !host.hasPrefix("[") ? "[\(host)]:1" : "\(host):1"
        guard let address = NetworkAddress(setting: text), !address.isWildcard else {
            throw ValidationError("--host '\(host)' is nothing that can be connected to")
        }
        guard kafkaPort != 0, peerPort != 0, kafkaPort != peerPort else {
            throw ValidationError("--kafka-port and --peer-port must differ, and neither may be 0")
        }
        if let id, id < 0 { throw ValidationError("--id is a number from 0 on") }
    }

    func run() async throws {
        try await connection.withClient { client in
            let cluster = try await client.admin.describeCluster()
            let quorum = try await client.admin.describeQuorum()
            let taken = Set(cluster.nodes.map(\.id) + quorum.replicas.map(\.id))
            if let id, taken.contains(id) {
                Terminal.note("Node \(id) is there already; the ids in use are \(Self.list(taken)).")
                throw ExitCode.failure
            }
            guard !quorum.peers.isEmpty else {
                Terminal.note("The cluster does not say where its nodes listen for each other.")
                throw ExitCode.failure
            }
            let next = id ?? (taken.max() ?? 0) + 1
            let plan = NewNode(
                id: next, host: host, rack: rack, data: data, kafkaPort: kafkaPort, peerPort: peerPort,
                seeds: quorum.peers.map { "\($0.address)" })
            try finish(plan)
        }
    }

    private func finish(_ plan: NewNode) throws {
        let file = output ?? "node\(plan.id).yaml"
        if connection.json { return Terminal.print(plan.json(file).pretty) }
        guard file != "-" else { return Terminal.print(plan.yaml) }
        let place = URL(filePath: file)
        guard !FileManager.default.fileExists(atPath: place.path()) else {
            Terminal.note("\(file) is there already: choose another --output.")
            throw ExitCode.failure
        }
        try Data((plan.yaml + "\n").utf8).write(to: place)
        Terminal.print(
            """
            Wrote \(file). Next:
              1. on the new machine: godwit node --config \(file)
              2. here:               godwit cluster status               (until node \(plan.id) is up)
              3. here:               godwit cluster rebalance --execute  (gives it its share of the partitions)
            """)
    }

    private static func list(_ ids: Set<Int32>) -> String { ids.sorted().map { "\($0)" }.joined(separator: ", ") }
}

/// The configuration of a node that is to join.
struct NewNode {
    var id: Int32
    var host: String
    var rack: String?
    var data: String
    var kafkaPort: UInt16
    var peerPort: UInt16
    /// Peer listeners of the cluster, each `host:port`.
    var seeds: [String]

    /// An address of the machine itself is listened on as it is; a name stands for whatever address it has there.
    private var listenHost: String {
        let plain = host.trimmingBrackets
        let isOwnMachine = plain == "localhost" || plain == "::1" || plain.hasPrefix("127.")
        return isOwnMachine ? plain : "0.0.0.0"
    }

    private func address(_ host: String, _ port: UInt16) -> String {
        "\(NetworkAddress(host: host.trimmingBrackets, port: port))"
    }

    /// Always in quotes, so that no word of YAML's own is among them.
    private func quoted(_ text: String) -> String {
        "'" + text.replacing("'", with: "''") + "'"
    }

    var yaml: String {
        var lines = [
            "# Node \(id), which joins a running cluster. All settings: godwit settings", "", "node:", "  id: \(id)",
            "  data: \(quoted(data))",
        ]
        if let rack { lines.append("  rack: \(quoted(rack))") }
        lines += [
            "", "kafka:", "  listen: \(quoted(address(listenHost, kafkaPort)))",
            "  advertise: \(quoted(address(host, kafkaPort)))", "", "peer:",
            "  listen: \(quoted(address(listenHost, peerPort)))",
            "  advertise: \(quoted(address(host, peerPort)))", "", "cluster:",
            "  # Peer listeners of nodes that are there, tried in turn until one answers.", "  seeds:",
        ]
        return (lines + seeds.map { "    - \(quoted($0))" }).joined(separator: "\n")
    }

    func json(_ file: String) -> JSON {
        .object([
            ("id", .int(id)), ("kafka", .string(address(host, kafkaPort))), ("peer", .string(address(host, peerPort))),
            ("seeds", .array(seeds.map { .string($0) })), ("file", .string(file)), ("yaml", .string(yaml)),
        ])
    }
}

extension String {
    /// An IPv6 address may come in brackets.
    fileprivate var trimmingBrackets: String {
        hasPrefix("[") && hasSuffix("]") ? String(dropFirst().dropLast()) : self
    }
}
