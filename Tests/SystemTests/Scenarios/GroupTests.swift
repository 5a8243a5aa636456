// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

extension SystemTests {
    /// Groups of librdkafka consumers and idempotent producers while nodes die. Tests/Conformance/groups-under-kill.sh
    /// is the long version, with Java producers.
    @Suite struct GroupTests {
        private static let partitions = 6

        @Test func theCheckerOfHistoriesFindsEachFaultThatIsPlanted() throws {
            try Workplace().run(Workplace.python, Workplace.script("group_history.py"), "--self-check")
        }

        /// Each node once, so that leaders, the coordinator and the controller are among them.
        @Test(arguments: ["classic", "consumer"])
        func aGroupGoesOnWhicheverNodeIsKilled(_ proto: String) throws {
            try withCluster(settings: ["group.initial.rebalance.delay.ms: 100"]) { cluster in
                let work = try GroupWorkload(cluster, topic: "shared", partitions: Self.partitions)
                for _ in 0..<3 { try work.addMember(proto) }
                try work.addProducer()
                try work.addProducer()
                try work.waitUntilShared(among: work.members)
                try work.watch()
                try work.waitForProgress("at the beginning")
                for node in cluster.nodes {
                    try node.kill()
                    try work.waitForProgress("while node \(node.id) is dead")
                    try node.start()
                    try cluster.waitUntilWhole()
                }
                try work.finishProducers()
                try work.waitUntilCaughtUp()
                try work.finishMembers()
                let verdict = try work.requireSound()
                try #require(verdict.failed == 0, "\(verdict.failed) records were refused")
                try #require(verdict.commits > 0)
            }
        }

        @Test func anIdempotentProducersRetriesOverAKilledLeaderAreStoredOnce() throws {
            try withCluster { cluster in
                let work = try GroupWorkload(cluster, topic: "once", partitions: 1)
                // Many small batches on their way at a time, so that a death cuts off some that were appended.
                try work.addProducer(rate: 3000, settings: ["linger.ms=0", "max.in.flight=5"])
                for round in 0..<3 {
                    try work.waitForProgress("before kill \(round + 1)", more: 500)
                    let leader = try cluster.leader(of: "once")
                    try leader.kill()
                    try work.waitForProgress("after kill \(round + 1), of node \(leader.id)", more: 500)
                    try leader.start()
                    try cluster.waitUntilWhole()
                }
                try work.finishProducers()
                let verdict = try work.requireSound()
                try #require(verdict.failed == 0, "\(verdict.failed) records were refused")
                try #require(verdict.stored == verdict.acked)
                try cluster.waitUntilReplicasAgree()
            }
        }

        @Test func whatWasCommittedIsKnownAfterAllNodesWereKilledAtOnce() throws {
            try withCluster(settings: ["group.initial.rebalance.delay.ms: 100"]) { cluster in
                let work = try GroupWorkload(cluster, topic: "kept", partitions: Self.partitions)
                try work.addProducer()
                let first = try work.addMember("classic")
                try work.waitUntilShared(among: [first])
                try work.waitForProgress("at the beginning")
                try work.finishProducers()
                try work.waitUntilCaughtUp()
                try first.finish()
                for node in cluster.nodes { node.pause() }  // so that none sees another die
                for node in cluster.nodes { try node.kill() }
                for node in cluster.nodes { try node.start() }
                try cluster.waitUntilWhole()
                try work.waitUntilCaughtUp()
                // It begins where the other one ended: what it was told is part of the history.
                let second = try work.addMember("consumer")
                try work.waitUntilShared(among: [second])
                try second.finish()
                try #require(second.figure("read") == 0, "\(second.figure("read")) records were read twice")
                try work.requireSound()
            }
        }

        @Test func aStaticMemberComesBackToItsPartitionsAndNobodyElseStops() throws {
            try withCluster(settings: ["group.initial.rebalance.delay.ms: 100"]) { cluster in
                let work = try GroupWorkload(cluster, topic: "static", partitions: Self.partitions)
                let other = try work.addMember("classic", instance: "a")
                let leaving = try work.addMember("classic", instance: "b", stays: true)
                try work.addProducer()
                try work.waitUntilShared(among: [other, leaving])
                try work.waitForProgress("at the beginning")
                let before = (owned: leaving.figure("owned"), changes: other.figure("changes"))
                try leaving.finish()
                let back = try work.addMember("classic", instance: "b")
                try work.waitUntilShared(among: [other, back])
                try work.waitForProgress("after the static member is back")
                try #require(back.figure("owned") == before.owned)
                try #require(other.figure("changes") == before.changes, "the other member was given partitions anew")
                try work.finishProducers()
                try work.waitUntilCaughtUp()
                try other.finish()
                try back.finish()
                try work.requireSound()
            }
        }
    }
}
