// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// What `godwit cluster status --json` prints.
struct ClusterStatus: Decodable {
    struct Node: Decodable {
        let id: Int
        let alive: Bool
        /// Whether it votes in the metadata group.
        let voter: Bool?
    }

    let clusterId: String?
    let controller: Int?
    let nodes: [Node]
    let topics: Int
    let partitions: Int
    let leaderless: Int
    let underReplicated: Int
}

/// What `godwit topic describe --json` prints.
struct TopicStatus: Decodable {
    struct Partition: Decodable {
        let index: Int
        let leader: Int?
        let replicas: [Int]
        let isr: [Int]
        let leaderEpoch: Int?
        let earliest: Int?
        let latest: Int?
    }

    let name: String
    let id: String
    let configs: [String: String?]
    let partitions: [Partition]

    /// How the folders of its partitions' logs begin: its id in hexadecimal digits, which is in base 64 here.
    var folder: String {
        let plain = id.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        let bytes = Data(base64Encoded: plain + "==") ?? Data()
        return bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

/// Real nodes on loopback, and what a test asks of them.
final class TestCluster {
    let place: Workplace
    private(set) var nodes: [TestNode]
    /// Nodes that belong to the cluster no more.
    private(set) var retired: [TestNode] = []
    private let settings: [String]

    init(_ place: Workplace, nodes count: Int, settings: [String]) throws {
        self.place = place
        self.settings = settings
        let ports = try Workplace.freePorts(2 * count)
        nodes = (0..<count).map {
            TestNode(id: $0 + 1, kafkaPort: ports[$0], peerPort: ports[count + $0], in: place.folder)
        }
        for node in nodes { try node.configure(voters: nodes, settings: settings) }
    }

    var bootstrap: String { nodes.map(\.address).joined(separator: ",") }

    func node(_ id: Int) throws -> TestNode {
        try #require(nodes.first { $0.id == id }, "there is no node \(id)")
    }

    /// One more node, configured to join by the peer listeners on these ports.
    func addNode(_ id: Int, seeds: [Int]) throws -> TestNode {
        let ports = try Workplace.freePorts(2)
        let node = TestNode(id: id, kafkaPort: ports[0], peerPort: ports[1], in: place.folder)
        try node.configure(seeds: seeds, settings: settings)
        nodes.append(node)
        return node
    }

    /// Expects nothing of a node any more.
    func retire(_ node: TestNode) {
        nodes.removeAll { $0 === node }
        retired.append(node)
    }

    /// Has a retired node join again, as one that has nothing.
    func takeBack(_ node: TestNode, seeds: [Int]) throws {
        try FileManager.default.removeItem(at: node.data)
        try node.configure(seeds: seeds, settings: settings)
        retired.removeAll { $0 === node }
        nodes.append(node)
    }

    /// The nodes that vote in the metadata group, once it is known.
    func metadataVoters() throws -> [Int] { try status().nodes.filter { $0.voter == true }.map(\.id).sorted() }

    // MARK: Asking

    /// The program's answer, as JSON of the type that is asked for.
    func godwit<Answer: Decodable>(_ words: String..., as type: Answer.Type = Answer.self) throws -> Answer {
        let text = try godwit(words + ["--json"])
        return try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    func godwit(_ words: String...) throws -> String { try godwit(words) }

    private func godwit(_ words: [String]) throws -> String {
        let child = try place.start([Workplace.godwit] + words + ["--bootstrap", bootstrap])
        // Those about the whole cluster wait until all its moves are done.
        let code = try child.waitForEnd(upTo: words.first == "cluster" ? 240 : 60)
        guard code == 0 else {
            throw Unfulfilled("godwit \(words.joined(separator: " ")) ended with \(code)\n\(child.tail(10))")
        }
        return child.outputText
    }

    /// A command that must fail: its exit code and its words.
    func godwitFailing(_ words: String...) throws -> (code: Int32, words: String) {
        try place.runFailing([Workplace.godwit] + words + ["--bootstrap", bootstrap])
    }

    func status() throws -> ClusterStatus { try godwit("cluster", "status", "--timeout", "5s") }
    func describe(_ topic: String) throws -> TopicStatus { try godwit("topic", "describe", topic) }

    func createTopic(
        _ name: String, partitions: Int = 1, replicas: Int = 3, configs: [String: String] = [:]
    ) throws {
        var words = ["topic", "create", name, "--partitions", "\(partitions)", "--replication-factor", "\(replicas)"]
        for (name, value) in configs.sorted(by: { $0.key < $1.key }) { words += ["--config", "\(name)=\(value)"] }
        _ = try godwit(words)
        // The node that was asked knows of it; a client may meet one that has not heard yet, and kcat gives up then.
        for node in nodes where node.isRunning {
            try wait(for: "node \(node.id) to know of \(name)", lookingEvery: 20) {
                let child = try place.start(["kcat", "-b", node.address, "-L", "-t", name])
                let code = try child.waitForEnd(upTo: 30)
                return code == 0 && !child.outputText.contains("Unknown topic")
            }
        }
    }

    /// The node that leads a partition, once there is one among those that run.
    func leader(of topic: String, _ partition: Int = 0) throws -> TestNode {
        var found: TestNode?
        try wait(for: "a leader of \(topic)/\(partition)", lookingEvery: 50) {
            // While nodes come and go, a question may fail.
            guard let id = (try? describe(topic))?.partitions.first(where: { $0.index == partition })?.leader else {
                return false
            }
            found = nodes.first { $0.id == id && $0.isRunning }
            return found != nil
        }
        return try #require(found)
    }

    /// A clients' script of Clients/, run to its end.
    @discardableResult
    func python(_ script: String, _ words: String..., upTo patience: Double = 120) throws -> String {
        let child = try place.start(
            [Workplace.python, Workplace.script(script)] + words + ["--bootstrap", bootstrap])
        let code = try child.waitForEnd(upTo: patience)
        guard code == 0 else {
            throw Unfulfilled("\(script) \(words.joined(separator: " ")) ended with \(code)\n\(child.tail(40))")
        }
        return child.outputText
    }

    // MARK: Waiting

    /// Waits until the nodes that run know each other and every partition has a leader.
    func waitUntilUp(upTo patience: Double = 30) throws {
        let wanted = nodes.filter(\.isRunning).count
        var seen = "no answer yet"
        try wait(for: "\(wanted) nodes and a leader of every partition (\(seen))", upTo: patience, lookingEvery: 50) {
            for node in nodes where !node.isRunning && wanted == nodes.count {
                throw Unfulfilled("node \(node.id) has ended\n\(node.tail)")
            }
            do {
                let now = try status()
                seen = "\(now)"
                return now.controller != nil && now.leaderless == 0
                    && now.nodes.count { $0.alive } >= wanted
            } catch {
                seen = "\(error)"
                return false
            }
        }
    }

    /// Waits until the logs of all nodes are the same byte for byte. To be asked when nothing is produced any more.
    func waitUntilReplicasAgree(upTo patience: Double = 60) throws {
        var sizes: [Int] = []
        try wait(for: "the same logs on all nodes; they hold \(sizes) bytes", upTo: patience, lookingEvery: 100) {
            let logs = nodes.map(\.logs)
            sizes = logs.map { $0.values.reduce(0) { $0 + $1.count } }
            return logs.allSatisfy { $0 == logs[0] } && !logs[0].isEmpty
        }
    }

    /// Waits until every replica of every partition is in sync, so that the next failure is again the only one.
    func waitUntilWhole(upTo patience: Double = 60) throws {
        var seen = "no answer yet"
        try wait(for: "every replica in sync (\(seen))", upTo: patience, lookingEvery: 50) {
            guard let now = try? status() else { return false }
            seen = "\(now)"
            return now.leaderless == 0 && now.underReplicated == 0 && now.nodes.count { $0.alive } == nodes.count
        }
    }
}

/// Starts a cluster, gives it to `body`, and ends its processes whatever happens.
///
/// `body` throws on the first thing that is wrong (`#require`); then the last words of every node are part of the
/// failure.
/// - Parameter prepare: called before the nodes are started.
func withCluster(
    nodes count: Int = 3, settings: [String] = [], sourceLocation: SourceLocation = #_sourceLocation,
    preparedBy prepare: (TestCluster) throws -> Void = { _ in }, _ body: (TestCluster) throws -> Void
) throws {
    let cluster = try TestCluster(try Workplace(), nodes: count, settings: settings)
    defer { for node in cluster.nodes + cluster.retired { node.end() } }
    do {
        try prepare(cluster)
        for node in cluster.nodes { try node.start() }
        try cluster.waitUntilUp()
        try body(cluster)
    } catch {
        let tails = (cluster.nodes + cluster.retired).map(\.tail).joined(separator: "\n")
        Issue.record("\(error)\n\(tails)", sourceLocation: sourceLocation)
    }
}
