// SPDX-License-Identifier: Apache-2.0

public import KafkaWire

/// Whom a request comes from, and what its reply will be known by.
public struct GroupCall: Hashable, Sendable {
    /// The caller's own number; the reply carries it.
    public var id: UInt64
    /// The version of the request.
    public var version: Int16
    public var clientID: String
    /// Kafka's form: `/` and the address.
    public var clientHost: String

    public init(id: UInt64, version: Int16, clientID: String, clientHost: String) {
        self.id = id
        self.version = version
        self.clientID = clientID
        self.clientHost = clientHost
    }
}

/// What can be asked of a coordinator. Each names one group: requests that name several are split before.
public enum GroupRequest: Sendable {
    case joinGroup(JoinGroupRequest)
    case syncGroup(SyncGroupRequest)
    case heartbeat(HeartbeatRequest)
    case leaveGroup(LeaveGroupRequest)
    /// Topics are named, also where the request has ids (v10).
    case offsetCommit(OffsetCommitRequest)
    /// Topics are named, also where the request has ids (v10).
    case offsetFetch(OffsetFetchRequest.Group, requireStable: Bool)
    case describeGroup(String)
    case deleteGroup(String)
    case offsetDelete(OffsetDeleteRequest)
    case consumerGroupHeartbeat(ConsumerGroupHeartbeatRequest)
    case consumerGroupDescribe(String)
    /// For `godwit group why`.
    case explain(String)
}

/// The answer to a `GroupRequest` of the same name.
public enum GroupReply: Equatable, Sendable {
    case joinGroup(JoinGroupResponse)
    case syncGroup(SyncGroupResponse)
    case heartbeat(HeartbeatResponse)
    case leaveGroup(LeaveGroupResponse)
    case offsetCommit(OffsetCommitResponse)
    case offsetFetch(OffsetFetchResponse.Group)
    case describeGroup(DescribeGroupsResponse.Group)
    case deleteGroup(DeleteGroupsResponse.Result)
    case offsetDelete(OffsetDeleteResponse)
    case consumerGroupHeartbeat(ConsumerGroupHeartbeatResponse)
    case consumerGroupDescribe(ConsumerGroupDescribeResponse.Group)
    case explain(GroupExplanation)
}

/// What the caller must do after an event: append `records`, and send `replies` once everything that the coordinator
/// has appended so far is committed, so that no reply tells what could still be lost.
public struct GroupEffects: Sendable {
    /// In the order in which they must stand in the log.
    public var records: [GroupRecord] = []
    public var replies: [(call: UInt64, reply: GroupReply)] = []

    public init() {}

    public var isEmpty: Bool { records.isEmpty && replies.isEmpty }

    mutating func append(_ record: CoordinatorRecord) { records.append(record.encoded) }
    mutating func reply(_ call: UInt64, _ reply: GroupReply) { replies.append((call, reply)) }
}
