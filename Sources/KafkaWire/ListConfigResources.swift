// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// ListConfigResources (API key 74): what has settings of its own (KIP-1142).
public struct ListConfigResourcesRequest: WireRequest {
    public typealias Response = ListConfigResourcesResponse
    public static let apiKey = ApiKey.listConfigResources
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 0

    /// Since v1; empty for all. v0 is about client metrics alone.
    public var resourceTypes: [ConfigResourceType] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.list(&resourceTypes) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// ListConfigResources (API key 74), response.
public struct ListConfigResourcesResponse: WireResponse {
    public static let apiKey = ApiKey.listConfigResources
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public var resources: [Resource] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.field(&error)
        try wire.list(&resources)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// One resource.
    public struct Resource: WireStruct, Equatable {
        public var name = ""
        /// Since v1.
        public var type = ConfigResourceType.clientMetrics
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            if wire.version >= 1 { try wire.field(&type.rawValue) }
            try wire.tags()
        }
    }
}
