// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore

// What is stored of a consumer group (KIP-848), each Kafka's value of the same name, version 0.

/// The group's epoch.
struct ConsumerGroupMetadataValue: CoordinatorValue {
    var epoch: Int32
    /// A hash of what the group is subscribed to; 0 when not computed. Since Kafka 4.1 (KIP-1101).
    var metadataHash: Int64 = 0

    init(epoch: Int32, metadataHash: Int64 = 0) {
        self.epoch = epoch
        self.metadataHash = metadataHash
    }

    init(from cursor: inout RecordCursor, version: Int16) throws(RecordCursor.Malformed) {
        epoch = try cursor.int32()
        var hash: Int64 = 0
        try cursor.tags { (tag, field) throws(RecordCursor.Malformed) in if tag == 0 { hash = try field.int64() } }
        metadataHash = hash
    }

    func write(into builder: inout RecordBuilder) {
        builder.integer(epoch)
        if metadataHash == 0 {
            builder.noTags()
        } else {
            builder.unsignedVarint(1)
            builder.tag(0) { $0.integer(metadataHash) }
        }
    }
}

/// The topics of a group and their partitions, as its epoch was computed from them.
struct ConsumerGroupPartitionMetadataValue: CoordinatorValue {
    struct Topic: Hashable, Sendable {
        var id = TopicID.zero
        var name = ""
        var partitionCount: Int32 = 0
        var partitions: [Partition] = []
    }

    struct Partition: Hashable, Sendable {
        var index: Int32 = 0
        var racks: [String] = []
    }

    var topics: [Topic]

    init(topics: [Topic]) { self.topics = topics }

    init(from cursor: inout RecordCursor, version: Int16) throws(RecordCursor.Malformed) {
        topics = try cursor.list { (cursor) throws(RecordCursor.Malformed) in
            var topic = Topic()
            topic.id = try cursor.topicID()
            topic.name = try cursor.string()
            topic.partitionCount = try cursor.int32()
            topic.partitions = try cursor.list { (cursor) throws(RecordCursor.Malformed) in
                var partition = Partition()
                partition.index = try cursor.int32()
                partition.racks = try cursor.list { (cursor) throws(RecordCursor.Malformed) in try cursor.string() }
                try cursor.tags()
                return partition
            }
            try cursor.tags()
            return topic
        }
        try cursor.tags()
    }

    func write(into builder: inout RecordBuilder) {
        builder.list(topics) { topic, builder in
            builder.topicID(topic.id)
            builder.string(topic.name)
            builder.integer(topic.partitionCount)
            builder.list(topic.partitions) { partition, builder in
                builder.integer(partition.index)
                builder.list(partition.racks) { rack, builder in builder.string(rack) }
                builder.noTags()
            }
            builder.noTags()
        }
        builder.noTags()
    }
}

/// A member and what it subscribes to.
struct ConsumerGroupMemberMetadataValue: CoordinatorValue {
    /// What a member that speaks the classic protocol said when it joined.
    struct ClassicMember: Hashable, Sendable {
        /// In milliseconds.
        var sessionTimeout: Int32 = 0
        var protocols: [ClassicProtocol] = []
    }

    struct ClassicProtocol: Hashable, Sendable {
        var name = ""
        var metadata = ByteBuffer()
    }

    var instanceID: String?
    var rackID: String?
    var clientID = ""
    var clientHost = ""
    var subscribedTopicNames: [String] = []
    var subscribedTopicRegex: String?
    /// In milliseconds; −1 when unknown.
    var rebalanceTimeout: Int32 = -1
    var serverAssignor: String?
    /// `nil` for a member that speaks the consumer protocol.
    var classicMember: ClassicMember?

    init() {}

    var sizeHint: Int { 128 + subscribedTopicNames.count * 32 }

    init(from cursor: inout RecordCursor, version: Int16) throws(RecordCursor.Malformed) {
        instanceID = try cursor.nullableString()
        rackID = try cursor.nullableString()
        clientID = try cursor.string()
        clientHost = try cursor.string()
        subscribedTopicNames = try cursor.list { (cursor) throws(RecordCursor.Malformed) in try cursor.string() }
        subscribedTopicRegex = try cursor.nullableString()
        rebalanceTimeout = try cursor.int32()
        serverAssignor = try cursor.nullableString()
        var classic: ClassicMember?
        try cursor.tags { (tag, field) throws(RecordCursor.Malformed) in
            // A nullable structure begins with a byte that is negative for null.
            guard tag == 0, try field.int8() >= 0 else { return }
            var member = ClassicMember()
            member.sessionTimeout = try field.int32()
            member.protocols = try field.list { (field) throws(RecordCursor.Malformed) in
                var item = ClassicProtocol()
                item.name = try field.string()
                item.metadata = try field.data()
                try field.tags()
                return item
            }
            try field.tags()
            classic = member
        }
        classicMember = classic
    }

    func write(into builder: inout RecordBuilder) {
        builder.string(instanceID)
        builder.string(rackID)
        builder.string(clientID)
        builder.string(clientHost)
        builder.list(subscribedTopicNames) { name, builder in builder.string(name) }
        builder.string(subscribedTopicRegex)
        builder.integer(rebalanceTimeout)
        builder.string(serverAssignor)
        guard let classicMember else {
            builder.noTags()
            return
        }
        builder.unsignedVarint(1)
        builder.tag(0) { field in
            field.integer(Int8(1))
            field.integer(classicMember.sessionTimeout)
            field.list(classicMember.protocols) { item, field in
                field.string(item.name)
                field.data(item.metadata)
                field.noTags()
            }
            field.noTags()
        }
    }
}

/// The epoch for which the target assignment was computed.
struct ConsumerGroupTargetAssignmentMetadataValue: CoordinatorValue {
    var assignmentEpoch: Int32

    init(assignmentEpoch: Int32) { self.assignmentEpoch = assignmentEpoch }

    init(from cursor: inout RecordCursor, version: Int16) throws(RecordCursor.Malformed) {
        assignmentEpoch = try cursor.int32()
        try cursor.tags()
    }

    func write(into builder: inout RecordBuilder) {
        builder.integer(assignmentEpoch)
        builder.noTags()
    }
}

/// Partitions of one topic in an assignment.
struct AssignedTopicPartitions: Hashable, Sendable {
    var topicID = TopicID.zero
    var partitions: [Int32] = []

    init(topicID: TopicID, partitions: [Int32]) {
        self.topicID = topicID
        self.partitions = partitions
    }

    init(from cursor: inout RecordCursor) throws(RecordCursor.Malformed) {
        topicID = try cursor.topicID()
        partitions = try cursor.list { (cursor) throws(RecordCursor.Malformed) in try cursor.int32() }
        // Kafka 4.3 adds the epoch of each partition in a tag (KIP-1251).
        try cursor.tags()
    }

    func write(into builder: inout RecordBuilder) {
        builder.topicID(topicID)
        builder.list(partitions) { partition, builder in builder.integer(partition) }
        builder.noTags()
    }
}

/// What a member is to have in the end.
struct ConsumerGroupTargetAssignmentMemberValue: CoordinatorValue {
    var topicPartitions: [AssignedTopicPartitions]

    init(topicPartitions: [AssignedTopicPartitions]) { self.topicPartitions = topicPartitions }

    var sizeHint: Int { topicPartitions.reduce(16) { $0 + 24 + $1.partitions.count * 4 } }

    init(from cursor: inout RecordCursor, version: Int16) throws(RecordCursor.Malformed) {
        topicPartitions = try cursor.list { (cursor) throws(RecordCursor.Malformed) in
            try AssignedTopicPartitions(from: &cursor)
        }
        try cursor.tags()
    }

    func write(into builder: inout RecordBuilder) {
        builder.list(topicPartitions) { $0.write(into: &$1) }
        builder.noTags()
    }
}

/// What a member has now.
struct ConsumerGroupCurrentMemberAssignmentValue: CoordinatorValue {
    var memberEpoch: Int32
    var previousMemberEpoch: Int32
    /// Kafka's `MemberState`: 0 stable, 1 unrevoked partitions, 2 unreleased partitions, 127 unknown.
    var state: Int8
    var assignedPartitions: [AssignedTopicPartitions]
    var partitionsPendingRevocation: [AssignedTopicPartitions]

    init(
        memberEpoch: Int32, previousMemberEpoch: Int32, state: Int8, assignedPartitions: [AssignedTopicPartitions],
        partitionsPendingRevocation: [AssignedTopicPartitions]
    ) {
        self.memberEpoch = memberEpoch
        self.previousMemberEpoch = previousMemberEpoch
        self.state = state
        self.assignedPartitions = assignedPartitions
        self.partitionsPendingRevocation = partitionsPendingRevocation
    }

    var sizeHint: Int {
        (assignedPartitions + partitionsPendingRevocation).reduce(32) { $0 + 24 + $1.partitions.count * 4 }
    }

    init(from cursor: inout RecordCursor, version: Int16) throws(RecordCursor.Malformed) {
        memberEpoch = try cursor.int32()
        previousMemberEpoch = try cursor.int32()
        state = try cursor.int8()
        assignedPartitions = try cursor.list { (cursor) throws(RecordCursor.Malformed) in
            try AssignedTopicPartitions(from: &cursor)
        }
        partitionsPendingRevocation = try cursor.list { (cursor) throws(RecordCursor.Malformed) in
            try AssignedTopicPartitions(from: &cursor)
        }
        try cursor.tags()
    }

    func write(into builder: inout RecordBuilder) {
        builder.integer(memberEpoch)
        builder.integer(previousMemberEpoch)
        builder.integer(state)
        builder.list(assignedPartitions) { $0.write(into: &$1) }
        builder.list(partitionsPendingRevocation) { $0.write(into: &$1) }
        builder.noTags()
    }
}

/// What a regular expression matched when it was last resolved.
struct ConsumerGroupRegularExpressionValue: CoordinatorValue {
    var topics: [String]
    /// The version of the cluster's metadata that it was resolved with.
    var version: Int64
    /// In milliseconds since 1970.
    var timestamp: Int64

    init(topics: [String], version: Int64, timestamp: Int64) {
        self.topics = topics
        self.version = version
        self.timestamp = timestamp
    }

    init(from cursor: inout RecordCursor, version _: Int16) throws(RecordCursor.Malformed) {
        topics = try cursor.list { (cursor) throws(RecordCursor.Malformed) in try cursor.string() }
        version = try cursor.int64()
        timestamp = try cursor.int64()
        try cursor.tags()
    }

    func write(into builder: inout RecordBuilder) {
        builder.list(topics) { topic, builder in builder.string(topic) }
        builder.integer(version)
        builder.integer(timestamp)
        builder.noTags()
    }
}
