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
        Row(.alterConfigs, AlterConfigsRequest.versions),
        Row(.incrementalAlterConfigs, IncrementalAlterConfigsRequest.versions),
        Row(.describeLogDirs, DescribeLogDirsRequest.versions),
        Row(.describeTopicPartitions, DescribeTopicPartitionsRequest.versions),
        Row(.listConfigResources, ListConfigResourcesRequest.versions),
        Row(.initProducerID, InitProducerIDRequest.versions),
        Row(.describeProducers, DescribeProducersRequest.versions),
    ]

    static let advertised = rows.map { ApiVersionsResponse.Api(key: $0.key, versions: $0.advertised) }

    static func serves(_ key: ApiKey, version: Int16) -> Bool {
        rows.contains { $0.key == key && $0.served.contains(version) }
    }
}
