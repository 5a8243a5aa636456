// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import NIOCore
import Testing

/// What reliability.md H8 to H12 ask of a decoder. The smallest messages serve as carriers.
@Suite struct MalformedInputTests {
    /// DeleteTopics v1: an array of strings with classic lengths, then a timeout.
    private func classic(_ bytes: [UInt8]) throws(WireError) -> DeleteTopicsRequest {
        try DeleteTopicsRequest.decode(ByteBuffer(bytes: bytes), version: 1)
    }

    /// FindCoordinator v4: a key type, a compact array of compact strings, tags.
    private func compact(_ bytes: [UInt8]) throws(WireError) -> FindCoordinatorRequest {
        try FindCoordinatorRequest.decode(ByteBuffer(bytes: [0] + bytes), version: 4)
    }

    /// DescribeCluster v0: a boolean and tags, none of which is known.
    private func tagged(_ bytes: [UInt8]) throws(WireError) -> DescribeClusterRequest {
        try DescribeClusterRequest.decode(ByteBuffer(bytes: [1] + bytes), version: 0)
    }

    /// ApiVersions v3 without error, APIs and throttling, then tags, of which 0 to 3 are known.
    private func known(_ bytes: [UInt8]) throws(WireError) -> ApiVersionsResponse {
        try ApiVersionsResponse.decode(ByteBuffer(bytes: [0, 0, 1, 0, 0, 0, 0] + bytes), version: 3)
    }

    @Test(
        arguments: [
            ([0x7f, 0xff, 0xff, 0xff], WireError.tooManyElements),
            ([0x00, 0x0f, 0x42, 0x41], .tooManyElements),
            ([0x00, 0x0f, 0x42, 0x40], .truncated),
            ([0xff, 0xff, 0xff, 0xff], .nullNotAllowed),
            ([0xff, 0xff, 0xff, 0xfe], .negativeLength),
            ([0x80, 0x00, 0x00, 0x00], .negativeLength),
            ([0x00, 0x00, 0x00, 0x05], .truncated),
        ] as [([UInt8], WireError)])
    func countsThatCannotBeAreRefused(count: [UInt8], error: WireError) {
        #expect(throws: error) { _ = try classic(count + [0, 0, 0, 0, 0, 0, 0, 0]) }
    }

    @Test(
        arguments: [
            ([0xff, 0xff, 0xff, 0xff, 0x0f], WireError.tooManyElements),
            ([0x06], .truncated),
            ([0x00], .nullNotAllowed),
            ([0x81, 0x00], .malformedVarint),
            ([0x81, 0x80, 0x80, 0x80, 0x00], .malformedVarint),
            ([0xff, 0xff, 0xff, 0xff, 0x10], .malformedVarint),
            ([0x80, 0x80, 0x80, 0x80, 0x80, 0x01], .malformedVarint),
            ([0xff, 0xff], .truncated),
        ] as [([UInt8], WireError)])
    func compactCountsThatCannotBeAreRefused(count: [UInt8], error: WireError) {
        #expect(throws: error) { _ = try compact(count + (count.count == 2 && count[1] == 0xff ? [] : [1, 0])) }
    }

    @Test func aMillionElementsAreAcceptedAndOneMoreIsNot() throws {
        // 1,000,001 as a varint of count + 1 says a million.
        let million = try compact([0xc1, 0x84, 0x3d] + [UInt8](repeating: 1, count: 1_000_000) + [0])
        #expect(million.coordinatorKeys.count == 1_000_000)
        #expect(throws: WireError.tooManyElements) {
            _ = try compact([0xc2, 0x84, 0x3d] + [UInt8](repeating: 1, count: 1_000_001) + [0])
        }
    }

    @Test func nestedCountsCannotMultiply() {
        // Produce v3: 200,000 topics are said, and the first says 200,000 partitions. The bytes are there, once.
        var body = ByteBuffer(bytes: [0xff, 0xff, 0, 1, 0, 0, 0, 0])
        body.writeInteger(Int32(200_000))
        body.writeInteger(Int16(0))
        body.writeInteger(Int32(200_000))
        body.writeRepeatingByte(0, count: 200_000)
        #expect(throws: WireError.truncated) { _ = try ProduceRequest.decode(body, version: 3) }
    }

    @Test(
        arguments: [
            ([0x00, 0x05, 0x61], WireError.truncated),
            ([0xff, 0xff], .nullNotAllowed),
            ([0xff, 0xfe], .negativeLength),
            ([0x80, 0x00], .negativeLength),
            ([0x00, 0x01, 0xff, 0, 0, 0, 0], .invalidUTF8),
            // An overlong slash, half of a surrogate pair, a code point past the last.
            ([0x00, 0x02, 0xc0, 0xaf, 0, 0, 0, 0], .invalidUTF8),
            ([0x00, 0x03, 0xed, 0xa0, 0x80, 0, 0, 0, 0], .invalidUTF8),
            ([0x00, 0x04, 0xf4, 0x90, 0x80, 0x80, 0, 0, 0, 0], .invalidUTF8),
        ] as [([UInt8], WireError)])
    func stringsThatCannotBeAreRefused(string: [UInt8], error: WireError) {
        #expect(throws: error) { _ = try classic([0, 0, 0, 1] + string) }
    }

    @Test func stringsOver32767BytesAreRefusedBothWays() throws {
        // 32,769 as a varint of length + 1 says 32,768.
        #expect(throws: WireError.tooLong) {
            _ = try compact([2, 0x81, 0x80, 0x02] + [UInt8](repeating: 0x61, count: 32_768) + [0])
        }
        var request = FindCoordinatorRequest()
        request.key = String(repeating: "a", count: 32_768)
        request.coordinatorKeys = [request.key]
        for version in FindCoordinatorRequest.versions {
            #expect(throws: WireError.tooLong) {
                _ = try request.encodeFrame(correlationID: 1, clientID: nil, version: version)
            }
        }
        let longest = try compact([2, 0x80, 0x80, 0x02] + [UInt8](repeating: 0x61, count: 32_767) + [0])
        #expect(longest.coordinatorKeys.first?.utf8.count == 32_767)
    }

    @Test func recordsLongerThanTheFrameAreRefused() {
        for length: [UInt8] in [[0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 2]] {
            let body: [UInt8] = [0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0] + length + [9]
            #expect(throws: WireError.truncated) {
                _ = try ProduceRequest.decode(ByteBuffer(bytes: body), version: 3)
            }
        }
    }

    // MARK: Tags

    @Test func unknownTagsAreSkipped() throws {
        #expect(try tagged([0]).includesClusterOperations)
        #expect(try tagged([2, 5, 3, 1, 2, 3, 6, 0]).includesClusterOperations)
        // A tag of five bytes, between known ones.
        let answer = try known([2, 1, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 7])
        #expect(answer.finalizedFeaturesEpoch == 9)
    }

    @Test(
        arguments: [
            ([2, 5, 0, 5, 0], WireError.malformedTags),
            ([2, 6, 0, 5, 0], .malformedTags),
            ([1, 5, 2, 0], .truncated),
            ([1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f], .truncated),
            ([1, 0x85, 0x00, 0], .malformedVarint),
            ([0xff, 0xff, 0xff, 0xff, 0x0f], .tooManyElements),
            ([0x90, 0x4e, 0, 0], .truncated),
            ([0, 0], .trailingBytes),
            ([], .truncated),
        ] as [([UInt8], WireError)])
    func sectionsThatCannotBeAreRefused(section: [UInt8], error: WireError) {
        #expect(throws: error) { _ = try tagged(section) }
    }

    @Test func moreThanTenThousandTagsAreRefusedThoughTheyAreThere() throws {
        func section(_ count: Int) -> [UInt8] {
            var bytes: [UInt8] = varint(count)
            for tag in 0..<count { bytes += varint(tag) + [0] }
            return bytes
        }
        #expect(try tagged(section(10_000)).includesClusterOperations)
        #expect(throws: WireError.tooManyElements) { _ = try tagged(section(10_001)) }
    }

    @Test(
        arguments: [
            // Longer and shorter than the field, twice the same, a list in it that reaches past its end.
            ([1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 9, 0], WireError.malformedTags),
            ([1, 1, 7, 0, 0, 0, 0, 0, 0, 0], .truncated),
            ([1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 9], .truncated),
            ([2, 3, 1, 1, 3, 1, 1], .malformedTags),
            ([1, 0, 2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0], .truncated),
        ] as [([UInt8], WireError)])
    func payloadsThatDoNotFitTheirFieldAreRefused(section: [UInt8], error: WireError) {
        #expect(throws: error) { _ = try known(section) }
    }

    private func varint(_ value: Int) -> [UInt8] {
        value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7f) | 0x80] + varint(value >> 7)
    }

    // MARK: Headers

    @Test func everyShorterHeaderIsRefused() throws {
        let frame = try FetchRequest().encodeFrame(correlationID: 1, clientID: "client", version: 12).bytes
        let header = 4 + 8 + 2 + 6 + 1
        for length in 4..<header {
            var cut = try #require(frame.getSlice(at: 4, length: length - 4))
            #expect(throws: WireError.truncated) { _ = try RequestHeader.decode(from: &cut) }
        }
    }

    @Test func aLongClientIDIsRefused() throws {
        for (length, isFine) in [(RequestHeader.clientIDLimit, true), (RequestHeader.clientIDLimit + 1, false)] {
            let id = String(repeating: "x", count: length)
            var frame = try MetadataRequest().encodeFrame(correlationID: 1, clientID: id, version: 4).bytes
            frame.moveReaderIndex(forwardBy: 4)
            if isFine {
                #expect(try RequestHeader.decode(from: &frame).clientID == id)
            } else {
                #expect(throws: WireError.tooLong) { _ = try RequestHeader.decode(from: &frame) }
            }
        }
    }

    @Test func aHeaderOfAnUnknownAPIOrVersionCanBeRead() throws {
        // ApiVersions 99, whose header is flexible as all later ones, with a tag that nobody knows; then API 999.
        var future = ByteBuffer(bytes: [0, 18, 0, 99, 0, 0, 0, 7, 0, 1, 0x61, 1, 9, 2, 0, 0, 0xaa])
        let header = try RequestHeader.decode(from: &future)
        #expect(header == RequestHeader(apiKey: .apiVersions, version: 99, correlationID: 7, clientID: "a"))
        #expect(future.readableBytes == 1)
        var unknown = ByteBuffer(bytes: [0x03, 0xe7, 0xff, 0xff, 0, 0, 0, 8, 0xff, 0xff])
        let other = try RequestHeader.decode(from: &unknown)
        #expect(other.apiKey.rawValue == 999 && other.version == -1 && other.clientID == nil)
        #expect(other.apiKey.flexibleSince == nil)
    }
}
