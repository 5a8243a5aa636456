// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Settings
import Testing

@testable import GroupCore

/// A coordinator with a clock that only the test moves, and the log that its records would be in.
struct TestCoordinator {
    static let epoch: Int64 = 1_700_000_000_000

    var core: GroupCoordinator
    private(set) var now = Moment(nanoseconds: 5_000_000_000)
    private(set) var log: [GroupRecord] = []
    private(set) var replies: [UInt64: GroupReply] = [:]
    private var lastCall: UInt64 = 0
    let settings: GroupSettings
    var clientID = "client"

    static let topics = TopicsImage([
        .init(id: TopicID(high: 1, low: 1), name: "orders", partitionRacks: Array(repeating: [], count: 16)),
        .init(id: TopicID(high: 1, low: 2), name: "payments", partitionRacks: Array(repeating: [], count: 4)),
    ])

    init(settings: GroupSettings = .init(), topics: TopicsImage = topics, log: [GroupRecord] = [], seed: UInt64 = 1) {
        self.settings = settings
        self.log = log
        core = GroupCoordinator(settings: settings, seed: seed, topics: topics)
        for record in log {
            core.replay(key: record.key, value: record.value, timestamp: Timestamp(milliseconds: 0))
        }
        var effects = GroupEffects()
        core.loaded(now: now, wallClock: wallClock, into: &effects)
        take(effects)
    }

    /// The coordinator that another node would make of the log.
    func failedOver(seed: UInt64 = 2) -> TestCoordinator {
        var next = TestCoordinator(settings: settings, topics: core.topics, log: log, seed: seed)
        next.lastCall = lastCall + 1_000
        return next
    }

    var wallClock: Timestamp { Timestamp(milliseconds: Self.epoch + Int64(now.nanoseconds / 1_000_000)) }

    private mutating func take(_ effects: GroupEffects) {
        log += effects.records
        for (call, reply) in effects.replies {
            #expect(replies[call] == nil, "a call is answered once")
            replies[call] = reply
        }
    }

    mutating func send(_ request: GroupRequest, version: Int16) -> UInt64 {
        lastCall += 1
        let call = GroupCall(id: lastCall, version: version, clientID: clientID, clientHost: "/127.0.0.1")
        var effects = GroupEffects()
        core.handle(request, of: call, now: now, wallClock: wallClock, into: &effects)
        take(effects)
        return lastCall
    }

    /// Lets time pass, and ticks whenever the coordinator wants to.
    mutating func advance(milliseconds: Int64) {
        let end = now.advanced(byMilliseconds: milliseconds)
        var ticks = 0
        while let due = core.deadline, due <= end {
            now = max(now, due)
            tick()
            ticks += 1
            guard ticks < 1_000_000 else {
                Issue.record("time stands still")
                return
            }
        }
        now = end
    }

    mutating func tick() {
        var effects = GroupEffects()
        core.tick(now: now, wallClock: wallClock, into: &effects)
        take(effects)
    }

    mutating func topicsChange(to image: TopicsImage) {
        var effects = GroupEffects()
        core.topicsChanged(image, now: now, wallClock: wallClock, into: &effects)
        take(effects)
    }

    // MARK: The classic protocol

    mutating func join(
        _ group: String = "g", member: String = "", instance: String? = nil, protocols: [(String, String)]? = nil,
        type: String = "consumer", session: Int32 = 10_000, rebalance: Int32 = 60_000, version: Int16 = 9
    ) -> UInt64 {
        var request = JoinGroupRequest()
        request.groupID = group
        request.memberID = member
        request.groupInstanceID = instance
        request.protocolType = type
        request.sessionTimeout = session
        request.rebalanceTimeout = rebalance
        request.protocols = (protocols ?? [("range", "")]).map {
            var item = JoinGroupRequest.JoinProtocol()
            item.name = $0.0
            item.metadata = ByteBuffer(string: $0.1)
            return item
        }
        return send(.joinGroup(request), version: version)
    }

    /// Joins in two steps, as clients do since KIP-394. The second call waits for the rebalance.
    mutating func joinTwice(
        _ group: String = "g", protocols: [(String, String)]? = nil, session: Int32 = 10_000, rebalance: Int32 = 60_000
    ) -> (member: String, call: UInt64) {
        let first = join(group, protocols: protocols, session: session, rebalance: rebalance)
        let member = joined(first)?.memberID ?? ""
        #expect(joined(first)?.error == .memberIDRequired)
        return (
            member, join(group, member: member, protocols: protocols, session: session, rebalance: rebalance)
        )
    }

    func joined(_ call: UInt64) -> JoinGroupResponse? {
        guard case .joinGroup(let response)? = replies[call] else { return nil }
        return response
    }

    mutating func sync(
        _ group: String = "g", member: String, generation: Int32, instance: String? = nil,
        assignments: [String: String] = [:], type: String? = "consumer", name: String? = "range", version: Int16 = 5
    ) -> UInt64 {
        var request = SyncGroupRequest()
        request.groupID = group
        request.memberID = member
        request.groupInstanceID = instance
        request.generationID = generation
        request.protocolType = type
        request.protocolName = name
        request.assignments = assignments.sorted { $0.key < $1.key }.map {
            var item = SyncGroupRequest.Assignment()
            item.memberID = $0.key
            item.assignment = ByteBuffer(string: $0.value)
            return item
        }
        return send(.syncGroup(request), version: version)
    }

    func synced(_ call: UInt64) -> SyncGroupResponse? {
        guard case .syncGroup(let response)? = replies[call] else { return nil }
        return response
    }

    mutating func heartbeat(
        _ group: String = "g", member: String, generation: Int32, instance: String? = nil
    ) -> ErrorCode {
        var request = HeartbeatRequest()
        request.groupID = group
        request.memberID = member
        request.groupInstanceID = instance
        request.generationID = generation
        guard case .heartbeat(let response)? = replies[send(.heartbeat(request), version: 4)] else {
            Issue.record("a heartbeat is answered at once")
            return .unknownServerError
        }
        return response.error
    }

    mutating func leave(in group: String = "g", _ leavers: [(member: String, instance: String?)]) -> LeaveGroupResponse
    {
        var request = LeaveGroupRequest()
        request.groupID = group
        request.members = leavers.map {
            var item = LeaveGroupRequest.Member()
            item.memberID = $0.member
            item.groupInstanceID = $0.instance
            return item
        }
        guard case .leaveGroup(let response)? = replies[send(.leaveGroup(request), version: 5)] else {
            Issue.record("a leave is answered at once")
            return LeaveGroupResponse()
        }
        return response
    }

    /// A group of `count` members, first the leader, in generation 1. Each is assigned its own number.
    mutating func stableGroup(
        _ group: String = "g", count: Int, protocols: [(String, String)]? = nil, session: Int32 = 10_000,
        rebalance: Int32 = 60_000
    ) -> [String] {
        let calls = (0..<count).map { _ in
            joinTwice(group, protocols: protocols, session: session, rebalance: rebalance)
        }
        advance(milliseconds: Int64(settings.initialRebalanceDelay) * Int64(count + 1))
        let leader = calls.compactMap { joined($0.call)?.leader }.first ?? ""
        let members = [leader] + calls.map(\.member).filter { $0 != leader }
        let assignments = Dictionary(uniqueKeysWithValues: members.enumerated().map { ($1, "\($0)") })
        let name = (protocols ?? [("range", "")])[0].0
        let generation = calls.compactMap { joined($0.call)?.generationID }.first ?? 0
        for member in members.reversed() {
            let call = sync(
                group, member: member, generation: generation, assignments: member == leader ? assignments : [:],
                name: name)
            if member == leader { #expect(synced(call)?.error == ErrorCode.none) }
        }
        return members
    }

    func state(_ group: String = "g") -> String? { core.list().first { $0.groupID == group }?.groupState }

    mutating func describe(_ group: String = "g", version: Int16 = 6) -> DescribeGroupsResponse.Group {
        guard case .describeGroup(let description)? = replies[send(.describeGroup(group), version: version)] else {
            Issue.record("a description comes at once")
            return .init()
        }
        return description
    }

    mutating func delete(_ group: String) -> ErrorCode {
        guard case .deleteGroup(let result)? = replies[send(.deleteGroup(group), version: 2)] else {
            Issue.record("a deletion is answered at once")
            return .unknownServerError
        }
        return result.error
    }

    mutating func explain(_ group: String = "g") -> GroupExplanation {
        guard case .explain(let explanation)? = replies[send(.explain(group), version: 0)] else {
            Issue.record("an explanation comes at once")
            return .init()
        }
        return explanation
    }

    // MARK: Offsets

    mutating func commit(
        in group: String = "g", topic: String = "orders", _ offsets: [Int32: Int64], member: String = "",
        generation: Int32 = -1, instance: String? = nil, note: String? = "", retention: Int64 = -1, version: Int16 = 9
    ) -> [ErrorCode] {
        var request = OffsetCommitRequest()
        request.groupID = group
        request.memberID = member
        request.groupInstanceID = instance
        request.generationIDOrMemberEpoch = generation
        request.retentionTime = retention
        var item = OffsetCommitRequest.Topic()
        item.name = topic
        item.partitions = offsets.sorted { $0.key < $1.key }.map {
            var partition = OffsetCommitRequest.Partition()
            partition.index = $0.key
            partition.committedOffset = $0.value
            partition.committedMetadata = note
            return partition
        }
        request.topics = [item]
        guard case .offsetCommit(let response)? = replies[send(.offsetCommit(request), version: version)] else {
            return []
        }
        return response.topics.flatMap(\.partitions).map(\.error)
    }

    mutating func fetch(
        in group: String = "g", topic: String = "orders", _ partitions: [Int32]
    ) -> OffsetFetchResponse.Group {
        var item = OffsetFetchRequest.Topic()
        item.name = topic
        item.partitions = partitions
        return fetch(topicsOf: group, [item])
    }

    mutating func fetchAll(_ group: String = "g") -> [String: [Int32: Int64]] {
        let topics = fetch(topicsOf: group, nil).topics
        return Dictionary(
            uniqueKeysWithValues: topics.map { topic in
                (topic.name, Dictionary(uniqueKeysWithValues: topic.partitions.map { ($0.index, $0.committedOffset) }))
            })
    }

    private mutating func fetch(
        topicsOf group: String, _ topics: [OffsetFetchRequest.Topic]?
    ) -> OffsetFetchResponse.Group {
        var request = OffsetFetchRequest.Group()
        request.groupID = group
        request.topics = topics
        let call = send(.offsetFetch(request, requireStable: true), version: 9)
        guard case .offsetFetch(let response)? = replies[call] else {
            Issue.record("a fetch is answered at once")
            return .init()
        }
        return response
    }

    mutating func deleteOffsets(
        in group: String = "g", topic: String = "orders", _ partitions: [Int32]
    ) -> OffsetDeleteResponse {
        var request = OffsetDeleteRequest()
        request.groupID = group
        var item = OffsetDeleteRequest.Topic()
        item.name = topic
        item.partitions = partitions.map {
            var partition = OffsetDeleteRequest.Partition()
            partition.index = $0
            return partition
        }
        request.topics = [item]
        guard case .offsetDelete(let response)? = replies[send(.offsetDelete(request), version: 0)] else {
            Issue.record("a deletion is answered at once")
            return .init()
        }
        return response
    }

    /// What the log's records say.
    var records: [CoordinatorRecord] { log.compactMap { CoordinatorRecord(key: $0.key, value: $0.value) } }
}
