// SPDX-License-Identifier: Apache-2.0

import LogModel

/// When which of many things is due, where most deadlines are moved before they come.
///
/// Moving a deadline to later costs one look into a table: the heap is told only once the old deadline has come. Things
/// due at the same moment come in the order of their keys, so that a run can be repeated.
struct Deadlines<Key: Hashable & Comparable & Sendable>: Sendable {
    private struct Entry: Sendable {
        var due: Moment
        var key: Key

        static func < (left: Self, right: Self) -> Bool { (left.due, left.key) < (right.due, right.key) }
    }

    private struct Times: Sendable {
        var due: Moment
        /// The moment of the one entry in the heap that counts. Never after `due`.
        var queued: Moment
    }

    private var times: [Key: Times] = [:]
    private var heap: [Entry] = []

    init() {}

    var isEmpty: Bool { times.isEmpty }

    /// How many entries the heap has, those that no longer count among them.
    var queueLength: Int { heap.count }

    /// When something may be due: never late, but it can be early when the first deadline has been moved or removed.
    var next: Moment? { heap.first?.due }

    /// When `key` is due; `nil` when it has no deadline.
    subscript(key: Key) -> Moment? { times[key]?.due }

    /// Gives `key` a deadline in place of the one it may have.
    ///
    /// - Complexity: O(1) when the deadline moves to later, else O(log *n*).
    mutating func set(_ key: Key, to due: Moment) {
        let queued = times[key]?.queued
        if let queued, queued <= due {
            times[key] = Times(due: due, queued: queued)
        } else {
            times[key] = Times(due: due, queued: due)
            push(Entry(due: due, key: key))
        }
    }

    mutating func remove(_ key: Key) {
        guard times.removeValue(forKey: key) != nil else { return }
        if times.isEmpty { heap.removeAll() } else { tidy() }
    }

    /// Takes out one key whose deadline has come.
    mutating func popDue(at now: Moment) -> Key? {
        while let first = heap.first, first.due <= now {
            pop()
            guard let time = times[first.key], time.queued == first.due else { continue }
            if time.due <= now {
                times[first.key] = nil
                return first.key
            }
            times[first.key] = Times(due: time.due, queued: time.due)
            push(Entry(due: time.due, key: first.key))
        }
        return nil
    }

    /// Keeps the heap from growing with what has been removed.
    private mutating func tidy() {
        guard heap.count > 64, heap.count > times.count * 2 else { return }
        heap = heap.filter { times[$0.key]?.queued == $0.due }
        for place in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(place) }
    }

    private mutating func push(_ entry: Entry) {
        heap.append(entry)
        var place = heap.count - 1
        while place > 0, heap[place] < heap[(place - 1) / 2] {
            heap.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
        tidy()
    }

    private mutating func pop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        sink(0)
    }

    private mutating func sink(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            guard least != place else { return }
            heap.swapAt(place, least)
            place = least
        }
    }
}
