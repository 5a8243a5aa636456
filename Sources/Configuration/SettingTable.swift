// SPDX-License-Identifier: Apache-2.0

public import Settings

extension NodeConfiguration {
    /// What `--explain` prints: every setting with its default, bounds and meaning.
    ///
    /// - Parameter settings: shows these values beside the defaults.
    public static func table(of settings: NodeSettings? = nil) -> String {
        var header = ["setting", "default", "legal values", "change"]
        if settings != nil { header.insert("value", at: 1) }
        var rows = [header]
        for declaration in SettingDeclaration.all {
            var row = [
                declaration.name, declaration.isRequired ? "(required)" : shown(declaration.initialText),
                declaration.boundsText, declaration.change.rawValue,
            ]
            if let settings { row.insert(shown(declaration.text(in: settings)), at: 1) }
            rows.append(row)
        }
        let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            row.enumerated().map { column, text in
                text + String(repeating: " ", count: widths[column] - text.count)
            }.joined(separator: "  ")
        }
        let summaries = ["meaning"] + SettingDeclaration.all.map(\.summary)
        return zip(lines, summaries).map { "\($0)  \($1)" }.joined(separator: "\n")
            + "\n\nEach can be set in the file, as a variable (node.id is \(variable(of: "node.id"))) or as a flag.\n"
    }

    private static func shown(_ text: String) -> String { text.isEmpty ? "(none)" : text }
}
