// SPDX-License-Identifier: Apache-2.0

import LogModel

/// A group whose work the coordinator shares out (KIP-848).
struct ConsumerGroup: Sendable {
    let id: String
    var groupEpoch: Int32 = 0

    init(id: String) { self.id = id }

    var isEmpty: Bool { true }

    var deadline: Moment? { nil }
}
