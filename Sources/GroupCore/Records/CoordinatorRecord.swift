// SPDX-License-Identifier: Apache-2.0

import LogModel
public import NIOCore

/// A record for a partition of `__consumer_offsets`, as it is stored.
public struct GroupRecord: Hashable, Sendable {
    public var key: ByteBuffer
    /// `nil` is a tombstone: what was stored under the key is gone.
    public var value: ByteBuffer?

    public init(key: ByteBuffer, value: ByteBuffer?) {
        self.key = key
        self.value = value
    }
}

/// What the records of `__consumer_offsets` say. A value of `nil` is a tombstone.
///
/// Every case is one of Kafka's record types, byte for byte (group-coordinator/src/main/resources/common/message of
/// apache/kafka), so that tools that read the topic understand it. The number that begins each key says which.
enum CoordinatorRecord: Hashable, Sendable {
    case offsetCommit(group: String, topic: String, partition: Int32, OffsetCommitValue?)
    case groupMetadata(String, GroupMetadataValue?)
    case consumerGroupMetadata(String, ConsumerGroupMetadataValue?)
    /// Written before Kafka 4.1; only its tombstones are written now.
    case consumerGroupPartitionMetadata(String, ConsumerGroupPartitionMetadataValue?)
    case consumerGroupMemberMetadata(group: String, member: String, ConsumerGroupMemberMetadataValue?)
    case consumerGroupTargetAssignmentMetadata(String, ConsumerGroupTargetAssignmentMetadataValue?)
    case consumerGroupTargetAssignmentMember(
        group: String, member: String, ConsumerGroupTargetAssignmentMemberValue?)
    case consumerGroupCurrentMemberAssignment(
        group: String, member: String, ConsumerGroupCurrentMemberAssignmentValue?)
    case consumerGroupRegularExpression(
        group: String, regularExpression: String, ConsumerGroupRegularExpressionValue?)

    /// The group that the record is about.
    var groupID: String {
        switch self {
        case .offsetCommit(let group, _, _, _), .groupMetadata(let group, _), .consumerGroupMetadata(let group, _),
            .consumerGroupPartitionMetadata(let group, _), .consumerGroupMemberMetadata(let group, _, _),
            .consumerGroupTargetAssignmentMetadata(let group, _), .consumerGroupTargetAssignmentMember(let group, _, _),
            .consumerGroupCurrentMemberAssignment(let group, _, _), .consumerGroupRegularExpression(let group, _, _):
            group
        }
    }
}

// MARK: - Reading

extension CoordinatorRecord {
    /// Reads a stored record; `nil` for one of a kind or a version that is not known here, or that is malformed.
    init?(key: ByteBuffer, value: ByteBuffer?) {
        do throws(RecordCursor.Malformed) {
            var cursor = RecordCursor(key)
            let kind = try cursor.int16()
            guard let record = try Self.read(kind, &cursor, value) else { return nil }
            self = record
        } catch {
            return nil
        }
    }

    private static func read(
        _ kind: Int16, _ key: inout RecordCursor, _ value: ByteBuffer?
    ) throws(RecordCursor.Malformed) -> Self? {
        switch kind {
        case 0, 1:
            return .offsetCommit(
                group: try key.string(), topic: try key.string(), partition: try key.int32(), try read(value))
        case 2: return .groupMetadata(try key.string(), try read(value))
        case 3: return .consumerGroupMetadata(try key.string(), try read(value))
        case 4: return .consumerGroupPartitionMetadata(try key.string(), try read(value))
        case 5:
            return .consumerGroupMemberMetadata(group: try key.string(), member: try key.string(), try read(value))
        case 6: return .consumerGroupTargetAssignmentMetadata(try key.string(), try read(value))
        case 7:
            return .consumerGroupTargetAssignmentMember(
                group: try key.string(), member: try key.string(), try read(value))
        case 8:
            return .consumerGroupCurrentMemberAssignment(
                group: try key.string(), member: try key.string(), try read(value))
        case 16:
            return .consumerGroupRegularExpression(
                group: try key.string(), regularExpression: try key.string(), try read(value))
        default: return nil
        }
    }

    private static func read<Value: CoordinatorValue>(_ bytes: ByteBuffer?) throws(RecordCursor.Malformed) -> Value? {
        guard let bytes else { return nil }
        var cursor = RecordCursor(bytes)
        let version = try cursor.int16()
        // A value that cannot be understood must not look like a tombstone.
        guard Value.versions.contains(version) else { throw RecordCursor.Malformed() }
        cursor.isFlexible = version >= Value.flexibleSince
        return try Value(from: &cursor, version: version)
    }
}

// MARK: - Writing

extension CoordinatorRecord {
    /// The record as it is stored.
    var encoded: GroupRecord {
        switch self {
        case .offsetCommit(let group, let topic, let partition, let value):
            var key = RecordBuilder(
                version: 1, isFlexible: false, capacity: 10 + group.utf8.count + topic.utf8.count)
            key.string(group)
            key.string(topic)
            key.integer(partition)
            return GroupRecord(key: key.bytes, value: value?.encoded)
        case .groupMetadata(let group, let value): return Self.record(2, group, value)
        case .consumerGroupMetadata(let group, let value): return Self.record(3, group, value)
        case .consumerGroupPartitionMetadata(let group, let value): return Self.record(4, group, value)
        case .consumerGroupMemberMetadata(let group, let member, let value):
            return Self.record(5, group, member, value)
        case .consumerGroupTargetAssignmentMetadata(let group, let value): return Self.record(6, group, value)
        case .consumerGroupTargetAssignmentMember(let group, let member, let value):
            return Self.record(7, group, member, value)
        case .consumerGroupCurrentMemberAssignment(let group, let member, let value):
            return Self.record(8, group, member, value)
        case .consumerGroupRegularExpression(let group, let expression, let value):
            return Self.record(16, group, expression, value)
        }
    }

    private static func record(
        _ kind: Int16, _ group: String, _ value: (some CoordinatorValue)?
    ) -> GroupRecord {
        var key = RecordBuilder(version: kind, isFlexible: false, capacity: 4 + group.utf8.count)
        key.string(group)
        return GroupRecord(key: key.bytes, value: value?.encoded)
    }

    private static func record(
        _ kind: Int16, _ group: String, _ second: String, _ value: (some CoordinatorValue)?
    ) -> GroupRecord {
        var key = RecordBuilder(
            version: kind, isFlexible: false, capacity: 6 + group.utf8.count + second.utf8.count)
        key.string(group)
        key.string(second)
        return GroupRecord(key: key.bytes, value: value?.encoded)
    }
}

/// The value of one kind of record.
protocol CoordinatorValue: Hashable, Sendable {
    /// The versions that are understood.
    static var versions: ClosedRange<Int16> { get }
    /// The first version with compact lengths and tagged fields.
    static var flexibleSince: Int16 { get }
    /// The version that is written.
    var versionToWrite: Int16 { get }
    var sizeHint: Int { get }

    init(from cursor: inout RecordCursor, version: Int16) throws(RecordCursor.Malformed)
    func write(into builder: inout RecordBuilder)
}

extension CoordinatorValue {
    static var versions: ClosedRange<Int16> { 0...0 }
    static var flexibleSince: Int16 { 0 }
    var versionToWrite: Int16 { 0 }
    var sizeHint: Int { 64 }

    /// The version, then the fields.
    var encoded: ByteBuffer {
        let version = versionToWrite
        var builder = RecordBuilder(
            version: version, isFlexible: version >= Self.flexibleSince, capacity: 2 + sizeHint)
        write(into: &builder)
        return builder.bytes
    }
}
