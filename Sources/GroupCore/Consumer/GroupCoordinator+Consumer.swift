// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import Settings

/// Where consumer groups (KIP-848) meet the coordinator.
extension GroupCoordinator {
    // MARK: Loading, time, topics

    mutating func replayConsumer(_ record: CoordinatorRecord) {
        let id = record.groupID
        if case .consumerGroupMetadata(_, nil) = record {
            guard let place = table.place(of: id), table.kind(at: place) == .consumer else { return }
            // Offsets have tombstones of their own.
            table.replace(at: place, with: .classic(ClassicGroup(id: id)))
            _ = dropIfNothing(place)
            return
        }
        var place = table.place(of: id)
        if let known = place, table.kind(at: known) == .classic {
            guard !record.isTombstone else { return }
            table.replace(at: known, with: .consumer(ConsumerGroup(id: id)))
        } else if place == nil {
            guard !record.isTombstone else { return }
            place = table.insert(.consumer(ConsumerGroup(id: id)))
        }
        guard let place else { return }
        table.withConsumer(at: place) { $0.replay(record) }
    }

    mutating func resumeConsumer(at place: Int, _ event: GroupEvent, into effects: inout GroupEffects) {
        let topics = topics
        table.withConsumer(at: place) { $0.resume(topics, event, into: &effects) }
    }

    mutating func tickConsumer(at place: Int, _ event: GroupEvent, into effects: inout GroupEffects) {
        let topics = topics
        table.withConsumer(at: place) { $0.tick(topics, event, into: &effects) }
        settleConsumer(place, event, into: &effects)
    }

    /// - Parameter added: names that were not there before.
    mutating func topicsChangedForConsumers(
        added: [String], _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        let topics = topics
        for place in table.occupied where table.kind(at: place) == .consumer {
            table.withConsumer(at: place) { $0.topicsChanged(added: added, topics, event, into: &effects) }
            settle(place)
        }
    }

    // MARK: The consumer protocol

    mutating func consumerHeartbeat(
        _ request: ConsumerGroupHeartbeatRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        var response = ConsumerGroupHeartbeatResponse()
        do throws(GroupRefusal) {
            let heartbeat = try CheckedHeartbeat(request, version: call.version, settings: settings)
            response = try consumerHeartbeat(heartbeat, call, event, into: &effects)
        } catch {
            response.error = error.error
            response.errorMessage = error.reason
        }
        effects.reply(call.id, .consumerGroupHeartbeat(response))
    }

    private mutating func consumerHeartbeat(
        _ heartbeat: CheckedHeartbeat, _ call: GroupCall, _ event: GroupEvent, into effects: inout GroupEffects
    ) throws(GroupRefusal) -> ConsumerGroupHeartbeatResponse {
        let place = try consumerPlace(for: heartbeat, event, into: &effects)
        let memberID = heartbeat.request.memberID.isEmpty ? random.uuid() : heartbeat.request.memberID
        let topics = topics
        let result = table.withConsumer(at: place) { group -> Result<ConsumerGroupHeartbeatResponse, GroupRefusal> in
            do throws(GroupRefusal) {
                return .success(
                    heartbeat.leaves
                        ? try group.leave(heartbeat, topics, event, into: &effects)
                        : try group.heartbeat(heartbeat, memberID: memberID, call, topics, event, into: &effects))
            } catch {
                return .failure(error)
            }
        }
        if case .failure = result, dropIfNeverJoined(place) { return try result.get() }
        settleConsumer(place, event, into: &effects)
        return try result.get()
    }

    /// The group that a heartbeat is for. Only who joins makes one, or turns a classic one into one.
    private mutating func consumerPlace(
        for heartbeat: CheckedHeartbeat, _ event: GroupEvent, into effects: inout GroupEffects
    ) throws(GroupRefusal) -> Int {
        let id = heartbeat.request.groupID
        guard let place = table.place(of: id) else {
            guard heartbeat.joins else { throw GroupRefusal(.groupIDNotFound, "Consumer group \(id) not found.") }
            guard table.count < settings.countMax else {
                throw GroupRefusal(.groupMaxSizeReached, "The coordinator keeps \(table.count) groups already.")
            }
            return table.insert(.consumer(ConsumerGroup(id: id)))
        }
        guard table.kind(at: place) == .classic else { return place }
        guard heartbeat.joins else {
            throw GroupRefusal(.groupIDNotFound, "Group \(id) is not a consumer group.")
        }
        try upgrade(at: place, event, into: &effects)
        return place
    }

    /// A group that was made for somebody who was then refused is as if it had never been.
    private mutating func dropIfNeverJoined(_ place: Int) -> Bool {
        guard table.withConsumer(at: place, { $0.isEmpty && $0.groupEpoch == 0 }), let id = table[place]?.id else {
            return false
        }
        table.replace(at: place, with: .classic(ClassicGroup(id: id)))
        settle(place)
        return true
    }

    func describeConsumer(_ id: String) -> ConsumerGroupDescribeResponse.Group {
        let place = table.place(of: id)
        if let place, case .consumer(let group)? = table[place] { return group.describe(topics, settings) }
        var description = ConsumerGroupDescribeResponse.Group()
        description.groupID = id
        description.error = .groupIDNotFound
        description.errorMessage = place == nil ? "Group \(id) not found." : "Group \(id) is not a consumer group."
        return description
    }

    // MARK: Members that speak the classic protocol

    mutating func joinConsumer(
        at place: Int, _ request: JoinGroupRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        let topics = topics
        var random = random
        let response = table.withConsumer(at: place) { group -> JoinGroupResponse in
            do throws(GroupRefusal) {
                return try group.join(request, call, topics, event, &random, into: &effects)
            } catch {
                return JoinGroupResponse(error: error.error, memberID: request.memberID)
            }
        }
        self.random = random
        settleConsumer(place, event, into: &effects)
        effects.reply(call.id, .joinGroup(response))
    }

    mutating func syncConsumer(
        at place: Int, _ request: SyncGroupRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        let topics = topics
        let response = table.withConsumer(at: place) { group -> SyncGroupResponse in
            do throws(GroupRefusal) {
                return try group.sync(request, topics, event)
            } catch {
                return SyncGroupResponse(error: error.error)
            }
        }
        settle(place)
        effects.reply(call.id, .syncGroup(response))
    }

    mutating func heartbeatConsumer(
        at place: Int, _ request: HeartbeatRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        var response = HeartbeatResponse()
        response.error = table.withConsumer(at: place) { group -> ErrorCode in
            do throws(GroupRefusal) {
                try group.heartbeat(request, event)
                return .none
            } catch {
                return error.error
            }
        }
        settle(place)
        effects.reply(call.id, .heartbeat(response))
    }

    mutating func leaveConsumer(
        at place: Int, _ request: LeaveGroupRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        let topics = topics
        let response = table.withConsumer(at: place) { $0.leave(request, topics, event, into: &effects) }
        settleConsumer(place, event, into: &effects)
        effects.reply(call.id, .leaveGroup(response))
    }
}

extension CoordinatorRecord {
    /// Whether it takes something of a consumer group away.
    fileprivate var isTombstone: Bool {
        switch self {
        case .offsetCommit(_, _, _, let value): value == nil
        case .groupMetadata(_, let value): value == nil
        case .consumerGroupMetadata(_, let value): value == nil
        case .consumerGroupPartitionMetadata(_, let value): value == nil
        case .consumerGroupMemberMetadata(_, _, let value): value == nil
        case .consumerGroupTargetAssignmentMetadata(_, let value): value == nil
        case .consumerGroupTargetAssignmentMember(_, _, let value): value == nil
        case .consumerGroupCurrentMemberAssignment(_, _, let value): value == nil
        case .consumerGroupRegularExpression(_, _, let value): value == nil
        }
    }
}
