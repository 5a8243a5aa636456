// SPDX-License-Identifier: Apache-2.0

import LogModel
import Testing

@testable import GroupCore

@Suite struct DeadlinesTests {
    private func moment(_ number: UInt64) -> Moment { Moment(nanoseconds: number) }

    @Test func keysComeWhenTheyAreDueAndNotBefore() {
        var deadlines = Deadlines<String>()
        deadlines.set("b", to: moment(20))
        deadlines.set("a", to: moment(10))
        #expect(deadlines.next == moment(10))
        #expect(deadlines.popDue(at: moment(9)) == nil)
        #expect(deadlines.popDue(at: moment(30)) == "a")
        #expect(deadlines.popDue(at: moment(30)) == "b")
        #expect(deadlines.popDue(at: moment(30)) == nil)
        #expect(deadlines.isEmpty && deadlines.next == nil)
    }

    @Test func aMovedDeadlineHoldsInBothDirections() {
        var deadlines = Deadlines<String>()
        deadlines.set("late", to: moment(10))
        deadlines.set("late", to: moment(50))
        deadlines.set("early", to: moment(40))
        deadlines.set("early", to: moment(5))
        #expect(deadlines.popDue(at: moment(45)) == "early")
        #expect(deadlines.popDue(at: moment(45)) == nil)
        #expect(deadlines.popDue(at: moment(50)) == "late")
    }

    @Test func whatIsSetAndRemovedAMillionTimesLeavesNothingBehind() {
        var deadlines = Deadlines<Int>()
        deadlines.set(-1, to: moment(1 << 40))
        for number in 0..<100_000 {
            deadlines.set(number, to: moment(UInt64(1_000 + number)))
            deadlines.remove(number)
        }
        #expect(deadlines.queueLength <= 128)
        #expect(deadlines.popDue(at: moment(1 << 40)) == -1)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func aRandomRunAgreesWithAPlainTable(seed: UInt64) {
        var random = GroupRandom(seed: seed)
        var deadlines = Deadlines<Int>()
        var plain: [Int: Moment] = [:]
        var now: UInt64 = 0
        for _ in 0..<2_000 {
            let key = Int.random(in: 0..<50, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                let due = moment(now + UInt64.random(in: 0..<200, using: &random))
                deadlines.set(key, to: due)
                plain[key] = due
            case 6..<8:
                deadlines.remove(key)
                plain[key] = nil
            default:
                now += UInt64.random(in: 0..<100, using: &random)
                var due: Set<Int> = []
                while let key = deadlines.popDue(at: moment(now)) { due.insert(key) }
                #expect(due == Set(plain.filter { $0.value <= moment(now) }.keys))
                for key in due { plain[key] = nil }
            }
            if let first = plain.values.min() { #expect((deadlines.next ?? moment(.max)) <= first) }
        }
    }
}
