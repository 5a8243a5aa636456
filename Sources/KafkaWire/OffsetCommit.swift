// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// OffsetCommit (API key 8): remember how far a group has come.
public struct OffsetCommitRequest: WireRequest {
    public typealias Response = OffsetCommitResponse
    public static let apiKey = ApiKey.offsetCommit
    public static let versions: ClosedRange<Int16> = 2...10
    public static let flexibleSince: Int16 = 8

    public var groupID = ""
    /// A classic group's generation, or the member's epoch (KIP-848); −1 for who is no member.
    public var generationIDOrMemberEpoch: Int32 = -1
    public var memberID = ""
    /// Since v7.
    public var groupInstanceID: String?
    /// v2 to v4; −1 for the broker's own choice. In milliseconds.
    public var retentionTime: Int64 = -1
    public var topics: [Topic] = []
    public init() {}

    public var sizeHint: Int { topics.reduce(160) { $0 + 64 + $1.partitions.count * 32 } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&generationIDOrMemberEpoch)
        try wire.field(&memberID)
        if wire.version >= 7 { try wire.field(&groupInstanceID) }
        if wire.version <= 4 { try wire.field(&retentionTime) }
        try wire.list(&topics)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// Offsets of one topic.
    public struct Topic: WireStruct, Equatable {
        /// Up to v9.
        public var name = ""
        /// Since v10.
        public var id = TopicID.zero
        public var partitions: [Partition] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 9 { try wire.field(&name) }
            if wire.version >= 10 { try wire.field(&id) }
            try wire.list(&partitions)
            try wire.tags()
        }
    }

    /// The offset of one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        /// The next one to read.
        public var committedOffset: Int64 = 0
        /// Since v6; −1 when unknown.
        public var committedLeaderEpoch: Int32 = -1
        /// The client's own words. `nil` counts as empty.
        public var committedMetadata: String? = ""
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&committedOffset)
            if wire.version >= 6 { try wire.field(&committedLeaderEpoch) }
            try wire.field(&committedMetadata)
            try wire.tags()
        }
    }
}

/// OffsetCommit (API key 8), response.
public struct OffsetCommitResponse: WireResponse {
    public static let apiKey = ApiKey.offsetCommit
    public static let versions: ClosedRange<Int16> = 2...10
    public static let flexibleSince: Int16 = 8

    /// Since v3. In milliseconds.
    public var throttleTime: Int32 = 0
    public var topics: [Topic] = []
    public init() {}

    public var sizeHint: Int { topics.reduce(64) { $0 + 64 + $1.partitions.count * 8 } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 3 { try wire.field(&throttleTime) }
        try wire.list(&topics)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// How it went for one topic.
    public struct Topic: WireStruct, Equatable {
        /// Up to v9.
        public var name = ""
        /// Since v10.
        public var id = TopicID.zero
        public var partitions: [Partition] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 9 { try wire.field(&name) }
            if wire.version >= 10 { try wire.field(&id) }
            try wire.list(&partitions)
            try wire.tags()
        }
    }

    /// How it went for one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        public var error = ErrorCode.none
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.tags()
        }
    }
}
