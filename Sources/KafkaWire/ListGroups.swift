// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// ListGroups (API key 16): the groups that the asked broker coordinates.
public struct ListGroupsRequest: WireRequest {
    public typealias Response = ListGroupsResponse
    public static let apiKey = ApiKey.listGroups
    public static let versions: ClosedRange<Int16> = 0...5
    public static let flexibleSince: Int16 = 3

    /// Since v4. The names of states, in any case; empty for all.
    public var statesFilter: [String] = []
    /// Since v5. The names of types, in any case; empty for all.
    public var typesFilter: [String] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 4 { try wire.list(&statesFilter) }
        if wire.version >= 5 { try wire.list(&typesFilter) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// ListGroups (API key 16), response.
public struct ListGroupsResponse: WireResponse {
    public static let apiKey = ApiKey.listGroups
    public static let versions: ClosedRange<Int16> = 0...5
    public static let flexibleSince: Int16 = 3

    /// Since v1. In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public var groups: [Group] = []
    public init() {}

    public var sizeHint: Int { groups.reduce(64) { $0 + 48 + $1.groupID.utf8.count } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.field(&throttleTime) }
        try wire.field(&error)
        try wire.list(&groups)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }

    /// One group.
    public struct Group: WireStruct, Equatable {
        public var groupID = ""
        public var protocolType = ""
        /// Since v4.
        public var groupState = ""
        /// Since v5. "consumer" for the protocol of KIP-848, "classic" for the one before.
        public var groupType = ""
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&groupID)
            try wire.field(&protocolType)
            if wire.version >= 4 { try wire.field(&groupState) }
            if wire.version >= 5 { try wire.field(&groupType) }
            try wire.tags()
        }
    }
}
