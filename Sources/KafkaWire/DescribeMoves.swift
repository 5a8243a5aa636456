// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// DescribeMoves (API key 10001): how far the moves are of partitions that the node leads.
///
/// Godwit's own, for `godwit cluster moves`. It is never advertised, and no other client knows it.
public struct DescribeMovesRequest: WireRequest {
    public typealias Response = DescribeMovesResponse
    public static let apiKey = ApiKey.describeMoves
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

/// DescribeMoves (API key 10001), response.
public struct DescribeMovesResponse: WireResponse {
    public static let apiKey = ApiKey.describeMoves
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    public var moves: [Move] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&moves)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// One partition's move, as its leader sees it.
    public struct Move: WireStruct, Equatable {
        public var topic = ""
        public var partition: Int32 = 0
        public var error = ErrorCode.none
        public var errorMessage: String?
        /// `catching up`, `joining`, `leaving`, `handing over`, or empty when the leader has nothing to do any more.
        public var phase = ""
        /// What it waits for, as a sentence.
        public var reason = ""
        /// For how long the move has been in this phase; −1 when it is not known.
        public var sinceMilliseconds: Int64 = -1
        /// How long the leader's log is.
        public var logBytes: Int64 = 0
        /// Who votes at the moment.
        public var voters: [Int32] = []
        /// Who votes too until the change is over.
        public var outgoing: [Int32] = []
        /// Who is catching up.
        public var replicas: [Replica] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&topic)
            try wire.field(&partition)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&phase)
            try wire.field(&reason)
            try wire.field(&sinceMilliseconds)
            try wire.field(&logBytes)
            try wire.list(&voters)
            try wire.list(&outgoing)
            try wire.list(&replicas)
            try wire.tags()
        }
    }

    /// How far a new replica is.
    public struct Replica: WireStruct, Equatable {
        public var id: Int32 = 0
        /// Its disk holds the leader's log below this, in entries.
        public var match: Int64 = 0
        /// Where the leader's log begins, in entries.
        public var start: Int64 = 0
        /// Where it ends.
        public var end: Int64 = 0
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&id)
            try wire.field(&match)
            try wire.field(&start)
            try wire.field(&end)
            try wire.tags()
        }
    }
}
