// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import KafkaWire

struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Look at the cluster as a whole, and change who keeps what.",
        discussion: """
            Examples:
              godwit cluster status
              godwit cluster status --json --bootstrap 127.0.0.1:9192
              godwit cluster add-node --host node4.example.org
              godwit cluster rebalance --execute
              godwit cluster decommission 4 --execute
              godwit cluster move orders:0,2 --to 4,2,3
              godwit cluster moves
              godwit cluster cancel orders:0,2
            """,
        subcommands: [
            ClusterStatus.self, ClusterMoves.self, ClusterMove.self, ClusterRebalance.self, ClusterDecommission.self,
            ClusterCancel.self, ClusterAddNode.self,
        ])
}

struct ClusterStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the nodes, what they keep, and what is not as it should be.")

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let report = try await Report(client)
            Terminal.print(connection.json ? report.json.pretty : report.text)
            if !connection.json, report.cluster.controller == nil {
                Terminal.note("The cluster has no controller at the moment.")
            }
        }
    }

    /// What there is to say about a cluster.
    private struct Report {
        let cluster: ClusterDescription
        /// What the controller adds; `nil` when it is no Godwit node, or there is none.
        let balance: BalanceClusterResponse?
        private let topics: Int
        private let partitions: Int
        private let leaderless: Int
        private let under: Int
        private var led: [Int32: Int] = [:]

        init(_ client: KafkaClient) async throws {
            cluster = try await client.admin.describeCluster()
            let listed = try await client.admin.listTopics()
            balance = cluster.controller == nil ? nil : try? await client.admin.balance(.look)
            let all = listed.flatMap(\.partitions)
            topics = listed.count
            partitions = all.count
            leaderless = all.count { $0.leader == nil }
            under = all.count { $0.inSync.count < $0.replicas.count }
            for partition in all {
                if let leader = partition.leader { led[leader, default: 0] += 1 }
            }
        }

        private func kept(by node: Int32) -> BalanceClusterResponse.Node? { balance?.nodes.first { $0.id == node } }

        private func state(of node: ClusterDescription.Node) -> String {
            let state = node.isAlive ? "up" : "down"
            return kept(by: node.id)?.isDraining == true ? "\(state), emptied" : state
        }

        var text: String {
            var table = Table(
                ("NODE", .right), ("ADDRESS", .left), ("RACK", .left), ("STATE", .left), ("REPLICAS", .right),
                ("LEADS", .right), ("METADATA", .left))
            for node in cluster.nodes {
                let kept = kept(by: node.id)
                let role = node.id == cluster.controller ? "controller" : kept?.isVoter == true ? "voter" : ""
                table.add(
                    "\(node.id)", "\(node.address)", node.rack ?? "-", state(of: node),
                    kept.map { "\($0.replicas)" } ?? "-", "\(led[node.id] ?? 0)", role)
            }
            var lines = ["Cluster \(cluster.clusterID ?? "without an id")", table.text]
            lines.append(
                "\(topics) topics, \(partitions) partitions, \(leaderless) without a leader, "
                    + "\(under) with fewer replicas in sync than they should have")
            if let balance {
                if balance.movingCount > 0 { lines.append("\(balance.movingCount) being moved: godwit cluster moves") }
                if balance.isRebalancing { lines.append("The cluster is being evened out.") }
                if balance.plannedCount > 0, balance.isRebalancing || balance.nodes.contains(where: \.isDraining) {
                    lines.append("\(balance.plannedCount) more moves will follow.")
                }
            }
            return lines.joined(separator: "\n")
        }

        var json: JSON {
            .object([
                ("clusterId", .optional(cluster.clusterID)), ("controller", .optional(cluster.controller)),
                ("nodes", .array(cluster.nodes.map(describe))),
                ("topics", .int(topics)), ("partitions", .int(partitions)), ("leaderless", .int(leaderless)),
                ("underReplicated", .int(under)), ("moving", .optional(balance?.movingCount)),
                ("planned", .optional(balance?.plannedCount)),
                ("rebalancing", balance.map { .bool($0.isRebalancing) } ?? .null),
            ])
        }

        private func describe(_ node: ClusterDescription.Node) -> JSON {
            let kept = kept(by: node.id)
            return .object([
                ("id", .int(node.id)), ("host", .string(node.address.host)), ("port", .int(node.address.port)),
                ("rack", .optional(node.rack)), ("alive", .bool(node.isAlive)), ("leads", .int(led[node.id] ?? 0)),
                ("replicas", .optional(kept?.replicas)), ("preferredLeaders", .optional(kept?.leaders)),
                ("draining", kept.map { .bool($0.isDraining) } ?? .null),
                ("voter", kept.map { .bool($0.isVoter) } ?? .null),
            ])
        }
    }
}
