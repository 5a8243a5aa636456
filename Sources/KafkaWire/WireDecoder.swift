// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// Reads one message from one frame that somebody else made.
///
/// Nothing is allocated on the word of a length alone: every length and count is first held against the bytes that
/// are left, and each element takes at least one of them, so what a frame decodes to is bounded by its size.
public struct WireDecoder: WireCoder {
    public let version: Int16
    public let isFlexible: Bool
    private let frame: ByteBuffer
    private var cursor: Int
    private var end: Int

    init(_ frame: ByteBuffer, version: Int16, isFlexible: Bool) {
        self.version = version
        self.isFlexible = isFlexible
        self.frame = frame
        cursor = frame.readerIndex
        end = frame.writerIndex
    }

    private var remaining: Int { end - cursor }
    /// Bytes read so far.
    var consumed: Int { cursor - frame.readerIndex }

    /// Refuses bytes behind the last field.
    func finish() throws(WireError) {
        guard cursor == end else { throw .trailingBytes }
    }

    // MARK: Fields

    public mutating func field(_ value: inout Bool) throws(WireError) { value = try integer(UInt8.self) != 0 }
    public mutating func field(_ value: inout Int8) throws(WireError) { value = try integer() }
    public mutating func field(_ value: inout Int16) throws(WireError) { value = try integer() }
    public mutating func field(_ value: inout Int32) throws(WireError) { value = try integer() }
    public mutating func field(_ value: inout Int64) throws(WireError) { value = try integer() }

    public mutating func field(_ value: inout TopicID) throws(WireError) {
        value = TopicID(high: try integer(), low: try integer())
    }

    public mutating func field(_ value: inout String) throws(WireError) {
        guard let length = try stringLength() else { throw .nullNotAllowed }
        value = try string(length)
    }

    public mutating func field(_ value: inout String?, nullable: Bool) throws(WireError) {
        if let length = try stringLength() {
            value = try string(length)
        } else {
            guard nullable else { throw .nullNotAllowed }
            value = nil
        }
    }

    public mutating func field(_ value: inout ByteBuffer?) throws(WireError) {
        value = try length().map { length throws(WireError) in try slice(length) }
    }

    public mutating func field(_ value: inout RecordsPayload) throws(WireError) {
        if let length = try length() { value = .bytes(try slice(length)) } else { value = .null }
    }

    /// A nullable string in the form it had before KIP-482, with a limit of its own.
    mutating func classicString(limit: Int) throws(WireError) -> String? {
        guard let length = try classicStringLength() else { return nil }
        guard length <= limit else { throw .tooLong }
        return try string(length)
    }

    // MARK: Lists

    public mutating func list(_ items: inout [Int32]) throws(WireError) {
        guard let count = try count(elementSize: 4) else { throw .nullNotAllowed }
        try integers(count, into: &items)
    }

    public mutating func list(_ items: inout [Int32]?, nullable: Bool) throws(WireError) {
        guard let count = try count(elementSize: 4) else {
            guard nullable else { throw .nullNotAllowed }
            items = nil
            return
        }
        var present: [Int32] = []
        try integers(count, into: &present)
        items = present
    }

    public mutating func list(_ items: inout [String]) throws(WireError) {
        guard let count = try count(elementSize: isFlexible ? 1 : 2) else { throw .nullNotAllowed }
        try strings(count, into: &items)
    }

    public mutating func list(_ items: inout [String]?, nullable: Bool) throws(WireError) {
        guard let count = try count(elementSize: isFlexible ? 1 : 2) else {
            guard nullable else { throw .nullNotAllowed }
            items = nil
            return
        }
        var present: [String] = []
        try strings(count, into: &present)
        items = present
    }

    public mutating func list<Item: WireStruct>(_ items: inout [Item]) throws(WireError) {
        guard let count = try count(elementSize: 1) else { throw .nullNotAllowed }
        try structures(count, into: &items)
    }

    public mutating func list<Item: WireStruct>(_ items: inout [Item]?, nullable: Bool) throws(WireError) {
        guard let count = try count(elementSize: 1) else {
            guard nullable else { throw .nullNotAllowed }
            items = nil
            return
        }
        var present: [Item] = []
        try structures(count, into: &present)
        items = present
    }

    private mutating func integers(_ count: Int, into items: inout [Int32]) throws(WireError) {
        items.removeAll()
        items.reserveCapacity(count)
        for _ in 0..<count { items.append(try integer()) }
    }

    private mutating func strings(_ count: Int, into items: inout [String]) throws(WireError) {
        items.removeAll()
        items.reserveCapacity(min(count, Self.reservedAhead))
        for _ in 0..<count {
            var item = ""
            try field(&item)
            items.append(item)
        }
    }

    private mutating func structures<Item: WireStruct>(_ count: Int, into items: inout [Item]) throws(WireError) {
        items.removeAll()
        items.reserveCapacity(min(count, Self.reservedAhead))
        for _ in 0..<count {
            var item = Item()
            try item.walk(&self)
            items.append(item)
        }
    }

    /// Elements in memory are larger than their smallest form on the wire, so a false count could still reserve
    /// many times the frame. Beyond this many the array grows with what really arrives.
    private static let reservedAhead = 256

    // MARK: Tags

    public mutating func tags() throws(WireError) {
        guard isFlexible else { return }
        var section = try TagSection(&self)
        while try section.next(&self) != nil { section.skip(&self) }
    }

    public mutating func tags<Owner: WireTagged>(of owner: inout Owner) throws(WireError) {
        guard isFlexible else { return }
        var section = try TagSection(&self)
        while let tag = try section.next(&self) {
            let outerEnd = end
            end = section.payloadEnd
            let known = try owner.walk(tag: tag, &self)
            guard !known || cursor == end else { throw .malformedTags }
            end = outerEnd
            section.skip(&self)
        }
    }

    private struct TagSection {
        private var left: UInt32
        private var lastTag: UInt32?
        private(set) var payloadEnd = 0

        init(_ decoder: inout WireDecoder) throws(WireError) {
            left = try decoder.varint()
            guard left <= WireLimits.tags else { throw .tooManyElements }
            guard Int(left) * 2 <= decoder.remaining else { throw .truncated }
        }

        mutating func next(_ decoder: inout WireDecoder) throws(WireError) -> UInt32? {
            guard left > 0 else { return nil }
            left -= 1
            let tag = try decoder.varint()
            if let lastTag, tag <= lastTag { throw .malformedTags }
            lastTag = tag
            let size = Int(try decoder.varint())
            guard size <= decoder.remaining else { throw .truncated }
            payloadEnd = decoder.cursor + size
            return tag
        }

        func skip(_ decoder: inout WireDecoder) { decoder.cursor = payloadEnd }
    }

    // MARK: Primitives

    private mutating func integer<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(WireError)
        -> Number
    {
        guard MemoryLayout<Number>.size <= remaining, let value = frame.getInteger(at: cursor, as: Number.self) else {
            throw .truncated
        }
        cursor += MemoryLayout<Number>.size
        return value
    }

    private mutating func varint() throws(WireError) -> UInt32 {
        let first = try integer(UInt8.self)
        if first < 0x80 { return UInt32(first) }
        var value = UInt32(first & 0x7f)
        for shift in stride(from: UInt32(7), through: 28, by: 7) {
            let byte = try integer(UInt8.self)
            value |= UInt32(byte & 0x7f) << shift
            if byte < 0x80 {
                guard byte != 0, shift < 28 || byte < 0x10 else { throw .malformedVarint }
                return value
            }
        }
        throw .malformedVarint
    }

    /// A length in bytes or a count, or `nil` for null; not yet held against anything.
    private mutating func rawLength() throws(WireError) -> Int? {
        if isFlexible {
            let value = try varint()
            return value == 0 ? nil : Int(value) - 1
        }
        let value = try integer(Int32.self)
        if value == -1 { return nil }
        guard value >= 0 else { throw .negativeLength }
        return Int(value)
    }

    private mutating func length() throws(WireError) -> Int? {
        guard let length = try rawLength() else { return nil }
        guard length <= remaining else { throw .truncated }
        return length
    }

    private mutating func count(elementSize: Int) throws(WireError) -> Int? {
        guard let count = try rawLength() else { return nil }
        guard count <= WireLimits.elements else { throw .tooManyElements }
        guard count * elementSize <= remaining else { throw .truncated }
        return count
    }

    private mutating func stringLength() throws(WireError) -> Int? {
        guard isFlexible else { return try classicStringLength() }
        guard let length = try rawLength() else { return nil }
        guard length <= WireLimits.stringBytes else { throw .tooLong }
        return length
    }

    private mutating func classicStringLength() throws(WireError) -> Int? {
        let value = try integer(Int16.self)
        if value == -1 { return nil }
        guard value >= 0 else { throw .negativeLength }
        return Int(value)
    }

    private mutating func string(_ length: Int) throws(WireError) -> String {
        guard length <= remaining else { throw .truncated }
        let text: String?
        do {
            text = try frame.getUTF8ValidatedString(at: cursor, length: length)
        } catch {
            throw .invalidUTF8
        }
        guard let text else { throw .truncated }
        cursor += length
        return text
    }

    private mutating func slice(_ length: Int) throws(WireError) -> ByteBuffer {
        guard length <= remaining, let slice = frame.getSlice(at: cursor, length: length) else { throw .truncated }
        cursor += length
        return slice
    }
}
