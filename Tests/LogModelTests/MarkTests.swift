// SPDX-License-Identifier: Apache-2.0

import LogModel
import Testing

@Suite struct MarkTests {
    @Test func marksAreNotedByTheProbeThatListens() {
        let probe = Probe()
        let other = Probe()
        Probe.$current.withValue(probe) {
            Mark.hit("MarkTests.one")
            Mark.hit("MarkTests.one")
            Probe.$current.withValue(other) { Mark.hit("MarkTests.two") }
        }
        Mark.hit("MarkTests.nobody-listens")
        #if MARKS
            #expect(probe.marks == ["MarkTests.one": 2])
            #expect(other.hasHit("MarkTests.two"))
            probe.add(other)
            #expect(probe.marks == ["MarkTests.one": 2, "MarkTests.two": 1])
        #else
            #expect(probe.marks.isEmpty)
        #endif
    }

    @Test func thereAreNoWhimsWithoutASeed() {
        Probe.$current.withValue(Probe()) {
            for _ in 0..<100 { #expect(!Whim.strikes("MarkTests.whim")) }
        }
        #expect(!Whim.strikes("MarkTests.whim"))
    }

    #if MARKS
        @Test func aQuarterOfTheSitesStrikesAQuarterOfTheTime() {
            var active = 0
            var strikes = 0
            for seed in UInt64(0)..<400 {
                Probe.$current.withValue(Probe(whims: seed)) {
                    let struck = (0..<40).count { _ in Whim.strikes("MarkTests.whim") }
                    if struck > 0 { active += 1 }
                    strikes += struck
                }
            }
            #expect((60...140).contains(active))
            #expect((5 * active...15 * active).contains(strikes))
        }

        @Test func theSameSeedHasTheSameWhims() {
            func run(_ seed: UInt64) -> [Bool] {
                Probe.$current.withValue(Probe(whims: seed)) { (0..<200).map { _ in Whim.strikes("MarkTests.whim") } }
            }
            for seed in UInt64(0)..<20 { #expect(run(seed) == run(seed)) }
        }
    #endif
}
