// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Reads the whole tree and holds it against the rules of the house.
@Suite struct TidyTests {
    private static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Paths of our own files, relative to the root, sorted; nothing that a build made.
    private static func files(under folders: [String], with suffixes: [String]) -> [String] {
        folders.flatMap { folder -> [String] in
            let place = root.appending(path: folder)
            guard let walk = FileManager.default.enumerator(atPath: place.path()) else { return [] }
            return walk.compactMap { $0 as? String }
                .filter { path in
                    suffixes.contains { path.hasSuffix($0) }
                        && !path.split(separator: "/").contains { $0.hasPrefix(".build") || $0 == "__pycache__" }
                }
                .map { "\(folder)/\($0)" }
        }
        .sorted()
    }

    /// What lies beside the targets: programs that run other programs, and the list of known bugs.
    private static let noTargets: Set<String> = ["Chaos", "Conformance", "History.md"]

    private static func targets(_ kind: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: root.appending(path: kind).path())
            .filter { !noTargets.contains($0) }.sorted()
    }

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// A merge that was not finished shows in documents too, which nothing compiles.
    @Test func noFileHasTheMarksOfAMerge() throws {
        let top = try FileManager.default.contentsOfDirectory(atPath: Self.root.path()).filter { $0.hasSuffix(".md") }
        try #require(!top.isEmpty)
        let below = Self.files(
            under: ["Sources", "Tests", "benchmarks", "cluster-configs", "scripts"],
            with: [".swift", ".c", ".h", ".py", ".java", ".md", ".sh", ".yaml", ".txt"])
        for path in top.sorted() + below {
            let marks = try Self.text(path).split(separator: "\n", omittingEmptySubsequences: false).filter { line in
                ["<<<<<<< ", ">>>>>>> "].contains { line.hasPrefix($0) }
            }
            #expect(marks.isEmpty, "\(path)")
        }
    }

    @Test func everyFileKeepsTheRules() throws {
        let swift = Self.files(
            under: ["Sources", "Tests", "benchmarks"], with: [".swift", ".c", ".h", ".py", ".java"])
        try #require(swift.count > 5, "the tree was not found under \(Self.root.path())")
        let complaints = try (["Package.swift"] + swift)
            .filter { FileManager.default.fileExists(atPath: Self.root.appending(path: $0).path()) }
            .flatMap { Rules.complaints(path: $0, text: try Self.text($0)) }
        let count = complaints.count
        #expect(count == 0, "\(complaints.joined(separator: "\n"))")
    }

    @Test func everyScriptStopsAtItsFirstFailure() throws {
        let folders = ["scripts", ".ci", "benchmarks", "Tests/Chaos", "Tests/Conformance"]
        for path in Self.files(under: folders, with: [".sh", "/run"]) {
            let text = try Self.text(path)
            let isStrict = text.contains("set -euo pipefail")
            let isLicensed = text.contains("SPDX-License-Identifier: Apache-2.0")
            #expect(isStrict, "\(path): say `set -euo pipefail`")
            #expect(isLicensed, "\(path): name the licence")
        }
    }

    @Test func noTargetIsEmpty() throws {
        for (kind, needed) in [("Sources", ["modulemap", ".swift", ".c"]), ("Tests", [".swift"])] {
            for target in try Self.targets(kind) {
                let files = Self.files(under: ["\(kind)/\(target)"], with: needed)
                let isEmpty = files.isEmpty
                #expect(!isEmpty, "\(kind)/\(target) holds nothing")
                if kind == "Tests", !isEmpty {
                    let texts = try files.map(Self.text)
                    let tests = texts.contains { $0.contains("@Test") }
                    #expect(tests, "\(kind)/\(target) tests nothing")
                }
            }
        }
    }

    @Test func everyTargetIsInTheManifestAndEveryPureOneExists() throws {
        let manifest = try Self.text("Package.swift")
        for kind in ["Sources", "Tests"] {
            for target in try Self.targets(kind) {
                let isNamed = manifest.contains("\"\(target)\"")
                #expect(isNamed, "\(kind)/\(target) is not in Package.swift: it is never built")
            }
        }
        for target in Rules.pureTargets.keys.sorted() {
            let exists = FileManager.default.fileExists(atPath: Self.root.appending(path: "Sources/\(target)").path())
            #expect(exists, "Rules.pureTargets names \(target), which is no target")
        }
    }

    @Test func nothingThatABuildMakesIsTracked() throws {
        guard FileManager.default.fileExists(atPath: Self.root.appending(path: ".git").path()) else { return }
        let git = Process()
        git.executableURL = URL(filePath: "/usr/bin/env")
        git.arguments = ["git", "-C", Self.root.path(), "ls-files"]
        let output = Pipe()
        git.standardOutput = output
        try git.run()
        let listed = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        git.waitUntilExit()
        try #require(git.terminationStatus == 0, "git ls-files failed")
        for path in listed.split(separator: "\n") {
            let parts = path.split(separator: "/")
            let built = parts.contains { $0.hasPrefix(".build") || $0 == "__pycache__" || $0 == "Package.resolved" }
            let binary = [".o", ".so", ".a", ".pyc", ".jar"].contains { path.hasSuffix($0) }
            #expect(!built && !binary, "\(path) is made by a build: take it out of git")
            let size = try? Self.root.appending(path: String(path)).resourceValues(forKeys: [.fileSizeKey]).fileSize
            #expect((size ?? 0) <= 1 << 20, "\(path) is larger than 1 MiB")
        }
    }
}
