// SPDX-License-Identifier: Apache-2.0
import GodwitClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension LocalCluster {
    /// Starts a killed node again, once its process is gone.
    ///
    /// - Parameter command: how; `{id}` stands for the node's id. This program with the local cluster's configuration
    ///   when `nil`.
    mutating func revive(_ node: Int32, command: String?) async throws {
        while !isGone(node) { try await Task.sleep(for: .milliseconds(10)) }
        let configuration = "cluster-configs/local/node\(node).yaml"
        guard command != nil || access(configuration, R_OK) == 0 else {
            throw Flaw(
                description: "node \(node) was killed and stays down: there is no \(configuration) here; "
                    + "say how it is started with --restart-command, or leave it with --no-restart")
        }
        let own = "'\(CommandLine.executablePath)' node --config cluster-configs/local/node{id}.yaml"
        try restart(node, command: command ?? own)
    }
}

/// Waits until every replica of the topic is in sync.
func waitUntilInSync(_ client: KafkaClient, _ name: String, patience: Span) async throws {
    let start = monotonicSeconds()
    let patience = max(60, patience.seconds)
    while true {
        let topic = try? await client.admin.describeTopics([name]).first
        let lacking = topic?.partitions.count { $0.leader == nil || $0.inSync.count < $0.replicas.count }
        if lacking == 0 { return }
        guard monotonicSeconds() - start < patience else {
            throw ClientError.timedOut("that all replicas of \(name) are in sync again")
        }
        try await Task.sleep(for: .milliseconds(50))
    }
}

extension CommandLine {
    /// The file that this process runs.
    static var executablePath: String {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
        guard count > 0 else { return arguments.first ?? "godwit" }
        return String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
