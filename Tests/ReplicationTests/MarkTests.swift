// SPDX-License-Identifier: Apache-2.0

import LogModel
import LogStorage
import Replication
import Testing

/// The rare branches of `Replication`, each with the test that is known to lead there.
@Suite struct MarkTests {
    @Test(arguments: [
        "Replica.sent-snapshot", "Replica.truncated", "Replica.voted-out-with-waiting-produces", "Shard.revived",
        "SettingAside.run", "OpenedLog.gave-up", "Repairs.installed", "Replica.halted-for-damage",
        "Replica.producers-unknown",
        "Replica.offered-leadership-for-health",
    ])
    func eachMarkIsHit(mark: String) throws {
        let probe = Probe()
        try Probe.$current.withValue(probe) {
            switch mark {
            case "Replica.sent-snapshot": try aFollowerFindsThatRetentionWasFaster()
            case "Replica.truncated": try HistoryTests().whoLostItsPlaceInTheLogIsNotToldThatItWasStored()
            case "Replica.voted-out-with-waiting-produces":
                try HistoryTests().nobodyWaitsForEverForALeaderThatWasDeposed()
            case "Shard.revived": try FailingDiskTests().aSyncFailsOnTheLeader(passes: 0)
            case "SettingAside.run": try RepairTests().aLogWithoutACheckpointIsSetAsideAndFetchedAnew(damage: "gone")
            case "OpenedLog.gave-up": try RepairTests().aLogThatTheDiskCannotReadAnyMoreIsFetchedAnew(isBack: false)
            case "Repairs.installed": try RepairTests().whatRotsOnARunningNodeIsFoundByTheScrubAndRepaired(place: 0)
            case "Replica.producers-unknown":
                try RepairTests().whoCannotTellItsProducersDoesNotStandUntilTheyAreRepaired()
            case "Replica.halted-for-damage": try RepairTests().theSameRangeOnAMajorityHalts()
            default: try SlowDiskTests().leadershipLeavesASlowDiskAndDoesNotComeBackAtOnce()
            }
        }
        #expect(probe.hasHit(mark), "only \(probe.marks)")
    }

    /// What a follower lacks is gone when it comes back: it is given the log's start instead.
    private func aFollowerFindsThatRetentionWasFaster() throws {
        let world = try RepairWorld(.init(policy: LogPolicy(retention: .init(bytes: ByteCount(8_000)))))
        let leader = try #require(world.waitForLeader())
        let follower = (leader + 1) % 3
        world.stop(follower)
        world.pass(milliseconds: 3_000) { world.produce() }
        try world.start(follower)
        #expect(world.pass(atMost: 10_000) { world.hasConverged })
        #expect((world.replica(follower)?.log.start.position.end ?? .zero) > .zero)
    }
}
