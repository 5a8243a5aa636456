// SPDX-License-Identifier: Apache-2.0

/// SplitMix64 (Steele, Lea, Flood 2014): the only source of chance in a run.
public struct SimRandom: Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0 when that is 0.
    public mutating func below(_ bound: Int) -> Int { bound <= 0 ? 0 : Int(next() % UInt64(bound)) }

    public mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    public mutating func coin() -> Bool { next() & 1 == 0 }

    public mutating func chance(perMille: Int) -> Bool { below(1_000) < perMille }

    public mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    /// A span of nanoseconds: mostly short, now and then up to eight times `mean`.
    ///
    /// A sum of uniform numbers scaled by a rare power of two; floating point is kept out of the simulation.
    public mutating func span(mean: UInt64) -> UInt64 {
        guard mean > 0 else { return 0 }
        let uniform = next() % (2 * mean)
        guard chance(perMille: 30) else { return uniform }
        return uniform * UInt64(within(2...8))
    }
}

/// A digest of everything that happened, in order: equal digests are equal runs.
struct RunDigest {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ word: UInt64) {
        value = SimRandom.mix(value ^ word &* 0x9E37_79B9_7F4A_7C15)
    }

    mutating func add(_ number: Int) { add(UInt64(bitPattern: Int64(number))) }
}
