// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

extension SystemTests {
    /// Partitions move under a steady acks=all load while nodes die.
    @Suite struct MoveTests {
        private static let partitions = 3

        /// What `godwit cluster moves --json` prints.
        private struct Move: Decodable {
            let topic: String
            let partition: Int
            let adding: [Int]
            let removing: [Int]
            let phase: String
            let waitsFor: String
        }

        private func moves(_ cluster: TestCluster) throws -> [Move] {
            try cluster.godwit("cluster", "moves", "--timeout", "10s")
        }

        /// Waits until nothing is being moved any more.
        private func waitUntilDone(_ cluster: TestCluster, upTo patience: Double = 60) throws {
            var seen = "no answer yet"
            try wait(for: "the moves to end (\(seen))", upTo: patience, lookingEvery: 100) {
                do {
                    let left = try moves(cluster)
                    seen = "\(left)"
                    return left.isEmpty
                } catch {
                    seen = "\(error)"
                    return false
                }
            }
        }

        private func replicas(_ cluster: TestCluster, _ partition: Int) throws -> [Int] {
            let found = try cluster.describe("steady").partitions.first { $0.index == partition }
            return try #require(found).replicas
        }

        /// Waits until the nodes know that a partition has been moved: the controller knows it before the others do.
        private func waitUntilPlaced(_ cluster: TestCluster, _ partition: Int, on nodes: [Int]) throws {
            var seen: [Int] = []
            try wait(for: "partition \(partition) to be kept by \(nodes); it is kept by \(seen)", upTo: 5) {
                seen = try replicas(cluster, partition)
                return seen == nodes
            }
        }

        private func move(_ cluster: TestCluster, _ partition: Int, to nodes: [Int]) throws {
            _ = try cluster.godwit(
                "cluster", "move", "steady:\(partition)", "--to", nodes.map { "\($0)" }.joined(separator: ","))
        }

        /// Waits until every partition lies on the nodes that are to keep it and nowhere else, the same byte for byte.
        private func waitUntilPlacesAgree(_ cluster: TestCluster) throws {
            let topic = try cluster.describe("steady")
            var placed: [String: Set<Int>] = [:]
            for partition in topic.partitions {
                placed["\(topic.folder)-\(partition.index)"] = Set(partition.replicas)
            }
            var seen = ""
            try wait(for: "each log where it belongs, the same everywhere (\(seen))", lookingEvery: 200) {
                seen = ""
                for (folder, nodes) in placed.sorted(by: { $0.key < $1.key }) {
                    var kept: [Int: Data] = [:]
                    for node in cluster.nodes { kept[node.id] = node.logs[folder] }
                    let sizes = kept.mapValues(\.count).sorted { $0.key < $1.key }
                    if Set(kept.keys) != nodes || Set(kept.values).count != 1 {
                        seen += " \(folder) on \(nodes.sorted()): \(sizes)"
                    }
                }
                return seen.isEmpty
            }
        }

        @Test func aPartitionMovesAwayFromALeaderThatIsKilledMeanwhile() throws {
            try withCluster(nodes: 4) { cluster in
                try cluster.createTopic("steady", partitions: Self.partitions)
                let load = try SteadyLoad(cluster, topic: "steady", partitions: Self.partitions)
                for partition in 0..<Self.partitions {
                    try load.waitForAcknowledgements("for there to be something to copy", more: 300)
                    let leader = try cluster.leader(of: "steady", partition)
                    let before = try replicas(cluster, partition)
                    let spare = try #require(cluster.nodes.first { !before.contains($0.id) })
                    let target = [spare.id] + before.filter { $0 != leader.id }
                    try move(cluster, partition, to: target)
                    try leader.kill()
                    try load.waitForAcknowledgements("after node \(leader.id), which led, was killed", upTo: 30)
                    try waitUntilDone(cluster)
                    try waitUntilPlaced(cluster, partition, on: target)
                    try leader.start()
                    try cluster.waitUntilWhole()
                }
                try load.waitForAcknowledgements("at the end")
                try load.stop()
                try load.requireNothingLost()
                try waitUntilPlacesAgree(cluster)
            }
        }

        @Test func allReplicasOfAPartitionAreReplacedAndItMovesBackAgain() throws {
            try withCluster(nodes: 5) { cluster in
                try cluster.createTopic("steady", partitions: Self.partitions)
                let load = try SteadyLoad(cluster, topic: "steady", partitions: Self.partitions)
                try load.waitForAcknowledgements("for there to be something to copy", more: 300)
                let before = try replicas(cluster, 0)
                let others = cluster.nodes.map(\.id).filter { !before.contains($0) }
                for target in [others, before, [before[2], others[0], others[1]]] {
                    try move(cluster, 0, to: target)
                    try waitUntilDone(cluster)
                    try waitUntilPlaced(cluster, 0, on: target)
                    try load.waitForAcknowledgements("after the move to \(target)")
                }
                // All of them die: who votes must be known from the log alone.
                for node in cluster.nodes { try node.kill() }
                for node in cluster.nodes { try node.start() }
                try cluster.waitUntilWhole()
                try load.waitForAcknowledgements("after all nodes were killed")
                try load.stop()
                try load.requireNothingLost()
                try waitUntilPlacesAgree(cluster)
            }
        }

        @Test func aMoveToANodeThatIsDownSaysWhatItWaitsForAndIsCancelled() throws {
            try withCluster(nodes: 4) { cluster in
                try cluster.createTopic("steady", partitions: Self.partitions)
                let load = try SteadyLoad(cluster, topic: "steady", partitions: Self.partitions)
                let before = try replicas(cluster, 0)
                let spare = try #require(cluster.nodes.first { !before.contains($0.id) })
                try spare.kill()
                try move(cluster, 0, to: [spare.id] + before.dropLast())
                var seen: [Move] = []
                try wait(for: "the move to say what it waits for; it says \(seen)", lookingEvery: 100) {
                    seen = (try? moves(cluster)) ?? []
                    return seen.contains { $0.phase == "catching up" && $0.waitsFor.contains("\(spare.id)") }
                }
                try #require(seen.map(\.adding) == [[spare.id]] && seen.map(\.removing) == [[before[2]]])
                try load.waitForAcknowledgements("while the move waits")
                _ = try cluster.godwit("cluster", "cancel", "steady:0")
                try waitUntilDone(cluster)
                try waitUntilPlaced(cluster, 0, on: before)
                try spare.start()
                try cluster.waitUntilWhole()
                try load.stop()
                try load.requireNothingLost()
                try waitUntilPlacesAgree(cluster)
            }
        }

        @Test func aNodeIsEmptiedThoughTheControllerDies() throws {
            try withCluster(nodes: 4) { cluster in
                try cluster.createTopic("steady", partitions: 12)
                let load = try SteadyLoad(cluster, topic: "steady", partitions: 12)
                try load.waitForAcknowledgements("for there to be something to copy", more: 50)
                let controller = try #require(try cluster.status().controller)
                let leaver = try #require(cluster.nodes.first { $0.id != controller })
                // Asked before: once a move has begun, the node that it goes to counts as one that keeps it.
                let shared = Set(
                    try cluster.describe("steady").partitions.filter { $0.replicas.contains(controller) }.map(\.index))
                _ = try cluster.godwit("cluster", "decommission", "\(leaver.id)", "--execute", "--no-wait")
                try cluster.node(controller).kill()
                try load.waitForAcknowledgements("after the controller was killed", upTo: 30)
                // Where the dead node is the only one that has no copy yet, the move waits for it.
                var left: [Int] = []
                func waitUntilEmpty(of partitions: (TopicStatus.Partition) -> Bool) throws {
                    try wait(for: "node \(leaver.id) to keep less; it keeps \(left)", upTo: 60, lookingEvery: 200) {
                        guard let topic = try? cluster.describe("steady") else { return false }
                        let kept = topic.partitions.filter { $0.replicas.contains(leaver.id) && partitions($0) }
                        left = kept.map(\.index)
                        return left.isEmpty
                    }
                }
                try waitUntilEmpty { shared.contains($0.index) }
                try cluster.node(controller).start()
                try waitUntilEmpty { _ in true }
                try waitUntilDone(cluster)
                // It leaves the cluster then, and ends.
                try #require(try leaver.waitForEnd(upTo: 60) == 0, "\(leaver.tail)")
                cluster.retire(leaver)
                try cluster.waitUntilWhole()
                try load.waitForAcknowledgements("at the end")
                try load.stop()
                try load.requireNothingLost()
            }
        }
    }
}
