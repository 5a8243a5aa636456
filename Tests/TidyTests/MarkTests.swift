// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Coverage marks: each stands at one place, and a test says by its name that it leads there.
@Suite struct MarkTests {
    private static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func texts(of folder: String) throws -> [String] {
        let place = root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(atPath: place.path()) else { return [] }
        return try walk.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.sorted()
            .map { try String(contentsOf: place.appending(path: $0), encoding: .utf8) }
    }

    /// The marks of the code, as often as they stand there; what is said of them in comments is left out.
    private static func marks() throws -> [String] {
        try texts(of: "Sources").flatMap { text in
            text.split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("//") }
                .flatMap { $0.matches(of: /Mark\.hit\("([^"]+)"\)/).map { String($0.output.1) } }
        }
    }

    @Test func eachMarkStandsAtOnePlace() throws {
        let marks = try Self.marks()
        #expect(marks.count >= 10)
        #expect(Set(marks).count == marks.count)
    }

    @Test func eachMarkIsNamedByATest() throws {
        let tests = try Self.texts(of: "Tests").filter { $0.contains("hasHit(") }.joined()
        for mark in try Self.marks() { #expect(tests.contains("\"\(mark)\""), "no test names \(mark)") }
    }
}
