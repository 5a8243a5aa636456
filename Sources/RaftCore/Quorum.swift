// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// Counting among a number of voters. No Raft in it.
public struct Quorum: Hashable, Sendable {
    public let voters: Int

    public init(of voters: Int) {
        precondition(voters >= 0, "there cannot be fewer than no voters")
        self.voters = voters
    }

    /// How many of the voters any decision needs: more than half. A group without voters decides nothing.
    public var majority: Int { voters / 2 + 1 }

    public func isReached(by count: Int) -> Bool {
        #if MUTANTS
            if Mutant.isActive("T-V16"), voters == 0 { return true }
        #endif
        return count >= majority
    }

    /// Whether so many have refused that no majority can come together any more.
    public func isOutOfReach(refusals: Int) -> Bool { voters - refusals < majority }

    /// The highest index that a majority has reached: the `majority`-th largest.
    ///
    /// Sorts `reached` in place, so that nothing is allocated. One value for each voter; one who has said nothing has
    /// reached zero.
    /// - Complexity: O(*n*²) in voters, which are few.
    public func commit(_ reached: inout [LogIndex]) -> LogIndex {
        precondition(reached.count == voters, "each voter has reached some index")
        guard voters > 0 else { return .zero }
        for place in reached.indices.dropFirst() {
            let value = reached[place]
            var hole = place
            while hole > 0, reached[hole - 1] < value {
                reached[hole] = reached[hole - 1]
                hole -= 1
            }
            reached[hole] = value
        }
        #if MUTANTS
            if Mutant.isActive("T-C9") { return reached[(voters - 1) / 2] }
        #endif
        return reached[majority - 1]
    }
}
