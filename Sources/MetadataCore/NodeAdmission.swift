// SPDX-License-Identifier: Apache-2.0

public import LogModel
import Settings

/// What the cluster says to a node that introduces itself.
public enum NodeAdmission: Hashable, Sendable {
    /// The state says so already.
    case known
    /// It may be registered as it says.
    case admitted
    /// It may not, and why: a sentence for whoever runs it.
    case refused(String)
}

extension ClusterState {
    /// More nodes than this are refused: each is connected to each.
    public static let nodesMax = 1_000

    /// Whether a node may be registered.
    ///
    /// An id belongs to one data directory. Another directory under a known id is either a second node, or the same one
    /// after it has lost its disk; it is taken for the latter when it stands at the same address, where there is
    /// only one, and the known one is not there any more.
    /// - Parameter reachable: the nodes that whoever asks is connected to.
    /// - Complexity: O(*n*) in nodes.
    public func admission(of node: NodeRegistration, reachable: [NodeID]) -> NodeAdmission {
        guard clusterID != nil else { return .refused("the cluster has not formed yet") }
        guard node.peer.port != 0, !node.peer.isWildcard, node.kafka.port != 0, !node.kafka.isWildcard else {
            return .refused(
                "nobody can connect to \(node.peer) or \(node.kafka): set peer.advertise and kafka.advertise")
        }
        let name = "node \(node.id.rawValue)"
        guard !wasRemoved(node.id, directory: node.directory) else {
            return .refused(
                "\(name) was removed from the cluster; with an empty data directory (node.data) it can join again")
        }
        if let other = nodes.first(where: { $0.id != node.id && $0.peer == node.peer }) {
            return .refused("node \(other.id.rawValue) has registered with the peer address \(node.peer) already")
        }
        guard let known = self.node(node.id) else {
            guard nodes.count < Self.nodesMax else { return .refused("a cluster has at most \(Self.nodesMax) nodes") }
            return .admitted
        }
        if known == node { return .known }
        guard known.directory != node.directory else { return .admitted }
        if reachable.contains(node.id) {
            return .refused(
                "there is a \(name) at \(known.peer), which runs on another data directory: give this one another "
                    + "node.id"
            )
        }
        guard known.peer == node.peer else {
            return .refused(
                "\(name) has registered from \(known.peer) with another data directory: give this one another node.id, "
                    + "or remove the other first (godwit cluster decommission \(node.id.rawValue))")
        }
        return .admitted
    }
}
