// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// Partitions of one topic in the consumers' embedded protocol.
public struct ConsumerProtocolTopicPartitions: WireStruct, Equatable {
    public var topic = ""
    public var partitions: [Int32] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&topic)
        try wire.list(&partitions)
    }
}

/// What a consumer of a classic group says of itself: the metadata of its `JoinGroupRequest.JoinProtocol`.
public struct ConsumerProtocolSubscription: ConsumerProtocolData {
    public static let versions: ClosedRange<Int16> = 0...3

    public var topics: [String] = []
    /// For the assignor alone.
    public var userData: ByteBuffer?
    /// Since v1 (KIP-429).
    public var ownedPartitions: [ConsumerProtocolTopicPartitions] = []
    /// Since v2; the generation in which `ownedPartitions` were true, −1 when unknown (KIP-792).
    public var generationID: Int32 = -1
    /// Since v3 (KIP-881).
    public var rackID: String?
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&topics)
        try wire.field(&userData)
        if wire.version >= 1 { try wire.list(&ownedPartitions) }
        if wire.version >= 2 { try wire.field(&generationID) }
        if wire.version >= 3 { try wire.field(&rackID) }
    }
}

/// What a consumer of a classic group is told to read: the assignment of its `SyncGroupResponse`.
public struct ConsumerProtocolAssignment: ConsumerProtocolData {
    public static let versions: ClosedRange<Int16> = 0...3

    public var assignedPartitions: [ConsumerProtocolTopicPartitions] = []
    /// From the assignor.
    public var userData: ByteBuffer?
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&assignedPartitions)
        try wire.field(&userData)
    }
}

/// A part of the protocol that consumers speak with each other inside the group's messages. It begins with its
/// version and is never flexible.
public protocol ConsumerProtocolData: WireStruct, Equatable {
    static var versions: ClosedRange<Int16> { get }
}

extension ConsumerProtocolData {
    /// Reads the version and then the fields.
    ///
    /// A version newer than those described is read as the newest of them, and what is left over is let pass: later
    /// versions only add fields, and Apache Kafka reads them in this way.
    /// - Throws: `WireError`, `negativeLength` for a version below 0.
    public static func decode(_ bytes: ByteBuffer) throws(WireError) -> (version: Int16, data: Self) {
        var head = WireDecoder(bytes, version: 0, isFlexible: false)
        var version: Int16 = 0
        try head.field(&version)
        guard version >= versions.lowerBound else { throw .negativeLength }
        var rest = bytes
        rest.moveReaderIndex(forwardBy: head.consumed)
        var decoder = WireDecoder(rest, version: min(version, versions.upperBound), isFlexible: false)
        var data = Self()
        try data.walk(&decoder)
        return (version, data)
    }

    /// The version and then the fields that it has.
    /// - Precondition: `version` is one of `versions`.
    public func encode(version: Int16) throws(WireError) -> ByteBuffer {
        precondition(Self.versions.contains(version), "only a described version can be written")
        var encoder = WireEncoder(version: version, isFlexible: false, capacity: 256)
        var head = version
        try encoder.field(&head)
        var data = self
        try data.walk(&encoder)
        var bytes = try encoder.finish().bytes
        bytes.moveReaderIndex(forwardBy: MemoryLayout<Int32>.size)
        return bytes
    }
}
