// SPDX-License-Identifier: Apache-2.0

public import LogModel
import LogStorage
import RaftCore

/// Which of a leader's peers do not keep up: what Kafka calls out of sync.
///
/// Raft needs no such set. It is kept for those who look after a cluster: a replica that is stopped, whose disk is full
/// or that lies far behind must not be shown as one that could take over.
public struct Laggards {
    /// Ascending.
    public private(set) var nodes: [NodeID] = []
    /// When each peer last held all that the log had at the look before.
    private var caughtUp: [NodeID: Moment] = [:]
    private var end = LogIndex.zero

    /// How long a replica may lie behind, in nanoseconds. Kafka allows 30 seconds, because its followers ask.
    private static var patience: UInt64 { 3_000_000_000 }

    /// Looks at the peers, about once a second. Gives whether `nodes` has changed.
    mutating func look(at raft: RaftNode, end newEnd: LogIndex, now: Moment) -> Bool {
        var lagging: [NodeID] = []
        for place in 0..<raft.peerCount {
            let peer = raft.peer(at: place)
            let match = raft.progress(of: peer)?.match ?? .zero
            let lastHeard = raft.progress(of: peer)?.lastHeard ?? .zero
            let isHeard = now.nanoseconds(since: lastHeard) < Self.patience
            if caughtUp[peer] == nil || (isHeard && match >= end) { caughtUp[peer] = now }
            if let since = caughtUp[peer], now.nanoseconds(since: since) >= Self.patience { lagging.append(peer) }
        }
        end = newEnd
        lagging.sort()
        guard lagging != nodes else { return false }
        nodes = lagging
        return true
    }
}

extension Replica {
    /// Tells the cluster which replicas do not keep up, when that has changed.
    func watchLaggards(now: Moment) {
        guard isLeader else {
            if !laggards.nodes.isEmpty { laggards = Laggards() }
            return
        }
        guard laggards.look(at: raft, end: log.end, now: now) else { return }
        shard.environment.learned(
            Leadership(partition: id, term: raft.term, leader: raft.leader, lagging: laggards.nodes))
    }
}
