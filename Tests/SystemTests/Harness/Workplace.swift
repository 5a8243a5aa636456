// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A temporary folder with everything one test needs: the program, foreign clients, free ports.
///
/// The folder goes with the test, unless GODWIT_TEST_KEEP is set.
final class Workplace {
    let folder: URL
    private var count = 0

    init() throws {
        let parent = ProcessInfo.processInfo.environment["GODWIT_TEST_FOLDER"].map { URL(filePath: $0) }
        folder = (parent ?? FileManager.default.temporaryDirectory)
            .appending(path: "godwit-system-\(getpid())-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit {
        guard ProcessInfo.processInfo.environment["GODWIT_TEST_KEEP"] == nil else { return }
        try? FileManager.default.removeItem(at: folder)
    }

    /// The `godwit` under test: GODWIT_TEST_BINARY, else the one built beside the test bundle.
    static let godwit: String = {
        if let named = ProcessInfo.processInfo.environment["GODWIT_TEST_BINARY"] { return named }
        let places = [
            Bundle.main.bundleURL, Bundle.main.executableURL?.deletingLastPathComponent(),
            URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent(),
            Bundle.module.bundleURL.deletingLastPathComponent(),
        ]
        let found = places.compactMap { $0?.appending(path: "godwit").path }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
        return found ?? "godwit is not built beside the tests: set GODWIT_TEST_BINARY"
    }()

    /// A Python with the packages of Clients/requirements.txt; `make test` says which.
    static let python: String = {
        let environment = ProcessInfo.processInfo.environment
        let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return environment["GODWIT_TEST_PYTHON"] ?? repository.appending(path: ".build/venv/bin/python").path
    }()

    static func script(_ name: String) -> String {
        Bundle.module.bundleURL.appending(path: "Clients/\(name)").path
    }

    func file(_ name: String) -> URL { folder.appending(path: name) }

    /// A name that no file of this folder has yet.
    func freshFile(_ name: String) -> URL {
        count += 1
        return file("\(count)-\(name)")
    }

    /// Starts a program and leaves it running.
    func start(
        _ words: [String], in folder: URL? = nil, environment: [String: String] = [:], hasInput: Bool = false
    ) throws -> ChildProcess {
        let name = words.prefix(3).map { $0.split(separator: "/").last.map(String.init) ?? $0 }.joined(separator: " ")
        let program = try Self.path(of: words[0])
        return try ChildProcess(
            name, [program] + words.dropFirst(), output: freshFile("out"), errors: freshFile("err"),
            environment: environment, folder: folder, hasInput: hasInput)
    }

    /// Runs a program to its end and returns what it printed.
    /// - Throws: ``Unfulfilled`` with its last words when it fails, or does not end.
    @discardableResult
    func run(_ words: String..., upTo patience: Double = 90) throws -> String {
        let child = try start(words)
        let code = try child.waitForEnd(upTo: patience)
        guard code == 0 else {
            throw Unfulfilled("\(words.joined(separator: " ")) ended with \(code)\n\(child.tail(30))")
        }
        return child.outputText
    }

    /// Runs a program that is meant to fail. Returns its exit code and its words.
    func runFailing(_ words: [String], environment: [String: String] = [:]) throws -> (code: Int32, words: String) {
        let child = try start(words, environment: environment)
        let code = try child.waitForEnd(upTo: 60)
        return (code, child.outputText + child.errorText)
    }

    private static func path(of program: String) throws -> String {
        if program.contains("/") { return program }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        let found = path.split(separator: ":").map { "\($0)/\(program)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
        guard let found else { throw Unfulfilled("\(program) is not installed") }
        return found
    }

    /// Ports that nobody listens on, below those which the kernel gives to outgoing connections: a node that is down
    /// for a moment must find its own again.
    static func freePorts(_ count: Int) throws -> [Int] {
        for _ in 0..<200 {
            let first = Int.random(in: 1_100...2_900) * 10
            let block = Array(first..<(first + count))
            if block.allSatisfy(isFree) { return block }
        }
        throw Unfulfilled("no \(count) free ports were found")
    }

    static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // As a node does, past connections of a former owner that are still closing.
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

/// Every test below this suite runs by itself: each wants the machine's cores for its own nodes.
@Suite(.serialized) struct SystemTests {}
