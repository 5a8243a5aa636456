// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// Writes one frame, length first, into one buffer.
public struct WireEncoder: WireCoder {
    public let version: Int16
    public let isFlexible: Bool
    private var bytes: ByteBuffer
    private var splices: [EncodedFrame.Splice] = []

    init(version: Int16, isFlexible: Bool, capacity: Int) {
        self.version = version
        self.isFlexible = isFlexible
        bytes = ByteBufferAllocator().buffer(capacity: capacity)
        bytes.writeInteger(Int32(0))
    }

    mutating func header(_ header: RequestHeader) throws(WireError) {
        bytes.writeInteger(header.apiKey.rawValue)
        bytes.writeInteger(header.version)
        bytes.writeInteger(header.correlationID)
        // KIP-482 left the client id as it was, even in the flexible header.
        if let clientID = header.clientID {
            try classicString(clientID)
        } else {
            bytes.writeInteger(Int16(-1))
        }
        if isFlexible { bytes.writeInteger(UInt8(0)) }
    }

    mutating func responseHeader(correlationID: Int32, isFlexible: Bool) {
        bytes.writeInteger(correlationID)
        if isFlexible { bytes.writeInteger(UInt8(0)) }
    }

    /// Fills in the length.
    consuming func finish() throws(WireError) -> EncodedFrame {
        var total = bytes.writerIndex - 4
        for splice in splices { total += splice.byteCount }
        guard let length = Int32(exactly: total) else { throw .tooLong }
        bytes.setInteger(length, at: 0)
        return EncodedFrame(bytes: bytes, splices: splices)
    }

    // MARK: Fields

    public mutating func field(_ value: inout Bool) throws(WireError) { bytes.writeInteger(value ? UInt8(1) : 0) }
    public mutating func field(_ value: inout Int8) throws(WireError) { bytes.writeInteger(value) }
    public mutating func field(_ value: inout Int16) throws(WireError) { bytes.writeInteger(value) }
    public mutating func field(_ value: inout Int32) throws(WireError) { bytes.writeInteger(value) }
    public mutating func field(_ value: inout Int64) throws(WireError) { bytes.writeInteger(value) }

    public mutating func field(_ value: inout TopicID) throws(WireError) {
        bytes.writeInteger(value.high)
        bytes.writeInteger(value.low)
    }

    public mutating func field(_ value: inout String) throws(WireError) { try string(value) }

    public mutating func field(_ value: inout String?, nullable: Bool) throws(WireError) {
        if let value { return try string(value) }
        guard nullable else { throw .nullNotAllowed }
        if isFlexible { varint(0) } else { bytes.writeInteger(Int16(-1)) }
    }

    public mutating func field(_ value: inout ByteBuffer?) throws(WireError) {
        guard let value else { return nullLength() }
        try length(value.readableBytes)
        bytes.writeImmutableBuffer(value)
    }

    public mutating func field(_ value: inout RecordsPayload) throws(WireError) {
        switch value {
        case .null: nullLength()
        case .bytes(let payload):
            try length(payload.readableBytes)
            bytes.writeImmutableBuffer(payload)
        case .external(let byteCount):
            precondition(byteCount >= 0, "bytes sent from elsewhere cannot be fewer than none")
            try length(byteCount)
            if byteCount > 0 {
                splices.append(EncodedFrame.Splice(at: bytes.writerIndex, byteCount: byteCount))
            }
        }
    }

    // MARK: Lists

    public mutating func list(_ items: inout [Int32]) throws(WireError) {
        try length(items.count)
        for item in items { bytes.writeInteger(item) }
    }

    public mutating func list(_ items: inout [Int32]?, nullable: Bool) throws(WireError) {
        guard var present = items else {
            guard nullable else { throw .nullNotAllowed }
            return nullLength()
        }
        try list(&present)
    }

    public mutating func list(_ items: inout [String]) throws(WireError) {
        try length(items.count)
        for item in items { try string(item) }
    }

    public mutating func list(_ items: inout [String]?, nullable: Bool) throws(WireError) {
        guard var present = items else {
            guard nullable else { throw .nullNotAllowed }
            return nullLength()
        }
        try list(&present)
    }

    public mutating func list<Item: WireStruct>(_ items: inout [Item]) throws(WireError) {
        try length(items.count)
        // A copy of each element, since walking them in place would copy the array's whole storage.
        for var item in items { try item.walk(&self) }
    }

    public mutating func list<Item: WireStruct>(_ items: inout [Item]?, nullable: Bool) throws(WireError) {
        guard var present = items else {
            guard nullable else { throw .nullNotAllowed }
            return nullLength()
        }
        try list(&present)
    }

    // MARK: Tags

    public mutating func tags() throws(WireError) {
        if isFlexible { bytes.writeInteger(UInt8(0)) }
    }

    public mutating func tags<Owner: WireTagged>(of owner: inout Owner) throws(WireError) {
        guard isFlexible else { return }
        var pending = owner.tagsToSend(version: version)
        varint(UInt32(pending.nonzeroBitCount))
        while pending != 0 {
            let tag = UInt32(pending.trailingZeroBitCount)
            pending &= pending - 1
            varint(tag)
            let start = bytes.writerIndex
            let splicesBefore = splices.count
            let known = try owner.walk(tag: tag, &self)
            precondition(known, "a tag that is to be sent has to be described")
            precondition(splices.count == splicesBefore, "records are never sent in a tagged field")
            insertLength(at: start)
        }
    }

    /// Puts the payload's length in front of the payload that was just written.
    private mutating func insertLength(at start: Int) {
        guard let payload = bytes.getSlice(at: start, length: bytes.writerIndex - start) else {
            preconditionFailure("what was just written can be read")
        }
        bytes.moveWriterIndex(to: start)
        varint(UInt32(payload.readableBytes))
        bytes.writeImmutableBuffer(payload)
    }

    // MARK: Lengths

    private mutating func string(_ value: String) throws(WireError) {
        guard isFlexible else { return try classicString(value) }
        let count = value.utf8.count
        guard count <= WireLimits.stringBytes else { throw .tooLong }
        varint(UInt32(count) + 1)
        bytes.writeString(value)
    }

    private mutating func classicString(_ value: String) throws(WireError) {
        guard let length = Int16(exactly: value.utf8.count) else { throw .tooLong }
        bytes.writeInteger(length)
        bytes.writeString(value)
    }

    private mutating func length(_ count: Int) throws(WireError) {
        guard let count = Int32(exactly: count) else { throw .tooLong }
        if isFlexible { varint(UInt32(count) + 1) } else { bytes.writeInteger(count) }
    }

    private mutating func nullLength() {
        if isFlexible { varint(0) } else { bytes.writeInteger(Int32(-1)) }
    }

    private mutating func varint(_ value: UInt32) {
        var rest = value
        while rest >= 0x80 {
            bytes.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.writeInteger(UInt8(rest))
    }
}
