// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

/// Heartbeat, LeaveGroup, and what members may commit.
extension ClassicGroup {
    mutating func heartbeat(_ request: HeartbeatRequest, _ event: GroupEvent) -> ErrorCode {
        let error = check(memberID: request.memberID, groupInstanceID: request.groupInstanceID)
        guard error == .none else { return error }
        guard request.generationID == generation else { return .illegalGeneration }
        renewSession(of: request.memberID, event)
        return state == .preparingRebalance ? .rebalanceInProgress : .none
    }

    mutating func leave(
        _ request: LeaveGroupRequest, _ event: GroupEvent, into effects: inout GroupEffects
    ) -> LeaveGroupResponse {
        var response = LeaveGroupResponse()
        var hasLeft = false
        var pendingHasLeft = false
        for leaver in request.members {
            var answer = LeaveGroupResponse.Member()
            answer.memberID = leaver.memberID
            answer.groupInstanceID = leaver.groupInstanceID
            if leaver.memberID.isEmpty {
                // An administrator names a static member by its instance id alone.
                if let id = leaver.groupInstanceID.flatMap({ staticMembers[$0] }) {
                    remove(id, error: .unknownMemberID, into: &effects)
                    hasLeft = true
                } else {
                    answer.error = .unknownMemberID
                }
            } else if pendingMembers[leaver.memberID] != nil {
                removePending(leaver.memberID)
                pendingHasLeft = true
            } else {
                answer.error = check(memberID: leaver.memberID, groupInstanceID: leaver.groupInstanceID)
                if answer.error == .none {
                    remove(leaver.memberID, error: .unknownMemberID, into: &effects)
                    hasLeft = true
                }
            }
            response.members.append(answer)
        }
        if hasLeft {
            memberWentAway(event, into: &effects)
        } else if pendingHasLeft {
            completeJoinPhaseIfReady(event, into: &effects)
        }
        return response
    }

    /// Whether a commit may be taken; one that may counts as a sign of life.
    mutating func checkCommit(_ request: OffsetCommitRequest, _ event: GroupEvent) -> ErrorCode {
        let claimed = request.generationIDOrMemberEpoch
        if claimed < 0 && state == .empty { return .none }
        guard claimed >= 0 || !request.memberID.isEmpty || request.groupInstanceID != nil else {
            // Somebody outside the group while it has members.
            return .unknownMemberID
        }
        let error = check(memberID: request.memberID, groupInstanceID: request.groupInstanceID)
        guard error == .none else { return error }
        guard claimed == generation else { return .illegalGeneration }
        // The commit may be for partitions that now belong to somebody else.
        guard state != .completingRebalance else { return .rebalanceInProgress }
        renewSession(of: request.memberID, event)
        return .none
    }

    /// Whether offsets may be deleted while the group has members: only where it is known what they read.
    var allowsOffsetDelete: Bool { state == .empty || isConsumer }

    /// The topics that members read; `nil` when that is not known.
    var subscribedTopics: Set<String>? {
        guard isConsumer else { return nil }
        var topics: Set<String> = []
        for member in members.values {
            guard let metadata = member.metadata(for: protocolName) else { continue }
            guard let subscription = try? ConsumerProtocolSubscription.decode(metadata) else { return nil }
            topics.formUnion(subscription.data.topics)
        }
        return topics
    }
}
