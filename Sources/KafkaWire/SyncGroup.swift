// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// SyncGroup (API key 14): the leader hands over the assignment; everybody gets their own share of it.
public struct SyncGroupRequest: WireRequest {
    public typealias Response = SyncGroupResponse
    public static let apiKey = ApiKey.syncGroup
    public static let versions: ClosedRange<Int16> = 0...5
    public static let flexibleSince: Int16 = 4

    public var groupID = ""
    public var generationID: Int32 = 0
    public var memberID = ""
    /// Since v3.
    public var groupInstanceID: String?
    /// Since v5, as is `protocolName`; `nil` leaves it unchecked.
    public var protocolType: String?
    public var protocolName: String?
    /// From the leader alone.
    public var assignments: [Assignment] = []
    public init() {}

    public var sizeHint: Int { assignments.reduce(192) { $0 + 64 + $1.assignment.readableBytes } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&generationID)
        try wire.field(&memberID)
        if wire.version >= 3 { try wire.field(&groupInstanceID) }
        if wire.version >= 5 {
            try wire.field(&protocolType)
            try wire.field(&protocolName)
        }
        try wire.list(&assignments)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// One member's share.
    public struct Assignment: WireStruct, Equatable {
        public var memberID = ""
        /// A `ConsumerProtocolAssignment` for consumers.
        public var assignment = ByteBuffer()
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&memberID)
            try wire.field(&assignment)
            try wire.tags()
        }
    }
}

/// SyncGroup (API key 14), response.
public struct SyncGroupResponse: WireResponse {
    public static let apiKey = ApiKey.syncGroup
    public static let versions: ClosedRange<Int16> = 0...5
    public static let flexibleSince: Int16 = 4

    /// Since v1. In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    /// Since v5, as is `protocolName`.
    public var protocolType: String?
    public var protocolName: String?
    /// A `ConsumerProtocolAssignment` for consumers; empty with an error.
    public var assignment = ByteBuffer()
    public init() {}

    public var sizeHint: Int { 96 + assignment.readableBytes }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.field(&throttleTime) }
        try wire.field(&error)
        if wire.version >= 5 {
            try wire.field(&protocolType)
            try wire.field(&protocolName)
        }
        try wire.field(&assignment)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }
}
