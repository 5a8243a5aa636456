// SPDX-License-Identifier: Apache-2.0

import CZstd
import NIOCore

/// RFC 8878, without dictionaries and with a window of at most 8 MiB.
enum Zstd {
    static func bound(_ size: Int) -> Int { ZSTD_compressBound(size) }

    static func compress(
        _ input: UnsafeRawBufferPointer, level: Int32?, to output: inout ByteBuffer
    ) throws(CompressionError) {
        guard let context = ZSTD_createCCtx() else { throw .failed(.zstd) }
        defer { ZSTD_freeCCtx(context) }
        let level = level ?? ZSTD_CLEVEL_DEFAULT
        var settings = [(ZSTD_c_compressionLevel, level)]
        // Levels from 20 on would ask for windows that readers, this one included, refuse.
        if level >= 20 { settings.append((ZSTD_c_windowLog, Codec.maximumWindowLog)) }
        for (parameter, value) in settings {
            guard ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) == 0 else { throw .failed(.zstd) }
        }
        try output.append(atMost: bound(input.count)) { (space) throws(CompressionError) in
            let written = ZSTD_compress2(context, space.baseAddress, space.count, input.baseAddress, input.count)
            guard ZSTD_isError(written) == 0 else { throw .failed(.zstd) }
            return written
        }
    }

    static func decompress(
        _ input: UnsafeRawBufferPointer, to output: inout BoundedOutput
    ) throws(CompressionError) {
        guard let context = ZSTD_createDCtx() else { throw .failed(.zstd) }
        defer { ZSTD_freeDCtx(context) }
        let capped = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Codec.maximumWindowLog)
        guard ZSTD_isError(capped) == 0 else { throw .failed(.zstd) }
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        for _ in 0..<Codec.maximumFrames {
            try frame(context, &source, to: &output)
            if source.pos == source.size { return }
        }
        throw .refusedFeature(.zstd)
    }

    private static func frame(
        _ context: OpaquePointer, _ source: inout ZSTD_inBuffer, to output: inout BoundedOutput
    ) throws(CompressionError) {
        while true {
            var rest = 0
            let (filled, offered) = try output.fill { (space) throws(CompressionError) in
                var target = ZSTD_outBuffer(dst: space.baseAddress, size: space.count, pos: 0)
                rest = ZSTD_decompressStream(context, &target, &source)
                guard ZSTD_isError(rest) == 0 else { throw error(rest) }
                return target.pos
            }
            if rest == 0 { return }
            if source.pos == source.size && filled < offered { throw .truncated(.zstd) }
        }
    }

    private static func error(_ result: Int) -> CompressionError {
        switch ZSTD_getErrorCode(result) {
        case ZSTD_error_frameParameter_windowTooLarge, ZSTD_error_dictionary_wrong,
            ZSTD_error_dictionary_corrupted, ZSTD_error_frameParameter_unsupported:
            .refusedFeature(.zstd)
        case ZSTD_error_memory_allocation: .failed(.zstd)
        default: .corrupt(.zstd)
        }
    }
}
