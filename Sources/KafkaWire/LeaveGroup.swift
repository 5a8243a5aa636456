// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// LeaveGroup (API key 13): members go.
public struct LeaveGroupRequest: WireRequest {
    public typealias Response = LeaveGroupResponse
    public static let apiKey = ApiKey.leaveGroup
    public static let versions: ClosedRange<Int16> = 0...5
    public static let flexibleSince: Int16 = 4

    public var groupID = ""
    /// Up to v2 exactly one, of which only the `memberID` is sent.
    public var members: [Member] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&groupID)
        if wire.version >= 3 {
            try wire.list(&members)
        } else {
            guard members.count <= 1 else { throw .tooManyElements }
            var member = members.first ?? Member()
            try wire.field(&member.memberID)
            members = [member]
        }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// Who goes.
    public struct Member: WireStruct, Equatable {
        /// Empty when the member is meant by its `groupInstanceID` alone.
        public var memberID = ""
        /// Since v3.
        public var groupInstanceID: String?
        /// Since v5, for people (KIP-800).
        public var reason: String?
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&memberID)
            if wire.version >= 3 { try wire.field(&groupInstanceID) }
            if wire.version >= 5 { try wire.field(&reason) }
            try wire.tags()
        }
    }
}

/// LeaveGroup (API key 13), response.
public struct LeaveGroupResponse: WireResponse {
    public static let apiKey = ApiKey.leaveGroup
    public static let versions: ClosedRange<Int16> = 0...5
    public static let flexibleSince: Int16 = 4

    /// Since v1. In milliseconds.
    public var throttleTime: Int32 = 0
    /// Up to v2 a first member's error is sent here when the group itself has none.
    public var error = ErrorCode.none
    /// Since v3.
    public var members: [Member] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.field(&throttleTime) }
        if wire.version >= 3 {
            try wire.field(&error)
            try wire.list(&members)
        } else {
            var only = error == .none ? members.first?.error ?? .none : error
            try wire.field(&only)
            error = only
        }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// How it went for one member.
    public struct Member: WireStruct, Equatable {
        public var memberID = ""
        public var groupInstanceID: String?
        public var error = ErrorCode.none
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&memberID)
            try wire.field(&groupInstanceID)
            try wire.field(&error)
            try wire.tags()
        }
    }
}
