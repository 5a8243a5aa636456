// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// DescribeLogDirs (API key 35): the folders of a broker and what lies in them.
public struct DescribeLogDirsRequest: WireRequest {
    public typealias Response = DescribeLogDirsResponse
    public static let apiKey = ApiKey.describeLogDirs
    public static let versions: ClosedRange<Int16> = 1...4
    public static let flexibleSince: Int16 = 2

    /// `nil` for all.
    public var topics: [Topic]? = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
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

/// DescribeLogDirs (API key 35), response.
public struct DescribeLogDirsResponse: WireResponse {
    public static let apiKey = ApiKey.describeLogDirs
    public static let versions: ClosedRange<Int16> = 1...4
    public static let flexibleSince: Int16 = 2

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    /// Since v3.
    public var error = ErrorCode.none
    public var results: [Result] = []
    public init() {}

    public var sizeHint: Int {
        results.reduce(64) { $1.topics.reduce($0 + 160) { $0 + 64 + $1.partitions.count * 24 } }
    }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        if wire.version >= 3 { try wire.field(&error) }
        try wire.list(&results)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// One folder.
    public struct Result: WireStruct, Equatable {
        public var error = ErrorCode.none
        public var logDirectory = ""
        public var topics: [Topic] = []
        /// Since v4, as is `usableBytes`; −1 when unknown.
        public var totalBytes: Int64 = -1
        public var usableBytes: Int64 = -1
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            try wire.field(&logDirectory)
            try wire.list(&topics)
            if wire.version >= 4 {
                try wire.field(&totalBytes)
                try wire.field(&usableBytes)
            }
            try wire.tags()
        }
    }

    /// One topic in a folder.
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

    /// One partition in a folder.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        /// In bytes.
        public var size: Int64 = 0
        /// Offsets behind the high watermark, or behind the current replica for one that is being moved here.
        public var offsetLag: Int64 = 0
        /// Whether the replica is being moved here and does not count yet.
        public var isFuture = false
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&size)
            try wire.field(&offsetLag)
            try wire.field(&isFuture)
            try wire.tags()
        }
    }
}
