// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// DescribeTopicPartitions (API key 75): topics page by page (KIP-966).
public struct DescribeTopicPartitionsRequest: WireRequest {
    public typealias Response = DescribeTopicPartitionsResponse
    public static let apiKey = ApiKey.describeTopicPartitions
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    /// Empty for all.
    public var topics: [Topic] = []
    public var responsePartitionLimit: Int32 = 2000
    /// Where to go on; `nil` for the beginning.
    public var cursor: TopicPartitionCursor?
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&topics)
        try wire.field(&responsePartitionLimit)
        try wire.nullable(&cursor)
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
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.tags()
        }
    }
}

/// DescribeTopicPartitions (API key 75), response.
public struct DescribeTopicPartitionsResponse: WireResponse {
    public static let apiKey = ApiKey.describeTopicPartitions
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    /// By name.
    public var topics: [Topic] = []
    /// Where to go on; `nil` when nothing is left.
    public var nextCursor: TopicPartitionCursor?
    public init() {}

    public var sizeHint: Int { topics.reduce(64) { $0 + 96 + $1.partitions.count * 64 } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.list(&topics)
        try wire.nullable(&nextCursor)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// One topic.
    public struct Topic: WireStruct, Equatable {
        public var error = ErrorCode.none
        public var name: String? = ""
        public var id = TopicID.zero
        public var isInternal = false
        public var partitions: [Partition] = []
        /// A bit for each operation the client may do; `Int32.min` when unknown.
        public var operations: Int32 = .min
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            try wire.field(&name)
            try wire.field(&id)
            try wire.field(&isInternal)
            try wire.list(&partitions)
            try wire.field(&operations)
            try wire.tags()
        }
    }

    /// One partition.
    public struct Partition: WireStruct, Equatable {
        public var error = ErrorCode.none
        public var index: Int32 = 0
        public var leaderID: Int32 = 0
        public var leaderEpoch: Int32 = -1
        public var replicas: [Int32] = []
        public var inSyncReplicas: [Int32] = []
        /// `nil` when unknown, as is `lastKnownEligibleReplicas`.
        public var eligibleLeaderReplicas: [Int32]?
        public var lastKnownEligibleReplicas: [Int32]?
        public var offlineReplicas: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            try wire.field(&index)
            try wire.field(&leaderID)
            try wire.field(&leaderEpoch)
            try wire.list(&replicas)
            try wire.list(&inSyncReplicas)
            try wire.list(&eligibleLeaderReplicas, nullable: true)
            try wire.list(&lastKnownEligibleReplicas, nullable: true)
            try wire.list(&offlineReplicas)
            try wire.tags()
        }
    }
}

/// A place between two pages.
public struct TopicPartitionCursor: WireStruct, Equatable {
    public var topicName = ""
    public var partition: Int32 = 0
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&topicName)
        try wire.field(&partition)
        try wire.tags()
    }
}
