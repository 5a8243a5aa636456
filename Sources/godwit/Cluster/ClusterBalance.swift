// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import KafkaWire

struct ClusterRebalance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebalance", abstract: "Even out replicas and leaders over the nodes.",
        discussion: """
            Says what would be moved, and does it with --execute. As few replicas as possible are copied, and
            partitions stay in as many racks as they are in. The cluster does the work by itself, a few moves at a time
            for each node: this command only watches, and may be interrupted. `godwit cluster cancel --all` ends it.

            Examples:
              godwit cluster rebalance
              godwit cluster rebalance --execute
            """)

    @Flag(help: "Do it.")
    var execute = false

    @Flag(help: "Do not wait until it is done.")
    var noWait = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let plan = try await client.admin.balance(.rebalance, execute: execute)
            guard execute else {
                return report(plan, connection, nothing: "The cluster is as even as it can be.")
            }
            guard !noWait else {
                return report(plan, connection, nothing: "There is nothing to move.")
            }
            Terminal.note("\(plan.plannedCount) partitions will be moved; this command may be interrupted.")
            let last = try await watch(client) { !$0.isRebalancing && $0.movingCount == 0 }
            report(last, connection, nothing: "The cluster is as even as it can be.")
        }
    }
}

struct ClusterDecommission: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decommission", abstract: "Empty a node, so that it can leave the cluster.",
        discussion: """
            Says what would be moved where, and does it with --execute. The node gets nothing new from then on, hands
            over what it leads, and gives up its replicas, a few at a time. The cluster does the work by itself: this
            command only watches, and may be interrupted. `godwit cluster cancel --all` ends it.

            Examples:
              godwit cluster decommission 4
              godwit cluster decommission 4 --execute
            """)

    @Argument(help: "The node's id.")
    var node: Int32

    @Flag(help: "Do it.")
    var execute = false

    @Flag(help: "Do not wait until the node is empty.")
    var noWait = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            let plan = try await client.admin.balance(.drain, node: node, execute: execute)
            guard execute else { return report(plan, connection, nothing: "Node \(node) keeps nothing.") }
            guard !noWait else { return report(plan, connection, nothing: "Node \(node) keeps nothing.") }
            Terminal.note("\(plan.plannedCount) replicas will leave node \(node); this command may be interrupted.")
            let last = try await watch(client) { state in
                guard let left = state.nodes.first(where: { $0.id == node }) else { return true }
                return left.replicas == 0
            }
            report(last, connection, nothing: "Node \(node) keeps nothing any more.")
        }
    }
}

/// Prints what is planned, or that there is nothing.
private func report(_ plan: BalanceClusterResponse, _ connection: ConnectionOptions, nothing: String) {
    if connection.json {
        func json(_ move: BalanceClusterResponse.Move) -> JSON {
            .object([
                ("topic", .string(move.topic)), ("partition", .int(move.partition)),
                ("from", MoveReport.json(move.from)), ("to", MoveReport.json(move.to)),
            ])
        }
        return Terminal.print(
            JSON.object([
                ("moving", .int(plan.movingCount)), ("rebalancing", .bool(plan.isRebalancing)),
                ("planned", .int(plan.plannedCount)), ("moves", .array(plan.planned.map(json))),
                ("stuck", .array(plan.stuck.map(json))),
            ]).pretty)
    }
    guard !plan.planned.isEmpty else { return Terminal.print(nothing) }
    var table = Table(("PARTITION", .left), ("FROM", .left), ("TO", .left), ("COPIES", .right))
    for move in plan.planned {
        let copies = move.to.count { !move.from.contains($0) }
        table.add(
            "\(move.topic)-\(move.partition)", MoveReport.list(move.from), MoveReport.list(move.to), "\(copies)")
    }
    Terminal.print(table.text)
    let left = Int(plan.plannedCount) - plan.planned.count
    if left > 0 { Terminal.print("… and \(left) more") }
    let copies = plan.planned.reduce(0) { sum, move in sum + move.to.count { !move.from.contains($0) } }
    Terminal.note("\(plan.plannedCount) partitions to be changed, \(copies) replicas to be copied for those shown.")
}

/// Says now and then what is going on, until it is over.
private func watch(
    _ client: KafkaClient, until isOver: (BalanceClusterResponse) -> Bool
) async throws -> BalanceClusterResponse {
    var lastSaid = -Double.infinity
    while true {
        let state = try await client.admin.balance(.look)
        if isOver(state) { return state }
        if monotonicSeconds() - lastSaid >= 2 {
            lastSaid = monotonicSeconds()
            let moves = try await MoveReport.all(client)
            Terminal.note("\(moves.count) under way, \(state.plannedCount) to follow")
            for move in moves.prefix(8) { Terminal.note("  \(move.line)") }
            if moves.count > 8 { Terminal.note("  … and \(moves.count - 8) more") }
        }
        try await Task.sleep(for: .milliseconds(250))
    }
}
