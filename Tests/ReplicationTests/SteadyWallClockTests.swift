// SPDX-License-Identifier: Apache-2.0

import LogModel
import Replication
import Testing

/// A machine's clock that jumps (reliability.md F12).
@Suite struct SteadyWallClockTests {
    private static let start: Int64 = 1_700_000_000_000
    private static let tenYears: Int64 = 10 * 365 * 86_400_000

    private func time(
        _ clock: inout SteadyWallClock, after milliseconds: Int64, jumped jump: Int64 = 0
    ) -> Int64 {
        let wall = Timestamp(milliseconds: Self.start + milliseconds + jump)
        return clock.time(wall: wall, elapsed: Moment(nanoseconds: UInt64(milliseconds) * 1_000_000)).milliseconds
            - Self.start
    }

    @Test(arguments: [1, -1]) func yearsAreNotBelieved(sign: Int64) {
        var clock = SteadyWallClock()
        #expect(time(&clock, after: 0) == 0)
        #expect(time(&clock, after: 1_000) == 1_000)
        for second in Int64(2)..<3_600 {
            #expect(time(&clock, after: second * 1_000, jumped: sign * Self.tenYears) == second * 1_000)
        }
        #expect(clock.doubtedJump != nil)
        // The clock is set right again: nothing has happened.
        #expect(time(&clock, after: 3_600_000) == 3_600_000)
        #expect(clock.doubtedJump == nil)
        // After a day it must be true.
        #expect(time(&clock, after: 3_700_000, jumped: sign * Self.tenYears) == 3_700_000)
        #expect(time(&clock, after: 90_000_000, jumped: sign * Self.tenYears) == 90_000_000)
        let last = time(&clock, after: 90_200_000, jumped: sign * Self.tenYears)
        #expect(last == 90_200_000 + sign * Self.tenYears)
    }

    @Test func anHourIsBelievedAfterAnHour() {
        var clock = SteadyWallClock()
        _ = time(&clock, after: 0)
        #expect(time(&clock, after: 1_000, jumped: 3_600_000) == 1_000)
        #expect(time(&clock, after: 3_600_000, jumped: 3_600_000) == 3_600_000)
        #expect(time(&clock, after: 3_601_001, jumped: 3_600_000) == 7_201_001)
    }

    @Test func smallCorrectionsAreTakenAtOnce() {
        var clock = SteadyWallClock()
        _ = time(&clock, after: 0)
        #expect(time(&clock, after: 1_000, jumped: 299_000) == 300_000)
        #expect(time(&clock, after: 2_000, jumped: 10) == 2_010)
    }

    /// A clock that jumps to and fro never lasts.
    @Test func everyNewJumpIsDoubtedAnew() {
        var clock = SteadyWallClock()
        _ = time(&clock, after: 0)
        for hour in Int64(1)..<200 {
            let now = hour * 3_600_000
            #expect(time(&clock, after: now, jumped: (hour % 2 == 0 ? 1 : -1) * Self.tenYears) == now)
        }
    }

    @Test func theEndsOfTimeAreSurvived() {
        var clock = SteadyWallClock()
        _ = time(&clock, after: 0)
        for wall in [Int64.min, .max] {
            let told = clock.time(wall: Timestamp(milliseconds: wall), elapsed: Moment(nanoseconds: 5_000_000_000))
            #expect(told.milliseconds == Self.start + 5_000)
        }
    }
}
