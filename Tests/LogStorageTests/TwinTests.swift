// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import Simulation
import Testing

@testable import LogStorage

/// Small tables against definitions that are slow and obvious.
struct TwinTests {
    /// T-K1: markers put in, cut off and dropped in front never shift an offset (redpanda 24e14f8c8b, cd31e3735c).
    @Test(arguments: 0..<200 as Range<UInt64>)
    func markersTurnSlotsIntoOffsetsAndBack(seed: UInt64) {
        var random = SplitMix(state: seed)
        let start = Int64(random.below(20))
        let startOffset = Int64(random.below(Int(start) + 1))
        var table = MarkerTable(start: LogIndex(start), offset: Offset(startOffset))
        var isMarker: [Bool] = []
        for slot in 0..<random.below(30) {
            isMarker.append(random.below(3) == 0)
            if isMarker[slot] { table.note(LogIndex(start + Int64(slot))) }
        }
        func check(from first: Int) {
            var offset = startOffset + Int64(isMarker[..<first].filter { !$0 }.count)
            for slot in first..<isMarker.count {
                let index = LogIndex(start + Int64(slot))
                #expect(table.offset(at: index).rawValue == offset)
                #expect(table.contains(index) == isMarker[slot])
                if !isMarker[slot] {
                    #expect(table.index(of: Offset(offset)) == index)
                    offset += 1
                }
            }
            #expect(table.index(of: Offset(offset)).rawValue == start + Int64(isMarker.count))
        }
        check(from: 0)
        let end = random.below(isMarker.count + 1)
        isMarker.removeSubrange(end...)
        table.truncate(to: LogIndex(start + Int64(end)))
        check(from: 0)
        let first = random.below(end + 1)
        table.dropPrefix(before: LogIndex(start + Int64(first)))
        check(from: first)
        #expect(table.start.rawValue == start + Int64(first))
    }

    @Test func markersThatDoNotAscendAreRefused() {
        func table(_ slots: [Int64]) -> MarkerTable? {
            MarkerTable(start: LogIndex(5), offset: .zero, slots: slots.map { LogIndex($0) })
        }
        #expect(table([5, 6, 9]) != nil && table([]) != nil)
        #expect(table([4, 6]) == nil && table([6, 6]) == nil && table([7, 6]) == nil)
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func anIndexFindsTheLastRowBefore(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let files = try makeMachine()
        let index = SparseIndex(path: "/data/i", base: LogIndex(7), stored: 0, in: files)
        var rows: [IndexRow] = []
        for number in 0..<random.below(400) {
            let row = IndexRow(
                index: LogIndex(Int64(number * 3)), position: Int64(number * 50), maxTimestamp: Int64(number / 4))
            index.add(row)
            rows.append(row)
            if random.below(50) == 0 { index.store() }
        }
        if random.below(2) == 0 {
            let count = random.below(rows.count + 1)
            index.truncate(to: count)
            rows.removeSubrange(count...)
        }
        #expect(index.count == rows.count)
        for _ in 0..<20 {
            let wanted = Int64(random.below(1_300))
            #expect(try index.last { $0.index.rawValue <= wanted } == rows.last { $0.index.rawValue <= wanted })
            #expect(try index.last { $0.maxTimestamp < wanted / 12 } == rows.last { $0.maxTimestamp < wanted / 12 })
        }
        index.store()
        let again = SparseIndex(path: "/data/i", base: LogIndex(7), stored: rows.count, in: files)
        for number in rows.indices { #expect(try again.row(number) == rows[number]) }
        let other = SparseIndex(path: "/data/i", base: LogIndex(8), stored: rows.count, in: files)
        if !rows.isEmpty { #expect(throws: IndexDamage.self, "a row belongs to its segment") { try other.row(0) } }
    }
}
