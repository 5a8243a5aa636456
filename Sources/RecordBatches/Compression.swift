// SPDX-License-Identifier: Apache-2.0

public import NIOCore

extension Codec {
    /// The levels that `compress` takes; others are clamped. `nil` for a codec without levels.
    public var levels: ClosedRange<Int>? {
        switch self {
        case .none, .snappy: nil
        case .gzip: 1...9
        case .lz4: 1...12
        case .zstd: -131_072...22
        }
    }

    /// Packs `input` in the form that Kafka clients of every kind read.
    ///
    /// - Parameters:
    ///   - level: `nil` for the codec's fast default; see `levels`.
    ///   - reservingHeader: zero bytes to leave before the packed ones.
    public func compress(
        _ input: UnsafeRawBufferPointer, level: Int? = nil, reservingHeader: Int = 0
    ) throws(CompressionError) -> ByteBuffer {
        let level = levels.flatMap { range in level.map { Int32(min(max($0, range.lowerBound), range.upperBound)) } }
        guard input.count <= Int(Int32.max) else { throw .failed(self) }
        var output = ByteBuffer()
        output.reserveCapacity(reservingHeader + compressBound(input.count))
        output.writeRepeatingByte(0, count: reservingHeader)
        switch self {
        case .none: output.writeBytes(input)
        case .gzip: try Gzip.compress(input, level: level, to: &output)
        case .snappy: try Snappy.compress(input, to: &output)
        case .lz4: try LZ4.compress(input, level: level, to: &output)
        case .zstd: try Zstd.compress(input, level: level, to: &output)
        }
        return output
    }

    public func compress(_ input: ByteBuffer, level: Int? = nil) throws(CompressionError) -> ByteBuffer {
        try input.withUnsafeReadableBytes { (bytes) throws(CompressionError) in
            try compress(bytes, level: level)
        }
    }

    private func compressBound(_ size: Int) -> Int {
        switch self {
        case .none: size
        case .gzip: Gzip.bound(size)
        case .snappy: Snappy.bound(size)
        case .lz4: LZ4.bound(size)
        case .zstd: Zstd.bound(size)
        }
    }

    /// Unpacks `input`, all of it, into at most `limit` bytes.
    ///
    /// What the input claims about its own size is never trusted with memory: the output grows with what has been
    /// unpacked, and at the limit the work stops. Beside the output this takes at most 8 MiB for the codec's window.
    /// - Throws: `.outputTooLarge` beyond the limit, `.refusedFeature` for dictionaries, for windows above 8 MiB and
    ///   for more than `maximumFrames` frames, other errors for damage.
    public func decompress(_ input: UnsafeRawBufferPointer, limit: Int) throws(CompressionError) -> ByteBuffer {
        var output = BoundedOutput(codec: self, limit: limit, expecting: input.count)
        switch self {
        case .none:
            guard input.count <= limit else { throw .outputTooLarge(self, limit: limit) }
            output.buffer.writeBytes(input)
        case .gzip: try Gzip.decompress(input, to: &output)
        case .snappy: try Snappy.decompress(input, to: &output)
        case .lz4: try LZ4.decompress(input, to: &output)
        case .zstd: try Zstd.decompress(input, to: &output)
        }
        return output.buffer
    }

    public func decompress(_ input: ByteBuffer, limit: Int) throws(CompressionError) -> ByteBuffer {
        try input.withUnsafeReadableBytes { (bytes) throws(CompressionError) in
            try decompress(bytes, limit: limit)
        }
    }

    /// Frames (gzip: members) that one compressed section may be made of. Clients write one; the formats allow any
    /// number, and empty ones cost time without costing output.
    public static let maximumFrames = 1024
    /// The largest zstd window, as a power of two: 8 MiB, what RFC 8878 asks a decoder to support.
    static let maximumWindowLog: Int32 = 23
}

/// Output that grows as it is filled and ends at a limit.
struct BoundedOutput {
    let codec: Codec
    let limit: Int
    var buffer = ByteBuffer()
    /// Bytes to offer at first, from the size of the input.
    private let first: Int

    init(codec: Codec, limit: Int, expecting packed: Int) {
        precondition(limit >= 0, "a limit is never negative")
        self.codec = codec
        self.limit = min(limit, Int(Int32.max))
        first = max(4096, min(packed, 1 << 26) * 3)
    }

    /// Bytes that may still come. One more is offered to decoders, to tell "exactly full" from "too much".
    var room: Int { limit - buffer.readableBytes }

    /// Offers free space to `body`, which says how much of it it has filled.
    @discardableResult
    mutating func fill(
        _ body: (UnsafeMutableRawBufferPointer) throws(CompressionError) -> Int
    ) throws(CompressionError) -> (filled: Int, offered: Int) {
        let offered = min(max(first, buffer.readableBytes), room + 1)
        buffer.reserveCapacity(minimumWritableBytes: offered)
        let filled = try buffer.withUnsafeMutableWritableBytes { (space) throws(CompressionError) in
            try body(UnsafeMutableRawBufferPointer(rebasing: space[..<offered]))
        }
        precondition(filled <= offered, "a decoder wrote beyond its space")
        guard filled <= room else { throw .outputTooLarge(codec, limit: limit) }
        buffer.moveWriterIndex(forwardBy: filled)
        return (filled, offered)
    }

    /// Offers space for exactly `size` bytes, which `body` must fill.
    mutating func fill(
        exactly size: Int, _ body: (UnsafeMutableRawBufferPointer) throws(CompressionError) -> Void
    ) throws(CompressionError) {
        guard size <= room else { throw .outputTooLarge(codec, limit: limit) }
        buffer.reserveCapacity(minimumWritableBytes: size)
        try buffer.withUnsafeMutableWritableBytes { (space) throws(CompressionError) in
            try body(UnsafeMutableRawBufferPointer(rebasing: space[..<size]))
        }
        buffer.moveWriterIndex(forwardBy: size)
    }
}

extension ByteBuffer {
    /// Lets `body` write at most `bound` bytes at the end; it says how many it wrote.
    mutating func append(
        atMost bound: Int, _ body: (UnsafeMutableRawBufferPointer) throws(CompressionError) -> Int
    ) throws(CompressionError) {
        reserveCapacity(minimumWritableBytes: bound)
        let written = try withUnsafeMutableWritableBytes(body)
        moveWriterIndex(forwardBy: written)
    }
}
