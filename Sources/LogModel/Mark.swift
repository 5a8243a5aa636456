// SPDX-License-Identifier: Apache-2.0

/// A place in the code that is reached rarely and must be reached by tests: the branches where faults meet.
///
///     Mark.hit("RaftNode.truncated-uncommitted-members")
///
/// Compiled to nothing unless `MARKS` is defined, as the builds of tests and simulations have it; there it is noted in
/// `Probe.current`, if there is one. Marks are what TigerBeetle's `marks.zig` and FoundationDB's `CODE_PROBE` are.
public enum Mark {
    /// Notes that this place was reached.
    ///
    /// - Parameter name: the type and, in a few words, what happened there; each is used at one place only.
    @inlinable
    public static func hit(_ name: StaticString) {
        #if MARKS
            Probe.current?.hit(name)
        #endif
    }
}

/// A place in the code that may do in a simulation what it is allowed to do and never does on a good day: write one
/// batch at a time, take the slow path, give up early. FoundationDB calls this `BUGGIFY`.
///
///     let limit = Whim.strikes("PartitionLog.short-read") ? 1 : limit
///
/// Constantly `false` unless `MARKS` is defined and a simulation has set `Probe.current` with a seed for whims.
public enum Whim {
    /// Whether to take the unlikely way now. A quarter of the sites is active in a run, and strikes a quarter of the
    /// time.
    @inlinable
    public static func strikes(_ name: StaticString) -> Bool {
        #if MARKS
            return Probe.current?.strikes(name) ?? false
        #else
            return false
        #endif
    }
}
