// SPDX-License-Identifier: Apache-2.0

/// What happens next: a heap ordered by time, then by the order in which things were scheduled.
struct EventQueue<Event> {
    struct Item {
        let time: UInt64
        let order: UInt64
        let event: Event
    }

    private var heap: [Item] = []
    private var nextOrder: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }
    var earliest: UInt64? { heap.first?.time }

    mutating func schedule(_ event: Event, at time: UInt64) {
        reschedule(Item(time: time, order: nextOrder, event: event))
        nextOrder += 1
    }

    /// Puts an item back, at its old place among those of the same time.
    mutating func reschedule(_ item: Item) {
        heap.append(item)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard Self.precedes(heap[child], heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func next() -> Item? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if Self.precedes(heap[child], heap[least]) { least = child }
            }
            guard least != parent else { return first }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private static func precedes(_ left: Item, _ right: Item) -> Bool {
        (left.time, left.order) < (right.time, right.order)
    }
}
