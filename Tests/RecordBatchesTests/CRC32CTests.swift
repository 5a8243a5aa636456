// SPDX-License-Identifier: Apache-2.0

import CCRC32C
import Foundation
import RecordBatches
import Testing

@Suite struct CRC32CTests {
    /// RFC 3720 §B.4, and the check value of the catalogue of parametrised CRCs.
    private static let published: [([UInt8], UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
        ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
        (Array(0..<32), 0x46dd_794e),
        (Array((0..<32).reversed()), 0x113f_db5c),
        (Array("123456789".utf8), 0xe306_9283),
        ([], 0),
    ]

    @Test(arguments: published)
    func publishedVectorsHold(data: [UInt8], expected: UInt32) {
        #expect(crc(data) == expected)
        #expect(godwit_crc32c_portable(0, data, data.count) == expected)
    }

    /// Both twins would agree, and nobody notice, if the instruction were never chosen.
    @Test func theInstructionIsUsedWhereThereIsOne() throws {
        let processor = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
        let words = Set(processor.split(whereSeparator: \.isWhitespace))
        let expected = words.contains("sse4_2") ? "sse4.2" : words.contains("crc32") ? "armv8-crc" : "portable"
        #expect(String(cString: godwit_crc32c_implementation()) == expected)
    }

    /// One bit at a time: the definition.
    private static func obvious(_ data: ArraySlice<UInt8>) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in data {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
        }
        return ~crc
    }

    @Test func everyImplementationAgreesWithTheDefinition() {
        var random = SeededRandom(seed: 1)
        let data = random.bytes(3 * 256 + 64)
        for start in 0..<9 {
            for end in stride(from: start, through: data.count, by: 1 + start * 5) {
                let expected = Self.obvious(data[start..<end])
                data.withUnsafeBytes { all in
                    let part = UnsafeRawBufferPointer(rebasing: all[start..<end])
                    #expect(godwit_crc32c(0, part.baseAddress, part.count) == expected)
                    #expect(godwit_crc32c_portable(0, part.baseAddress, part.count) == expected)
                }
            }
        }
    }

    @Test(arguments: 0..<200)
    func theInstructionAgreesWithTheTables(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let data = random.bytes(Int.random(in: 0...40_000, using: &random) >> (seed % 8))
        let start = Int.random(in: 0...min(16, data.count), using: &random)
        let cut = Int.random(in: start...data.count, using: &random)
        data.withUnsafeBytes { all in
            let part = UnsafeRawBufferPointer(rebasing: all[start...])
            let seedValue = UInt32(truncatingIfNeeded: random.next())
            #expect(
                godwit_crc32c(seedValue, part.baseAddress, part.count)
                    == godwit_crc32c_portable(seedValue, part.baseAddress, part.count))
            let first = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: all[start..<cut]))
            let both = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: all[cut...]), continuing: first)
            #expect(both == CRC32C.checksum(part), "in two steps")
        }
    }
}
