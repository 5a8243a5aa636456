// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// DeleteGroups (API key 42): forget groups that have no members, and their offsets.
public struct DeleteGroupsRequest: WireRequest {
    public typealias Response = DeleteGroupsResponse
    public static let apiKey = ApiKey.deleteGroups
    public static let versions: ClosedRange<Int16> = 0...2
    public static let flexibleSince: Int16 = 2

    public var groups: [String] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&groups)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// DeleteGroups (API key 42), response.
public struct DeleteGroupsResponse: WireResponse {
    public static let apiKey = ApiKey.deleteGroups
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

    /// How it went for one group.
    public struct Result: WireStruct, Equatable {
        public var groupID = ""
        public var error = ErrorCode.none
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&groupID)
            try wire.field(&error)
            try wire.tags()
        }
    }
}
