// SPDX-License-Identifier: Apache-2.0

import CLZ4
import NIOCore

/// The LZ4 frame format. Java reads frames of independent blocks only, so that is what is written.
enum LZ4 {
    private static func preferences(_ level: Int32?) -> LZ4F_preferences_t {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockSizeID = LZ4F_max64KB
        preferences.frameInfo.blockMode = LZ4F_blockIndependent
        preferences.compressionLevel = level ?? 0
        return preferences
    }

    static func bound(_ size: Int) -> Int {
        var preferences = preferences(nil)
        return LZ4F_compressFrameBound(size, &preferences)
    }

    static func compress(
        _ input: UnsafeRawBufferPointer, level: Int32?, to output: inout ByteBuffer
    ) throws(CompressionError) {
        var preferences = preferences(level)
        let bound = LZ4F_compressFrameBound(input.count, &preferences)
        try output.append(atMost: bound) { (space) throws(CompressionError) in
            let written = LZ4F_compressFrame(
                space.baseAddress, space.count, input.baseAddress, input.count, &preferences)
            guard LZ4F_isError(written) == 0 else { throw .failed(.lz4) }
            return written
        }
    }

    static func decompress(
        _ input: UnsafeRawBufferPointer, to output: inout BoundedOutput
    ) throws(CompressionError) {
        var context: OpaquePointer?
        guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0, let context else {
            throw .failed(.lz4)
        }
        defer { LZ4F_freeDecompressionContext(context) }
        var position = 0
        for _ in 0..<Codec.maximumFrames {
            try refuseDictionary(input, at: position)
            try frame(context, input, &position, to: &output)
            if position == input.count { return }
        }
        throw .refusedFeature(.lz4)
    }

    /// The library reads a frame with a dictionary id as if it had none.
    private static func refuseDictionary(_ input: UnsafeRawBufferPointer, at position: Int) throws(CompressionError) {
        guard input.count - position >= 7 else { throw .truncated(.lz4) }
        let isFrame = input.bigEndian(at: position, as: UInt32.self) == 0x0422_4d18
        if isFrame && input[position + 4] & 1 != 0 { throw .refusedFeature(.lz4) }
    }

    private static func frame(
        _ context: OpaquePointer, _ input: UnsafeRawBufferPointer, _ position: inout Int,
        to output: inout BoundedOutput
    ) throws(CompressionError) {
        while true {
            var hint = 0
            let before = position
            let (filled, offered) = try output.fill { (space) throws(CompressionError) in
                var written = space.count
                var read = input.count - position
                let rest = input.slice(position..<input.count)
                hint = LZ4F_decompress(context, space.baseAddress, &written, rest.baseAddress, &read, nil)
                guard LZ4F_isError(hint) == 0 else { throw .corrupt(.lz4) }
                position += read
                return written
            }
            if hint == 0 { return }
            if position == input.count && filled < offered { throw .truncated(.lz4) }
            guard position > before || filled > 0 else { throw .corrupt(.lz4) }
        }
    }
}
