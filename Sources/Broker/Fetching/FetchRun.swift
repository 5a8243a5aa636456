// SPDX-License-Identifier: Apache-2.0

import Disk
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
    private let minBytes: Int
    private let context: FetchSessions.Context
    private let wishes: [FetchWish]
    private let broker: Broker<Environment>
    private let terms: FetchTerms
    /// The items of each shard, and those that cannot be looked at anywhere.
    private var items: [[FetchItem]]
    private var refused: [Finding] = []
    private var findings: [Finding] = []
    private var shardsAsked = 0
    private var isWaiting = false
    private var isExpired = false
    private var changedWhileLooking = false
    /// The other voters have been asked, where that was needed.
    private var isConfirmed = false
    private var deposed: Set<PartitionID> = []
    private var watcher: CommitWatcher?
    private var remoteWatches: [Int: NIOLoopBound<CommitWatcher>] = [:]

    init(
        _ call: Call<Environment.Files>, request: FetchRequest, opening: FetchSessions.Opening,
        broker: Broker<Environment>
    ) {
        self.call = call
        self.broker = broker
        context = opening.context
        wishes = opening.wishes
        minBytes = Int(request.minBytes)
        let wait = min(UInt64(max(0, request.maxWait)) * 1_000_000, broker.settings.fetchWaitLimit)
        deadline = call.arrived.advanced(byNanoseconds: wait)
        terms = FetchTerms(
            limit: min(Int(max(0, request.maxBytes)), broker.settings.fetchLimit),
            allowsFollower: call.version >= 11, rack: request.rackID, arrived: call.arrived)
        items = Array(repeating: [], count: broker.shardCount)
    }

    func start() {
        sortOut()
        look()
    }

    private func sortOut() {
        for (place, wish) in wishes.enumerated() {
            let topic =
                switch wish.key.topic {
                case .name(let name): broker.view.topic(named: name)
                case .id(let id): broker.view.topic(id: id)
                }
            guard let topic, topic.hasPartition(wish.key.index) else {
                var finding = Finding(place: place, partition: nil)
                finding.error = topic == nil && call.version >= 13 ? .unknownTopicID : .unknownTopicOrPartition
                refused.append(finding)
                continue
            }
            let partition = PartitionID(topic: topic.id, index: wish.key.index)
            items[partition.shard(of: broker.shardCount)].append(
                FetchItem(partition: partition, wish: wish, place: place))
        }
    }

    // MARK: - Looking

    private func look() {
        findings = refused
        changedWhileLooking = false
        let asked = items.indices.filter { !items[$0].isEmpty }
        shardsAsked = asked.count
        guard !asked.isEmpty else { return judge() }
        // Each shard gets the whole limit; what is too much together is left out of the answer.
        for shard in asked {
            if shard == broker.index { gathered(broker.look(at: items[shard], terms)) } else { look(on: shard) }
        }
    }

    private func look(on shard: Int) {
        let port = broker.ports[shard]
        let home = broker.ports[broker.index].loop
        let bound = NIOLoopBound(self, eventLoop: home)
        let wanted = items[shard]
        let terms = terms
        port.loop.execute {
            let found = port.broker.value.look(at: wanted, terms)
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
        // What is unknown to begin with does not cut the others' wait short, as with Kafka: it comes again and again.
        let hasNews = findings.count == refused.count || findings[refused.count...].contains { $0.isUrgent }
        if isOver || hasNews || size >= minBytes || terms.limit == 0 {
            if size == 0, !isConfirmed { confirm() } else { answer() }
        } else if changedWhileLooking {
            look()
        } else {
            wait()
        }
    }

    // MARK: - Certainty

    /// To say that there is nothing more, a leader must be one: otherwise whoever leads instead may have taken in more
    /// long ago. Heartbeats answer that by themselves while a fetch waits; one that does not wait has them asked.
    private func confirm() {
        isConfirmed = true
        let uncertain = findings.filter(\.isUncertain).compactMap(\.partition)
        guard !uncertain.isEmpty else { return answer() }
        // One more than are out, until all have been asked.
        shardsAsked += 1
        for shard in items.indices {
            let asked = uncertain.filter { $0.shard(of: broker.shardCount) == shard }
            guard !asked.isEmpty else { continue }
            shardsAsked += 1
            if shard == broker.index {
                broker.confirm(asked) { self.confirmed(deposed: $0) }
            } else {
                confirm(asked, on: shard)
            }
        }
        confirmed(deposed: [])
    }

    private func confirm(_ asked: [PartitionID], on shard: Int) {
        let port = broker.ports[shard]
        let home = broker.ports[broker.index].loop
        let bound = NIOLoopBound(self, eventLoop: home)
        port.loop.execute {
            port.broker.value.confirm(asked) { deposed in home.execute { bound.value.confirmed(deposed: deposed) } }
        }
    }

    private func confirmed(deposed: Set<PartitionID>) {
        self.deposed.formUnion(deposed)
        shardsAsked -= 1
        guard shardsAsked == 0, !call.isAnswered else { return }
        guard !changedWhileLooking || isExpired else { return look() }
        for place in findings.indices where findings[place].partition.map({ self.deposed.contains($0) }) ?? false {
            findings[place].error = .notLeaderOrFollower
        }
        answer()
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
        findings.sort { $0.place < $1.place }
        var answers = FetchAnswers<Environment.Files>(limit: terms.limit)
        var response = FetchResponse()
        switch context {
        case .sessionless:
            for finding in findings { add(finding, to: &answers) }
        case .full:
            let session = broker.fetchSessions.create(
                wishes, usesTopicIDs: call.version >= 13, now: broker.environment.now)
            response.sessionID = session?.id ?? 0
            for finding in findings {
                let told = add(finding, to: &answers)
                _ = session?.tells(told, of: wishes[finding.place].key)
            }
        case .incremental(let session, let epoch):
            guard session.epoch == epoch else {
                // The client has given this request up and sent another one.
                response.error = .invalidFetchSessionEpoch
                return call.reply(response)
            }
            response.sessionID = session.id
            for finding in findings { add(finding, to: &answers, ifNewsIn: session) }
        }
        response.topics = answers.topics
        response.nodeEndpoints = answers.nodeEndpoints
        call.reply(response, pieces: answers.pieces)
    }

    @discardableResult
    private func add(
        _ finding: Finding, to answers: inout FetchAnswers<Environment.Files>, ifNewsIn session: FetchSession? = nil
    ) -> FetchResponse.Partition {
        let key = wishes[finding.place].key
        var finding = finding
        answers.cut(&finding)
        var partition = FetchResponse.Partition(finding, index: key.index)
        if let session, !session.tells(partition, of: key) { return partition }
        if finding.error == .notLeaderOrFollower || finding.error == .fencedLeaderEpoch, call.version >= 16,
            let id = finding.partition, let hint = broker.view.leaderHint(of: id)
        {
            partition.currentLeader = hint.leader
            answers.note(hint.endpoint)
        }
        answers.append(partition, of: key.topic, pieces: finding.pieces)
        return partition
    }
}

/// The parts of an answer, put together in order.
private struct FetchAnswers<Files: FileSystem> {
    private(set) var topics: [FetchResponse.Topic] = []
    private(set) var pieces: [[FetchPiece<Files.File>]] = []
    private(set) var nodeEndpoints: [NodeEndpoint] = []
    private var last: FetchTopic?
    private var left: Int
    private var isEmpty = true

    init(limit: Int) { left = limit }

    /// Leaves out records for which there is no room: several shards may each have filled the whole answer. Only the
    /// first batch of all may be too long (KIP-74).
    mutating func cut(_ finding: inout FetchFinding<Files>) {
        guard finding.size > 0 else { return }
        guard finding.size <= left || isEmpty else {
            finding.size = 0
            finding.pieces = []
            return
        }
        left = max(0, left - finding.size)
        isEmpty = false
    }

    mutating func append(
        _ partition: FetchResponse.Partition, of topic: FetchTopic, pieces found: [FetchPiece<Files.File>]
    ) {
        if last != topic {
            var answer = FetchResponse.Topic()
            switch topic {
            case .name(let name): answer.name = name
            case .id(let id): answer.id = id
            }
            topics.append(answer)
            last = topic
        }
        topics[topics.count - 1].partitions.append(partition)
        if !found.isEmpty { pieces.append(found) }
    }

    mutating func note(_ endpoint: NodeEndpoint) {
        guard !nodeEndpoints.contains(where: { $0.nodeID == endpoint.nodeID }) else { return }
        nodeEndpoints.append(endpoint)
    }
}

extension FetchResponse.Partition {
    fileprivate init<Files>(_ finding: FetchFinding<Files>, index: Int32) {
        self.init()
        self.index = index
        error = finding.error
        highWatermark = finding.highWatermark
        // Without transactions everything below the high watermark is stable.
        lastStableOffset = finding.highWatermark
        logStartOffset = finding.logStart
        preferredReadReplica = finding.nearer?.rawValue ?? -1
        if let end = finding.divergence {
            var diverging = FetchResponse.DivergingEpoch()
            diverging.epoch = end.epoch
            diverging.endOffset = end.offset.rawValue
            divergingEpoch = diverging
        }
        records = finding.size > 0 ? .external(byteCount: finding.size) : .bytes(ByteBuffer())
    }
}
