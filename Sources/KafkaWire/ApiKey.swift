// SPDX-License-Identifier: Apache-2.0

/// The number of a request type. A number that is not named here is kept as it came.
public struct ApiKey: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public var rawValue: Int16

    @inlinable
    public init(rawValue: Int16) { self.rawValue = rawValue }

    public static let produce = Self(rawValue: 0)
    public static let fetch = Self(rawValue: 1)
    public static let listOffsets = Self(rawValue: 2)
    public static let metadata = Self(rawValue: 3)
    public static let leaderAndIsr = Self(rawValue: 4)
    public static let stopReplica = Self(rawValue: 5)
    public static let updateMetadata = Self(rawValue: 6)
    public static let controlledShutdown = Self(rawValue: 7)
    public static let offsetCommit = Self(rawValue: 8)
    public static let offsetFetch = Self(rawValue: 9)
    public static let findCoordinator = Self(rawValue: 10)
    public static let joinGroup = Self(rawValue: 11)
    public static let heartbeat = Self(rawValue: 12)
    public static let leaveGroup = Self(rawValue: 13)
    public static let syncGroup = Self(rawValue: 14)
    public static let describeGroups = Self(rawValue: 15)
    public static let listGroups = Self(rawValue: 16)
    public static let saslHandshake = Self(rawValue: 17)
    public static let apiVersions = Self(rawValue: 18)
    public static let createTopics = Self(rawValue: 19)
    public static let deleteTopics = Self(rawValue: 20)
    public static let deleteRecords = Self(rawValue: 21)
    public static let initProducerID = Self(rawValue: 22)
    public static let offsetForLeaderEpoch = Self(rawValue: 23)
    public static let addPartitionsToTxn = Self(rawValue: 24)
    public static let addOffsetsToTxn = Self(rawValue: 25)
    public static let endTxn = Self(rawValue: 26)
    public static let writeTxnMarkers = Self(rawValue: 27)
    public static let txnOffsetCommit = Self(rawValue: 28)
    public static let describeAcls = Self(rawValue: 29)
    public static let createAcls = Self(rawValue: 30)
    public static let deleteAcls = Self(rawValue: 31)
    public static let describeConfigs = Self(rawValue: 32)
    public static let alterConfigs = Self(rawValue: 33)
    public static let alterReplicaLogDirs = Self(rawValue: 34)
    public static let describeLogDirs = Self(rawValue: 35)
    public static let saslAuthenticate = Self(rawValue: 36)
    public static let createPartitions = Self(rawValue: 37)
    public static let createDelegationToken = Self(rawValue: 38)
    public static let renewDelegationToken = Self(rawValue: 39)
    public static let expireDelegationToken = Self(rawValue: 40)
    public static let describeDelegationToken = Self(rawValue: 41)
    public static let deleteGroups = Self(rawValue: 42)
    public static let electLeaders = Self(rawValue: 43)
    public static let incrementalAlterConfigs = Self(rawValue: 44)
    public static let alterPartitionReassignments = Self(rawValue: 45)
    public static let listPartitionReassignments = Self(rawValue: 46)
    public static let offsetDelete = Self(rawValue: 47)
    public static let describeClientQuotas = Self(rawValue: 48)
    public static let alterClientQuotas = Self(rawValue: 49)
    public static let describeUserScramCredentials = Self(rawValue: 50)
    public static let alterUserScramCredentials = Self(rawValue: 51)
    public static let vote = Self(rawValue: 52)
    public static let beginQuorumEpoch = Self(rawValue: 53)
    public static let endQuorumEpoch = Self(rawValue: 54)
    public static let describeQuorum = Self(rawValue: 55)
    public static let alterPartition = Self(rawValue: 56)
    public static let updateFeatures = Self(rawValue: 57)
    public static let envelope = Self(rawValue: 58)
    public static let fetchSnapshot = Self(rawValue: 59)
    public static let describeCluster = Self(rawValue: 60)
    public static let describeProducers = Self(rawValue: 61)
    public static let brokerRegistration = Self(rawValue: 62)
    public static let brokerHeartbeat = Self(rawValue: 63)
    public static let unregisterBroker = Self(rawValue: 64)
    public static let describeTransactions = Self(rawValue: 65)
    public static let listTransactions = Self(rawValue: 66)
    public static let allocateProducerIds = Self(rawValue: 67)
    public static let consumerGroupHeartbeat = Self(rawValue: 68)
    public static let consumerGroupDescribe = Self(rawValue: 69)
    public static let controllerRegistration = Self(rawValue: 70)
    public static let getTelemetrySubscriptions = Self(rawValue: 71)
    public static let pushTelemetry = Self(rawValue: 72)
    public static let assignReplicasToDirs = Self(rawValue: 73)
    public static let listConfigResources = Self(rawValue: 74)
    public static let describeTopicPartitions = Self(rawValue: 75)
    public static let shareGroupHeartbeat = Self(rawValue: 76)
    public static let shareGroupDescribe = Self(rawValue: 77)
    public static let shareFetch = Self(rawValue: 78)
    public static let shareAcknowledge = Self(rawValue: 79)
    public static let addRaftVoter = Self(rawValue: 80)
    public static let removeRaftVoter = Self(rawValue: 81)
    public static let updateRaftVoter = Self(rawValue: 82)
    public static let initializeShareGroupState = Self(rawValue: 83)
    public static let readShareGroupState = Self(rawValue: 84)
    public static let writeShareGroupState = Self(rawValue: 85)
    public static let deleteShareGroupState = Self(rawValue: 86)
    public static let readShareGroupStateSummary = Self(rawValue: 87)
    public static let streamsGroupHeartbeat = Self(rawValue: 88)
    public static let streamsGroupDescribe = Self(rawValue: 89)
    public static let describeShareGroupOffsets = Self(rawValue: 90)
    public static let alterShareGroupOffsets = Self(rawValue: 91)
    public static let deleteShareGroupOffsets = Self(rawValue: 92)
    /// Godwit's own, far from Kafka's numbers; never advertised.
    public static let explainGroup = Self(rawValue: 10_000)
    /// Godwit's own, as is the next.
    public static let describeMoves = Self(rawValue: 10_001)
    public static let balanceCluster = Self(rawValue: 10_002)

    /// Whether only Godwit serves it. Such APIs are not advertised.
    public var isGodwitsOwn: Bool { rawValue >= Self.explainGroup.rawValue }

    /// The name in Kafka's documentation, or the bare number.
    public var description: String {
        switch self {
        case .explainGroup: return "ExplainGroup"
        case .describeMoves: return "DescribeMoves"
        case .balanceCluster: return "BalanceCluster"
        default: break
        }
        return Self.names.indices.contains(Int(rawValue)) ? Self.names[Int(rawValue)] : "Api\(rawValue)"
    }

    /// The first version with compact lengths and tagged fields, for the APIs that this module describes.
    public var flexibleSince: Int16? {
        switch self {
        case .produce: ProduceRequest.flexibleSince
        case .fetch: FetchRequest.flexibleSince
        case .listOffsets: ListOffsetsRequest.flexibleSince
        case .metadata: MetadataRequest.flexibleSince
        case .findCoordinator: FindCoordinatorRequest.flexibleSince
        case .apiVersions: ApiVersionsRequest.flexibleSince
        case .createTopics: CreateTopicsRequest.flexibleSince
        case .deleteTopics: DeleteTopicsRequest.flexibleSince
        case .offsetForLeaderEpoch: OffsetForLeaderEpochRequest.flexibleSince
        case .describeConfigs: DescribeConfigsRequest.flexibleSince
        case .createPartitions: CreatePartitionsRequest.flexibleSince
        case .describeCluster: DescribeClusterRequest.flexibleSince
        case .offsetCommit: OffsetCommitRequest.flexibleSince
        case .offsetFetch: OffsetFetchRequest.flexibleSince
        case .joinGroup: JoinGroupRequest.flexibleSince
        case .heartbeat: HeartbeatRequest.flexibleSince
        case .leaveGroup: LeaveGroupRequest.flexibleSince
        case .syncGroup: SyncGroupRequest.flexibleSince
        case .describeGroups: DescribeGroupsRequest.flexibleSince
        case .listGroups: ListGroupsRequest.flexibleSince
        case .deleteGroups: DeleteGroupsRequest.flexibleSince
        case .offsetDelete: OffsetDeleteRequest.flexibleSince
        case .consumerGroupHeartbeat: ConsumerGroupHeartbeatRequest.flexibleSince
        case .consumerGroupDescribe: ConsumerGroupDescribeRequest.flexibleSince
        case .deleteRecords: DeleteRecordsRequest.flexibleSince
        case .initProducerID: InitProducerIDRequest.flexibleSince
        case .alterConfigs: AlterConfigsRequest.flexibleSince
        case .describeLogDirs: DescribeLogDirsRequest.flexibleSince
        case .incrementalAlterConfigs: IncrementalAlterConfigsRequest.flexibleSince
        case .describeProducers: DescribeProducersRequest.flexibleSince
        case .listConfigResources: ListConfigResourcesRequest.flexibleSince
        case .describeTopicPartitions: DescribeTopicPartitionsRequest.flexibleSince
        case .explainGroup: ExplainGroupRequest.flexibleSince
        case .alterPartitionReassignments: AlterPartitionReassignmentsRequest.flexibleSince
        case .listPartitionReassignments: ListPartitionReassignmentsRequest.flexibleSince
        case .electLeaders: ElectLeadersRequest.flexibleSince
        case .describeQuorum: DescribeQuorumRequest.flexibleSince
        case .addRaftVoter: AddRaftVoterRequest.flexibleSince
        case .removeRaftVoter: RemoveRaftVoterRequest.flexibleSince
        case .describeMoves: DescribeMovesRequest.flexibleSince
        case .balanceCluster: BalanceClusterRequest.flexibleSince
        default: nil
        }
    }

    /// Whether a request of this version has header version 2. Versions from the future count as flexible.
    public func hasFlexibleRequestHeader(version: Int16) -> Bool {
        guard let flexibleSince else { return false }
        return version >= flexibleSince
    }

    /// Whether the response has header version 1. ApiVersions never has: its reader may not know the version yet.
    public func hasFlexibleResponseHeader(version: Int16) -> Bool {
        self != .apiVersions && hasFlexibleRequestHeader(version: version)
    }

    private static let names = [
        "Produce", "Fetch", "ListOffsets", "Metadata", "LeaderAndIsr", "StopReplica", "UpdateMetadata",
        "ControlledShutdown", "OffsetCommit", "OffsetFetch", "FindCoordinator", "JoinGroup", "Heartbeat",
        "LeaveGroup", "SyncGroup", "DescribeGroups", "ListGroups", "SaslHandshake", "ApiVersions", "CreateTopics",
        "DeleteTopics", "DeleteRecords", "InitProducerId", "OffsetForLeaderEpoch", "AddPartitionsToTxn",
        "AddOffsetsToTxn", "EndTxn", "WriteTxnMarkers", "TxnOffsetCommit", "DescribeAcls", "CreateAcls", "DeleteAcls",
        "DescribeConfigs", "AlterConfigs", "AlterReplicaLogDirs", "DescribeLogDirs", "SaslAuthenticate",
        "CreatePartitions", "CreateDelegationToken", "RenewDelegationToken", "ExpireDelegationToken",
        "DescribeDelegationToken", "DeleteGroups", "ElectLeaders", "IncrementalAlterConfigs",
        "AlterPartitionReassignments", "ListPartitionReassignments", "OffsetDelete", "DescribeClientQuotas",
        "AlterClientQuotas", "DescribeUserScramCredentials", "AlterUserScramCredentials", "Vote", "BeginQuorumEpoch",
        "EndQuorumEpoch", "DescribeQuorum", "AlterPartition", "UpdateFeatures", "Envelope", "FetchSnapshot",
        "DescribeCluster", "DescribeProducers", "BrokerRegistration", "BrokerHeartbeat", "UnregisterBroker",
        "DescribeTransactions", "ListTransactions", "AllocateProducerIds", "ConsumerGroupHeartbeat",
        "ConsumerGroupDescribe", "ControllerRegistration", "GetTelemetrySubscriptions", "PushTelemetry",
        "AssignReplicasToDirs", "ListConfigResources", "DescribeTopicPartitions", "ShareGroupHeartbeat",
        "ShareGroupDescribe", "ShareFetch", "ShareAcknowledge", "AddRaftVoter", "RemoveRaftVoter", "UpdateRaftVoter",
        "InitializeShareGroupState", "ReadShareGroupState", "WriteShareGroupState", "DeleteShareGroupState",
        "ReadShareGroupStateSummary", "StreamsGroupHeartbeat", "StreamsGroupDescribe", "DescribeShareGroupOffsets",
        "AlterShareGroupOffsets", "DeleteShareGroupOffsets",
    ]
}
