// SPDX-License-Identifier: Apache-2.0

import CSnappy
import NIOCore

/// Snappy blocks, in the stream that Java's SnappyOutputStream ("Xerial") writes:
///
///     82 "SNAPPY" 00 | version 1 | oldest compatible version 1 | (length, block) ...
///
/// with 32-bit big-endian numbers. librdkafka writes one bare block instead; both are read, the stream is written.
enum Snappy {
    static let magic: [UInt8] = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]
    private static let headerSize = 16
    /// What Java packs into one block.
    private static let blockSize = 32 << 10

    static func bound(_ size: Int) -> Int {
        let blocks = size / blockSize + 1
        return headerSize + blocks * (4 + snappy_max_compressed_length(min(size, blockSize)))
    }

    static func compress(_ input: UnsafeRawBufferPointer, to output: inout ByteBuffer) throws(CompressionError) {
        output.writeBytes(magic)
        output.writeInteger(1 as Int32)
        output.writeInteger(1 as Int32)
        var position = 0
        while position < input.count {
            let block = input.slice(position..<min(position + blockSize, input.count))
            let lengthIndex = output.writerIndex
            output.writeInteger(0 as Int32)
            try output.append(atMost: snappy_max_compressed_length(block.count)) { (space) throws(CompressionError) in
                var written = space.count
                let source = block.bindMemory(to: CChar.self).baseAddress
                let target = space.bindMemory(to: CChar.self).baseAddress
                guard snappy_compress(source, block.count, target, &written) == SNAPPY_OK else {
                    throw .failed(.snappy)
                }
                return written
            }
            output.setInteger(Int32(output.writerIndex - lengthIndex - 4), at: lengthIndex)
            position += block.count
        }
    }

    static func decompress(
        _ input: UnsafeRawBufferPointer, to output: inout BoundedOutput
    ) throws(CompressionError) {
        guard input.count >= magic.count, zip(input, magic).allSatisfy({ $0 == $1 }) else {
            return try block(input, to: &output)
        }
        guard input.count >= headerSize else { throw .truncated(.snappy) }
        let oldest: Int32 = input.bigEndian(at: 12)
        guard oldest == 1 else { throw .corrupt(.snappy) }
        var position = headerSize
        while position < input.count {
            guard input.count - position >= 4 else { throw .truncated(.snappy) }
            let length = Int(input.bigEndian(at: position, as: Int32.self))
            position += 4
            guard length > 0 else { throw .corrupt(.snappy) }
            guard length <= input.count - position else { throw .truncated(.snappy) }
            try block(input.slice(position..<position + length), to: &output)
            position += length
        }
    }

    private static func block(
        _ packed: UnsafeRawBufferPointer, to output: inout BoundedOutput
    ) throws(CompressionError) {
        let source = packed.bindMemory(to: CChar.self).baseAddress
        var size = 0
        guard packed.count > 0 else { throw .truncated(.snappy) }
        guard snappy_uncompressed_length(source, packed.count, &size) == SNAPPY_OK else { throw .corrupt(.snappy) }
        guard size <= output.room else { throw .outputTooLarge(.snappy, limit: output.limit) }
        // A larger claim is a lie, seen before memory is taken.
        guard size / Codec.snappy.highestRatio <= packed.count else { throw .corrupt(.snappy) }
        try output.fill(exactly: size) { (space) throws(CompressionError) in
            // The C binding wants a target even for an empty block.
            guard space.count > 0 else {
                guard snappy_validate_compressed_buffer(source, packed.count) == SNAPPY_OK else {
                    throw .corrupt(.snappy)
                }
                return
            }
            var written = space.count
            let target = space.bindMemory(to: CChar.self).baseAddress
            let result = snappy_uncompress(source, packed.count, target, &written)
            guard result == SNAPPY_OK, written == size else { throw .corrupt(.snappy) }
        }
    }
}
