// SPDX-License-Identifier: Apache-2.0

public import NIOCore

/// What stands before every request's body: request header versions 1 and 2.
public struct RequestHeader: Equatable, Sendable {
    public var apiKey: ApiKey
    public var version: Int16
    /// Chosen by the client; the response repeats it.
    public var correlationID: Int32
    /// How the client calls itself.
    public var clientID: String?

    /// The longest client id a decoder accepts, in bytes.
    public static let clientIDLimit = 1024

    public init(apiKey: ApiKey, version: Int16, correlationID: Int32, clientID: String?) {
        self.apiKey = apiKey
        self.version = version
        self.correlationID = correlationID
        self.clientID = clientID
    }

    /// Reads a header from a frame (without its length) and leaves the frame at the body.
    ///
    /// An API or version that is not described here does not throw: that is for the caller to answer, and the
    /// correlation id is needed for it. The frame's body means nothing then.
    public static func decode(from frame: inout ByteBuffer) throws(WireError) -> RequestHeader {
        var decoder = WireDecoder(frame, version: 1, isFlexible: false)
        var key: Int16 = 0
        var version: Int16 = 0
        var correlationID: Int32 = 0
        try decoder.field(&key)
        try decoder.field(&version)
        try decoder.field(&correlationID)
        let clientID = try decoder.classicString(limit: clientIDLimit)
        frame.moveReaderIndex(forwardBy: decoder.consumed)
        let apiKey = ApiKey(rawValue: key)
        if apiKey.hasFlexibleRequestHeader(version: version) { try skipTags(&frame) }
        return RequestHeader(apiKey: apiKey, version: version, correlationID: correlationID, clientID: clientID)
    }
}

/// What stands before every response's body: response header versions 0 and 1.
public enum ResponseHeader {
    /// The correlation id of a response frame (without its length), which tells the request's API and version.
    public static func correlationID(of frame: ByteBuffer) throws(WireError) -> Int32 {
        guard let id = frame.getInteger(at: frame.readerIndex, as: Int32.self) else { throw .truncated }
        return id
    }

    /// Reads the header of a response to a request of this API and version, and leaves the frame at the body.
    public static func decode(from frame: inout ByteBuffer, apiKey: ApiKey, version: Int16) throws(WireError) -> Int32 {
        let id = try correlationID(of: frame)
        frame.moveReaderIndex(forwardBy: 4)
        if apiKey.hasFlexibleResponseHeader(version: version) { try skipTags(&frame) }
        return id
    }
}

private func skipTags(_ frame: inout ByteBuffer) throws(WireError) {
    var decoder = WireDecoder(frame, version: 0, isFlexible: true)
    try decoder.tags()
    frame.moveReaderIndex(forwardBy: decoder.consumed)
}

/// The whole frame of a response; the same as `message.encodeFrame(correlationID:version:)`.
public func encodeResponseFrame<Message: WireResponse>(
    correlationID: Int32, version: Int16, message: Message
) throws(WireError) -> EncodedFrame {
    try message.encodeFrame(correlationID: correlationID, version: version)
}

/// The whole frame of a request; the same as `message.encodeFrame(correlationID:clientID:version:)`.
public func encodeRequestFrame<Message: WireRequest>(
    correlationID: Int32, clientID: String?, version: Int16, message: Message
) throws(WireError) -> EncodedFrame {
    try message.encodeFrame(correlationID: correlationID, clientID: clientID, version: version)
}
