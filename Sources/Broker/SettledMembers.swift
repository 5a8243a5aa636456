// SPDX-License-Identifier: Apache-2.0

public import RaftCore
public import Replication

extension Replica {
    /// Who belongs to the group for certain, on its leader: in force, committed, and no change under way.
    public var settledMembers: RaftMembers? { highWatermark == nil ? nil : raft.members }
}
