// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// DescribeProducers (API key 61): the producers that partitions remember (KIP-664).
public struct DescribeProducersRequest: WireRequest {
    public typealias Response = DescribeProducersResponse
    public static let apiKey = ApiKey.describeProducers
    public static let versions: ClosedRange<Int16> = 0...0
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
        public var partitions: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.list(&partitions)
            try wire.tags()
        }
    }
}

/// DescribeProducers (API key 61), response.
public struct DescribeProducersResponse: WireResponse {
    public static let apiKey = ApiKey.describeProducers
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var topics: [Topic] = []
    public init() {}

    public var sizeHint: Int {
        topics.reduce(64) { $1.partitions.reduce($0 + 64) { $0 + 32 + $1.activeProducers.count * 40 } }
    }

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

    /// The producers of one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        public var error = ErrorCode.none
        public var errorMessage: String?
        public var activeProducers: [Producer] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.list(&activeProducers)
            try wire.tags()
        }
    }

    /// One producer.
    public struct Producer: WireStruct, Equatable {
        public var id: Int64 = 0
        public var epoch: Int32 = 0
        /// −1 for none.
        public var lastSequence: Int32 = -1
        /// In milliseconds since 1970; −1 for none.
        public var lastTimestamp: Int64 = -1
        public var coordinatorEpoch: Int32 = 0
        /// −1 for none.
        public var currentTransactionStartOffset: Int64 = -1
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&id)
            try wire.field(&epoch)
            try wire.field(&lastSequence)
            try wire.field(&lastTimestamp)
            try wire.field(&coordinatorEpoch)
            try wire.field(&currentTransactionStartOffset)
            try wire.tags()
        }
    }
}
