// SPDX-License-Identifier: Apache-2.0

/// A node of the cluster; Kafka calls it the broker id.
public struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int32

    @inlinable
    public init(_ rawValue: Int32) {
        precondition(rawValue >= 0, "a node id is never negative")
        self.rawValue = rawValue
    }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "n\(rawValue)" }
}

/// A topic's identity for its whole life, as in KIP-516: a topic made anew under an old name has another id.
public struct TopicID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// No topic. On the wire it says "named otherwise".
    public static let zero = TopicID(high: 0, low: 0)
    /// The cluster's own metadata log (`Uuid.METADATA_TOPIC_ID` in Kafka).
    public static let metadata = TopicID(high: 0, low: 1)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }

    /// 32 hexadecimal digits, which are safe in a file name. Kafka's own tools print base64 instead.
    public var description: String { Self.hex(high) + Self.hex(low) }

    /// Reads what `description` prints; `nil` for anything else.
    public init?(hex text: some StringProtocol) {
        let digits = text.utf8
        guard digits.count == 32, digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }) else { return nil }
        let middle = text.index(text.startIndex, offsetBy: 16)
        guard let high = UInt64(text[..<middle], radix: 16), let low = UInt64(text[middle...], radix: 16) else {
            return nil
        }
        self.init(high: high, low: low)
    }

    private static func hex(_ half: UInt64) -> String {
        let digits = String(half, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// One partition of one topic, and the Raft group that keeps it.
public struct PartitionID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let topic: TopicID
    public let index: Int32

    @inlinable
    public init(topic: TopicID, index: Int32) {
        precondition(index >= 0, "a partition index is never negative")
        self.topic = topic
        self.index = index
    }

    /// The group that keeps the cluster's metadata ("group 0").
    public static let metadata = PartitionID(topic: .metadata, index: 0)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { (left.topic, left.index) < (right.topic, right.index) }

    public var description: String { self == .metadata ? "metadata" : "\(topic)-\(index)" }
}
