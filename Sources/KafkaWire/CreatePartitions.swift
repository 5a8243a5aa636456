// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// CreatePartitions (API key 37): more partitions for topics that exist.
public struct CreatePartitionsRequest: WireRequest {
    public typealias Response = CreatePartitionsResponse
    public static let apiKey = ApiKey.createPartitions
    public static let versions: ClosedRange<Int16> = 0...3
    public static let flexibleSince: Int16 = 2

    public var topics: [Topic] = []
    /// In milliseconds.
    public var timeout: Int32 = 0
    /// Says what would happen, and does nothing.
    public var validateOnly = false
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&topics)
        try wire.field(&timeout)
        try wire.field(&validateOnly)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// A topic to be widened.
    public struct Topic: WireStruct, Equatable {
        public var name = ""
        /// How many partitions it shall have in all.
        public var count: Int32 = 0
        /// The replicas of each new partition, named by hand; `nil` to let the brokers choose.
        public var assignments: [Assignment]? = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&count)
            try wire.list(&assignments, nullable: true)
            try wire.tags()
        }
    }

    /// The replicas of one new partition.
    public struct Assignment: WireStruct, Equatable {
        public var brokerIDs: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.list(&brokerIDs)
            try wire.tags()
        }
    }
}

/// CreatePartitions (API key 37), response.
public struct CreatePartitionsResponse: WireResponse {
    public static let apiKey = ApiKey.createPartitions
    public static let versions: ClosedRange<Int16> = 0...3
    public static let flexibleSince: Int16 = 2

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var results: [Result] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.list(&results)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// What became of one topic.
    public struct Result: WireStruct, Equatable {
        public var name = ""
        public var error = ErrorCode.none
        public var errorMessage: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.tags()
        }
    }
}
