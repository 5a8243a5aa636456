// SPDX-License-Identifier: Apache-2.0

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// One `godwit node` with its configuration file, its data and its log, through all its lives.
final class TestNode {
    let id: Int
    let kafkaPort: Int
    let peerPort: Int
    let configuration: URL
    let data: URL
    private let logFile: URL
    private var process: ChildProcess?
    /// The program that the node is started through, with its arguments: it must become the node.
    var starter: [String] = []
    /// Variables of the node's own.
    var environment: [String: String] = [:]
    /// How long the log was when the present life began, in bytes.
    private var lifeBegan = 0

    var address: String { "127.0.0.1:\(kafkaPort)" }

    init(id: Int, kafkaPort: Int, peerPort: Int, in folder: URL) {
        self.id = id
        self.kafkaPort = kafkaPort
        self.peerPort = peerPort
        configuration = folder.appending(path: "node\(id).yaml")
        data = folder.appending(path: "node\(id)")
        logFile = folder.appending(path: "node\(id).log")
    }

    /// - Parameter settings: lines of YAML beside the node's own.
    func configure(voters: [TestNode], settings: [String]) throws {
        try configure(["cluster.voters:"] + voters.map { "  - \($0.id)@127.0.0.1:\($0.peerPort)" } + settings)
    }

    /// - Parameter seeds: ports of peer listeners.
    func configure(seeds: [Int], settings: [String]) throws {
        try configure(["cluster.seeds:"] + seeds.map { "  - 127.0.0.1:\($0)" } + settings)
    }

    private func configure(_ others: [String]) throws {
        let lines =
            [
                "node.id: \(id)", "node.data: \(data.path)", "node.shards: 1", "kafka.listen: \(address)",
                "peer.listen: 127.0.0.1:\(peerPort)",
            ] + others
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: configuration)
    }

    var isRunning: Bool { process?.isRunning ?? false }
    var pid: pid_t? { isRunning ? process?.pid : nil }

    func start() throws {
        precondition(!isRunning, "node \(id) runs already")
        lifeBegan = (try? FileManager.default.attributesOfItem(atPath: logFile.path)[.size] as? Int) ?? 0
        process = try ChildProcess(
            "node \(id)", starter + [Workplace.godwit, "node", "--config", configuration.path], output: logFile,
            environment: environment)
    }

    /// SIGKILL, and waits until the process is gone.
    func kill() throws {
        process?.signal(SIGKILL)
        try process?.waitForEnd(upTo: 10)
    }

    /// Waits until it has ended by itself. Returns the exit code.
    func waitForEnd(upTo patience: Double = 20) throws -> Int32 { try process?.waitForEnd(upTo: patience) ?? 0 }

    /// SIGTERM, and waits. Returns the exit code.
    func stop() throws -> Int32 {
        process?.signal(SIGTERM)
        return try process?.waitForEnd(upTo: 40) ?? 0
    }

    func pause() { process?.signal(SIGSTOP) }
    func resume() { process?.signal(SIGCONT) }
    func end() { process?.end() }

    /// What the node has logged since it was last started.
    var log: [Substring] {
        guard let data = try? Data(contentsOf: logFile) else { return [] }
        return String(decoding: data.dropFirst(lifeBegan), as: UTF8.self).split(separator: "\n").map { $0 }
    }

    /// The content of each partition's log, its segments one after another, by the partition's folder.
    var logs: [String: Data] {
        let topics = visibleData.appending(path: "topics")
        let paths = FileManager.default.enumerator(atPath: topics.path)?.compactMap { $0 as? String } ?? []
        var logs: [String: Data] = [:]
        for path in paths.sorted() where path.hasSuffix(".log") {
            let segment = (try? Data(contentsOf: topics.appending(path: path))) ?? Data()
            logs[String(path.split(separator: "/")[0]), default: Data()] += segment
        }
        return logs
    }

    /// Its data as seen from here: a node with mounts of its own may have something else there.
    var visibleData: URL {
        guard let pid, !starter.isEmpty else { return data }
        return URL(filePath: "/proc/\(pid)/root\(data.path)")
    }

    var tail: String { process?.tail(25) ?? "" }

    /// Resident memory in bytes.
    var residentBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/\(process?.pid ?? 0)/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    var openSockets: Int {
        let folder = "/proc/\(process?.pid ?? 0)/fd"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.count { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + name)
            return target?.hasPrefix("socket:") ?? false
        }
    }
}
