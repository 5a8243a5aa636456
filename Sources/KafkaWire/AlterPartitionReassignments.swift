// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// AlterPartitionReassignments (API key 45): who shall keep partitions (KIP-455, KIP-860).
public struct AlterPartitionReassignmentsRequest: WireRequest {
    public typealias Response = AlterPartitionReassignmentsResponse
    public static let apiKey = ApiKey.alterPartitionReassignments
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var timeout: Int32 = 60_000
    /// Whether a partition may have another number of replicas afterwards.
    public var allowsReplicationFactorChange = true
    public var topics: [Topic] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&timeout)
        if wire.version >= 1 { try wire.field(&allowsReplicationFactorChange) }
        try wire.list(&topics)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// A topic whose partitions are moved.
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

    /// One partition's wish.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        /// The preferred leader first; `nil` cancels what is under way.
        public var replicas: [Int32]?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.list(&replicas, nullable: true)
            try wire.tags()
        }
    }
}

/// AlterPartitionReassignments (API key 45), response.
public struct AlterPartitionReassignmentsResponse: WireResponse {
    public static let apiKey = ApiKey.alterPartitionReassignments
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    /// As the request had it.
    public var allowsReplicationFactorChange = true
    public var error = ErrorCode.none
    public var errorMessage: String?
    public var topics: [Topic] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        if wire.version >= 1 { try wire.field(&allowsReplicationFactorChange) }
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

    /// What became of one wish.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        public var error = ErrorCode.none
        public var errorMessage: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.tags()
        }
    }
}
