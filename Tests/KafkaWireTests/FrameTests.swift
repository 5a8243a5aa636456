// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore
import Testing

/// Frames as the client and the broker make and take them.
@Suite struct FrameTests {
    @Test(arguments: FetchResponse.versions)
    func externalRecordsLeaveAGapThatTheLengthCounts(version: Int16) throws {
        let inPlace = try Sample.fetchResponse.encodeFrame(correlationID: 7, version: version)
        var response = Sample.fetchResponse
        response.topics[0].partitions[0].records = .external(byteCount: Sample.records.readableBytes)
        let split = try response.encodeFrame(correlationID: 7, version: version)

        let splice = try #require(split.splices.first)
        #expect(split.splices.count == 1)
        #expect(split.byteCount == inPlace.byteCount)
        var joined = try #require(split.bytes.getSlice(at: 0, length: splice.at))
        joined.writeImmutableBuffer(Sample.records)
        joined.writeImmutableBuffer(
            try #require(split.bytes.getSlice(at: splice.at, length: split.bytes.readableBytes - splice.at)))
        #expect(joined == inPlace.bytes)
    }

    @Test func severalGapsComeInOrderAndAnEmptyOneIsNone() throws {
        let response: FetchResponse = filled {
            $0.topics = [
                filled {
                    $0.partitions = [5, 0, 3_000_000].map { count in
                        filled { $0.records = .external(byteCount: count) }
                    }
                }
            ]
        }
        let frame = try response.encodeFrame(correlationID: 7, version: 4)
        #expect(frame.splices.map(\.byteCount) == [5, 3_000_000])
        let last = try #require(frame.splices.last)
        #expect(frame.splices[0].at < last.at)
        #expect(last.at == frame.bytes.readableBytes)
        #expect(frame.bytes.getInteger(at: 0, as: Int32.self) == Int32(frame.byteCount - 4))
        #expect(frame.bytes.getInteger(at: last.at - 4, as: Int32.self) == 3_000_000)
    }

    @Test func aFrameOverTwoGigabytesIsRefused() {
        let response: FetchResponse = filled {
            let half: FetchResponse.Partition = filled { $0.records = .external(byteCount: 1 << 30) }
            $0.topics = [filled { $0.partitions = [half, half] }]
        }
        #expect(throws: WireError.tooLong) { _ = try response.encodeFrame(correlationID: 7, version: 12) }
    }

    @Test func producedRecordsAreASliceOfTheFrame() throws {
        var frame = try Sample.produceRequest.encodeFrame(correlationID: 7, clientID: nil, version: 9).bytes
        frame.moveReaderIndex(forwardBy: 4)
        _ = try RequestHeader.decode(from: &frame)
        let request = try ProduceRequest.decode(frame, version: 9)
        let records = try #require(request.topics[0].partitions[0].records)
        #expect(records == Sample.records)
        let isInside = frame.withUnsafeReadableBytes { whole in
            records.withUnsafeReadableBytes { part in
                part.baseAddress.map { whole.startIndex..<whole.endIndex ~= $0 - (whole.baseAddress ?? $0) } ?? false
            }
        }
        #expect(isInside)
    }

    @Test func emptyAndNullRecordsAreToldApart() throws {
        for version: Int16 in [4, 12, 17] {
            let empty: FetchResponse.Partition = filled { $0.records = .bytes(ByteBuffer()) }
            let null: FetchResponse.Partition = filled { $0.records = .null }
            let response: FetchResponse = filled { $0.topics = [filled { $0.partitions = [empty, null] }] }
            var frame = try response.encodeFrame(correlationID: 7, version: version).bytes
            frame.moveReaderIndex(forwardBy: 4)
            _ = try ResponseHeader.decode(from: &frame, apiKey: .fetch, version: version)
            #expect(try FetchResponse.decode(frame, version: version) == response)
        }
    }

    @Test func theFreeFunctionsSayTheSame() throws {
        #expect(
            try encodeRequestFrame(correlationID: 7, clientID: "c", version: 9, message: Sample.metadataRequest)
                == Sample.metadataRequest.encodeFrame(correlationID: 7, clientID: "c", version: 9))
        #expect(
            try encodeResponseFrame(correlationID: 7, version: 9, message: Sample.metadataResponse)
                == Sample.metadataResponse.encodeFrame(correlationID: 7, version: 9))
    }

    // MARK: ApiVersions

    @Test func defaultsAreNeverSentInTags() throws {
        // Debian's kcat misreads a finalized features epoch of −1.
        let response = ApiVersionsResponse()
        let frame = try response.encodeFrame(correlationID: 7, version: 3).bytes
        #expect(Golden.hex(frame) == "0000000c" + "00000007" + "0000" + "01" + "00000000" + "00")
    }

    @Test func theAnswerToAnUnknownVersionIsReadInVersionZero() throws {
        let response: ApiVersionsResponse = filled {
            $0.error = .unsupportedVersion
            $0.apis = [.init(key: .apiVersions, versions: 0...4)]
        }
        for (written, read): (Int16, Int16) in [(0, 4), (0, 3), (4, 4)] {
            var frame = try response.encodeFrame(correlationID: 7, version: written).bytes
            frame.moveReaderIndex(forwardBy: 4)
            #expect(try ResponseHeader.correlationID(of: frame) == 7)
            _ = try ResponseHeader.decode(from: &frame, apiKey: .apiVersions, version: read)
            #expect(try ApiVersionsResponse.decode(frame, version: read) == response)
        }
    }

    /// KIP-951 came with Produce 10 and Fetch 16; the leader alone could be told in Fetch since 12.
    @Test func leadersAreToldInTheVersionsThatHaveRoomForThem() throws {
        for version in ProduceResponse.versions {
            let answer = try reread(Sample.produceResponse, version)
            #expect((answer.topics[0].partitions[1].currentLeader == Sample.leader) == (version >= 10), "v\(version)")
            #expect((answer.nodeEndpoints == Sample.endpoints) == (version >= 10), "v\(version)")
        }
        for version in FetchResponse.versions {
            let answer = try reread(Sample.fetchResponse, version)
            #expect((answer.topics[0].partitions[1].currentLeader == Sample.leader) == (version >= 12), "v\(version)")
            #expect((answer.nodeEndpoints == Sample.endpoints) == (version >= 16), "v\(version)")
        }
    }

    @Test func topicsAreNamedByIDFromVersion13On() throws {
        for version in ProduceResponse.versions {
            let topic = try reread(Sample.produceResponse, version).topics[0]
            #expect((topic.name == "events") == (version <= 12) && (topic.id == Sample.id) == (version >= 13))
        }
        for version in FetchResponse.versions {
            let topic = try reread(Sample.fetchResponse, version).topics[0]
            #expect((topic.name == "events") == (version <= 12) && (topic.id == Sample.id) == (version >= 13))
        }
    }

    private func reread<Message: WireResponse>(_ message: Message, _ version: Int16) throws -> Message {
        var frame = try message.encodeFrame(correlationID: 7, version: version).bytes
        frame.moveReaderIndex(forwardBy: 4)
        _ = try ResponseHeader.decode(from: &frame, apiKey: Message.apiKey, version: version)
        return try Message.decode(frame, version: version)
    }

    // MARK: Nulls by version

    @Test func allTopicsAreAskedForByNullOrInVersionZeroByNone() throws {
        var everything = MetadataRequest()
        everything.topics = nil
        #expect(throws: WireError.nullNotAllowed) {
            _ = try everything.encodeFrame(correlationID: 1, clientID: nil, version: 0)
        }
        let body = ByteBuffer(bytes: [0, 0, 0, 0])
        #expect(try MetadataRequest.decode(body, version: 0).asksForAllTopics(version: 0))
        #expect(try !MetadataRequest.decode(body, version: 1).asksForAllTopics(version: 1))
        let null = ByteBuffer(bytes: [0xff, 0xff, 0xff, 0xff])
        #expect(try MetadataRequest.decode(null, version: 1).asksForAllTopics(version: 1))
        #expect(throws: WireError.nullNotAllowed) { _ = try MetadataRequest.decode(null, version: 0) }
    }

    @Test func namesAreNullOnlyWhereIDsCanStandForThem() throws {
        let request: MetadataRequest = filled { $0.topics = [filled { ($0.id, $0.name) = (Sample.id, nil) }] }
        let response: MetadataResponse = filled { $0.topics = [filled { ($0.id, $0.name) = (Sample.id, nil) }] }
        let deleted: DeleteTopicsResponse = filled { $0.topics = [filled { ($0.id, $0.name) = (Sample.id, nil) }] }
        for version in MetadataRequest.versions {
            let canAsk = (try? request.encodeFrame(correlationID: 1, clientID: nil, version: version)) != nil
            let canAnswer = (try? response.encodeFrame(correlationID: 1, version: version)) != nil
            #expect(canAsk == (version >= 10))
            #expect(canAnswer == (version >= 12))
        }
        for version in DeleteTopicsResponse.versions {
            #expect(((try? deleted.encodeFrame(correlationID: 1, version: version)) != nil) == (version >= 6))
        }
        var frame = try request.encodeFrame(correlationID: 1, clientID: nil, version: 12).bytes
        frame.moveReaderIndex(forwardBy: 4)
        _ = try RequestHeader.decode(from: &frame)
        #expect(try MetadataRequest.decode(frame, version: 12).topics?.first?.name == nil)
    }

    // MARK: Names

    @Test func codesAndKeysHaveTheirDocumentedNames() {
        #expect(ErrorCode.unknownServerError.description == "UNKNOWN_SERVER_ERROR")
        #expect(ErrorCode.none.description == "NONE")
        #expect(ErrorCode.notLeaderOrFollower.rawValue == 6)
        #expect(ErrorCode.positionOutOfRange.rawValue == 99)
        #expect(ErrorCode.unknownTopicID.description == "UNKNOWN_TOPIC_ID")
        #expect(ErrorCode(rawValue: 133).description == "SHARE_SESSION_LIMIT_REACHED")
        #expect(ErrorCode(rawValue: 134).description == "ERROR_134")
        #expect(ErrorCode(rawValue: -2).description == "ERROR_-2")
        #expect(ErrorCode.notLeaderOrFollower.isRetriable && !ErrorCode.invalidTopic.isRetriable)
        #expect(ApiKey.describeCluster.description == "DescribeCluster")
        #expect(ApiKey(rawValue: 92).description == "DeleteShareGroupOffsets")
        #expect(ApiKey(rawValue: -1).description == "Api-1")
    }
}
