// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

extension Sample {
    static let initProducerIDRequest: InitProducerIDRequest = filled {
        ($0.transactionalID, $0.transactionTimeout) = ("txn", 60_000)
        ($0.producerID, $0.producerEpoch) = (1 << 34, 6)
    }

    static let initProducerIDResponse: InitProducerIDResponse = filled {
        ($0.throttleTime, $0.error, $0.producerID, $0.producerEpoch) = (35, .invalidProducerEpoch, 1 << 34, 7)
    }

    static let describeProducersRequest: DescribeProducersRequest = filled {
        $0.topics = [filled { ($0.name, $0.partitions) = ("events", [2, 3]) }]
    }

    static let describeProducersResponse: DescribeProducersResponse = filled {
        $0.throttleTime = 36
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [
                    filled {
                        ($0.index, $0.error, $0.errorMessage) = (2, .notLeaderOrFollower, "moved")
                        $0.activeProducers = [
                            filled {
                                ($0.id, $0.epoch, $0.lastSequence) = (1 << 34, 7, 41)
                                ($0.lastTimestamp, $0.coordinatorEpoch) = (1_700_000_000_000, 3)
                                $0.currentTransactionStartOffset = 99
                            }
                        ]
                    }
                ]
            }
        ]
    }

    static let deleteRecordsRequest: DeleteRecordsRequest = filled {
        $0.topics = [
            filled { ($0.name, $0.partitions) = ("events", [filled { ($0.index, $0.offset) = (2, 1 << 33) }]) }
        ]
        $0.timeout = 30_000
    }

    static let deleteRecordsResponse: DeleteRecordsResponse = filled {
        $0.throttleTime = 37
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [
                    filled { ($0.index, $0.lowWatermark, $0.error) = (2, 1 << 33, .offsetOutOfRange) }
                ]
            }
        ]
    }

    static let incrementalAlterConfigsRequest: IncrementalAlterConfigsRequest = filled {
        $0.resources = [
            filled {
                ($0.type, $0.name) = (.topic, "events")
                $0.configs = [
                    filled { ($0.name, $0.operation, $0.value) = ("cleanup.policy", .append, "compact") },
                    filled { ($0.name, $0.operation, $0.value) = ("retention.ms", .delete, nil) },
                ]
            }
        ]
        $0.validateOnly = true
    }

    static let incrementalAlterConfigsResponse: IncrementalAlterConfigsResponse = filled {
        $0.throttleTime = 38
        $0.results = [
            filled { ($0.error, $0.errorMessage, $0.type, $0.name) = (.invalidConfig, "odd", .topic, "events") },
            filled { ($0.type, $0.name) = (.broker, "1") },
        ]
    }

    static let alterConfigsRequest: AlterConfigsRequest = filled {
        $0.resources = [
            filled {
                ($0.type, $0.name) = (.topic, "events")
                $0.configs = [
                    filled { ($0.name, $0.value) = ("cleanup.policy", "compact") },
                    filled { ($0.name, $0.value) = ("retention.ms", nil) },
                ]
            }
        ]
        $0.validateOnly = true
    }

    static let alterConfigsResponse: AlterConfigsResponse = filled {
        $0.throttleTime = 39
        $0.results = [
            filled { ($0.error, $0.errorMessage, $0.type, $0.name) = (.invalidConfig, "odd", .topic, "events") },
            filled { ($0.type, $0.name) = (.broker, "1") },
        ]
    }

    static let describeLogDirsRequest: DescribeLogDirsRequest = filled {
        $0.topics = [filled { ($0.name, $0.partitions) = ("events", [2, 3]) }]
    }

    static let describeLogDirsResponse: DescribeLogDirsResponse = filled {
        ($0.throttleTime, $0.error) = (40, .clusterAuthorizationFailed)
        $0.results = [
            filled {
                ($0.error, $0.logDirectory) = (.kafkaStorageError, "/data")
                ($0.totalBytes, $0.usableBytes) = (1 << 40, 1 << 39)
                $0.topics = [
                    filled {
                        $0.name = "events"
                        $0.partitions = [
                            filled { ($0.index, $0.size, $0.offsetLag, $0.isFuture) = (2, 1 << 33, 9, true) }
                        ]
                    }
                ]
            }
        ]
    }

    static let describeTopicPartitionsRequest: DescribeTopicPartitionsRequest = filled {
        ($0.topics, $0.responsePartitionLimit) = ([filled { $0.name = "events" }], 100)
        $0.cursor = filled { ($0.topicName, $0.partition) = ("events", 2) }
    }

    static let describeTopicPartitionsResponse: DescribeTopicPartitionsResponse = filled {
        $0.throttleTime = 41
        $0.nextCursor = filled { ($0.topicName, $0.partition) = ("other", 3) }
        $0.topics = [
            filled {
                ($0.error, $0.name, $0.id) = (.unknownTopicOrPartition, "events", id)
                ($0.isInternal, $0.operations) = (true, 264)
                $0.partitions = [
                    filled {
                        ($0.error, $0.index, $0.leaderID, $0.leaderEpoch) = (.replicaNotAvailable, 2, 1, 4)
                        ($0.replicas, $0.inSyncReplicas, $0.offlineReplicas) = ([1, 2, 3], [1, 2], [3])
                        ($0.eligibleLeaderReplicas, $0.lastKnownEligibleReplicas) = ([2], [3])
                    },
                    filled { ($0.index, $0.leaderID, $0.leaderEpoch) = (3, 2, 5) },
                ]
            }
        ]
    }

    static let listConfigResourcesRequest: ListConfigResourcesRequest = filled {
        $0.resourceTypes = [.topic, .group]
    }

    static let listConfigResourcesResponse: ListConfigResourcesResponse = filled {
        ($0.throttleTime, $0.error) = (42, .clusterAuthorizationFailed)
        $0.resources = [filled { ($0.name, $0.type) = ("events", .topic) }]
    }
}
