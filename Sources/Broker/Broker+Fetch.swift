// SPDX-License-Identifier: Apache-2.0

import Disk
import KafkaWire
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import Replication
import Settings

/// One partition's part of a fetch request, where there is such a partition.
struct FetchItem: Sendable {
    let partition: PartitionID
    let wish: FetchWish
    /// Where it stands among all that is wanted.
    let place: Int
}

/// What holds for all partitions of a fetch.
struct FetchTerms: Sendable {
    /// How many bytes the whole answer may have.
    let limit: Int
    /// Whether the client takes records from followers, as it can since version 11 (KIP-392).
    let allowsFollower: Bool
    /// Where the client says it stands; empty when it does not.
    let rack: String
    /// When the request came.
    let arrived: Moment
}

/// What one look at a partition found.
struct FetchFinding<Files: FileSystem>: Sendable {
    let place: Int
    let partition: PartitionID?
    var error: ErrorCode = .none
    var highWatermark: Int64 = -1
    var logStart: Int64 = -1
    /// A replica nearer to the client, to be asked instead.
    var nearer: NodeID?
    /// Where the client's log parts from this one.
    var divergence: (epoch: Int32, offset: Offset)?
    var pieces: [FetchPiece<Files.File>] = []
    var size = 0
    /// That there is nothing more is certain only once the other voters have said that nobody else leads.
    var isUncertain = false

    /// Whether the client should hear of it without waiting for more.
    var isUrgent: Bool { error != .none || nearer != nil || divergence != nil }
}

extension Broker {
    /// Fetch (API key 1).
    func fetch(_ call: Call<Files>) throws(WireError) {
        let request = try FetchRequest.decode(call.body, version: call.version)
        var response = FetchResponse()
        guard request.claimedReplica(version: call.version) < 0 else {
            // Only a broker may call itself one (CVE-2018-1288), and ours speak PeerWire.
            response.error = .clusterAuthorizationFailed
            return call.version >= 7 ? call.reply(response) : call.close("a client that calls itself a replica")
        }
        switch fetchSessions.open(request, version: call.version, now: call.arrived) {
        case .success(let opening):
            FetchRun(call, request: request, opening: opening, broker: self).start()
        case .failure(let error):
            response.error = ErrorCode(error)
            call.reply(response)
        }
    }

    /// Looks at partitions of this shard, in order, as long as the answer is not full.
    func look(at items: [FetchItem], _ terms: FetchTerms) -> [FetchFinding<Files>] {
        var left = terms.limit
        var mayExceed = true
        return items.map { item in
            let limit = min(left, Int(max(0, item.wish.limit)))
            let finding = look(at: item, terms, limit: limit, mayExceed: mayExceed)
            left = max(0, left - finding.size)
            if finding.size > 0 { mayExceed = false }
            return finding
        }
    }

    private func look(
        at item: FetchItem, _ terms: FetchTerms, limit: Int, mayExceed: Bool
    ) -> FetchFinding<Files> {
        var finding = FetchFinding<Files>(place: item.place, partition: item.partition)
        let offset = item.wish.offset
        guard let replica = shard.replica(item.partition), replica.stopped == nil else {
            finding.error = .notLeaderOrFollower
            return finding
        }
        if let error = replica.refusal(ofEpoch: item.wish.leaderEpoch) {
            finding.error = error
            return finding
        }
        guard replica.isInTouch || (terms.allowsFollower && replica.isFollowing) else {
            finding.error = .notLeaderOrFollower
            return finding
        }
        if let flaw = replica.flaw(ofReader: offset, lastEpoch: item.wish.lastFetchedEpoch, in: &finding) {
            finding.error = flaw
            return finding
        }
        // A new leader shows nothing until an entry of its own term is committed; the fetch waits for it.
        guard let readable = replica.isLeader ? replica.highWatermark : replica.knownCommit else { return finding }
        finding.highWatermark = readable.rawValue
        guard finding.divergence == nil else { return finding }
        guard offset <= readable.rawValue || replica.isLeader else {
            finding.error = .offsetNotAvailable
            return finding
        }
        if replica.isLeader, let nearer = nearerReplica(than: replica, at: offset, for: terms) {
            finding.nearer = nearer
            return finding
        }
        guard offset < readable.rawValue else {
            finding.isUncertain = replica.isLeader && !replica.isConfirmed(since: terms.arrived)
            return finding
        }
        guard limit > 0 || mayExceed else { return finding }
        do throws(LogError) {
            let pieces = try replica.log.fetch(
                from: Offset(offset), upTo: readable, limit: ByteCount(Int64(max(1, limit))))
            let size = pieces.reduce(0) { $0 + Int($1.size.rawValue) }
            // Only the first batch of a whole answer may be larger than the limit (KIP-74).
            guard size <= limit || mayExceed else { return finding }
            finding.pieces = pieces
            finding.size = size
        } catch {
            replica.suspect(after: error)
            finding.error = ErrorCode(error)
        }
        return finding
    }

    /// The replica in the client's own rack that should be read instead of the leader (KIP-392): one that is in touch
    /// and has all that is committed from `offset` on. Of several, the one that has come furthest.
    private func nearerReplica(than leader: Replica<Environment>, at offset: Int64, for terms: FetchTerms) -> NodeID? {
        guard settings.replicaSelector == .rackAware, terms.allowsFollower, !terms.rack.isEmpty else { return nil }
        guard view.cluster.node(settings.node)?.rack != terms.rack, let committed = leader.highWatermark else {
            return nil
        }
        guard offset <= committed.rawValue else { return nil }
        return leader.peersCaughtUp(beyond: Offset(offset))
            .filter { view.cluster.node($0.node)?.rack == terms.rack && view.alive.contains($0.node) }
            .max { ($0.match, $1.node) < ($1.match, $0.node) }?.node
    }

    /// Asks the other voters of partitions led here whether they still are; `done` is called once all have said so, or
    /// have not in time.
    func confirm(_ partitions: [PartitionID], done: @escaping (Set<PartitionID>) -> Void) {
        var deposed: Set<PartitionID> = []
        var outstanding = 1
        func ended() {
            outstanding -= 1
            if outstanding == 0 { done(deposed) }
        }
        for partition in partitions {
            guard let replica = shard.replica(partition) else {
                deposed.insert(partition)
                continue
            }
            outstanding += 1
            replica.confirmLeadership { isLeader in
                if !isLeader { deposed.insert(partition) }
                ended()
            }
        }
        ended()
    }

    /// Calls `changed` at each later move of one of these partitions, until the watcher is let go.
    func watch(_ items: [FetchItem], _ watcher: CommitWatcher) {
        for item in items { shard.replica(item.partition)?.watch(watcher) }
    }

    func unwatch(_ items: [FetchItem], _ watcher: CommitWatcher) {
        for item in items { shard.replica(item.partition)?.unwatch(watcher) }
    }
}

extension FetchRequest {
    /// The node that the request says it comes from; below 0 for a client.
    fileprivate func claimedReplica(version: Int16) -> Int32 {
        version >= 15 ? replicaState?.replicaID ?? -1 : replicaID
    }
}

extension Replica {
    /// Why a request that names this leader epoch cannot be served (KIP-320); −1 names none.
    func refusal(ofEpoch epoch: Int32) -> ErrorCode? {
        guard epoch >= 0, epoch != term.rawValue else { return nil }
        return epoch < term.rawValue ? .fencedLeaderEpoch : .unknownLeaderEpoch
    }

    /// Why a reader that stands at `offset` cannot go on, if it cannot; notes in `finding` where the log begins, and
    /// where the reader's past parts from it (KIP-320).
    ///
    /// What is not committed yet is no reason: after a failover the new leader may not know of all commits for a
    /// moment, and a consumer that is told OFFSET_OUT_OF_RANGE begins anew (reliability.md T-K22).
    fileprivate func flaw<Files>(
        ofReader offset: Int64, lastEpoch: Int32, in finding: inout FetchFinding<Files>
    ) -> ErrorCode? {
        finding.logStart = logStart.rawValue
        if lastEpoch >= 0 {
            guard let end = end(ofEpoch: lastEpoch), offset >= logStart.rawValue else { return .offsetOutOfRange }
            if end.epoch < lastEpoch || end.offset.rawValue < offset {
                finding.divergence = end
                return nil
            }
        }
        guard offset >= logStart.rawValue, offset <= log.endOffset.rawValue else { return .offsetOutOfRange }
        return nil
    }
}
