// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// InitProducerId (API key 22): an identity for a producer whose batches are to be stored once each (KIP-98).
public struct InitProducerIDRequest: WireRequest {
    public typealias Response = InitProducerIDResponse
    public static let apiKey = ApiKey.initProducerID
    public static let versions: ClosedRange<Int16> = 0...5
    public static let flexibleSince: Int16 = 2

    /// `nil` for a producer that is idempotent and no more.
    public var transactionalID: String?
    /// In milliseconds.
    public var transactionTimeout: Int32 = 0
    /// Since v3; −1 for a new identity, else the one whose epoch is to rise (KIP-360).
    public var producerID: Int64 = -1
    /// Since v3.
    public var producerEpoch: Int16 = -1
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&transactionalID)
        try wire.field(&transactionTimeout)
        if wire.version >= 3 {
            try wire.field(&producerID)
            try wire.field(&producerEpoch)
        }
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, clientID: String?, version: Int16) throws(WireError) -> EncodedFrame {
        try requestFrame(correlationID, clientID, version)
    }
}

/// InitProducerId (API key 22), response.
public struct InitProducerIDResponse: WireResponse {
    public static let apiKey = ApiKey.initProducerID
    public static let versions: ClosedRange<Int16> = 0...5
    public static let flexibleSince: Int16 = 2

    /// In milliseconds.
    public var throttleTime: Int32 = 0
    public var error = ErrorCode.none
    public var producerID: Int64 = -1
    public var producerEpoch: Int16 = 0
    public init() {}

    public mutating func walk(_ wire: inout some WireCoder) throws(WireError) {
        try wire.field(&throttleTime)
        try wire.field(&error)
        try wire.field(&producerID)
        try wire.field(&producerEpoch)
        try wire.tags()
    }

    public static func decode(_ body: ByteBuffer, version: Int16) throws(WireError) -> Self {
        try decodeBody(body, version)
    }

    public func encodeFrame(correlationID: Int32, version: Int16) throws(WireError) -> EncodedFrame {
        try responseFrame(correlationID, version)
    }
}
