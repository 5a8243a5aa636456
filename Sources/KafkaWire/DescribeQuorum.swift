// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// DescribeQuorum (API key 55): who votes in the metadata group (KIP-595, KIP-836, KIP-853).
public struct DescribeQuorumRequest: WireRequest {
    public typealias Response = DescribeQuorumResponse
    public static let apiKey = ApiKey.describeQuorum
    public static let versions: ClosedRange<Int16> = 0...2
    public static let flexibleSince: Int16 = 0

    public var topics: [Topic] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
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

    /// A partition that is asked about.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.tags()
        }
    }
}

/// DescribeQuorum (API key 55), response.
public struct DescribeQuorumResponse: WireResponse {
    public static let apiKey = ApiKey.describeQuorum
    public static let versions: ClosedRange<Int16> = 0...2
    public static let flexibleSince: Int16 = 0

    public var error = ErrorCode.none
    public var errorMessage: String?
    public var topics: [Topic] = []
    /// Where the voters and observers are reached.
    public var nodes: [Node] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&error)
        if wire.version >= 2 { try wire.field(&errorMessage) }
        try wire.list(&topics)
        if wire.version >= 2 { try wire.list(&nodes) }
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

    /// The quorum of one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        public var error = ErrorCode.none
        public var errorMessage: String?
        /// −1 while there is none.
        public var leaderID: Int32 = 0
        public var leaderEpoch: Int32 = 0
        public var highWatermark: Int64 = 0
        public var voters: [Replica] = []
        public var observers: [Replica] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            if wire.version >= 2 { try wire.field(&errorMessage) }
            try wire.field(&leaderID)
            try wire.field(&leaderEpoch)
            try wire.field(&highWatermark)
            try wire.list(&voters)
            try wire.list(&observers)
            try wire.tags()
        }
    }

    /// How far one replica has come.
    public struct Replica: WireStruct, Equatable {
        public var id: Int32 = 0
        public var directoryID = TopicID.zero
        /// −1 when it is not known.
        public var logEndOffset: Int64 = 0
        /// When it was last heard, by the leader's clock, in milliseconds since 1970; −1 when it is not known.
        public var lastFetchTimestamp: Int64 = -1
        /// When it last had all that the leader had.
        public var lastCaughtUpTimestamp: Int64 = -1
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&id)
            if wire.version >= 2 { try wire.field(&directoryID) }
            try wire.field(&logEndOffset)
            if wire.version >= 1 { try wire.field(&lastFetchTimestamp) }
            if wire.version >= 1 { try wire.field(&lastCaughtUpTimestamp) }
            try wire.tags()
        }
    }

    /// A node and its listeners.
    public struct Node: WireStruct, Equatable {
        public var id: Int32 = 0
        public var listeners: [RaftVoterListener] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version >= 2 { try wire.field(&id) }
            if wire.version >= 2 { try wire.list(&listeners) }
            try wire.tags()
        }
    }
}
