// SPDX-License-Identifier: Apache-2.0

/// A place in a Raft log: the number of slots before it. The first slot has index 0.
///
/// A batch of *n* records takes *n* slots and a marker takes one, so an index is the Kafka offset plus the number of
/// markers before it. Ends of ranges are exclusive: a log with `end == 0` is empty.
public struct LogIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int64

    @inlinable
    public init(_ rawValue: Int64) {
        precondition(rawValue >= 0, "an index is a count of slots before it")
        self.rawValue = rawValue
    }

    public static let zero = LogIndex(0)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    /// The index `slots` further on.
    @inlinable
    public func advanced(by slots: Int64) -> Self { Self(rawValue + slots) }
    /// The number of slots in `origin..<self`. Traps when `origin` lies behind `self`.
    @inlinable
    public func slots(since origin: Self) -> Int64 {
        precondition(origin <= self, "slots are counted forwards")
        return rawValue - origin.rawValue
    }

    public var description: String { "\(rawValue)" }
}

/// A Raft term; Kafka calls it the leader epoch. Term 0 is before the first election.
public struct Term: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int32

    @inlinable
    public init(_ rawValue: Int32) {
        precondition(rawValue >= 0, "a term is never negative")
        self.rawValue = rawValue
    }

    public static let zero = Term(0)

    /// The term after this one. Traps at `Int32.max`: 2³¹ elections do not happen.
    @inlinable
    public var next: Term { Term(rawValue + 1) }
    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "\(rawValue)" }
}

/// Where a log ends: the term of its last entry, then that entry's end.
///
/// Ordered by term first, so `<` *is* Raft's "less up to date" test (dissertation §3.6.1).
public struct LogPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var term: Term
    public var end: LogIndex

    @inlinable
    public init(term: Term, end: LogIndex) {
        self.term = term
        self.end = end
    }

    public static let empty = LogPosition(term: .zero, end: .zero)

    @inlinable
    public static func < (left: Self, right: Self) -> Bool {
        (left.term, left.end) < (right.term, right.end)
    }

    public var description: String { "\(end)@\(term)" }
}

/// Where a log begins when its older part is gone: all three views of one entry boundary.
///
/// `position` names the last slot that is no longer held, `offset` the first Kafka offset that still is.
public struct LogAnchor: Hashable, Sendable, CustomStringConvertible {
    public var position: LogPosition
    public var offset: Offset

    public init(position: LogPosition, offset: Offset) {
        self.position = position
        self.offset = offset
    }

    public static let origin = LogAnchor(position: .empty, offset: .zero)

    public var description: String { "\(position) offset \(offset)" }
}

/// What a member of a Raft group must never forget: its term and whom it voted for in that term.
public struct HardState: Hashable, Sendable, CustomStringConvertible {
    public var term: Term
    public var vote: NodeID?

    public init(term: Term = .zero, vote: NodeID? = nil) {
        self.term = term
        self.vote = vote
    }

    public var description: String { "term \(term) vote \(vote.map { "\($0)" } ?? "nobody")" }
}
