// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

@testable import GroupCore

/// A coordinator with groups of the consumer protocol, a clock that only the test moves, and the coordinator's log.
struct ConsumerTestbed {
    var core: GroupCoordinator
    var settings: GroupSettings
    private(set) var topics: TopicsImage
    private(set) var now = Moment(nanoseconds: 5_000_000_000)
    private(set) var log: [GroupRecord] = []
    var replies: [UInt64: GroupReply] = [:]
    private var lastCall: UInt64 = 0

    /// `orders` with 6 partitions and `payments` with 3, unless said otherwise.
    static func image(_ partitions: [String: Int] = ["orders": 6, "payments": 3]) -> TopicsImage {
        TopicsImage(
            partitions.map { name, count in
                let id = TopicID(high: 5, low: name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
                return .init(id: id, name: name, partitionRacks: Array(repeating: [], count: count))
            })
    }

    init(settings: GroupSettings = .init(), topics: TopicsImage = image(), log: [GroupRecord] = [], seed: UInt64 = 1) {
        self.settings = settings
        self.topics = topics
        self.log = log
        core = Self.loading(log, settings, topics, seed)
        load()
    }

    private static func loading(
        _ log: [GroupRecord], _ settings: GroupSettings, _ topics: TopicsImage, _ seed: UInt64
    ) -> GroupCoordinator {
        var core = GroupCoordinator(settings: settings, seed: seed, topics: topics)
        for record in log {
            core.replay(key: record.key, value: record.value, timestamp: Timestamp(milliseconds: 0))
        }
        return core
    }

    private mutating func load() {
        var effects = GroupEffects()
        core.loaded(now: now, wallClock: wallClock, into: &effects)
        take(effects)
    }

    /// Another node takes over, with nothing but the log.
    mutating func failOver(seed: UInt64 = 99) {
        core = Self.loading(log, settings, topics, seed)
        load()
    }

    /// The log as compaction leaves it: the last record of each key.
    var compacted: [GroupRecord] {
        var last: [ByteBuffer: Int] = [:]
        for (place, record) in log.enumerated() { last[record.key] = place }
        return last.values.sorted().map { log[$0] }
    }

    private var wallClock: Timestamp {
        Timestamp(milliseconds: 1_700_000_000_000 + Int64(now.nanoseconds / 1_000_000))
    }

    private mutating func take(_ effects: GroupEffects) {
        log += effects.records
        for (call, reply) in effects.replies { replies[call] = reply }
    }

    mutating func send(_ request: GroupRequest, version: Int16 = 1) -> UInt64 {
        lastCall += 1
        let call = GroupCall(id: lastCall, version: version, clientID: "client", clientHost: "/127.0.0.1")
        var effects = GroupEffects()
        core.handle(request, of: call, now: now, wallClock: wallClock, into: &effects)
        take(effects)
        return lastCall
    }

    mutating func advance(milliseconds: Int) {
        let end = now.advanced(byMilliseconds: milliseconds)
        while let due = core.deadline, due <= end {
            now = max(now, due)
            var effects = GroupEffects()
            core.tick(now: now, wallClock: wallClock, into: &effects)
            take(effects)
        }
        now = end
    }

    mutating func change(topics image: TopicsImage) {
        topics = image
        var effects = GroupEffects()
        core.topicsChanged(image, now: now, wallClock: wallClock, into: &effects)
        take(effects)
    }

    // MARK: Requests

    mutating func heartbeat(
        _ member: String, _ epoch: Int32, group: String = "g", owned: PartitionSet? = nil, version: Int16 = 1,
        _ change: (inout ConsumerGroupHeartbeatRequest) -> Void = { _ in }
    ) -> ConsumerGroupHeartbeatResponse {
        var request = ConsumerGroupHeartbeatRequest()
        request.groupID = group
        request.memberID = member
        request.memberEpoch = epoch
        request.topicPartitions = owned?.wire
        change(&request)
        let call = send(.consumerGroupHeartbeat(request), version: version)
        guard case .consumerGroupHeartbeat(let response)? = replies.removeValue(forKey: call) else {
            Issue.record("a heartbeat is answered at once")
            return ConsumerGroupHeartbeatResponse()
        }
        return response
    }

    /// A first heartbeat.
    mutating func join(
        _ member: String, topics: [String]? = ["orders"], regex: String? = nil, instance: String? = nil,
        assignor: String? = nil, group: String = "g", rebalance: Int32 = 30_000, version: Int16 = 1
    ) -> ConsumerGroupHeartbeatResponse {
        heartbeat(member, 0, group: group, owned: PartitionSet(), version: version) { request in
            request.subscribedTopicNames = topics
            request.subscribedTopicRegex = regex
            request.instanceID = instance
            request.serverAssignor = assignor
            request.rebalanceTimeout = rebalance
        }
    }

    mutating func describe(_ group: String = "g") -> ConsumerGroupDescribeResponse.Group {
        let call = send(.consumerGroupDescribe(group))
        guard case .consumerGroupDescribe(let description)? = replies.removeValue(forKey: call) else {
            Issue.record("a description is given at once")
            return .init()
        }
        return description
    }

    mutating func explain(_ group: String = "g") -> GroupExplanation {
        let call = send(.explain(group))
        guard case .explain(let explanation)? = replies.removeValue(forKey: call) else {
            Issue.record("an explanation is given at once")
            return .init()
        }
        return explanation
    }

    mutating func commit(
        _ member: String, _ epoch: Int32, group: String = "g", version: Int16 = 9
    ) -> ErrorCode? {
        var request = OffsetCommitRequest()
        request.groupID = group
        request.memberID = member
        request.generationIDOrMemberEpoch = epoch
        var topic = OffsetCommitRequest.Topic()
        topic.name = "orders"
        var partition = OffsetCommitRequest.Partition()
        partition.committedOffset = 5
        topic.partitions = [partition]
        request.topics = [topic]
        let call = send(.offsetCommit(request), version: version)
        guard case .offsetCommit(let response)? = replies.removeValue(forKey: call) else { return nil }
        return response.topics.first?.partitions.first?.error
    }

    mutating func fetch(_ member: String?, _ epoch: Int32, group: String = "g") -> ErrorCode? {
        var request = OffsetFetchRequest.Group()
        request.groupID = group
        request.memberID = member
        request.memberEpoch = epoch
        let call = send(.offsetFetch(request, requireStable: false), version: 9)
        guard case .offsetFetch(let response)? = replies.removeValue(forKey: call) else { return nil }
        return response.error
    }

    func group(_ id: String = "g") -> ConsumerGroup? {
        guard let place = core.table.place(of: id), case .consumer(let group)? = core.table[place] else { return nil }
        return group
    }

    func set(_ topic: String, _ partitions: [Int32]) -> PartitionSet {
        PartitionSet([
            AssignedTopicPartitions(topicID: topics.topic(named: topic)?.id ?? .zero, partitions: partitions)
        ])
    }
}

extension ConsumerGroupHeartbeatResponse {
    /// What it says the member may have; `nil` when it says nothing of it.
    var partitions: PartitionSet? { assignment.map { PartitionSet($0.topicPartitions) } }
}

// MARK: The classic protocol

extension ConsumerTestbed {
    static func subscription(_ topics: [String], owned: [String: [Int32]] = [:], version: Int16 = 1) -> ByteBuffer {
        var subscription = ConsumerProtocolSubscription()
        subscription.topics = topics
        subscription.ownedPartitions = owned.sorted { $0.key < $1.key }.map {
            var item = ConsumerProtocolTopicPartitions()
            item.topic = $0.key
            item.partitions = $0.value
            return item
        }
        return (try? subscription.encode(version: version)) ?? ByteBuffer()
    }

    mutating func joinClassic(
        _ member: String, group: String = "g", topics: [String] = ["orders"], owned: [String: [Int32]] = [:],
        instance: String? = nil, protocols: [String] = ["range"], version: Int16 = 9, type: String = "consumer"
    ) -> UInt64 {
        var request = JoinGroupRequest()
        request.groupID = group
        request.memberID = member
        request.groupInstanceID = instance
        request.sessionTimeout = 10_000
        request.rebalanceTimeout = 30_000
        request.protocolType = type
        request.protocols = protocols.map { name in
            var item = JoinGroupRequest.JoinProtocol()
            item.name = name
            item.metadata = Self.subscription(topics, owned: owned)
            return item
        }
        return send(.joinGroup(request), version: version)
    }

    mutating func joined(_ call: UInt64) -> JoinGroupResponse? {
        guard case .joinGroup(let response)? = replies[call] else { return nil }
        replies[call] = nil
        return response
    }

    /// Joins a consumer group as a new member of the classic protocol, with the id that it is given.
    mutating func joinClassicTwice(topics: [String] = ["orders"]) -> JoinGroupResponse? {
        let first = joined(joinClassic("", topics: topics))
        #expect(first?.error == .memberIDRequired)
        return joined(joinClassic(first?.memberID ?? "", topics: topics))
    }

    mutating func syncClassic(
        _ member: String, _ generation: Int32, group: String = "g", instance: String? = nil,
        assignments: [String: ByteBuffer] = [:], name: String = "range"
    ) -> UInt64 {
        var request = SyncGroupRequest()
        request.groupID = group
        request.memberID = member
        request.generationID = generation
        request.groupInstanceID = instance
        request.protocolType = "consumer"
        request.protocolName = name
        request.assignments = assignments.sorted { $0.key < $1.key }.map {
            var item = SyncGroupRequest.Assignment()
            item.memberID = $0.key
            item.assignment = $0.value
            return item
        }
        return send(.syncGroup(request), version: 5)
    }

    mutating func synced(_ call: UInt64) -> SyncGroupResponse? {
        guard case .syncGroup(let response)? = replies[call] else { return nil }
        replies[call] = nil
        return response
    }

    func partitions(_ assignment: ByteBuffer) -> PartitionSet {
        guard assignment.readableBytes > 0, let data = try? ConsumerProtocolAssignment.decode(assignment).data else {
            return PartitionSet()
        }
        return data.assignedPartitions.reduce(PartitionSet()) { $0.union(set($1.topic, $1.partitions)) }
    }

    mutating func heartbeatClassic(
        _ member: String, _ generation: Int32, group: String = "g", instance: String? = nil
    ) -> ErrorCode? {
        var request = HeartbeatRequest()
        request.groupID = group
        request.memberID = member
        request.generationID = generation
        request.groupInstanceID = instance
        let call = send(.heartbeat(request), version: 4)
        guard case .heartbeat(let response)? = replies.removeValue(forKey: call) else { return nil }
        return response.error
    }

    mutating func leaveClassic(_ member: String, instance: String? = nil, group: String = "g") -> ErrorCode? {
        var request = LeaveGroupRequest()
        request.groupID = group
        var leaver = LeaveGroupRequest.Member()
        leaver.memberID = member
        leaver.groupInstanceID = instance
        request.members = [leaver]
        let call = send(.leaveGroup(request), version: 5)
        guard case .leaveGroup(let response)? = replies.removeValue(forKey: call) else { return nil }
        return response.members.first?.error
    }
}
