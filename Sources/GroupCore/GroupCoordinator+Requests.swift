// SPDX-License-Identifier: Apache-2.0

import KafkaWire
public import LogModel
import Settings

/// Requests, each led to its group.
extension GroupCoordinator {
    /// Takes one request. Its reply may come later, as an effect of another event; every request is answered once.
    public mutating func handle(
        _ request: GroupRequest, of call: GroupCall, now: Moment, wallClock: Timestamp,
        into effects: inout GroupEffects
    ) {
        precondition(nextExpiry != nil, "requests are taken once the log is read")
        let event = GroupEvent(now: now, wallClock: wallClock, settings: settings)
        switch request {
        case .offsetCommit(let request): commit(request, call, event, into: &effects)
        case .heartbeat(let request): heartbeat(request, call, event, into: &effects)
        case .joinGroup(let request): join(request, call, event, into: &effects)
        case .syncGroup(let request): sync(request, call, event, into: &effects)
        case .leaveGroup(let request): leave(request, call, event, into: &effects)
        case .offsetFetch(let request, _):
            // Nothing here is unstable: there are no transactions yet.
            effects.reply(call.id, .offsetFetch(fetch(request, call)))
        case .describeGroup(let id): effects.reply(call.id, .describeGroup(describe(id, version: call.version)))
        case .deleteGroup(let id): effects.reply(call.id, .deleteGroup(delete(id, into: &effects)))
        case .offsetDelete(let request):
            effects.reply(call.id, .offsetDelete(deleteOffsets(request, into: &effects)))
        case .consumerGroupHeartbeat(let request): consumerHeartbeat(request, call, event, into: &effects)
        case .consumerGroupDescribe(let id): effects.reply(call.id, .consumerGroupDescribe(describeConsumer(id)))
        case .explain(let id): effects.reply(call.id, .explain(explain(id, at: now)))
        }
    }

    // MARK: The classic protocol

    private mutating func join(
        _ request: JoinGroupRequest, _ call: GroupCall, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        func refuse(_ error: ErrorCode) {
            effects.reply(call.id, .joinGroup(JoinGroupResponse(error: error, memberID: request.memberID)))
        }
        guard !request.groupID.isEmpty else { return refuse(.invalidGroupID) }
        guard
            settings.sessionTimeoutMin...max(settings.sessionTimeoutMin, settings.sessionTimeoutMax)
                ~= Int(request.sessionTimeout)
        else { return refuse(.invalidSessionTimeout) }
        var place = table.place(of: request.groupID)
        if let known = place, table.kind(at: known) == .consumer {
            guard table[known]?.isEmpty ?? true else {
                return joinConsumer(at: known, request, call, event, into: &effects)
            }
            becomeClassic(at: known, into: &effects)
        }
        if place == nil {
            // Only somebody new makes a group: an id must have been given by one.
            guard request.memberID.isEmpty else { return refuse(.unknownMemberID) }
            guard table.count < settings.countMax else { return refuse(.groupMaxSizeReached) }
            place = table.insert(.classic(ClassicGroup(id: request.groupID)))
        }
        guard let place else { return }
        // Lent out at the same time, so not both can be the coordinator's.
        var random = random
        table.withClassic(at: place) { $0.join(request, call, event, &random, into: &effects) }
        self.random = random
        settle(place)
    }

    private mutating func sync(
        _ request: SyncGroupRequest, _ call: GroupCall, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        func refuse(_ error: ErrorCode) {
            effects.reply(call.id, .syncGroup(SyncGroupResponse(error: error)))
        }
        guard !request.groupID.isEmpty else { return refuse(.invalidGroupID) }
        // v5 has both for the coordinator to check (KIP-559).
        guard call.version < 5 || (request.protocolType != nil && request.protocolName != nil) else {
            return refuse(.inconsistentGroupProtocol)
        }
        guard let place = table.place(of: request.groupID) else { return refuse(.unknownMemberID) }
        switch table.kind(at: place) {
        case .classic?:
            table.withClassic(at: place) { $0.sync(request, call, event, into: &effects) }
            settle(place)
        case .consumer?: syncConsumer(at: place, request, call, event, into: &effects)
        case nil: break
        }
    }

    private mutating func heartbeat(
        _ request: HeartbeatRequest, _ call: GroupCall, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        var response = HeartbeatResponse()
        if request.groupID.isEmpty {
            response.error = .invalidGroupID
        } else if let place = table.place(of: request.groupID) {
            switch table.kind(at: place) {
            case .classic?:
                response.error = table.withClassic(at: place) { $0.heartbeat(request, event) }
                settle(place)
            case .consumer?: return heartbeatConsumer(at: place, request, call, event, into: &effects)
            case nil: break
            }
        } else {
            response.error = .unknownMemberID
        }
        effects.reply(call.id, .heartbeat(response))
    }

    private mutating func leave(
        _ request: LeaveGroupRequest, _ call: GroupCall, _ event: GroupEvent, into effects: inout GroupEffects
    ) {
        var response = LeaveGroupResponse()
        if request.groupID.isEmpty {
            response.error = .invalidGroupID
        } else if let place = table.place(of: request.groupID) {
            switch table.kind(at: place) {
            case .classic?:
                response = table.withClassic(at: place) { $0.leave(request, event, into: &effects) }
                settle(place)
            case .consumer?: return leaveConsumer(at: place, request, call, event, into: &effects)
            case nil: break
            }
        } else {
            response.members = request.members.map { leaver in
                var answer = LeaveGroupResponse.Member()
                answer.memberID = leaver.memberID
                answer.groupInstanceID = leaver.groupInstanceID
                answer.error = .unknownMemberID
                return answer
            }
        }
        effects.reply(call.id, .leaveGroup(response))
    }

    // MARK: Administration

    /// Since which version a group that is not there is an error; before, it is one in the state Dead (KIP-1043).
    private static let missingIsAnErrorSince: Int16 = 6

    private func describe(_ id: String, version: Int16) -> DescribeGroupsResponse.Group {
        let place = table.place(of: id)
        if let place, case .classic(let group)? = table[place] { return group.describe() }
        var description = DescribeGroupsResponse.Group()
        description.groupID = id
        description.groupState = "Dead"
        if version >= Self.missingIsAnErrorSince {
            description.error = .groupIDNotFound
            description.errorMessage =
                place == nil ? "Group \(id) not found." : "Group \(id) is not a classic group."
        }
        return description
    }

    private mutating func delete(_ id: String, into effects: inout GroupEffects) -> DeleteGroupsResponse.Result {
        var result = DeleteGroupsResponse.Result()
        result.groupID = id
        guard let place = table.place(of: id), let group = table[place] else {
            result.error = .groupIDNotFound
            return result
        }
        guard group.isEmpty else {
            result.error = .nonEmptyGroup
            return result
        }
        for topic in table.offsets[place].sortedTopics { forget(topic, at: place, into: &effects) }
        appendTombstones(of: group, into: &effects)
        drop(place)
        return result
    }

    /// Takes a group without members out of the log.
    func appendTombstones(of group: Group, into effects: inout GroupEffects) {
        switch group {
        case .classic(let group): if group.isStored { effects.append(.groupMetadata(group.id, nil)) }
        case .consumer(let group): for record in group.tombstones { effects.append(record) }
        }
    }

    /// An empty consumer group may be joined as a classic one; what the log has of it goes.
    private mutating func becomeClassic(at place: Int, into effects: inout GroupEffects) {
        guard let group = table[place] else { return }
        appendTombstones(of: group, into: &effects)
        table.replace(at: place, with: .classic(ClassicGroup(id: group.id)))
    }

    private func explain(_ id: String, at now: Moment) -> GroupExplanation {
        switch table.place(of: id).flatMap({ table[$0] }) {
        case .classic(let group)?: return group.explain(at: now)
        case .consumer(let group)?: return group.explain(at: now, topics)
        case nil:
            var explanation = GroupExplanation()
            explanation.groupID = id
            explanation.state = "Dead"
            explanation.error = .groupIDNotFound
            explanation.errorMessage = "Group \(id) not found."
            return explanation
        }
    }
}
