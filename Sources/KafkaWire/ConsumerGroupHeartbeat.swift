// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// ConsumerGroupHeartbeat (API key 68): join, live in and leave a group of the consumer protocol (KIP-848).
public struct ConsumerGroupHeartbeatRequest: WireRequest {
    public typealias Response = ConsumerGroupHeartbeatResponse
    public static let apiKey = ApiKey.consumerGroupHeartbeat
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 0

    public var groupID = ""
    /// Chosen by the member since v1, by the coordinator when it is empty in v0.
    public var memberID = ""
    /// 0 to join, −1 to leave, −2 to leave for a while as a static member.
    public var memberEpoch: Int32 = 0
    /// `nil` for a dynamic member. As the fields below, also `nil` when unchanged since the last heartbeat.
    public var instanceID: String?
    public var rackID: String?
    /// How long the member may take to give partitions back; −1 when unchanged. In milliseconds.
    public var rebalanceTimeout: Int32 = -1
    public var subscribedTopicNames: [String]?
    /// Since v1. In RE2's syntax.
    public var subscribedTopicRegex: String?
    public var serverAssignor: String?
    /// What the member owns now; `nil` when unchanged.
    public var topicPartitions: [ConsumerGroupPartitions]?
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&memberID)
        try wire.field(&memberEpoch)
        try wire.field(&instanceID)
        try wire.field(&rackID)
        try wire.field(&rebalanceTimeout)
        try wire.list(&subscribedTopicNames, nullable: true)
        if wire.version >= 1 { try wire.field(&subscribedTopicRegex) }
        try wire.field(&serverAssignor)
        try wire.list(&topicPartitions, nullable: true)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// ConsumerGroupHeartbeat (API key 68), response.
public struct ConsumerGroupHeartbeatResponse: WireResponse {
    public static let apiKey = ApiKey.consumerGroupHeartbeat
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public var errorMessage: String?
    /// Absent with an error.
    public var memberID: String?
    public var memberEpoch: Int32 = 0
    /// When to come again. In milliseconds.
    public var heartbeatInterval: Int32 = 0
    /// What the member may own now; `nil` when unchanged.
    public var assignment: Assignment?
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&memberID)
        try wire.field(&memberEpoch)
        try wire.field(&heartbeatInterval)
        try wire.nullable(&assignment)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// The partitions of one member.
    public struct Assignment: WireStruct, Equatable {
        public var topicPartitions: [ConsumerGroupPartitions] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.list(&topicPartitions)
            try wire.tags()
        }
    }
}

/// Partitions of one topic in a heartbeat of KIP-848.
public struct ConsumerGroupPartitions: WireStruct, Equatable {
    public var topicID = TopicID.zero
    public var partitions: [Int32] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&topicID)
        try wire.list(&partitions)
        try wire.tags()
    }
}
