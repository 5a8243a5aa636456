// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// DescribeCluster (API key 60).
public struct DescribeClusterRequest: WireRequest {
    public typealias Response = DescribeClusterResponse
    public static let apiKey = ApiKey.describeCluster
    public static let versions: ClosedRange<Int16> = 0...2
    public static let flexibleSince: Int16 = 0

    public var includesClusterOperations = false
    /// Since v1. 1: brokers. 2: controllers.
    public var endpointType: Int8 = 1
    /// Since v2.
    public var includesFencedBrokers = false
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&includesClusterOperations)
        if wire.version >= 1 { try wire.field(&endpointType) }
        if wire.version >= 2 { try wire.field(&includesFencedBrokers) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// DescribeCluster (API key 60), response.
public struct DescribeClusterResponse: WireResponse {
    public static let apiKey = ApiKey.describeCluster
    public static let versions: ClosedRange<Int16> = 0...2
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public var errorMessage: String?
    /// Since v1. 1: brokers. 2: controllers.
    public var endpointType: Int8 = 1
    public var clusterID = ""
    /// −1 when there is none.
    public var controllerID: Int32 = -1
    public var brokers: [Broker] = []
    /// A bit for each operation, or `MetadataResponse.operationsNotAsked`.
    public var clusterOperations = MetadataResponse.operationsNotAsked
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.field(&error)
        try wire.field(&errorMessage)
        if wire.version >= 1 { try wire.field(&endpointType) }
        try wire.field(&clusterID)
        try wire.field(&controllerID)
        try wire.list(&brokers)
        try wire.field(&clusterOperations)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// A broker, or a controller where those were asked for.
    public struct Broker: WireStruct, Equatable {
        public var id: Int32 = 0
        public var host = ""
        public var port: Int32 = 0
        public var rack: String?
        /// Since v2.
        public var isFenced = false
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&id)
            try wire.field(&host)
            try wire.field(&port)
            try wire.field(&rack)
            if wire.version >= 2 { try wire.field(&isFenced) }
            try wire.tags()
        }
    }
}
