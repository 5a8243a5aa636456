// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// CreateTopics (API key 19).
public struct CreateTopicsRequest: WireRequest {
    public typealias Response = CreateTopicsResponse
    public static let apiKey = ApiKey.createTopics
    public static let versions: ClosedRange<Int16> = 2...7
    public static let flexibleSince: Int16 = 5

    public var topics: [Topic] = []
    /// In milliseconds.
    public var timeout: Int32 = 60_000
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

    /// A topic to be made.
    public struct Topic: WireStruct, Equatable {
        public var name = ""
        /// −1 for the broker's default (only since v4, KIP-464), and with `assignments`.
        public var partitionCount: Int32 = 0
        /// −1 for the broker's default (only since v4, KIP-464), and with `assignments`.
        public var replicationFactor: Int16 = 0
        /// The replicas, named by hand; empty to let the brokers choose.
        public var assignments: [Assignment] = []
        public var configs: [Config] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&partitionCount)
            try wire.field(&replicationFactor)
            try wire.list(&assignments)
            try wire.list(&configs)
            try wire.tags()
        }
    }

    /// The replicas of one partition.
    public struct Assignment: WireStruct, Equatable {
        public var partitionIndex: Int32 = 0
        public var brokerIDs: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&partitionIndex)
            try wire.list(&brokerIDs)
            try wire.tags()
        }
    }

    /// A topic config.
    public struct Config: WireStruct, Equatable {
        public var name = ""
        public var value: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&value)
            try wire.tags()
        }
    }
}

/// CreateTopics (API key 19), response.
public struct CreateTopicsResponse: WireResponse {
    public static let apiKey = ApiKey.createTopics
    public static let versions: ClosedRange<Int16> = 2...7
    public static let flexibleSince: Int16 = 5

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

    /// A topic that was made, or why it was not.
    public struct Topic: WireStruct, Equatable {
        public var name = ""
        /// Since v7.
        public var id = TopicID.zero
        public var error = ErrorCode.none
        public var errorMessage: String?
        /// Since v5, tag 0. Why the configs are not told.
        public var configError = ErrorCode.none
        /// Since v5; −1 when not told.
        public var partitionCount: Int32 = -1
        /// Since v5; −1 when not told.
        public var replicationFactor: Int16 = -1
        /// Since v5.
        public var configs: [Config]? = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            if wire.version >= 7 { try wire.field(&id) }
            try wire.field(&error)
            try wire.field(&errorMessage)
            if wire.version >= 5 {
                try wire.field(&partitionCount)
                try wire.field(&replicationFactor)
                try wire.list(&configs, nullable: true)
            }
            try wire.tags(of: &self)
        }
    }

    /// A config as it holds for the new topic.
    public struct Config: WireStruct, Equatable {
        public var name = ""
        public var value: String?
        public var isReadOnly = false
        public var source = ConfigSource.unknown
        public var isSensitive = false
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&value)
            try wire.field(&isReadOnly)
            try wire.field(&source.rawValue)
            try wire.field(&isSensitive)
            try wire.tags()
        }
    }
}

extension CreateTopicsResponse.Topic: WireTagged {
    public func tagsToSend(version: Int16) -> UInt32 { configError == .none ? 0 : 1 }

    public mutating func walk(tag: UInt32, _ wire: inout some WireCoder) throws(WireError) -> Bool {
        guard tag == 0 else { return false }
        try wire.field(&configError)
        return true
    }
}
