// SPDX-License-Identifier: Apache-2.0
import GodwitClient
import KafkaWire
import LogModel
import NIOCore

/// Many members of one consumer group (KIP-848), as their clients would speak for them.
///
/// A member heartbeats, takes each assignment at once, and confirms it with its next heartbeat, which it then sends
/// without waiting.
// SAFETY: every stored property is touched on the client's loop alone once `settle` was first called.
final class MemberLoad: @unchecked Sendable {
    struct Member {
        let id: String
        var epoch: Int32 = 0
        var owned: Set<Int32> = []
        var isIn = true
        /// What it owns is not what the coordinator has heard that it owns.
        var mustConfirm = false
        var isAsking = false
        var timer: Scheduled<Void>?
    }

    /// What happened to the others since `forget()`.
    struct Effects: Sendable {
        /// Members that a partition was taken from, or that were thrown out.
        var interrupted = 0
        /// Members that were given a partition.
        var gained = 0
        var heartbeats = 0
        /// Nanoseconds from the beginning until all partitions were owned again, and until all knew the new epoch.
        var ownedAfter: Int64 = 0
        var settledAfter: Int64 = 0
    }

    private let loop: any EventLoop
    private let lines: [RequestLine]
    private let group: String
    private let topic: TopicDescription
    /// Nanoseconds between a member's heartbeats; as the coordinator says when `nil`.
    private let pace: Int64?
    private(set) var members: [Member]
    private var effects = Effects()
    private var interrupted: Set<Int> = []
    private var gained: Set<Int> = []
    private var began = monotonicNanoseconds()
    private var lowestEpoch: Int32 = 1
    private var waiting: CheckedContinuation<Result<Effects, ClientError>, Never>?
    private var patience: Scheduled<Void>?
    private(set) var interval: Int32 = 0
    private var isOver = false

    init(
        _ client: KafkaClient, lines: [RequestLine], group: String, topic: TopicDescription, count: Int, pace: Int64?
    ) {
        precondition(!lines.isEmpty, "members need a connection")
        loop = client.eventLoop
        self.lines = lines
        self.group = group
        self.topic = topic
        self.pace = pace
        members = (0..<count).map { Member(id: "member-\($0)-\(UInt64.random(in: 0 ... .max))") }
    }

    // MARK: What the command does

    /// Has everybody join, and returns when all partitions are owned and all members know the same epoch.
    func join(patience: Span) async throws -> Effects {
        try await settle(patience) {
            for index in self.members.indices { self.beat(index) }
        }
    }

    /// Has one member leave, and returns when the others have settled.
    func leave(_ index: Int, patience: Span) async throws -> Effects {
        try await settle(patience) {
            self.members[index].isIn = false
            self.members[index].owned = []
            self.members[index].mustConfirm = false
            self.members[index].timer?.cancel()
            self.send(index, epoch: -1)
        }
    }

    /// Has a member that left join again.
    func rejoin(_ index: Int, patience: Span) async throws -> Effects {
        try await settle(patience) {
            self.members[index].isIn = true
            self.members[index].epoch = 0
            self.beat(index)
        }
    }

    /// A member that owns something; the one after `start`.
    func owner(after start: Int) async -> Int {
        await withCheckedContinuation { continuation in
            loop.execute {
                let order = self.members.indices.map { ($0 + start) % self.members.count }
                continuation.resume(returning: order.first { !self.members[$0].owned.isEmpty } ?? 0)
            }
        }
    }

    /// Ends the heartbeats; the members' sessions run out.
    func stop() {
        loop.execute {
            self.isOver = true
            for index in self.members.indices { self.members[index].timer?.cancel() }
        }
    }

    private func settle(_ patience: Span, _ begin: @escaping @Sendable () -> Void) async throws -> Effects {
        let result = await withCheckedContinuation { continuation in
            loop.execute {
                self.waiting = continuation
                self.effects = Effects()
                self.interrupted = []
                self.gained = []
                self.lowestEpoch = (self.members.map(\.epoch).max() ?? 0) + 1
                self.began = monotonicNanoseconds()
                self.patience = self.loop.scheduleTask(in: .nanoseconds(patience.nanoseconds)) {
                    self.finish(.failure(.timedOut(self.state)))
                }
                begin()
            }
        }
        return try result.get()
    }

    private var state: String {
        let owned = members.reduce(0) { $0 + $1.owned.count }
        let epochs = members.filter(\.isIn).map(\.epoch)
        return "\(owned) of \(topic.partitions.count) partitions are owned, epochs are \(epochs.min() ?? 0) to "
            + "\(epochs.max() ?? 0): the settling of \(group)"
    }

    // MARK: Heartbeats

    private func beat(_ index: Int) {
        guard !isOver, members[index].isIn, !members[index].isAsking else { return }
        members[index].timer?.cancel()
        send(index, epoch: members[index].epoch)
    }

    private func send(_ index: Int, epoch: Int32) {
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = group
        request.memberID = members[index].id
        request.memberEpoch = epoch
        if epoch == 0 {
            request.rebalanceTimeout = 60_000
            request.subscribedTopicNames = [topic.name]
        }
        if epoch == 0 || (epoch > 0 && members[index].mustConfirm) {
            var mine = ConsumerGroupPartitions()
            mine.topicID = topic.id ?? .zero
            mine.partitions = members[index].owned.sorted()
            request.topicPartitions = mine.partitions.isEmpty ? [] : [mine]
        }
        members[index].isAsking = true
        effects.heartbeats += 1
        lines[index % lines.count].send(request) { result in
            self.members[index].isAsking = false
            self.answered(index, result)
        }
    }

    private func answered(_ index: Int, _ result: Result<ConsumerGroupHeartbeatResponse, ClientError>) {
        guard !isOver else { return }
        switch result {
        case .failure(let error): finish(.failure(error))
        case .success(let answer) where answer.error == .none:
            // The answer to its farewell, or to what it had said before.
            guard members[index].isIn else { return check() }
            accept(index, answer)
        case .success(let answer)
        where answer.error == .fencedMemberEpoch || answer.error == .unknownMemberID:
            guard members[index].isIn else { return }
            interrupted.insert(index)
            members[index].epoch = 0
            members[index].owned = []
            beat(index)
        case .success(let answer):
            finish(.failure(.refused(answer.error, subject: group, message: answer.errorMessage)))
        }
    }

    private func accept(_ index: Int, _ answer: ConsumerGroupHeartbeatResponse) {
        let isFirst = members[index].epoch == 0
        members[index].epoch = answer.memberEpoch
        members[index].mustConfirm = false
        interval = answer.heartbeatInterval
        if let assignment = answer.assignment {
            let given = Set(assignment.topicPartitions.flatMap(\.partitions))
            let owned = members[index].owned
            if given != owned {
                if !owned.isSubset(of: given) { interrupted.insert(index) }
                if !given.isSubset(of: owned) { gained.insert(index) }
                members[index].owned = given
                members[index].mustConfirm = true
            }
        }
        check()
        if members[index].mustConfirm { return beat(index) }
        let full = pace ?? Int64(answer.heartbeatInterval) * 1_000_000
        // The first pause is of another length for each, so that they do not all speak at once ever after.
        let wait = isFirst ? full * Int64(index + 1) / Int64(members.count) : full
        members[index].timer = loop.scheduleTask(in: .nanoseconds(wait)) { self.beat(index) }
    }

    private func check() {
        guard waiting != nil else { return }
        let owned = members.reduce(0) { $0 + $1.owned.count }
        guard owned == topic.partitions.count else { return }
        let now = monotonicNanoseconds()
        if effects.ownedAfter == 0 { effects.ownedAfter = now - began }
        let present = members.lazy.filter(\.isIn)
        guard let epoch = present.map(\.epoch).max(), epoch >= lowestEpoch,
            present.allSatisfy({ $0.epoch == epoch && !$0.mustConfirm })
        else { return }
        guard Set(members.flatMap(\.owned)).count == owned else {
            return finish(.failure(.invalid("a partition of \(group) is owned twice")))
        }
        effects.settledAfter = now - began
        effects.interrupted = interrupted.count
        effects.gained = gained.count
        finish(.success(effects))
    }

    private func finish(_ result: Result<Effects, ClientError>) {
        patience?.cancel()
        patience = nil
        waiting?.resume(returning: result)
        waiting = nil
    }
}
