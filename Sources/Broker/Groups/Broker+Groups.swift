// SPDX-License-Identifier: Apache-2.0

import GroupCore
import KafkaWire
import LogModel
import NIOCore
import Replication

// Requests about one group: its members' own, and those of who looks after it.

extension Broker {
    /// JoinGroup (API key 11).
    func joinGroup(_ call: Call<Files>) throws(WireError) {
        let request = try JoinGroupRequest.decode(call.body, version: call.version)
        let member = request.memberID
        coordinate(.joinGroup(request), group: request.groupID, call) { error in
            var response = JoinGroupResponse()
            response.error = error
            response.memberID = member
            return response
        }
    }

    /// SyncGroup (API key 14).
    func syncGroup(_ call: Call<Files>) throws(WireError) {
        let request = try SyncGroupRequest.decode(call.body, version: call.version)
        coordinate(.syncGroup(request), group: request.groupID, call) { error in
            var response = SyncGroupResponse()
            // A coordinator that is loading would make old clients give up; they know this error (KAFKA-4766).
            response.error = error == .coordinatorLoadInProgress ? .rebalanceInProgress : error
            return response
        }
    }

    /// Heartbeat (API key 12).
    func heartbeat(_ call: Call<Files>) throws(WireError) {
        let request = try HeartbeatRequest.decode(call.body, version: call.version)
        coordinate(.heartbeat(request), group: request.groupID, call) { error in
            var response = HeartbeatResponse()
            // Whoever is being loaded is alive as far as anybody knows: the session starts anew after loading.
            response.error = error == .coordinatorLoadInProgress ? .none : error
            return response
        }
    }

    /// LeaveGroup (API key 13).
    func leaveGroup(_ call: Call<Files>) throws(WireError) {
        let request = try LeaveGroupRequest.decode(call.body, version: call.version)
        coordinate(.leaveGroup(request), group: request.groupID, call) { error in
            var response = LeaveGroupResponse()
            response.error = error
            return response
        }
    }

    /// OffsetDelete (API key 47).
    func offsetDelete(_ call: Call<Files>) throws(WireError) {
        let request = try OffsetDeleteRequest.decode(call.body, version: call.version)
        coordinate(.offsetDelete(request), group: request.groupID, call) { error in
            var response = OffsetDeleteResponse()
            response.error = error
            return response
        }
    }

    /// ConsumerGroupHeartbeat (API key 68).
    func consumerGroupHeartbeat(_ call: Call<Files>) throws(WireError) {
        let request = try ConsumerGroupHeartbeatRequest.decode(call.body, version: call.version)
        coordinate(.consumerGroupHeartbeat(request), group: request.groupID, call) { error in
            var response = ConsumerGroupHeartbeatResponse()
            response.error = error
            return response
        }
    }

    // MARK: - Several groups at a time

    /// DescribeGroups (API key 15).
    func describeGroups(_ call: Call<Files>) throws(WireError) {
        let request = try DescribeGroupsRequest.decode(call.body, version: call.version)
        coordinate(each: request.groups.map { ($0, .describeGroup($0)) }, call) { outcomes in
            var response = DescribeGroupsResponse()
            response.groups = zip(request.groups, outcomes).map { id, outcome in
                var group: DescribeGroupsResponse.Group = outcome.message { error in
                    var group = DescribeGroupsResponse.Group()
                    group.groupID = id
                    group.error = error
                    return group
                }
                if request.includesOperations { group.operations = Self.groupOperations }
                return group
            }
            call.reply(response)
        }
    }

    /// ConsumerGroupDescribe (API key 69).
    func consumerGroupDescribe(_ call: Call<Files>) throws(WireError) {
        let request = try ConsumerGroupDescribeRequest.decode(call.body, version: call.version)
        coordinate(each: request.groupIDs.map { ($0, .consumerGroupDescribe($0)) }, call) { outcomes in
            var response = ConsumerGroupDescribeResponse()
            response.groups = zip(request.groupIDs, outcomes).map { id, outcome in
                var group: ConsumerGroupDescribeResponse.Group = outcome.message { error in
                    var group = ConsumerGroupDescribeResponse.Group()
                    group.groupID = id
                    group.error = error
                    return group
                }
                if request.includesOperations { group.operations = Self.groupOperations }
                return group
            }
            call.reply(response)
        }
    }

    /// Read, delete, describe, describeConfigs and alterConfigs, as bits by their codes: all that can be done with a
    /// group, since nobody is forbidden anything.
    private static var groupOperations: Int32 { 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11 }

    /// DeleteGroups (API key 42).
    func deleteGroups(_ call: Call<Files>) throws(WireError) {
        let request = try DeleteGroupsRequest.decode(call.body, version: call.version)
        coordinate(each: request.groups.map { ($0, .deleteGroup($0)) }, call) { outcomes in
            var response = DeleteGroupsResponse()
            response.results = zip(request.groups, outcomes).map { id, outcome in
                outcome.message { error in
                    var result = DeleteGroupsResponse.Result()
                    result.groupID = id
                    result.error = error
                    return result
                }
            }
            call.reply(response)
        }
    }

    /// ExplainGroup (Godwit's own).
    func explainGroup(_ call: Call<Files>) throws(WireError) {
        let request = try ExplainGroupRequest.decode(call.body, version: call.version)
        coordinate(each: request.groupIDs.map { ($0, .explain($0)) }, call) { outcomes in
            var response = ExplainGroupResponse()
            response.groups = zip(request.groupIDs, outcomes).map { id, outcome in
                outcome.message { error in
                    var explanation = GroupExplanation()
                    explanation.groupID = id
                    explanation.error = error
                    return explanation
                }
            }
            call.reply(response)
        }
    }
}
