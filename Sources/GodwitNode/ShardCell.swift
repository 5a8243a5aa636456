// SPDX-License-Identifier: Apache-2.0

package import Broker
package import LogModel
import MetadataCore
package import NIOCore
package import PeerWire
import RaftCore
package import Replication
import Transport

/// The cells of real nodes.
typealias ShardCell = NodeCell<NodeEnvironment>

/// Everything that lives on one event loop of a node.
package final class NodeCell<Environment: CellEnvironment> {
    package let index: Int
    package let environment: Environment
    package let shard: Shard<Environment>
    package let broker: Broker<Environment>
    /// Only on shard 0.
    package var residence: ControllerResidence<Environment>?
    /// All cells of the node, this one included.
    private var cells: [NIOLoopBound<NodeCell>] = []
    private var learnt: [Leadership] = []
    /// What the cluster's state last turned into here.
    var hosting: Hosting?
    var moves = MoveDesk()

    package init(index: Int, environment: Environment, shard: Shard<Environment>, broker: Broker<Environment>) {
        self.index = index
        self.environment = environment
        self.shard = shard
        self.broker = broker
        environment.endOfTurn = { [unowned broker] in broker.endOfTurn() }
        environment.tick = { [unowned self] in self.tick() }
        environment.leadershipLearned = { [unowned self] in self.learned($0) }
    }

    package var loop: any EventLoop { environment.loop }
    package var links: Environment.Links { environment.links }

    /// Makes the node's other loops known. Called once, before anything else.
    package func connect(_ cells: [NIOLoopBound<NodeCell>]) {
        self.cells = cells
    }

    /// Looks at the time, and says when it wants to look again. An idle node sleeps from heartbeat to heartbeat.
    package func tick() {
        shard.tick()
        broker.tick()
        residence?.tick()
        let now = environment.now
        if moves.look(at: now) { lookAfterMoves(now: now) }
        environment.wake(at: shard.nextTick(after: now))
        if let next = broker.nextTick { environment.wake(at: next) }
        if residence?.isImpatient == true { environment.wake(at: now.advanced(byNanoseconds: Self.impatience)) }
    }

    /// How soon what could not be done yet is tried again.
    private static var impatience: UInt64 { 10_000_000 }

    // MARK: - Leaders

    /// A replica here has learnt who leads its partition: all loops of this node shall know, and when it leads itself,
    /// so shall its peers.
    private func learned(_ leadership: Leadership) {
        learnt.append(leadership)
        guard learnt.count == 1 else { return }
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.execute { bound.value.spreadLearnt() }
    }

    private func spreadLearnt() {
        let news = learnt
        learnt = []
        for cell in cells {
            cell.eventLoop.execute { cell.value.note(news) }
        }
        let own = news.filter { $0.leader == environment.node }
        guard !own.isEmpty else { return }
        links.announce(
            own.map {
                LeaderAnnouncement(
                    group: $0.partition, term: $0.term, leader: environment.node, lagging: $0.lagging)
            })
        links.flush()
    }

    /// Takes in who leads what, learnt here or from a peer.
    package func note(_ news: [Leadership]) {
        broker.update { view in
            for news in news {
                view.note(news.partition, term: news.term, leader: news.leader, lagging: news.lagging)
            }
        }
    }

    // MARK: - Moves

    private func lookAfterMoves(now: Moment) {
        guard !shard.isStopping, let home = cells.first else { return }
        let state = broker.view.cluster
        for (partition, voters) in moves.finished(on: shard, of: state) {
            let bound = NIOLoopBound(self, eventLoop: loop)
            let loop = loop
            home.eventLoop.execute {
                let answered: () -> Void = { loop.execute { bound.value.moves.answered(partition) } }
                guard let residence = home.value.residence else { return answered() }
                residence.conclude(partition, voters, done: answered)
            }
        }
        for partition in moves.released(on: shard, now: now) {
            moves.forget(partition)
            hosting?.letGo(of: partition, on: self)
        }
    }

    // MARK: - Peers

    package func peerConnected(_ peer: NodeID) {
        let led = shard.allReplicas.filter { $0.isLeader }
            .map {
                LeaderAnnouncement(group: $0.id, term: $0.term, leader: environment.node, lagging: $0.laggards.nodes)
            }
        if !led.isEmpty { links.announce(led, to: peer) }
        shard.peerConnected(peer)
        links.flush()
        residence?.connectionsChanged()
    }

    package func peerLost(_ peer: NodeID) {
        shard.peerLost(peer)
        residence?.connectionsChanged()
    }

    /// A connection that `peer` had opened is gone, and so everything it sent has been read.
    ///
    /// Letters of a dead leader may have been read after our own connection to it broke, and would pass for a sign of
    /// life for a whole election timeout; so the loss is told again.
    package func acceptedConnectionLost(from peer: NodeID) {
        links.acceptedConnectionLost(from: peer)
        if !links.isConnected(peer) { shard.peerLost(peer) }
    }

    /// A peer says that it does not admit this node. Only those of its own cluster have a say in that.
    package func refused(_ refusal: HelloReply.Refusal, by hello: Hello) {
        guard let cluster = links.identity.cluster, hello.cluster == cluster else { return }
        residence?.refused(refusal)
    }

    // MARK: - The end

    /// Offers the leadership of every partition to a peer, and says how many are led here that a peer could lead.
    package func handOver() -> Int {
        residence?.isStopping = true
        shard.handOver()
        let peers = links.connectedPeers
        return shard.allReplicas.count { replica in
            replica.isLeader && replica.members.voters.contains { peers.contains($0) }
        }
    }

    package func stop() {
        environment.stopTicking()
        links.close()
        shard.close()
    }
}
