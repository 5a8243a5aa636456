// SPDX-License-Identifier: Apache-2.0

import KafkaWire

/// Which APIs this broker speaks, and in which versions. What is not served is not advertised.
enum ServedApis {
    struct Row {
        let key: ApiKey
        let advertised: ClosedRange<Int16>
        let served: ClosedRange<Int16>

        init(_ key: ApiKey, _ served: ClosedRange<Int16>, advertisedFrom low: Int16? = nil) {
            self.key = key
            self.served = served
            self.advertised = (low ?? served.lowerBound)...served.upperBound
        }
    }

    static let rows = [
        // Advertised from 0 though 0 to 2 are refused: librdkafka takes a higher floor for a broker without
        // compression (KAFKA-18659).
        Row(.produce, ProduceRequest.versions, advertisedFrom: 0),
        Row(.fetch, FetchRequest.versions),
        Row(.listOffsets, 1...10),
        Row(.metadata, MetadataRequest.versions),
        Row(.apiVersions, ApiVersionsRequest.versions),
        Row(.createTopics, CreateTopicsRequest.versions),
        Row(.deleteTopics, DeleteTopicsRequest.versions),
        Row(.deleteRecords, DeleteRecordsRequest.versions),
        Row(.offsetForLeaderEpoch, OffsetForLeaderEpochRequest.versions),
        Row(.describeConfigs, DescribeConfigsRequest.versions),
        Row(.createPartitions, CreatePartitionsRequest.versions),
        Row(.describeCluster, DescribeClusterRequest.versions),
        Row(.findCoordinator, FindCoordinatorRequest.versions),
        Row(.joinGroup, JoinGroupRequest.versions),
        Row(.heartbeat, HeartbeatRequest.versions),
        Row(.leaveGroup, LeaveGroupRequest.versions),
        Row(.syncGroup, SyncGroupRequest.versions),
        Row(.offsetCommit, OffsetCommitRequest.versions),
        Row(.offsetFetch, OffsetFetchRequest.versions),
        Row(.describeGroups, DescribeGroupsRequest.versions),
        Row(.listGroups, ListGroupsRequest.versions),
        Row(.deleteGroups, DeleteGroupsRequest.versions),
        Row(.offsetDelete, OffsetDeleteRequest.versions),
        Row(.consumerGroupHeartbeat, ConsumerGroupHeartbeatRequest.versions),
        Row(.consumerGroupDescribe, ConsumerGroupDescribeRequest.versions),
        Row(.alterConfigs, AlterConfigsRequest.versions),
        Row(.incrementalAlterConfigs, IncrementalAlterConfigsRequest.versions),
        Row(.describeLogDirs, DescribeLogDirsRequest.versions),
        Row(.describeTopicPartitions, DescribeTopicPartitionsRequest.versions),
        Row(.listConfigResources, ListConfigResourcesRequest.versions),
        Row(.initProducerID, InitProducerIDRequest.versions),
        Row(.describeProducers, DescribeProducersRequest.versions),
        Row(.electLeaders, ElectLeadersRequest.versions),
        Row(.alterPartitionReassignments, AlterPartitionReassignmentsRequest.versions),
        Row(.listPartitionReassignments, ListPartitionReassignmentsRequest.versions),
        Row(.describeQuorum, DescribeQuorumRequest.versions),
        Row(.addRaftVoter, AddRaftVoterRequest.versions),
        Row(.removeRaftVoter, RemoveRaftVoterRequest.versions),
    ]

    /// Served to those who know of them; clients of others would only log a number they cannot name.
    private static let unadvertised = [
        Row(.explainGroup, ExplainGroupRequest.versions), Row(.describeMoves, DescribeMovesRequest.versions),
        Row(.balanceCluster, BalanceClusterRequest.versions),
    ]

    static let advertised = rows.map { ApiVersionsResponse.Api(key: $0.key, versions: $0.advertised) }

    static func serves(_ key: ApiKey, version: Int16) -> Bool {
        (rows + unadvertised).contains { $0.key == key && $0.served.contains(version) }
    }

    /// The level of group coordination: 1 has the consumer protocol (KIP-848).
    private static let groupVersion: Int16 = 1

    /// Says which feature levels are in force (KIP-584). Only from version 4 on: earlier ones cannot express that a
    /// feature may be off, and their clients ask for none of these.
    static func announceFeatures(in response: inout ApiVersionsResponse, version: Int16) {
        guard version >= 4 else { return }
        var supported = ApiVersionsResponse.SupportedFeature()
        supported.name = "group.version"
        supported.maxVersion = groupVersion
        response.supportedFeatures = [supported]
        var finalized = ApiVersionsResponse.FinalizedFeature()
        finalized.name = supported.name
        finalized.maxVersionLevel = groupVersion
        finalized.minVersionLevel = groupVersion
        response.finalizedFeatures = [finalized]
        response.finalizedFeaturesEpoch = 0
    }
}
