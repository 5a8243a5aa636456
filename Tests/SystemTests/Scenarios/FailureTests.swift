// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

extension SystemTests {
    /// Nodes die under a steady acks=all load; afterwards the log is compared with what the load was promised.
    @Suite struct FailureTests {
        private static let partitions = 3

        private func withLoad(_ body: (TestCluster, SteadyLoad) throws -> Void) throws {
            try withCluster { cluster in
                try cluster.createTopic("steady", partitions: Self.partitions)
                let load = try SteadyLoad(cluster, topic: "steady", partitions: Self.partitions)
                try body(cluster, load)
            }
        }

        @Test func tenKilledLeadersLoseNothing() throws {
            try withLoad { cluster, load in
                for round in 0..<10 {
                    let leader = try cluster.leader(of: "steady", round % Self.partitions)
                    try leader.kill()
                    try load.waitForAcknowledgements("after kill \(round + 1), of node \(leader.id)", upTo: 15)
                    try leader.start()
                    try cluster.waitUntilWhole()
                }
                try load.stop()
                try load.requireNothingLost()
                try cluster.waitUntilReplicasAgree()
            }
        }

        @Test func allThreeKilledAtOnceLoseNothing() throws {
            try withLoad { cluster, load in
                for round in 0..<2 {
                    for node in cluster.nodes { node.pause() }  // so that none sees another die
                    for node in cluster.nodes { try node.kill() }
                    for node in cluster.nodes { try node.start() }
                    try load.waitForAcknowledgements("after all three were killed, time \(round + 1)", upTo: 30)
                    try cluster.waitUntilWhole()
                }
                try load.stop()
                try load.requireNothingLost()
                try cluster.waitUntilReplicasAgree()
            }
        }

        @Test func aLeaderThatStopsForTenSecondsIsReplacedAndJoinsAgain() throws {
            try withLoad { cluster, load in
                let leader = try cluster.leader(of: "steady")
                leader.pause()
                let stopped = monotonicSeconds()
                try load.waitForAcknowledgements("while node \(leader.id) is stopped", upTo: 9.5)
                try wait(for: "ten seconds to be over") { monotonicSeconds() - stopped >= 10 }
                leader.resume()
                try cluster.waitUntilWhole()
                try load.waitForAcknowledgements("after node \(leader.id) went on")
                try load.stop()
                try load.requireNothingLost()
                try cluster.waitUntilReplicasAgree()
                // It is whole again only if the others can do without another node.
                let other = try #require(cluster.nodes.first { $0 !== leader })
                try other.kill()
                try load.requireNothingLost()
            }
        }

        @Test func aNodeWithoutItsDataIsRebuiltByItsPeers() throws {
            try withLoad { cluster, load in
                let leader = try cluster.leader(of: "steady")
                let follower = try #require(cluster.nodes.first { $0 !== leader })
                try load.waitForAcknowledgements("for the rebuilt node to fetch", more: 500)
                try follower.kill()
                try FileManager.default.removeItem(at: follower.data)
                try load.waitForAcknowledgements("while node \(follower.id) is down", more: 200)
                try follower.start()
                try cluster.waitUntilWhole()
                try load.waitForAcknowledgements("after node \(follower.id) was rebuilt")
                try load.stop()
                try load.requireNothingLost()
                try cluster.waitUntilReplicasAgree()
                // Of two nodes left, the rebuilt one is needed for every read.
                try leader.kill()
                try load.requireNothingLost()
            }
        }

        @Test func aCleanStopHandsLeadershipOverAndTheNextStartScansNothing() throws {
            try withLoad { cluster, load in
                for node in cluster.nodes {
                    let code = try node.stop()
                    try #require(code == 0, "node \(node.id) ended with \(code)\n\(node.tail)")
                    try load.waitForAcknowledgements("after the clean stop of node \(node.id)", upTo: 10)
                    try node.start()
                    try cluster.waitUntilWhole()
                    // The metadata's log, and each partition's.
                    var opened: [Substring] = []
                    try wait(for: "node \(node.id) to open its logs; it has opened \(opened)") {
                        opened = node.log.filter { $0.contains("opened") && $0.contains("recovery=") }
                        return opened.count == 1 + Self.partitions
                    }
                    for line in opened {
                        try #require(line.contains("recovery=clean") && line.contains(" 0 B scanned"), "\(line)")
                    }
                }
                let (progress, gap) = try load.stop()
                try load.requireNothingLost()
                // The new leader is there in milliseconds; the client may take its next periodic look to find it.
                try #require(gap < 5000, "nothing was acknowledged for \(gap) ms")
                // Nothing is sent twice in this load, so a leader's farewell may cost what was on its way to it.
                try #require(progress.failed * 20 < progress.acked, "\(progress)")
            }
        }
    }
}
