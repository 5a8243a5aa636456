// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

extension SystemTests {
    /// Disks that are full, and disks that fail (reliability.md F5, F6). No node is restarted.
    @Suite struct DiskTests {
        private static let partitions = 3

        /// Sends lines with kcat. Returns its exit code and its words.
        private func send(
            _ cluster: TestCluster, _ lines: Range<Int>, to topic: String, _ settings: String...
        ) throws -> (code: Int32, words: String) {
            let file = cluster.place.freshFile("lines")
            try Data(lines.map { "line \($0)\n" }.joined().utf8).write(to: file)
            let words = ["kcat", "-b", cluster.bootstrap, "-P", "-t", topic, "-p", "0", "-l", file.path]
            let child = try cluster.place.start(words + settings.flatMap { ["-X", $0] })
            return (try child.waitForEnd(upTo: 90), child.outputText + child.errorText)
        }

        private func lines(_ cluster: TestCluster, of topic: String) throws -> [Substring] {
            try cluster.place.run(
                "kcat", "-b", cluster.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q"
            ).split(separator: "\n")
        }

        private func leaderships(_ node: TestNode) -> Int { node.log.count { $0.contains("became leader") } }

        @Test(.enabled(if: OwnDisk.isAllowed, Comment(rawValue: OwnDisk.sentence)))
        func aNodeAloneWithAFullDiskServesWhatItHas() throws {
            var disk: OwnDisk?
            try withCluster(nodes: 1) { cluster in
                disk = try OwnDisk(cluster.place, for: try cluster.node(1), mebibytes: 128)
            } _: { cluster in
                let disk = try #require(disk)
                let node = try cluster.node(1)
                let pid = node.pid
                try cluster.createTopic("kept", replicas: 1)
                try cluster.createTopic("gone", replicas: 1)
                #expect(try send(cluster, 0..<1_000, to: "kept").code == 0)
                try disk.fill()
                // A client that does not try again is told, by an error that others try again on.
                var refused: (code: Int32, words: String) = (0, "")
                try wait(for: "a produce to be refused; it said \(refused)", lookingEvery: 50) {
                    refused = try send(
                        cluster, 0..<1, to: "gone", "retries=0", "enable.idempotence=false", "message.timeout.ms=8000")
                    return refused.code != 0
                }
                try #require(refused.words.contains("Disk error"), "\(refused)")
                // What is there can be read and deleted, and the metadata can be changed.
                try #require(try lines(cluster, of: "kept").count == 1_000)
                _ = try cluster.godwit("topic", "trim", "kept", "--before-offset", "400", "--execute")
                try #require(try lines(cluster, of: "kept").first == "line 400")
                _ = try cluster.godwit("topic", "delete", "gone")
                try cluster.createTopic("more", replicas: 1)
                try #require(try lines(cluster, of: "kept").count == 600)
                // One that tries again gets through when there is room.
                let file = cluster.place.freshFile("lines")
                try Data("at last\n".utf8).write(to: file)
                let patient = try cluster.place.start([
                    "kcat", "-b", cluster.bootstrap, "-P", "-t", "kept", "-p", "0", "-l", file.path,
                ])
                poll(nil, 0, 1_000)
                try #require(patient.isRunning, "\(patient.tail(10))")
                try disk.empty()
                try #require(try patient.waitForEnd(upTo: 30) == 0, "\(patient.tail(10))")
                try cluster.waitUntilWhole()
                try #require(try send(cluster, 0..<10, to: "more").code == 0)
                let kept = try lines(cluster, of: "kept")
                try #require(kept.count == 601 && kept.last == "at last")
                try #require(node.pid == pid)
            }
        }

        @Test(.enabled(if: OwnDisk.isAllowed, Comment(rawValue: OwnDisk.sentence)))
        func aFullDiskLosesItsLeadershipsAndNothingElse() throws {
            var disk: OwnDisk?
            try withCluster { cluster in
                disk = try OwnDisk(cluster.place, for: try cluster.node(1), mebibytes: 128)
            } _: { cluster in
                let disk = try #require(disk)
                let victim = try cluster.node(1)
                let pid = victim.pid
                try cluster.createTopic("steady", partitions: Self.partitions)
                try cluster.createTopic("trimmed", partitions: 1)
                #expect(try send(cluster, 0..<100, to: "trimmed").code == 0)
                let load = try SteadyLoad(cluster, topic: "steady", partitions: Self.partitions)
                try load.waitForAcknowledgements("before anything is wrong", more: 300)
                var led = [1]
                func isLed(by node: TestNode) -> Bool {
                    guard let topic = try? cluster.describe("steady") else { return false }
                    led = topic.partitions.compactMap(\.leader)
                    return led.count == Self.partitions && led.contains(node.id)
                }
                try wait(for: "node 1 to lead a partition; leaders are \(led)") { isLed(by: victim) }
                try disk.fill()
                try wait(for: "node 1 to lead nothing; leaders are \(led)", upTo: 15) {
                    !isLed(by: victim) && led.count == Self.partitions
                }
                try load.waitForAcknowledgements("while a disk is full", more: 300)
                // It is a member all the same: it takes part in what the metadata says.
                try cluster.createTopic("during", partitions: 2)
                _ = try cluster.godwit("topic", "trim", "trimmed", "--before-offset", "60", "--execute")
                try #require(try lines(cluster, of: "trimmed").count == 40)
                try wait(for: "node 1 to be seen to lag", lookingEvery: 100) {
                    try cluster.status().underReplicated > 0
                }
                // Not for a moment does it lead again, though it is the first of a partition's replicas.
                let before = leaderships(victim)
                try load.waitForAcknowledgements("while the disk stays full", more: 1_500)
                try #require(leaderships(victim) == before, "\(victim.tail)")
                try disk.empty()
                try cluster.waitUntilWhole()
                try #require(victim.pid == pid)
                try #require(!victim.log.contains { $0.contains("fenced") && !$0.contains("could not be opened") })
                try load.waitForAcknowledgements("after there was room again")
                try load.stop()
                try load.requireNothingLost()
                try cluster.waitUntilReplicasAgree()
            }
        }

        @Test(.enabled(if: SyncFailures.isAllowed, Comment(rawValue: SyncFailures.sentence)))
        func aNodeWhoseSyncsFailIsFencedAndComesBack() throws {
            var controls: [Int: SyncFailures] = [:]
            try withCluster { cluster in
                for node in cluster.nodes { controls[node.id] = try SyncFailures(cluster.place, for: node) }
            } _: { cluster in
                try cluster.createTopic("steady", partitions: Self.partitions)
                let load = try SteadyLoad(cluster, topic: "steady", partitions: Self.partitions)
                try load.waitForAcknowledgements("before anything is wrong", more: 300)
                let victim = try cluster.leader(of: "steady")
                let pid = victim.pid
                let syncs = try #require(controls[victim.id])
                try syncs.fail(next: .max)
                try wait(for: "a sync to fail", lookingEvery: 5) { syncs.failed > 0 }
                try wait(for: "node \(victim.id) to fence itself", upTo: 1, lookingEvery: 5) {
                    victim.log.contains { $0.contains("replica fenced") }
                }
                var led: [Int] = []
                try wait(for: "others to lead; leaders are \(led)", upTo: 10) {
                    guard let topic = try? cluster.describe("steady") else { return false }
                    led = topic.partitions.compactMap(\.leader)
                    return led.count == Self.partitions && !led.contains(victim.id)
                }
                try load.waitForAcknowledgements("while a disk fails", more: 300)
                let others = cluster.nodes.filter { $0.id != victim.id }
                // With one of the others gone, a majority would need the fenced one's vote, and its disk.
                try others[0].kill()
                poll(nil, 0, 500)
                let acknowledged = load.progress.acked
                let before = [victim, others[1]].map(leaderships)
                poll(nil, 0, 4_000)
                try #require(load.progress.acked == acknowledged)
                try #require([victim, others[1]].map(leaderships) == before)
                // The disk works again.
                try syncs.fail(next: 0)
                try load.waitForAcknowledgements("after the disk was well again", upTo: 60)
                try #require(victim.log.count { $0.contains("replica revived") } >= Self.partitions)
                try #require(victim.pid == pid)
                try others[0].start()
                try cluster.waitUntilWhole()
                // One failure, and everything after it works: that is how ext4 forgets what it could not write.
                try syncs.fail(next: 1)
                try wait(for: "a sync to fail", lookingEvery: 5) { syncs.failed > 0 }
                try load.waitForAcknowledgements("after one sync has failed", more: 300)
                try cluster.waitUntilWhole()
                try load.stop()
                try load.requireNothingLost()
                try cluster.waitUntilReplicasAgree()
                try #require(victim.pid == pid)
            }
        }
    }
}
