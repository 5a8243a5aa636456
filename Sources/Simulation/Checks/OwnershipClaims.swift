// SPDX-License-Identifier: Apache-2.0

/// Who owns what in consumer groups (KIP-848), where members move one by one: a partition is another's only once the
/// one before has said that it let go, or was given up.
extension GroupChecks {
    /// How long a member may be silent, and how long it may hold what it was told to let go, in nanoseconds. Beyond
    /// it a coordinator may give its partitions to others.
    public struct Patience: Sendable {
        public var session: UInt64
        public var rebalance: UInt64

        public init(session: UInt64, rebalance: UInt64) {
            self.session = session
            self.rebalance = rebalance
        }
    }

    /// A heartbeat of a member that arrived at `time` was accepted.
    ///
    /// Only the answer shows that it prolonged the session: what arrives at a node that does not coordinate the group,
    /// or where the session is over and the word of that is not committed yet, keeps nothing. A coordinator answers in
    /// the order in which it decides, so whoever is given a partition is told so before any heartbeat that came later
    /// counts.
    ///
    /// - Parameter owned: what it said that it owns, if it did. Nobody but the coordinator can take note of it that a
    ///   member has let go of all that it was told to.
    public mutating func heard(_ member: String, of group: String, owned: [Int32]? = nil, time: UInt64) {
        lastHeard[group, default: [:]][member] = max(time, lastHeard[group]?[member] ?? 0)
        let isDone = owned?.allSatisfy { isAssigned(Place(group: group, partition: $0), to: member) }
        if isDone == true { pressed[group]?[member] = nil }
    }

    /// A heartbeat of a member says what it owns, whoever hears it: anything else it has let go.
    ///
    /// - Parameters:
    ///   - owned: `nil` when the heartbeat does not say.
    ///   - isLeaving: that it leaves. What it was told before and hears after is not its own.
    public mutating func said(_ member: String, of group: String, owned: [Int32]?, isLeaving: Bool = false) {
        if isLeaving { leaving[group, default: []].insert(member) } else { leaving[group]?.remove(member) }
        guard let owned else { return }
        for place in claims.keys where place.group == group && !owned.contains(place.partition) {
            claims[place]?.remove(member)
        }
    }

    /// The coordinator has agreed that a member is gone, or has said so itself.
    public mutating func gone(_ member: String, of group: String) {
        pressed[group]?[member] = nil
        assigned[group]?[member] = nil
        for place in claims.keys where place.group == group { claims[place]?.remove(member) }
    }

    /// A member was told its whole assignment.
    ///
    /// - Parameter asked: when its question came. The coordinator decided then or later, and told it once that was
    ///   committed; its patience may count from the decision. Whoever is told less than before has to say that it has
    ///   let go, also when it had said so in the question.
    public mutating func told(
        _ partitions: [Int32], to member: String, of group: String, asked: UInt64, time: UInt64, patience: Patience
    ) throws(Violation) {
        let isLess = assigned[group]?[member]?.contains { !partitions.contains($0) } ?? false
        if isLess, pressed[group]?[member] == nil { pressed[group, default: [:]][member] = asked }
        assigned[group, default: [:]][member] = partitions
        guard leaving[group]?.contains(member) != true else { return }
        for partition in partitions {
            let place = Place(group: group, partition: partition)
            let others = (claims[place] ?? []).filter { other in
                other != member && isHeld(by: other, of: group, time: time, patience: patience)
            }
            if let other = others.min() {
                throw Violation(
                    .soleOwner, "\(member) of \(group) was given partition \(partition), which \(other) holds")
            }
            claims[place] = [member]
        }
    }

    /// Whether a member was last told that a partition is its own.
    private func isAssigned(_ place: Place, to member: String) -> Bool {
        assigned[place.group]?[member]?.contains(place.partition) ?? false
    }

    /// Whether what a member has claimed is still its own.
    private func isHeld(by member: String, of group: String, time: UInt64, patience: Patience) -> Bool {
        // Who does not let go of one partition in time loses its place in the group, and with it all of them.
        if let since = pressed[group]?[member], time >= since + patience.rebalance { return false }
        guard let heard = lastHeard[group]?[member] else { return false }
        return time < heard + patience.session
    }
}
