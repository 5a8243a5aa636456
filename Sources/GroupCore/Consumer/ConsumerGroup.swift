// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import RegularExpressions
import Settings

/// A group whose work the coordinator shares out (KIP-848).
///
/// Three epochs lead each other: the group's, which grows whenever members, subscriptions or topics change; that of the
/// target assignment, computed once for a group epoch; and each member's own, which follows as it gives back what it is
/// no longer to have. Nobody waits for anybody but those who have what it is to get.
struct ConsumerGroup: Sendable {
    /// What can time out of a member.
    struct Timer: Hashable, Comparable, Sendable {
        enum Kind: Int, Sendable {
            /// Not heard of.
            case session
            /// To give partitions back.
            case rebalance
            /// To join again, and then to sync: members that speak the classic protocol.
            case join, sync
        }

        var member: String
        var kind: Kind

        static func < (left: Self, right: Self) -> Bool {
            (left.member, left.kind.rawValue) < (right.member, right.kind.rawValue)
        }
    }

    /// A regular expression that members subscribe to.
    struct Expression: Sendable {
        /// `nil` when it is none that is known here; it then matches nothing.
        var compiled: RegularExpression?
        /// What it matched, in order.
        var topics: [String] = []
        var subscribers = 0
    }

    let id: String
    var groupEpoch: Int32 = 0
    /// What the subscribed topics looked like in `groupEpoch`.
    var metadataHash: Int64 = 0
    /// The group epoch that `targets` were computed for.
    var assignmentEpoch: Int32 = 0
    var members: [String: ConsumerMember] = [:]
    /// Which member an instance id stands for.
    var staticMembers: [String: String] = [:]
    /// What each member is to have in the end.
    var targets: [String: PartitionSet] = [:]
    /// Who has each partition, also one that it is giving back.
    var holders: [PartitionID: String] = [:]
    var expressions: [String: Expression] = [:]
    /// How many members subscribe to each topic by its name.
    var topicVotes: [String: Int] = [:]
    /// How many members ask for each assignor.
    var assignorVotes: [String: Int] = [:]
    var classicCount = 0
    /// How many members of the classic protocol know each of its protocols.
    var protocolVotes: [String: Int] = [:]
    /// The sum of the members' footprints.
    var footprint = 0
    var timers = Deadlines<Timer>()
    /// Since when the group epoch waits for its assignment; for `explain`.
    var epochSince = Moment.zero

    init(id: String) { self.id = id }

    var isEmpty: Bool { members.isEmpty }

    /// When `tick` has something to do. It can be early.
    var deadline: Moment? { timers.next }

    var sortedMembers: [ConsumerMember] { members.values.sorted { $0.id < $1.id } }

    /// Kafka's name of its state.
    ///
    /// - Complexity: linear in members.
    var stateName: String {
        if members.isEmpty { return "Empty" }
        if groupEpoch > assignmentEpoch { return "Assigning" }
        return members.values.allSatisfy { $0.isReconciled(to: assignmentEpoch) } ? "Stable" : "Reconciling"
    }

    // MARK: Tables that must agree with each other

    /// Puts a member in, or in the place of what is known of it.
    ///
    /// - Complexity: O(its partitions that change, and its subscription).
    mutating func put(_ member: ConsumerMember, compiling compiled: RegularExpression? = nil) {
        let old = members.updateValue(member, forKey: member.id)
        let had = old.map { $0.assigned.union($0.revoking) } ?? PartitionSet()
        let has = member.assigned.union(member.revoking)
        if had != has {
            for partition in had.subtracting(has).partitions where holders[partition] == member.id {
                holders[partition] = nil
            }
            for partition in has.subtracting(had).partitions {
                let other = holders.updateValue(member.id, forKey: partition)
                precondition(other == nil || other == member.id, "a partition has one holder")
            }
        }
        guard old?.metadata != member.metadata else { return }
        if let former = old?.instanceID, former != member.instanceID { staticMembers[former] = nil }
        if let instance = member.instanceID { staticMembers[instance] = member.id }
        count(member, by: 1, compiled)
        if let old { count(old, by: -1, nil) }
    }

    /// Takes a member out, with its target and its timers.
    @discardableResult
    mutating func take(_ id: String) -> ConsumerMember? {
        guard let member = members.removeValue(forKey: id) else { return nil }
        for partition in member.assigned.union(member.revoking).partitions where holders[partition] == id {
            holders[partition] = nil
        }
        if let instance = member.instanceID, staticMembers[instance] == id { staticMembers[instance] = nil }
        count(member, by: -1, nil)
        targets[id] = nil
        for kind in [Timer.Kind.session, .rebalance, .join, .sync] { timers.remove(Timer(member: id, kind: kind)) }
        return member
    }

    private mutating func count(_ member: ConsumerMember, by step: Int, _ compiled: RegularExpression?) {
        footprint += step * member.footprint
        for name in member.metadata.subscribedTopicNames { Self.count(name, by: step, in: &topicVotes) }
        if let assignor = member.metadata.serverAssignor { Self.count(assignor, by: step, in: &assignorVotes) }
        if let classic = member.metadata.classicMember {
            classicCount += step
            for name in Set(classic.protocols.map(\.name)) { Self.count(name, by: step, in: &protocolVotes) }
        }
        if let pattern = member.expression {
            if expressions[pattern] == nil {
                expressions[pattern] = Expression(compiled: compiled ?? (try? RegularExpression(pattern)))
            }
            expressions[pattern]?.subscribers += step
        }
    }

    private static func count(_ name: String, by step: Int, in votes: inout [String: Int]) {
        let count = votes[name, default: 0] + step
        votes[name] = count == 0 ? nil : count
    }

    /// The assignor that most members ask for; of those that tie, the first by name. `nil` when nobody asks.
    var preferredAssignor: String? {
        assignorVotes.min { ($1.value, $0.key) < ($0.value, $1.key) }?.key
    }

    // MARK: Offsets

    /// Whether a member may commit in the epoch it says it is in.
    func validateCommit(
        memberID: String, groupInstanceID: String?, memberEpoch: Int32, version: Int16
    ) -> ErrorCode {
        if memberEpoch < 0 && members.isEmpty { return .none }
        guard let member = members[memberID] else { return .unknownMemberID }
        // Before v9 there is a generation where the epoch should be.
        guard member.isClassic || version >= 9 else { return .unsupportedVersion }
        return Self.compare(memberEpoch, with: member)
    }

    func validateFetch(memberID: String?, memberEpoch: Int32) -> ErrorCode {
        if memberEpoch < 0 && memberID?.isEmpty ?? true { return .none }
        guard let member = members[memberID ?? ""] else { return .unknownMemberID }
        return Self.compare(memberEpoch, with: member)
    }

    private static func compare(_ epoch: Int32, with member: ConsumerMember) -> ErrorCode {
        if epoch == member.epoch { return .none }
        return member.isClassic ? .illegalGeneration : .staleMemberEpoch
    }

    /// What its members read.
    var subscription: GroupSubscription {
        members.isEmpty ? .nothing : .topics(Set(subscribedTopics))
    }

    /// By name and by expression, in order.
    var subscribedTopics: [String] {
        var names = Set(topicVotes.keys)
        for expression in expressions.values { names.formUnion(expression.topics) }
        return names.sorted()
    }
}

/// A refusal: an error and, for a person, why.
struct GroupRefusal: Error, Hashable, Sendable {
    let error: ErrorCode
    let reason: String

    init(_ error: ErrorCode, _ reason: String) {
        self.error = error
        self.reason = reason
    }
}
