// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel

extension Sample {
    static let consumerGroupHeartbeatRequest: ConsumerGroupHeartbeatRequest = filled {
        ($0.groupID, $0.memberID, $0.memberEpoch) = ("group", "member-1", 5)
        ($0.instanceID, $0.rackID, $0.rebalanceTimeout) = ("static-1", "a", 300_000)
        ($0.subscribedTopicNames, $0.subscribedTopicRegex) = (["events"], "ev.*")
        ($0.serverAssignor, $0.topicPartitions) = ("uniform", heartbeatPartitions)
    }

    static let consumerGroupHeartbeatResponse: ConsumerGroupHeartbeatResponse = filled {
        ($0.throttleTime, $0.error, $0.errorMessage) = (33, .fencedMemberEpoch, "old")
        ($0.memberID, $0.memberEpoch, $0.heartbeatInterval) = ("member-1", 5, 5_000)
        $0.assignment = filled { $0.topicPartitions = heartbeatPartitions }
    }

    private static let heartbeatPartitions: [ConsumerGroupPartitions] = [
        filled { ($0.topicID, $0.partitions) = (id, [2, 3]) }
    ]

    static let consumerGroupDescribeRequest: ConsumerGroupDescribeRequest = filled {
        ($0.groupIDs, $0.includesOperations) = (["group", "other"], true)
    }

    static let consumerGroupDescribeResponse: ConsumerGroupDescribeResponse = filled {
        $0.throttleTime = 34
        $0.groups = [
            filled {
                ($0.error, $0.errorMessage, $0.groupID) = (.groupIDNotFound, "gone", "group")
                ($0.groupState, $0.groupEpoch, $0.assignmentEpoch) = ("Reconciling", 7, 6)
                ($0.assignorName, $0.operations) = ("uniform", 264)
                $0.members = [
                    filled {
                        ($0.memberID, $0.instanceID, $0.rackID, $0.memberEpoch) = ("member-1", "static-1", "a", 5)
                        ($0.clientID, $0.clientHost) = ("app", "/10.0.0.1")
                        ($0.subscribedTopicNames, $0.subscribedTopicRegex) = (["events"], "ev.*")
                        $0.assignment = owned([2, 3])
                        $0.targetAssignment = owned([2])
                        $0.memberType = 1
                    }
                ]
            }
        ]
    }

    private static func owned(_ partitions: [Int32]) -> ConsumerGroupDescribeResponse.Assignment {
        filled {
            $0.topicPartitions = [filled { ($0.topicID, $0.topicName, $0.partitions) = (id, "events", partitions) }]
        }
    }

    static let consumerProtocolSubscription: ConsumerProtocolSubscription = filled {
        ($0.topics, $0.userData) = (["events", "other"], records)
        ($0.ownedPartitions, $0.generationID, $0.rackID) = (ownedPartitions, 4, "a")
    }

    static let consumerProtocolAssignment: ConsumerProtocolAssignment = filled {
        ($0.assignedPartitions, $0.userData) = (ownedPartitions, records)
    }

    private static let ownedPartitions: [ConsumerProtocolTopicPartitions] = [
        filled { ($0.topic, $0.partitions) = ("events", [2, 3]) }
    ]
}
