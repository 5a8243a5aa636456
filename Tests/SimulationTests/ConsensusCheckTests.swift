// SPDX-License-Identifier: Apache-2.0

import LogModel
import RaftCore
import Simulation
import Testing

/// Each check is shown a history that breaks its promise, and one next to it that does not.
@Suite struct ConsensusCheckTests {
    private func entry(_ at: Int64, _ term: Int32, number: Int32 = 0, isMarker: Bool = false, offset: Int64? = nil)
        -> LoggedEntry
    {
        let base = Offset(offset ?? at)
        return LoggedEntry(
            start: LogIndex(at), end: LogIndex(at + 1), term: Term(term), isMarker: isMarker, baseOffset: base,
            nextOffset: isMarker ? base : Offset(base.rawValue + 1), crc: UInt32(bitPattern: number),
            batch: BatchName(producer: 1, number: number))
    }

    private func view(
        _ node: Int32, term: Int32, _ role: RaftNode.Role = .follower, commit: Int64 = 0, durable: Int64 = 0,
        end: Int64 = 0, shown: Int64? = nil
    ) -> ReplicaView {
        ReplicaView(
            node: NodeID(node), term: Term(term), role: role, leader: nil, commit: LogIndex(commit),
            durable: LogIndex(durable), start: .zero, end: LogIndex(end), highWatermark: shown.map { Offset($0) },
            commitOffset: Offset(commit))
    }

    /// Three voters that hold `terms`, all durable.
    private func checks(_ terms: [Int32], on holders: [Int32] = [0, 1, 2], durable: Bool = true) throws
        -> ConsensusChecks
    {
        var checks = ConsensusChecks(voters: 3)
        for node in holders {
            for (at, term) in terms.enumerated() {
                try checks.appended(entry(Int64(at), term, number: Int32(at)), at: NodeID(node))
            }
            let end = Int64(terms.count)
            try checks.observe(view(node, term: terms.last ?? 0, durable: durable ? end : 0, end: end))
        }
        return checks
    }

    private func breaks(_ promise: Violation.Promise, _ work: () throws -> Void) {
        let error = #expect(throws: Violation.self) { try work() }
        #expect(error?.promise == promise)
    }

    @Test func electionSafetySeesASecondLeaderAtAnyTime() throws {
        var checks = try checks([1])
        try checks.observe(view(0, term: 2, .leader, durable: 1, end: 1))
        try checks.observe(view(0, term: 3, durable: 1, end: 1))
        try checks.observe(view(1, term: 3, .leader, durable: 1, end: 1))
        breaks(.electionSafety) { try checks.observe(view(2, term: 2, .leader, durable: 1, end: 1)) }
    }

    @Test func logMatchingSeesDifferentBytesAtOnePlace() throws {
        var checks = try checks([1], on: [0])
        breaks(.logMatching) { try checks.appended(entry(0, 1, number: 99), at: NodeID(1)) }
    }

    @Test func logMatchingSeesADifferentPast() throws {
        var checks = try checks([1, 3], on: [0])
        try checks.appended(entry(0, 2, number: 0), at: NodeID(1))
        breaks(.logMatching) { try checks.appended(entry(1, 3, number: 1), at: NodeID(1)) }
    }

    @Test func leaderCompletenessSeesAShortLog() throws {
        var checks = try checks([1, 1], on: [0, 1])
        try checks.observe(view(0, term: 1, .leader, commit: 2, durable: 2, end: 2))
        breaks(.leaderCompleteness) { try checks.observe(view(2, term: 2, .leader)) }
    }

    @Test func stateMachineSafetySeesAnotherEntryCommitted() throws {
        var checks = try checks([1], on: [0, 1])
        try checks.observe(view(0, term: 1, .leader, commit: 1, durable: 1, end: 1))
        try checks.appended(entry(0, 2), at: NodeID(2))
        breaks(.stateMachineSafety) { try checks.observe(view(2, term: 2, commit: 1, durable: 1, end: 1)) }
    }

    @Test func quorumLogSeesACommitWithoutAMajorityOfDisks() throws {
        var checks = try checks([1], on: [0, 1], durable: false)
        breaks(.quorumLog) { try checks.observe(view(0, term: 1, .leader, commit: 1, durable: 1, end: 1)) }
    }

    @Test func quorumLogSeesACommittedEntryLeaveAMajority() throws {
        var checks = try checks([1], on: [0, 1])
        try checks.observe(view(0, term: 1, .leader, commit: 1, durable: 1, end: 1))
        breaks(.quorumLog) {
            try checks.truncated(to: .zero, at: NodeID(1))
            try checks.observe(view(1, term: 2))
        }
    }

    @Test func committedIsDurableSeesALeaderCountItself() throws {
        var checks = try checks([1], on: [0, 1], durable: false)
        try checks.observe(view(1, term: 1, durable: 1, end: 1))
        breaks(.committedIsDurable) { try checks.observe(view(0, term: 1, .leader, commit: 1, end: 1)) }
    }

    @Test func monotonicSeesTermsCommitsAndStartsGoBack() throws {
        var checks = try checks([1, 1])
        try checks.observe(view(0, term: 1, .leader, commit: 2, durable: 2, end: 2))
        var copy = checks
        breaks(.monotonic) { try copy.observe(view(0, term: 1, .leader, commit: 1, durable: 2, end: 2)) }
        breaks(.monotonic) { try checks.observe(view(0, term: 0, commit: 2, durable: 2, end: 2)) }
        var moved = try self.checks([1, 1])
        try moved.startMoved(to: LogPosition(term: Term(1), end: LogIndex(1)), isRestart: false, at: NodeID(0))
        breaks(.monotonic) { try moved.startMoved(to: .empty, isRestart: false, at: NodeID(0)) }
    }

    @Test func monotonicSeesANewLeaderShowLess() throws {
        var checks = try checks([1, 1])
        try checks.observe(view(0, term: 1, .leader, commit: 2, durable: 2, end: 2, shown: 2))
        for node in [NodeID(1), NodeID(2)] { try checks.appended(entry(2, 2, number: 2), at: node) }
        try checks.observe(view(2, term: 2, durable: 3, end: 3))
        breaks(.monotonic) { try checks.observe(view(1, term: 2, .leader, commit: 3, durable: 3, end: 3, shown: 1)) }
    }

    @Test func voteOnceSeesTwoVotesOfOneTerm() throws {
        var checks = ConsensusChecks(voters: 3)
        let granted = Message.voteReply(term: Term(4), granted: true)
        try checks.sent(granted, from: NodeID(0), to: NodeID(1))
        try checks.sent(granted, from: NodeID(0), to: NodeID(1))
        breaks(.voteOnce) { try checks.sent(granted, from: NodeID(0), to: NodeID(2)) }
        let own = Message.vote(Vote(term: Term(4), last: .empty, isTransfer: false))
        breaks(.voteOnce) { try checks.sent(own, from: NodeID(0), to: NodeID(2)) }
    }

    @Test func truncationBelowTheCommitIsSeen() throws {
        var checks = try checks([1, 1])
        try checks.observe(view(0, term: 1, .leader, commit: 2, durable: 2, end: 2))
        breaks(.noTruncationBelowCommit) { try checks.truncated(to: LogIndex(1), at: NodeID(0)) }
    }

    @Test func persistBeforeReplySeesAnEarlyAcknowledgement() throws {
        var checks = try checks([1], on: [0], durable: false)
        let reply = Message.appendReply(AppendReply(term: Term(1), outcome: .matched(LogIndex(1))))
        breaks(.persistBeforeReply) { try checks.sent(reply, from: NodeID(0), to: NodeID(1)) }
    }

    @Test func persistBeforeReplySeesWhatACrashTookBack() throws {
        var entries = try checks([1, 1])
        entries.crashed(NodeID(0))
        breaks(.persistBeforeReply) {
            try entries.recovered(start: .empty, entries: [entry(0, 1)], term: Term(1), at: NodeID(0))
        }
        var terms = ConsensusChecks(voters: 3)
        try terms.sent(.voteReply(term: Term(7), granted: false), from: NodeID(0), to: NodeID(1))
        terms.crashed(NodeID(0))
        breaks(.persistBeforeReply) {
            try terms.recovered(start: .empty, entries: [], term: Term(6), at: NodeID(0))
        }
    }

    @Test func currentTermCommitSeesAnOldEntryCommittedByCounting() throws {
        var checks = try checks([1])
        breaks(.currentTermCommit) {
            try checks.observe(view(0, term: 2, .leader, commit: 1, durable: 1, end: 1))
        }
    }

    @Test func offsetAccountingSeesHolesAndWrongTranslations() throws {
        var checks = try checks([1], on: [0])
        breaks(.offsetAccounting) { try checks.appended(entry(1, 1, offset: 5), at: NodeID(0)) }
        var translated = try self.checks([1])
        var wrong = view(0, term: 1, .leader, commit: 1, durable: 1, end: 1)
        wrong.commitOffset = Offset(7)
        breaks(.offsetAccounting) { try translated.observe(wrong) }
    }

    @Test func faithfulHistoryPasses() throws {
        var checks = try checks([1, 1])
        try checks.observe(view(0, term: 1, .leader, commit: 2, durable: 2, end: 2, shown: 2))
        try checks.observe(view(1, term: 1, commit: 2, durable: 2, end: 2))
        checks.crashed(NodeID(2))
        try checks.recovered(
            start: .empty, entries: [entry(0, 1, number: 0), entry(1, 1, number: 1)], term: Term(1), at: NodeID(2))
        #expect(checks.committedOffset == Offset(2))
    }
}

/// The same for what producers and consumers see.
@Suite struct RecordCheckTests {
    private let batch = BatchName(producer: 1, number: 1)
    private let other = BatchName(producer: 2, number: 1)

    private func committed(_ batch: BatchName, at offset: Int64) -> LoggedEntry {
        LoggedEntry(
            start: LogIndex(offset), end: LogIndex(offset + 1), term: Term(1), isMarker: false,
            baseOffset: Offset(offset), nextOffset: Offset(offset + 1), crc: 0, batch: batch)
    }

    private func breaks(_ promise: Violation.Promise, _ work: () throws -> Void) {
        let error = #expect(throws: Violation.self) { try work() }
        #expect(error?.promise == promise)
    }

    @Test func noLossSeesAnAcknowledgementOfWhatIsNotThere() {
        var checks = RecordChecks()
        checks.sending(batch)
        breaks(.noLoss) { try checks.acknowledged(batch, at: Offset(3), committed: nil) }
        breaks(.noLoss) { try checks.acknowledged(batch, at: Offset(3), committed: committed(other, at: 3)) }
    }

    @Test func noLossSeesWhatIsMissingOrMovedAtTheEnd() throws {
        var checks = RecordChecks()
        checks.sending(batch)
        try checks.acknowledged(batch, at: Offset(3), committed: committed(batch, at: 3))
        try checks.checkFinal([(Offset(3), batch)], from: .zero)
        try checks.checkFinal([], from: Offset(4))
        breaks(.noLoss) { try checks.checkFinal([], from: .zero) }
        breaks(.noLoss) { try checks.checkFinal([(Offset(4), batch)], from: .zero) }
    }

    @Test func noInventionSeesStrangersRefusedAndRepeatedBatches() throws {
        var checks = RecordChecks()
        breaks(.noInvention) { try checks.read(batch, at: .zero, committedOffset: Offset(1), by: "reader") }
        checks.sending(batch)
        try checks.read(batch, at: .zero, committedOffset: Offset(1), by: "reader")
        breaks(.noInvention) { try checks.checkFinal([(.zero, batch), (Offset(1), batch)], from: .zero) }
        checks.refused(batch)
        breaks(.noInvention) { try checks.read(batch, at: .zero, committedOffset: Offset(1), by: "reader") }
    }

    @Test func readsBeyondWhatIsCommittedAreSeen() {
        var checks = RecordChecks()
        checks.sending(batch)
        breaks(.quorumLog) { try checks.read(batch, at: Offset(1), committedOffset: Offset(1), by: "reader") }
    }

    @Test func offsetUniqueSeesTwoBatchesAtOneOffset() throws {
        var checks = RecordChecks()
        checks.sending(batch)
        checks.sending(other)
        try checks.read(batch, at: .zero, committedOffset: Offset(9), by: "one reader")
        breaks(.offsetUnique) { try checks.read(other, at: .zero, committedOffset: Offset(9), by: "another") }
    }

    @Test func offsetMonotoneSeesOffsetsFall() throws {
        var checks = RecordChecks()
        checks.sending(batch)
        try checks.acknowledged(batch, at: Offset(8), committed: committed(batch, at: 8))
        checks.sending(other)
        breaks(.offsetMonotone) {
            try checks.acknowledged(other, at: Offset(7), committed: committed(other, at: 7))
        }
    }

    @Test func producerOrderSeesGapsAndRepetitions() throws {
        let producer: Int64 = 1 << 20
        var check = ProducerOrderCheck()
        try check.read(BatchName(producer: producer, number: Int32.max), slots: 3)
        try check.read(BatchName(producer: producer, number: 2), slots: 1)
        breaks(.producerOrder) { try check.read(BatchName(producer: producer, number: 2), slots: 1) }
        breaks(.producerOrder) { try check.read(BatchName(producer: producer, number: 4), slots: 1) }
        try check.read(BatchName(producer: producer + 1, number: 4), slots: 1)
        try check.read(batch, slots: 1)
        try check.read(batch, slots: 1)
    }

    @Test func producerOrderSeesABatchAtTwoOffsets() throws {
        let retried = BatchName(producer: 1 << 20, number: 0)
        var checks = RecordChecks()
        checks.sending(retried)
        try checks.acknowledged(retried, at: Offset(3), committed: committed(retried, at: 3))
        try checks.acknowledged(retried, at: Offset(3), committed: committed(retried, at: 3))
        breaks(.producerOrder) {
            try checks.acknowledged(retried, at: Offset(5), committed: committed(retried, at: 5))
        }
        breaks(.producerOrder) { try checks.checkFinal([(Offset(3), retried), (Offset(5), retried)], from: .zero) }
        var read = RecordChecks()
        read.sending(retried)
        try read.read(retried, at: .zero, committedOffset: Offset(9), by: "reader")
        breaks(.producerOrder) { try read.read(retried, at: Offset(4), committedOffset: Offset(9), by: "reader") }
    }

    @Test func offsetMonotoneFollowsTheOrderOfSending() throws {
        let numbers: [Int32] = [1, 2, 3]
        let names = numbers.map { BatchName(producer: 1, number: $0) }
        var checks = RecordChecks()
        for name in names { checks.sending(name) }
        try checks.acknowledged(names[2], at: Offset(9), committed: committed(names[2], at: 9))
        try checks.acknowledged(names[0], at: Offset(4), committed: committed(names[0], at: 4))
        breaks(.offsetMonotone) {
            try checks.acknowledged(names[1], at: Offset(12), committed: committed(names[1], at: 12))
        }
    }
}
