// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

/// What a client has asked for and been told, so that neither need be said again while it stays the same (KIP-227).
///
/// The partitions form a ring that is read from its beginning and never reordered but in one way: those that gave
/// records go to the end, so that none starves behind others that always fill the answer (KIP-74).
final class FetchSession {
    let id: Int32
    /// Version 13 and later name topics by ids; a session keeps to one way.
    let usesTopicIDs: Bool
    let created: Moment
    var lastUsed: Moment
    /// What the next request of the session must carry.
    private(set) var epoch: Int32 = 1

    private struct Row {
        var wish: FetchWish
        /// What the client was last told; −1 when it must be told whatever it is.
        var highWatermark: Int64 = -1
        var logStart: Int64 = -1
        var previous: Int
        var next: Int
    }

    private var rows: [Row] = []
    private var places: [FetchKey: Int] = [:]
    private var vacant: [Int] = []
    private var first = none
    private var last = none
    private static let none = -1

    /// How much memory the session takes, roughly, in bytes.
    private(set) var cost = 0

    var count: Int { places.count }

    init(id: Int32, usesTopicIDs: Bool, wishes: [FetchWish], now: Moment) {
        self.id = id
        self.usesTopicIDs = usesTopicIDs
        created = now
        lastUsed = now
        for wish in wishes { add(wish) }
    }

    /// What keeping such wishes takes at most, roughly, in bytes: a row, its place in the table, and the name.
    static func cost(of wishes: [FetchWish]) -> Int { wishes.reduce(0) { $0 + cost(of: $1.key) } }

    private static func cost(of key: FetchKey) -> Int {
        switch key.topic {
        case .id: 192
        case .name(let name): 192 + name.utf8.count
        }
    }

    // MARK: - What is asked for

    /// In the order in which they are to be read.
    /// - Complexity: O(*n*)
    var wishes: [FetchWish] {
        var wishes: [FetchWish] = []
        wishes.reserveCapacity(count)
        var at = first
        while at != Self.none {
            wishes.append(rows[at].wish)
            at = rows[at].next
        }
        return wishes
    }

    /// Takes in the next request: what it names is added or changed, what it forgets is dropped.
    func update(_ wishes: [FetchWish], forgetting forgotten: [FetchKey]) {
        for wish in wishes { add(wish) }
        for key in forgotten { remove(key) }
    }

    private func add(_ wish: FetchWish) {
        if let place = places[wish.key] {
            rows[place].wish = wish
            return
        }
        let row = Row(wish: wish, previous: Self.none, next: Self.none)
        let place: Int
        if let free = vacant.popLast() {
            place = free
            rows[free] = row
        } else {
            place = rows.count
            rows.append(row)
        }
        places[wish.key] = place
        cost += Self.cost(of: wish.key)
        link(place)
    }

    private func remove(_ key: FetchKey) {
        guard let place = places.removeValue(forKey: key) else { return }
        unlink(place)
        vacant.append(place)
        cost -= Self.cost(of: key)
    }

    private func link(_ place: Int) {
        rows[place].previous = last
        rows[place].next = Self.none
        if last == Self.none { first = place } else { rows[last].next = place }
        last = place
    }

    private func unlink(_ place: Int) {
        let (previous, next) = (rows[place].previous, rows[place].next)
        if previous == Self.none { first = next } else { rows[previous].next = next }
        if next == Self.none { last = previous } else { rows[next].previous = previous }
    }

    // MARK: - What is answered

    /// Takes the epoch of a request that is being served: the next one must carry another.
    func advance() { epoch = Self.epoch(after: epoch) }

    /// Epochs are positive and wrap around, because 0 opens a session and −1 is none.
    static func epoch(after epoch: Int32) -> Int32 { epoch == .max ? 1 : max(0, epoch) + 1 }

    /// Whether the client must be told this of a partition, and remembers that it has been.
    func tells(_ answer: FetchResponse.Partition, of key: FetchKey) -> Bool {
        // Forgotten, or closed and opened again, by another request of the same client meanwhile.
        guard let place = places[key] else { return true }
        let hasRecords = answer.records.byteCount > 0
        var isNews = hasRecords || answer.preferredReadReplica >= 0
        if rows[place].highWatermark != answer.highWatermark || rows[place].logStart != answer.logStartOffset {
            rows[place].highWatermark = answer.highWatermark
            rows[place].logStart = answer.logStartOffset
            isNews = true
        }
        if answer.error != .none || answer.divergingEpoch != nil {
            // Errors are repeated until they are over, and so is the first answer after one.
            rows[place].highWatermark = -1
            isNews = true
        }
        if hasRecords, last != place {
            unlink(place)
            link(place)
        }
        return isNews
    }
}
