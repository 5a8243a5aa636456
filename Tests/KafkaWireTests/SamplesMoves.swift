// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

extension Sample {
    static let alterPartitionReassignmentsRequest: AlterPartitionReassignmentsRequest = filled {
        ($0.timeout, $0.allowsReplicationFactorChange) = (30_000, false)
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [filled { ($0.index, $0.replicas) = (2, [4, 2, 3]) }, filled { $0.index = 3 }]
            }
        ]
    }

    static let alterPartitionReassignmentsResponse: AlterPartitionReassignmentsResponse = filled {
        ($0.throttleTime, $0.allowsReplicationFactorChange) = (43, false)
        ($0.error, $0.errorMessage) = (.notController, "gone")
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [
                    filled { ($0.index, $0.error, $0.errorMessage) = (2, .invalidReplicaAssignment, "twice") },
                    filled { $0.index = 3 },
                ]
            }
        ]
    }

    static let listPartitionReassignmentsRequest: ListPartitionReassignmentsRequest = filled {
        ($0.timeout, $0.topics) = (30_000, [filled { ($0.name, $0.partitions) = ("events", [2, 3]) }])
    }

    static let listPartitionReassignmentsResponse: ListPartitionReassignmentsResponse = filled {
        ($0.throttleTime, $0.error, $0.errorMessage) = (44, .notController, "gone")
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [
                    filled { ($0.index, $0.replicas, $0.adding, $0.removing) = (2, [4, 2, 3, 1], [4], [1]) }
                ]
            }
        ]
    }

    static let electLeadersRequest: ElectLeadersRequest = filled {
        ($0.electionType, $0.timeout) = (1, 30_000)
        $0.topics = [filled { ($0.name, $0.partitions) = ("events", [2, 3]) }]
    }

    static let electLeadersResponse: ElectLeadersResponse = filled {
        ($0.throttleTime, $0.error) = (45, .clusterAuthorizationFailed)
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [
                    filled { ($0.index, $0.error, $0.errorMessage) = (2, .electionNotNeeded, "leads") },
                    filled { $0.index = 3 },
                ]
            }
        ]
    }

    static let describeQuorumRequest: DescribeQuorumRequest = filled {
        $0.topics = [filled { ($0.name, $0.partitions) = ("__cluster_metadata", [filled { $0.index = 0 }]) }]
    }

    static let describeQuorumResponse: DescribeQuorumResponse = filled {
        ($0.error, $0.errorMessage) = (.clusterAuthorizationFailed, "no")
        $0.topics = [
            filled {
                $0.name = "__cluster_metadata"
                $0.partitions = [
                    filled {
                        ($0.error, $0.errorMessage) = (.notLeaderOrFollower, "moved")
                        ($0.leaderID, $0.leaderEpoch, $0.highWatermark) = (1, 7, 1 << 33)
                        $0.voters = [
                            filled {
                                ($0.id, $0.directoryID, $0.logEndOffset) = (1, directory, 1 << 34)
                                $0.lastFetchTimestamp = 1_700_000_000_000
                                $0.lastCaughtUpTimestamp = 1_700_000_000_001
                            }
                        ]
                        $0.observers = [filled { ($0.id, $0.directoryID, $0.logEndOffset) = (4, id, 9) }]
                    }
                ]
            }
        ]
        $0.nodes = [
            filled {
                $0.id = 1
                $0.listeners = [filled { ($0.name, $0.host, $0.port) = ("CONTROLLER", "h1", 59_092) }]
            }
        ]
    }

    static let addRaftVoterRequest: AddRaftVoterRequest = filled {
        ($0.clusterID, $0.timeout, $0.voterID, $0.directoryID) = ("cluster-1", 30_000, 4, directory)
        $0.listeners = [filled { ($0.name, $0.host, $0.port) = ("CONTROLLER", "h4", 59_092) }]
        $0.acknowledgesWhenCommitted = false
    }

    static let addRaftVoterResponse: AddRaftVoterResponse = filled {
        ($0.throttleTime, $0.error, $0.errorMessage) = (46, .duplicateVoter, "it votes")
    }

    static let removeRaftVoterRequest: RemoveRaftVoterRequest = filled {
        ($0.clusterID, $0.voterID, $0.directoryID) = ("cluster-1", 4, directory)
    }

    static let removeRaftVoterResponse: RemoveRaftVoterResponse = filled {
        ($0.throttleTime, $0.error, $0.errorMessage) = (47, .voterNotFound, "it votes not")
    }

    static let describeMovesRequest: DescribeMovesRequest = filled {
        $0.topics = [filled { ($0.name, $0.partitions) = ("events", [2, 3]) }]
    }

    static let describeMovesResponse: DescribeMovesResponse = filled {
        $0.moves = [
            filled {
                ($0.topic, $0.partition, $0.error, $0.errorMessage) = ("events", 2, .notLeaderOrFollower, "moved")
                ($0.phase, $0.reason, $0.sinceMilliseconds) = ("catching up", "It copies.", 4_000)
                ($0.logBytes, $0.voters, $0.outgoing) = (1 << 33, [1, 2, 3], [4])
                $0.replicas = [filled { ($0.id, $0.match, $0.start, $0.end) = (4, 1 << 33, 5, 1 << 34) }]
            }
        ]
    }

    static let balanceClusterRequest: BalanceClusterRequest = filled {
        ($0.action, $0.nodeID, $0.validateOnly) = (3, 4, false)
    }

    static let balanceClusterResponse: BalanceClusterResponse = filled {
        ($0.error, $0.errorMessage, $0.isRebalancing) = (.notController, "gone", true)
        ($0.movingCount, $0.plannedCount) = (5, 6)
        $0.planned = [filled { ($0.topic, $0.partition, $0.from, $0.to) = ("events", 2, [1, 2, 3], [4, 2, 3]) }]
        $0.stuck = [filled { ($0.topic, $0.partition, $0.from) = ("events", 3, [1, 2]) }]
        $0.nodes = [
            filled {
                ($0.id, $0.isDraining, $0.isVoter, $0.replicas) = (4, true, true, 7)
                ($0.leaders, $0.gaining, $0.losing) = (3, 2, 1)
            }
        ]
    }
}
