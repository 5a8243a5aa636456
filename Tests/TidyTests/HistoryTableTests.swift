// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Tests/History.md, held against the tree: what it says of the tests must be true.
@Suite struct HistoryTableTests {
    private static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Every section and how many bugs of it are known (reliability.md §3.1 to §3.7).
    private static let counts = [("V", 20), ("C", 16), ("L", 19), ("M", 13), ("S", 16), ("R", 8), ("D", 17)]

    struct Row {
        var id: Substring
        var isMutant: Bool
        var answer: String
        /// `Suite.function`.
        var tests: [Substring]
    }

    private static func rows() throws -> [Row] {
        try text("Tests/History.md").split(separator: "\n").filter { $0.hasPrefix("| T-") }.map { line in
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.drop(while: \.isWhitespace)
            }
            let quoted = cells[4].split(separator: "`", omittingEmptySubsequences: false)
            let tests = quoted.indices.filter { $0 % 2 == 1 }.map { quoted[$0] }.filter { $0.contains("Tests.") }
            return Row(
                id: cells[1].prefix { !$0.isWhitespace }, isMutant: cells[2].hasPrefix("M"), answer: String(cells[4]),
                tests: tests)
        }
    }

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    private static func texts(of folder: String) throws -> [String] {
        let place = root.appending(path: folder).path()
        guard let walk = FileManager.default.enumerator(atPath: place) else { return [] }
        return try walk.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.sorted()
            .map { try text("\(folder)/\($0)") }
    }

    /// All names of bugs in a text.
    private static func ids(in text: String) -> Set<String> {
        Set(text.matches(of: /T-[A-Z][0-9]+/).map { String($0.output) })
    }

    @Test func everyBugStandsThereOnce() throws {
        let ids = try Self.rows().map { String($0.id) }
        #expect(Set(ids).count == ids.count)
        for (section, count) in Self.counts {
            let known = (1...count).map { "T-\(section)\($0)" }
            #expect(ids.filter { $0.hasPrefix("T-\(section)") } == known)
        }
    }

    @Test func everyTestThatIsNamedExists() throws {
        let tests = Set(try Self.texts(of: "Tests").flatMap(Self.functions))
        for row in try Self.rows() {
            #expect(!row.tests.isEmpty || row.answer.hasPrefix("Nothing to test: "), "\(row.id)")
            for name in row.tests {
                let exists = tests.contains(String(name))
                #expect(exists, "\(row.id): there is no \(name)")
            }
        }
    }

    /// All functions in a file, as `Type.function`; of types that begin at a line's beginning.
    private static func functions(in text: String) -> [String] {
        var type: Substring = ""
        return text.split(separator: "\n").compactMap { line in
            var words = line.split(separator: " ")[...]
            if line.first != " ",
                let place = words.firstIndex(where: { ["struct", "class", "extension"].contains($0) })
            {
                type = words.dropFirst(place + 1).first?.prefix { $0.isLetter || $0.isNumber } ?? ""
            }
            guard let place = words.firstIndex(of: "func") else { return nil }
            words = words[(place + 1)...]
            return words.first.map { "\(type).\($0.prefix { $0.isLetter || $0.isNumber })" }
        }
    }

    @Test func everyBugThatIsNamedIsInTheTable() throws {
        let known = Set(try Self.rows().map { String($0.id) })
        for folder in ["Tests", "Sources"] {
            for text in try Self.texts(of: folder) {
                let strangers = Self.ids(in: text).subtracting(known).sorted()
                #expect(strangers.isEmpty)
            }
        }
    }

    @Test func everyMutantIsMarkedAndEveryMarkHasOne() throws {
        var mutants: Set<String> = []
        for text in try Self.texts(of: "Sources") {
            mutants.formUnion(text.matches(of: /isActive\("(T-[A-Z][0-9]+)/).map { String($0.output.1) })
        }
        let marked = Set(try Self.rows().filter(\.isMutant).map { String($0.id) })
        #expect(mutants == marked)
        #expect(mutants.count >= 40)
    }
}
