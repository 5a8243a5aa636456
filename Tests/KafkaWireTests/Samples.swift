// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore

/// A message with every field off its default, the same as in Golden/generate.py.
func filled<Message: WireStruct>(_ fill: (inout Message) -> Void) -> Message {
    var message = Message()
    fill(&message)
    return message
}

enum Sample {
    static let id = TopicID(high: 0x0123_4567_89ab_cdef, low: 0x1032_5476_98ba_dcfe)
    static let directory = TopicID(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)
    static let records = ByteBuffer(bytes: (0..<200).map { UInt8($0 % 251) })
    static let leader = LeaderIDAndEpoch(leaderID: 31, leaderEpoch: 32)

    static let endpoints: [NodeEndpoint] = [
        filled { ($0.nodeID, $0.host, $0.port, $0.rack) = (41, "h41", 9041, "r41") },
        filled { ($0.nodeID, $0.host, $0.port) = (42, "h42", 9042) },
    ]

    static let apiVersionsRequest: ApiVersionsRequest = filled {
        $0.clientSoftwareName = "godwit-test"
        $0.clientSoftwareVersion = "1.2.3"
    }

    static let apiVersionsResponse: ApiVersionsResponse = filled {
        $0.throttleTime = 11
        $0.apis = [.init(key: .produce, versions: 0...13), .init(key: .apiVersions, versions: 0...4)]
        $0.supportedFeatures = [
            filled { ($0.name, $0.minVersion, $0.maxVersion) = ("metadata.version", 1, 30) }
        ]
        $0.finalizedFeaturesEpoch = 77
        $0.finalizedFeatures = [
            filled { ($0.name, $0.maxVersionLevel, $0.minVersionLevel) = ("metadata.version", 29, 2) }
        ]
        $0.isZooKeeperMigrationReady = true
    }

    static let metadataRequest: MetadataRequest = filled {
        $0.topics = [filled { ($0.id, $0.name) = (id, "events") }]
        $0.allowsTopicCreation = false
        $0.includesClusterOperations = true
        $0.includesTopicOperations = true
    }

    static let metadataResponse: MetadataResponse = filled {
        $0.throttleTime = 12
        $0.brokers = [
            filled { ($0.nodeID, $0.host, $0.port, $0.rack) = (1, "h1", 9092, "a") },
            filled { ($0.nodeID, $0.host, $0.port) = (2, "h2", 9093) },
        ]
        $0.clusterID = "cluster-1"
        $0.controllerID = 3
        $0.topics = [
            filled {
                $0.error = .unknownTopicOrPartition
                ($0.name, $0.id, $0.isInternal, $0.operations) = ("events", id, true, 3576)
                $0.partitions = [
                    filled {
                        ($0.error, $0.index, $0.leaderID, $0.leaderEpoch) = (.replicaNotAvailable, 6, 1, 4)
                        ($0.replicas, $0.inSyncReplicas, $0.offlineReplicas) = ([1, 2, 3], [1, 2], [3])
                    }
                ]
            }
        ]
        $0.clusterOperations = 264
        $0.error = .leaderNotAvailable
    }

    static let produceRequest: ProduceRequest = filled {
        ($0.transactionalID, $0.acks, $0.timeout) = ("txn", -1, 30_000)
        $0.topics = [
            filled {
                ($0.name, $0.id) = ("events", id)
                $0.partitions = [filled { ($0.index, $0.records) = (2, records) }, filled { $0.index = 3 }]
            }
        ]
    }

    static let produceResponse: ProduceResponse = filled {
        $0.throttleTime = 13
        $0.nodeEndpoints = endpoints
        $0.topics = [
            filled {
                ($0.name, $0.id) = ("events", id)
                $0.partitions = [
                    filled {
                        ($0.index, $0.baseOffset, $0.logAppendTime) = (2, 1 << 40, 1_700_000_000_000)
                        $0.logStartOffset = 5
                    },
                    filled {
                        ($0.index, $0.error, $0.baseOffset) = (3, .notLeaderOrFollower, -1)
                        $0.recordErrors = [filled { ($0.batchIndex, $0.message) = (8, "bad") }]
                        ($0.errorMessage, $0.currentLeader) = ("moved", leader)
                    },
                ]
            }
        ]
    }

    static let fetchRequest: FetchRequest = filled {
        ($0.clusterID, $0.replicaID) = ("cluster-1", 7)
        $0.replicaState = filled { ($0.replicaID, $0.replicaEpoch) = (8, 9) }
        ($0.maxWait, $0.minBytes, $0.maxBytes, $0.isolationLevel) = (500, 1, 52_428_800, 1)
        ($0.sessionID, $0.sessionEpoch, $0.rackID) = (21, 22, "a")
        $0.topics = [
            filled {
                ($0.name, $0.id) = ("events", id)
                $0.partitions = [
                    filled {
                        ($0.index, $0.currentLeaderEpoch, $0.fetchOffset, $0.lastFetchedEpoch) = (2, 23, 1 << 33, 24)
                        ($0.logStartOffset, $0.maxBytes, $0.replicaDirectoryID) = (25, 1_048_576, directory)
                    }
                ]
            }
        ]
        $0.forgottenTopics = [filled { ($0.name, $0.id, $0.partitions) = ("old", directory, [4, 5]) }]
    }

    static let fetchResponse: FetchResponse = filled {
        ($0.throttleTime, $0.error, $0.sessionID) = (14, .invalidFetchSessionEpoch, 21)
        $0.nodeEndpoints = endpoints
        $0.topics = [
            filled {
                ($0.name, $0.id) = ("events", id)
                $0.partitions = [
                    filled {
                        ($0.index, $0.highWatermark, $0.lastStableOffset, $0.logStartOffset) = (2, 100, 99, 1)
                        $0.abortedTransactions = [filled { ($0.producerID, $0.firstOffset) = (61, 62) }]
                        ($0.preferredReadReplica, $0.records) = (2, .bytes(records))
                    },
                    filled {
                        ($0.index, $0.error, $0.highWatermark) = (3, .notLeaderOrFollower, -1)
                        $0.divergingEpoch = filled { ($0.epoch, $0.endOffset) = (51, 52) }
                        $0.currentLeader = leader
                        $0.snapshotID = filled { ($0.endOffset, $0.epoch) = (53, 54) }
                    },
                ]
            }
        ]
    }

    static let listOffsetsRequest: ListOffsetsRequest = filled {
        ($0.isolationLevel, $0.timeout) = (1, 1_500)
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [
                    filled { ($0.index, $0.currentLeaderEpoch, $0.timestamp) = (2, 23, ListOffsetsMark.earliest) }
                ]
            }
        ]
    }

    static let listOffsetsResponse: ListOffsetsResponse = filled {
        $0.throttleTime = 15
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [
                    filled {
                        ($0.index, $0.error, $0.timestamp) = (2, .fencedLeaderEpoch, 1_700_000_000_000)
                        ($0.offset, $0.leaderEpoch) = (1234, 23)
                    }
                ]
            }
        ]
    }
}
