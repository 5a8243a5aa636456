// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// ElectLeaders (API key 43): leaders for partitions (KIP-183, KIP-460).
public struct ElectLeadersRequest: WireRequest {
    public typealias Response = ElectLeadersResponse
    public static let apiKey = ApiKey.electLeaders
    public static let versions: ClosedRange<Int16> = 0...2
    public static let flexibleSince: Int16 = 2

    /// 0: the preferred leader; 1: any replica, though it lacks records.
    public var electionType: Int8 = 0
    /// `nil` for all.
    public var topics: [Topic]? = []
    /// In milliseconds.
    public var timeout: Int32 = 60_000
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.field(&electionType) }
        try wire.list(&topics, nullable: true)
        try wire.field(&timeout)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// Partitions of one topic.
    public struct Topic: WireStruct, Equatable {
        public var name = ""
        public var partitions: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.list(&partitions)
            try wire.tags()
        }
    }
}

/// ElectLeaders (API key 43), response.
public struct ElectLeadersResponse: WireResponse {
    public static let apiKey = ApiKey.electLeaders
    public static let versions: ClosedRange<Int16> = 0...2
    public static let flexibleSince: Int16 = 2

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public var topics: [Topic] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        if wire.version >= 1 { try wire.field(&error) }
        try wire.list(&topics)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// The answers for one topic.
    public struct Topic: WireStruct, Equatable {
        public var name = ""
        public var partitions: [Partition] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.list(&partitions)
            try wire.tags()
        }
    }

    /// What became of one election.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        public var error = ErrorCode.none
        public var errorMessage: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.tags()
        }
    }
}
