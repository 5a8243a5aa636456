// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// OffsetFetch (API key 9): how far groups have come.
public struct OffsetFetchRequest: WireRequest {
    public typealias Response = OffsetFetchResponse
    public static let apiKey = ApiKey.offsetFetch
    public static let versions: ClosedRange<Int16> = 1...10
    public static let flexibleSince: Int16 = 6

    /// Up to v7 exactly one.
    public var groups: [Group] = []
    /// Since v7. Whether offsets of open transactions are to be waited for (KIP-447).
    public var requireStable = false
    public init() {}

    public var sizeHint: Int { groups.reduce(64) { $0 + 64 + ($1.topics?.count ?? 0) * 64 } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 8 {
            try wire.list(&groups)
        } else {
            guard groups.count <= 1 else { throw .tooManyElements }
            var group = groups.first ?? Group()
            try wire.field(&group.groupID)
            try wire.list(&group.topics, nullable: wire.version >= 2)
            groups = [group]
        }
        if wire.version >= 7 { try wire.field(&requireStable) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// What is asked about one group.
    public struct Group: WireStruct, Equatable {
        public var groupID = ""
        /// Since v9; `nil` for who is no member.
        public var memberID: String?
        /// Since v9; −1 for who is no member.
        public var memberEpoch: Int32 = -1
        /// `nil` for all that have an offset (since v2).
        public var topics: [Topic]? = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&groupID)
            if wire.version >= 9 {
                try wire.field(&memberID)
                try wire.field(&memberEpoch)
            }
            try wire.list(&topics, nullable: true)
            try wire.tags()
        }
    }

    /// The partitions asked for of one topic.
    public struct Topic: WireStruct, Equatable {
        /// Up to v9.
        public var name = ""
        /// Since v10.
        public var id = TopicID.zero
        public var partitions: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 9 { try wire.field(&name) }
            if wire.version >= 10 { try wire.field(&id) }
            try wire.list(&partitions)
            try wire.tags()
        }
    }
}

/// OffsetFetch (API key 9), response.
public struct OffsetFetchResponse: WireResponse {
    public static let apiKey = ApiKey.offsetFetch
    public static let versions: ClosedRange<Int16> = 1...10
    public static let flexibleSince: Int16 = 6

    /// Since v3. In milliseconds.
    public var throttleTime: Int32 = 0
    /// Up to v7 exactly one.
    public var groups: [Group] = []
    public init() {}

    public var sizeHint: Int { groups.reduce(64) { $1.topics.reduce($0 + 64) { $0 + 64 + $1.partitions.count * 40 } } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 3 { try wire.field(&throttleTime) }
        if wire.version >= 8 {
            try wire.list(&groups)
        } else {
            guard groups.count <= 1 else { throw .tooManyElements }
            var group = groups.first ?? Group()
            try wire.list(&group.topics)
            if wire.version >= 2 { try wire.field(&group.error) }
            groups = [group]
        }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// The offsets of one group.
    public struct Group: WireStruct, Equatable {
        /// Since v8.
        public var groupID = ""
        public var topics: [Topic] = []
        /// Since v2. In v1 each partition has to carry the group's error.
        public var error = ErrorCode.none
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&groupID)
            try wire.list(&topics)
            try wire.field(&error)
            try wire.tags()
        }
    }

    /// The offsets of one topic.
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
        /// The next one to read; −1 for none.
        public var committedOffset: Int64 = 0
        /// Since v5; −1 when unknown.
        public var committedLeaderEpoch: Int32 = -1
        /// The client's own words.
        public var metadata: String? = ""
        public var error = ErrorCode.none
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&committedOffset)
            if wire.version >= 5 { try wire.field(&committedLeaderEpoch) }
            try wire.field(&metadata)
            try wire.field(&error)
            try wire.tags()
        }
    }
}
