// SPDX-License-Identifier: Apache-2.0

/// Bytes of a chosen compressibility, the same for the same seed.
///
/// Of every 64 bytes, the share `compressibility` repeats one fixed text and the rest is random, so a codec without
/// entropy coding (lz4, snappy) leaves about `1 - compressibility`. At 0 nothing compresses.
struct Payload {
    private var state: UInt64
    private let repeated: Int

    private static let text = Array("the godwit flies from Alaska to New Zealand without a stop, 11 d".utf8)

    init(compressibility: Double, seed: UInt64) {
        state = seed
        repeated = Int((max(0, min(1, compressibility)) * 64).rounded())
    }

    mutating func next(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
            var place = 0
            while place < count {
                let block = min(64, count - place)
                let fixed = min(repeated, block)
                for index in 0..<fixed { bytes[place + index] = Self.text[index] }
                var random: UInt64 = 0
                for index in fixed..<block {
                    if (index - fixed) % 8 == 0 { random = nextRandom() }
                    bytes[place + index] = UInt8(truncatingIfNeeded: random)
                    random >>= 8
                }
                place += block
            }
            filled = count
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    private mutating func nextRandom() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
