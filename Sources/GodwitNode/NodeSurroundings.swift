// SPDX-License-Identifier: Apache-2.0

package import LogModel
package import NIOCore
package import PeerWire
package import Replication
package import Transport

/// A shard's world, and what the rest of a node needs of it: the real one, or the simulator's.
///
/// All that decides on a node is written against this, so that a simulated node runs the same code.
package protocol CellEnvironment: ShardEnvironment {
    associatedtype Links: PeerWays

    var node: NodeID { get }
    var loop: any EventLoop { get }
    /// The way to the other nodes.
    var links: Links { get }
    /// What is called at the end of a turn, at each tick and at each news of a leader. Set once, right after the shard
    /// is made; all of them live as long as the node.
    var endOfTurn: () -> Void { get set }
    var tick: () -> Void { get set }
    var leadershipLearned: (Leadership) -> Void { get set }

    /// Ends the ticking for good.
    func stopTicking()
}

/// One shard's connections to the other nodes. See `PeerLinks`, which is what real nodes have.
package protocol PeerWays: AnyObject {
    var identity: PeerIdentity { get set }
    var connectedPeers: [NodeID] { get }
    /// Peers that take requests, be this node a member or but a guest to them.
    var peersTakingRequests: [NodeID] { get }

    func isConnected(_ peer: NodeID) -> Bool
    func setPeers(_ peers: [NodeID: PeerEndpoint])
    /// The data directories of the peers that the cluster knows.
    func expect(_ directories: [NodeID: TopicID])
    /// Asks a node of which only the address is known.
    func ask(
        seed endpoint: PeerEndpoint, _ request: ByteBuffer, patience: TimeAmount,
        completion: @escaping (Result<ByteBuffer, SeedFailure>) -> Void)
    func announce(_ leaders: [LeaderAnnouncement])
    func announce(_ leaders: [LeaderAnnouncement], to peer: NodeID)
    func flush()
    func forward(
        _ request: ByteBuffer, to peer: NodeID, timeout: TimeAmount,
        completion: @escaping (Result<ByteBuffer, ForwardFailure>) -> Void)
    func acceptedConnectionLost(from peer: NodeID)
    func acceptedConnectionOpened(from peer: NodeID)
    func close()
}

/// Ways that know everybody from the start.
extension PeerWays {
    package var peersTakingRequests: [NodeID] { connectedPeers }
    package func expect(_ directories: [NodeID: TopicID]) {}

    package func ask(
        seed endpoint: PeerEndpoint, _ request: ByteBuffer, patience: TimeAmount,
        completion: @escaping (Result<ByteBuffer, SeedFailure>) -> Void
    ) {
        completion(.failure(.broken("cannot be reached: there are no seeds here")))
    }
}

extension PeerLinks: PeerWays {
    package func expect(_ directories: [NodeID: TopicID]) { self.directories = directories }
}

/// Whoever takes in the connections of peers, and tells them who this node is.
package protocol PeerDoor: AnyObject {
    func setIdentity(_ identity: PeerIdentity)
    /// Who may do what from now on.
    func setRoster(_ roster: PeerRoster)
}

/// A door through which everybody comes.
extension PeerDoor {
    package func setRoster(_ roster: PeerRoster) {}
}

extension PeerListener: PeerDoor {}

/// What a node remembers of itself. See `DataDirectory`, which is what real nodes have.
package protocol NodeMemory: AnyObject, Sendable {
    var identity: DataDirectory.Identity { get }
    /// Where the partitions' logs lie.
    var topics: String { get }
    /// Where the metadata group's log and snapshot lie.
    var metadata: String { get }

    func update(_ change: (inout DataDirectory.Identity) -> Void) throws(DataDirectory.Failure)
}

extension DataDirectory: NodeMemory {}
