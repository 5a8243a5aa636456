// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// One walk over a message's fields, in wire order.
///
/// Reading and writing are two coders over the *same* walk, so they cannot disagree. Flexible versions (KIP-482)
/// change how the coders write lengths, and nothing in the walks.
public protocol WireCoder {
    /// The version of the message being walked.
    var version: Int16 { get }
    /// Whether the version has compact lengths and tagged fields.
    var isFlexible: Bool { get }

    mutating func field(_ value: inout Bool) throws(WireError)
    mutating func field(_ value: inout Int8) throws(WireError)
    mutating func field(_ value: inout Int16) throws(WireError)
    mutating func field(_ value: inout Int32) throws(WireError)
    mutating func field(_ value: inout Int64) throws(WireError)
    mutating func field(_ value: inout TopicID) throws(WireError)
    mutating func field(_ value: inout String) throws(WireError)
    mutating func field(_ value: inout String?, nullable: Bool) throws(WireError)
    /// Bytes with a length of 32 bits. A decoder hands out a slice of the frame.
    mutating func field(_ value: inout ByteBuffer?) throws(WireError)
    mutating func field(_ value: inout RecordsPayload) throws(WireError)

    mutating func list(_ items: inout [Int32]) throws(WireError)
    mutating func list(_ items: inout [Int32]?, nullable: Bool) throws(WireError)
    mutating func list(_ items: inout [String]) throws(WireError)
    mutating func list(_ items: inout [String]?, nullable: Bool) throws(WireError)
    mutating func list<Item: WireStruct>(_ items: inout [Item]) throws(WireError)
    mutating func list<Item: WireStruct>(_ items: inout [Item]?, nullable: Bool) throws(WireError)

    /// The tagged-field section that ends every structure of a flexible version, for a structure without known tags.
    mutating func tags() throws(WireError)
    /// The same for a structure that knows some tags.
    mutating func tags<Owner: WireTagged>(of owner: inout Owner) throws(WireError)
}

extension WireCoder {
    mutating func field(_ value: inout ErrorCode) throws(WireError) {
        var raw = value.rawValue
        try field(&raw)
        value = ErrorCode(rawValue: raw)
    }

    mutating func field(_ value: inout UInt16) throws(WireError) {
        var raw = Int16(bitPattern: value)
        try field(&raw)
        value = UInt16(bitPattern: raw)
    }

    mutating func field(_ value: inout String?) throws(WireError) { try field(&value, nullable: true) }

    /// Bytes with a length of 32 bits that cannot be null. A decoder hands out a slice of the frame.
    mutating func field(_ value: inout ByteBuffer) throws(WireError) {
        var bytes: ByteBuffer? = value
        try field(&bytes)
        guard let bytes else { throw .nullNotAllowed }
        value = bytes
    }

    /// A structure behind a byte that says whether it is there: 1, or −1 for null.
    mutating func nullable<Item: WireStruct>(_ value: inout Item?) throws(WireError) {
        var presence: Int8 = value == nil ? -1 : 1
        try field(&presence)
        guard presence >= 0 else {
            value = nil
            return
        }
        try structure(&value)
    }

    /// A structure that is absent unless its tag is there.
    mutating func structure<Item: WireStruct>(_ value: inout Item?) throws(WireError) {
        var item = value ?? Item()
        try item.walk(&self)
        value = item
    }
}

/// A structure on the wire: its fields, named once, in order.
public protocol WireStruct: Sendable {
    /// The structure with every field at the protocol's default.
    init()
    /// Reads or writes all fields that the coder's version has. Fields it has not stay untouched.
    mutating func walk(_ wire: inout some WireCoder) throws(WireError)
}

/// A structure with tagged fields that we know.
public protocol WireTagged: WireStruct {
    /// Bit *n* is set when the field of tag *n* exists in the version and is not at its default.
    /// Fields at their default are never sent: that is the rule of KIP-482, and some clients break otherwise.
    func tagsToSend(version: Int16) -> UInt32
    /// Walks one tag's payload, and says `false` without touching the coder when the version does not have the tag.
    mutating func walk(tag: UInt32, _ wire: inout some WireCoder) throws(WireError) -> Bool
}

/// A request or response body.
public protocol WireMessage: WireStruct, Equatable {
    static var apiKey: ApiKey { get }
    /// The versions described here. What a broker advertises is its own choice.
    static var versions: ClosedRange<Int16> { get }
    /// The first version with compact lengths and tagged fields.
    static var flexibleSince: Int16 { get }

    /// Whether bytes behind the last field are let pass, as Apache Kafka lets them pass everywhere. `false` but where
    /// a client that is widely used sends them.
    static var allowsTrailingBytes: Bool { get }

    /// Reads a whole body; what `RequestHeader` or `ResponseHeader` left of a frame. Byte fields are slices of it.
    static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self

    /// About how many bytes the encoded body needs, so that one allocation does.
    var sizeHint: Int { get }
}

extension WireMessage {
    public var sizeHint: Int { 256 }
    public static var allowsTrailingBytes: Bool { false }

    public static func isFlexible(_ version: Int16) -> Bool { version >= flexibleSince }

    @inline(__always)
    static func decodeBody(_ body: ByteBuffer, _ version: Int16) throws(WireError) -> Self {
        guard versions.contains(version) else { throw .unsupportedVersion(apiKey, version) }
        var decoder = WireDecoder(body, version: version, isFlexible: isFlexible(version))
        var message = Self()
        try message.walk(&decoder)
        if !allowsTrailingBytes { try decoder.finish() }
        return message
    }
}

/// A request body.
public protocol WireRequest: WireMessage {
    associatedtype Response: WireResponse
    /// The whole frame: length, header and body. Fields that the version does not have are left out.
    func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame
}

/// A response body.
public protocol WireResponse: WireMessage {
    /// The whole frame: length, header and body. Fields that the version does not have are left out.
    func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame
}

extension WireRequest {
    @inline(__always)
    func requestFrame(_ correlationID: Int32, _ clientID: String?, _ version: Int16) throws(WireError) -> EncodedFrame {
        guard Self.versions.contains(version) else { throw .unsupportedVersion(Self.apiKey, version) }
        let capacity = sizeHint + 64 + (clientID?.utf8.count ?? 0)
        var encoder = WireEncoder(version: version, isFlexible: Self.isFlexible(version), capacity: capacity)
        try encoder.header(
            RequestHeader(apiKey: Self.apiKey, version: version, correlationID: correlationID, clientID: clientID))
        var message = self
        try message.walk(&encoder)
        return try encoder.finish()
    }
}

extension WireResponse {
    @inline(__always)
    func responseFrame(_ correlationID: Int32, _ version: Int16) throws(WireError) -> EncodedFrame {
        guard Self.versions.contains(version) else { throw .unsupportedVersion(Self.apiKey, version) }
        var encoder = WireEncoder(version: version, isFlexible: Self.isFlexible(version), capacity: sizeHint + 16)
        encoder.responseHeader(
            correlationID: correlationID, isFlexible: Self.apiKey.hasFlexibleResponseHeader(version: version))
        var message = self
        try message.walk(&encoder)
        return try encoder.finish()
    }
}
