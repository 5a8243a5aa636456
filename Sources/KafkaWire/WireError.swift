// SPDX-License-Identifier: Apache-2.0

/// Why bytes are not a Kafka message, or why a message cannot be written in the version asked for.
///
/// A decoder that threw has read nothing that may be used. After one, the stream is out of step: answer with
/// `ErrorCode.invalidRequest` where the correlation id is known, and close the connection.
public enum WireError: Error, Hashable, Sendable {
    /// The frame ends before the field does, or a length or count promises more than the frame still holds.
    case truncated
    /// A length or count is below −1, or −1 ("null") where the version has no null.
    case negativeLength
    /// The version has no null at this place.
    case nullNotAllowed
    /// A string over 32,767 bytes, a byte field or frame over 2³¹ − 1 bytes, or a client id over
    /// `RequestHeader.clientIDLimit`.
    case tooLong
    /// An array of more than `WireLimits.elements`, or a section of more than `WireLimits.tags`.
    case tooManyElements
    /// A variable-length integer of more than five bytes or 32 bits, or one written longer than it needs to be.
    case malformedVarint
    /// A string is not UTF-8.
    case invalidUTF8
    /// A tag comes twice or out of order, or its payload is longer than its field.
    case malformedTags
    /// Bytes are left over after the message's last field.
    case trailingBytes
    /// This module does not describe the API in that version.
    case unsupportedVersion(ApiKey, Int16)
}

/// Bounds of what a decoder accepts, the same as those of Apache Kafka 4.4.
public enum WireLimits {
    /// Elements of one array.
    public static let elements = 1_000_000
    /// Tagged fields of one structure.
    public static let tags = 10_000
    /// Bytes of one string.
    public static let stringBytes = Int(Int16.max)
}
