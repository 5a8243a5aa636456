// SPDX-License-Identifier: Apache-2.0

import LogModel

/// Which slots of a log are markers: what turns a `LogIndex` into a Kafka offset and back.
///
///     slot     0  1  2  3  4  5         start: index 0, offset 0
///     entry    M  r  r  M  M  r         markers: 0, 3, 4
///     offset   ·  0  1  ·  ·  2
///
/// - Invariant: the slots ascend strictly and none lies before `start`.
struct MarkerTable: Hashable {
    private(set) var start: LogIndex
    private(set) var startOffset: Offset
    private(set) var slots: [LogIndex] = []

    init(start: LogIndex, offset: Offset) {
        self.start = start
        startOffset = offset
    }

    /// Slots as they were stored; `nil` when they do not ascend, which only damage can cause.
    init?(start: LogIndex, offset: Offset, slots: [LogIndex]) {
        self.init(start: start, offset: offset)
        for (earlier, later) in zip(slots, slots.dropFirst()) where earlier >= later { return nil }
        if let first = slots.first, first < start { return nil }
        self.slots = slots
    }

    mutating func note(_ slot: LogIndex) {
        precondition(slots.last.map { $0 < slot } ?? (start <= slot), "markers are noted in log order")
        slots.append(slot)
    }

    /// The offset of the record at `index`, or of the first record after a marker there.
    /// - Complexity: O(log *n*) in markers.
    func offset(at index: LogIndex) -> Offset {
        let index = max(index, start)
        let before = count { $0 < slots.count && slots[$0] < index }
        return Offset(startOffset.rawValue + index.slots(since: start) - Int64(before))
    }

    /// The slot of the record that has or will get `offset`: behind any markers that stand before it.
    /// - Complexity: O(log *n*) in markers.
    func index(of offset: Offset) -> LogIndex {
        let records = max(offset, startOffset) - startOffset
        let before = count { place in
            place < slots.count && slots[place].slots(since: start) - Int64(place) <= records.rawValue
        }
        return start.advanced(by: records.rawValue + Int64(before))
    }

    func contains(_ slot: LogIndex) -> Bool {
        let before = count { $0 < slots.count && slots[$0] < slot }
        return before < slots.count && slots[before] == slot
    }

    /// The markers in `range`.
    func slots(in range: Range<LogIndex>) -> ArraySlice<LogIndex> {
        let from = count { $0 < slots.count && slots[$0] < range.lowerBound }
        let to = count { $0 < slots.count && slots[$0] < range.upperBound }
        return slots[from..<to]
    }

    mutating func truncate(to end: LogIndex) {
        slots.removeSubrange(count { $0 < slots.count && slots[$0] < end }...)
    }

    mutating func dropPrefix(before newStart: LogIndex) {
        let offset = offset(at: newStart)
        slots.removeSubrange(..<count { $0 < slots.count && slots[$0] < newStart })
        start = newStart
        startOffset = offset
    }

    /// How many places at the front satisfy `isBefore`, which must not turn true again after being false.
    private func count(while isBefore: (Int) -> Bool) -> Int {
        var low = 0
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
