// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogStorage
import MetadataCore
import RecordBatches
import Replication

/// From our own errors to Kafka's codes. The switches name every case, so that a new one cannot be forgotten.
extension ErrorCode {
    init(_ error: BatchError) {
        self =
            switch error.kind {
            case .corrupt: .corruptMessage
            case .invalidRecord: .invalidRecord
            case .tooLarge: .messageTooLarge
            case .unsupportedCompression: .unsupportedCompressionType
            case .invalidTimestamp: .invalidTimestamp
            }
    }

    init(_ failure: ProduceFailure) {
        self =
            switch failure {
            case .notLeader: .notLeaderOrFollower
            case .notEnoughReplicas: .notEnoughReplicas
            case .storageFailed: .kafkaStorageError
            case .timedOut: .requestTimedOut
            case .unknownPartition: .unknownTopicOrPartition
            case .invalidTimestamp: .invalidTimestamp
            case .duplicateSequence: .duplicateSequenceNumber
            case .outOfOrderSequence: .outOfOrderSequenceNumber
            case .unknownProducer: .unknownProducerID
            case .staleProducerEpoch: .invalidProducerEpoch
            }
    }

    init(_ error: LogError) {
        self =
            switch error {
            case .outOfRange: .offsetOutOfRange
            default: .kafkaStorageError
            }
    }

    init(_ kind: TopicRefusal.Kind) {
        self =
            switch kind {
            case .invalidTopic: .invalidTopic
            case .topicAlreadyExists: .topicAlreadyExists
            case .unknownTopic: .unknownTopicOrPartition
            case .invalidPartitions: .invalidPartitions
            case .invalidReplicationFactor: .invalidReplicationFactor
            case .invalidReplicaAssignment: .invalidReplicaAssignment
            case .invalidConfig: .invalidConfig
            case .policyViolation: .policyViolation
            case .invalidRequest: .invalidRequest
            case .noReassignmentInProgress: .noReassignmentInProgress
            }
    }

    init(_ failure: ProposalFailure) {
        switch failure {
        case .notController: self = .notController
        case .unreadable: self = .unknownServerError
        case .refused(let refusal):
            self =
                switch refusal {
                case .topicAlreadyExists: .topicAlreadyExists
                case .topicNameCollides: .invalidTopic
                case .unknownTopic, .unknownPartition: .unknownTopicOrPartition
                case .noReassignmentInProgress: .noReassignmentInProgress
                case .votersNotWanted, .nodeKeepsReplicas, .nodeWasRemoved: .invalidRequest
                case .partitionCountChanged: .invalidPartitions
                case .tooManyConfigs: .policyViolation
                case .clusterAlreadyFormed, .clusterNotFormed, .topicIDInUse, .unknownNode, .invalidPlacement,
                    .producerIDsExhausted:
                    .unknownServerError
                }
        }
    }
}

extension ProduceFailure {
    /// What a producer may be told beside the code.
    var explanation: String? {
        switch self {
        case .duplicateSequence: "the batch is stored already; its offset is no longer remembered"
        case .outOfOrderSequence(let got, let expected):
            "out of order sequence number: \(got) came, \(expected) follows what is stored"
        case .unknownProducer: "nothing is known of this producer here: it is to begin a new epoch"
        case .staleProducerEpoch(let got, let current):
            "producer epoch \(got) is over: the producer id is in epoch \(current)"
        case .notLeader, .notEnoughReplicas, .storageFailed, .timedOut, .unknownPartition, .invalidTimestamp: nil
        }
    }
}

extension ProposalFailure {
    var explanation: String {
        switch self {
        case .notController: "this node is not the controller any more; ask again"
        case .refused(let refusal): "\(refusal)"
        case .unreadable(let error): "\(error)"
        }
    }
}
