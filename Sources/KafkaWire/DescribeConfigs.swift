// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// DescribeConfigs (API key 32): the settings of topics and brokers.
public struct DescribeConfigsRequest: WireRequest {
    public typealias Response = DescribeConfigsResponse
    public static let apiKey = ApiKey.describeConfigs
    public static let versions: ClosedRange<Int16> = 1...4
    public static let flexibleSince: Int16 = 4

    public var resources: [Resource] = []
    public var includesSynonyms = false
    /// Since v3.
    public var includesDocumentation = false
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&resources)
        try wire.field(&includesSynonyms)
        if wire.version >= 3 { try wire.field(&includesDocumentation) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// Whose settings are asked for.
    public struct Resource: WireStruct, Equatable {
        public var type = ConfigResourceType.unknown
        /// A topic's name, or a broker's id in digits.
        public var name = ""
        /// `nil` for all.
        public var configurationKeys: [String]? = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&type.rawValue)
            try wire.field(&name)
            try wire.list(&configurationKeys, nullable: true)
            try wire.tags()
        }
    }
}

/// DescribeConfigs (API key 32), response.
public struct DescribeConfigsResponse: WireResponse {
    public static let apiKey = ApiKey.describeConfigs
    public static let versions: ClosedRange<Int16> = 1...4
    public static let flexibleSince: Int16 = 4

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var results: [Result] = []
    public init() {}

    public var sizeHint: Int { results.reduce(64) { $0 + 64 + $1.configs.count * 64 } }

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

    /// The settings of one resource.
    public struct Result: WireStruct, Equatable {
        public var error = ErrorCode.none
        public var errorMessage: String?
        public var type = ConfigResourceType.unknown
        public var name = ""
        public var configs: [Config] = []
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            try wire.field(&errorMessage)
            try wire.field(&type.rawValue)
            try wire.field(&name)
            try wire.list(&configs)
            try wire.tags()
        }
    }

    /// One setting.
    public struct Config: WireStruct, Equatable {
        public var name = ""
        /// `nil` when the setting is sensitive.
        public var value: String?
        public var isReadOnly = false
        public var source = ConfigSource.unknown
        public var isSensitive = false
        public var synonyms: [Synonym] = []
        /// Since v3.
        public var type = ConfigType.unknown
        /// Since v3.
        public var documentation: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&value)
            try wire.field(&isReadOnly)
            try wire.field(&source.rawValue)
            try wire.field(&isSensitive)
            try wire.list(&synonyms)
            if wire.version >= 3 {
                try wire.field(&type.rawValue)
                try wire.field(&documentation)
            }
            try wire.tags()
        }
    }

    /// Another place that sets the same thing, in falling precedence.
    public struct Synonym: WireStruct, Equatable {
        public var name = ""
        public var value: String?
        public var source = ConfigSource.unknown
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&value)
            try wire.field(&source.rawValue)
            try wire.tags()
        }
    }
}

/// What has configs. A number that is not named here is kept as it came.
public struct ConfigResourceType: RawRepresentable, Hashable, Sendable {
    public var rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }

    public static let unknown = Self(rawValue: 0)
    public static let topic = Self(rawValue: 2)
    public static let broker = Self(rawValue: 4)
    public static let brokerLogger = Self(rawValue: 8)
    public static let clientMetrics = Self(rawValue: 16)
    public static let group = Self(rawValue: 32)
}

extension ConfigResourceType: WireStruct {
    public init() { self = .unknown }

    /// As an element of a list, without tags.
    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) { try wire.field(&rawValue) }
}

/// Where a config's value comes from. A number that is not named here is kept as it came.
public struct ConfigSource: RawRepresentable, Hashable, Sendable {
    public var rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }

    /// What the protocol's default says; Kafka itself also uses 0.
    public static let unknown = Self(rawValue: -1)
    public static let dynamicTopic = Self(rawValue: 1)
    public static let dynamicBroker = Self(rawValue: 2)
    public static let dynamicDefaultBroker = Self(rawValue: 3)
    public static let staticBroker = Self(rawValue: 4)
    public static let builtInDefault = Self(rawValue: 5)
    public static let dynamicBrokerLogger = Self(rawValue: 6)
    public static let dynamicClientMetrics = Self(rawValue: 7)
    public static let dynamicGroup = Self(rawValue: 8)
}

/// The type of a config's value. A number that is not named here is kept as it came.
public struct ConfigType: RawRepresentable, Hashable, Sendable {
    public var rawValue: Int8
    public init(rawValue: Int8) { self.rawValue = rawValue }

    public static let unknown = Self(rawValue: 0)
    public static let boolean = Self(rawValue: 1)
    public static let string = Self(rawValue: 2)
    public static let int = Self(rawValue: 3)
    public static let short = Self(rawValue: 4)
    public static let long = Self(rawValue: 5)
    public static let double = Self(rawValue: 6)
    public static let list = Self(rawValue: 7)
    public static let classType = Self(rawValue: 8)
    public static let password = Self(rawValue: 9)
}
