// SPDX-License-Identifier: Apache-2.0

import Broker
import GroupCore
import KafkaWire
import LogModel
import LogStorage
import RecordBatches
import Replication

/// One member of a group: a process that reads what it is assigned and commits as it goes.
///
/// What the two protocols share is here. A subclass begins with `begin`, says which partitions are its own by
/// `own(_:)`, and hears of commits that were refused by `commitRefused(_:)`.
class GroupMember {
    /// Where it stands in a partition that is its own.
    struct Position {
        /// `nil` until it knows where its group stands.
        var next: Int64?
        var committed: Int64 = -1
    }

    unowned let world: GroupWorld
    let group: Int
    /// Kafka's `group.instance.id`.
    let instance: String?
    let client: GroupClient
    /// Counts starts.
    private(set) var life = 0
    private(set) var isUp = false
    /// It was told to stop, and is not gone yet: a pause can keep it for long.
    private var isStopping = false
    /// It was told to start while it was stopping.
    private var startsAgain = false
    private(set) var pausedUntil: UInt64 = 0
    private var coordinator: Int?
    private(set) var positions: [Int32: Position] = [:]
    private var isCommitting = false
    private var isFetchingOffsets = false

    init(in world: GroupWorld, group: Int, number: Int, isStatic: Bool) {
        self.world = world
        self.group = group
        let name = "g\(group)m\(number)"
        instance = isStatic ? name : nil
        client = GroupClient(name: name, nodes: world.cluster.nodeCount)
    }

    var cluster: any GroupStage { world.cluster }
    var climate: GroupClimate { world.climate }
    var owned: [Int32] { positions.keys.sorted() }

    // MARK: - What a protocol adds

    /// Joins the group.
    func begin() {}
    /// Leaves it, on the way out.
    func leave() {}
    /// The generation or epoch it is in; −1 outside.
    var epoch: Int32 { -1 }
    var memberID: String { "" }
    /// Tells a coordinator who asks for offsets, where the protocol has that.
    func sign(_ request: inout OffsetFetchRequest.Group) {}
    /// A commit or a fetch of offsets was refused for good: the member is not what it thinks it is.
    func refused(_ error: ErrorCode) {}

    // MARK: - Life

    /// Starts it; what is on its way out starts again once it is gone, as under a supervisor.
    func start() {
        guard !isUp else {
            startsAgain = isStopping
            return
        }
        isUp = true
        life += 1
        pausedUntil = 0
        cluster.say("\(client.name) starts")
        begin()
        schedulePoll()
        scheduleCommit()
    }

    /// The process is gone.
    func crash() {
        guard isUp else { return }
        cluster.say("\(client.name) ends")
        isUp = false
        isStopping = false
        life += 1
        forgetPositions()
        coordinator = nil
        isCommitting = false
        isFetchingOffsets = false
        for place in client.connections.indices { world.breakConnection(of: client, to: place) }
        guard startsAgain else { return }
        startsAgain = false
        cluster.schedule(after: backoff) { self.start() }
    }

    /// It says goodbye, and ends soon whether or not it was heard.
    func stop() {
        guard isUp else { return }
        isStopping = true
        startsAgain = false
        commit { [self] in
            leave()
            after(60_000_000) { self.crash() }
        }
    }

    func pause(for span: UInt64) {
        cluster.say("\(client.name) pauses for \(span / 1_000_000) ms")
        pausedUntil = max(pausedUntil, cluster.now + span)
    }

    /// Does something later in this life, and not while it is paused.
    func after(_ delay: UInt64, _ work: @escaping () -> Void) {
        let life = life
        cluster.schedule(after: delay) { self.awake(life, work) }
    }

    private func awake(_ life: Int, _ work: @escaping () -> Void) {
        guard life == self.life else { return }
        guard pausedUntil <= cluster.now else {
            return cluster.schedule(after: pausedUntil - cluster.now) { self.awake(life, work) }
        }
        work()
    }

    // MARK: - Its coordinator

    /// - Parameter then: told the reply; `nil` when there was none, and the request may be tried again.
    func ask(_ request: GroupRequest, version: Int16, then: @escaping (GroupReply?) -> Void) {
        let place = coordinator ?? cluster.likelyLeader(of: world.offsetsNumber(of: group))
        let life = life
        world.ask(request, version: version, of: group, from: client, at: place, epoch: epoch) { outcome in
            self.awake(life) {
                switch outcome {
                case .answer(.reply(let reply)):
                    self.coordinator = place
                    then(reply)
                case .answer(.refused(.coordinatorLoadInProgress)): then(nil)
                case .answer(.refused), .lost:
                    if self.coordinator == place { self.coordinator = nil }
                    then(nil)
                }
            }
        }
    }

    var backoff: UInt64 { 5_000_000 + cluster.random.span(mean: 20_000_000) }

    /// Ends the run: a reply that no correct coordinator gives.
    func surprised(by error: ErrorCode, to what: String) {
        cluster.broke(Violation(.requestsEnd, "\(client.name) was answered \(error) to \(what)"))
    }

    // MARK: - Partitions

    /// Makes these its partitions; where it stands in new ones is asked first.
    func own(_ partitions: [Int32]) {
        for partition in positions.keys where !partitions.contains(partition) { positions[partition] = nil }
        for partition in partitions where positions[partition] == nil { positions[partition] = Position() }
        fetchOffsets()
    }

    func forgetPositions() { positions = [:] }

    private func fetchOffsets() {
        let unknown = owned.filter { positions[$0]?.next == nil }
        guard !unknown.isEmpty, !isFetchingOffsets, isUp else { return }
        isFetchingOffsets = true
        var request = OffsetFetchRequest.Group()
        request.groupID = world.name(of: group)
        var topic = OffsetFetchRequest.Topic()
        topic.name = GroupWorld.topicName
        topic.partitions = unknown
        request.topics = [topic]
        sign(&request)
        let asked = epoch
        ask(.offsetFetch(request, requireStable: true), version: 9) { [self] reply in
            isFetchingOffsets = false
            guard case .offsetFetch(let response)? = reply, epoch == asked, response.error == .none else {
                if case .offsetFetch(let response)? = reply, response.error != .none { refused(response.error) }
                return after(backoff) { self.fetchOffsets() }
            }
            for answer in response.topics.flatMap(\.partitions) where positions[answer.index]?.next == nil {
                guard positions[answer.index] != nil else { continue }
                positions[answer.index]?.next = max(0, answer.committedOffset)
                positions[answer.index]?.committed = answer.committedOffset
            }
            fetchOffsets()
        }
    }

    // MARK: - Reading

    private func schedulePoll() {
        after(1 + cluster.random.span(mean: climate.pollInterval)) {
            for partition in self.owned { self.poll(partition) }
            self.schedulePoll()
        }
    }

    private func poll(_ partition: Int32) {
        guard let next = positions[partition]?.next else { return }
        let place = cluster.likelyLeader(of: Int(partition))
        guard cluster.isAwake(place) else { return }
        let spot = world.place(group, partition)
        do {
            let limit = cluster.isCalm ? 200_000 : cluster.random.within(1...6_000)
            let found = try cluster.read(Int(partition), at: place, from: next, limit: ByteCount(Int64(limit)))
            guard let last = found?.last, last.nextOffset.rawValue > next else { return }
            try world.checks.read(from: next, to: last.nextOffset.rawValue, at: spot)
            positions[partition]?.next = last.nextOffset.rawValue
        } catch let error as Violation {
            cluster.broke(error)
        } catch LogError.outOfRange(let available) {
            guard available.lowerBound.rawValue > next else { return }
            world.checks.lost(before: available.lowerBound.rawValue, at: spot)
            positions[partition]?.next = available.lowerBound.rawValue
        } catch {
            cluster.broke(Violation(.noLoss, "n\(place) cannot serve \(next): \(error)"))
        }
    }

    // MARK: - Committing

    private func scheduleCommit() {
        after(1 + cluster.random.span(mean: climate.commitInterval)) {
            self.commit()
            self.scheduleCommit()
        }
    }

    /// Commits how far it has read, where that is further than what it committed.
    func commit(then: @escaping () -> Void = {}) {
        let moved = positions.filter { ($0.value.next ?? -1) > max(0, $0.value.committed) }.keys.sorted()
        guard epoch >= 0, !isCommitting, !moved.isEmpty else { return then() }
        isCommitting = true
        var request = OffsetCommitRequest()
        request.groupID = world.name(of: group)
        request.generationIDOrMemberEpoch = epoch
        request.memberID = memberID
        request.groupInstanceID = instance
        var topic = OffsetCommitRequest.Topic()
        topic.name = GroupWorld.topicName
        topic.partitions = moved.map { partition in
            var item = OffsetCommitRequest.Partition()
            item.index = partition
            item.committedOffset = positions[partition]?.next ?? 0
            item.committedMetadata = "w\(world.newWrite())"
            return item
        }
        request.topics = [topic]
        ask(.offsetCommit(request), version: 9) { [self] reply in
            isCommitting = false
            if case .offsetCommit(let response)? = reply { committed(request, response) }
            then()
        }
    }

    private func committed(_ request: OffsetCommitRequest, _ response: OffsetCommitResponse) {
        var refusal: ErrorCode?
        for answer in response.topics.flatMap(\.partitions) {
            let sent = request.topics.flatMap(\.partitions).first { $0.index == answer.index }
            switch answer.error {
            case .none: positions[answer.index]?.committed = sent?.committedOffset ?? -1
            case .unknownMemberID, .illegalGeneration, .rebalanceInProgress, .fencedInstanceID, .staleMemberEpoch,
                .fencedMemberEpoch:
                refusal = answer.error
            case .groupIDNotFound where world.deletedGroups.contains(group): refusal = answer.error
            // The coordinator's node has not heard yet that the topic has grown: the next commit has it again.
            case .unknownTopicOrPartition where climate.expands || cluster.mayKnowTopicsLate: break
            default: surprised(by: answer.error, to: "a commit")
            }
        }
        if let refusal, request.generationIDOrMemberEpoch == epoch { refused(refusal) }
    }

    /// Everything in its partitions is read and committed.
    func hasDrained(_ ends: [Int64]) -> Bool {
        positions.allSatisfy { partition, position in
            position.next == ends[Int(partition)] && position.committed == max(position.next ?? 0, 0)
                || position.next == 0 && ends[Int(partition)] == 0
        }
    }
}
