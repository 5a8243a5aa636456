// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A steady acks=all load of librdkafka (Clients/load.py) and the history of what it was promised.
final class SteadyLoad {
    let topic: String
    let partitions: Int
    private let history: URL
    private let process: ChildProcess
    private unowned let cluster: TestCluster

    /// What the consistency checker found in the log.
    struct Verdict: Decodable {
        let acked: Int
        let unknown: Int
        let read: Int
        let broken: [String: Int]
        let examples: [String]
    }

    struct Progress {
        var acked = 0
        var failed = 0
        var perPartition: [Int] = []
    }

    /// - Parameter rate: records a second, over all partitions.
    init(_ cluster: TestCluster, topic: String, partitions: Int, rate: Int = 1000, size: Int = 256) throws {
        self.cluster = cluster
        self.topic = topic
        self.partitions = partitions
        history = cluster.place.freshFile("history")
        process = try cluster.place.start(
            [
                Workplace.python, Workplace.script("load.py"), "--bootstrap", cluster.bootstrap, "--topic", topic,
                "--partitions", "\(partitions)", "--history", history.path, "--rate", "\(rate)", "--size", "\(size)",
            ], hasInput: true)
        try waitForAcknowledgements("at the beginning")
    }

    /// As the last whole line of the load's output has it.
    var progress: Progress {
        let text = process.outputText
        guard let end = text.lastIndex(of: "\n"),
            let line = text[..<end].split(separator: "\n").last(where: { $0.hasPrefix("acked ") })
        else { return Progress() }
        let numbers = line.split(separator: " ").compactMap { Int($0) }
        guard numbers.count == 2 + partitions else { return Progress() }
        return Progress(acked: numbers[0], failed: numbers[1], perPartition: Array(numbers.dropFirst(2)))
    }

    /// Waits until every partition has acknowledged `count` more records than now.
    func waitForAcknowledgements(_ when: String, more count: Int = 20, upTo patience: Double = 30) throws {
        let before = progress.perPartition
        var now = Progress()
        try wait(
            for: "\(count) more acknowledged records in each partition \(when); acknowledged \(before), now \(now)",
            upTo: patience
        ) {
            guard process.isRunning else { throw Unfulfilled("the load has ended\n\(process.tail(20))") }
            now = progress
            guard now.perPartition.count == partitions else { return false }
            return now.perPartition.indices.allSatisfy {
                now.perPartition[$0] >= (before.isEmpty ? 0 : before[$0]) + count
            }
        }
    }

    /// Ends the load. Returns its last progress and the longest time between two acknowledgements, in milliseconds.
    @discardableResult
    func stop() throws -> (progress: Progress, longestGap: Double) {
        process.closeInput()
        let code = try process.waitForEnd(upTo: 60)
        guard code == 0 else { throw Unfulfilled("the load ended with \(code)\n\(process.tail(20))") }
        let last = process.outputText.split(separator: "\n").last ?? ""
        let gap = last.split(separator: " ").last.flatMap { Double($0) }
        return (progress, try #require(gap, "the load said nothing at its end: \(last)"))
    }

    /// Reads the topic back: everything acknowledged is there, once, at its offset; nothing else is.
    func requireNothingLost(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let child = try cluster.place.start([
            Workplace.python, Workplace.script("consistency.py"), "--bootstrap", cluster.bootstrap, "--topic", topic,
            "--partitions", "\(partitions)", "--history", history.path,
        ])
        let code = try child.waitForEnd(upTo: 150)
        guard let verdict = try? JSONDecoder().decode(Verdict.self, from: Data(child.outputText.utf8)) else {
            throw Unfulfilled("the topic could not be checked (\(code))\n\(child.tail(20))")
        }
        let examples = verdict.examples.joined(separator: "\n")
        for (rule, count) in verdict.broken.sorted(by: { $0.key < $1.key }) {
            try #require(
                count == 0, "\(rule): \(count) of \(verdict.acked) acknowledged\n\(examples)",
                sourceLocation: sourceLocation)
        }
        try #require(verdict.acked > 0, "nothing was acknowledged", sourceLocation: sourceLocation)
        try #require(code == 0, "\(child.tail(20))", sourceLocation: sourceLocation)
    }
}
