// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import NIOCore
import Testing

/// One message in one version, with its type forgotten so that a test can go through all of them.
struct Described: Sendable, CustomTestStringConvertible {
    let api: ApiKey
    let isRequest: Bool
    /// Whether the sample has every field at its default.
    let isEmpty: Bool
    let version: Int16
    let isNewest: Bool
    /// The sample's whole frame.
    let encode: @Sendable () throws -> EncodedFrame
    /// Reads a body and says whether it is the sample.
    let decode: @Sendable (ByteBuffer) throws(WireError) -> Bool
    /// Reads a body and writes it anew, as a whole frame.
    let again: @Sendable (ByteBuffer) throws -> EncodedFrame

    var testDescription: String { "\(api) \(kind) v\(version)" }

    /// As the lines of the golden files begin.
    var kind: String {
        switch (isRequest, isEmpty) {
        case (true, false): "request"
        case (false, false): "response"
        case (true, true): "emptyRequest"
        case (false, true): "emptyResponse"
        }
    }

    static let correlationID: Int32 = 7
    static let clientID = "godwit"

    /// The body in a frame that has its length.
    func body(of frame: ByteBuffer) throws -> ByteBuffer {
        var rest = frame
        let length = rest.readInteger(as: Int32.self)
        #expect(length.map(Int.init) == rest.readableBytes)
        if isRequest {
            let header = try RequestHeader.decode(from: &rest)
            #expect(
                header
                    == RequestHeader(
                        apiKey: api, version: version, correlationID: Self.correlationID, clientID: Self.clientID))
        } else {
            #expect(try ResponseHeader.decode(from: &rest, apiKey: api, version: version) == Self.correlationID)
        }
        return rest
    }

    private static func request<Message: WireRequest>(_ sample: Message) -> [Described] {
        Message.versions.map { version in
            let write: @Sendable (Message) throws -> EncodedFrame = {
                try $0.encodeFrame(correlationID: correlationID, clientID: clientID, version: version)
            }
            return Described(
                api: Message.apiKey, isRequest: true, isEmpty: sample == Message(), version: version,
                isNewest: version == Message.versions.upperBound,
                encode: { try write(sample) },
                decode: { body throws(WireError) in try Message.decode(body, version: version) == sample },
                again: { try write(Message.decode($0, version: version)) })
        }
    }

    private static func response<Message: WireResponse>(_ sample: Message) -> [Described] {
        Message.versions.map { version in
            let write: @Sendable (Message) throws -> EncodedFrame = {
                try $0.encodeFrame(correlationID: correlationID, version: version)
            }
            return Described(
                api: Message.apiKey, isRequest: false, isEmpty: sample == Message(), version: version,
                isNewest: version == Message.versions.upperBound,
                encode: { try write(sample) },
                decode: { body throws(WireError) in try Message.decode(body, version: version) == sample },
                again: { try write(Message.decode($0, version: version)) })
        }
    }

    private static func pair<Request: WireRequest>(_ asked: Request, _ answered: Request.Response) -> [Described] {
        request(asked) + response(answered) + request(Request()) + response(Request.Response())
    }

    static let all: [Described] = [
        pair(Sample.apiVersionsRequest, Sample.apiVersionsResponse),
        pair(Sample.metadataRequest, Sample.metadataResponse),
        pair(Sample.produceRequest, Sample.produceResponse),
        pair(Sample.fetchRequest, Sample.fetchResponse),
        pair(Sample.listOffsetsRequest, Sample.listOffsetsResponse),
        pair(Sample.createTopicsRequest, Sample.createTopicsResponse),
        pair(Sample.deleteTopicsRequest, Sample.deleteTopicsResponse),
        pair(Sample.createPartitionsRequest, Sample.createPartitionsResponse),
        pair(Sample.describeConfigsRequest, Sample.describeConfigsResponse),
        pair(Sample.describeClusterRequest, Sample.describeClusterResponse),
        pair(Sample.offsetForLeaderEpochRequest, Sample.offsetForLeaderEpochResponse),
        pair(Sample.findCoordinatorRequest, Sample.findCoordinatorResponse),
        pair(Sample.joinGroupRequest, Sample.joinGroupResponse),
        pair(Sample.syncGroupRequest, Sample.syncGroupResponse),
        pair(Sample.heartbeatRequest, Sample.heartbeatResponse),
        pair(Sample.leaveGroupRequest, Sample.leaveGroupResponse),
        pair(Sample.offsetCommitRequest, Sample.offsetCommitResponse),
        pair(Sample.offsetFetchRequest, Sample.offsetFetchResponse),
        pair(Sample.listGroupsRequest, Sample.listGroupsResponse),
        pair(Sample.describeGroupsRequest, Sample.describeGroupsResponse),
        pair(Sample.deleteGroupsRequest, Sample.deleteGroupsResponse),
        pair(Sample.offsetDeleteRequest, Sample.offsetDeleteResponse),
        pair(Sample.consumerGroupHeartbeatRequest, Sample.consumerGroupHeartbeatResponse),
        pair(Sample.consumerGroupDescribeRequest, Sample.consumerGroupDescribeResponse),
        pair(Sample.initProducerIDRequest, Sample.initProducerIDResponse),
        pair(Sample.describeProducersRequest, Sample.describeProducersResponse),
        pair(Sample.deleteRecordsRequest, Sample.deleteRecordsResponse),
        pair(Sample.incrementalAlterConfigsRequest, Sample.incrementalAlterConfigsResponse),
        pair(Sample.alterConfigsRequest, Sample.alterConfigsResponse),
        pair(Sample.describeLogDirsRequest, Sample.describeLogDirsResponse),
        pair(Sample.describeTopicPartitionsRequest, Sample.describeTopicPartitionsResponse),
        pair(Sample.listConfigResourcesRequest, Sample.listConfigResourcesResponse),
        pair(Sample.explainGroupRequest, Sample.explainGroupResponse),
        pair(Sample.alterPartitionReassignmentsRequest, Sample.alterPartitionReassignmentsResponse),
        pair(Sample.listPartitionReassignmentsRequest, Sample.listPartitionReassignmentsResponse),
        pair(Sample.electLeadersRequest, Sample.electLeadersResponse),
        pair(Sample.describeQuorumRequest, Sample.describeQuorumResponse),
        pair(Sample.addRaftVoterRequest, Sample.addRaftVoterResponse),
        pair(Sample.removeRaftVoterRequest, Sample.removeRaftVoterResponse),
        pair(Sample.describeMovesRequest, Sample.describeMovesResponse),
        pair(Sample.balanceClusterRequest, Sample.balanceClusterResponse),
    ].flatMap(\.self)
}
