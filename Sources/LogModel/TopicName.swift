// SPDX-License-Identifier: Apache-2.0

/// A topic's legal name: 1 to 249 of `a–z A–Z 0–9 . _ -`, neither `.` nor `..` (Kafka's `Topic.validate`).
public struct TopicName: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: String

    /// Why a text is no topic name.
    public enum Flaw: Error, Hashable, Sendable, CustomStringConvertible {
        case empty
        case tooLong(count: Int)
        case dots
        case illegalCharacter

        public var description: String {
            switch self {
            case .empty: "a topic name must not be empty"
            case .tooLong(let count): "a topic name has at most 249 characters, this one \(count)"
            case .dots: "a topic cannot be named '.' or '..'"
            case .illegalCharacter: "a topic name is made of ASCII letters, digits, '.', '_' and '-' only"
            }
        }
    }

    public init(_ text: String) throws(Flaw) {
        guard !text.isEmpty else { throw .empty }
        guard text.utf8.count <= 249 else { throw .tooLong(count: text.utf8.count) }
        guard text != "." && text != ".." else { throw .dots }
        for byte in text.utf8 where !Self.isLegal(byte) { throw .illegalCharacter }
        rawValue = text
    }

    private static func isLegal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// The name with `.` written as `_`: two topics whose collision keys agree cannot both exist, because
    /// metric names make no difference between the two characters (Kafka's `Topic.hasCollision`).
    public var collisionKey: String { String(rawValue.map { $0 == "." ? "_" : $0 }) }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    public var description: String { rawValue }
}
