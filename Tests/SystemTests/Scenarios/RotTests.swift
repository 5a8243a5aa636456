// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

extension SystemTests {
    /// Bits change in the files of a node that is stopped.
    @Suite struct RotTests {
        private static let partitions = 2

        /// Flips a bit in the middle of each partition's first segment, and gives how many that were.
        private func rot(_ node: TestNode) throws -> Int {
            let topics = node.data.appending(path: "topics")
            var flipped = 0
            for folder in try FileManager.default.contentsOfDirectory(atPath: topics.path).sorted() {
                let path = topics.appending(path: folder + "/00000000000000000000.log")
                guard var content = try? Data(contentsOf: path), content.count > 4_096 else { continue }
                content[content.count / 2] ^= 8
                try content.write(to: path)
                flipped += 1
            }
            return flipped
        }

        private func verify(_ cluster: TestCluster, _ node: TestNode) throws -> (code: Int32, words: String) {
            let child = try cluster.place.start([Workplace.godwit, "log", "verify", node.data.path])
            return (try child.waitForEnd(upTo: 60), child.outputText + child.tail(20))
        }

        @Test func aNodeWhoseFilesHaveRottedRepairsThemUnderLoad() throws {
            let settings = ["storage.scrub.bytes.per.second: 67108864"]
            try withCluster(settings: settings) { cluster in
                try cluster.createTopic("rotten", partitions: Self.partitions)
                let load = try SteadyLoad(cluster, topic: "rotten", partitions: Self.partitions)
                try load.waitForAcknowledgements("to have something to rot", more: 500)
                let victim = try cluster.leader(of: "rotten")
                let refused = try verify(cluster, victim)
                try #require(refused.code == 64 && refused.words.contains("stop it first"), "\(refused)")
                try #require(try victim.stop() == 0)
                let sound = try verify(cluster, victim)
                try #require(sound.code == 0 && sound.words.contains("everything is sound"), "\(sound)")
                let flipped = try rot(victim)
                try #require(flipped == Self.partitions)
                let damaged = try verify(cluster, victim)
                try #require(damaged.code == 1 && damaged.words.contains("DAMAGED"), "\(damaged)")
                try victim.start()
                try wait(for: "\(flipped) repairs on node \(victim.id)", upTo: 90, lookingEvery: 200) {
                    victim.log.count { $0.contains("repaired") } >= flipped
                }
                try load.waitForAcknowledgements("after the repair")
                try cluster.waitUntilWhole()
                try load.stop()
                try load.requireNothingLost()
                try cluster.waitUntilReplicasAgree()
                try #require(try victim.stop() == 0)
                let repaired = try verify(cluster, victim)
                try #require(repaired.code == 0, "\(repaired)")
            }
        }
    }
}
