// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RaftCore
import RecordBatches
import Replication

/// Which machines can speak to which, and over which connection.
struct Network {
    /// One-way: letters from the first to the second are lost.
    var cuts: [[Bool]]
    /// Counts the connections of each pair; letters of an earlier one are gone.
    var connections: [[Int]]
    var isConnected: [[Bool]]
    /// Streams: when the last letter of this direction and lane arrives.
    var lastArrival: [[[UInt64]]]

    init(nodes: Int) {
        let row = Array(repeating: false, count: nodes)
        cuts = Array(repeating: row, count: nodes)
        isConnected = Array(repeating: row, count: nodes)
        connections = Array(repeating: Array(repeating: 0, count: nodes), count: nodes)
        lastArrival = Array(repeating: Array(repeating: [0, 0], count: nodes), count: nodes)
    }

    func isCut(_ one: Int, _ other: Int) -> Bool { cuts[one][other] || cuts[other][one] }

    mutating func heal() {
        for from in cuts.indices {
            for to in cuts.indices { cuts[from][to] = false }
        }
    }
}

extension Cluster {
    func post(_ posted: Letter) {
        var letter = posted
        statistics.letters += 1
        let from = letter.from
        let to = letter.to
        guard network.isConnected[from][to], !network.cuts[from][to] else { return }
        letter.connection = network.connections[from][to]
        if !isCalm {
            if !climate.isStream, random.chance(perMille: climate.lossPerMille) { return }
            if random.chance(perMille: climate.damagePerMille) { damage(&letter) }
        }
        var arrival = now + 20_000 + random.span(mean: climate.delay)
        if climate.isStream || isCalm {
            let lane = letter.payload == nil ? 0 : 1
            arrival = max(arrival, network.lastArrival[from][to][lane] + 1)
            network.lastArrival[from][to][lane] = arrival
        } else if !isCalm, random.chance(perMille: climate.repetitionPerMille) {
            let again = letter
            schedule(on: to, life: nodes[to].life, after: arrival - now + random.span(mean: 4 * climate.delay)) {
                self.arrive(again)
            }
        }
        schedule(on: to, life: nodes[to].life, after: arrival - now) { self.arrive(letter) }
    }

    /// A byte of the records changes on the way: the checksums must find it.
    private func damage(_ letter: inout Letter) {
        guard var bytes = letter.payload, let heads = try? EntryHead.all(in: bytes), !heads.isEmpty else { return }
        let victim = random.below(heads.count)
        let start = heads[..<victim].reduce(bytes.readerIndex) { $0 + $1.totalSize }
        // What lies before byte 21, offset, length and term, is outside the checksum: struck as often as the rest.
        let size = random.chance(perMille: 500) ? 21 : heads[victim].totalSize
        let position = start + random.below(size)
        guard let byte: UInt8 = bytes.getInteger(at: position) else { return }
        bytes.setInteger(byte ^ UInt8(1 << random.below(8)), at: position)
        letter.payload = bytes
    }

    private func arrive(_ letter: Letter) {
        guard letter.connection == network.connections[letter.from][letter.to] else { return }
        say("n\(letter.from)→n\(letter.to)/\(letter.group.index) \(letter.message.summary)")
        digest.add(now)
        digest.add(letter.from &* 8 &+ letter.to)
        digest.add(UInt64(letter.message.term.rawValue.magnitude))
        nodes[letter.to].shard?.receive(
            letter.message, of: letter.group, payload: letter.payload, from: nodes[letter.from].id)
    }

    // MARK: - Connections

    /// The connection between two machines breaks: what was on its way is gone, and both notice soon.
    func breakConnection(_ one: Int, _ other: Int, isNoticed: Bool = true) {
        guard one != other, network.isConnected[one][other] else { return }
        for (from, to) in [(one, other), (other, one)] {
            network.connections[from][to] += 1
            network.isConnected[from][to] = false
            network.lastArrival[from][to] = [0, 0]
        }
        guard isNoticed else { return }
        for (from, to) in [(one, other), (other, one)] { tellLost(from, of: to, after: random.span(mean: 1_000_000)) }
        schedule(after: 2_000_000 + random.span(mean: 20_000_000)) { self.reconnect(one, other) }
    }

    private func tellLost(_ place: Int, of peer: Int, after delay: UInt64) {
        schedule(on: place, life: nodes[place].life, after: delay) {
            guard self.nodes[place].connected[peer], !self.network.isConnected[place][peer] else { return }
            self.nodes[place].connected[peer] = false
            self.nodes[place].shard?.peerLost(self.nodes[peer].id)
        }
    }

    /// Tries to connect two machines, again and again until both are up and nothing is cut between them.
    func reconnect(_ one: Int, _ other: Int) {
        guard one != other, !network.isConnected[one][other] else { return }
        guard nodes[one].isUp, nodes[other].isUp, !network.isCut(one, other) else {
            // A machine that starts connects by itself.
            guard nodes[one].isUp, nodes[other].isUp else { return }
            schedule(after: 10_000_000 + random.span(mean: 10_000_000)) { self.reconnect(one, other) }
            return
        }
        for (from, to) in [(one, other), (other, one)] {
            network.isConnected[from][to] = true
            network.connections[from][to] += 1
            let connection = network.connections[from][to]
            schedule(on: from, life: nodes[from].life, after: random.span(mean: 500_000)) {
                guard self.network.connections[from][to] == connection else { return }
                if self.nodes[from].connected[to] { self.nodes[from].shard?.peerLost(self.nodes[to].id) }
                self.nodes[from].connected[to] = true
                self.nodes[from].shard?.peerConnected(self.nodes[to].id)
            }
        }
    }

    /// Connections over a cut do not live for ever.
    func breakCutConnections() {
        for one in nodes.indices {
            for other in nodes.indices where one < other && network.isCut(one, other) && random.chance(perMille: 500) {
                schedule(after: random.span(mean: 150_000_000)) {
                    if self.network.isCut(one, other) { self.breakConnection(one, other) }
                }
            }
        }
    }
}

extension Message {
    /// One short line, for the trace of a replay.
    var summary: String {
        switch self {
        case .preVote(let question): "preVote \(question.term) last \(question.last)"
        case .preVoteReply(let term, let granted, _): "preVoteReply \(term) \(granted)"
        case .vote(let vote): "vote \(vote.term) last \(vote.last)"
        case .voteReply(let term, let granted): "voteReply \(term) \(granted)"
        case .append(let append): "append \(append.term) \(append.prev)…\(append.end) commit \(append.commit)"
        case .appendReply(let reply):
            switch reply.outcome {
            case .matched(let index): "matched \(reply.term) \(index)"
            case .rejected(let prev, let hint): "rejected \(reply.term) \(prev) hint \(hint)"
            }
        case .heartbeat(let beat): "heartbeat \(beat.term) commit \(beat.commit)"
        case .heartbeatReply(let reply): "heartbeatReply \(reply.term) held \(reply.held) matched \(reply.matched)"
        case .snapshot(let snapshot): "snapshot \(snapshot.term) at \(snapshot.anchor)"
        case .timeoutNow(let term): "timeoutNow \(term)"
        case .repair(let letter): "repair \(letter)"
        }
    }
}
