// SPDX-License-Identifier: Apache-2.0

/// A size in bytes, or a place in a file counted in bytes from its beginning.
public struct ByteCount: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int64

    @inlinable
    public init(_ rawValue: Int64) {
        precondition(rawValue >= 0, "a size is never negative")
        self.rawValue = rawValue
    }

    public static let zero = ByteCount(0)
    public static func kibibytes(_ count: Int64) -> Self { Self(count << 10) }
    public static func mebibytes(_ count: Int64) -> Self { Self(count << 20) }
    public static func gibibytes(_ count: Int64) -> Self { Self(count << 30) }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    @inlinable
    public static func + (left: Self, right: Self) -> Self { Self(left.rawValue + right.rawValue) }
    @inlinable
    public static func - (left: Self, right: Self) -> Self { Self(left.rawValue - right.rawValue) }
    @inlinable
    public static func += (left: inout Self, right: Self) { left = left + right }

    public var description: String { "\(rawValue) B" }
}

/// A moment on a node's monotonic clock, in nanoseconds since an arbitrary start. Pure code is told the time.
public struct Moment: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let nanoseconds: UInt64

    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    public static let zero = Moment(nanoseconds: 0)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }
    /// `nanoseconds` later.
    @inlinable
    public func advanced(byNanoseconds count: UInt64) -> Self { Self(nanoseconds: nanoseconds + count) }
    /// Nanoseconds since `earlier`, or 0 when `earlier` lies ahead.
    @inlinable
    public func nanoseconds(since earlier: Self) -> UInt64 {
        earlier.nanoseconds < nanoseconds ? nanoseconds - earlier.nanoseconds : 0
    }

    public var description: String { "\(nanoseconds / 1_000_000) ms" }
}

/// A wall-clock time in milliseconds since 1970, as Kafka writes it into records.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let milliseconds: Int64

    @inlinable
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }

    public var description: String { "\(milliseconds) ms" }
}
