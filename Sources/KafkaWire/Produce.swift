// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// Produce (API key 0): append record batches.
///
/// Versions below 3 carry retired message sets. They are advertised all the same, since librdkafka otherwise stops
/// compressing (KAFKA-18659), and refused when used.
public struct ProduceRequest: WireRequest {
    public typealias Response = ProduceResponse
    public static let apiKey = ApiKey.produce
    public static let versions: ClosedRange<Int16> = 3...13
    public static let flexibleSince: Int16 = 9

    public var transactionalID: String?
    /// 0: no answer at all. 1: the leader has it. −1: all in-sync replicas have it.
    public var acks: Int16 = 0
    /// How long the broker may wait for the acknowledgements. In milliseconds.
    public var timeout: Int32 = 0
    public var topics: [Topic] = []
    public init() {}

    public var sizeHint: Int {
        topics.reduce(64) { size, topic in
            topic.partitions.reduce(size + topic.name.utf8.count + 32) { $0 + 16 + ($1.records?.readableBytes ?? 0) }
        }
    }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&transactionalID)
        try wire.field(&acks)
        try wire.field(&timeout)
        try wire.list(&topics)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// What goes to one topic.
    public struct Topic: WireStruct, Equatable {
        /// Up to v12.
        public var name = ""
        /// Since v13.
        public var id = TopicID.zero
        public var partitions: [Partition] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 12 { try wire.field(&name) } else { try wire.field(&id) }
            try wire.list(&partitions)
            try wire.tags()
        }
    }

    /// What goes to one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        /// Record batches as they are stored. When decoded, a slice of the frame.
        public var records: ByteBuffer?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&records)
            try wire.tags()
        }
    }
}

/// Produce (API key 0), response: where each batch landed, or why it did not.
public struct ProduceResponse: WireResponse {
    public static let apiKey = ApiKey.produce
    public static let versions: ClosedRange<Int16> = 3...13
    public static let flexibleSince: Int16 = 9

    public var topics: [Topic] = []
    /// In milliseconds.
    public var throttleTime: Int32 = 0
    /// Since v10, tag 0. Where the leaders named in `currentLeader` are (KIP-951).
    public var nodeEndpoints: [NodeEndpoint] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&topics)
        try wire.field(&throttleTime)
        try wire.tags(of: &self)
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// The answers for one topic.
    public struct Topic: WireStruct, Equatable {
        /// Up to v12.
        public var name = ""
        /// Since v13.
        public var id = TopicID.zero
        public var partitions: [Partition] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 12 { try wire.field(&name) } else { try wire.field(&id) }
            try wire.list(&partitions)
            try wire.tags()
        }
    }

    /// The answer for one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        public var error = ErrorCode.none
        /// The offset of the first record; −1 with an error.
        public var baseOffset: Int64 = 0
        /// The broker's time in milliseconds where the topic has append times; −1 otherwise.
        public var logAppendTime: Int64 = -1
        /// Since v5; −1 when unknown.
        public var logStartOffset: Int64 = -1
        /// Since v8. The records that made the broker refuse the batch.
        public var recordErrors: [RecordError] = []
        /// Since v8.
        public var errorMessage: String?
        /// Since v10, tag 0.
        public var currentLeader: LeaderIDAndEpoch?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&baseOffset)
            try wire.field(&logAppendTime)
            if wire.version >= 5 { try wire.field(&logStartOffset) }
            if wire.version >= 8 {
                try wire.list(&recordErrors)
                try wire.field(&errorMessage)
            }
            try wire.tags(of: &self)
        }
    }

    /// What is wrong with one record.
    public struct RecordError: WireStruct, Equatable {
        /// The record's place in its batch.
        public var batchIndex: Int32 = 0
        public var message: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&batchIndex)
            try wire.field(&message)
            try wire.tags()
        }
    }
}

extension ProduceResponse: WireTagged {
    public func tagsToSend(version: Int16) -> UInt32 { version >= 10 && !nodeEndpoints.isEmpty ? 1 : 0 }

    public mutating func walk(tag: UInt32, _ wire: inout some WireCoder) throws(WireError) -> Bool {
        guard tag == 0, wire.version >= 10 else { return false }
        try wire.list(&nodeEndpoints)
        return true
    }
}

extension ProduceResponse.Partition: WireTagged {
    public func tagsToSend(version: Int16) -> UInt32 { version >= 10 && currentLeader != nil ? 1 : 0 }

    public mutating func walk(tag: UInt32, _ wire: inout some WireCoder) throws(WireError) -> Bool {
        guard tag == 0, wire.version >= 10 else { return false }
        try wire.structure(&currentLeader)
        return true
    }
}

/// Who leads a partition and since which term, told along with an error (KIP-951).
public struct LeaderIDAndEpoch: WireStruct, Equatable {
    /// −1 when unknown.
    public var leaderID: Int32 = -1
    /// −1 when unknown.
    public var leaderEpoch: Int32 = -1
    public init() {}

    public init(leaderID: Int32, leaderEpoch: Int32) {
        self.leaderID = leaderID
        self.leaderEpoch = leaderEpoch
    }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&leaderID)
        try wire.field(&leaderEpoch)
        try wire.tags()
    }
}

/// Where a broker is (KIP-951).
public struct NodeEndpoint: WireStruct, Equatable {
    public var nodeID: Int32 = 0
    public var host = ""
    public var port: Int32 = 0
    public var rack: String?
    public init() {}

    public init(nodeID: Int32, host: String, port: Int32, rack: String?) {
        self.nodeID = nodeID
        self.host = host
        self.port = port
        self.rack = rack
    }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&nodeID)
        try wire.field(&host)
        try wire.field(&port)
        try wire.field(&rack)
        try wire.tags()
    }
}
