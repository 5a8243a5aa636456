// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Idempotent producers and a group of consumers, all librdkafka's, and the histories of what each was promised, read
/// and committed.
final class GroupWorkload {
    let topic: String
    let partitions: Int
    let group: String
    private unowned let cluster: TestCluster
    private var histories: [URL] = []
    private(set) var producers: [Client] = []
    private(set) var members: [Client] = []
    private var observer: ChildProcess?

    /// A producer or a consumer.
    final class Client {
        let name: String
        fileprivate let process: ChildProcess

        fileprivate init(_ name: String, _ process: ChildProcess) {
            self.name = name
            self.process = process
        }

        /// The number behind `word` in the last whole line that it printed; 0 before there is one.
        func figure(_ word: String) -> Int {
            let text = process.outputText
            guard let end = text.lastIndex(of: "\n"), let line = text[..<end].split(separator: "\n").last else {
                return 0
            }
            let words = line.split(separator: " ")
            guard let place = words.firstIndex(of: Substring(word)), place + 1 < words.count else { return 0 }
            return Int(words[place + 1]) ?? 0
        }

        fileprivate func requireAlive() throws {
            guard process.isRunning else { throw Unfulfilled("\(name) has ended\n\(process.tail(20))") }
        }

        /// Tells it to end and waits.
        func finish() throws {
            process.closeInput()
            let code = try process.waitForEnd(upTo: 60)
            guard code == 0 else { throw Unfulfilled("\(name) ended with \(code)\n\(process.tail(20))") }
        }
    }

    /// What group_history.py found.
    struct Verdict: Decodable {
        let acked: Int
        let failed: Int
        let stored: Int
        let read: Int
        let commits: Int
        let broken: [String: Int]
        let examples: [String]
    }

    init(_ cluster: TestCluster, topic: String, partitions: Int, group: String = "readers") throws {
        self.cluster = cluster
        self.topic = topic
        self.partitions = partitions
        self.group = group
        try cluster.createTopic(topic, partitions: partitions)
    }

    // What a node's death costs a client is its pause before the next try: by default up to ten seconds.
    private static let hasty = ["--set", "reconnect.backoff.max.ms=300"]

    private func start(_ name: String, _ words: [String]) throws -> ChildProcess {
        let history = cluster.place.freshFile("\(name).history")
        histories.append(history)
        let given = words.dropFirst() + ["--bootstrap", cluster.bootstrap, "--topic", topic, "--history", history.path]
        return try cluster.place.start(
            [Workplace.python, Workplace.script(words[0])] + given, hasInput: true)
    }

    @discardableResult
    func addProducer(rate: Int = 400, settings: [String] = []) throws -> Client {
        let number = producers.count
        let given = settings.flatMap { ["--set", $0] }
        let producer = Client(
            "producer \(number)",
            try start(
                "producer\(number)",
                ["sequence_load.py", "--producer", "\(number)", "--rate", "\(rate)"] + Self.hasty + given))
        producers.append(producer)
        return producer
    }

    /// - Parameters:
    ///   - instance: makes it a static member (KIP-345).
    ///   - stays: a static member that goes without leaving.
    @discardableResult
    func addMember(_ proto: String, instance: String? = nil, stays: Bool = false) throws -> Client {
        let name = "member\(members.count)"
        var words = ["group_member.py", "--group", group, "--member", name, "--protocol", proto] + Self.hasty
        if let instance { words += ["--instance", instance] }
        if stays { words.append("--stay") }
        let member = Client(name, try start(name, words))
        members.append(member)
        return member
    }

    /// Follows the group's committed offsets from now on.
    func watch() throws {
        observer = try start("observer", ["group_history.py", "watch", "--group", group])
    }

    private var running: [Client] { (producers + members).filter { $0.process.isRunning } }
    private var acked: Int { producers.reduce(0) { $0 + $1.figure("acked") } }
    private var read: Int { members.reduce(0) { $0 + $1.figure("read") } }

    /// Waits until the given members own all partitions between them, each at least one.
    func waitUntilShared(among owners: [Client], upTo patience: Double = 40) throws {
        var owned: [Int] = []
        try wait(for: "\(partitions) partitions shared by \(owners.count) members; they own \(owned)", upTo: patience) {
            for owner in owners { try owner.requireAlive() }
            owned = owners.map { $0.figure("owned") }
            return owned.reduce(0, +) == partitions && owned.allSatisfy { $0 > 0 }
        }
    }

    /// Waits until so many more records were acknowledged, and read by the group if there is one.
    func waitForProgress(_ when: String, more count: Int = 200, upTo patience: Double = 30) throws {
        let expected = running
        let before = (acked: acked, read: read)
        var now = before
        let reads = members.contains { $0.process.isRunning }
        try wait(
            for: "\(count) more records acknowledged\(reads ? " and read" : "") \(when); before \(before), now \(now)",
            upTo: patience
        ) {
            for client in expected { try client.requireAlive() }
            now = (acked, read)
            return now.acked >= before.acked + count && (!reads || now.read >= before.read + count)
        }
    }

    func finishProducers() throws {
        for producer in producers { producer.process.closeInput() }
        for producer in producers { try producer.finish() }
    }

    /// Waits until the group has committed the end of every partition.
    func waitUntilCaughtUp() throws {
        try cluster.python(
            "group_history.py", "settle", "--topic", topic, "--group", group, "--partitions", "\(partitions)",
            "--seconds", "60")
    }

    func finishMembers() throws {
        for member in members { member.process.closeInput() }
        for member in members { try member.finish() }
    }

    /// Reads the topic back and holds all histories against it.
    @discardableResult
    func requireSound(sourceLocation: SourceLocation = #_sourceLocation) throws -> Verdict {
        if let observer {
            observer.closeInput()
            try observer.waitForEnd(upTo: 30)
        }
        let child = try cluster.place.start(
            [
                Workplace.python, Workplace.script("group_history.py"), "check", "--bootstrap", cluster.bootstrap,
                "--topic", topic, "--partitions", "\(partitions)",
            ] + (members.isEmpty ? ["--no-group"] : []) + histories.map(\.path))
        let code = try child.waitForEnd(upTo: 150)
        guard let verdict = try? JSONDecoder().decode(Verdict.self, from: Data(child.outputText.utf8)) else {
            throw Unfulfilled("the topic could not be checked (\(code))\n\(child.tail(20))")
        }
        let examples = verdict.examples.joined(separator: "\n")
        for (rule, count) in verdict.broken.sorted(by: { $0.key < $1.key }) {
            try #require(count == 0, "\(rule): \(count)\n\(examples)", sourceLocation: sourceLocation)
        }
        try #require(code == 0, "\(child.tail(20))", sourceLocation: sourceLocation)
        try #require(verdict.acked > 0, "nothing was acknowledged", sourceLocation: sourceLocation)
        return verdict
    }
}
