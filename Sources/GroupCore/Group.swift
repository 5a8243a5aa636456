// SPDX-License-Identifier: Apache-2.0

import LogModel

/// A group, by the protocol that its members speak. A group without members that only has offsets is a classic one.
enum Group: Sendable {
    case classic(ClassicGroup)
    case consumer(ConsumerGroup)

    enum Kind: Sendable { case classic, consumer }

    var kind: Kind {
        switch self {
        case .classic: .classic
        case .consumer: .consumer
        }
    }

    var id: String {
        switch self {
        case .classic(let group): group.id
        case .consumer(let group): group.id
        }
    }

    /// Whether it has no members.
    var isEmpty: Bool {
        switch self {
        case .classic(let group): group.isEmpty
        case .consumer(let group): group.isEmpty
        }
    }

    /// Whether somebody has been given a member id and may join with it.
    var hasPendingMembers: Bool {
        switch self {
        case .classic(let group): !group.pendingMembers.isEmpty
        case .consumer: false
        }
    }

    /// When its `tick` has something to do. It can be early.
    var deadline: Moment? {
        switch self {
        case .classic(let group): group.deadline
        case .consumer(let group): group.deadline
        }
    }

    var protocolType: String {
        switch self {
        case .classic(let group): group.protocolType ?? ""
        case .consumer: ClassicGroup.consumerProtocolType
        }
    }

    /// Kafka's name of its state.
    var stateName: String {
        switch self {
        case .classic(let group): group.state.name
        case .consumer(let group): group.stateName
        }
    }

    /// Kafka's name of its type.
    var typeName: String {
        switch self {
        case .classic: "classic"
        case .consumer: "consumer"
        }
    }

    // MARK: Offsets

    /// What its members read.
    var subscription: GroupSubscription {
        switch self {
        case .classic(let group):
            if group.isEmpty || !group.isConsumer { return .nothing }
            return group.subscribedTopics.map { .topics($0) } ?? .everything
        case .consumer(let group): return group.subscription
        }
    }

    /// Whether offsets of topics that nobody reads may be deleted while there are members.
    var allowsOffsetDelete: Bool {
        switch self {
        case .classic(let group): group.allowsOffsetDelete
        case .consumer: true
        }
    }

    /// The time, in milliseconds since 1970, up to which the group as a whole needed its offsets: those of topics that
    /// nobody reads expire their retention after it, or after their own commit if that was later. `nil` while all are
    /// needed.
    var offsetsNeededUntil: Int64? {
        switch self {
        case .classic(let group):
            guard group.protocolType != nil else { return 0 }
            switch group.state {
            case .empty: return group.stateTimestamp?.milliseconds ?? 0
            // What is read is known only between two rebalances.
            case .stable: return group.isConsumer && group.subscribedTopics != nil ? 0 : nil
            case .preparingRebalance, .completingRebalance: return nil
            }
        case .consumer: return 0
        }
    }
}
