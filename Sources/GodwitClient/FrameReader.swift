// SPDX-License-Identifier: Apache-2.0
import NIOCore

/// Cuts a stream of bytes into Kafka's frames: a length of four bytes, then so many.
///
/// A frame that lies whole in one read is a slice of it. A longer one is collected in its own buffer, whose memory
/// follows the bytes that have arrived and not the length that was announced (reliability.md H29).
struct FrameReader {
    /// Memory taken at once for an announced frame; beyond it the buffer doubles as bytes arrive.
    static let reserve = 4 << 20

    private let limit: Int
    private var lengthBytes: UInt32 = 0
    private var lengthCount = 0
    private var body: ByteBuffer?
    private var missing = 0

    init(limit: Int) { self.limit = limit }

    /// Takes what was read and hands over each frame that is complete, without its length.
    mutating func feed(_ bytes: ByteBuffer, each: (ByteBuffer) throws(ClientError) -> Void) throws(ClientError) {
        var input = bytes
        while input.readableBytes > 0 {
            if body != nil {
                if let frame = fill(&input) { try each(frame) }
            } else if let length = try readLength(&input) {
                if let whole = input.readSlice(length: length) {
                    try each(whole)
                } else {
                    body = ByteBufferAllocator().buffer(capacity: min(length, Self.reserve))
                    missing = length
                }
            }
        }
    }

    private mutating func fill(_ input: inout ByteBuffer) -> ByteBuffer? {
        guard var part = input.readSlice(length: min(missing, input.readableBytes)) else { return nil }
        missing -= part.readableBytes
        body?.writeBuffer(&part)
        guard missing == 0 else { return nil }
        defer { body = nil }
        return body
    }

    private mutating func readLength(_ input: inout ByteBuffer) throws(ClientError) -> Int? {
        while lengthCount < 4 {
            guard let byte = input.readInteger(as: UInt8.self) else { return nil }
            lengthBytes = lengthBytes << 8 | UInt32(byte)
            lengthCount += 1
        }
        let length = Int(Int32(bitPattern: lengthBytes))
        lengthBytes = 0
        lengthCount = 0
        // Each answer begins with a correlation id of four bytes.
        guard length >= 4, length <= limit else { throw .badAnswer("a frame of \(length) bytes") }
        return length
    }
}
