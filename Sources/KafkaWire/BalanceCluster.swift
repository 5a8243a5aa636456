// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// BalanceCluster (API key 10002): evens out a cluster, or empties a node.
///
/// Godwit's own, for `godwit cluster`. It is never advertised, and no other client knows it.
public struct BalanceClusterRequest: WireRequest {
    public typealias Response = BalanceClusterResponse
    public static let apiKey = ApiKey.balanceCluster
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    /// What to do: see `BalanceAction`.
    public var action: Int8 = 0
    /// The node that is meant; −1 when none is.
    public var nodeID: Int32 = -1
    /// Says what would happen, and does nothing.
    public var validateOnly = true
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&action)
        try wire.field(&nodeID)
        try wire.field(&validateOnly)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// BalanceCluster (API key 10002), response.
public struct BalanceClusterResponse: WireResponse {
    public static let apiKey = ApiKey.balanceCluster
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    public var error = ErrorCode.none
    public var errorMessage: String?
    public var isRebalancing = false
    /// How many partitions are being moved.
    public var movingCount: Int32 = 0
    /// How many more will be.
    public var plannedCount: Int32 = 0
    /// The next of them, a bounded number.
    public var planned: [Move] = []
    /// Partitions that have nowhere to go.
    public var stuck: [Move] = []
    public var nodes: [Node] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&isRebalancing)
        try wire.field(&movingCount)
        try wire.field(&plannedCount)
        try wire.list(&planned)
        try wire.list(&stuck)
        try wire.list(&nodes)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// One partition's way.
    public struct Move: WireStruct, Equatable {
        public var topic = ""
        public var partition: Int32 = 0
        /// The preferred leader first.
        public var from: [Int32] = []
        public var to: [Int32] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&topic)
            try wire.field(&partition)
            try wire.list(&from)
            try wire.list(&to)
            try wire.tags()
        }
    }

    /// What a node has been given.
    public struct Node: WireStruct, Equatable {
        public var id: Int32 = 0
        public var isDraining = false
        /// Whether it votes in the metadata group.
        public var isVoter = false
        /// Those it keeps, the ones it gains or loses included.
        public var replicas: Int32 = 0
        /// The partitions that it is the preferred leader of.
        public var leaders: Int32 = 0
        /// Replicas on their way to it.
        public var gaining: Int32 = 0
        /// Replicas that will go.
        public var losing: Int32 = 0
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&id)
            try wire.field(&isDraining)
            try wire.field(&isVoter)
            try wire.field(&replicas)
            try wire.field(&leaders)
            try wire.field(&gaining)
            try wire.field(&losing)
            try wire.tags()
        }
    }
}

/// What `BalanceClusterRequest` asks for.
public enum BalanceAction: Int8, Sendable {
    /// Nothing but the state of things.
    case look = 0
    /// Have the controller even out replicas and leaders.
    case rebalance = 1
    case stopRebalancing = 2
    /// Have the controller empty a node.
    case drain = 3
    case stopDraining = 4
    /// Take an emptied node out of the cluster.
    case removeNode = 5
}
