// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore

/// A member of a group of KIP-848: heartbeats, the partitions it owns, and their offsets. Lives on the client's loop.
///
/// Partitions go in three steps: reading stops and the reader is told; once it comes back, what it has processed is
/// committed; only then a heartbeat says that they are free.
final class GroupMembership {
    /// A partition as the coordinator names it.
    private struct Slot: Hashable {
        let topic: TopicID
        let partition: Int32
    }

    private let core: ClientCore
    private let group: String
    private let topics: [String]
    private let configuration: GroupConsumerConfiguration
    private let queue: EventQueue<GroupEvent>
    private let progress: GroupProgress
    private var reader: ConsumerCore?

    private var memberID = GroupMembership.freshMemberID()
    private var memberEpoch: Int32 = 0
    private var interval = TimeAmount.seconds(3)
    private var owned: [Slot: TopicPartition] = [:]
    /// What the coordinator last said this member may own.
    private var target: Set<Slot>?
    private var revoking: [Slot: TopicPartition]?
    private var isAdding = false
    private var isLooking = false
    private var committed: [TopicPartition: Int64] = [:]
    /// What the coordinator knows this member owns; `nil` when it has to be told everything anew.
    private var acknowledged: Set<Slot>?
    private var isBeating = false
    private var beatsAgain = false
    private var failingSince: NIODeadline?
    /// Counts the times of joining, so that answers to an earlier self are told apart.
    private var incarnation = 0
    private var isStopped = false
    private var nextBeat: Scheduled<Void>?
    private var nextCommit: Scheduled<Void>?

    init(
        _ core: ClientCore, group: String, topics: [String], _ configuration: GroupConsumerConfiguration,
        queue: EventQueue<GroupEvent>, progress: GroupProgress
    ) {
        self.core = core
        self.group = group
        self.topics = topics
        self.configuration = configuration
        self.queue = queue
        self.progress = progress
    }

    /// 128 random bits in the form of Kafka's own clients.
    private static func freshMemberID() -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        return String((0..<22).map { _ in alphabet[Int.random(in: 0..<64)] })
    }

    func start() {
        reader = ConsumerCore(core, configuration.fetching) { [weak self] result in
            guard let self, !self.isStopped else { return }
            switch result {
            case .success(.records(let chunk)): self.queue.put(.records(chunk))
            case .success(.end(let place, let offset)): self.queue.put(.end(place, offset: offset))
            case .failure(let error): self.fail(error)
            }
        }
        core.listen(self) { [weak self] in
            guard let self else { return }
            self.core.isClosed ? self.fail(.closed) : self.reconcile()
        }
        for topic in topics { core.follow(topic) }
        armCommit()
        beat()
    }

    // MARK: Heartbeats

    private func beatNow() {
        guard !isBeating else {
            beatsAgain = true
            return
        }
        beat()
    }

    private func beat() {
        guard !isStopped else { return }
        nextBeat?.cancel()
        nextBeat = nil
        isBeating = true
        beatsAgain = false
        let telling = Set(owned.keys)
        let mine = incarnation
        core.tryCoordinator(of: group, heartbeat(telling), verdict: { ($0.error, $0.errorMessage) }) {
            [weak self] result in
            guard let self, !self.isStopped, self.incarnation == mine else { return }
            self.isBeating = false
            switch result {
            case .failure(let error): self.beatFailed(error)
            case .success(let answer): self.take(answer, told: telling)
            }
        }
    }

    private func heartbeat(_ telling: Set<Slot>) -> ConsumerGroupHeartbeatRequest {
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = group
        request.memberID = memberID
        request.memberEpoch = memberEpoch
        request.instanceID = configuration.instanceID
        if acknowledged == nil {
            request.rackID = configuration.rackID
            request.rebalanceTimeout = Int32(clamping: configuration.rebalanceTimeout.nanoseconds / 1_000_000)
            request.subscribedTopicNames = topics
            request.serverAssignor = configuration.assignor
        }
        if acknowledged != telling {
            request.topicPartitions = Dictionary(grouping: telling, by: \.topic)
                .sorted { ($0.key.high, $0.key.low) < ($1.key.high, $1.key.low) }
                .map { topic, slots in
                    var entry = ConsumerGroupPartitions()
                    entry.topicID = topic
                    entry.partitions = slots.map(\.partition).sorted()
                    return entry
                }
        }
        return request
    }

    private func beatFailed(_ error: ClientError) {
        guard error.isRetriable else { return fail(error) }
        // Whether the coordinator took the last one in is not known: it is told everything again.
        acknowledged = nil
        let since = failingSince ?? .now()
        failingSince = since
        scheduleBeat(in: core.backoff(since: since))
    }

    private func take(_ answer: ConsumerGroupHeartbeatResponse, told: Set<Slot>) {
        switch answer.error {
        case .none: break
        case .unknownMemberID, .fencedMemberEpoch: return rejoin()
        default:
            return beatFailed(.refused(answer.error, subject: "group '\(group)'", message: answer.errorMessage))
        }
        failingSince = nil
        memberID = answer.memberID ?? memberID
        memberEpoch = answer.memberEpoch
        interval = .milliseconds(max(1, Int64(answer.heartbeatInterval)))
        acknowledged = told
        if let assignment = answer.assignment {
            target = Set(
                assignment.topicPartitions.flatMap { entry in
                    entry.partitions.map { Slot(topic: entry.topicID, partition: $0) }
                })
        }
        if beatsAgain { beat() } else { scheduleBeat(in: interval) }
        reconcile()
    }

    private func scheduleBeat(in pause: TimeAmount) {
        nextBeat?.cancel()
        let due = OnLoop({ [weak self] in self?.beatNow() }, core.loop)
        nextBeat = core.loop.scheduleTask(in: pause) { due.value() }
    }

    /// The group has gone on without this member: what it owned is somebody else's.
    private func rejoin() {
        incarnation += 1
        let places = owned.values.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
        owned.removeAll()
        target = nil
        revoking = nil
        isAdding = false
        acknowledged = nil
        memberEpoch = 0
        if !places.isEmpty {
            stopReading(Set(places))
            progress.forget(places)
            queue.put(.lost(places))
        }
        let since = failingSince ?? .now()
        failingSince = since
        scheduleBeat(in: core.backoff(since: since))
    }

    // MARK: Partitions

    /// Takes the next step from what is owned to what the coordinator wants.
    private func reconcile() {
        guard !isStopped, revoking == nil, !isAdding, let target else { return }
        let leaving = owned.filter { !target.contains($0.key) }
        if !leaving.isEmpty { return revoke(leaving) }
        var coming: [Slot: TopicPartition] = [:]
        for slot in target where owned[slot] == nil {
            guard let topic = core.map.name(of: slot.topic) else {
                lookAgain()
                continue
            }
            coming[slot] = TopicPartition(topic: topic, partition: slot.partition)
        }
        if !coming.isEmpty { add(coming) }
    }

    /// A topic that the metadata here does not have yet: a later one may.
    private func lookAgain() {
        guard !isLooking else { return }
        isLooking = true
        let due = OnLoop(
            { [weak self] in
                guard let self, !self.isStopped else { return }
                self.isLooking = false
                self.core.refresh()
            }, core.loop)
        core.loop.scheduleTask(in: max(core.configuration.retryBackoff, .milliseconds(100))) { due.value() }
    }

    private func revoke(_ leaving: [Slot: TopicPartition]) {
        revoking = leaving
        stopReading(Set(leaving.values))
        queue.put(.revoked(leaving.values.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }))
    }

    private func stopReading(_ places: Set<TopicPartition>) {
        reader?.unassign(places)
        for event in queue.remove(where: { $0.place.map(places.contains) ?? false }) {
            if case .records(let chunk) = event { reader?.consumed(chunk.bytes.readableBytes) }
        }
    }

    /// The reader has come back for more.
    func processed(_ event: GroupEvent) {
        switch event {
        case .records(let chunk): reader?.consumed(chunk.bytes.readableBytes)
        case .revoked: release()
        case .assigned, .end, .lost: break
        }
    }

    private func release() {
        guard let leaving = revoking, !isStopped else { return }
        let mine = incarnation
        let places = Set(leaving.values)
        let offsets = progress.processed().filter { places.contains($0.key) }
        let finish = { [weak self] (_: Result<Void, ClientError>) in
            // An offset that could not be committed means that the next owner reads again what was read.
            guard let self, self.incarnation == mine, !self.isStopped else { return }
            for slot in leaving.keys { self.owned[slot] = nil }
            self.progress.forget(places)
            for place in places { self.committed[place] = nil }
            self.revoking = nil
            self.beatNow()
            self.reconcile()
        }
        guard configuration.commitInterval != nil else { return finish(.success(())) }
        send(fresh(offsets), patience: .nanoseconds(configuration.rebalanceTimeout.nanoseconds / 2), then: finish)
    }

    /// Looks up where the group is in new partitions and begins to read there.
    private func add(_ coming: [Slot: TopicPartition], since: NIODeadline = .now()) {
        isAdding = true
        let mine = incarnation
        var request = OffsetFetchRequest(group: group, Array(coming.values))
        request.groups[0].memberID = memberID
        request.groups[0].memberEpoch = memberEpoch
        request.requireStable = true
        core.tryCoordinator(of: group, request, limit: OffsetFetchRequest.lastWithNames, verdict: \.verdict) {
            [weak self] result in
            guard let self, self.incarnation == mine, !self.isStopped else { return }
            let offsets = result.flatMap { answer in
                Result { () throws(ClientError) in try answer.offsets(of: self.group) }
            }
            switch offsets {
            case .success(let offsets): self.begin(coming, offsets)
            case .failure(let error) where self.mayRetry(error):
                let again = OnLoop(
                    { [weak self] in
                        guard let self, self.incarnation == mine, !self.isStopped else { return }
                        self.isAdding = false
                        self.reconcile()
                    }, self.core.loop)
                self.core.loop.scheduleTask(in: self.core.backoff(since: since)) { again.value() }
            case .failure(let error): self.fail(error)
            }
        }
    }

    private func begin(_ coming: [Slot: TopicPartition], _ offsets: [TopicPartition: CommittedOffset]) {
        isAdding = false
        owned.merge(coming) { $1 }
        let places = coming.values.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
        for place in places { committed[place] = offsets[place]?.offset }
        queue.put(.assigned(places))
        reader?.assign(
            places.map { place in
                (place, offsets[place].map { StartingPoint.offset($0.offset) } ?? configuration.offsetReset.start)
            })
        beatNow()
        reconcile()
    }

    /// Whether a request with a member's epoch may be sent again: with a newer epoch, or after the next heartbeat has
    /// found out that a new membership begins.
    private func mayRetry(_ error: ClientError) -> Bool {
        if case .refused(let code, _, _) = error {
            switch code {
            case .staleMemberEpoch, .unknownMemberID, .fencedMemberEpoch: return true
            default: break
            }
        }
        return error.isRetriable
    }

    // MARK: Offsets

    /// Commits offsets of owned partitions for the reader.
    func commit(_ offsets: [TopicPartition: Int64], then: @escaping (Result<Void, ClientError>) -> Void) {
        guard !isStopped else { return then(.failure(.closed)) }
        send(fresh(offsets), patience: core.configuration.deliveryTimeout, then: then)
    }

    /// Those that are owned and not committed yet.
    private func fresh(_ offsets: [TopicPartition: Int64]) -> [TopicPartition: Int64] {
        let mine = Set(owned.values)
        return offsets.filter { mine.contains($0.key) && committed[$0.key] != $0.value }
    }

    private func send(
        _ offsets: [TopicPartition: Int64], patience: TimeAmount, since: NIODeadline = .now(),
        then: @escaping (Result<Void, ClientError>) -> Void
    ) {
        guard !offsets.isEmpty else { return then(.success(())) }
        let mine = incarnation
        var request = OffsetCommitRequest(group: group, offsets.mapValues { CommittedOffset(offset: $0) })
        request.generationIDOrMemberEpoch = memberEpoch
        request.memberID = memberID
        request.groupInstanceID = configuration.instanceID
        let limit = OffsetCommitRequest.lastWithNames
        core.tryCoordinator(of: group, request, limit: limit, verdict: { ($0.coordinatorError, nil) }) {
            [weak self] result in
            guard let self else { return then(.failure(.closed)) }
            let checked = result.flatMap { answer in
                Result { () throws(ClientError) in try answer.check(self.group) }
            }
            guard case .failure(let error) = checked else {
                for (place, offset) in offsets where self.incarnation == mine { self.committed[place] = offset }
                return then(.success(()))
            }
            guard self.mayRetry(error), self.incarnation == mine, !self.core.isClosed, .now() < since + patience else {
                return then(.failure(error))
            }
            let again = OnLoop(
                { [weak self] in
                    guard let self, self.incarnation == mine else { return then(.failure(error)) }
                    self.send(offsets, patience: patience, since: since, then: then)
                }, self.core.loop)
            self.core.loop.scheduleTask(in: self.core.backoff(since: since)) { again.value() }
        }
    }

    private func armCommit() {
        guard let pause = configuration.commitInterval, !isStopped else { return }
        let due = OnLoop(
            { [weak self] in
                guard let self, !self.isStopped else { return }
                self.send(self.fresh(self.progress.processed()), patience: pause) { [weak self] _ in self?.armCommit() }
            }, core.loop)
        nextCommit = core.loop.scheduleTask(in: pause) { due.value() }
    }

    // MARK: The end

    func leave(then: @escaping () -> Void) {
        guard !isStopped else { return then() }
        let offsets = configuration.commitInterval == nil ? [:] : fresh(progress.processed())
        stop()
        // Leaving waits no longer than a moment: the session's end does the same.
        let patience = TimeAmount.seconds(2)
        send(offsets, patience: patience) { [self] _ in
            var request = ConsumerGroupHeartbeatRequest()
            request.groupID = group
            request.memberID = memberID
            request.instanceID = configuration.instanceID
            request.memberEpoch = configuration.instanceID == nil ? -1 : -2
            var isDone = false
            let finish = OnLoop(
                {
                    guard !isDone else { return }
                    isDone = true
                    then()
                }, core.loop)
            core.loop.scheduleTask(in: patience) { finish.value() }
            core.tryCoordinator(of: group, request, verdict: { ($0.error, nil) }) { _ in finish.value() }
        }
    }

    private func stop() {
        isStopped = true
        nextBeat?.cancel()
        nextCommit?.cancel()
        reader?.stop()
        core.unlisten(self)
    }

    private func fail(_ error: ClientError) {
        guard !isStopped else { return }
        stop()
        queue.fail(error)
    }
}
