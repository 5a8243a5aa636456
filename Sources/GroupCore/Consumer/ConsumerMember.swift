// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore

/// One member of a consumer group, of either protocol.
struct ConsumerMember: Sendable {
    /// Where a member stands on the way from what it has to what it is to have.
    ///
    ///                     must give something back
    ///        stable ───────────────────────────────▶ unrevoked
    ///          ▲ ▲                                       │ has given it back
    ///          │ └───────────────────────────────────────┤
    ///          │ the others have given it back           ▼ others still have what it is to get
    ///          └─────────────────────────────────── unreleased
    ///
    /// The numbers are Kafka's, as they are stored.
    enum State: Int8, Sendable {
        case stable = 0
        case unrevokedPartitions = 1
        case unreleasedPartitions = 2
        /// Of a later version: the member is told to begin anew.
        case unknown = 127
    }

    let id: String
    /// What it says of itself.
    var metadata = ConsumerGroupMemberMetadataValue()
    var epoch: Int32 = 0
    /// The epoch before, in which the member still is when it missed the reply that told it of `epoch`.
    var previousEpoch: Int32 = 0
    var state = State.stable
    /// What it may have. Disjoint from `revoking`, and from all that other members have.
    var assigned = PartitionSet()
    /// What it had and has not yet said that it has given back.
    var revoking = PartitionSet()
    /// When it came into its state, or this coordinator began; for `explain`.
    var stateSince: Moment

    init(id: String, since: Moment) {
        self.id = id
        stateSince = since
    }

    /// The epoch of a static member that has left for a while.
    static let absentEpoch: Int32 = -2

    var isAbsent: Bool { epoch == Self.absentEpoch }
    var isClassic: Bool { metadata.classicMember != nil }
    var instanceID: String? { metadata.instanceID }

    /// The expression it subscribes to; an empty one is none.
    var expression: String? {
        metadata.subscribedTopicRegex.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// What it costs in memory, about.
    var footprint: Int {
        let names = metadata.subscribedTopicNames.reduce(512) { $0 + 32 + $1.utf8.count }
        let protocols = metadata.classicMember?.protocols ?? []
        return protocols.reduce(names + (expression?.utf8.count ?? 0)) {
            $0 + 64 + $1.name.utf8.count + $1.metadata.readableBytes
        }
    }

    func isReconciled(to assignmentEpoch: Int32) -> Bool { state == .stable && epoch == assignmentEpoch }

    /// The next step towards a target (KIP-848, Kafka's CurrentAssignmentBuilder).
    ///
    /// A member first gives back what it is no longer to have, then moves on to the target's epoch, and gets what it
    /// is to have as soon as nobody else has it.
    ///
    /// - Parameters:
    ///   - owned: what the member says it has; `nil` when it did not say.
    ///   - isFree: whether nobody has a partition.
    /// - Returns: `nil` when a member in an unknown state must begin anew.
    /// - Complexity: O(its own partitions).
    func reconciled(
        to target: PartitionSet, epoch targetEpoch: Int32, owned: PartitionSet?, isFree: (TopicID, Int32) -> Bool
    ) -> Self? {
        switch state {
        case .stable:
            return epoch == targetEpoch
                ? self : next(from: epoch, to: target, targetEpoch, owned: owned, isFree: isFree)
        case .unrevokedPartitions:
            if Self.mayStillHave(revoking, owned) { return self }
            return next(from: min(epoch + 1, targetEpoch), to: target, targetEpoch, owned: owned, isFree: isFree)
        case .unreleasedPartitions:
            return next(from: epoch, to: target, targetEpoch, owned: owned, isFree: isFree)
        case .unknown:
            guard let owned, owned.isEmpty else { return nil }
            return next(from: targetEpoch, to: target, targetEpoch, owned: owned, isFree: isFree)
        }
    }

    private static func mayStillHave(_ partitions: PartitionSet, _ owned: PartitionSet?) -> Bool {
        guard let owned else { return true }
        return !partitions.isDisjoint(with: owned)
    }

    private func next(
        from epoch: Int32, to target: PartitionSet, _ targetEpoch: Int32, owned: PartitionSet?,
        isFree: (TopicID, Int32) -> Bool
    ) -> Self {
        let kept = assigned.intersection(target)
        let surplus = assigned.subtracting(kept)
        var member = self
        if !surplus.isEmpty, Self.mayStillHave(surplus, owned) {
            member.state = .unrevokedPartitions
            member.move(to: epoch)
            member.assigned = kept
            member.revoking = surplus
            return member
        }
        let missing = target.subtracting(kept)
        let available = missing.filter(isFree)
        member.state = available.count == missing.count ? .stable : .unreleasedPartitions
        member.move(to: targetEpoch)
        member.assigned = kept.union(available)
        member.revoking = PartitionSet()
        return member
    }

    private mutating func move(to next: Int32) {
        guard next != epoch else { return }
        previousEpoch = epoch
        epoch = next
    }
}

extension ConsumerMember {
    var assignmentValue: ConsumerGroupCurrentMemberAssignmentValue {
        ConsumerGroupCurrentMemberAssignmentValue(
            memberEpoch: epoch, previousMemberEpoch: previousEpoch, state: state.rawValue,
            assignedPartitions: assigned.topics, partitionsPendingRevocation: revoking.topics)
    }

    mutating func restore(_ value: ConsumerGroupCurrentMemberAssignmentValue) {
        epoch = value.memberEpoch
        previousEpoch = value.previousMemberEpoch
        state = State(rawValue: value.state) ?? .unknown
        assigned = PartitionSet(value.assignedPartitions)
        revoking = PartitionSet(value.partitionsPendingRevocation).subtracting(assigned)
    }
}
