// SPDX-License-Identifier: Apache-2.0

/// How the records of a batch are compressed, by its number in the attribute bits.
public enum Codec: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case none = 0
    case gzip = 1
    case snappy = 2
    case lz4 = 3
    case zstd = 4

    /// The name Kafka's settings use.
    public var description: String {
        switch self {
        case .none: "none"
        case .gzip: "gzip"
        case .snappy: "snappy"
        case .lz4: "lz4"
        case .zstd: "zstd"
        }
    }

    /// The most bytes that one packed byte can stand for, rounded up: deflate has 258 bytes in two bits, snappy 64 in
    /// three bytes, LZ4 255 in each byte of a long match, and a zstd block of four bytes up to 128 KiB.
    var highestRatio: Int {
        switch self {
        case .none: 1
        case .gzip: 1032
        case .snappy: 22
        case .lz4: 255
        case .zstd: 32_768
        }
    }

    /// Reads what `description` prints; `uncompressed` too, as Kafka's topic setting has it.
    public init?(name: some StringProtocol) {
        if name == "uncompressed" {
            self = .none
        } else if let codec = Self.allCases.first(where: { $0.description == name }) {
            self = codec
        } else {
            return nil
        }
    }
}

/// Why bytes could not be compressed or decompressed.
public enum CompressionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The stream is not what its format says.
    case corrupt(Codec)
    /// The stream ends too early.
    case truncated(Codec)
    /// Bytes follow the end of the stream.
    case trailingBytes(Codec)
    /// The output would be longer than the caller's limit, in bytes. Nothing beyond the limit was produced.
    case outputTooLarge(Codec, limit: Int)
    /// A legal feature that Kafka clients never use and that costs memory: a dictionary, a window above 8 MiB.
    case refusedFeature(Codec)
    /// The library failed for a reason of its own, such as memory.
    case failed(Codec)

    public var description: String {
        switch self {
        case .corrupt(let codec): "damaged \(codec) data"
        case .truncated(let codec): "\(codec) data ends too early"
        case .trailingBytes(let codec): "bytes after the end of the \(codec) data"
        case .outputTooLarge(let codec, let limit): "\(codec) data unpacks to more than \(limit) bytes"
        case .refusedFeature(let codec): "\(codec) data that needs a dictionary or a large window"
        case .failed(let codec): "the \(codec) library failed"
        }
    }
}
