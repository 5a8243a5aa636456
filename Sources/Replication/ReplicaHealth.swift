// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// What can be relied upon of one copy of a partition: of its bytes, and of the disk below them.
///
///                    space returns
///             ┌──────────────────────────┐
///             ▼                          │
///           sound ──no room──────────▶ full
///           │ ▲ ▲──well for a while─── slow ◀──its syncs lag behind the peers'── sound
///           │ │
///           │ └──opened anew, read and checked──┐
///           └──a call failed, or never ends──▶ fenced ──bytes are wrong──▶ damaged
///           any ──what no correct group does──▶ halted
public enum ReplicaHealth: Hashable, Sendable {
    case sound
    /// The disk has no room: what is there is served, nothing is taken in, and leadership goes to a peer.
    case full(since: Moment)
    /// The disk answers much later than the peers' disks: it goes on, but does not lead if another can.
    case slow(since: Moment)
    /// The disk has failed a call whose failure leaves open what it holds, or does not answer at all. The copy neither
    /// votes, acknowledges nor serves until it has been opened anew, read and checked.
    case fenced(reason: String, since: Moment)
    /// Bytes that were durable are wrong in these ranges; they are fetched from the peers.
    case damaged([Range<LogIndex>], since: Moment)
    /// It takes no part any more; only a restart of the node, or an operator, helps.
    case halted(reason: String)

    /// Why the copy neither votes, stores nor serves, when that is so.
    public var stopReason: String? {
        switch self {
        case .fenced(let reason, _), .halted(let reason): reason
        case .sound, .full, .slow, .damaged: nil
        }
    }

    /// Whether it should lead when another could.
    public var isFitToLead: Bool { self == .sound }

    /// Whether producers' records are taken in.
    public var takesRecords: Bool {
        switch self {
        case .sound, .slow: true
        case .full, .fenced, .damaged, .halted: false
        }
    }

    /// Since when it is what it is; `nil` when sound or halted.
    public var since: Moment? {
        switch self {
        case .full(let since), .slow(let since), .fenced(_, let since), .damaged(_, let since): since
        case .sound, .halted: nil
        }
    }
}

extension ReplicaHealth: CustomStringConvertible {
    public var description: String {
        switch self {
        case .sound: "sound"
        case .full: "the disk is full"
        case .slow: "the disk is slow"
        case .fenced(let reason, _): "fenced: \(reason)"
        case .damaged(let ranges, _): "damaged in \(ranges.count) ranges"
        case .halted(let reason): "halted: \(reason)"
        }
    }
}
