// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import NIOCore
import Testing

/// What consumers of classic groups tell each other through the group's messages.
@Suite struct ConsumerProtocolTests {
    private func golden(_ type: String, _ version: Int16) throws -> ByteBuffer {
        try Golden.bytes(file: type, line: "data \(version) ")
    }

    @Test(arguments: ConsumerProtocolSubscription.versions)
    func aSubscriptionHasTheBytesOfAnIndependentEncoder(version: Int16) throws {
        let golden = try golden("ConsumerProtocolSubscription", version)
        let ours = try Sample.consumerProtocolSubscription.encode(version: version)
        #expect(Golden.hex(ours) == Golden.hex(golden))
        let read = try ConsumerProtocolSubscription.decode(golden)
        #expect(read.version == version)
        #expect(try read.data.encode(version: version) == golden)
        #expect(read.data.ownedPartitions == (version >= 1 ? Sample.consumerProtocolSubscription.ownedPartitions : []))
        #expect(read.data.generationID == (version >= 2 ? 4 : -1))
        #expect(read.data.rackID == (version >= 3 ? "a" : nil))
    }

    @Test(arguments: ConsumerProtocolAssignment.versions)
    func anAssignmentHasTheBytesOfAnIndependentEncoder(version: Int16) throws {
        let golden = try golden("ConsumerProtocolAssignment", version)
        let ours = try Sample.consumerProtocolAssignment.encode(version: version)
        #expect(Golden.hex(ours) == Golden.hex(golden))
        let read = try ConsumerProtocolAssignment.decode(golden)
        #expect(read.version == version)
        #expect(read.data == Sample.consumerProtocolAssignment)
    }

    @Test func aVersionFromTheFutureIsReadAsTheNewestKnown() throws {
        var bytes = try Sample.consumerProtocolSubscription.encode(version: 3)
        bytes.setInteger(Int16(9), at: bytes.readerIndex)
        bytes.writeString("what nobody knows yet")
        let read = try ConsumerProtocolSubscription.decode(bytes)
        #expect(read.version == 9)
        #expect(read.data == Sample.consumerProtocolSubscription)
    }

    @Test func aVersionBelowZeroIsRefused() {
        #expect(throws: WireError.negativeLength) {
            _ = try ConsumerProtocolAssignment.decode(ByteBuffer(bytes: [0xff, 0xff, 0, 0, 0, 0]))
        }
    }

    @Test func everyShorterSubscriptionIsRefused() throws {
        let whole = try Sample.consumerProtocolSubscription.encode(version: 3)
        for length in 0..<whole.readableBytes {
            let cut = try #require(whole.getSlice(at: whole.readerIndex, length: length))
            #expect(throws: WireError.self, "\(length) bytes") { _ = try ConsumerProtocolSubscription.decode(cut) }
        }
    }

    @Test func noiseNeverTraps() throws {
        var noise = Noise(seed: 848)
        for _ in 0..<2_000 {
            let bytes = ByteBuffer(bytes: (0..<Int(noise.next() % 120)).map { _ in noise.byte() })
            _ = try? ConsumerProtocolAssignment.decode(bytes)
            _ = try? ConsumerProtocolSubscription.decode(bytes)
        }
    }
}

/// Versions that name one group or one member outside a list.
@Suite struct ListsOfOneTests {
    @Test(arguments: Int16(0)...2)
    func anOldLeaveNamesOneMember(version: Int16) throws {
        let request = try LeaveGroupRequest.decode(
            body(Sample.leaveGroupRequest.encodeFrame(correlationID: 7, clientID: nil, version: version)),
            version: version)
        #expect(request.members.map(\.memberID) == ["member-1"])
    }

    @Test func severalMembersDoNotFitIntoAnOldLeave() {
        let request: LeaveGroupRequest = filled { $0.members = [.init(), .init()] }
        #expect(throws: WireError.tooManyElements) {
            _ = try request.encodeFrame(correlationID: 7, clientID: nil, version: 2)
        }
    }

    @Test func anOldLeaveIsAnsweredWithItsMembersError() throws {
        let response: LeaveGroupResponse = filled {
            $0.members = [filled { $0.error = .unknownMemberID }]
        }
        var frame = try response.encodeFrame(correlationID: 7, version: 2).bytes
        frame.moveReaderIndex(forwardBy: 8)
        #expect(try LeaveGroupResponse.decode(frame, version: 2).error == .unknownMemberID)
        frame = try response.encodeFrame(correlationID: 7, version: 3).bytes
        frame.moveReaderIndex(forwardBy: 8)
        #expect(try LeaveGroupResponse.decode(frame, version: 3) == response)
    }

    @Test(arguments: Int16(1)...7)
    func anOldOffsetFetchNamesOneGroup(version: Int16) throws {
        let request = try OffsetFetchRequest.decode(
            body(Sample.offsetFetchRequest.encodeFrame(correlationID: 7, clientID: nil, version: version)),
            version: version)
        let group = try #require(request.groups.first)
        #expect(request.groups.count == 1)
        #expect((group.groupID, group.memberID, group.memberEpoch) == ("group", nil, -1))
        #expect(group.topics?.map(\.partitions) == [[2, 3]])
    }

    @Test func onlyTheFirstVersionsOfOffsetFetchHaveNoNull() throws {
        let all: OffsetFetchRequest = filled { $0.groups = [filled { $0.topics = nil }] }
        #expect(throws: WireError.nullNotAllowed) {
            _ = try all.encodeFrame(correlationID: 7, clientID: nil, version: 1)
        }
        for version in Int16(2)...10 {
            let frame = try all.encodeFrame(correlationID: 7, clientID: nil, version: version)
            #expect(try OffsetFetchRequest.decode(body(frame), version: version) == all)
        }
    }

    @Test func anOldJoinIsAnsweredWithAnEmptyTextForNoProtocol() throws {
        for version in Int16(0)...9 {
            var frame = try JoinGroupResponse().encodeFrame(correlationID: 7, version: version).bytes
            frame.moveReaderIndex(forwardBy: version >= 6 ? 9 : 8)
            let read = try JoinGroupResponse.decode(frame, version: version)
            #expect(read.protocolName == (version >= 7 ? nil : ""))
        }
    }

    /// Without the length and the header.
    private func body(_ frame: EncodedFrame) throws -> ByteBuffer {
        var rest = frame.bytes
        rest.moveReaderIndex(forwardBy: 4)
        _ = try RequestHeader.decode(from: &rest)
        return rest
    }
}
