// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// What moves are planned for.
public struct MoveGoal: Hashable, Sendable {
    /// Nodes that are to be emptied, beside those that are draining.
    public var emptying: [NodeID]
    /// Whether replicas and preferred leaders are to be evened out.
    public var isEven: Bool
    /// Nodes that are alive: others are given nothing.
    public var usable: [NodeID]
    /// How many moves are planned at most; more will be, once these are done.
    public var limit: Int

    public init(emptying: [NodeID] = [], isEven: Bool = false, usable: [NodeID], limit: Int = .max) {
        self.emptying = emptying
        self.isEven = isEven
        self.usable = usable
        self.limit = limit
    }
}

/// One partition's way from the nodes that shall keep it now to others.
public struct PlannedMove: Hashable, Sendable {
    public let partition: PartitionID
    public let from: [NodeID]
    public let to: [NodeID]

    /// The nodes that must copy the partition.
    public var adding: [NodeID] { to.filter { !from.contains($0) } }
    public var removing: [NodeID] { from.filter { !to.contains($0) } }
}

/// What moves lead to a goal.
public struct MovePlan: Hashable, Sendable {
    /// Those that empty nodes first; each kind in the order of topic names and indexes.
    public var moves: [PlannedMove] = []
    /// Partitions that a node to be emptied cannot get rid of: all others that are alive keep them already.
    public var stuck: [PartitionID] = []

    public init() {}
}

extension ClusterState {
    /// Works out which partitions to move where, so that as few replicas as possible are copied.
    ///
    /// Nodes that are emptied come first: each of their replicas goes to the node that keeps the fewest, in a rack
    /// that the partition has none in if there is one. For an even cluster, partitions that lie in fewer racks than
    /// they could are spread, then nodes with more replicas give to those with fewer until they differ by one, and then
    /// the order of replicas is changed so that nobody is the preferred leader of more partitions than need be. What
    /// is on the move already counts as if it had arrived, and is left alone.
    ///
    /// Planning goes on where it left off: whoever carries out the first moves of a plan and plans again gets the rest.
    /// - Complexity: O(*r*) in replicas of the cluster, and for each move O(*n*²) in nodes.
    public func plan(_ goal: MoveGoal) -> MovePlan {
        var planner = MovePlanner(self, goal)
        return planner.plan()
    }

    /// The next moves that draining nodes and the wish for balance call for, when no node may take part in more than
    /// `perNode` moves at a time.
    public func nextMoves(usable: [NodeID], perNode: Int) -> [PartitionMove] {
        guard isRebalancing || drainingNodes.contains(where: { !partitions(on: $0).isEmpty }) else { return [] }
        var busy: [NodeID: Int] = [:]
        for partition in movingPartitions {
            guard let placement = placement(of: partition) else { continue }
            for node in placement.adding + placement.removing { busy[node, default: 0] += 1 }
        }
        let plan = plan(MoveGoal(isEven: isRebalancing, usable: usable, limit: Self.movesPlannedAhead))
        var next: [PartitionMove] = []
        for move in plan.moves {
            let involved = move.adding + move.removing
            guard involved.allSatisfy({ busy[$0, default: 0] < perNode }) else { continue }
            for node in involved { busy[node, default: 0] += 1 }
            next.append(PartitionMove(partition: move.partition, target: move.to))
        }
        return next
    }

    private static var movesPlannedAhead: Int { 1_000 }
}
