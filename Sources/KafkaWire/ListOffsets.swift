// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// ListOffsets (API key 2): the first offset at or after a time, or one of the marked places of a log.
public struct ListOffsetsRequest: WireRequest {
    public typealias Response = ListOffsetsResponse
    public static let apiKey = ApiKey.listOffsets
    public static let versions: ClosedRange<Int16> = 1...11
    public static let flexibleSince: Int16 = 6

    /// −1 for a consumer.
    public var replicaID: Int32 = -1
    /// Since v2. 0: read uncommitted. 1: read committed.
    public var isolationLevel: Int8 = 0
    public var topics: [Topic] = []
    /// Since v10. In milliseconds.
    public var timeout: Int32 = 0
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&replicaID)
        if wire.version >= 2 { try wire.field(&isolationLevel) }
        try wire.list(&topics)
        if wire.version >= 10 { try wire.field(&timeout) }
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
        /// Since v4; −1 when the client does not know it.
        public var currentLeaderEpoch: Int32 = -1
        /// In milliseconds since 1970, or one of the negative `ListOffsetsMark`s.
        public var timestamp: Int64 = 0
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            if wire.version >= 4 { try wire.field(&currentLeaderEpoch) }
            try wire.field(&timestamp)
            try wire.tags()
        }
    }
}

/// Timestamps that stand for a place in the log.
public enum ListOffsetsMark {
    /// The high watermark, or the last stable offset for a reader of committed records.
    public static let latest: Int64 = -1
    public static let earliest: Int64 = -2
    /// The record with the highest timestamp. Since v7.
    public static let maxTimestamp: Int64 = -3
    /// The first offset that is on the broker itself (KIP-405). Since v8.
    public static let earliestLocal: Int64 = -4
    /// The last offset in remote storage (KIP-1005). Since v9.
    public static let latestTiered: Int64 = -5
    /// The first offset that is not in remote storage yet (KIP-1023). Since v11.
    public static let earliestPendingUpload: Int64 = -6
}

/// ListOffsets (API key 2), response.
public struct ListOffsetsResponse: WireResponse {
    public static let apiKey = ApiKey.listOffsets
    public static let versions: ClosedRange<Int16> = 1...11
    public static let flexibleSince: Int16 = 6

    /// Since v2. In milliseconds.
    public var throttleTime: Int32 = 0
    public var topics: [Topic] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 2 { try wire.field(&throttleTime) }
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

    /// The answer for one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        public var error = ErrorCode.none
        /// The found record's time in milliseconds since 1970; −1 for a mark or when nothing is found.
        public var timestamp: Int64 = -1
        /// −1 when nothing is found.
        public var offset: Int64 = -1
        /// Since v4; −1 when unknown.
        public var leaderEpoch: Int32 = -1
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&timestamp)
            try wire.field(&offset)
            if wire.version >= 4 { try wire.field(&leaderEpoch) }
            try wire.tags()
        }
    }
}
