// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a record, without its index. One byte, so that throwing it costs a register.
enum RecordFault: Error {
    case cutOff, varint, length, recordSize, headerCount, headerKey

    var text: StaticText {
        switch self {
        case .cutOff: "cut off"
        case .varint: "a varint that is too long or padded"
        case .length: "a length beyond the record"
        case .recordSize: "its fields do not fill its length"
        case .headerCount: "more headers than fit"
        case .headerKey: "a header without a key"
        }
    }
}

/// Reads zigzag varints and lengths within bounds. Every read is checked against `end` first.
///
/// Accepts one encoding for each number: at most 5 or 10 bytes, no bits beyond the width, no zero byte at the end.
struct VarintCursor {
    let bytes: UnsafeRawBufferPointer
    var at: Int
    var end: Int

    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer, at: Int, end: Int) {
        precondition(at >= 0 && at <= end && end <= bytes.count, "a cursor stays within its bytes")
        self.bytes = bytes
        self.at = at
        self.end = end
    }

    @inline(__always)
    mutating func byte() throws(RecordFault) -> UInt8 {
        guard at < end else { throw .cutOff }
        defer { at += 1 }
        return bytes[at]
    }

    /// A 32-bit zigzag varint.
    @inline(__always)
    mutating func varint() throws(RecordFault) -> Int32 {
        guard at < end else { throw .cutOff }
        let first = bytes[at]
        guard first >= 0x80 else {
            at += 1
            return Int32(first >> 1) ^ -Int32(first & 1)
        }
        let value = UInt32(truncatingIfNeeded: try long(maximumBytes: 5, lastByteLimit: 0x0f))
        return Int32(bitPattern: value >> 1) ^ -Int32(bitPattern: value & 1)
    }

    /// A 64-bit zigzag varint.
    @inline(__always)
    mutating func varlong() throws(RecordFault) -> Int64 {
        guard at < end else { throw .cutOff }
        let first = bytes[at]
        guard first >= 0x80 else {
            at += 1
            return Int64(first >> 1) ^ -Int64(first & 1)
        }
        let value = try long(maximumBytes: 10, lastByteLimit: 0x01)
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    private mutating func long(maximumBytes: Int, lastByteLimit: UInt8) throws(RecordFault) -> UInt64 {
        var value: UInt64 = 0
        var read = 0
        while true {
            guard at + read < end else { throw .cutOff }
            let byte = bytes[at + read]
            value |= UInt64(byte & 0x7f) << UInt64(7 * read)
            read += 1
            if byte < 0x80 {
                guard byte != 0 || read == 1, read < maximumBytes || byte <= lastByteLimit else { throw .varint }
                at += read
                return value
            }
            guard read < maximumBytes else { throw .varint }
        }
    }

    /// A length and that many bytes, or `nil` for the length −1.
    @inline(__always)
    mutating func nullableField() throws(RecordFault) -> Range<Int>? {
        let length = Int(try varint())
        guard length >= 0 else {
            guard length == -1 else { throw .length }
            return nil
        }
        guard length <= end - at else { throw .length }
        defer { at += length }
        return at..<at + length
    }
}
