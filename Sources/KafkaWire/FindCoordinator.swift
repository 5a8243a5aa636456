// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// FindCoordinator (API key 10): who coordinates a group or a transaction.
public struct FindCoordinatorRequest: WireRequest {
    public typealias Response = FindCoordinatorResponse
    public static let apiKey = ApiKey.findCoordinator
    public static let versions: ClosedRange<Int16> = 0...6
    public static let flexibleSince: Int16 = 3

    /// Up to v3.
    public var key = ""
    /// Since v1. 0: group. 1: transaction. 2: share group (since v6).
    public var keyType: Int8 = 0
    /// Since v4.
    public var coordinatorKeys: [String] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version <= 3 { try wire.field(&key) }
        if wire.version >= 1 { try wire.field(&keyType) }
        if wire.version >= 4 { try wire.list(&coordinatorKeys) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// FindCoordinator (API key 10), response.
public struct FindCoordinatorResponse: WireResponse {
    public static let apiKey = ApiKey.findCoordinator
    public static let versions: ClosedRange<Int16> = 0...6
    public static let flexibleSince: Int16 = 3

    /// Since v1. In milliseconds.
    public var throttleTime: Int32 = 0
    /// Up to v3, as are `errorMessage`, `nodeID`, `host` and `port`.
    public var error = ErrorCode.none
    /// v1 to v3.
    public var errorMessage: String?
    public var nodeID: Int32 = 0
    public var host = ""
    public var port: Int32 = 0
    /// Since v4.
    public var coordinators: [Coordinator] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.field(&throttleTime) }
        if wire.version <= 3 {
            try wire.field(&error)
            if wire.version >= 1 { try wire.field(&errorMessage) }
            try wire.field(&nodeID)
            try wire.field(&host)
            try wire.field(&port)
        } else {
            try wire.list(&coordinators)
        }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// The coordinator of one key.
    public struct Coordinator: WireStruct, Equatable {
        public var key = ""
        /// −1 with an error.
        public var nodeID: Int32 = 0
        public var host = ""
        public var port: Int32 = 0
        public var error = ErrorCode.none
        public var errorMessage: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&key)
            try wire.field(&nodeID)
            try wire.field(&host)
            try wire.field(&port)
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.tags()
        }
    }
}
