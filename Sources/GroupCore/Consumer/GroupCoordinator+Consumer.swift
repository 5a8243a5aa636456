// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

/// Where consumer groups (KIP-848) meet the coordinator.
extension GroupCoordinator {
    mutating func replayConsumer(_ record: CoordinatorRecord) {}

    mutating func resumeConsumer(at place: Int, _ event: GroupEvent, into effects: inout GroupEffects) {}

    mutating func tickConsumer(at place: Int, _ event: GroupEvent, into effects: inout GroupEffects) {}

    mutating func topicsChangedForConsumers(_ event: GroupEvent, into effects: inout GroupEffects) {}

    mutating func consumerHeartbeat(
        _ request: ConsumerGroupHeartbeatRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        var response = ConsumerGroupHeartbeatResponse()
        response.error = .unsupportedVersion
        effects.reply(call.id, .consumerGroupHeartbeat(response))
    }

    func describeConsumer(_ id: String) -> ConsumerGroupDescribeResponse.Group {
        var description = ConsumerGroupDescribeResponse.Group()
        description.groupID = id
        description.error = .groupIDNotFound
        description.errorMessage = "Group \(id) not found."
        return description
    }

    // MARK: Members that speak the classic protocol

    mutating func joinConsumer(
        at place: Int, _ request: JoinGroupRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        effects.reply(
            call.id,
            .joinGroup(JoinGroupResponse(error: .inconsistentGroupProtocol, memberID: request.memberID)))
    }

    mutating func syncConsumer(
        at place: Int, _ request: SyncGroupRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        effects.reply(call.id, .syncGroup(SyncGroupResponse(error: .unknownMemberID)))
    }

    mutating func heartbeatConsumer(
        at place: Int, _ request: HeartbeatRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        var response = HeartbeatResponse()
        response.error = .unknownMemberID
        effects.reply(call.id, .heartbeat(response))
    }

    mutating func leaveConsumer(
        at place: Int, _ request: LeaveGroupRequest, _ call: GroupCall, _ event: GroupEvent,
        into effects: inout GroupEffects
    ) {
        var response = LeaveGroupResponse()
        response.error = .unknownMemberID
        effects.reply(call.id, .leaveGroup(response))
    }
}
