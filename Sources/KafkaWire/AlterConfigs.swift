// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// AlterConfigs (API key 33): set all of a resource's settings anew; what is not named goes back to its default.
public struct AlterConfigsRequest: WireRequest {
    public typealias Response = AlterConfigsResponse
    public static let apiKey = ApiKey.alterConfigs
    public static let versions: ClosedRange<Int16> = 0...2
    public static let flexibleSince: Int16 = 2

    public var resources: [Resource] = []
    public var validateOnly = false
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&resources)
        try wire.field(&validateOnly)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// Whose settings are set.
    public struct Resource: WireStruct, Equatable {
        public var type = ConfigResourceType.unknown
        /// A topic's name, or a broker's id in digits.
        public var name = ""
        public var configs: [Config] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&type.rawValue)
            try wire.field(&name)
            try wire.list(&configs)
            try wire.tags()
        }
    }

    /// One setting.
    public struct Config: WireStruct, Equatable {
        public var name = ""
        public var value: String? = ""
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&value)
            try wire.tags()
        }
    }
}

/// AlterConfigs (API key 33), response.
public struct AlterConfigsResponse: WireResponse {
    public static let apiKey = ApiKey.alterConfigs
    public static let versions: ClosedRange<Int16> = 0...2
    public static let flexibleSince: Int16 = 2

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var results: [Result] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.list(&results)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// How it went for one resource.
    public struct Result: WireStruct, Equatable {
        public var error = ErrorCode.none
        public var errorMessage: String?
        public var type = ConfigResourceType.unknown
        public var name = ""
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&type.rawValue)
            try wire.field(&name)
            try wire.tags()
        }
    }
}
