// SPDX-License-Identifier: Apache-2.0

/// Kafka's error codes, −1 to 133. A code that is not named here is kept as it came.
public struct ErrorCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public var rawValue: Int16

    @inlinable
    public init(rawValue: Int16) { self.rawValue = rawValue }

    public static let unknownServerError = Self(rawValue: -1)
    public static let none = Self(rawValue: 0)
    public static let offsetOutOfRange = Self(rawValue: 1)
    public static let corruptMessage = Self(rawValue: 2)
    public static let unknownTopicOrPartition = Self(rawValue: 3)
    public static let invalidFetchSize = Self(rawValue: 4)
    public static let leaderNotAvailable = Self(rawValue: 5)
    public static let notLeaderOrFollower = Self(rawValue: 6)
    public static let requestTimedOut = Self(rawValue: 7)
    public static let brokerNotAvailable = Self(rawValue: 8)
    public static let replicaNotAvailable = Self(rawValue: 9)
    public static let messageTooLarge = Self(rawValue: 10)
    public static let staleControllerEpoch = Self(rawValue: 11)
    public static let offsetMetadataTooLarge = Self(rawValue: 12)
    public static let networkException = Self(rawValue: 13)
    public static let coordinatorLoadInProgress = Self(rawValue: 14)
    public static let coordinatorNotAvailable = Self(rawValue: 15)
    public static let notCoordinator = Self(rawValue: 16)
    public static let invalidTopic = Self(rawValue: 17)
    public static let recordListTooLarge = Self(rawValue: 18)
    public static let notEnoughReplicas = Self(rawValue: 19)
    public static let notEnoughReplicasAfterAppend = Self(rawValue: 20)
    public static let invalidRequiredAcks = Self(rawValue: 21)
    public static let illegalGeneration = Self(rawValue: 22)
    public static let inconsistentGroupProtocol = Self(rawValue: 23)
    public static let invalidGroupID = Self(rawValue: 24)
    public static let unknownMemberID = Self(rawValue: 25)
    public static let invalidSessionTimeout = Self(rawValue: 26)
    public static let rebalanceInProgress = Self(rawValue: 27)
    public static let invalidCommitOffsetSize = Self(rawValue: 28)
    public static let topicAuthorizationFailed = Self(rawValue: 29)
    public static let groupAuthorizationFailed = Self(rawValue: 30)
    public static let clusterAuthorizationFailed = Self(rawValue: 31)
    public static let invalidTimestamp = Self(rawValue: 32)
    public static let unsupportedSaslMechanism = Self(rawValue: 33)
    public static let illegalSaslState = Self(rawValue: 34)
    public static let unsupportedVersion = Self(rawValue: 35)
    public static let topicAlreadyExists = Self(rawValue: 36)
    public static let invalidPartitions = Self(rawValue: 37)
    public static let invalidReplicationFactor = Self(rawValue: 38)
    public static let invalidReplicaAssignment = Self(rawValue: 39)
    public static let invalidConfig = Self(rawValue: 40)
    public static let notController = Self(rawValue: 41)
    public static let invalidRequest = Self(rawValue: 42)
    public static let unsupportedForMessageFormat = Self(rawValue: 43)
    public static let policyViolation = Self(rawValue: 44)
    public static let outOfOrderSequenceNumber = Self(rawValue: 45)
    public static let duplicateSequenceNumber = Self(rawValue: 46)
    public static let invalidProducerEpoch = Self(rawValue: 47)
    public static let invalidTxnState = Self(rawValue: 48)
    public static let invalidProducerIDMapping = Self(rawValue: 49)
    public static let invalidTransactionTimeout = Self(rawValue: 50)
    public static let concurrentTransactions = Self(rawValue: 51)
    public static let transactionCoordinatorFenced = Self(rawValue: 52)
    public static let transactionalIDAuthorizationFailed = Self(rawValue: 53)
    public static let securityDisabled = Self(rawValue: 54)
    public static let operationNotAttempted = Self(rawValue: 55)
    public static let kafkaStorageError = Self(rawValue: 56)
    public static let logDirNotFound = Self(rawValue: 57)
    public static let saslAuthenticationFailed = Self(rawValue: 58)
    public static let unknownProducerID = Self(rawValue: 59)
    public static let reassignmentInProgress = Self(rawValue: 60)
    public static let delegationTokenAuthDisabled = Self(rawValue: 61)
    public static let delegationTokenNotFound = Self(rawValue: 62)
    public static let delegationTokenOwnerMismatch = Self(rawValue: 63)
    public static let delegationTokenRequestNotAllowed = Self(rawValue: 64)
    public static let delegationTokenAuthorizationFailed = Self(rawValue: 65)
    public static let delegationTokenExpired = Self(rawValue: 66)
    public static let invalidPrincipalType = Self(rawValue: 67)
    public static let nonEmptyGroup = Self(rawValue: 68)
    public static let groupIDNotFound = Self(rawValue: 69)
    public static let fetchSessionIDNotFound = Self(rawValue: 70)
    public static let invalidFetchSessionEpoch = Self(rawValue: 71)
    public static let listenerNotFound = Self(rawValue: 72)
    public static let topicDeletionDisabled = Self(rawValue: 73)
    public static let fencedLeaderEpoch = Self(rawValue: 74)
    public static let unknownLeaderEpoch = Self(rawValue: 75)
    public static let unsupportedCompressionType = Self(rawValue: 76)
    public static let staleBrokerEpoch = Self(rawValue: 77)
    public static let offsetNotAvailable = Self(rawValue: 78)
    public static let memberIDRequired = Self(rawValue: 79)
    public static let preferredLeaderNotAvailable = Self(rawValue: 80)
    public static let groupMaxSizeReached = Self(rawValue: 81)
    public static let fencedInstanceID = Self(rawValue: 82)
    public static let eligibleLeadersNotAvailable = Self(rawValue: 83)
    public static let electionNotNeeded = Self(rawValue: 84)
    public static let noReassignmentInProgress = Self(rawValue: 85)
    public static let groupSubscribedToTopic = Self(rawValue: 86)
    public static let invalidRecord = Self(rawValue: 87)
    public static let unstableOffsetCommit = Self(rawValue: 88)
    public static let throttlingQuotaExceeded = Self(rawValue: 89)
    public static let producerFenced = Self(rawValue: 90)
    public static let resourceNotFound = Self(rawValue: 91)
    public static let duplicateResource = Self(rawValue: 92)
    public static let unacceptableCredential = Self(rawValue: 93)
    public static let inconsistentVoterSet = Self(rawValue: 94)
    public static let invalidUpdateVersion = Self(rawValue: 95)
    public static let featureUpdateFailed = Self(rawValue: 96)
    public static let principalDeserializationFailure = Self(rawValue: 97)
    public static let snapshotNotFound = Self(rawValue: 98)
    public static let positionOutOfRange = Self(rawValue: 99)
    public static let unknownTopicID = Self(rawValue: 100)
    public static let duplicateBrokerRegistration = Self(rawValue: 101)
    public static let brokerIDNotRegistered = Self(rawValue: 102)
    public static let inconsistentTopicID = Self(rawValue: 103)
    public static let inconsistentClusterID = Self(rawValue: 104)
    public static let transactionalIDNotFound = Self(rawValue: 105)
    public static let fetchSessionTopicIDError = Self(rawValue: 106)
    public static let ineligibleReplica = Self(rawValue: 107)
    public static let newLeaderElected = Self(rawValue: 108)
    public static let offsetMovedToTieredStorage = Self(rawValue: 109)
    public static let fencedMemberEpoch = Self(rawValue: 110)
    public static let unreleasedInstanceID = Self(rawValue: 111)
    public static let unsupportedAssignor = Self(rawValue: 112)
    public static let staleMemberEpoch = Self(rawValue: 113)
    public static let mismatchedEndpointType = Self(rawValue: 114)
    public static let unsupportedEndpointType = Self(rawValue: 115)
    public static let unknownControllerID = Self(rawValue: 116)
    public static let unknownSubscriptionID = Self(rawValue: 117)
    public static let telemetryTooLarge = Self(rawValue: 118)
    public static let invalidRegistration = Self(rawValue: 119)
    public static let transactionAbortable = Self(rawValue: 120)
    public static let invalidRecordState = Self(rawValue: 121)
    public static let shareSessionNotFound = Self(rawValue: 122)
    public static let invalidShareSessionEpoch = Self(rawValue: 123)
    public static let fencedStateEpoch = Self(rawValue: 124)
    public static let invalidVoterKey = Self(rawValue: 125)
    public static let duplicateVoter = Self(rawValue: 126)
    public static let voterNotFound = Self(rawValue: 127)
    public static let invalidRegularExpression = Self(rawValue: 128)
    public static let rebootstrapRequired = Self(rawValue: 129)
    public static let streamsInvalidTopology = Self(rawValue: 130)
    public static let streamsInvalidTopologyEpoch = Self(rawValue: 131)
    public static let streamsTopologyFenced = Self(rawValue: 132)
    public static let shareSessionLimitReached = Self(rawValue: 133)

    /// Whether the same request may succeed later, perhaps after fresh metadata, without anybody changing anything.
    public var isRetriable: Bool {
        switch rawValue {
        case 2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88,
            89, 100, 103, 106, 122, 123, 133:
            true
        default: false
        }
    }

    /// The name in Kafka's documentation, or the bare number.
    public var description: String {
        let place = Int(rawValue) + 1
        return Self.names.indices.contains(place) ? Self.names[place] : "ERROR_\(rawValue)"
    }

    /// From code −1 on.
    private static let names = [
        "UNKNOWN_SERVER_ERROR", "NONE", "OFFSET_OUT_OF_RANGE", "CORRUPT_MESSAGE", "UNKNOWN_TOPIC_OR_PARTITION",
        "INVALID_FETCH_SIZE", "LEADER_NOT_AVAILABLE", "NOT_LEADER_OR_FOLLOWER", "REQUEST_TIMED_OUT",
        "BROKER_NOT_AVAILABLE", "REPLICA_NOT_AVAILABLE", "MESSAGE_TOO_LARGE", "STALE_CONTROLLER_EPOCH",
        "OFFSET_METADATA_TOO_LARGE", "NETWORK_EXCEPTION", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR", "INVALID_TOPIC_EXCEPTION", "RECORD_LIST_TOO_LARGE", "NOT_ENOUGH_REPLICAS",
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "INVALID_REQUIRED_ACKS", "ILLEGAL_GENERATION",
        "INCONSISTENT_GROUP_PROTOCOL", "INVALID_GROUP_ID", "UNKNOWN_MEMBER_ID", "INVALID_SESSION_TIMEOUT",
        "REBALANCE_IN_PROGRESS", "INVALID_COMMIT_OFFSET_SIZE", "TOPIC_AUTHORIZATION_FAILED",
        "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "INVALID_TIMESTAMP",
        "UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE", "UNSUPPORTED_VERSION", "TOPIC_ALREADY_EXISTS",
        "INVALID_PARTITIONS", "INVALID_REPLICATION_FACTOR", "INVALID_REPLICA_ASSIGNMENT", "INVALID_CONFIG",
        "NOT_CONTROLLER", "INVALID_REQUEST", "UNSUPPORTED_FOR_MESSAGE_FORMAT", "POLICY_VIOLATION",
        "OUT_OF_ORDER_SEQUENCE_NUMBER", "DUPLICATE_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH", "INVALID_TXN_STATE",
        "INVALID_PRODUCER_ID_MAPPING", "INVALID_TRANSACTION_TIMEOUT", "CONCURRENT_TRANSACTIONS",
        "TRANSACTION_COORDINATOR_FENCED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "SECURITY_DISABLED",
        "OPERATION_NOT_ATTEMPTED", "KAFKA_STORAGE_ERROR", "LOG_DIR_NOT_FOUND", "SASL_AUTHENTICATION_FAILED",
        "UNKNOWN_PRODUCER_ID", "REASSIGNMENT_IN_PROGRESS", "DELEGATION_TOKEN_AUTH_DISABLED",
        "DELEGATION_TOKEN_NOT_FOUND", "DELEGATION_TOKEN_OWNER_MISMATCH", "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
        "DELEGATION_TOKEN_AUTHORIZATION_FAILED", "DELEGATION_TOKEN_EXPIRED", "INVALID_PRINCIPAL_TYPE",
        "NON_EMPTY_GROUP", "GROUP_ID_NOT_FOUND", "FETCH_SESSION_ID_NOT_FOUND", "INVALID_FETCH_SESSION_EPOCH",
        "LISTENER_NOT_FOUND", "TOPIC_DELETION_DISABLED", "FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH",
        "UNSUPPORTED_COMPRESSION_TYPE", "STALE_BROKER_EPOCH", "OFFSET_NOT_AVAILABLE", "MEMBER_ID_REQUIRED",
        "PREFERRED_LEADER_NOT_AVAILABLE", "GROUP_MAX_SIZE_REACHED", "FENCED_INSTANCE_ID",
        "ELIGIBLE_LEADERS_NOT_AVAILABLE", "ELECTION_NOT_NEEDED", "NO_REASSIGNMENT_IN_PROGRESS",
        "GROUP_SUBSCRIBED_TO_TOPIC", "INVALID_RECORD", "UNSTABLE_OFFSET_COMMIT", "THROTTLING_QUOTA_EXCEEDED",
        "PRODUCER_FENCED", "RESOURCE_NOT_FOUND", "DUPLICATE_RESOURCE", "UNACCEPTABLE_CREDENTIAL",
        "INCONSISTENT_VOTER_SET", "INVALID_UPDATE_VERSION", "FEATURE_UPDATE_FAILED",
        "PRINCIPAL_DESERIALIZATION_FAILURE", "SNAPSHOT_NOT_FOUND", "POSITION_OUT_OF_RANGE", "UNKNOWN_TOPIC_ID",
        "DUPLICATE_BROKER_REGISTRATION", "BROKER_ID_NOT_REGISTERED", "INCONSISTENT_TOPIC_ID",
        "INCONSISTENT_CLUSTER_ID", "TRANSACTIONAL_ID_NOT_FOUND", "FETCH_SESSION_TOPIC_ID_ERROR", "INELIGIBLE_REPLICA",
        "NEW_LEADER_ELECTED", "OFFSET_MOVED_TO_TIERED_STORAGE", "FENCED_MEMBER_EPOCH", "UNRELEASED_INSTANCE_ID",
        "UNSUPPORTED_ASSIGNOR", "STALE_MEMBER_EPOCH", "MISMATCHED_ENDPOINT_TYPE", "UNSUPPORTED_ENDPOINT_TYPE",
        "UNKNOWN_CONTROLLER_ID", "UNKNOWN_SUBSCRIPTION_ID", "TELEMETRY_TOO_LARGE", "INVALID_REGISTRATION",
        "TRANSACTION_ABORTABLE", "INVALID_RECORD_STATE", "SHARE_SESSION_NOT_FOUND", "INVALID_SHARE_SESSION_EPOCH",
        "FENCED_STATE_EPOCH", "INVALID_VOTER_KEY", "DUPLICATE_VOTER", "VOTER_NOT_FOUND", "INVALID_REGULAR_EXPRESSION",
        "REBOOTSTRAP_REQUIRED", "STREAMS_INVALID_TOPOLOGY", "STREAMS_INVALID_TOPOLOGY_EPOCH",
        "STREAMS_TOPOLOGY_FENCED", "SHARE_SESSION_LIMIT_REACHED",
    ]
}
