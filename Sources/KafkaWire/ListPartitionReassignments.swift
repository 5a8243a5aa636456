// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// ListPartitionReassignments (API key 46): what is being moved (KIP-455).
public struct ListPartitionReassignmentsRequest: WireRequest {
    public typealias Response = ListPartitionReassignmentsResponse
    public static let apiKey = ApiKey.listPartitionReassignments
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var timeout: Int32 = 60_000
    /// `nil` for all.
    public var topics: [Topic]?
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&timeout)
        try wire.list(&topics, nullable: true)
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
        public var partitions: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.list(&partitions)
            try wire.tags()
        }
    }
}

/// ListPartitionReassignments (API key 46), response.
public struct ListPartitionReassignmentsResponse: WireResponse {
    public static let apiKey = ApiKey.listPartitionReassignments
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public var errorMessage: String?
    public var topics: [Topic] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.list(&topics)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// What is being moved of one topic.
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

    /// A partition that is being moved.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        /// All that keep it for now.
        public var replicas: [Int32] = []
        public var adding: [Int32] = []
        public var removing: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.list(&replicas)
            try wire.list(&adding)
            try wire.list(&removing)
            try wire.tags()
        }
    }
}
