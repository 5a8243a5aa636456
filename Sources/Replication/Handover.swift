// SPDX-License-Identifier: Apache-2.0

public import LogModel
import RaftCore

extension Shard {
    /// Hands the leadership of a partition that is led here to another of its replicas, once that one has caught up.
    /// Whether it takes over is seen from who leads: it may die, or be too slow.
    public func transferLeadership(of partition: PartitionID, to heir: NodeID) {
        guard !isClosed, let replica = replica(partition), replica.isLeader else { return }
        replica.step(.transferLeadership(to: heir))
    }
}
