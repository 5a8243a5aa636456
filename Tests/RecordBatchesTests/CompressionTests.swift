// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import RecordBatches
import Testing

@Suite struct CompressionTests {
    private static let packing: [Codec] = [.gzip, .snappy, .lz4, .zstd]

    private func failure(_ codec: Codec, _ input: [UInt8], limit: Int) -> CompressionError? {
        do throws(CompressionError) { _ = try codec.decompress(buffer(input), limit: limit) } catch { return error }
        return nil
    }

    /// Text-like and random stretches, so that some of it packs and some does not.
    private func mixed(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        var out: [UInt8] = []
        while out.count < count {
            out += random.next() % 2 == 0 ? random.bytes(100) : [UInt8](repeating: UInt8(out.count & 0xff), count: 150)
        }
        return Array(out[..<count])
    }

    @Test(arguments: Codec.allCases, [0, 1, 100, 32_768, 32_769, 65_536, 1_000_000])
    func whatGoesInComesOut(codec: Codec, size: Int) throws {
        let data = mixed(size, seed: UInt64(size))
        let packed = try codec.compress(buffer(data))
        #expect(try codec.decompress(packed, limit: size) == buffer(data), "exactly at the limit")
        if size > 0 {
            #expect(failure(codec, bytes(packed), limit: size - 1) == .outputTooLarge(codec, limit: size - 1))
        }
    }

    @Test(arguments: packing)
    func everyLevelIsReadable(codec: Codec) throws {
        let data = mixed(50_000, seed: 5)
        for level in [-1_000_000, -5, 1, 3, 6, 9, 12, 19, 22, 1000] {
            #expect(try codec.decompress(codec.compress(buffer(data), level: level), limit: 50_000) == buffer(data))
        }
    }

    @Test(arguments: packing)
    func everyTruncationIsRefused(codec: Codec) throws {
        let packed = bytes(try codec.compress(buffer(mixed(3_000, seed: 6))))
        // A snappy stream may end after any block, so also after its header.
        for size in 0..<packed.count where codec != .snappy || size != 16 {
            #expect(failure(codec, Array(packed[..<size]), limit: 1 << 20) != nil, "\(size)")
        }
    }

    @Test(arguments: packing)
    func bytesAfterTheStreamAreRefused(codec: Codec) throws {
        let packed = bytes(try codec.compress(buffer(mixed(3_000, seed: 6))))
        for tail in [[UInt8(0)], [1, 2, 3], [UInt8](repeating: 0xee, count: 40)] {
            #expect(failure(codec, packed + tail, limit: 1 << 20) != nil)
        }
    }

    @Test(arguments: [Codec.gzip, .lz4, .zstd])
    func framesInARowAreOneStream(codec: Codec) throws {
        let parts = (0..<5).map { mixed(2_000 * $0, seed: UInt64($0)) }
        let packed = try parts.flatMap { bytes(try codec.compress(buffer($0))) }
        #expect(try codec.decompress(buffer(packed), limit: 1 << 20) == buffer(parts.flatMap { $0 }))
    }

    @Test(arguments: [Codec.gzip, .lz4, .zstd])
    func aFloodOfEmptyFramesIsRefused(codec: Codec) throws {
        let empty = bytes(try codec.compress(ByteBuffer()))
        let flood = (0...Codec.maximumFrames).flatMap { _ in empty }
        #expect(failure(codec, flood, limit: 1 << 20) == .refusedFeature(codec))
        #expect(flood.count < 1 << 16, "frames cost time, so a flood is a small one")
    }

    @Test func bothKindsOfSnappyAreRead() throws {
        let bare = GoldenBatches.bareSnappySection
        #expect(try Codec.snappy.decompress(buffer(bare), limit: 1 << 20) == buffer(GoldenBatches.none[61...]))
    }

    // MARK: bombs, each worth 1 GiB of zeros

    private static func bomb(_ codec: Codec) throws -> [UInt8] {
        switch codec {
        case .none: return [UInt8](repeating: 0, count: 1 << 20)
        case .zstd:
            // A frame of 8192 blocks, each of which says "128 KiB of zeros" in four bytes (RFC 8878 §3.1.1.2).
            let header: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]
            return header + (0..<8192).flatMap { _ -> [UInt8] in [0x02, 0x00, 0x10, 0x00] } + [1, 0, 0]
        case .snappy:
            // The header of the stream once, its blocks 64 times.
            let part = bytes(try codec.compress(buffer([UInt8](repeating: 0, count: 16 << 20))))
            return part[..<16] + (0..<64).flatMap { _ in part[16...] }
        case .gzip, .lz4:
            let part = bytes(try codec.compress(buffer([UInt8](repeating: 0, count: 16 << 20))))
            return (0..<64).flatMap { _ in part }
        }
    }

    @Test(arguments: packing)
    func aBombStopsAtTheLimit(codec: Codec) throws {
        let bomb = try Self.bomb(codec)
        for limit in [0, 1000, 1 << 20, 3_000_000] {
            #expect(failure(codec, bomb, limit: limit) == .outputTooLarge(codec, limit: limit))
        }
    }

    /// The most address space this process has ever had, in bytes. Space that is only set aside counts too.
    private func peak() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmPeak:") })
        return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) }) << 10
    }

    @Test func aClaimedSizeTakesNoMemory() throws {
        let before = try peak()
        // A bare snappy block that claims 2³¹ bytes and holds none; within the limit the claim is still a lie.
        let claim: [UInt8] = [0x80, 0x80, 0x80, 0x80, 0x07, 0x00]
        #expect(failure(.snappy, claim, limit: 1 << 20) == .outputTooLarge(.snappy, limit: 1 << 20))
        #expect(failure(.snappy, claim, limit: .max) == .corrupt(.snappy))
        // A zstd frame that claims 2⁴⁰ bytes and ends after 128 KiB.
        let zstd: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x38, 0, 0, 0, 0, 0, 1, 0, 0, 3, 0, 0x10, 0]
        #expect(failure(.zstd, zstd, limit: 1 << 20) == .corrupt(.zstd))
        #expect(failure(.zstd, zstd, limit: .max) == .corrupt(.zstd))
        // Other tests run at the same time, but none of them needs as much as the smaller claim.
        #expect(try peak() - before < 1 << 30)
    }

    @Test func aZstdWindowAboveTheCapIsRefused() {
        // Window descriptors: exponent in the upper five bits, 2^(10 + exponent) bytes.
        for exponent in 14...21 as ClosedRange<UInt8> {
            let frame: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3, 0x02, 0, 0x10, 0, 1, 0, 0]
            #expect(failure(.zstd, frame, limit: 1 << 30) == .refusedFeature(.zstd), "2^\(10 + exponent)")
        }
        let eight: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x02, 0, 0x10, 0, 1, 0, 0]
        #expect(failure(.zstd, eight, limit: 1 << 30) == nil)
    }

    @Test func dictionariesAreRefused() throws {
        let zstd: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x38, 0x05, 0x02, 0, 0x10, 0, 1, 0, 0]
        #expect(failure(.zstd, zstd, limit: 1 << 20) == .refusedFeature(.zstd))
        var lz4 = bytes(try Codec.lz4.compress(buffer("x")))
        lz4[4] |= 1
        #expect(failure(.lz4, lz4, limit: 1 << 20) == .refusedFeature(.lz4))
    }

    @Test(arguments: packing)
    func noBytesTrapADecoder(codec: Codec) throws {
        var random = SeededRandom(seed: 11)
        let packed = bytes(try codec.compress(buffer(mixed(2_000, seed: 8))))
        for _ in 0..<1_500 {
            var data = packed
            for _ in 0...Int(random.next() % 3) {
                data[Int(random.next() % UInt64(data.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            let unpacked = try? codec.decompress(buffer(data), limit: 4_000)
            #expect(unpacked?.readableBytes ?? 0 <= 4_000)
        }
    }

    @Test func codecsHaveKafkasNames() {
        for codec in Codec.allCases { #expect(Codec(name: "\(codec)") == codec) }
        #expect(Codec(name: "uncompressed") == Codec.none)
        #expect(Codec(name: "brotli") == nil)
    }
}
