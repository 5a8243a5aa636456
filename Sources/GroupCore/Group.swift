// SPDX-License-Identifier: Apache-2.0

import LogModel

/// A group, by the protocol that its members speak. A group without members that only has offsets is a classic one.
enum Group: Sendable {
    case classic(ClassicGroup)
    case consumer(ConsumerGroup)

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

    /// When its `tick` has something to do. It can be early.
    var deadline: Moment? {
        switch self {
        case .classic(let group): group.deadline
        case .consumer(let group): group.deadline
        }
    }
}
