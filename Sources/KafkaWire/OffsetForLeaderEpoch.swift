// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// OffsetForLeaderEpoch (API key 23): where a leader epoch ends, by which a reader notices that a log was cut.
public struct OffsetForLeaderEpochRequest: WireRequest {
    public typealias Response = OffsetForLeaderEpochResponse
    public static let apiKey = ApiKey.offsetForLeaderEpoch
    public static let versions: ClosedRange<Int16> = 2...4
    public static let flexibleSince: Int16 = 4

    /// Since v3. −1 for a consumer, −2 when not told.
    public var replicaID: Int32 = -2
    public var topics: [Topic] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 3 { try wire.field(&replicaID) }
        try wire.list(&topics)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// What is asked about one topic.
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

    /// What is asked about one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        /// −1 when the client does not know it.
        public var currentLeaderEpoch: Int32 = -1
        public var leaderEpoch: Int32 = 0
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&currentLeaderEpoch)
            try wire.field(&leaderEpoch)
            try wire.tags()
        }
    }
}

/// OffsetForLeaderEpoch (API key 23), response.
public struct OffsetForLeaderEpochResponse: WireResponse {
    public static let apiKey = ApiKey.offsetForLeaderEpoch
    public static let versions: ClosedRange<Int16> = 2...4
    public static let flexibleSince: Int16 = 4

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var topics: [Topic] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
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

    /// The answer for one partition. Unlike elsewhere the error comes before the index.
    public struct Partition: WireStruct, Equatable {
        public var error = ErrorCode.none
        public var index: Int32 = 0
        /// The largest epoch not above the one asked for; −1 when there is none.
        public var leaderEpoch: Int32 = -1
        /// Where that epoch ends, exclusive; −1 when unknown.
        public var endOffset: Int64 = -1
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            try wire.field(&index)
            try wire.field(&leaderEpoch)
            try wire.field(&endOffset)
            try wire.tags()
        }
    }
}
