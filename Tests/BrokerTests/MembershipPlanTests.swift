// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RaftCore
import Replication
import Testing

/// The way from the members in force to the wanted ones.
@Suite struct MembershipPlanTests {
    private static let sets: [[NodeID]] = (1..<32).map { mask in
        (0..<5).filter { mask & (1 << $0) != 0 }.map { NodeID(Int32($0)) }
    }

    /// What becomes of a group whose leader makes one step: appended and committed, and joint ones left.
    private func made(_ step: MembershipPlan.Step, from members: RaftMembers) -> RaftMembers? {
        switch step {
        case .done, .catchUp: nil
        case .leaving: members.left
        case .change(let next): next
        }
    }

    /// Whether it is one of the steps that consensus allows.
    private func isAllowed(_ next: RaftMembers, from members: RaftMembers) -> Bool {
        if members.isJoint { return next == members.left }
        guard next.isJoint else { return next.voters == members.voters && next != members }
        return next.outgoing == members.voters && next.voters.allSatisfy { members.contains($0) }
    }

    private func arrives(from start: RaftMembers, at wanted: WantedMembers, within limit: Int = 4) -> Bool {
        var members = start
        for _ in 0..<limit {
            let step = MembershipPlan.next(from: members, to: wanted) { _ in true }
            guard step != .done else { break }
            guard let next = made(step, from: members), isAllowed(next, from: members) else { return false }
            members = next
        }
        return members == RaftMembers(voters: wanted.voters, learners: wanted.learners)
    }

    @Test func everySetReachesEveryOther() {
        for start in Self.sets {
            for end in Self.sets {
                #expect(arrives(from: RaftMembers(voters: start), at: WantedMembers(voters: end)), "\(start) \(end)")
            }
        }
    }

    /// The plan has no memory: wherever a leader stops, the next one goes on, also to somewhere else.
    @Test func everyInterruptionIsTakenUpWhateverIsWantedThen() {
        for start in Self.sets {
            for end in Self.sets {
                var members = RaftMembers(voters: start)
                let wanted = WantedMembers(voters: end)
                while let next = made(MembershipPlan.next(from: members, to: wanted) { _ in true }, from: members) {
                    members = next
                    for other in Self.sets where (start.count + end.count + other.count) % 3 == 0 {
                        #expect(arrives(from: members, at: WantedMembers(voters: other), within: 5), "\(members)")
                    }
                }
            }
        }
    }

    @Test func whatIsCancelledGoesBack() {
        let before = RaftMembers(voters: Self.sets[6])
        let learning = RaftMembers(voters: before.voters, learners: [NodeID(3), NodeID(4)])
        let wanted = WantedMembers(voters: before.voters)
        #expect(MembershipPlan.next(from: learning, to: wanted) { _ in true } == .change(before))
        // Once it is joint there is no way but on, and then back.
        let joint = RaftMembers(voters: [NodeID(3)], outgoing: before.voters)
        #expect(MembershipPlan.next(from: joint, to: wanted) { _ in true } == .leaving)
        #expect(arrives(from: joint, at: wanted, within: 5))
    }

    @Test func nobodyVotesBeforeItHoldsTheLog() {
        let (one, two, three) = (NodeID(1), NodeID(2), NodeID(3))
        let wanted = WantedMembers(voters: [one, three, two])
        let learning = RaftMembers(voters: [one], learners: [two, three])
        #expect(MembershipPlan.next(from: RaftMembers(voters: [one]), to: wanted) { _ in true } == .change(learning))
        #expect(MembershipPlan.next(from: learning, to: wanted) { _ in false } == .catchUp([two, three]))
        #expect(MembershipPlan.next(from: learning, to: wanted) { $0 == two } == .catchUp([three]))
        let joint = RaftMembers(voters: [one, two, three], outgoing: [one])
        #expect(MembershipPlan.next(from: learning, to: wanted) { _ in true } == .change(joint))
        // Whoever only goes waits for nobody.
        let fewer = WantedMembers(voters: [two])
        let three4 = RaftMembers(voters: [one, two, three])
        #expect(
            MembershipPlan.next(from: three4, to: fewer) { _ in false }
                == .change(RaftMembers(voters: [two], outgoing: [one, two, three])))
    }

    @Test func learnersAreKeptAndVotersMayBecomeOnes() {
        let (one, two, three) = (NodeID(1), NodeID(2), NodeID(3))
        let wanted = WantedMembers(voters: [one, two], learners: [three])
        #expect(arrives(from: RaftMembers(voters: [one, two, three]), at: wanted))
        #expect(arrives(from: RaftMembers(voters: [two, three]), at: wanted))
        #expect(arrives(from: RaftMembers(voters: [one, two]), at: wanted))
        #expect(arrives(from: RaftMembers(voters: [one], learners: [two]), at: wanted))
    }

    @Test func withoutAWishNothingChanges() {
        let members = RaftMembers(voters: [NodeID(1)], learners: [NodeID(2)])
        #expect(MembershipPlan.next(from: members, to: WantedMembers(voters: [])) { _ in true } == .done)
        let joint = RaftMembers(voters: [NodeID(1)], outgoing: [NodeID(2)])
        #expect(MembershipPlan.next(from: joint, to: WantedMembers(voters: [])) { _ in true } == .leaving)
    }

    // MARK: - Payloads

    /// T-M4 (etcd-raft e515a67).
    @Test func payloadsComeBackAsTheyWere() {
        for voters in Self.sets {
            for others in Self.sets {
                let members = RaftMembers(voters: voters, outgoing: others, learners: others)
                #expect(MembershipPayload.decode(MembershipPayload.encode(members)) == members)
            }
        }
    }

    /// What a peer sends is refused unless it is what would be written.
    @Test func otherPayloadsAreRefused() {
        let whole = MembershipPayload.encode(
            RaftMembers(voters: [NodeID(1), NodeID(70_000)], outgoing: [NodeID(1)], learners: [NodeID(9)]))
        for length in 0..<whole.readableBytes {
            #expect(whole.getSlice(at: 0, length: length).flatMap { MembershipPayload.decode($0) } == nil, "\(length)")
        }
        var longer = whole
        longer.writeInteger(UInt8(0))
        #expect(MembershipPayload.decode(longer) == nil)
        var accepted = 0
        for place in 0..<whole.readableBytes {
            for bit in 0..<8 {
                var flipped = whole
                let byte = whole.getInteger(at: place, as: UInt8.self) ?? 0
                flipped.setInteger(byte ^ (1 << bit), at: place)
                guard let members = MembershipPayload.decode(flipped) else { continue }
                accepted += 1
                #expect(MembershipPayload.encode(members) == flipped)
            }
        }
        #expect(accepted > 0)
        var none = ByteBuffer(integer: UInt8(1))
        none.writeMultipleIntegers(UInt16(0), UInt16(0), UInt16(0))
        #expect(MembershipPayload.decode(none) == nil, "a group without voters")
        var huge = ByteBuffer(integer: UInt8(1))
        huge.writeInteger(UInt16.max)
        #expect(MembershipPayload.decode(huge) == nil)
    }
}
