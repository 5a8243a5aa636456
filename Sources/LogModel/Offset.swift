// SPDX-License-Identifier: Apache-2.0

/// The place of one record in a partition's log, as Kafka clients count. The first record has offset 0.
///
/// - Invariant: `rawValue >= 0`. "No offset" is `nil`, never −1; the wire's −1 stays in `KafkaWire`.
public struct Offset: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int64

    @inlinable
    public init(_ rawValue: Int64) {
        precondition(rawValue >= 0, "an offset is a count of records before it")
        self.rawValue = rawValue
    }

    public static let zero = Offset(0)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    @inlinable
    public static func + (base: Self, count: RecordCount) -> Self { Self(base.rawValue + count.rawValue) }
    /// The number of records in `origin..<end`. Traps when `origin` lies behind `end`.
    @inlinable
    public static func - (end: Self, origin: Self) -> RecordCount { RecordCount(end.rawValue - origin.rawValue) }

    public var description: String { "\(rawValue)" }
}

/// How many records. An `Offset` plus a `RecordCount` is an `Offset`; two offsets cannot be added.
public struct RecordCount: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int64

    @inlinable
    public init(_ rawValue: Int64) {
        precondition(rawValue >= 0, "a count is never negative")
        self.rawValue = rawValue
    }

    public static let zero = RecordCount(0)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    @inlinable
    public static func + (left: Self, right: Self) -> Self { Self(left.rawValue + right.rawValue) }

    public var description: String { "\(rawValue)" }
}
