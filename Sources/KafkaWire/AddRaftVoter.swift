// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// AddRaftVoter (API key 80): a vote in the metadata group for a node (KIP-853, KIP-1186).
public struct AddRaftVoterRequest: WireRequest {
    public typealias Response = AddRaftVoterResponse
    public static let apiKey = ApiKey.addRaftVoter
    public static let versions: ClosedRange<Int16> = 0...1
    public static let flexibleSince: Int16 = 0

    public var clusterID: String?
    /// In milliseconds.
    public var timeout: Int32 = 0
    public var voterID: Int32 = 0
    public var directoryID = TopicID.zero
    public var listeners: [RaftVoterListener] = []
    /// Whether the answer waits until the change is in force.
    public var acknowledgesWhenCommitted = true
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&clusterID)
        try wire.field(&timeout)
        try wire.field(&voterID)
        try wire.field(&directoryID)
        try wire.list(&listeners)
        if wire.version >= 1 { try wire.field(&acknowledgesWhenCommitted) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// AddRaftVoter (API key 80), response.
public struct AddRaftVoterResponse: WireResponse {
    public static let apiKey = ApiKey.addRaftVoter
    public static let versions: ClosedRange<Int16> = 0...1
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

/// Where a voter of the metadata group is reached.
public struct RaftVoterListener: WireStruct, Equatable {
    public var name = ""
    public var host = ""
    public var port: UInt16 = 0
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&name)
        try wire.field(&host)
        try wire.field(&port)
        try wire.tags()
    }
}
