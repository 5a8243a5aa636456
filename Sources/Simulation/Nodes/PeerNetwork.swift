// SPDX-License-Identifier: Apache-2.0

import GodwitNode
import LogModel
import LogStorage
import NIOCore
import PeerWire
import RaftCore
import RecordBatches
import Replication

/// What travels between two nodes.
enum Parcel {
    case letter(PeerLetter)
    case leaders([LeaderAnnouncement])
    case forward(id: UInt64, ByteBuffer)
    case forwardReply(id: UInt64, ByteBuffer?)

    /// Entries and snapshots have a connection of their own, as with `PeerLinks`.
    var lane: Int {
        guard case .letter(let letter) = self else { return 0 }
        switch letter.message {
        case .append(let append) where !append.runs.isEmpty: return 1
        case .snapshot: return 1
        default: return 0
        }
    }
}

extension Parcel {
    /// Of `Forward.kind`.
    private enum Kind {
        static let request: UInt8 = 1
        static let answer: UInt8 = 2
        static let refusal: UInt8 = 3
    }

    /// The frame that a node writes to its connection.
    var frame: ByteBuffer {
        var writer = PeerWriter()
        switch self {
        case .letter(let letter): writer.add(letter.message, of: letter.group, payload: [letter.payload])
        case .leaders(let leaders): for leader in leaders { writer.add(leader) }
        case .forward(let id, let bytes): writer.add(forward: Forward(id: id, kind: Kind.request, bytes: bytes))
        case .forwardReply(let id, let bytes):
            let kind = bytes == nil ? Kind.refusal : Kind.answer
            writer.add(forwardReply: Forward(id: id, kind: kind, bytes: bytes ?? ByteBuffer()))
        }
        var frame = ByteBuffer()
        for piece in writer.take() { frame.writeImmutableBuffer(piece) }
        return frame
    }

    /// What a node reads from its connection; `nil` when there was nothing to say.
    init?(frame: ByteBuffer) throws(PeerWireError) {
        var arrived = frame
        guard let body = try PeerFrame.next(from: &arrived, maximumSize: frame.readableBytes) else { return nil }
        switch try PeerFrame(body) {
        case .letters(let letters) where letters.count == 1: self = .letter(letters[0])
        case .leaders(let leaders): self = .leaders(leaders)
        case .forward(let forward): self = .forward(id: forward.id, forward.bytes)
        case .forwardReply(let reply):
            self = .forwardReply(id: reply.id, reply.kind == Kind.answer ? reply.bytes : nil)
        case .hello, .helloReply, .letters: return nil
        }
    }
}

/// Who can reach whom, and what is on its way. Every link has two directions, and each can fail alone.
struct PeerNetwork {
    /// Something on its way, in the order of sending.
    struct Shipment {
        /// One frame of `PeerWire`.
        let frame: ByteBuffer
        let lane: Int
        let number: UInt64
        let connection: Int
    }

    struct Link {
        /// Nothing gets through.
        var isCut = false
        /// Nothing gets through before.
        var clogged: UInt64 = 0
        var isConnected = false
        /// Counts connections: what travels on an earlier one is gone.
        var connection = 0
        /// Of each lane.
        var lastArrival: [UInt64] = [0, 0]
        /// What waits for a cut to end: a stream loses nothing while it lives.
        var stalled: [Shipment] = []
        /// This direction's own delay, on top of the climate's.
        var extraDelay: UInt64 = 0
    }

    private var links: [Link]
    private let nodes: Int
    var shipments: UInt64 = 0

    init(nodes: Int) {
        self.nodes = nodes
        links = Array(repeating: Link(), count: nodes * nodes)
    }

    subscript(from: Int, to: Int) -> Link {
        get { links[from * nodes + to] }
        _modify { yield &links[from * nodes + to] }
    }

    func isCut(_ one: Int, _ other: Int) -> Bool { self[one, other].isCut || self[other, one].isCut }
}

extension World {
    func depart(_ parcel: Parcel, from: Int, to: Int) {
        var parcel = parcel
        if case .letter(var letter) = parcel {
            note(letter, from: from, to: to)
            planted?.forge(&letter.message, random: &random)
            if planted == .hastyFollowers, case .appendReply(var reply) = letter.message,
                case .matched = reply.outcome, let log = machines[from].cell?.shard.replica(letter.group)?.log
            {
                reply.outcome = .matched(log.end)
                letter.message = .appendReply(reply)
            }
            parcel = .letter(letter)
        }
        statistics.letters += 1
        guard network[from, to].isConnected else { return }
        network.shipments += 1
        let connection = network[from, to].connection
        let shipment = PeerNetwork.Shipment(
            frame: parcel.frame, lane: parcel.lane, number: network.shipments, connection: connection)
        guard case .letter = parcel, !climate.base.isStream, !isCalm else { return stream(shipment, from, to) }
        guard !network[from, to].isCut, !random.chance(perMille: climate.base.lossPerMille) else { return }
        let delay = transit(from, to)
        arriveLater(shipment, from, to, at: now + delay)
        guard random.chance(perMille: climate.base.repetitionPerMille) else { return }
        arriveLater(shipment, from, to, at: now + delay + random.span(mean: 4 * climate.base.delay))
    }

    private func transit(_ from: Int, _ to: Int) -> UInt64 {
        // The stragglers of a storm may hold a stream up for as long as a leader waits for its followers.
        let way = isCalm ? random.next() % (2 * climate.base.delay) : random.span(mean: climate.base.delay)
        return 20_000 + way + network[from, to].extraDelay
    }

    private func stream(_ shipment: PeerNetwork.Shipment, _ from: Int, _ to: Int) {
        guard !network[from, to].isCut else { return network[from, to].stalled.append(shipment) }
        let lane = shipment.lane
        var arrival = max(now + transit(from, to), network[from, to].lastArrival[lane] + 1)
        let clogged = network[from, to].clogged
        if arrival < clogged { arrival = clogged + UInt64(random.below(100_000)) }
        network[from, to].lastArrival[lane] = arrival
        arriveLater(shipment, from, to, at: arrival)
    }

    private func arriveLater(_ shipment: PeerNetwork.Shipment, _ from: Int, _ to: Int, at time: UInt64) {
        schedule(on: to, life: machines[to].life, after: time - now) { self.arrive(shipment, from, to) }
    }

    private func arrive(_ shipment: PeerNetwork.Shipment, _ from: Int, _ to: Int) {
        guard shipment.connection == network[from, to].connection, network[from, to].isConnected else { return }
        if network[from, to].isCut {
            if climate.base.isStream || isCalm { network[from, to].stalled.append(shipment) }
            return
        }
        guard let cell = machines[to].cell else { return }
        digest.add(now)
        digest.add(from &* 8 &+ to)
        let arrived: Parcel?
        do throws(PeerWireError) {
            arrived = try Parcel(frame: shipment.frame)
        } catch {
            return broke(Violation(.requestsEnd, "n\(to) cannot read what n\(from) has sent: \(error)"))
        }
        guard let arrived else { return }
        switch arrived {
        case .letter(var letter):
            digest.add(UInt64(letter.message.term.rawValue.magnitude))
            say("n\(from)→n\(to) \(name(letter.group)) \(letter.message.summary)")
            if !isCalm, random.chance(perMille: climate.base.damagePerMille) { damage(&letter) }
            cell.shard.receive(letter.message, of: letter.group, payload: letter.payload, from: machines[from].id)
        case .leaders(let leaders):
            cell.note(leaders.map { .init(partition: $0.group, term: $0.term, leader: $0.leader) })
        case .forward(let id, let request):
            let connection = network[to, from].connection
            let reply = { (bytes: ByteBuffer?) in
                guard self.network[to, from].connection == connection else { return }
                self.depart(.forwardReply(id: id, bytes), from: to, to: from)
            }
            guard let residence = cell.residence else { return reply(nil) }
            residence.answer(forwarded: request) { reply($0) }
        case .forwardReply(let id, let answer):
            cell.links.answered(id, answer)
        }
    }

    /// A byte of the records changes on the way: the checksums must find it.
    private func damage(_ letter: inout PeerLetter) {
        var bytes = letter.payload
        guard case .append = letter.message, let heads = try? EntryHead.all(in: bytes), !heads.isEmpty else { return }
        let victim = random.below(heads.count)
        let start = heads[..<victim].reduce(bytes.readerIndex) { $0 + $1.totalSize }
        // What lies before byte 21, offset, length and term, is outside the checksum: struck as often as the rest.
        let size = random.chance(perMille: 500) ? 21 : heads[victim].totalSize
        let position = start + random.below(size)
        guard let byte: UInt8 = bytes.getInteger(at: position) else { return }
        bytes.setInteger(byte ^ UInt8(1 << random.below(8)), at: position)
        letter.payload = bytes
    }

    // MARK: - Connections

    /// The connection between two machines breaks: what was on its way is gone, and both notice soon.
    func breakConnection(_ one: Int, _ other: Int, isNoticed: Bool = true) {
        guard one != other, network[one, other].isConnected else { return }
        for (from, to) in [(one, other), (other, one)] {
            network[from, to].connection += 1
            network[from, to].isConnected = false
            network[from, to].lastArrival = [0, 0]
            network[from, to].stalled = []
        }
        guard isNoticed else { return }
        for (from, to) in [(one, other), (other, one)] { tellLost(from, of: to, after: random.span(mean: 1_000_000)) }
        schedule(after: 2_000_000 + random.span(mean: 20_000_000)) { self.reconnect(one, other) }
    }

    private func tellLost(_ place: Int, of peer: Int, after delay: UInt64) {
        schedule(on: place, life: machines[place].life, after: delay) {
            guard self.machines[place].connected[peer], !self.network[place, peer].isConnected else { return }
            self.disconnected(place, from: peer)
        }
    }

    private func disconnected(_ place: Int, from peer: Int) {
        let machine = machines[place]
        machine.connected[peer] = false
        machine.cell?.links.lost(peer)
        machine.cell?.peerLost(machines[peer].id)
        guard random.chance(perMille: 500) else { return }
        // The connection that the peer had opened breaks too, and what it sent last has been read by then.
        schedule(on: place, life: machine.life, after: random.span(mean: 1_000_000)) {
            machine.cell?.acceptedConnectionLost(from: self.machines[peer].id)
        }
    }

    /// Tries to connect two machines, again and again until both are up and nothing is cut between them.
    func reconnect(_ one: Int, _ other: Int) {
        guard one != other, !network[one, other].isConnected else { return }
        // A machine that starts connects by itself.
        guard machines[one].isListening, machines[other].isListening else { return }
        guard !network.isCut(one, other), isAwake(one), isAwake(other) else {
            return schedule(after: 10_000_000 + random.span(mean: 10_000_000)) { self.reconnect(one, other) }
        }
        for (from, to) in [(one, other), (other, one)] {
            network[from, to].isConnected = true
            network[from, to].connection += 1
            let connection = network[from, to].connection
            schedule(on: from, life: machines[from].life, after: random.span(mean: 500_000)) {
                guard self.network[from, to].connection == connection else { return }
                self.connected(from, to: to)
            }
        }
    }

    private func connected(_ place: Int, to peer: Int) {
        let machine = machines[place]
        guard let cell = machine.cell, let hello = machines[peer].cell?.links.hello else { return }
        if machine.connected[peer] { disconnected(place, from: peer) }
        machine.connected[peer] = true
        cell.residence?.heard(hello)
        cell.peerConnected(machines[peer].id)
    }

    /// Connections over a cut do not live for ever.
    func breakCutConnections() {
        for one in machines.indices {
            for other in machines.indices where one < other && network.isCut(one, other) {
                schedule(after: random.span(mean: 2 * climate.base.electionTimeout)) {
                    if self.network.isCut(one, other) { self.breakConnection(one, other) }
                }
            }
        }
    }

    func cut(_ from: Int, _ to: Int) {
        guard from != to else { return }
        network[from, to].isCut = true
    }

    func healLink(_ from: Int, _ to: Int) {
        guard network[from, to].isCut else { return }
        network[from, to].isCut = false
        let stalled = network[from, to].stalled.sorted { $0.number < $1.number }
        network[from, to].stalled = []
        for shipment in stalled where shipment.connection == network[from, to].connection {
            stream(shipment, from, to)
        }
    }
}
