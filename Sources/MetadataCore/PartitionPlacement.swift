// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// Which nodes keep a partition, and which shall.
///
/// Who votes is not here: that is an entry in the partition's own log, which its leader changes step by step until the
/// voters are the `wanted` ones. What stands here is the wish, and who must keep a copy until it has come true.
///
///     replicas   1 2 3      a move to 4 2 3: `target` is 4 2 3, 4 catches up, then votes instead of 1
///     target     4 2 3      cancelled: `target` is gone, 4 is `leaving` until it surely votes no more
public struct PartitionPlacement: Hashable, Sendable {
    /// The voters as of the last move that was completed, the preferred leader first. Never empty, no node twice.
    public let replicas: [NodeID]
    /// The replicas the partition was created with: the voters of a log that holds no entry about them. Empty once a
    /// move has been completed, because from then on a log without such an entry lacks something: a node that
    /// comes back with an empty disk must learn who votes, and not elect itself as of old.
    public let founders: [NodeID]
    /// Who shall keep it after the move that is under way; `nil` when there is none, or it is being cancelled.
    public let target: [NodeID]?
    /// Nodes of earlier targets that may still have a vote. Ascending; none of them is in `replicas` or `target`.
    public let leaving: [NodeID]

    /// A new partition's.
    public init(replicas: [NodeID]) {
        self.init(replicas: replicas, founders: replicas, target: nil, leaving: [])
    }

    init(replicas: [NodeID], founders: [NodeID], target: [NodeID]?, leaving: [NodeID]) {
        self.replicas = replicas
        self.founders = founders
        self.target = target
        self.leaving = leaving
    }

    /// The voters that the partition's leader works towards, the preferred leader first.
    public var wanted: [NodeID] { target ?? replicas }

    public var preferredLeader: NodeID? { wanted.first }

    /// Whether the voters may be others than `wanted`.
    public var isMoving: Bool { target != nil || !leaving.isEmpty }

    /// The nodes that gain a replica by the move, ascending (`addingReplicas` in Kafka).
    public var adding: [NodeID] {
        guard let target else { return [] }
        return target.filter { !replicas.contains($0) }.sorted()
    }

    /// The nodes that lose theirs by the move, ascending (`removingReplicas` in Kafka).
    public var removing: [NodeID] {
        guard isMoving else { return [] }
        let wanted = wanted
        return (replicas.filter { !wanted.contains($0) } + leaving).sorted()
    }

    /// Every node that keeps a copy for now: the wanted ones, then those that will go. This is the order in which
    /// Kafka shows the replicas of a partition that is being reassigned.
    public var hosts: [NodeID] { isMoving ? wanted + removing : replicas }

    public func isKept(by node: NodeID) -> Bool {
        replicas.contains(node) || (isMoving && (leaving.contains(node) || target?.contains(node) ?? false))
    }

    // MARK: - Change

    /// The placement when it shall be `nodes` from now on. The same nodes in another order are in force at once.
    func moved(to nodes: [NodeID]) -> PartitionPlacement {
        let staying = Set(nodes).union(replicas)
        let left = ((target ?? []) + leaving).filter { !staying.contains($0) }.sorted()
        guard Set(nodes) != Set(replicas) else {
            return PartitionPlacement(replicas: nodes, founders: founders, target: nil, leaving: left)
        }
        return PartitionPlacement(replicas: replicas, founders: founders, target: nodes, leaving: left)
    }

    /// The placement once the wanted nodes are the voters, and nobody else is.
    func completed() -> PartitionPlacement {
        PartitionPlacement(replicas: wanted, founders: target == nil ? founders : [], target: nil, leaving: [])
    }

    /// Whether a snapshot must say more of it than its replicas.
    var isPlain: Bool { founders == replicas && !isMoving }
}

/// A wish to have one partition kept by other nodes, or to take such a wish back.
public struct PartitionMove: Hashable, Sendable {
    public var partition: PartitionID
    /// The preferred leader first; `nil` cancels the move that is under way.
    public var target: [NodeID]?

    public init(partition: PartitionID, target: [NodeID]?) {
        self.partition = partition
        self.target = target
    }
}

/// Whether a node is to keep what it has.
public enum NodeState: UInt8, Hashable, Sendable {
    case active = 0
    /// It is given nothing new, and the controller moves away what it keeps.
    case draining = 1
}

/// What somebody has asked a node to be in the metadata group, by hand.
public enum VoterWish: UInt8, Hashable, Sendable {
    case voter = 1
    case observer = 2
}

/// A node and what it was asked to be.
public struct WishedVoter: Hashable, Sendable {
    public let id: NodeID
    public let wish: VoterWish

    public init(id: NodeID, wish: VoterWish) {
        self.id = id
        self.wish = wish
    }
}

/// A node that left for good: its data directory may not come back, its id may with another one.
public struct RemovedNode: Hashable, Sendable {
    public let id: NodeID
    public let directory: DirectoryID

    public init(id: NodeID, directory: DirectoryID) {
        self.id = id
        self.directory = directory
    }
}
