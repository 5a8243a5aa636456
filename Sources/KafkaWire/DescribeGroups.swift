// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// DescribeGroups (API key 15): who is in classic groups, and what they do.
public struct DescribeGroupsRequest: WireRequest {
    public typealias Response = DescribeGroupsResponse
    public static let apiKey = ApiKey.describeGroups
    public static let versions: ClosedRange<Int16> = 0...6
    public static let flexibleSince: Int16 = 5

    public var groups: [String] = []
    /// Since v3.
    public var includesOperations = false
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&groups)
        if wire.version >= 3 { try wire.field(&includesOperations) }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// DescribeGroups (API key 15), response.
public struct DescribeGroupsResponse: WireResponse {
    public static let apiKey = ApiKey.describeGroups
    public static let versions: ClosedRange<Int16> = 0...6
    public static let flexibleSince: Int16 = 5

    /// Since v1. In milliseconds.
    public var throttleTime: Int32 = 0
    public var groups: [Group] = []
    public init() {}

    public var sizeHint: Int {
        groups.reduce(64) {
            $1.members.reduce($0 + 128) {
                $0 + 160 + $1.memberMetadata.readableBytes + $1.memberAssignment.readableBytes
            }
        }
    }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.field(&throttleTime) }
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
        public var error = ErrorCode.none
        /// Since v6.
        public var errorMessage: String?
        public var groupID = ""
        public var groupState = ""
        public var protocolType = ""
        /// The chosen protocol's name, in the state Stable.
        public var protocolData = ""
        public var members: [Member] = []
        /// Since v3. A bit for each operation the client may do; `Int32.min` when it did not ask.
        public var operations: Int32 = .min
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&error)
            if wire.version >= 6 { try wire.field(&errorMessage) }
            try wire.field(&groupID)
            try wire.field(&groupState)
            try wire.field(&protocolType)
            try wire.field(&protocolData)
            try wire.list(&members)
            if wire.version >= 3 { try wire.field(&operations) }
            try wire.tags()
        }
    }

    /// One member.
    public struct Member: WireStruct, Equatable {
        public var memberID = ""
        /// Since v4.
        public var groupInstanceID: String?
        public var clientID = ""
        public var clientHost = ""
        /// In the state Stable, as is `memberAssignment`.
        public var memberMetadata = ByteBuffer()
        public var memberAssignment = ByteBuffer()
        public init() {}

        public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
            try wire.field(&memberID)
            if wire.version >= 4 { try wire.field(&groupInstanceID) }
            try wire.field(&clientID)
            try wire.field(&clientHost)
            try wire.field(&memberMetadata)
            try wire.field(&memberAssignment)
            try wire.tags()
        }
    }
}
