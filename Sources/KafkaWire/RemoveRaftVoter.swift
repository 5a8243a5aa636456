// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// RemoveRaftVoter (API key 81): takes a node's vote in the metadata group (KIP-853).
public struct RemoveRaftVoterRequest: WireRequest {
    public typealias Response = RemoveRaftVoterResponse
    public static let apiKey = ApiKey.removeRaftVoter
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    public var clusterID: String?
    public var voterID: Int32 = 0
    public var directoryID = TopicID.zero
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&clusterID)
        try wire.field(&voterID)
        try wire.field(&directoryID)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// RemoveRaftVoter (API key 81), response.
public struct RemoveRaftVoterResponse: WireResponse {
    public static let apiKey = ApiKey.removeRaftVoter
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public var errorMessage: String?
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }
}
