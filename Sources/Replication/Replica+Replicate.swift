// SPDX-License-Identifier: Apache-2.0

import LogModel
import LogStorage
import NIOCore
import RaftCore

extension Replica {
    /// Sends every peer what it is due, as far as its window reaches.
    func replicate() {
        askForConfirmation()
        var place = 0
        while place < raft.peerCount {
            replicate(to: raft.peer(at: place))
            if place < raft.peerCount { endCatchUp(of: raft.peer(at: place)) }
            place += 1
        }
    }

    private func replicate(to peer: NodeID) {
        while stopped == nil, let plan = raft.nextAppend(to: peer, now: shard.environment.now) {
            switch plan.kind {
            case .probe:
                send([], runs: [], size: .zero, to: peer)
            case .entries:
                let key = CatchUp.Key(partition: id, follower: peer)
                let isPast = !log.isInMemory(from: plan.prev.end)
                if isPast {
                    guard mayCatchUp(key, from: plan.prev.end) else { return }
                } else if !shard.catchUp.isEmpty {
                    shard.catchUp.ended(key)
                }
                do throws(LogError) {
                    let limit = Whim.strikes("Replica.short-append") ? ByteCount(1) : plan.limit
                    let slice = try log.read(from: plan.prev.end, limit: limit)
                    send(
                        slice.bytes, runs: slice.runs.map { TermRun(term: $0.term, end: $0.end) }, size: slice.size,
                        to: peer)
                    if isPast, let end = slice.runs.last?.end {
                        shard.catchUp.sent(slice.size.rawValue, through: end, to: key)
                    }
                } catch {
                    fail("the log could not be read for \(peer)", error)
                    // What is damaged is sent once it has been repaired.
                    return
                }
            case .snapshot: sendSnapshot(to: peer)
            }
        }
    }

    /// Gives the place of a follower that has been sent all of the past to another.
    private func endCatchUp(of peer: NodeID) {
        guard !shard.catchUp.isEmpty, raft.isCaughtUp(peer) else { return }
        shard.catchUp.ended(CatchUp.Key(partition: id, follower: peer))
    }

    /// Whether a follower may be sent some of what is not in memory any more; if not, this replica tries again later.
    private func mayCatchUp(_ key: CatchUp.Key, from next: LogIndex) -> Bool {
        let now = shard.environment.now
        let match = raft.progress(of: key.follower)?.match ?? .zero
        let refusal = shard.catchUp.refusal(
            of: key, match: match, next: next, settings: shard.settings.catchUp, now: now)
        if let refusal { shard.catchUpLater(self, at: refusal) }
        return refusal == nil
    }

    private func send(_ bytes: [ByteBuffer], runs: [TermRun], size: ByteCount, to peer: NodeID) {
        let message = raft.appendSent(to: peer, runs: runs, bytes: size, now: shard.environment.now)
        shard.environment.send(message, of: id, payload: bytes, to: peer)
    }

    /// A peer that needs what lies before our log start is restarted at an anchor: at our log's start for a plain
    /// partition, where the state has been applied to for a state machine.
    private func sendSnapshot(to peer: NodeID) {
        var anchor = log.start
        // Without its producers a copy that comes to lead would store their retries a second time.
        var payload = [log.producersAtStart()]
        if let state {
            anchor = appliedAnchor
            payload = [state.snapshot()]
        }
        Mark.hit("Replica.sent-snapshot")
        let message = raft.snapshotSent(to: peer, anchor: anchor, now: shard.environment.now)
        shard.environment.send(message, of: id, payload: payload, to: peer)
    }

    private var appliedAnchor: LogAnchor {
        guard applied > log.start.position.end else { return log.start }
        guard let term = log.terms.term(at: LogIndex(applied.rawValue - 1)) else {
            preconditionFailure("an applied entry has a term")
        }
        return LogAnchor(position: LogPosition(term: term, end: applied), offset: log.offset(at: applied))
    }
}
