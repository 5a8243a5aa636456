// SPDX-License-Identifier: Apache-2.0
import Histories
import Testing

/// What looks like an anomaly and is none, because nobody promised more.
@Suite struct PromiseTests {
    @Test func whatTheLeaderAloneAcknowledgedMayBeLostUnlessItIsBelieved() {
        var script = Script.sound()
        script.open("q", ClientTraits(acks: .leader))
        script.send("q", 200, at: 3)
        script.send("p", 103, at: 3)
        script.scan(100, 101, 102, 103)
        let verdict = script.verdict()
        #expect(verdict.isSound, "\(verdict.examples)")
        #expect(verdict.figures.acknowledgedByLeader == 1)
        var credulous = HistoryCheck()
        credulous.believesEveryAck = true
        #expect(script.verdict(credulous).kinds.contains(.inconsistentOffsets))
    }

    @Test func aProducerWithoutIdempotenceMayStoreTwiceUnlessMoreIsExpected() {
        var script = Script.sound()
        script.open("q", ClientTraits(isIdempotent: false, keepsOrder: false))
        script.send("q", 200, at: 4)
        script.scan(100, 101, 102, 200, 200)
        let verdict = script.verdict()
        #expect(verdict.isSound, "\(verdict.examples)")
        #expect(verdict.figures.toleratedDuplicates == 1)
        var strict = HistoryCheck()
        strict.expectsIdempotence = true
        #expect(script.verdict(strict).kinds == [.duplicate])
    }

    @Test func aProducerThatSendsAgainInANewEpochIsToldTwice() {
        var script = Script.sound()
        script.send("p", 103, at: 4)
        script.scan(100, 101, 102, 103, 103)
        #expect(script.verdict().kinds == [.duplicate])
        script.step("log", .resent(values: [103]))
        #expect(script.verdict().isSound)
        #expect(script.verdict().figures.toleratedDuplicates == 1)
    }

    @Test func aLateCommitMayBeGoneOnFrom() {
        var script = Script.sound()
        script.step("c", .commit(group: "g", log: Script.log, offset: 1), .unknown, lasting: nil)
        script.step("c", .commit(group: "g", log: Script.log, offset: 3))
        script.step("d", .fetchOffset(group: "g", log: Script.log, offset: 1))
        script.step("d", .commit(group: "g", log: Script.log, offset: 2))
        script.scan(100, 101, 102)
        #expect(script.verdict().isSound)
    }

    @Test func aProducerWithManyRequestsInFlightMayChangeTheOrderOfWhatIsUnderWay() {
        var script = Script.sound()
        script.open("q", ClientTraits(isIdempotent: false, keepsOrder: false))
        script.send("q", 200, at: 4, lasting: 50)
        script.send("q", 201, at: 3)
        script.scan(100, 101, 102, 201, 200)
        #expect(script.verdict().isSound)
    }

    @Test func whoReadsFromFollowersMaySeeAnOlderEnd() {
        var script = Script.sound()
        script.open("c", ClientTraits(readsFollowers: true))
        script.poll("c", [], end: 1)
        script.scan(100, 101, 102)
        #expect(script.verdict().isSound)
    }

    @Test func anEndAskedForBeforeTheAcknowledgementMayLackIt() {
        var script = Script.sound()
        script.step("c", .listEnd(log: Script.log, offset: 3), lasting: 40)
        script.send("p", 103, at: 3)
        script.scan(100, 101, 102, 103)
        #expect(script.verdict().isSound)
    }

    @Test func aCommitOfUnknownOutcomeMayShowOrNot() {
        var script = Script.sound()
        script.step("c", .commit(group: "g", log: Script.log, offset: 1))
        script.step("c", .commit(group: "g", log: Script.log, offset: 2), .unknown, lasting: nil)
        script.step("d", .fetchOffset(group: "g", log: Script.log, offset: 1))
        script.step("d", .fetchOffset(group: "g", log: Script.log, offset: 2))
        script.scan(100, 101, 102)
        #expect(script.verdict().isSound)
        // Once it was shown, it cannot be undone.
        script.step("d", .fetchOffset(group: "g", log: Script.log, offset: 1))
        #expect(script.verdict().kinds == [.groupOffsetBack])
    }

    @Test func theWorstLagIsThatOfTheOldestRecordNotYetReached() {
        var script = Script.sound()  // acknowledged at 25, 35, 45
        script.poll("c", [(0, 100)])
        script.poll("c", [(1, 101), (2, 102)])
        script.scan(100, 101, 102)
        #expect(script.verdict().figures.worstRealtimeLag == 50 - 35)
    }

    @Test func examplesAreBoundedAndCountsAreNot() {
        var script = Script.sound()
        for _ in 0..<50 { script.step("c", .listEnd(log: Script.log, offset: 0)) }
        script.scan(100, 101, 102)
        let verdict = script.verdict()
        #expect(verdict.counts[.staleRead] == 50)
        #expect(verdict.examples.count == Verdict.examplesOfAKind)
    }
}
