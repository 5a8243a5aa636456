// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// IncrementalAlterConfigs (API key 44): change some settings and leave the others (KIP-339).
public struct IncrementalAlterConfigsRequest: WireRequest {
    public typealias Response = IncrementalAlterConfigsResponse
    public static let apiKey = ApiKey.incrementalAlterConfigs
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 1

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

    /// Whose settings are changed.
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

    /// One change.
    public struct Config: WireStruct, Equatable {
        public var name = ""
        public var operation = ConfigOperation.set
        public var value: String? = ""
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&operation.rawValue)
            try wire.field(&value)
            try wire.tags()
        }
    }
}

/// IncrementalAlterConfigs (API key 44), response.
public struct IncrementalAlterConfigsResponse: WireResponse {
    public static let apiKey = ApiKey.incrementalAlterConfigs
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 1

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

/// What to do with a setting. A number that is not named here is kept as it came.
public struct ConfigOperation: RawRepresentable, Hashable, Sendable {
    public var rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }

    public static let set = Self(rawValue: 0)
    /// Back to the default.
    public static let delete = Self(rawValue: 1)
    /// Put values at the end of a list.
    public static let append = Self(rawValue: 2)
    /// Take values out of a list.
    public static let subtract = Self(rawValue: 3)
}
