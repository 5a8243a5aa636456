// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Listens to the marks and decides about the whims of everything that runs below `Probe.$current.withValue(_:)`.
///
/// Bound to what is run, not to the process, so that tests that run side by side do not see each other's marks.
public final class Probe: Sendable {
    @TaskLocal public static var current: Probe?

    private struct State: Sendable {
        var marks: [String: Int] = [:]
        /// Whether each site is active in this run.
        var sites: [String: Bool] = [:]
        var draws: UInt64
    }

    private let state: Mutex<State>
    /// What whims are drawn from, or `nil` for none.
    private let seed: UInt64?

    /// - Parameter whims: the seed that whims are drawn from; without it there are none.
    public init(whims seed: UInt64? = nil) {
        self.seed = seed
        state = Mutex(State(draws: seed ?? 0))
    }

    /// How often each mark was hit, by its name.
    public var marks: [String: Int] { state.withLock(\.marks) }

    /// Whether the mark was hit at least once.
    public func hasHit(_ name: String) -> Bool { state.withLock { $0.marks[name] != nil } }

    /// Takes over what another probe has seen.
    public func add(_ other: Probe) {
        let seen = other.marks
        state.withLock { state in
            for (name, count) in seen { state.marks[name, default: 0] += count }
        }
    }

    @usableFromInline
    func hit(_ name: StaticString) {
        state.withLock { $0.marks["\(name)", default: 0] += 1 }
    }

    @usableFromInline
    func strikes(_ name: StaticString) -> Bool {
        guard let seed else { return false }
        return state.withLock { state in
            let name = "\(name)"
            let isActive: Bool
            if let known = state.sites[name] {
                isActive = known
            } else {
                var digest = seed
                for byte in name.utf8 { digest = Self.mix(digest ^ UInt64(byte)) }
                isActive = digest % 4 == 0
                state.sites[name] = isActive
            }
            guard isActive else { return false }
            state.draws &+= 0x9E37_79B9_7F4A_7C15
            return Self.mix(state.draws) % 4 == 0
        }
    }

    /// The mixing function of SplitMix64 (Steele, Lea, Flood 2014).
    private static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
