// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore

/// Reads the fields of one stored key or value.
///
/// What a log holds was once written by this code, but it may also come from another cluster or a damaged disk: a
/// length is held against the bytes that are left before anything is allocated for it.
struct RecordCursor {
    /// The bytes are not what they should be.
    struct Malformed: Error {}

    private var bytes: ByteBuffer
    var isFlexible = false

    init(_ bytes: ByteBuffer) { self.bytes = bytes }

    mutating func int8() throws(Malformed) -> Int8 { try integer() }
    mutating func int16() throws(Malformed) -> Int16 { try integer() }
    mutating func int32() throws(Malformed) -> Int32 { try integer() }
    mutating func int64() throws(Malformed) -> Int64 { try integer() }

    mutating func topicID() throws(Malformed) -> TopicID {
        let high: UInt64 = try integer()
        let low: UInt64 = try integer()
        return TopicID(high: high, low: low)
    }

    mutating func string() throws(Malformed) -> String {
        guard let text = try nullableString() else { throw Malformed() }
        return text
    }

    mutating func nullableString() throws(Malformed) -> String? {
        guard let length = try isFlexible ? compactLength() : Int(int16()) else { return nil }
        guard length >= 0 else { return nil }
        guard length <= bytes.readableBytes, let text = bytes.readString(length: length) else { throw Malformed() }
        return text
    }

    /// A copy of its own, so that it does not keep the whole batch it came in alive.
    mutating func data() throws(Malformed) -> ByteBuffer {
        guard let length = try isFlexible ? compactLength() : Int(int32()), length >= 0,
            length <= bytes.readableBytes, let slice = bytes.readSlice(length: length)
        else { throw Malformed() }
        return slice.detached
    }

    mutating func list<Item>(_ item: (inout Self) throws(Malformed) -> Item) throws(Malformed) -> [Item] {
        guard let items = try nullableList(item) else { throw Malformed() }
        return items
    }

    mutating func nullableList<Item>(_ item: (inout Self) throws(Malformed) -> Item) throws(Malformed) -> [Item]? {
        guard let count = try isFlexible ? compactLength() : Int(int32()), count >= 0 else { return nil }
        // Every item takes at least one byte.
        guard count <= bytes.readableBytes else { throw Malformed() }
        var items: [Item] = []
        items.reserveCapacity(min(count, 1_024))
        for _ in 0..<count { items.append(try item(&self)) }
        return items
    }

    /// The tagged fields that end a structure; those that `read` does not know, it leaves alone and they are skipped.
    mutating func tags(
        _ read: (UInt32, inout Self) throws(Malformed) -> Void = { (_, _) throws(Malformed) in }
    ) throws(Malformed) {
        guard isFlexible else { return }
        for _ in 0..<(try unsignedVarint()) {
            let tag = try unsignedVarint()
            let length = Int(try unsignedVarint())
            guard length <= bytes.readableBytes, let payload = bytes.readSlice(length: length) else {
                throw Malformed()
            }
            var field = Self(payload)
            field.isFlexible = true
            try read(tag, &field)
        }
    }

    mutating func unsignedVarint() throws(Malformed) -> UInt32 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 28, by: 7) {
            let byte: UInt8 = try integer()
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 {
                guard let value = UInt32(exactly: value) else { throw Malformed() }
                return value
            }
        }
        throw Malformed()
    }

    /// `nil` for null.
    private mutating func compactLength() throws(Malformed) -> Int? {
        let length = try unsignedVarint()
        return length == 0 ? nil : Int(length) - 1
    }

    private mutating func integer<Number: FixedWidthInteger>() throws(Malformed) -> Number {
        guard let number = bytes.readInteger(as: Number.self) else { throw Malformed() }
        return number
    }
}

/// Writes the fields of one key or value.
struct RecordBuilder {
    private(set) var bytes: ByteBuffer
    let isFlexible: Bool

    init(version: Int16, isFlexible: Bool, capacity: Int) {
        bytes = ByteBufferAllocator().buffer(capacity: capacity)
        self.isFlexible = isFlexible
        bytes.writeInteger(version)
    }

    mutating func integer(_ value: some FixedWidthInteger) { bytes.writeInteger(value) }

    mutating func topicID(_ id: TopicID) {
        bytes.writeInteger(id.high)
        bytes.writeInteger(id.low)
    }

    mutating func string(_ text: String) {
        let count = text.utf8.count
        if isFlexible {
            unsignedVarint(UInt32(count) + 1)
        } else {
            precondition(count <= Int16.max, "a string of the classic form has at most 32,767 bytes")
            bytes.writeInteger(Int16(count))
        }
        bytes.writeString(text)
    }

    mutating func string(_ text: String?) {
        if let text {
            string(text)
        } else if isFlexible {
            unsignedVarint(0)
        } else {
            bytes.writeInteger(Int16(-1))
        }
    }

    mutating func data(_ data: ByteBuffer) {
        if isFlexible {
            unsignedVarint(UInt32(data.readableBytes) + 1)
        } else {
            bytes.writeInteger(Int32(data.readableBytes))
        }
        bytes.writeImmutableBuffer(data)
    }

    mutating func list<Item>(_ items: [Item], _ write: (Item, inout Self) -> Void) {
        if isFlexible { unsignedVarint(UInt32(items.count) + 1) } else { bytes.writeInteger(Int32(items.count)) }
        for item in items { write(item, &self) }
    }

    /// The end of a structure without tagged fields.
    mutating func noTags() {
        if isFlexible { unsignedVarint(0) }
    }

    mutating func unsignedVarint(_ value: UInt32) {
        var rest = value
        while rest >= 0x80 {
            bytes.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.writeInteger(UInt8(rest))
    }

    /// One tagged field: its tag, its length, what `write` writes.
    mutating func tag(_ number: UInt32, _ write: (inout Self) -> Void) {
        var field = RecordBuilder(version: 0, isFlexible: true, capacity: 64)
        field.bytes.clear()
        write(&field)
        unsignedVarint(number)
        unsignedVarint(UInt32(field.bytes.readableBytes))
        bytes.writeImmutableBuffer(field.bytes)
    }
}

extension ByteBuffer {
    /// The same bytes in storage of their own.
    var detached: ByteBuffer { readableBytes == 0 ? ByteBuffer() : ByteBuffer(bytes: readableBytesView) }
}
