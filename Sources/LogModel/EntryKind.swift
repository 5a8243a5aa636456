// SPDX-License-Identifier: Apache-2.0

/// What an entry of a Raft log is. Kinds are open: a node keeps and replicates kinds it does not know.
public struct EntryKind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8

    @inlinable
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A record batch: the only kind that takes Kafka offsets and is served to clients.
    public static let records = EntryKind(rawValue: 0)
    /// The first entry of a leader's term (dissertation §6.4): it lets older entries be committed.
    public static let leaderStart = EntryKind(rawValue: 1)
    /// A change of the group's members.
    public static let membership = EntryKind(rawValue: 2)
    /// The log begins later from here on: its payload is the first offset that is left.
    public static let logStart = EntryKind(rawValue: 3)

    /// A marker takes one slot of the log and no Kafka offset.
    @inlinable
    public var isMarker: Bool { self != .records }

    public var description: String {
        switch self {
        case .records: "records"
        case .leaderStart: "leaderStart"
        case .membership: "membership"
        case .logStart: "logStart"
        default: "kind\(rawValue)"
        }
    }
}
