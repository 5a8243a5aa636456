// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// JoinGroup (API key 11): become a member of a classic group, or say again that one is.
public struct JoinGroupRequest: WireRequest {
    public typealias Response = JoinGroupResponse
    public static let apiKey = ApiKey.joinGroup
    public static let versions: ClosedRange<Int16> = 0...9
    public static let flexibleSince: Int16 = 6

    public var groupID = ""
    /// How long the coordinator waits for a heartbeat. In milliseconds.
    public var sessionTimeout: Int32 = 0
    /// Since v1; the session timeout stands for it before. In milliseconds.
    public var rebalanceTimeout: Int32 = -1
    /// Empty in a member's first request.
    public var memberID = ""
    /// Since v5; `nil` for a dynamic member (KIP-345).
    public var groupInstanceID: String?
    /// "consumer" for consumers.
    public var protocolType = ""
    /// What the member could use, the best first.
    public var protocols: [JoinProtocol] = []
    /// Since v8. Why the member joins, for people (KIP-800).
    public var reason: String?
    public init() {}

    public var sizeHint: Int { protocols.reduce(192) { $0 + 32 + $1.metadata.readableBytes } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&groupID)
        try wire.field(&sessionTimeout)
        if wire.version >= 1 { try wire.field(&rebalanceTimeout) }
        try wire.field(&memberID)
        if wire.version >= 5 { try wire.field(&groupInstanceID) }
        try wire.field(&protocolType)
        try wire.list(&protocols)
        if wire.version >= 8 { try wire.field(&reason) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }

    /// One assignor the member could use.
    public struct JoinProtocol: WireStruct, Equatable {
        public var name = ""
        /// What the assignor needs to know of the member; a `ConsumerProtocolSubscription` for consumers.
        public var metadata = ByteBuffer()
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&name)
            try wire.field(&metadata)
            try wire.tags()
        }
    }
}

/// JoinGroup (API key 11), response.
public struct JoinGroupResponse: WireResponse {
    public static let apiKey = ApiKey.joinGroup
    public static let versions: ClosedRange<Int16> = 0...9
    public static let flexibleSince: Int16 = 6

    /// Since v2. In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public var generationID: Int32 = -1
    /// Since v7.
    public var protocolType: String?
    /// What the coordinator chose. Before v7 `nil` is sent as an empty text.
    public var protocolName: String?
    /// The member that assigns.
    public var leader = ""
    /// Since v9. Whether the leader is to leave the assignment as it is (KIP-814).
    public var skipsAssignment = false
    public var memberID = ""
    /// All members for the leader, nobody for the others.
    public var members: [Member] = []
    public init() {}

    public var sizeHint: Int { members.reduce(192) { $0 + 96 + $1.metadata.readableBytes } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 2 { try wire.field(&throttleTime) }
        try wire.field(&error)
        try wire.field(&generationID)
        if wire.version >= 7 {
            try wire.field(&protocolType)
            try wire.field(&protocolName)
        } else {
            var name = protocolName ?? ""
            try wire.field(&name)
            protocolName = name
        }
        try wire.field(&leader)
        if wire.version >= 9 { try wire.field(&skipsAssignment) }
        try wire.field(&memberID)
        try wire.list(&members)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// What the leader needs to know of one member.
    public struct Member: WireStruct, Equatable {
        public var memberID = ""
        /// Since v5.
        public var groupInstanceID: String?
        /// As the member sent it for the chosen protocol.
        public var metadata = ByteBuffer()
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&memberID)
            if wire.version >= 5 { try wire.field(&groupInstanceID) }
            try wire.field(&metadata)
            try wire.tags()
        }
    }
}
