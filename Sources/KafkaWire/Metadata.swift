// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// Metadata (API key 3): brokers, topics and who leads which partition.
public struct MetadataRequest: WireRequest {
    public typealias Response = MetadataResponse
    public static let apiKey = ApiKey.metadata
    public static let versions: ClosedRange<Int16> = 0...13
    public static let flexibleSince: Int16 = 9
    /// librdkafka leaves the four bytes of a classic array's length in the compact form, so that three bytes follow
    /// the end whenever it asks for all topics (seen with 2.16.1, `list_topics()`).
    public static let allowsTrailingBytes = true

    /// `nil` asks for all topics and cannot be said in v0, where the empty list says it (see `asksForAllTopics`).
    public var topics: [Topic]? = []
    /// Since v4; earlier clients always allow it.
    public var allowsTopicCreation = true
    /// v8 to v10.
    public var includesClusterOperations = false
    /// Since v8.
    public var includesTopicOperations = false
    public init() {}

    /// Whether all topics are asked for, in a request that came in this version.
    public func asksForAllTopics(version: Int16) -> Bool {
        guard let topics else { return true }
        return version == 0 && topics.isEmpty
    }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&topics, nullable: wire.version >= 1)
        if wire.version >= 4 { try wire.field(&allowsTopicCreation) }
        if (8...10).contains(wire.version) { try wire.field(&includesClusterOperations) }
        if wire.version >= 8 { try wire.field(&includesTopicOperations) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// A topic asked for by name or, since v12, by id.
    public struct Topic: WireStruct, Equatable {
        /// Since v10.
        public var id = TopicID.zero
        /// `nil` since v10 only.
        public var name: String? = ""
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version >= 10 { try wire.field(&id) }
            try wire.field(&name, nullable: wire.version >= 10)
            try wire.tags()
        }
    }
}

/// Metadata (API key 3), response.
public struct MetadataResponse: WireResponse {
    public static let apiKey = ApiKey.metadata
    public static let versions: ClosedRange<Int16> = 0...13
    public static let flexibleSince: Int16 = 9
    /// Authorised operations that were not asked for.
    public static let operationsNotAsked = Int32.min

    /// Since v3. In milliseconds.
    public var throttleTime: Int32 = 0
    public var brokers: [Broker] = []
    /// Since v2.
    public var clusterID: String?
    /// Since v1; −1 when there is none.
    public var controllerID: Int32 = -1
    public var topics: [Topic] = []
    /// v8 to v10. A bit for each operation, or `operationsNotAsked`.
    public var clusterOperations = operationsNotAsked
    /// Since v13.
    public var error = ErrorCode.none
    public init() {}

    public var sizeHint: Int {
        topics.reduce(128 + brokers.count * 64) { $0 + 64 + $1.partitions.count * 64 }
    }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 3 { try wire.field(&throttleTime) }
        try wire.list(&brokers)
        if wire.version >= 2 { try wire.field(&clusterID) }
        if wire.version >= 1 { try wire.field(&controllerID) }
        try wire.list(&topics)
        if (8...10).contains(wire.version) { try wire.field(&clusterOperations) }
        if wire.version >= 13 { try wire.field(&error) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// A broker that clients may connect to.
    public struct Broker: WireStruct, Equatable {
        public var nodeID: Int32 = 0
        public var host = ""
        public var port: Int32 = 0
        /// Since v1.
        public var rack: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&nodeID)
            try wire.field(&host)
            try wire.field(&port)
            if wire.version >= 1 { try wire.field(&rack) }
            try wire.tags()
        }
    }

    /// A topic, or why it cannot be told about.
    public struct Topic: WireStruct, Equatable {
        public var error = ErrorCode.none
        /// `nil` since v12 only, for an id that nobody knows.
        public var name: String? = ""
        /// Since v10.
        public var id = TopicID.zero
        /// Since v1.
        public var isInternal = false
        public var partitions: [Partition] = []
        /// Since v8. A bit for each operation, or `operationsNotAsked`.
        public var operations = MetadataResponse.operationsNotAsked
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            try wire.field(&name, nullable: wire.version >= 12)
            if wire.version >= 10 { try wire.field(&id) }
            if wire.version >= 1 { try wire.field(&isInternal) }
            try wire.list(&partitions)
            if wire.version >= 8 { try wire.field(&operations) }
            try wire.tags()
        }
    }

    /// A partition's leader and replicas.
    public struct Partition: WireStruct, Equatable {
        public var error = ErrorCode.none
        public var index: Int32 = 0
        /// −1 when there is none.
        public var leaderID: Int32 = 0
        /// Since v7; −1 when unknown.
        public var leaderEpoch: Int32 = -1
        public var replicas: [Int32] = []
        public var inSyncReplicas: [Int32] = []
        /// Since v5.
        public var offlineReplicas: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            try wire.field(&index)
            try wire.field(&leaderID)
            if wire.version >= 7 { try wire.field(&leaderEpoch) }
            try wire.list(&replicas)
            try wire.list(&inSyncReplicas)
            if wire.version >= 5 { try wire.list(&offlineReplicas) }
            try wire.tags()
        }
    }
}
