// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import PeerWire
import Synchronization

/// How far the accepting side trusts one that said hello.
public enum PeerStanding: Hashable, Sendable {
    /// It belongs to the cluster: whatever it sends is passed on.
    case member
    /// The cluster does not know it. It may ask to be taken in; everything else ends its connection.
    case guest
    case refused(HelloReply.Refusal)
}

/// Who belongs to the cluster, as the accepting side of peer connections knows it.
///
/// Node and data directory together make a member: another directory under a known id is another node, or the same one
/// after the loss of its disk, which only the cluster as a whole can tell apart. So it is a guest until the cluster has
/// decided, and is refused while the one that is known is there.
public struct PeerRoster: Hashable, Sendable {
    /// Members and their data directories.
    public var members: [NodeID: TopicID]
    /// Nodes that form the cluster, members before anybody has registered.
    public var founders: Set<NodeID>
    /// Directories of nodes that were taken out of the cluster.
    public var removed: Set<TopicID>
    /// Members that this node is connected to.
    public var reachable: Set<NodeID>
    /// Whether all may send, whoever they are.
    private let isOpen: Bool

    public init(
        members: [NodeID: TopicID] = [:], founders: Set<NodeID> = [], removed: Set<TopicID> = [],
        reachable: Set<NodeID> = []
    ) {
        self.members = members
        self.founders = founders
        self.removed = removed
        self.reachable = reachable
        isOpen = false
    }

    private init(isOpen: Bool) {
        members = [:]
        founders = []
        removed = []
        reachable = []
        self.isOpen = isOpen
    }

    /// Admits everybody.
    public static let open = PeerRoster(isOpen: true)

    /// What one that says this of itself may do. Cluster and protocol version were checked before.
    /// - Complexity: O(1)
    public func standing(of hello: Hello) -> PeerStanding {
        if isOpen { return .member }
        if removed.contains(hello.directory) { return .refused(.removed) }
        guard let directory = members[hello.node] else { return founders.contains(hello.node) ? .member : .guest }
        if directory == hello.directory { return .member }
        return reachable.contains(hello.node) ? .refused(.otherDirectory) : .guest
    }
}

/// Read on every loop, once a hello; written when the cluster's members or this node's connections change.
final class PeerRosterCell: Sendable {
    private let cell = Mutex(PeerRoster.open)

    var value: PeerRoster {
        get { cell.withLock { $0 } }
        set { cell.withLock { $0 = newValue } }
    }
}
