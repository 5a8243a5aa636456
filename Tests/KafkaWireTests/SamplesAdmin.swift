// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

extension Sample {
    static let createTopicsRequest: CreateTopicsRequest = filled {
        ($0.timeout, $0.validateOnly) = (30_000, true)
        $0.topics = [
            filled {
                ($0.name, $0.partitionCount, $0.replicationFactor) = ("events", 6, 3)
                $0.assignments = [filled { $0.brokerIDs = [1, 2, 3] }]
                $0.configs = [
                    filled { ($0.name, $0.value) = ("retention.ms", "1000") },
                    filled { $0.name = "cleanup.policy" },
                ]
            }
        ]
    }

    static let createTopicsResponse: CreateTopicsResponse = filled {
        $0.throttleTime = 16
        $0.topics = [
            filled {
                ($0.name, $0.id, $0.error, $0.errorMessage) = ("events", id, .topicAlreadyExists, "exists")
                ($0.configError, $0.partitionCount, $0.replicationFactor) = (.topicAuthorizationFailed, 6, 3)
                $0.configs = [
                    filled {
                        ($0.name, $0.value, $0.isReadOnly) = ("retention.ms", "1000", true)
                        ($0.source, $0.isSensitive) = (.dynamicTopic, true)
                    }
                ]
            },
            filled {
                ($0.name, $0.id, $0.partitionCount, $0.replicationFactor) = ("other", directory, 1, 1)
                $0.configs = nil
            },
        ]
    }

    static let deleteTopicsRequest: DeleteTopicsRequest = filled {
        $0.topics = [filled { ($0.name, $0.id) = ("events", id) }, filled { $0.id = directory }]
        ($0.topicNames, $0.timeout) = (["events", "other"], 30_000)
    }

    static let deleteTopicsResponse: DeleteTopicsResponse = filled {
        $0.throttleTime = 17
        $0.topics = [
            filled {
                ($0.name, $0.id, $0.error, $0.errorMessage) = ("events", id, .unknownTopicOrPartition, "unknown")
            }
        ]
    }

    static let createPartitionsRequest: CreatePartitionsRequest = filled {
        ($0.timeout, $0.validateOnly) = (30_000, true)
        $0.topics = [
            filled { ($0.name, $0.count, $0.assignments) = ("events", 9, [filled { $0.brokerIDs = [1, 2] }]) },
            filled { ($0.name, $0.count, $0.assignments) = ("other", 2, nil) },
        ]
    }

    static let createPartitionsResponse: CreatePartitionsResponse = filled {
        $0.throttleTime = 18
        $0.results = [
            filled { ($0.name, $0.error, $0.errorMessage) = ("events", .invalidPartitions, "fewer") },
            filled { $0.name = "other" },
        ]
    }

    static let describeConfigsRequest: DescribeConfigsRequest = filled {
        ($0.includesSynonyms, $0.includesDocumentation) = (true, true)
        $0.resources = [
            filled { ($0.type, $0.name, $0.configurationKeys) = (.topic, "events", ["retention.ms"]) },
            filled { ($0.type, $0.name, $0.configurationKeys) = (.broker, "1", nil) },
        ]
    }

    static let describeConfigsResponse: DescribeConfigsResponse = filled {
        $0.throttleTime = 19
        $0.results = [
            filled {
                ($0.error, $0.errorMessage, $0.type, $0.name) = (.invalidConfig, "odd", .topic, "events")
                $0.configs = [
                    filled {
                        ($0.name, $0.value, $0.isReadOnly) = ("retention.ms", "1000", true)
                        ($0.source, $0.type, $0.documentation) = (.dynamicTopic, .long, "How long.")
                        $0.synonyms = [
                            filled { ($0.name, $0.value, $0.source) = ("log.retention.ms", "2000", .staticBroker) }
                        ]
                    },
                    filled {
                        ($0.name, $0.source, $0.isSensitive, $0.type) = ("password", .builtInDefault, true, .password)
                    },
                ]
            }
        ]
    }

    static let describeClusterRequest: DescribeClusterRequest = filled {
        ($0.includesClusterOperations, $0.endpointType, $0.includesFencedBrokers) = (true, 2, true)
    }

    static let describeClusterResponse: DescribeClusterResponse = filled {
        ($0.throttleTime, $0.error, $0.errorMessage) = (20, .clusterAuthorizationFailed, "no")
        ($0.endpointType, $0.clusterID, $0.controllerID, $0.clusterOperations) = (2, "cluster-1", 3, 264)
        $0.brokers = [
            filled { ($0.id, $0.host, $0.port, $0.rack, $0.isFenced) = (1, "h1", 9092, "a", true) },
            filled { ($0.id, $0.host, $0.port) = (2, "h2", 9093) },
        ]
    }

    static let offsetForLeaderEpochRequest: OffsetForLeaderEpochRequest = filled {
        $0.replicaID = -1
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [filled { ($0.index, $0.currentLeaderEpoch, $0.leaderEpoch) = (2, 23, 22) }]
            }
        ]
    }

    static let offsetForLeaderEpochResponse: OffsetForLeaderEpochResponse = filled {
        $0.throttleTime = 21
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [
                    filled { ($0.error, $0.index, $0.leaderEpoch, $0.endOffset) = (.fencedLeaderEpoch, 2, 22, 1234) }
                ]
            }
        ]
    }

    static let findCoordinatorRequest: FindCoordinatorRequest = filled {
        ($0.key, $0.keyType, $0.coordinatorKeys) = ("group", 1, ["group", "other"])
    }

    static let findCoordinatorResponse: FindCoordinatorResponse = filled {
        ($0.throttleTime, $0.error, $0.errorMessage) = (22, .coordinatorNotAvailable, "none")
        ($0.nodeID, $0.host, $0.port) = (1, "h1", 9092)
        $0.coordinators = [
            filled { ($0.key, $0.nodeID, $0.host, $0.port, $0.error) = ("group", 2, "h2", 9093, .notCoordinator) }
        ]
    }
}
