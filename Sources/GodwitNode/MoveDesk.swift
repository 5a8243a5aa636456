// SPDX-License-Identifier: Apache-2.0

import Broker
import LogModel
import MetadataCore
import RaftCore
import Replication

/// What one shard has to do about moves beside what its replicas do by themselves: it tells the controller of those
/// that have come to their end, and lets go of copies that nobody counts on any more.
struct MoveDesk {
    private var nextLook: Moment?
    /// Moves whose end the controller is being told of.
    private var told: Set<PartitionID> = []
    /// Copies that the metadata does not want here any more, and since when.
    private var leaving: [PartitionID: Moment] = [:]

    /// How often it is looked whether a move has come to its end.
    private static let lookInterval: UInt64 = 50_000_000
    /// How long a copy is kept after it is not wanted any more, and after its leader was last heard. A leader that has
    /// not heard of a cancelled move yet may still be giving this replica a vote, and then must not lose it.
    private static let patience: UInt64 = 5_000_000_000

    var isIdle: Bool { told.isEmpty && leaving.isEmpty }

    mutating func look(at now: Moment) -> Bool {
        if let nextLook, now < nextLook { return false }
        nextLook = now.advanced(byNanoseconds: Self.lookInterval)
        return true
    }

    /// The moves of partitions led here that are done: the wanted nodes are the members, and everybody who counts
    /// knows. Those that the controller is being told of are left out.
    mutating func finished<Environment>(
        on shard: Shard<Environment>, of state: ClusterState
    ) -> [(partition: PartitionID, voters: [NodeID])] {
        guard state.movingCount > 0 else { return [] }
        var finished: [(partition: PartitionID, voters: [NodeID])] = []
        for replica in shard.allReplicas where replica.isLeader && !told.contains(replica.id) {
            guard let placement = state.placement(of: replica.id), placement.isMoving,
                replica.wantedMembers.voters == placement.wanted.sorted(),
                let members = replica.membersCommitted, members.voters == replica.wantedMembers.voters,
                members.learners == replica.wantedMembers.learners
            else { continue }
            told.insert(replica.id)
            finished.append((replica.id, members.voters))
        }
        return finished
    }

    mutating func answered(_ partition: PartitionID) { told.remove(partition) }

    // MARK: - Letting go

    mutating func keep(_ partition: PartitionID) {
        if !leaving.isEmpty { leaving[partition] = nil }
    }

    mutating func release(_ partition: PartitionID, now: Moment) {
        if leaving[partition] == nil { leaving[partition] = now }
    }

    mutating func forget(_ partition: PartitionID) { leaving[partition] = nil }

    /// The copies that can go now.
    func released<Environment>(on shard: Shard<Environment>, now: Moment) -> [PartitionID] {
        guard !leaving.isEmpty else { return [] }
        return leaving.keys.sorted().filter { partition in
            guard let since = leaving[partition], now.nanoseconds(since: since) >= Self.patience else { return false }
            guard let replica = shard.replica(partition) else { return !shard.isOpening(partition) }
            guard !replica.isLeader else { return false }
            guard let heard = replica.raft.leaderLastHeard else { return true }
            return now.nanoseconds(since: heard) >= Self.patience
        }
    }
}
