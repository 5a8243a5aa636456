// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import Settings
import Testing

@testable import GroupCore

/// Records of `__consumer_offsets`, byte for byte as Kafka writes them.
@Suite struct RecordCodingTests {
    private func bytes(_ hex: String) -> ByteBuffer {
        let digits = hex.filter { !$0.isWhitespace }.compactMap(\.hexDigitValue).map(UInt8.init)
        return ByteBuffer(bytes: stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
    }

    @Test func anOffsetCommit() {
        let record = CoordinatorRecord.offsetCommit(
            group: "g", topic: "t", partition: 3,
            OffsetCommitValue(offset: 258, leaderEpoch: 5, metadata: "m", commitTimestamp: 0x0102_0304))
        #expect(record.encoded.key == bytes("0001 0001 67 0001 74 00000003"))
        #expect(record.encoded.value == bytes("0003 0000000000000102 00000005 0001 6d 0000000001020304"))
        #expect(CoordinatorRecord(key: record.encoded.key, value: record.encoded.value) == record)
    }

    @Test func anOffsetCommitThatExpiresByItself() {
        let record = CoordinatorRecord.offsetCommit(
            group: "g", topic: "t", partition: 3,
            OffsetCommitValue(offset: 1, metadata: "", commitTimestamp: 2, expireTimestamp: 3))
        #expect(record.encoded.value == bytes("0001 0000000000000001 0000 0000000000000002 0000000000000003"))
        #expect(CoordinatorRecord(key: record.encoded.key, value: record.encoded.value) == record)
    }

    @Test func offsetCommitsOfOtherVersionsAreRead() {
        let key = bytes("0000 0001 67 0001 74 00000003")
        func value(_ hex: String) -> OffsetCommitValue? {
            guard case .offsetCommit("g", "t", 3, let value?)? = CoordinatorRecord(key: key, value: bytes(hex)) else {
                return nil
            }
            return value
        }
        let plain = OffsetCommitValue(offset: 7, metadata: "m", commitTimestamp: 9)
        #expect(value("0000 0000000000000007 0001 6d 0000000000000009") == plain)
        #expect(value("0002 0000000000000007 0001 6d 0000000000000009") == plain)
        // Flexible, with a tag that is not known.
        #expect(value("0004 0000000000000007 ffffffff 02 6d 0000000000000009 01 05 02 aabb") == plain)
        #expect(value("0005 0000000000000007 0001 6d 0000000000000009") == nil)
    }

    @Test func aTombstone() {
        let record = CoordinatorRecord.groupMetadata("g", nil)
        #expect(record.encoded == GroupRecord(key: bytes("0002 0001 67"), value: nil))
        #expect(CoordinatorRecord(key: record.encoded.key, value: nil) == record)
    }

    @Test func aGroup() {
        var member = GroupMetadataValue.Member()
        member.memberID = "m"
        member.clientID = "c"
        member.clientHost = "/h"
        member.rebalanceTimeout = 2
        member.sessionTimeout = 1
        member.subscription = ByteBuffer(bytes: [1, 2])
        member.assignment = ByteBuffer(bytes: [3])
        var value = GroupMetadataValue()
        value.protocolType = "consumer"
        value.generation = 4
        value.protocolName = "range"
        value.leader = "m"
        value.stateTimestamp = 16
        value.members = [member]
        let record = CoordinatorRecord.groupMetadata("g", value)
        #expect(
            record.encoded.value
                == bytes(
                    """
                    0003 0008 636f6e73756d6572 00000004 0005 72616e6765 0001 6d 0000000000000010 00000001
                    0001 6d ffff 0001 63 0002 2f68 00000002 00000001 00000002 0102 00000001 03
                    """))
        #expect(CoordinatorRecord(key: record.encoded.key, value: record.encoded.value) == record)
    }

    private var consumerRecords: [CoordinatorRecord] {
        let topic = TopicID(high: 1, low: 2)
        let parts = [AssignedTopicPartitions(topicID: topic, partitions: [0, 300])]
        var member = ConsumerGroupMemberMetadataValue()
        member.instanceID = "i"
        member.clientID = "c"
        member.clientHost = "/h"
        member.subscribedTopicNames = ["a", "b"]
        member.rebalanceTimeout = 5
        var classic = member
        classic.classicMember = .init(
            sessionTimeout: 9, protocols: [.init(name: "range", metadata: ByteBuffer(bytes: [1, 2, 3]))])
        return [
            .consumerGroupMetadata("g", .init(epoch: 3)),
            .consumerGroupMetadata("g", .init(epoch: 3, metadataHash: -1)),
            .consumerGroupPartitionMetadata(
                "g",
                .init(topics: [
                    .init(id: topic, name: "a", partitionCount: 2, partitions: [.init(index: 1, racks: ["r"])])
                ])),
            .consumerGroupMemberMetadata(group: "g", member: "m", member),
            .consumerGroupMemberMetadata(group: "g", member: "m", classic),
            .consumerGroupTargetAssignmentMetadata("g", .init(assignmentEpoch: 4)),
            .consumerGroupTargetAssignmentMember(group: "g", member: "m", .init(topicPartitions: parts)),
            .consumerGroupCurrentMemberAssignment(
                group: "g", member: "m",
                .init(
                    memberEpoch: 4, previousMemberEpoch: 3, state: 1, assignedPartitions: parts,
                    partitionsPendingRevocation: [])),
            .consumerGroupRegularExpression(
                group: "g", regularExpression: "a.*", .init(topics: ["a"], version: 7, timestamp: 8)),
        ]
    }

    @Test func recordsOfConsumerGroupsReadBackAsTheyWere() {
        for record in consumerRecords {
            let stored = record.encoded
            #expect(CoordinatorRecord(key: stored.key, value: stored.value) == record)
        }
    }

    @Test func recordsOfConsumerGroupsInBytes() {
        let values = consumerRecords.map { $0.encoded.value }
        #expect(values[0] == bytes("0000 00000003 00"))
        #expect(values[1] == bytes("0000 00000003 01 00 08 ffffffffffffffff"))
        #expect(values[3] == bytes("0000 02 69 00 02 63 03 2f68 03 02 61 02 62 00 00000005 00 00"))
        #expect(
            values[4]
                == bytes(
                    """
                    0000 02 69 00 02 63 03 2f68 03 02 61 02 62 00 00000005 00
                    01 00 12 01 00000009 02 06 72616e6765 04 010203 00 00
                    """))
        #expect(
            values[6] == bytes("0000 02 00000000000000010000000000000002 03 00000000 0000012c 00 00"))
        let keys = consumerRecords.map { $0.encoded.key }
        #expect(keys[7] == bytes("0008 0001 67 0001 6d"))
        #expect(keys[8] == bytes("0010 0001 67 0003 612e2a"))
    }

    @Test func whatIsNotKnownIsPassedOver() {
        #expect(CoordinatorRecord(key: bytes("000b 0001 67"), value: bytes("0000 00000001 00")) == nil)
        #expect(CoordinatorRecord(key: bytes(""), value: nil) == nil)
        #expect(CoordinatorRecord(key: bytes("7fff"), value: nil) == nil)
        // A version that is not known is no tombstone.
        #expect(CoordinatorRecord(key: bytes("0003 0001 67"), value: bytes("0001 00000001 00")) == nil)
        var coordinator = GroupCoordinator(settings: .init(), seed: 1, topics: TopicsImage([]))
        coordinator.replay(key: bytes("000b 0001 67"), value: nil, timestamp: Timestamp(milliseconds: 0))
        #expect(coordinator.list().isEmpty)
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func damagedRecordsAreRefusedWithoutHarm(seed: UInt64) {
        var random = GroupRandom(seed: seed)
        var metadata = GroupMetadataValue()
        metadata.members = [.init(), .init()]
        let records =
            consumerRecords + [
                .groupMetadata("g", metadata),
                .offsetCommit(group: "g", topic: "t", partition: 0, .init(offset: 1, commitTimestamp: 1)),
            ]
        for _ in 0..<500 {
            guard let record = records.randomElement(using: &random) else { return }
            var stored = record.encoded
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                damage(&stored.key, &random)
                if var value = stored.value {
                    damage(&value, &random)
                    stored.value = value
                }
            }
            var coordinator = GroupCoordinator(settings: .init(), seed: 1, topics: TopicsImage([]))
            coordinator.replay(key: stored.key, value: stored.value, timestamp: Timestamp(milliseconds: 0))
            var effects = GroupEffects()
            let now = Moment(nanoseconds: 1)
            coordinator.loaded(now: now, wallClock: Timestamp(milliseconds: 1), into: &effects)
            _ = coordinator.list()
        }
    }

    private func damage(_ buffer: inout ByteBuffer, _ random: inout GroupRandom) {
        guard buffer.readableBytes > 0 else { return }
        let place = buffer.readerIndex + Int.random(in: 0..<buffer.readableBytes, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: buffer.setInteger(UInt8.random(in: .min ... .max, using: &random), at: place)
        case 1: buffer.moveWriterIndex(to: place)
        default: buffer.setInteger(UInt8.max, at: place)
        }
    }
}
