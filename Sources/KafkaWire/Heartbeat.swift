// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// Heartbeat (API key 12): a member of a classic group lives.
public struct HeartbeatRequest: WireRequest {
    public typealias Response = HeartbeatResponse
    public static let apiKey = ApiKey.heartbeat
    public static let versions: ClosedRange<Int16> = 0...4
    public static let flexibleSince: Int16 = 4

    public var groupID = ""
    public var generationID: Int32 = 0
    public var memberID = ""
    /// Since v3.
    public var groupInstanceID: String?
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&generationID)
        try wire.field(&memberID)
        if wire.version >= 3 { try wire.field(&groupInstanceID) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// Heartbeat (API key 12), response.
public struct HeartbeatResponse: WireResponse {
    public static let apiKey = ApiKey.heartbeat
    public static let versions: ClosedRange<Int16> = 0...4
    public static let flexibleSince: Int16 = 4

    /// Since v1. In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.field(&throttleTime) }
        try wire.field(&error)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }
}
