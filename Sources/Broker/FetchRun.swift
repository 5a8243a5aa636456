// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import LogStorage
import NIOCore
import Replication

/// A fetch on its way: looks at its partitions, and when there is too little, waits for commits and looks again.
///
///     look ──enough, error or time over──▶ answer
///      ▲ │
///      │ └─too little──▶ wait ──a commit──┐
///      └────────────────────────────────────┘
final class FetchRun<Environment: ShardEnvironment> {
    private typealias Finding = FetchFinding<Environment.Files>

    let deadline: Moment
    private let call: Call<Environment.Files>
    private let request: FetchRequest
    private let broker: Broker<Environment>
    private let limit: Int
    /// The items of each shard, and those that cannot be looked at anywhere.
    private var items: [[FetchItem]]
    private var refused: [Finding] = []
    private var findings: [Finding] = []
    private var shardsAsked = 0
    private var isWaiting = false
    private var isExpired = false
    private var changedWhileLooking = false
    private var watcher: CommitWatcher?
    private var remoteWatches: [Int: NIOLoopBound<CommitWatcher>] = [:]

    init(_ call: Call<Environment.Files>, request: FetchRequest, broker: Broker<Environment>) {
        self.call = call
        self.request = request
        self.broker = broker
        let wait = min(UInt64(max(0, request.maxWait)) * 1_000_000, broker.settings.fetchWaitLimit)
        deadline = call.arrived.advanced(byNanoseconds: wait)
        limit = min(Int(max(0, request.maxBytes)), broker.settings.fetchLimit)
        items = Array(repeating: [], count: broker.shardCount)
    }

    func start() {
        sortOut()
        look()
    }

    private func sortOut() {
        for (topicPlace, topic) in request.topics.enumerated() {
            let found =
                call.version >= 13 ? broker.view.topic(id: topic.id) : broker.view.topic(named: topic.name)
            for (place, partition) in topic.partitions.enumerated() {
                let id = PartitionID(topic: found?.id ?? .zero, index: max(0, partition.index))
                let item = FetchItem(
                    partition: id, offset: partition.fetchOffset, leaderEpoch: partition.currentLeaderEpoch,
                    limit: Int(max(0, partition.maxBytes)), topic: topicPlace, place: place)
                if let found, found.hasPartition(partition.index) {
                    items[id.shard(of: broker.shardCount)].append(item)
                } else {
                    var finding = Finding(item: item)
                    finding.error =
                        found == nil && call.version >= 13 ? .unknownTopicID : .unknownTopicOrPartition
                    refused.append(finding)
                }
            }
        }
    }

    // MARK: - Looking

    private func look() {
        findings = refused
        changedWhileLooking = false
        let asked = items.indices.filter { !items[$0].isEmpty }
        shardsAsked = asked.count
        guard !asked.isEmpty else { return judge() }
        // Each shard gets the whole limit; only one of them may exceed it with its first batch.
        for (order, shard) in asked.enumerated() {
            if shard == broker.index {
                gathered(broker.look(at: items[shard], limit: limit, isFirst: order == 0))
            } else {
                look(on: shard, isFirst: order == 0)
            }
        }
    }

    private func look(on shard: Int, isFirst: Bool) {
        let port = broker.ports[shard]
        let home = broker.ports[broker.index].loop
        let bound = NIOLoopBound(self, eventLoop: home)
        let wanted = items[shard]
        let limit = limit
        port.loop.execute {
            let found = port.broker.value.look(at: wanted, limit: limit, isFirst: isFirst)
            home.execute { bound.value.gathered(found) }
        }
    }

    private func gathered(_ found: [Finding]) {
        findings.append(contentsOf: found)
        shardsAsked -= 1
        if shardsAsked == 0 { judge() }
    }

    private func judge() {
        let size = findings.reduce(0) { $0 + $1.size }
        let isOver = isExpired || deadline <= broker.environment.now
        if isOver || size >= Int(request.minBytes) || findings.contains(where: { $0.error != .none }) || limit == 0 {
            answer()
        } else if changedWhileLooking {
            look()
        } else {
            wait()
        }
    }

    // MARK: - Waiting

    private func wait() {
        guard !isWaiting else { return }
        isWaiting = true
        broker.waitingFetches.append(self)
        broker.environment.wake(at: deadline)
        let watcher = CommitWatcher { [unowned self] in self.changed() }
        self.watcher = watcher
        for shard in items.indices where !items[shard].isEmpty {
            if shard == broker.index { broker.watch(items[shard], watcher) } else { watch(on: shard) }
        }
    }

    private func watch(on shard: Int) {
        let port = broker.ports[shard]
        let home = broker.ports[broker.index].loop
        let bound = NIOLoopBound(self, eventLoop: home)
        let wanted = items[shard]
        port.loop.execute {
            let watcher = CommitWatcher { home.execute { bound.value.changed() } }
            port.broker.value.watch(wanted, watcher)
            let kept = NIOLoopBound(watcher, eventLoop: port.loop)
            // A commit may have come between the look and the watch.
            home.execute { bound.value.watching(kept, on: shard) }
        }
    }

    private func watching(_ kept: NIOLoopBound<CommitWatcher>, on shard: Int) {
        remoteWatches[shard] = kept
        if call.isAnswered { stopWatching() } else { changed() }
    }

    private func changed() {
        guard !call.isAnswered else { return }
        if shardsAsked > 0 { changedWhileLooking = true } else { look() }
    }

    func expire() {
        isExpired = true
        if shardsAsked == 0, !call.isAnswered { look() }
    }

    private func stopWatching() {
        if let watcher {
            broker.unwatch(items[broker.index], watcher)
            self.watcher = nil
        }
        for shard in remoteWatches.keys.sorted() {
            guard let kept = remoteWatches.removeValue(forKey: shard) else { continue }
            let port = broker.ports[shard]
            let wanted = items[shard]
            port.loop.execute { port.broker.value.unwatch(wanted, kept.value) }
        }
    }

    // MARK: - The answer

    private func answer() {
        if isWaiting {
            broker.waitingFetches.removeAll { $0 === self }
            stopWatching()
        }
        findings.sort { ($0.item.topic, $0.item.place) < ($1.item.topic, $1.item.place) }
        var response = FetchResponse()
        var pieces: [[FetchPiece<Environment.Files.File>]] = []
        var next = findings.startIndex
        for (place, topic) in request.topics.enumerated() {
            var answer = FetchResponse.Topic()
            answer.name = topic.name
            answer.id = topic.id
            while next < findings.endIndex, findings[next].item.topic == place {
                answer.partitions.append(partition(findings[next], of: topic, pieces: &pieces, in: &response))
                next += 1
            }
            response.topics.append(answer)
        }
        call.reply(response, pieces: pieces)
    }

    private func partition(
        _ finding: Finding, of topic: FetchRequest.Topic, pieces: inout [[FetchPiece<Environment.Files.File>]],
        in response: inout FetchResponse
    ) -> FetchResponse.Partition {
        var answer = FetchResponse.Partition()
        answer.index = topic.partitions[finding.item.place].index
        answer.error = finding.error
        answer.highWatermark = finding.highWatermark
        // Without transactions everything below the high watermark is stable.
        answer.lastStableOffset = finding.highWatermark
        answer.logStartOffset = finding.logStart
        if finding.size > 0 {
            answer.records = .external(byteCount: finding.size)
            pieces.append(finding.pieces)
        } else {
            answer.records = .bytes(ByteBuffer())
        }
        if finding.error == .notLeaderOrFollower || finding.error == .fencedLeaderEpoch, call.version >= 16,
            let hint = broker.view.leaderHint(of: finding.item.partition)
        {
            answer.currentLeader = hint.leader
            if !response.nodeEndpoints.contains(where: { $0.nodeID == hint.endpoint.nodeID }) {
                response.nodeEndpoints.append(hint.endpoint)
            }
        }
        return answer
    }
}
