// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// The record batches of a fetched partition.
///
/// A decoder yields `.null` or `.bytes`, never `.external`.
public enum RecordsPayload: Equatable, Sendable {
    case null
    case bytes(ByteBuffer)
    /// So many bytes that the sender of the frame puts in at the splice point, for example with `sendfile`.
    case external(byteCount: Int)

    /// 0 for `.null`.
    public var byteCount: Int {
        switch self {
        case .null: 0
        case .bytes(let bytes): bytes.readableBytes
        case .external(let byteCount): byteCount
        }
    }
}

/// A frame ready to be sent, with its length in front.
public struct EncodedFrame: Equatable, Sendable {
    /// The place of bytes that are part of the frame but not of `bytes`.
    public struct Splice: Equatable, Sendable {
        /// How many of the readable bytes of `bytes` go before it.
        public let at: Int
        public let byteCount: Int
    }

    public let bytes: ByteBuffer
    /// In rising order of `at`.
    public let splices: [Splice]

    /// Bytes on the wire, spliced ones and the length itself counted.
    public var byteCount: Int { splices.reduce(bytes.readableBytes) { $0 + $1.byteCount } }
}
