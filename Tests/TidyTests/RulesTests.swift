// SPDX-License-Identifier: Apache-2.0

import Testing

/// Each rule finds the fault planted for it, and only where it applies.
@Suite struct RulesTests {
    private static let license = "// SPDX-License-Identifier: Apache-2.0\n"

    private func complaints(_ text: String, at path: String = "Sources/Broker/Dispatch.swift") -> [String] {
        Rules.complaints(path: path, text: Self.license + text)
    }

    @Test func aCleanFileIsNotComplainedOf() {
        #expect(complaints("import LogModel\n\nstruct Clean {\n    func nothing() {}\n}\n").isEmpty)
    }

    /// What is planted, by the name that a failure prints.
    private static let plants = [
        "a wide line": "let wide = \"" + String(repeating: "x", count: 120) + "\"",
        "unfinished work": "// TO" + "DO: later",
        "a forced try": "let value = try" + "! read()",
        "a forced cast": "let value = other as" + "! Int",
        "a stub": "func stub() { fatalError(\"not" + " implemented\") }",
        "an unjustified Sendable": "final class Box: @unchecked Sendable {}",
        "an unjustified global": "nonisolated(unsafe) var shared = 0",
        "a long function": "func long() {\n" + String(repeating: "    work()\n", count: 70) + "}",
        "a long file": String(repeating: "let x = 0\n", count: 601),
    ]

    @Test(arguments: plants.keys.sorted())
    func aPlantedFaultIsFoundOnce(_ name: String) throws {
        let text = try #require(Self.plants[name])
        #expect(complaints(text).count == 1, "\(complaints(text))")
    }

    @Test func aFileWithoutItsLicenseIsNamed() {
        #expect(Rules.complaints(path: "Sources/Broker/A.swift", text: "struct A {}\n").count == 1)
        let manifest = "// swift-tools-version: 6.2\n" + Self.license
        #expect(Rules.complaints(path: "Package.swift", text: manifest).isEmpty)
    }

    @Test func proseAndLiteralsAreNotCode() {
        #expect(complaints("// never write try" + "! or as" + "! here\nlet word = \"as" + "! x\"\n").isEmpty)
        #expect(complaints("/* try" + "! */ let text = \"\"\"\n  try" + "! {\n  \"\"\"\n").isEmpty)
        #expect(complaints("let nested = \"a \\(f(\"b\")) try" + "!\"\nlet raw = #\"\"as" + "! \"\"#\n").isEmpty)
    }

    @Test func aSafetyCommentJustifiesTheLineBelowIt() {
        let box = "final class A: @unchecked Sendable {}"
        #expect(complaints("// SAFETY: touched on the loop only,\n// never after close.\n" + box).isEmpty)
        #expect(!complaints("// SAFETY: said too far away.\n\n" + box).isEmpty)
    }

    @Test(arguments: [
        "import Foundation", "public import Glibc", "import struct Foundation.Data", "let t = ContinuousClock.now",
        "func f() async {}", "let n = Int.random(in: 0..<9)", "func f() { Task { } }",
    ])
    func aPureTargetTouchesNothing(_ line: String) {
        #expect(!complaints(line, at: "Sources/RaftCore/Log.swift").isEmpty)
        #expect(complaints(line).isEmpty)
    }

    @Test func aWordInsideAnotherIsNotThatWord() {
        let line = "func asynchronous(nowhere: Int) { asyncState.nowhere() }"
        #expect(complaints(line, at: "Sources/RaftCore/A.swift").isEmpty)
    }

    @Test func testsWaitForConditions() {
        let line = "try await Task." + "sleep(for: .seconds(1))"
        #expect(!complaints(line, at: "Tests/BrokerTests/A.swift").isEmpty)
        #expect(complaints(line).isEmpty)
    }

    @Test func aFileIsNamedAfterItsSubject() {
        #expect(complaints("", at: "Sources/Broker/TopicManager.swift").count == 1)
        #expect(complaints("", at: "Sources/Broker/TopicManagement.swift").isEmpty)
    }

    @Test(arguments: [
        "public final class TopicManager: Sendable {}", "enum StringUtils {}", "private struct FetchHelper<A> {}",
        "actor LogManager {}", "typealias Common = Int",
    ])
    func aTypeIsNamedAfterItsSubject(_ line: String) {
        #expect(complaints(line).count == 1, "\(complaints(line))")
    }

    @Test func aVagueWordElsewhereIsNoName() {
        #expect(complaints("let manager = FileManager.default\nclass func make() {}\nstruct CommonPrefix {}\n").isEmpty)
    }

    @Test(arguments: [
        ("Sources/LogModel/A.swift", "import Settings"), ("Sources/KafkaWire/A.swift", "import RecordBatches"),
        ("Sources/RaftCore/A.swift", "public import NIOCore"), ("Sources/MetadataCore/A.swift", "import RaftCore"),
        ("Sources/RecordBatches/A.swift", "import KafkaWire"), ("Sources/PeerWire/A.swift", "import NIOPosix"),
    ])
    func aPureTargetImportsOnlyWhatIsBelowIt(path: String, line: String) {
        #expect(complaints(line, at: path).count == 1, "\(complaints(line, at: path))")
        #expect(complaints("public import LogModel\n", at: "Sources/KafkaWire/A.swift").isEmpty)
    }

    @Test(arguments: ["/* SPDX-License-Identifier: Apache-2.0 */\nint x;\n", "# SPDX-License-Identifier: Apache-2.0\n"])
    func otherLanguagesHaveOnlyTheRulesOfShape(_ text: String) {
        for path in ["Sources/CCRC32C/helper_utils.c", "Tests/SystemTests/Clients/common.py"] {
            #expect(Rules.complaints(path: path, text: text + "async await try" + "! as" + "!\n").isEmpty)
            #expect(Rules.complaints(path: path, text: text + "TO" + "DO\n").count == 1)
            #expect(Rules.complaints(path: path, text: "int x;\n").count == 1)
        }
    }

    @Test func functionsAreMeasuredFromTheirFirstLineToTheirLastBrace() {
        let text = """
            protocol P {
                func a()
                init()
            }

            struct S {
                init(
                    a: Int
                ) {
                }
                func b() { if x { y() } }
            }
            """
        #expect(SourceText(text).functions.map(\.length) == [4, 1])
    }
}
