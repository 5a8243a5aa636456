// SPDX-License-Identifier: Apache-2.0

import LogModel
import MetadataCore
import Testing

/// Who votes in the metadata group. Times are in seconds; a voter may be gone for 300.
@Suite struct VoterPlanTests {
    private static func at(_ seconds: UInt64) -> Moment { Moment(nanoseconds: seconds * 1_000_000_000) }

    private static let now = at(10_000)

    private static func node(
        _ id: Int32, goneFor gone: UInt64? = nil, thereFor there: UInt64 = 1_000, rack: String? = nil,
        isDraining: Bool = false, wish: VoterWish? = nil
    ) -> VoterPlan.Candidate {
        let contact: VoterPlan.Contact =
            gone.map { .gone(since: at(10_000 - $0)) } ?? .connected(since: at(10_000 - there))
        return VoterPlan.Candidate(id: NodeID(id), rack: rack, isDraining: isDraining, wish: wish, contact: contact)
    }

    private static func next(
        _ present: [Int32], _ candidates: [VoterPlan.Candidate], count: Int? = nil, leader: Int32? = nil
    ) -> [Int32]? {
        let plan = VoterPlan(count: count, patience: 300_000_000_000)
        let step = plan.next(
            present: present.map { NodeID($0) }, leader: NodeID(leader ?? present[0]), nodes: candidates, now: now)
        return step?.voters.map(\.rawValue)
    }

    // MARK: - How many

    @Test func threeVoteWhenThereAreThreeAndFiveOnlyWhenAsked() {
        let six = (1...6).map { Self.node($0) }
        #expect(Self.next([1], [Self.node(1)]) == nil)
        #expect(Self.next([1], [Self.node(1), Self.node(2)]) == nil, "two nodes survive the loss of neither")
        #expect(Self.next([1], Array(six.prefix(3))) == [1, 2, 3])
        #expect(Self.next([1, 2, 3], six) == nil)
        #expect(Self.next([1, 2, 3], six, count: 5) == [1, 2, 3, 4, 5])
        #expect(Self.next([1, 2, 3], Array(six.prefix(4)), count: 5) == nil, "five nodes are needed for five voters")
        #expect(Self.next([1, 2, 3, 4, 5], six) == nil, "where five vote, five go on")
        #expect(Self.next([1, 2, 3, 4, 5], six, count: 3) == [1, 2, 3, 4])
        #expect(Self.next([1, 2, 3, 4], six, count: 3, leader: 4) == [1, 2, 4])
        #expect(Self.next([1, 2, 3, 4, 5, 6], six) == [1, 2, 3, 4, 5])
    }

    @Test func aVoterThatHasYetToRegisterIsWaitedFor() {
        var third = Self.node(3, goneFor: 10)
        third.isRegistered = false
        #expect(Self.next([1, 2, 3], [Self.node(1), third]) == nil)
        #expect(Self.next([1, 2, 3], [Self.node(1), Self.node(2), third, Self.node(4)]) == nil)
    }

    // MARK: - Gone

    @Test func aVoterThatIsGoneIsReplacedOnlyAfterAWhile() {
        let others = [Self.node(1), Self.node(2), Self.node(4)]
        #expect(Self.next([1, 2, 3], others + [Self.node(3, goneFor: 299)]) == nil)
        #expect(Self.next([1, 2, 3], others + [Self.node(3, goneFor: 300)]) == [1, 2, 4])
        #expect(Self.next([1, 2, 3], [Self.node(1), Self.node(2), Self.node(3, goneFor: 900)]) == nil, "by whom?")
    }

    @Test func aNodeThatComesAndGoesGetsNoVote() {
        let lost = [Self.node(1), Self.node(2), Self.node(3, goneFor: 900)]
        #expect(Self.next([1, 2, 3], lost + [Self.node(4, thereFor: 9)]) == nil)
        #expect(Self.next([1, 2, 3], lost + [Self.node(4, thereFor: 10)]) == [1, 2, 4])
    }

    @Test func theLongestGoneIsReplacedFirstAndOneAtATime() {
        let nodes =
            [Self.node(1), Self.node(2), Self.node(3)] + [Self.node(4, goneFor: 400), Self.node(5, goneFor: 500)]
            + [Self.node(6), Self.node(7)]
        #expect(Self.next([1, 2, 3, 4, 5], nodes) == [1, 2, 3, 4, 6])
    }

    @Test func aMinorityOfReachableVotersChangesNothing() {
        let nodes = [Self.node(1), Self.node(2, goneFor: 900), Self.node(3, goneFor: 900)]
        #expect(Self.next([1, 2, 3], nodes) == nil)
        let five = nodes + [Self.node(4, goneFor: 900), Self.node(5, goneFor: 900), Self.node(6)]
        #expect(Self.next([1, 2, 3, 4, 5], five) == nil)
    }

    // MARK: - Leaving

    @Test func oneThatIsDrainedIsReplacedFirst() {
        let nodes = [
            Self.node(1, isDraining: true), Self.node(2), Self.node(3, goneFor: 900), Self.node(4), Self.node(5),
        ]
        #expect(Self.next([1, 2, 3], nodes) == [2, 3, 4])
        #expect(Self.next([2, 3, 4], nodes) == [2, 4, 5])
        #expect(Self.next([2, 4, 5], nodes) == nil)
    }

    @Test func oneThatIsDrainedGoesAlsoWhenNobodyTakesItsPlace() {
        #expect(Self.next([1, 2, 3], [Self.node(1), Self.node(2, isDraining: true), Self.node(3)]) == [1, 3])
        #expect(Self.next([1, 2], [Self.node(1, isDraining: true), Self.node(2)]) == [2])
        #expect(Self.next([1], [Self.node(1, isDraining: true)]) == nil, "somebody must keep the metadata")
        // Not while one of those who stay is not there: the two could decide nothing.
        let nodes = [Self.node(1), Self.node(2, isDraining: true), Self.node(3, goneFor: 10)]
        #expect(Self.next([1, 2, 3], nodes) == nil)
    }

    @Test func theDrainedLeaderGoesLast() {
        let nodes = [
            Self.node(1, isDraining: true), Self.node(2, isDraining: true), Self.node(3), Self.node(4), Self.node(5),
        ]
        #expect(Self.next([1, 2, 3], nodes, leader: 1) == [1, 3, 4])
        #expect(Self.next([1, 3, 4], nodes, leader: 1) == [3, 4, 5])
    }

    @Test func newVotersStandInRacksOfTheirOwn() {
        let nodes = [
            Self.node(1, rack: "a"), Self.node(2, rack: "b"), Self.node(3, goneFor: 900, rack: "c"),
            Self.node(4, rack: "a"), Self.node(5, rack: "b"), Self.node(6, rack: "c"),
        ]
        #expect(Self.next([1, 2, 3], nodes) == [1, 2, 6])
    }

    // MARK: - Wishes

    @Test func whoIsWishedForVotesInsteadOfOneThatIsNot() {
        let nodes = [Self.node(1), Self.node(2), Self.node(3), Self.node(4, wish: .voter)]
        #expect(Self.next([1, 2, 3], nodes) == [1, 2, 4])
        #expect(Self.next([1, 2, 4], nodes) == nil)
        let all = [1, 2, 3, 4].map { Self.node($0, wish: .voter) }
        #expect(Self.next([1, 2, 3], all) == [1, 2, 3, 4])
        #expect(Self.next([1, 2, 3, 4], all) == nil)
    }

    @Test func whoIsNotToVoteDoesNot() {
        let nodes = [Self.node(1), Self.node(2), Self.node(3, wish: .observer), Self.node(4)]
        #expect(Self.next([1, 2, 3], nodes) == [1, 2, 4])
        #expect(Self.next([1, 2, 3], Array(nodes.prefix(3))) == [1, 2])
        #expect(Self.next([1, 2, 4], nodes) == nil)
    }

    // MARK: - Whatever happens

    /// A cluster whose nodes come and go by lot: what the plan may never do, and where it must end.
    @Test(arguments: 0..<200)
    func itNeverDoesHarmAndComesToRest(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let size = Int32.random(in: 1...9, using: &random)
        var count: Int? { [nil, 3, 5][Int(seed % 3)] }
        let plan = VoterPlan(count: count, patience: 300_000_000_000)
        var voters = (1...min(size, Int32.random(in: 1...5, using: &random))).map { NodeID($0) }
        var nodes = (1...size).map { Self.node($0, rack: ["a", "b", nil].randomElement(using: &random) ?? nil) }
        var time: UInt64 = 10_000
        for round in 0..<120 {
            time += UInt64.random(in: 1...200, using: &random)
            // In the last rounds nothing changes any more.
            if round < 80 { Self.shake(&nodes, at: time, &random) }
            let leader = voters.first { id in nodes.contains { $0.id == id && Self.isThere($0) } }
            guard let leader else { continue }
            let step = plan.next(present: voters, leader: leader, nodes: nodes, now: Self.at(time))
            guard let step else { continue }
            try Self.check(step.voters, from: voters, nodes, at: time, round)
            voters = step.voters
        }
        let fit = nodes.filter { !$0.isDraining && $0.wish != .observer && Self.isThere($0) }
        let isAlive = 2 * nodes.count { voters.contains($0.id) && Self.isThere($0) } > voters.count
        if isAlive, fit.count >= 3 {
            let wanted = (count ?? 3) == 5 && fit.count >= 5 ? 5 : 3
            #expect(voters.count >= wanted)
            #expect(nodes.allSatisfy { !voters.contains($0.id) || (!$0.isDraining && $0.wish != .observer) })
        }
    }

    private static func isThere(_ node: VoterPlan.Candidate) -> Bool {
        if case .connected = node.contact { true } else { false }
    }

    private static func shake(_ nodes: inout [VoterPlan.Candidate], at time: UInt64, _ random: inout SeededRandom) {
        let place = Int.random(in: nodes.indices, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0...2 where isThere(nodes[place]): nodes[place].contact = .gone(since: at(time))
        case 0...4 where !isThere(nodes[place]): nodes[place].contact = .connected(since: at(time))
        case 5: nodes[place].isDraining.toggle()
        case 6: nodes[place].wish = [nil, .voter, .observer].randomElement(using: &random) ?? nil
        default: break
        }
    }

    private static func check(
        _ wanted: [NodeID], from present: [NodeID], _ nodes: [VoterPlan.Candidate], at time: UInt64, _ round: Int
    ) throws {
        try #require(wanted != present && wanted == wanted.sorted() && Set(wanted).count == wanted.count)
        try #require(!wanted.isEmpty && wanted.count <= max(present.count, VoterPlan.limit), "round \(round)")
        let there = nodes.count { wanted.contains($0.id) && isThere($0) }
        try #require(2 * there > wanted.count, "round \(round): \(wanted) could decide nothing")
        let left = present.filter { !wanted.contains($0) }
        let came = wanted.filter { !present.contains($0) }
        try #require(left.count <= 1, "round \(round): one at a time, not \(left)")
        for id in came {
            let node = try #require(nodes.first { $0.id == id })
            guard case .connected(let since) = node.contact else {
                Issue.record("round \(round): \(id) is not there")
                return
            }
            try #require(at(time).nanoseconds(since: since) >= 10_000_000_000 && !node.isDraining)
            try #require(node.wish != .observer)
        }
        // Nobody who is there, and may vote, loses the vote to one that only happens to be there too.
        if let id = left.first, came.count == 1, let node = nodes.first(where: { $0.id == id }), isThere(node) {
            let isWished = nodes.contains { $0.id == came[0] && $0.wish == .voter }
            try #require(node.isDraining || node.wish == .observer || isWished, "round \(round): \(id) to \(came)")
        }
    }
}
