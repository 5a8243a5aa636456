// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// ApiVersions (API key 18): what the broker speaks.
///
/// A request in a version that the broker does not have is answered in version 0 with
/// `ErrorCode.unsupportedVersion` and the range of this API, so that the client can ask again.
public struct ApiVersionsRequest: WireRequest {
    public typealias Response = ApiVersionsResponse
    public static let apiKey = ApiKey.apiVersions
    public static let versions: ClosedRange<Int16> = 0...4
    public static let flexibleSince: Int16 = 3

    /// Since v3.
    public var clientSoftwareName = ""
    /// Since v3.
    public var clientSoftwareVersion = ""
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 3 {
            try wire.field(&clientSoftwareName)
            try wire.field(&clientSoftwareVersion)
        }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// ApiVersions (API key 18), response.
public struct ApiVersionsResponse: WireResponse {
    public static let apiKey = ApiKey.apiVersions
    public static let versions: ClosedRange<Int16> = 0...4
    public static let flexibleSince: Int16 = 3

    public var error = ErrorCode.none
    public var apis: [Api] = []
    /// Since v1. In milliseconds.
    public var throttleTime: Int32 = 0
    /// Since v3, tag 0. Before v4 clients refuse a `minVersion` of 0: leave such features out there.
    public var supportedFeatures: [SupportedFeature] = []
    /// Since v3, tag 1. −1 says unknown, and is not sent.
    public var finalizedFeaturesEpoch: Int64 = -1
    /// Since v3, tag 2.
    public var finalizedFeatures: [FinalizedFeature] = []
    /// Since v3, tag 3.
    public var isZooKeeperMigrationReady = false
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&error)
        try wire.list(&apis)
        if wire.version >= 1 { try wire.field(&throttleTime) }
        try wire.tags(of: &self)
    }

    /// Reads the answer to a request of `version`, which is in version 0 when the broker does not have that version.
    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        let error = body.getInteger(at: body.readerIndex, as: Int16.self)
        if error == ErrorCode.unsupportedVersion.rawValue, let refusal = try? decodeBody(body, 0) { return refusal }
        return try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// The versions of one API.
    public struct Api: WireStruct, Equatable {
        public var key = ApiKey(rawValue: 0)
        public var minVersion: Int16 = 0
        public var maxVersion: Int16 = 0
        public init() {}

        public init(key: ApiKey, versions: ClosedRange<Int16>) {
            self.key = key
            minVersion = versions.lowerBound
            maxVersion = versions.upperBound
        }

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&key.rawValue)
            try wire.field(&minVersion)
            try wire.field(&maxVersion)
            try wire.tags()
        }
    }

    /// A feature the broker could switch on.
    public struct SupportedFeature: WireStruct, Equatable {
        public var name = ""
        public var minVersion: Int16 = 0
        public var maxVersion: Int16 = 0
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&minVersion)
            try wire.field(&maxVersion)
            try wire.tags()
        }
    }

    /// A feature that is on in the whole cluster.
    public struct FinalizedFeature: WireStruct, Equatable {
        public var name = ""
        public var maxVersionLevel: Int16 = 0
        public var minVersionLevel: Int16 = 0
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&maxVersionLevel)
            try wire.field(&minVersionLevel)
            try wire.tags()
        }
    }
}

extension ApiVersionsResponse: WireTagged {
    public func tagsToSend(version: Int16) -> UInt32 {
        (supportedFeatures.isEmpty ? 0 : 1 << 0)
            | (finalizedFeaturesEpoch == -1 ? 0 : 1 << 1)
            | (finalizedFeatures.isEmpty ? 0 : 1 << 2)
            | (isZooKeeperMigrationReady ? 1 << 3 : 0)
    }

    public mutating func walk(tag: UInt32, _ wire: inout some WireCoder) throws(WireError) -> Bool {
        switch tag {
        case 0: try wire.list(&supportedFeatures)
        case 1: try wire.field(&finalizedFeaturesEpoch)
        case 2: try wire.list(&finalizedFeatures)
        case 3: try wire.field(&isZooKeeperMigrationReady)
        default: return false
        }
        return true
    }
}
