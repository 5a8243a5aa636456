// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

extension SystemTests {
    /// Nodes come and go for good, and the metadata's voters follow.
    @Suite struct JoiningTests {
        /// So that no test waits for minutes until a node counts as gone.
        private static let settings = ["cluster.metadata.voter.patience: 3s"]

        private func waitForVoters(_ cluster: TestCluster, _ wanted: [Int], upTo patience: Double = 30) throws {
            var seen: [Int] = []
            try wait(for: "the voters \(wanted); they are \(seen)", upTo: patience, lookingEvery: 50) {
                seen = (try? cluster.metadataVoters()) ?? []
                return seen == wanted
            }
        }

        @Test func aFourthNodeJoinsByASeedUnderLoadAndTheFirstLeavesForGood() throws {
            try withCluster(settings: Self.settings) { cluster in
                try cluster.createTopic("steady", partitions: 6)
                let load = try SteadyLoad(cluster, topic: "steady", partitions: 6)
                let first = try cluster.node(1)
                let nobody = try Workplace.freePorts(1)[0]
                let seed = try cluster.node(2).peerPort
                let fourth = try cluster.addNode(4, seeds: [nobody, seed])
                try fourth.start()
                try cluster.waitUntilUp()
                try waitForVoters(cluster, [1, 2, 3])
                try load.waitForAcknowledgements("after node 4 joined")

                _ = try cluster.godwit("cluster", "rebalance", "--execute")
                let shared = try cluster.describe("steady").partitions
                try #require(shared.contains { $0.replicas.contains(4) }, "\(shared)")
                try cluster.waitUntilWhole()
                try load.waitForAcknowledgements("after node 4 was given partitions")

                _ = try cluster.godwit("cluster", "decommission", "1", "--execute")
                // It is told so, and ends by itself.
                try #require(try first.waitForEnd() == 0, "\(first.tail)")
                try #require(first.log.contains { $0.contains("node 1 was removed from the cluster") }, "\(first.tail)")
                cluster.retire(first)
                try cluster.waitUntilWhole()
                try #require(try cluster.status().nodes.map(\.id) == [2, 3, 4])
                try waitForVoters(cluster, [2, 3, 4])
                try load.waitForAcknowledgements("after node 1 left")
                // Nor is it let in again.
                try first.start()
                try #require(try first.waitForEnd() == 0, "\(first.tail)")

                let leader = try cluster.leader(of: "steady")
                try leader.kill()
                try load.waitForAcknowledgements("after node \(leader.id) was killed", upTo: 20)
                try leader.start()
                try cluster.waitUntilWhole()
                try load.stop()
                try load.requireNothingLost()
                try cluster.waitUntilReplicasAgree()
                try waitForVoters(cluster, [2, 3, 4])

                // The id is free for a node that has nothing.
                try cluster.takeBack(first, seeds: [fourth.peerPort])
                try first.start()
                try cluster.waitUntilUp()
                try #require(try cluster.status().nodes.map(\.id) == [1, 2, 3, 4])
            }
        }

        @Test func aVoterThatStaysAwayIsReplacedAndAllNodesMayRestart() throws {
            try withCluster(settings: Self.settings) { cluster in
                let fourth = try cluster.addNode(4, seeds: [try cluster.node(1).peerPort])
                try fourth.start()
                try cluster.waitUntilUp()
                let second = try cluster.node(2)
                try second.kill()
                try waitForVoters(cluster, [1, 3, 4])
                try second.start()
                try cluster.waitUntilUp()
                try waitForVoters(cluster, [1, 3, 4])
                // What they knew of each other must outlast them all, though one has only ever heard of a seed.
                for node in cluster.nodes { try node.kill() }
                for id in [3, 4] { try cluster.node(id).start() }
                try cluster.waitUntilUp()
                try cluster.createTopic("first", replicas: 2)
                for id in [1, 2] { try cluster.node(id).start() }
                try cluster.waitUntilUp()
                try waitForVoters(cluster, [1, 3, 4])
            }
        }

        @Test func aSecondNodeOfTheSameIDIsRefusedOnBothSides() throws {
            try withCluster(settings: Self.settings) { cluster in
                let second = try cluster.node(2)
                let seeds = try [cluster.node(1), cluster.node(3)].map(\.peerPort)
                let twin = TestNode(
                    id: 2, kafkaPort: try Workplace.freePorts(1)[0], peerPort: try Workplace.freePorts(1)[0],
                    in: cluster.place.file("twin"))
                try FileManager.default.createDirectory(
                    at: cluster.place.file("twin"), withIntermediateDirectories: true)
                try twin.configure(seeds: seeds, settings: Self.settings)
                try twin.start()
                defer { twin.end() }
                try wait(for: "the second node to say why it waits\n\(twin.tail)") {
                    twin.log.contains { $0.contains("give this one another node.id") }
                }
                try wait(for: "the others to say whom they refuse") {
                    try [cluster.node(1), cluster.node(3)].contains { node in
                        node.log.contains { $0.contains("a second n2 was refused") }
                    }
                }
                try cluster.waitUntilWhole()
                // It does not get in either while the first one is away: it stands elsewhere.
                try second.kill()
                try wait(for: "the second node to be told of the first\n\(twin.tail)") {
                    twin.log.contains { $0.contains("has registered from") }
                }
                try second.start()
                try cluster.waitUntilWhole()
            }
        }

        @Test func aDamagedMetadataSnapshotIsNotTakenForNone() throws {
            try withCluster { cluster in
                try cluster.createTopic("kept", partitions: 3)
                let node = try cluster.node(3)
                try #require(try node.stop() == 0)
                let snapshot = node.data.appending(path: "metadata/snapshot")
                var bytes = try Data(contentsOf: snapshot)
                bytes[bytes.count / 2] ^= 0x04
                try bytes.write(to: snapshot)
                try node.start()
                try cluster.waitUntilWhole()
                try #require(node.log.contains { $0.contains("snapshot is set aside") }, "\(node.tail)")
                try #require(try cluster.describe("kept").partitions.count == 3)
            }
        }
    }
}
