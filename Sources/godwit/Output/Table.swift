// SPDX-License-Identifier: Apache-2.0

/// Rows under headings, columns aligned: numbers to the right, words to the left.
struct Table {
    enum Side { case left, right }

    private let headings: [(String, Side)]
    private var rows: [[String]] = []

    init(_ headings: (String, Side)...) { self.headings = headings }

    mutating func add(_ cells: String...) {
        precondition(cells.count == headings.count, "a row has one cell for each heading")
        rows.append(cells)
    }

    var text: String {
        var widths = headings.map(\.0.count)
        for row in rows {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        var lines = [line(headings.map(\.0), widths)]
        for row in rows { lines.append(line(row, widths)) }
        return lines.joined(separator: "\n")
    }

    private func line(_ cells: [String], _ widths: [Int]) -> String {
        var parts: [String] = []
        for (column, cell) in cells.enumerated() {
            let padding = String(repeating: " ", count: widths[column] - cell.count)
            parts.append(headings[column].1 == .left ? cell + padding : padding + cell)
        }
        var text = parts.joined(separator: "  ")
        while text.last == " " { text.removeLast() }
        return text
    }
}
