// SPDX-License-Identifier: Apache-2.0

import LogModel
import Simulation
import Testing

/// Each check of groups is shown a history that breaks its promise, and one next to it that does not.
@Suite struct GroupCheckTests {
    private let place = GroupChecks.Place(group: "g", partition: 0)
    private let patience = GroupChecks.Patience(session: 100, rebalance: 50)

    private func breaks(_ promise: Violation.Promise, _ work: () throws -> Void) {
        let error = #expect(throws: Violation.self) { try work() }
        #expect(error?.promise == promise)
    }

    /// Commits 1, 2, … of those offsets, each acknowledged before the next arrives: at 10 and 15, 20 and 25, ….
    private func committed(_ offsets: [Int64?], isExplicit: Bool = false) throws -> GroupChecks {
        var checks = GroupChecks()
        for (index, offset) in offsets.enumerated() {
            let time = UInt64(index + 1) * 10
            checks.arrived(index + 1, at: place, offset: offset, isExplicit: isExplicit, time: time)
            try checks.acknowledged(index + 1, term: Term(1), time: time + 5)
        }
        return checks
    }

    private func told(
        _ checks: inout GroupChecks, _ number: Int?, _ offset: Int64, arrived: UInt64, term: Int32 = 1
    ) throws(Violation) {
        try checks.told(number, offset: offset, at: place, arrived: arrived, term: Term(term), time: arrived + 1)
    }

    // MARK: - Offsets

    @Test func lastAcknowledgedOffsetIsTold() throws {
        var checks = try committed([5, 7])
        try told(&checks, 2, 7, arrived: 30)
        try told(&checks, 2, 7, arrived: 40, term: 3)
    }

    @Test func olderOffsetIsSeen() throws {
        var checks = try committed([5, 7])
        breaks(.groupOffsets) { try told(&checks, 1, 5, arrived: 30) }
        // Over a change of coordinators too.
        breaks(.groupOffsets) { try told(&checks, 1, 5, arrived: 30, term: 2) }
    }

    @Test func lostOffsetIsSeen() throws {
        var checks = try committed([5])
        breaks(.groupOffsets) { try told(&checks, nil, -1, arrived: 30) }
        var nothing = GroupChecks()
        try told(&nothing, nil, -1, arrived: 30)
    }

    @Test func questionAskedDuringACommitMayBeAnsweredEitherWay() throws {
        for (number, offset) in [(1, Int64(5)), (2, 7)] {
            var checks = try committed([5, 7])
            try told(&checks, number, offset, arrived: 22)
        }
    }

    @Test func unansweredCommitMayBeInForceOrNot() throws {
        var checks = try committed([5])
        checks.arrived(2, at: place, offset: 9, isExplicit: false, time: 20)
        try told(&checks, 1, 5, arrived: 30)
        try told(&checks, 2, 9, arrived: 40, term: 2)
    }

    @Test func unansweredCommitThatWasSeenStays() throws {
        var checks = try committed([5])
        checks.arrived(2, at: place, offset: 9, isExplicit: false, time: 20)
        try told(&checks, 2, 9, arrived: 30)
        breaks(.groupOffsets) { try told(&checks, 1, 5, arrived: 40) }
    }

    @Test func twoCommitsAtOnceDoNotTakeTurns() throws {
        var checks = try committed([5])
        checks.arrived(2, at: place, offset: 7, isExplicit: false, time: 20)
        checks.arrived(3, at: place, offset: 8, isExplicit: false, time: 20)
        try checks.acknowledged(2, term: Term(1), time: 21)
        try checks.acknowledged(3, term: Term(1), time: 22)
        try told(&checks, 3, 8, arrived: 30)
        breaks(.groupOffsets) { try told(&checks, 2, 7, arrived: 40) }
    }

    @Test func refusedCommitIsNeverTold() throws {
        var checks = try committed([5])
        checks.arrived(2, at: place, offset: 9, isExplicit: false, time: 20)
        checks.refused(2)
        breaks(.groupOffsets) { try told(&checks, 2, 9, arrived: 30) }
        breaks(.groupOffsets) { try told(&checks, 77, 9, arrived: 30) }
    }

    @Test func otherOffsetThanWasCommittedIsSeen() throws {
        var checks = try committed([5])
        breaks(.groupOffsets) { try told(&checks, 1, 6, arrived: 30) }
    }

    @Test func removedOffsetIsGone() throws {
        var checks = try committed([5])
        checks.arrived(2, at: place, offset: nil, isExplicit: true, time: 20)
        try checks.acknowledged(2, term: Term(1), time: 25)
        try told(&checks, nil, -1, arrived: 30)
        breaks(.groupOffsets) { try told(&checks, 1, 5, arrived: 40) }
    }

    @Test func membersDoNotGoBackAndAdministratorsMay() throws {
        breaks(.groupOffsets) { _ = try committed([7, 5]) }
        var checks = try committed([7])
        checks.arrived(2, at: place, offset: 3, isExplicit: true, time: 20)
        try checks.acknowledged(2, term: Term(1), time: 25)
        checks.arrived(3, at: place, offset: 4, isExplicit: false, time: 30)
        try checks.acknowledged(3, term: Term(1), time: 35)
        try told(&checks, 3, 4, arrived: 40)
    }

    /// A leader that has not heard of its successor yet may tell what that has overwritten, and nothing older.
    @Test func coordinatorOfAnEarlierTermTellsWhatItKnows() throws {
        var checks = try committed([5, 7])
        checks.arrived(3, at: place, offset: 9, isExplicit: false, time: 30)
        try checks.acknowledged(3, term: Term(2), time: 35)
        try told(&checks, 2, 7, arrived: 40, term: 1)
        breaks(.groupOffsets) { try told(&checks, 2, 7, arrived: 40, term: 2) }
        breaks(.groupOffsets) { try told(&checks, 1, 5, arrived: 40, term: 1) }
    }

    // MARK: - Fencing

    @Test func commitOfAnEarlierGenerationIsSeen() throws {
        var checks = GroupChecks()
        try checks.assigned([0], to: "a", in: 4, of: "g", time: 10)
        try checks.assigned([0], to: "b", in: 5, of: "g", time: 20)
        let membership = GroupChecks.Membership(group: "g", member: "a", epoch: 4)
        try checks.accepted(membership, arrived: 15, term: Term(1))
        breaks(.groupFencing) { try checks.accepted(membership, arrived: 21, term: Term(1)) }
    }

    @Test func commitOfAnEarlierEpochIsSeen() throws {
        var checks = GroupChecks()
        checks.told(epoch: 2, to: "a", of: "g", time: 10)
        checks.told(epoch: 3, to: "a", of: "g", time: 20)
        let membership = GroupChecks.Membership(group: "g", member: "a", epoch: 2)
        try checks.accepted(membership, arrived: 15, term: Term(1))
        breaks(.groupFencing) { try checks.accepted(membership, arrived: 21, term: Term(1)) }
    }

    @Test func commitOfAFencedMemberIsSeen() throws {
        var checks = GroupChecks()
        let membership = GroupChecks.Membership(group: "g", member: "a", epoch: 2)
        checks.fenced(membership, term: Term(1), time: 10)
        try checks.accepted(membership, arrived: 5, term: Term(1))
        // A member that a later coordinator finds in its log is a member.
        try checks.accepted(membership, arrived: 15, term: Term(2))
        breaks(.groupFencing) { try checks.accepted(membership, arrived: 15, term: Term(1)) }
        checks.joined(membership)
        try checks.accepted(membership, arrived: 15, term: Term(1))
    }

    // MARK: - Owners

    @Test func twoOwnersInOneGenerationAreSeen() throws {
        var checks = GroupChecks()
        try checks.assigned([0, 1], to: "a", in: 4, of: "g", time: 10)
        try checks.assigned([0, 1], to: "a", in: 4, of: "g", time: 11)
        try checks.assigned([1], to: "b", in: 5, of: "g", time: 12)
        breaks(.soleOwner) { try checks.assigned([1], to: "b", in: 4, of: "g", time: 13) }
    }

    /// A consumer group in which "a" was told to own partition 0 and has just spoken.
    private func owned() throws -> GroupChecks {
        var checks = GroupChecks()
        checks.heard("a", of: "g", time: 10)
        try checks.told([0], to: "a", of: "g", asked: 10, time: 10, patience: patience)
        checks.said("a", of: "g", owned: [0])
        checks.heard("a", of: "g", time: 20)
        return checks
    }

    @Test func partitionGivenAwayTooEarlyIsSeen() throws {
        var checks = try owned()
        breaks(.soleOwner) { try checks.told([0], to: "b", of: "g", asked: 30, time: 30, patience: patience) }
        var revoked = try owned()
        try revoked.told([], to: "a", of: "g", asked: 30, time: 30, patience: patience)
        breaks(.soleOwner) { try revoked.told([0], to: "b", of: "g", asked: 40, time: 40, patience: patience) }
    }

    @Test func partitionThatWasLetGoIsFree() throws {
        var checks = try owned()
        try checks.told([], to: "a", of: "g", asked: 30, time: 30, patience: patience)
        checks.said("a", of: "g", owned: [])
        try checks.told([0], to: "b", of: "g", asked: 41, time: 41, patience: patience)
        var left = try owned()
        left.gone("a", of: "g")
        try left.told([0], to: "b", of: "g", asked: 30, time: 30, patience: patience)
    }

    @Test func silentOwnerLosesItsPartitions() throws {
        var silent = try owned()
        try silent.told([0], to: "b", of: "g", asked: 120, time: 120, patience: patience)
        var stubborn = try owned()
        try stubborn.told([], to: "a", of: "g", asked: 30, time: 30, patience: patience)
        stubborn.said("a", of: "g", owned: [0])
        stubborn.heard("a", of: "g", time: 75)
        try stubborn.told([0], to: "b", of: "g", asked: 80, time: 80, patience: patience)
    }

    /// The coordinator's patience counts from when it decided, and also for who had just said that it owns nothing.
    @Test func whoIsToldLessMustSayThatItHasLetGo() throws {
        var checks = try owned()
        try checks.told([0, 1], to: "a", of: "g", asked: 21, time: 21, patience: patience)
        checks.said("a", of: "g", owned: [])
        checks.heard("a", of: "g", time: 30)
        try checks.told([0], to: "a", of: "g", asked: 30, time: 60, patience: patience)
        breaks(.soleOwner) { try checks.told([0], to: "b", of: "g", asked: 79, time: 79, patience: patience) }
        try checks.told([0], to: "b", of: "g", asked: 80, time: 80, patience: patience)
    }

    /// What a member says to a node that does not coordinate its group is not known to the one that does.
    @Test func whoLetGoBeforeAnotherNodeIsStillToSaySo() throws {
        var checks = try owned()
        try checks.told([0, 1], to: "a", of: "g", asked: 21, time: 21, patience: patience)
        try checks.told([0], to: "a", of: "g", asked: 30, time: 30, patience: patience)
        checks.said("a", of: "g", owned: [0])
        var heard = checks
        heard.heard("a", of: "g", owned: [0], time: 40)
        breaks(.soleOwner) { try heard.told([0], to: "b", of: "g", asked: 80, time: 80, patience: patience) }
        try checks.told([0], to: "b", of: "g", asked: 80, time: 80, patience: patience)
    }

    /// Heartbeats prolong a session from when they arrived, and only those that were accepted.
    @Test func sessionCountsFromTheLastAcceptedHeartbeat() throws {
        var prolonged = try owned()
        prolonged.heard("a", of: "g", time: 60)
        prolonged.heard("a", of: "g", time: 50)
        breaks(.soleOwner) { try prolonged.told([0], to: "b", of: "g", asked: 159, time: 159, patience: patience) }
        var unheard = try owned()
        unheard.said("a", of: "g", owned: [0])
        try unheard.told([0], to: "b", of: "g", asked: 120, time: 120, patience: patience)
    }

    // MARK: - Reading

    @Test func skippedRecordsAreSeen() throws {
        var checks = GroupChecks()
        try checks.read(from: 0, to: 8, at: place)
        try checks.read(from: 4, to: 10, at: place)
        breaks(.groupOffsets) { try checks.read(from: 12, to: 14, at: place) }
        checks.lost(before: 12, at: place)
        try checks.read(from: 12, to: 14, at: place)
        #expect(checks.covered[place] == 14)
    }

    @Test func administratorMaySkipRecords() throws {
        var checks = GroupChecks()
        checks.arrived(1, at: place, offset: 12, isExplicit: true, time: 10)
        try checks.read(from: 12, to: 14, at: place)
    }
}
