// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// A wall clock that does not believe in jumps at once.
///
/// What a node deletes by age (segments, offsets, tombstones) would be gone at a stroke if somebody set its clock ten
/// years ahead, and what it stamps while its clock is behind would be ten years old afterwards. So the time goes on
/// from where it was by the monotonic clock, and a jump is taken over once it has lasted as long as it is large, a day
/// at most. Corrections of minutes, as time services make them, are taken over at once.
public struct SteadyWallClock: Sendable {
    private var last: (wall: Int64, elapsed: Moment)?
    /// The jump that is not believed yet, in milliseconds, and since when there is one.
    private var doubted: (jump: Int64, since: Moment)?

    /// In milliseconds.
    private static let tolerance: Int64 = 300_000
    private static let longestDoubt: Int64 = 86_400_000

    public init() {}

    /// How far the machine's clock has jumped, in milliseconds, while that is not believed.
    public var doubtedJump: Int64? { doubted?.jump }

    /// The time.
    ///
    /// - Parameters:
    ///   - wall: what the machine's clock says.
    ///   - elapsed: a monotonic clock that also counts while the machine sleeps.
    public mutating func time(wall: Timestamp, elapsed: Moment) -> Timestamp {
        guard let last else {
            last = (wall.milliseconds, elapsed)
            return wall
        }
        let expected = last.wall + Int64(elapsed.nanoseconds(since: last.elapsed) / 1_000_000)
        let (jump, overflow) = wall.milliseconds.subtractingReportingOverflow(expected)
        let size = overflow || jump == .min ? Int64.max : abs(jump)
        guard size > Self.tolerance, !isLasting(jump, size, elapsed) else {
            self.last = (wall.milliseconds, elapsed)
            doubted = nil
            return wall
        }
        return Timestamp(milliseconds: expected)
    }

    private mutating func isLasting(_ jump: Int64, _ size: Int64, _ elapsed: Moment) -> Bool {
        guard let doubted, abs(jump.subtractingReportingOverflow(doubted.jump).partialValue) <= Self.tolerance else {
            doubted = (jump, elapsed)
            return false
        }
        return elapsed.nanoseconds(since: doubted.since) / 1_000_000 >= UInt64(min(size, Self.longestDoubt))
    }
}
