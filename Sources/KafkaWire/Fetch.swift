// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// Fetch (API key 1): read record batches from some offset on.
public struct FetchRequest: WireRequest {
    public typealias Response = FetchResponse
    public static let apiKey = ApiKey.fetch
    public static let versions: ClosedRange<Int16> = 4...17
    public static let flexibleSince: Int16 = 12

    /// Since v12, tag 0.
    public var clusterID: String?
    /// Up to v14; −1 for a consumer.
    public var replicaID: Int32 = -1
    /// Since v15, tag 1; absent for a consumer.
    public var replicaState: ReplicaState?
    /// How long to wait for `minBytes`. In milliseconds.
    public var maxWait: Int32 = 0
    public var minBytes: Int32 = 0
    public var maxBytes: Int32 = .max
    /// 0: read uncommitted. 1: read committed.
    public var isolationLevel: Int8 = 0
    /// Since v7; 0 for none.
    public var sessionID: Int32 = 0
    /// Since v7; −1 for no session, 0 to open one.
    public var sessionEpoch: Int32 = -1
    public var topics: [Topic] = []
    /// Since v7. What a session's next responses leave out.
    public var forgottenTopics: [ForgottenTopic] = []
    /// Since v11. The consumer's own rack, for a nearby follower.
    public var rackID = ""
    public init() {}

    public var sizeHint: Int {
        topics.reduce(128) { $0 + 32 + $1.name.utf8.count + $1.partitions.count * 40 }
    }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version <= 14 { try wire.field(&replicaID) }
        try wire.field(&maxWait)
        try wire.field(&minBytes)
        try wire.field(&maxBytes)
        try wire.field(&isolationLevel)
        if wire.version >= 7 {
            try wire.field(&sessionID)
            try wire.field(&sessionEpoch)
        }
        try wire.list(&topics)
        if wire.version >= 7 { try wire.list(&forgottenTopics) }
        if wire.version >= 11 { try wire.field(&rackID) }
        try wire.tags(of: &self)
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// A follower, in versions that no longer have its bare id.
    public struct ReplicaState: WireStruct, Equatable {
        public var replicaID: Int32 = -1
        public var replicaEpoch: Int64 = -1
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&replicaID)
            try wire.field(&replicaEpoch)
            try wire.tags()
        }
    }

    /// What is wanted of one topic.
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

    /// What is wanted of one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        /// Since v9; −1 when the client does not know it.
        public var currentLeaderEpoch: Int32 = -1
        public var fetchOffset: Int64 = 0
        /// Since v12; −1 when there is none.
        public var lastFetchedEpoch: Int32 = -1
        /// Since v5. A follower's log start; −1 for a consumer.
        public var logStartOffset: Int64 = -1
        public var maxBytes: Int32 = 0
        /// Since v17, tag 0. A follower's directory, in the form of an id.
        public var replicaDirectoryID = TopicID.zero
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            if wire.version >= 9 { try wire.field(&currentLeaderEpoch) }
            try wire.field(&fetchOffset)
            if wire.version >= 12 { try wire.field(&lastFetchedEpoch) }
            if wire.version >= 5 { try wire.field(&logStartOffset) }
            try wire.field(&maxBytes)
            try wire.tags(of: &self)
        }
    }

    /// Partitions that a session drops.
    public struct ForgottenTopic: WireStruct, Equatable {
        /// Up to v12.
        public var name = ""
        /// Since v13.
        public var id = TopicID.zero
        public var partitions: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 12 { try wire.field(&name) } else { try wire.field(&id) }
            try wire.list(&partitions)
            try wire.tags()
        }
    }
}

extension FetchRequest: WireTagged {
    public func tagsToSend(version: Int16) -> UInt32 {
        (clusterID == nil ? 0 : 1 << 0) | (version >= 15 && replicaState != nil ? 1 << 1 : 0)
    }

    public mutating func walk(tag: UInt32, _ wire: inout some WireCoder) throws(WireError) -> Bool {
        switch tag {
        case 0: try wire.field(&clusterID)
        case 1 where wire.version >= 15: try wire.structure(&replicaState)
        default: return false
        }
        return true
    }
}

extension FetchRequest.Partition: WireTagged {
    public func tagsToSend(version: Int16) -> UInt32 { version >= 17 && replicaDirectoryID != .zero ? 1 : 0 }

    public mutating func walk(tag: UInt32, _ wire: inout some WireCoder) throws(WireError) -> Bool {
        guard tag == 0, wire.version >= 17 else { return false }
        try wire.field(&replicaDirectoryID)
        return true
    }
}

/// Fetch (API key 1), response.
public struct FetchResponse: WireResponse {
    public static let apiKey = ApiKey.fetch
    public static let versions: ClosedRange<Int16> = 4...17
    public static let flexibleSince: Int16 = 12

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    /// Since v7.
    public var error = ErrorCode.none
    /// Since v7; 0 for no session.
    public var sessionID: Int32 = 0
    public var topics: [Topic] = []
    /// Since v16, tag 0. Where the leaders named in `currentLeader` are (KIP-951).
    public var nodeEndpoints: [NodeEndpoint] = []
    public init() {}

    public var sizeHint: Int {
        topics.reduce(64 + nodeEndpoints.count * 64) { size, topic in
            topic.partitions.reduce(size + topic.name.utf8.count + 32) { size, partition in
                if case .bytes(let bytes) = partition.records { return size + 64 + bytes.readableBytes }
                return size + 64
            }
        }
    }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        if wire.version >= 7 {
            try wire.field(&error)
            try wire.field(&sessionID)
        }
        try wire.list(&topics)
        try wire.tags(of: &self)
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// What was read of one topic.
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

    /// What was read of one partition.
    public struct Partition: WireStruct, Equatable {
        public var index: Int32 = 0
        public var error = ErrorCode.none
        public var highWatermark: Int64 = 0
        /// −1 when unknown.
        public var lastStableOffset: Int64 = -1
        /// Since v5; −1 when unknown.
        public var logStartOffset: Int64 = -1
        /// Since v12, tag 0. Where the reader's log parts from the leader's.
        public var divergingEpoch: DivergingEpoch?
        /// Since v12, tag 1.
        public var currentLeader: LeaderIDAndEpoch?
        /// Since v12, tag 2.
        public var snapshotID: SnapshotID?
        /// `nil` for a reader of uncommitted records.
        public var abortedTransactions: [AbortedTransaction]?
        /// Since v11; −1 for none.
        public var preferredReadReplica: Int32 = -1
        public var records = RecordsPayload.null
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&index)
            try wire.field(&error)
            try wire.field(&highWatermark)
            try wire.field(&lastStableOffset)
            if wire.version >= 5 { try wire.field(&logStartOffset) }
            try wire.list(&abortedTransactions, nullable: true)
            if wire.version >= 11 { try wire.field(&preferredReadReplica) }
            try wire.field(&records)
            try wire.tags(of: &self)
        }
    }

    /// The last epoch that both logs have, and where it ends.
    public struct DivergingEpoch: WireStruct, Equatable {
        public var epoch: Int32 = -1
        public var endOffset: Int64 = -1
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&epoch)
            try wire.field(&endOffset)
            try wire.tags()
        }
    }

    /// A snapshot to be fetched instead, in Kafka's own metadata log.
    public struct SnapshotID: WireStruct, Equatable {
        public var endOffset: Int64 = -1
        public var epoch: Int32 = -1
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&endOffset)
            try wire.field(&epoch)
            try wire.tags()
        }
    }

    /// Records of this producer from this offset on are to be skipped, up to its abort marker.
    public struct AbortedTransaction: WireStruct, Equatable {
        public var producerID: Int64 = 0
        public var firstOffset: Int64 = 0
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&producerID)
            try wire.field(&firstOffset)
            try wire.tags()
        }
    }
}

extension FetchResponse: WireTagged {
    public func tagsToSend(version: Int16) -> UInt32 { version >= 16 && !nodeEndpoints.isEmpty ? 1 : 0 }

    public mutating func walk(tag: UInt32, _ wire: inout some WireCoder) throws(WireError) -> Bool {
        guard tag == 0, wire.version >= 16 else { return false }
        try wire.list(&nodeEndpoints)
        return true
    }
}

extension FetchResponse.Partition: WireTagged {
    public func tagsToSend(version: Int16) -> UInt32 {
        (divergingEpoch == nil ? 0 : 1 << 0) | (currentLeader == nil ? 0 : 1 << 1) | (snapshotID == nil ? 0 : 1 << 2)
    }

    public mutating func walk(tag: UInt32, _ wire: inout some WireCoder) throws(WireError) -> Bool {
        switch tag {
        case 0: try wire.structure(&divergingEpoch)
        case 1: try wire.structure(&currentLeader)
        case 2: try wire.structure(&snapshotID)
        default: return false
        }
        return true
    }
}
