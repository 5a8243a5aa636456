// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The bytes of requests that all connections of a listener hold together: received in part, or not yet answered.
final class InflightBudget: Sendable {
    private let used = Atomic<Int>(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var hasRoom: Bool { used.load(ordering: .relaxed) < limit }
    var bytesInUse: Int { used.load(ordering: .relaxed) }

    /// Never refuses: who reads must have seen `hasRoom`, and one read more than fits does no harm.
    func charge(_ bytes: Int) {
        if bytes != 0 { used.wrappingAdd(bytes, ordering: .relaxed) }
    }

    func release(_ bytes: Int) {
        if bytes != 0 { used.wrappingSubtract(bytes, ordering: .relaxed) }
    }
}
