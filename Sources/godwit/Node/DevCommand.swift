// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Configuration
import Settings

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev",
        abstract: "Run one node by itself, with no configuration.",
        discussion: """
            Clients connect to 127.0.0.1:9092; the data lies in ./godwit-data and is there again at the next start.

            Examples:
              godwit dev
              godwit dev --data /tmp/try --set kafka.listen=127.0.0.1:9192 --set peer.listen=127.0.0.1:19192
            """)

    @Option(help: ArgumentHelp("Where the data lies.", valueName: "directory"))
    var data: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("One setting; may be given several times.", valueName: "name=value"))
    var settings: [String] = []

    func run() async throws {
        var flags = settings
        if let data { flags.append("node.data=\(data)") }
        try await RunningNode.run(try RunningNode.load(file: nil, flags: flags, mode: .dev))
    }
}
