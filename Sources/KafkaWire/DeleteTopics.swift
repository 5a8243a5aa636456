// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// DeleteTopics (API key 20).
public struct DeleteTopicsRequest: WireRequest {
    public typealias Response = DeleteTopicsResponse
    public static let apiKey = ApiKey.deleteTopics
    public static let versions: ClosedRange<Int16> = 1...6
    public static let flexibleSince: Int16 = 4

    /// Since v6.
    public var topics: [Topic] = []
    /// Up to v5.
    public var topicNames: [String] = []
    /// In milliseconds.
    public var timeout: Int32 = 0
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 6 { try wire.list(&topics) } else { try wire.list(&topicNames) }
        try wire.field(&timeout)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// A topic by its name, or by its id and no name.
    public struct Topic: WireStruct, Equatable {
        public var name: String?
        public var id = TopicID.zero
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&id)
            try wire.tags()
        }
    }
}

/// DeleteTopics (API key 20), response.
public struct DeleteTopicsResponse: WireResponse {
    public static let apiKey = ApiKey.deleteTopics
    public static let versions: ClosedRange<Int16> = 1...6
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

    /// A topic that is gone, or why it is not.
    public struct Topic: WireStruct, Equatable {
        /// `nil` since v6 only, for an id that nobody knows.
        public var name: String? = ""
        /// Since v6.
        public var id = TopicID.zero
        public var error = ErrorCode.none
        /// Since v5.
        public var errorMessage: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name, nullable: wire.version >= 6)
            if wire.version >= 6 { try wire.field(&id) }
            try wire.field(&error)
            if wire.version >= 5 { try wire.field(&errorMessage) }
            try wire.tags()
        }
    }
}
