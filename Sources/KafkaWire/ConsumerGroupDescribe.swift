// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// ConsumerGroupDescribe (API key 69): who is in groups of the consumer protocol (KIP-848).
public struct ConsumerGroupDescribeRequest: WireRequest {
    public typealias Response = ConsumerGroupDescribeResponse
    public static let apiKey = ApiKey.consumerGroupDescribe
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 0

    public var groupIDs: [String] = []
    public var includesOperations = false
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&groupIDs)
        try wire.field(&includesOperations)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// ConsumerGroupDescribe (API key 69), response.
public struct ConsumerGroupDescribeResponse: WireResponse {
    public static let apiKey = ApiKey.consumerGroupDescribe
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var groups: [Group] = []
    public init() {}

    public var sizeHint: Int { groups.reduce(64) { $0 + 128 + $1.members.count * 256 } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.list(&groups)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// One group.
    public struct Group: WireStruct, Equatable {
        public var error = ErrorCode.none
        public var errorMessage: String?
        public var groupID = ""
        public var groupState = ""
        public var groupEpoch: Int32 = 0
        public var assignmentEpoch: Int32 = 0
        public var assignorName = ""
        public var members: [Member] = []
        /// A bit for each operation the client may do; `Int32.min` when it did not ask.
        public var operations: Int32 = .min
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&groupID)
            try wire.field(&groupState)
            try wire.field(&groupEpoch)
            try wire.field(&assignmentEpoch)
            try wire.field(&assignorName)
            try wire.list(&members)
            try wire.field(&operations)
            try wire.tags()
        }
    }

    /// One member.
    public struct Member: WireStruct, Equatable {
        public var memberID = ""
        public var instanceID: String?
        public var rackID: String?
        public var memberEpoch: Int32 = 0
        public var clientID = ""
        public var clientHost = ""
        public var subscribedTopicNames: [String] = []
        public var subscribedTopicRegex: String?
        /// What it owns.
        public var assignment = Assignment()
        /// What it shall own.
        public var targetAssignment = Assignment()
        /// Since v1. 0: classic. 1: consumer. −1: unknown.
        public var memberType: Int8 = -1
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&memberID)
            try wire.field(&instanceID)
            try wire.field(&rackID)
            try wire.field(&memberEpoch)
            try wire.field(&clientID)
            try wire.field(&clientHost)
            try wire.list(&subscribedTopicNames)
            try wire.field(&subscribedTopicRegex)
            try assignment.walk(&wire)
            try targetAssignment.walk(&wire)
            if wire.version >= 1 { try wire.field(&memberType) }
            try wire.tags()
        }
    }

    /// The partitions of one member.
    public struct Assignment: WireStruct, Equatable {
        public var topicPartitions: [TopicPartitions] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.list(&topicPartitions)
            try wire.tags()
        }
    }

    /// Partitions of one topic.
    public struct TopicPartitions: WireStruct, Equatable {
        public var topicID = TopicID.zero
        public var topicName = ""
        public var partitions: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&topicID)
            try wire.field(&topicName)
            try wire.list(&partitions)
            try wire.tags()
        }
    }
}
