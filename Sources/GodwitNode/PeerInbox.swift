// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import PeerWire
import RaftCore
import Replication
import Transport

/// Brings what peers send to the loops it is for.
final class PeerInbox: PeerReceiver {
    private let cells: [NIOLoopBound<ShardCell>]

    init(_ cells: [NIOLoopBound<ShardCell>]) { self.cells = cells }

    /// What could be said against a peer, the listener has checked: its version, its cluster and its id.
    func refusal(of hello: Hello) -> HelloReply.Refusal? {
        let home = cells[0]
        home.eventLoop.execute { home.value.residence?.heard(hello) }
        return nil
    }

    func received(_ letters: [PeerLetter], from peer: NodeID, on loop: any EventLoop) {
        guard cells.count > 1 else { return Self.deliver(letters, from: peer, to: cells[0]) }
        var sorted: [[PeerLetter]] = Array(repeating: [], count: cells.count)
        for letter in letters { sorted[letter.group.shard(of: cells.count)].append(letter) }
        for (cell, letters) in zip(cells, sorted) where !letters.isEmpty {
            Self.deliver(letters, from: peer, to: cell)
        }
    }

    private static func deliver(_ letters: [PeerLetter], from peer: NodeID, to cell: NIOLoopBound<ShardCell>) {
        guard !cell.eventLoop.inEventLoop else { return hand(letters, from: peer, to: cell.value) }
        cell.eventLoop.execute { hand(letters, from: peer, to: cell.value) }
    }

    private static func hand(_ letters: [PeerLetter], from peer: NodeID, to cell: ShardCell) {
        for letter in letters {
            cell.shard.receive(letter.message, of: letter.group, payload: letter.payload, from: peer)
        }
    }

    func received(_ announcements: [LeaderAnnouncement], from peer: NodeID, on loop: any EventLoop) {
        let news = announcements.map {
            Leadership(partition: $0.group, term: $0.term, leader: $0.leader, lagging: $0.lagging)
        }
        for cell in cells {
            cell.eventLoop.execute { cell.value.note(news) }
        }
    }

    func received(forwarded request: ByteBuffer, from peer: NodeID, reply: ForwardReplyPath) {
        let home = cells[0]
        home.eventLoop.execute {
            guard let residence = home.value.residence else { return reply.refuse() }
            residence.answer(forwarded: request) { reply.send($0) }
        }
    }

    func received(guestRequest request: ByteBuffer, from guest: Hello, reply: ForwardReplyPath) {
        let home = cells[0]
        home.eventLoop.execute {
            guard let residence = home.value.residence else { return reply.refuse() }
            residence.answer(guestRequest: request, from: guest) { answer in
                if let answer { reply.send(answer) } else { reply.refuse() }
            }
        }
    }

    func acceptedConnectionOpened(from peer: NodeID) {
        for cell in cells {
            cell.eventLoop.execute { cell.value.links.acceptedConnectionOpened(from: peer) }
        }
    }

    func acceptedConnectionLost(from peer: NodeID) {
        for cell in cells {
            cell.eventLoop.execute { cell.value.acceptedConnectionLost(from: peer) }
        }
    }
}
