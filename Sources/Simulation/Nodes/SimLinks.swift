// SPDX-License-Identifier: Apache-2.0

import GodwitNode
import LogModel
import NIOCore
import PeerWire
import Transport

/// A simulated node's connections to its peers, in place of `PeerLinks`.
final class SimLinks: PeerWays {
    private unowned let world: World
    private unowned let machine: Machine
    private let life: Int
    var identity: PeerIdentity
    private var outbox: [(parcel: Parcel, to: Int)] = []
    private var forwards: [UInt64: Forwarding] = [:]
    private var lastForward: UInt64 = 0

    private struct Forwarding {
        let peer: Int
        let completion: (Result<ByteBuffer, ForwardFailure>) -> Void
    }

    init(world: World, machine: Machine) {
        self.world = world
        self.machine = machine
        life = machine.life
        let known = machine.memory.identity
        identity = PeerIdentity(
            cluster: known.cluster, node: known.node, directory: known.directory, isFresh: !machine.hasStarted)
    }

    var hello: Hello {
        Hello(
            cluster: identity.cluster, node: identity.node, directory: identity.directory, shard: 0, lane: .heartbeat,
            fresh: identity.isFresh)
    }

    var connectedPeers: [NodeID] {
        world.machines.indices.filter { machine.connected[$0] }.map { world.machines[$0].id }
    }

    func isConnected(_ peer: NodeID) -> Bool { machine.connected[Int(peer.rawValue)] }

    /// Who dials whom is the world's affair: everybody who is up is dialed by everybody.
    func setPeers(_ peers: [NodeID: PeerEndpoint]) {}

    // MARK: - Sending

    func send(_ letter: PeerLetter, to peer: NodeID) { outbox.append((.letter(letter), Int(peer.rawValue))) }

    func announce(_ leaders: [LeaderAnnouncement]) {
        for peer in connectedPeers { announce(leaders, to: peer) }
    }

    func announce(_ leaders: [LeaderAnnouncement], to peer: NodeID) {
        outbox.append((.leaders(leaders), Int(peer.rawValue)))
    }

    func flush() {
        guard !outbox.isEmpty else { return }
        let leaving = outbox
        outbox.removeAll(keepingCapacity: true)
        for item in leaving { world.depart(item.parcel, from: machine.place, to: item.to) }
    }

    // MARK: - Forwarding

    func forward(
        _ request: ByteBuffer, to peer: NodeID, timeout: TimeAmount,
        completion: @escaping (Result<ByteBuffer, ForwardFailure>) -> Void
    ) {
        guard isConnected(peer) else { return completion(.failure(.notConnected)) }
        lastForward += 1
        let id = lastForward
        let place = Int(peer.rawValue)
        forwards[id] = Forwarding(peer: place, completion: completion)
        world.schedule(on: machine.place, life: life, after: UInt64(timeout.nanoseconds)) {
            self.forwards.removeValue(forKey: id)?.completion(.failure(.timedOut))
        }
        world.depart(.forward(id: id, request), from: machine.place, to: place)
    }

    /// `nil` says that the peer would not answer.
    func answered(_ id: UInt64, _ bytes: ByteBuffer?) {
        guard let forwarding = forwards.removeValue(forKey: id) else { return }
        if let bytes { forwarding.completion(.success(bytes)) } else { forwarding.completion(.failure(.refused)) }
    }

    /// The connection to a peer is gone.
    func lost(_ peer: Int) {
        for id in forwards.keys.sorted() where forwards[id]?.peer == peer {
            forwards.removeValue(forKey: id)?.completion(.failure(.connectionLost))
        }
    }

    func acceptedConnectionLost(from peer: NodeID) {}
    func acceptedConnectionOpened(from peer: NodeID) {}

    func close() { outbox = [] }

    func dissolve() { forwards = [:] }
}
