// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient

/// The one program: nodes and everything one does with them.
@main
struct Godwit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "godwit",
        abstract: "A replicated, partitioned log that speaks the Kafka protocol.",
        discussion: """
            Try it on one machine:
              godwit dev                                     one node, data in ./godwit-data
              godwit topic create events --partitions 6
              echo hello | godwit produce events
              godwit consume events --from beginning --exit-at-end

            Commands that talk to a cluster find it with --bootstrap or GODWIT_BOOTSTRAP (default 127.0.0.1:9092).
            All of them print JSON with --json. They end with 0, with 1 when something failed and with 64 when they
            were called wrongly.

            Completion for the shell: godwit --generate-completion-script bash|zsh|fish
            """,
        version: "0.1.0",
        subcommands: [
            NodeCommand.self, DevCommand.self, TopicCommand.self, ProduceCommand.self, ConsumeCommand.self,
            GroupCommand.self, ClusterCommand.self, LogCommand.self, BenchCommand.self, SettingsCommand.self,
        ])
}
