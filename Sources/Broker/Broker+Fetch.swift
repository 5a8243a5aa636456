// SPDX-License-Identifier: Apache-2.0

import Disk
import KafkaWire
import LogModel
import LogStorage
import NIOCore
import Replication

/// One partition's part of a fetch request.
struct FetchItem: Sendable {
    let partition: PartitionID
    let offset: Int64
    let leaderEpoch: Int32
    let limit: Int
    /// Where it stands in the request.
    let topic: Int
    let place: Int
}

/// What one look at a partition found.
struct FetchFinding<Files: FileSystem>: Sendable {
    let item: FetchItem
    var error: ErrorCode = .none
    var highWatermark: Int64 = -1
    var logStart: Int64 = -1
    var pieces: [FetchPiece<Files.File>] = []
    var size = 0
}

extension Broker {
    /// Fetch (API key 1). Sessions (KIP-227) are not kept: the answer's session id 0 tells the client to send whole
    /// requests, as KIP-227 provides.
    func fetch(_ call: Call<Files>) throws(WireError) {
        let request = try FetchRequest.decode(call.body, version: call.version)
        guard request.replicaID < 0 else {
            // Only a broker may call itself one (CVE-2018-1288), and ours speak PeerWire.
            var response = FetchResponse()
            response.error = .clusterAuthorizationFailed
            return call.version >= 7 ? call.reply(response) : call.close("a client that calls itself a replica")
        }
        FetchRun(call, request: request, broker: self).start()
    }

    /// Looks at partitions of this shard, in order, as long as `limit` bytes are not full.
    func look(at items: [FetchItem], limit: Int, isFirst: Bool) -> [FetchFinding<Files>] {
        var left = limit
        var mayExceed = isFirst
        return items.map { item in
            let finding = look(at: item, limit: min(left, item.limit), mayExceed: mayExceed)
            left = max(0, left - finding.size)
            if finding.size > 0 { mayExceed = false }
            return finding
        }
    }

    private func look(at item: FetchItem, limit: Int, mayExceed: Bool) -> FetchFinding<Files> {
        var finding = FetchFinding<Files>(item: item)
        guard let replica = shard.replica(item.partition), replica.isLeader else {
            finding.error = .notLeaderOrFollower
            return finding
        }
        if let error = replica.refusal(ofEpoch: item.leaderEpoch) {
            finding.error = error
            return finding
        }
        finding.logStart = replica.logStart.rawValue
        guard item.offset >= replica.logStart.rawValue, item.offset <= replica.log.endOffset.rawValue else {
            finding.error = .offsetOutOfRange
            return finding
        }
        // A new leader shows nothing until an entry of its own term is committed; the fetch waits for it.
        guard let highWatermark = replica.highWatermark else { return finding }
        finding.highWatermark = highWatermark.rawValue
        guard item.offset < highWatermark.rawValue, limit > 0 || mayExceed else { return finding }
        do throws(LogError) {
            let pieces = try replica.log.fetch(
                from: Offset(item.offset), upTo: highWatermark, limit: ByteCount(Int64(max(1, limit))))
            let size = pieces.reduce(0) { $0 + Int($1.size.rawValue) }
            // Only the first batch of a whole answer may be larger than the limit (KIP-74).
            guard size <= limit || mayExceed else { return finding }
            finding.pieces = pieces
            finding.size = size
        } catch {
            finding.error = ErrorCode(error)
        }
        return finding
    }

    /// Calls `changed` at each later move of one of these partitions, until the watcher is let go.
    func watch(_ items: [FetchItem], _ watcher: CommitWatcher) {
        for item in items { shard.replica(item.partition)?.watch(watcher) }
    }

    func unwatch(_ items: [FetchItem], _ watcher: CommitWatcher) {
        for item in items { shard.replica(item.partition)?.unwatch(watcher) }
    }
}

extension Replica {
    /// Why a request that names this leader epoch cannot be served (KIP-320); −1 names none.
    func refusal(ofEpoch epoch: Int32) -> ErrorCode? {
        guard epoch >= 0, epoch != term.rawValue else { return nil }
        return epoch < term.rawValue ? .fencedLeaderEpoch : .unknownLeaderEpoch
    }
}
