// SPDX-License-Identifier: Apache-2.0
import Histories

/// A history written down by hand: each step begins at the next full ten and ends five later, unless it says otherwise.
struct Script {
    static let log = "t-0"
    private(set) var operations: [Operation] = []
    private var now: Int64 = 0

    /// A final scan that has not read yet, and a producer with idempotence and acks=all that sent values 100, 101 and
    /// 102 and was told of offsets 0, 1 and 2.
    static func sound() -> Script {
        var script = Script()
        script.open("scan", ClientTraits(isFinalScan: true))
        for offset in Int64(0)..<3 { script.send("p", 100 + offset, at: offset) }
        return script
    }

    mutating func step(
        _ client: String, _ act: Act, _ outcome: Operation.Outcome = .ok, lasting: Int64? = 5
    ) {
        now += 10
        let ended = lasting.map { now + $0 } ?? .max
        operations.append(Operation(client: client, began: now, ended: ended, outcome: outcome, act: act))
    }

    mutating func open(_ client: String, _ traits: ClientTraits) { step(client, .open(traits)) }

    mutating func send(_ client: String, _ value: Int64, at offset: Int64?, lasting: Int64? = 5) {
        let record = SentRecord(log: Self.log, value: value, offset: offset)
        step(client, .send([record]), offset == nil ? .unknown : .ok, lasting: lasting)
    }

    mutating func fail(_ client: String, _ value: Int64) {
        step(client, .send([SentRecord(log: Self.log, value: value)]), .failed)
    }

    mutating func poll(_ client: String, _ records: [(Int64, Int64)], end: Int64? = nil) {
        let read = records.map { ReadRecord(offset: $0.0, value: $0.1) }
        step(client, .poll([ReadRange(log: Self.log, records: read, end: end)]))
    }

    /// The whole log, value by value from offset 0.
    mutating func scan(_ values: Int64...) {
        poll("scan", values.enumerated().map { (Int64($0.offset), $0.element) })
    }

    func verdict(_ check: HistoryCheck = HistoryCheck()) -> Verdict { check.verdict(on: operations) }
}
