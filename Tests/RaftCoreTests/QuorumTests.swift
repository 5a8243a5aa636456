// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Testing

@Suite struct QuorumTests {
    /// The slow, obvious definition: the largest index that more than half have reached.
    static func obvious(_ reached: [LogIndex]) -> LogIndex {
        reached.filter { candidate in reached.count { $0 >= candidate } * 2 > reached.count }.max() ?? .zero
    }

    /// T-C9: every size, the even ones too (hashicorp/raft 163a55f, openraft f076cf6f).
    @Test(arguments: 1...9)
    func agreesWithTheObviousDefinition(voters: Int) {
        var random = SeededRandom(seed: UInt64(voters))
        for _ in 0..<2_000 {
            let reached = (0..<voters).map { _ in LogIndex(Int64(random.below(10))) }
            var sorted = reached
            #expect(Quorum(of: voters).commit(&sorted) == Self.obvious(reached), "\(reached)")
        }
    }

    @Test(arguments: 1...9)
    func twoMajoritiesShareAVoter(voters: Int) {
        let quorum = Quorum(of: voters)
        #expect(quorum.majority * 2 > voters)
        #expect((quorum.majority - 1) * 2 <= voters)
        for refusals in 0...voters {
            #expect(quorum.isOutOfReach(refusals: refusals) == !quorum.isReached(by: voters - refusals))
        }
    }

    /// No voters decide nothing (T-C9, T-C10).
    @Test func nobodyIsNoMajority() {
        var reached: [LogIndex] = []
        #expect(Quorum(of: 0).commit(&reached) == .zero)
        #expect(!Quorum(of: 0).isReached(by: 0))
    }
}

/// SplitMix64: the same numbers everywhere.
struct SeededRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { bound <= 0 ? 0 : Int(next() % UInt64(bound)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}
