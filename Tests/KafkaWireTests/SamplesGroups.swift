// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore

extension Sample {
    static let joinGroupRequest: JoinGroupRequest = filled {
        ($0.groupID, $0.sessionTimeout, $0.rebalanceTimeout) = ("group", 45_000, 300_000)
        ($0.memberID, $0.groupInstanceID, $0.protocolType) = ("member-1", "static-1", "consumer")
        $0.protocols = [filled { ($0.name, $0.metadata) = ("range", records) }, filled { $0.name = "sticky" }]
        $0.reason = "new"
    }

    static let joinGroupResponse: JoinGroupResponse = filled {
        ($0.throttleTime, $0.error, $0.generationID) = (23, .memberIDRequired, 4)
        ($0.protocolType, $0.protocolName, $0.leader) = ("consumer", "range", "member-1")
        ($0.skipsAssignment, $0.memberID) = (true, "member-2")
        $0.members = [
            filled { ($0.memberID, $0.groupInstanceID, $0.metadata) = ("member-1", "static-1", records) },
            filled { $0.memberID = "member-2" },
        ]
    }

    static let syncGroupRequest: SyncGroupRequest = filled {
        ($0.groupID, $0.generationID, $0.memberID) = ("group", 4, "member-1")
        ($0.groupInstanceID, $0.protocolType, $0.protocolName) = ("static-1", "consumer", "range")
        $0.assignments = [
            filled { ($0.memberID, $0.assignment) = ("member-1", records) }, filled { $0.memberID = "member-2" },
        ]
    }

    static let syncGroupResponse: SyncGroupResponse = filled {
        ($0.throttleTime, $0.error, $0.protocolType) = (24, .rebalanceInProgress, "consumer")
        ($0.protocolName, $0.assignment) = ("range", records)
    }

    static let heartbeatRequest: HeartbeatRequest = filled {
        ($0.groupID, $0.generationID, $0.memberID, $0.groupInstanceID) = ("group", 4, "member-1", "static-1")
    }

    static let heartbeatResponse: HeartbeatResponse = filled {
        ($0.throttleTime, $0.error) = (25, .illegalGeneration)
    }

    static let leaveGroupRequest: LeaveGroupRequest = filled {
        $0.groupID = "group"
        $0.members = [filled { ($0.memberID, $0.groupInstanceID, $0.reason) = ("member-1", "static-1", "closed") }]
    }

    static let leaveGroupResponse: LeaveGroupResponse = filled {
        ($0.throttleTime, $0.error) = (26, .unknownMemberID)
        $0.members = [
            filled { ($0.memberID, $0.groupInstanceID, $0.error) = ("member-1", "static-1", .fencedInstanceID) },
            filled { $0.memberID = "member-2" },
        ]
    }

    static let offsetCommitRequest: OffsetCommitRequest = filled {
        ($0.groupID, $0.generationIDOrMemberEpoch, $0.memberID) = ("group", 4, "member-1")
        ($0.groupInstanceID, $0.retentionTime) = ("static-1", 60_000)
        $0.topics = [
            filled {
                ($0.name, $0.id) = ("events", id)
                $0.partitions = [
                    filled {
                        ($0.index, $0.committedOffset, $0.committedLeaderEpoch) = (2, 1 << 33, 23)
                        $0.committedMetadata = "note"
                    },
                    filled { ($0.index, $0.committedOffset, $0.committedMetadata) = (3, 7, nil) },
                ]
            }
        ]
    }

    static let offsetCommitResponse: OffsetCommitResponse = filled {
        $0.throttleTime = 27
        $0.topics = [
            filled {
                ($0.name, $0.id) = ("events", id)
                $0.partitions = [
                    filled { ($0.index, $0.error) = (2, .offsetMetadataTooLarge) }, filled { $0.index = 3 },
                ]
            }
        ]
    }

    static let offsetFetchRequest: OffsetFetchRequest = filled {
        $0.requireStable = true
        $0.groups = [
            filled {
                ($0.groupID, $0.memberID, $0.memberEpoch) = ("group", "member-1", 5)
                $0.topics = [filled { ($0.name, $0.id, $0.partitions) = ("events", id, [2, 3]) }]
            }
        ]
    }

    static let offsetFetchResponse: OffsetFetchResponse = filled {
        $0.throttleTime = 28
        $0.groups = [
            filled {
                ($0.groupID, $0.error) = ("group", .coordinatorLoadInProgress)
                $0.topics = [
                    filled {
                        ($0.name, $0.id) = ("events", id)
                        $0.partitions = [
                            filled {
                                ($0.index, $0.committedOffset, $0.committedLeaderEpoch) = (2, 1 << 33, 23)
                                $0.metadata = "note"
                            },
                            filled {
                                ($0.index, $0.committedOffset, $0.metadata) = (3, -1, nil)
                                $0.error = .unstableOffsetCommit
                            },
                        ]
                    }
                ]
            }
        ]
    }

    static let listGroupsRequest: ListGroupsRequest = filled {
        ($0.statesFilter, $0.typesFilter) = (["Stable", "Empty"], ["consumer"])
    }

    static let listGroupsResponse: ListGroupsResponse = filled {
        ($0.throttleTime, $0.error) = (29, .coordinatorLoadInProgress)
        $0.groups = [
            filled {
                ($0.groupID, $0.protocolType, $0.groupState, $0.groupType) = ("group", "consumer", "Stable", "classic")
            }
        ]
    }

    static let describeGroupsRequest: DescribeGroupsRequest = filled {
        ($0.groups, $0.includesOperations) = (["group", "other"], true)
    }

    static let describeGroupsResponse: DescribeGroupsResponse = filled {
        $0.throttleTime = 30
        $0.groups = [
            filled {
                ($0.error, $0.errorMessage, $0.groupID) = (.groupIDNotFound, "gone", "group")
                ($0.groupState, $0.protocolType, $0.protocolData) = ("Stable", "consumer", "range")
                $0.operations = 264
                $0.members = [
                    filled {
                        ($0.memberID, $0.groupInstanceID, $0.clientID) = ("member-1", "static-1", "app")
                        ($0.clientHost, $0.memberMetadata) = ("/10.0.0.1", records)
                        $0.memberAssignment = ByteBuffer(string: "abc")
                    },
                    filled { ($0.memberID, $0.clientID, $0.clientHost) = ("member-2", "app", "/10.0.0.2") },
                ]
            }
        ]
    }

    static let deleteGroupsRequest: DeleteGroupsRequest = filled { $0.groups = ["group", "other"] }

    static let deleteGroupsResponse: DeleteGroupsResponse = filled {
        $0.throttleTime = 31
        $0.results = [filled { ($0.groupID, $0.error) = ("group", .nonEmptyGroup) }, filled { $0.groupID = "other" }]
    }

    static let offsetDeleteRequest: OffsetDeleteRequest = filled {
        $0.groupID = "group"
        $0.topics = [filled { ($0.name, $0.partitions) = ("events", [filled { $0.index = 2 }]) }]
    }

    static let offsetDeleteResponse: OffsetDeleteResponse = filled {
        ($0.error, $0.throttleTime) = (.notCoordinator, 32)
        $0.topics = [
            filled {
                $0.name = "events"
                $0.partitions = [filled { ($0.index, $0.error) = (2, .groupSubscribedToTopic) }]
            }
        ]
    }

    static let explainGroupRequest: ExplainGroupRequest = filled { $0.groupIDs = ["group", "other"] }

    static let explainGroupResponse: ExplainGroupResponse = filled {
        $0.groups = [
            filled {
                ($0.error, $0.errorMessage, $0.groupID) = (.coordinatorLoadInProgress, "loading", "group")
                ($0.state, $0.protocolType) = ("PreparingRebalance", "consumer")
                $0.waits = [
                    filled {
                        ($0.memberID, $0.clientID, $0.clientHost) = ("member-1", "app", "/10.0.0.1")
                        ($0.reason, $0.sinceMilliseconds) = ("It has not joined again.", 4_000)
                        ($0.next, $0.dueMilliseconds) = ("It is taken out.", 296_000)
                    }
                ]
            }
        ]
    }
}
