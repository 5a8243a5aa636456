// SPDX-License-Identifier: Apache-2.0

/// The source of member ids: SplitMix64 from a seed that the caller gives.
///
/// Ids are no secrets, they only must not meet; the caller seeds each coordinator with chance of its own.
struct GroupRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A UUID of version 4 in its usual form (RFC 9562).
    mutating func uuid() -> String {
        let high = next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
        let low = next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        let digits = Self.hex(high) + Self.hex(low)
        let text = String(decoding: digits, as: UTF8.self)
        let cuts = [0, 8, 12, 16, 20, 32].map { text.utf8.index(text.startIndex, offsetBy: $0) }
        return zip(cuts, cuts.dropFirst()).map { text[$0..<$1] }.joined(separator: "-")
    }

    /// An id for a new member: a name that people know it by, cut to a length that can be stored, and chance.
    mutating func memberID(after name: String) -> String {
        var prefix = name
        while prefix.utf8.count > 255 { prefix.removeLast() }
        return prefix + "-" + uuid()
    }

    private static func hex(_ number: UInt64) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return (0..<16).map { digits[Int(number >> (60 - 4 * UInt64($0)) & 0xF)] }
    }
}
