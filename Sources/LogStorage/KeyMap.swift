// SPDX-License-Identifier: Apache-2.0

/// Where the last record of each key lies: what compaction needs to know, in a bounded piece of memory.
///
/// A key is represented by 128 bits of SipHash-1-3 under a secret key (Aumasson and Bernstein, "SipHash: a fast
/// short-input PRF", 2012). Kafka's map does the same with MD5; a keyed hash, because somebody who could make two keys
/// collide could make one of them vanish.
struct KeyMap: Sendable {
    /// Three words an entry: the hash's halves, and the offset plus one; zero there is "empty".
    private var words: [UInt64]
    private let entries: UInt64
    private let limit: Int
    private let seed: (UInt64, UInt64)
    private(set) var count = 0

    static var entrySize: Int { 24 }

    /// - Parameters:
    ///   - bytes: the most memory to take.
    ///   - records: how many keys there can be at most.
    init(bytes: Int, records: Int64, seed: (UInt64, UInt64)) {
        let wanted = records < Int64(Int32.max) ? Int(records) * 4 / 3 + 4 : Int.max
        let entries = max(4, min(bytes / Self.entrySize, wanted))
        words = [UInt64](repeating: 0, count: 3 * entries)
        self.entries = UInt64(entries)
        limit = entries / 4 * 3
        self.seed = seed
    }

    /// Notes that `key` has a record at `offset`, which is higher than all before. `false` when there is no room for
    /// another key; nothing is noted then.
    mutating func note(_ key: UnsafeRawBufferPointer, at offset: Int64) -> Bool {
        let hash = SipHash128.hash(key, seed)
        var place = start(hash.0)
        return words.withUnsafeMutableBufferPointer { words in
            while true {
                if words[place + 2] == 0 {
                    guard count < limit else { return false }
                    count += 1
                    words[place] = hash.0
                    words[place + 1] = hash.1
                    words[place + 2] = UInt64(offset) + 1
                    return true
                }
                if words[place] == hash.0, words[place + 1] == hash.1 {
                    words[place + 2] = UInt64(offset) + 1
                    return true
                }
                place += 3
                if place == words.count { place = 0 }
            }
        }
    }

    /// The offset last noted for `key`.
    func last(of key: UnsafeRawBufferPointer) -> Int64? {
        let hash = SipHash128.hash(key, seed)
        var place = start(hash.0)
        return words.withUnsafeBufferPointer { words in
            while words[place + 2] != 0 {
                if words[place] == hash.0, words[place + 1] == hash.1 { return Int64(words[place + 2] - 1) }
                place += 3
                if place == words.count { place = 0 }
            }
            return nil
        }
    }

    private func start(_ hash: UInt64) -> Int { 3 * Int(hash.multipliedFullWidth(by: entries).high) }
}

/// SipHash with one round a word, three at the end and 128 bits of output.
enum SipHash128 {
    static func hash(_ bytes: UnsafeRawBufferPointer, _ seed: (UInt64, UInt64)) -> (UInt64, UInt64) {
        var state = State(seed)
        var place = 0
        while place + 8 <= bytes.count {
            state.take(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)))
            place += 8
        }
        var last = UInt64(truncatingIfNeeded: bytes.count) << 56
        var shift: UInt64 = 0
        while place < bytes.count {
            last |= UInt64(bytes[place]) << shift
            shift += 8
            place += 1
        }
        state.take(last)
        return state.finish()
    }

    private struct State {
        var a: UInt64
        var b: UInt64
        var c: UInt64
        var d: UInt64

        init(_ seed: (UInt64, UInt64)) {
            a = seed.0 ^ 0x736f_6d65_7073_6575
            b = seed.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee
            c = seed.0 ^ 0x6c79_6765_6e65_7261
            d = seed.1 ^ 0x7465_6462_7974_6573
        }

        @inline(__always)
        mutating func round() {
            a = a &+ b
            b = (b << 13 | b >> 51) ^ a
            a = a << 32 | a >> 32
            c = c &+ d
            d = (d << 16 | d >> 48) ^ c
            a = a &+ d
            d = (d << 21 | d >> 43) ^ a
            c = c &+ b
            b = (b << 17 | b >> 47) ^ c
            c = c << 32 | c >> 32
        }

        @inline(__always)
        mutating func take(_ word: UInt64) {
            d ^= word
            round()
            a ^= word
        }

        mutating func finish() -> (UInt64, UInt64) {
            c ^= 0xee
            for _ in 0..<3 { round() }
            let first = a ^ b ^ c ^ d
            b ^= 0xdd
            for _ in 0..<3 { round() }
            return (first, a ^ b ^ c ^ d)
        }
    }
}
