// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient

struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Look at the cluster as a whole.",
        discussion: """
            Examples:
              godwit cluster status
              godwit cluster status --json --bootstrap 127.0.0.1:9192
            """,
        subcommands: [ClusterStatus.self])
}

struct ClusterStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the nodes, and how many partitions lack a leader or a replica.")

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let cluster = try await client.admin.describeCluster()
            let topics = try await client.admin.listTopics()
            let partitions = topics.flatMap(\.partitions)
            let leaderless = partitions.count { $0.leader == nil }
            let under = partitions.count { $0.inSync.count < $0.replicas.count }
            if connection.json {
                return Terminal.print(json(cluster, topics.count, partitions.count, leaderless, under).pretty)
            }
            Terminal.print("Cluster \(cluster.clusterID ?? "without an id")")
            var led: [Int32: Int] = [:]
            for partition in partitions {
                if let leader = partition.leader { led[leader, default: 0] += 1 }
            }
            var table = Table(
                ("NODE", .right), ("ADDRESS", .left), ("RACK", .left), ("STATE", .left), ("LEADS", .right), ("", .left))
            for node in cluster.nodes {
                table.add(
                    "\(node.id)", "\(node.address)", node.rack ?? "-", node.isAlive ? "up" : "down",
                    "\(led[node.id] ?? 0)", node.id == cluster.controller ? "controller" : "")
            }
            Terminal.print(table.text)
            Terminal.print(
                "\(topics.count) topics, \(partitions.count) partitions, \(leaderless) without a leader, "
                    + "\(under) with fewer replicas in sync than they should have")
            if cluster.controller == nil { Terminal.note("The cluster has no controller at the moment.") }
        }
    }

    private func json(
        _ cluster: ClusterDescription, _ topics: Int, _ partitions: Int, _ leaderless: Int, _ under: Int
    ) -> JSON {
        .object([
            ("clusterId", .optional(cluster.clusterID)), ("controller", .optional(cluster.controller)),
            (
                "nodes",
                .array(
                    cluster.nodes.map { node in
                        .object([
                            ("id", .int(node.id)), ("host", .string(node.address.host)),
                            ("port", .int(node.address.port)),
                            ("rack", .optional(node.rack)), ("alive", .bool(node.isAlive)),
                        ])
                    })
            ),
            ("topics", .int(topics)), ("partitions", .int(partitions)), ("leaderless", .int(leaderless)),
            ("underReplicated", .int(under)),
        ])
    }
}
