// SPDX-License-Identifier: Apache-2.0

import CZlib
import NIOCore

/// RFC 1952. A section may be made of several members, as `GZIPInputStream` reads it.
enum Gzip {
    /// zlib's way to ask for gzip framing and a 32 KiB window.
    private static let windowBits: Int32 = 15 + 16

    static func bound(_ size: Int) -> Int {
        // deflateBound without a stream is generous; 18 more for the gzip header and trailer.
        Int(CZlib.compressBound(UInt(size))) + 18
    }

    static func compress(
        _ input: UnsafeRawBufferPointer, level: Int32?, to output: inout ByteBuffer
    ) throws(CompressionError) {
        var stream = z_stream()
        let opened = deflateInit2_(
            &stream, level ?? Z_DEFAULT_COMPRESSION, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard opened == Z_OK else { throw .failed(.gzip) }
        defer { deflateEnd(&stream) }
        let bound = Int(deflateBound(&stream, UInt(input.count)))
        try output.append(atMost: bound) { (space) throws(CompressionError) in
            stream.setInput(input)
            stream.next_out = space.bindMemory(to: UInt8.self).baseAddress
            stream.avail_out = UInt32(clamping: space.count)
            let offered = Int(stream.avail_out)
            guard deflate(&stream, Z_FINISH) == Z_STREAM_END else { throw .failed(.gzip) }
            return offered - Int(stream.avail_out)
        }
    }

    static func decompress(
        _ input: UnsafeRawBufferPointer, to output: inout BoundedOutput
    ) throws(CompressionError) {
        guard input.count <= Int(UInt32.max) else { throw .failed(.gzip) }
        var stream = z_stream()
        guard inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw .failed(.gzip)
        }
        defer { inflateEnd(&stream) }
        stream.setInput(input)
        for _ in 0..<Codec.maximumFrames {
            try inflateMember(&stream, to: &output)
            if stream.avail_in == 0 { return }
            guard inflateReset(&stream) == Z_OK else { throw .failed(.gzip) }
        }
        throw .refusedFeature(.gzip)
    }

    private static func inflateMember(
        _ stream: inout z_stream, to output: inout BoundedOutput
    ) throws(CompressionError) {
        while true {
            var result = Z_OK
            let (filled, offered) = try output.fill { (space) throws(CompressionError) in
                stream.next_out = space.bindMemory(to: UInt8.self).baseAddress
                stream.avail_out = UInt32(space.count)
                result = inflate(&stream, Z_NO_FLUSH)
                return space.count - Int(stream.avail_out)
            }
            switch result {
            case Z_STREAM_END: return
            case Z_OK, Z_BUF_ERROR:
                if stream.avail_in == 0 && filled < offered { throw .truncated(.gzip) }
            case Z_MEM_ERROR: throw .failed(.gzip)
            case Z_NEED_DICT: throw .refusedFeature(.gzip)
            default: throw .corrupt(.gzip)
            }
        }
    }
}

extension z_stream {
    fileprivate mutating func setInput(_ input: UnsafeRawBufferPointer) {
        // zlib's pointer is not const for old compilers' sake; it does not write there.
        next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
        avail_in = UInt32(input.count)
    }
}
