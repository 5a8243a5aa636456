// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// ExplainGroup (API key 10000): what groups wait for.
///
/// Godwit's own, for `godwit group why`. It is never advertised, and no other client knows it.
public struct ExplainGroupRequest: WireRequest {
    public typealias Response = ExplainGroupResponse
    public static let apiKey = ApiKey.explainGroup
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    public var groupIDs: [String] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&groupIDs)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// ExplainGroup (API key 10000), response.
public struct ExplainGroupResponse: WireResponse {
    public static let apiKey = ApiKey.explainGroup
    public static let versions: ClosedRange<Int16> = 0...0
    public static let flexibleSince: Int16 = 0

    public var groups: [GroupExplanation] = []
    public init() {}

    public var sizeHint: Int { groups.reduce(64) { $0 + 128 + $1.waits.count * 384 } }

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.list(&groups)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }
}

/// What one group waits for.
public struct GroupExplanation: WireStruct, Equatable {
    public var error = ErrorCode.none
    public var errorMessage: String?
    public var groupID = ""
    /// The state by Kafka's names.
    public var state = ""
    public var protocolType = ""
    /// Who or what holds the group up; empty when nothing does.
    public var waits: [GroupWait] = []
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&error)
        try wire.field(&errorMessage)
        try wire.field(&groupID)
        try wire.field(&state)
        try wire.field(&protocolType)
        try wire.list(&waits)
        try wire.tags()
    }
}

/// One thing that a group waits for.
public struct GroupWait: WireStruct, Equatable {
    /// Empty when no member is meant.
    public var memberID = ""
    public var clientID = ""
    public var clientHost = ""
    /// Why the group waits, as a sentence.
    public var reason = ""
    /// For how long already.
    public var sinceMilliseconds: Int64 = 0
    /// What happens when the wait is over, as a sentence.
    public var next = ""
    /// In how long at the latest; −1 when nothing limits it.
    public var dueMilliseconds: Int64 = -1
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&memberID)
        try wire.field(&clientID)
        try wire.field(&clientHost)
        try wire.field(&reason)
        try wire.field(&sinceMilliseconds)
        try wire.field(&next)
        try wire.field(&dueMilliseconds)
        try wire.tags()
    }
}
