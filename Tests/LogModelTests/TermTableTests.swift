// SPDX-License-Identifier: Apache-2.0

import LogModel
import Testing

/// The table against the obvious: a list that says for each slot which term wrote it.
private struct SlotList {
    var start: Int64 = 0
    var terms: [Int32] = []

    var end: Int64 { start + Int64(terms.count) }

    func term(at index: Int64) -> Int32? {
        guard index >= start, !terms.isEmpty else { return nil }
        // Past the end the table answers with the term that would be going on.
        return index < end ? terms[Int(index - start)] : terms.last
    }

    func start(ofFirstTermAbove term: Int32) -> Int64? {
        terms.firstIndex { $0 > term }.map { start + Int64($0) }
    }

    func largestTerm(notAbove term: Int32) -> Int32? { terms.last { $0 <= term } }

    /// Every entry begins a slot in this model.
    var table: TermTable {
        var table = TermTable()
        for (place, term) in terms.enumerated() { table.note(Term(term), at: LogIndex(start + Int64(place))) }
        return table
    }

    mutating func truncate(to end: Int64) {
        terms.removeLast(min(terms.count, Int(max(0, self.end - end))))
    }

    mutating func dropPrefix(before index: Int64) {
        let gone = min(Int64(terms.count), max(0, index - start))
        terms.removeFirst(Int(gone))
        start += gone
    }
}

/// SplitMix64: the same seed gives the same numbers on every machine.
private struct SeededRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}

@Suite struct TermTableTests {
    private static func row(_ term: Int32, _ start: Int64) -> TermTable.Row {
        TermTable.Row(term: Term(term), start: LogIndex(start))
    }

    /// Terms 2, 3 and 7 from 0, 41 and 97 on.
    private static let three = TermTable(rows: [row(2, 0), row(3, 41), row(7, 97)]) ?? TermTable()

    @Test func anEmptyTableKnowsNothing() {
        let table = TermTable()
        #expect(table.rows.isEmpty)
        #expect(table.term(at: .zero) == nil)
        #expect(table.start(ofFirstTermAbove: .zero) == nil)
        #expect(table.largestTerm(notAbove: Term(.max)) == nil)
    }

    @Test func aTermIsNotedOnceAtItsFirstEntry() {
        var table = TermTable()
        for (term, index) in [(2, 0), (2, 10), (3, 41), (3, 42), (7, 97)] as [(Int32, Int64)] {
            table.note(Term(term), at: LogIndex(index))
        }
        #expect(table == Self.three)
    }

    @Test(
        arguments: [
            (0, 2), (40, 2), (41, 3), (96, 3), (97, 7), (98, 7), (Int64.max, 7),
        ] as [(Int64, Int32)])
    func aTermCoversTheSlotsUpToTheNext(index: Int64, term: Int32) {
        #expect(Self.three.term(at: LogIndex(index)) == Term(term))
    }

    @Test func slotsBeforeTheFirstRowHaveNoTerm() throws {
        let table = try #require(TermTable(rows: [Self.row(4, 5)]))
        #expect(table.term(at: LogIndex(4)) == nil)
        #expect(table.term(at: LogIndex(5)) == Term(4))
    }

    @Test(
        arguments: [
            (0, 0), (1, 0), (2, 41), (3, 97), (6, 97), (7, nil), (Int32.max, nil),
        ] as [(Int32, Int64?)])
    func theFirstTermAboveIsFound(term: Int32, start: Int64?) {
        #expect(Self.three.start(ofFirstTermAbove: Term(term)) == start.map { LogIndex($0) })
    }

    @Test(arguments: [(0, nil), (1, nil), (2, 2), (3, 3), (6, 3), (7, 7), (8, 7)] as [(Int32, Int32?)])
    func theLargestTermNotAboveIsFound(term: Int32, found: Int32?) {
        #expect(Self.three.largestTerm(notAbove: Term(term)) == found.map { Term($0) })
    }

    @Test func rowsThatDoNotAscendAreDamage() {
        #expect(TermTable(rows: [])?.rows == [])
        #expect(TermTable(rows: [Self.row(2, 0), Self.row(2, 5)]) == nil)
        #expect(TermTable(rows: [Self.row(3, 0), Self.row(2, 5)]) == nil)
        #expect(TermTable(rows: [Self.row(2, 5), Self.row(3, 5)]) == nil)
        #expect(TermTable(rows: [Self.row(2, 5), Self.row(3, 4)]) == nil)
        #expect(TermTable(rows: [Self.row(1, 0), Self.row(2, 5), Self.row(3, 4)]) == nil)
    }

    /// T-L9 (KAFKA-10706).
    @Test(arguments: [(0, 0), (1, 1), (41, 1), (42, 2), (97, 2), (98, 3), (1_000, 3)] as [(Int64, Int)])
    func truncationTakesTheRowsThatStartThereOrLater(end: Int64, left: Int) {
        var table = Self.three
        table.truncate(to: LogIndex(end))
        #expect(table.rows == Array(Self.three.rows[..<left]))
    }

    @Test func aTruncatedTermCanBeWrittenByAnother() {
        var table = Self.three
        table.truncate(to: LogIndex(41))
        table.note(Term(9), at: LogIndex(41))
        #expect(table.rows == [Self.row(2, 0), Self.row(9, 41)])
    }

    @Test func aDroppedPrefixLeavesTheRowThatCoversTheStart() {
        for (start, rows) in [
            (0, Self.three.rows), (1, [Self.row(2, 1), Self.row(3, 41), Self.row(7, 97)]),
            (41, [Self.row(3, 41), Self.row(7, 97)]), (60, [Self.row(3, 60), Self.row(7, 97)]),
            (500, [Self.row(7, 500)]),
        ] as [(Int64, [TermTable.Row])] {
            var table = Self.three
            table.dropPrefix(before: LogIndex(start))
            #expect(table.rows == rows, "before \(start)")
        }
        var late = TermTable(rows: [Self.row(4, 5)])
        late?.dropPrefix(before: LogIndex(3))
        #expect(late?.rows == [Self.row(4, 5)])
    }

    @Test(arguments: 0..<100)
    func agreesWithAListOfSlots(seed: UInt64) {
        var random = SeededRandom(state: seed)
        var slots = SlotList()
        var table = TermTable()
        var term: Int32 = 1
        for _ in 0..<60 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0 where !slots.terms.isEmpty:
                let end = Int64.random(in: slots.start...slots.end, using: &random)
                slots.truncate(to: end)
                table.truncate(to: LogIndex(end))
            case 1 where slots.terms.count > 1:
                // A log never drops all of itself: its last entry stays.
                let start = Int64.random(in: slots.start..<slots.end, using: &random)
                slots.dropPrefix(before: start)
                table.dropPrefix(before: LogIndex(start))
            default:
                if Int.random(in: 0..<3, using: &random) == 0 { term += Int32.random(in: 1...3, using: &random) }
                table.note(Term(term), at: LogIndex(slots.end))
                slots.terms.append(term)
            }
            // Where a log was cut to nothing, nothing tells where it began.
            guard !slots.terms.isEmpty else {
                #expect(table.rows.isEmpty)
                continue
            }
            #expect(table == slots.table)
            for index in max(0, slots.start - 2)..<(slots.end + 2) {
                #expect(table.term(at: LogIndex(index))?.rawValue == slots.term(at: index))
            }
            for asked in 0...(term + 1) {
                #expect(table.start(ofFirstTermAbove: Term(asked))?.rawValue == slots.start(ofFirstTermAbove: asked))
                #expect(table.largestTerm(notAbove: Term(asked))?.rawValue == slots.largestTerm(notAbove: asked))
            }
        }
    }

    @Test func aFallingTermStopsTheProcess() async {
        await #expect(processExitsWith: .failure) {
            var table = TermTable()
            table.note(Term(2), at: .zero)
            table.note(Term(1), at: LogIndex(1))
        }
    }

    @Test func twoTermsAtOneSlotStopTheProcess() async {
        await #expect(processExitsWith: .failure) {
            var table = TermTable()
            table.note(Term(1), at: LogIndex(5))
            table.note(Term(2), at: LogIndex(5))
        }
    }
}
