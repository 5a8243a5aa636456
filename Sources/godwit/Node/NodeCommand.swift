// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Configuration
import Settings

#if canImport(Glibc)
    import Glibc
#endif

struct NodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node",
        abstract: "Run one node of a cluster.",
        discussion: """
            Settings come from the file, then from GODWIT_… variables (kafka.listen is GODWIT_KAFKA_LISTEN), then from
            --set; later ones win. `godwit settings` lists them all.

            Examples:
              godwit node --config cluster-configs/local/node1.yaml
              godwit node --config node.yaml --set log.level=debug --set node.shards=2
              godwit node --config node.yaml --explain        what each setting would be; starts nothing
            """)

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("The node's YAML file (GODWIT_CONFIG when not given).", valueName: "file"))
    var config: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("One setting; may be given several times.", valueName: "name=value"))
    var settings: [String] = []

    @Flag(help: "Print every setting with the value it would have, and end.")
    var explain = false

    func run() async throws {
        let environment = RunningNode.environment
        let loaded = try RunningNode.load(file: config ?? environment["GODWIT_CONFIG"], flags: settings, mode: .node)
        guard !explain else { return Terminal.print(NodeConfiguration.table(of: loaded)) }
        try await RunningNode.run(loaded)
    }
}
