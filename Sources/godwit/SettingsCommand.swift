// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Settings

struct SettingsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings",
        abstract: "List the settings of a node: meaning, default, bounds.",
        discussion: """
            A node reads them from its YAML file, from GODWIT_… variables (kafka.listen is GODWIT_KAFKA_LISTEN) and
            from flags, each of which outdoes the one before.

            Examples:
              godwit settings
              godwit settings raft
              godwit settings --json
            """)

    @Argument(help: "Only settings whose names begin with this.")
    var prefix: String = ""

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let chosen = SettingDeclaration.all.filter { $0.name.hasPrefix(prefix) }
        guard !chosen.isEmpty else { throw ValidationError("no setting's name begins with '\(prefix)'") }
        if json {
            return Terminal.print(
                JSON.array(
                    chosen.map { setting in
                        .object([
                            ("name", .string(setting.name)), ("meaning", .string(setting.summary)),
                            ("default", .string(setting.initialText)), ("bounds", .string(setting.boundsText)),
                            ("change", .string("\(setting.change)")), ("required", .bool(setting.isRequired)),
                        ])
                    }
                ).pretty)
        }
        var table = Table(("SETTING", .left), ("DEFAULT", .left), ("BOUNDS", .left), ("MEANING", .left))
        for setting in chosen {
            let initial = setting.isRequired ? "(required)" : setting.initialText
            table.add(setting.name, initial, setting.boundsText, setting.summary)
        }
        Terminal.print(table.text)
    }
}
