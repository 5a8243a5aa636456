// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// What one marker of the kind `membership` carries, as it came: storage does not understand it.
public struct MembershipRow: Hashable, Sendable {
    /// The marker's slot.
    public var slot: LogIndex
    public var payload: [UInt8]

    public init(slot: LogIndex, payload: [UInt8]) {
        self.slot = slot
        self.payload = payload
    }
}

/// The log's markers of the kind `membership`: who belongs to the group must be known without reading the log.
///
///     slot     ··· 40 │ 41 … 77  78          start: 41
///     entry    ···  M │ ···· M55 ····        at the start: what 40 said; rows: 55
///
/// - Invariant: the slots ascend strictly, and none lies before the log's start.
struct MembershipTable: Hashable {
    /// The largest payload of such a marker, in bytes.
    static let maximumPayload = 1 << 16

    /// What the last marker before the log's start said, or whoever gave the log its start; `nil` where none did.
    private(set) var atStart: [UInt8]?
    private(set) var rows: [MembershipRow] = []

    init(atStart: [UInt8]? = nil) { self.atStart = atStart }

    /// Rows as they were stored; `nil` when they do not ascend, which only damage can cause.
    init?(atStart: [UInt8]?, rows: [MembershipRow], start: LogIndex) {
        for (earlier, later) in zip(rows, rows.dropFirst()) where earlier.slot >= later.slot { return nil }
        if let first = rows.first, first.slot < start { return nil }
        self.atStart = atStart
        self.rows = rows
    }

    mutating func note(_ slot: LogIndex, _ payload: [UInt8]) {
        precondition(rows.last.map { $0.slot < slot } ?? true, "markers are noted in log order")
        rows.append(MembershipRow(slot: slot, payload: payload))
    }

    mutating func truncate(to end: LogIndex) {
        while let last = rows.last, last.slot >= end { rows.removeLast() }
    }

    mutating func dropPrefix(before start: LogIndex) {
        let count = rows.firstIndex { $0.slot >= start } ?? rows.count
        guard count > 0 else { return }
        atStart = rows[count - 1].payload
        rows.removeSubrange(..<count)
    }
}

extension PartitionLog {
    /// What the last membership marker before the log's start said; `nil` where there was none.
    public var membershipAtStart: [UInt8]? { memberships.atStart }

    /// The membership markers that the log holds, in log order.
    public var membershipMarkers: [MembershipRow] { memberships.rows }

    /// The largest payload of a membership marker, in bytes.
    public static var maximumMembershipPayload: Int { MembershipTable.maximumPayload }
}
