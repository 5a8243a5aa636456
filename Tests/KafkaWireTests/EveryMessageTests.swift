// SPDX-License-Identifier: Apache-2.0

import Foundation
import KafkaWire
import NIOCore
import Testing

/// What holds for every message in every version.
@Suite struct EveryMessageTests {
    @Test(arguments: Described.all)
    func survivesARoundTrip(message: Described) throws {
        let frame = try message.encode()
        #expect(frame.splices.isEmpty)
        let body = try message.body(of: frame.bytes)
        #expect(try message.again(body).bytes == frame.bytes)
        // Older versions, and those that name topics in another way, leave some of the sample out.
        let leavesOut: Set<ApiKey> = [
            .metadata, .produce, .fetch, .deleteTopics, .findCoordinator, .offsetCommit, .offsetFetch,
        ]
        if message.isNewest && (message.isEmpty || !leavesOut.contains(message.api)) {
            #expect(try message.decode(body))
        }
    }

    @Test(arguments: Described.all)
    func hasTheBytesOfAnIndependentEncoder(message: Described) throws {
        let golden = try Golden.frame(message)
        let ours = try message.encode().bytes
        #expect(Golden.hex(ours) == Golden.hex(golden))
        #expect(try message.again(message.body(of: golden)).bytes == golden)
    }

    @Test(arguments: Described.all)
    func everyShorterBodyIsRefused(message: Described) throws {
        let body = try message.body(of: message.encode().bytes)
        for length in 0..<body.readableBytes {
            let cut = try #require(body.getSlice(at: body.readerIndex, length: length))
            #expect(throws: WireError.self, "\(length) of \(body.readableBytes) bytes") {
                _ = try message.decode(cut)
            }
        }
    }

    @Test(arguments: Described.all)
    func bytesBehindTheEndAreRefused(message: Described) throws {
        var body = try message.body(of: message.encode().bytes)
        body.writeInteger(UInt8(0))
        if message.api == .metadata, message.isRequest {
            #expect(throws: Never.self) { _ = try message.decode(body) }
        } else {
            #expect(throws: WireError.trailingBytes) { _ = try message.decode(body) }
        }
    }

    /// The bytes of confluent-kafka 2.16.1: an array's four-byte null in the compact form, so three bytes too many.
    @Test func librdkafkasRequestForAllTopicsIsUnderstood() throws {
        let body = ByteBuffer(bytes: [0, 0, 0, 0, 1, 0, 0])
        let request = try MetadataRequest.decode(body, version: 13)
        #expect(request.asksForAllTopics(version: 13))
    }

    /// The decoder may say anything but must return; what it accepts it must be able to write again.
    @Test(arguments: Described.all)
    func noiseNeverTraps(message: Described) throws {
        var noise = Noise(seed: UInt64(bitPattern: Int64(message.api.rawValue)) << 8 | UInt64(message.version))
        for _ in 0..<250 {
            let bytes = (0..<Int(noise.next() % 200)).map { _ in noise.byte() }
            if let frame = try? message.again(ByteBuffer(bytes: bytes)) {
                #expect(throws: Never.self) { _ = try message.decode(message.body(of: frame.bytes)) }
            }
        }
    }

    @Test(arguments: Described.all)
    func damageNeverTraps(message: Described) throws {
        var noise = Noise(seed: UInt64(bitPattern: Int64(message.api.rawValue)) << 16 | UInt64(message.version))
        let body = try message.body(of: message.encode().bytes)
        guard body.readableBytes > 0 else { return }
        for _ in 0..<250 {
            var damaged = body
            for _ in 0...Int(noise.next() % 3) {
                let place = damaged.readerIndex + Int(noise.next() % UInt64(damaged.readableBytes))
                damaged.setInteger(noise.byte(), at: place)
            }
            if let frame = try? message.again(damaged) {
                #expect(throws: Never.self) { _ = try message.decode(message.body(of: frame.bytes)) }
            }
        }
    }

    /// The windows of Kafka 4.x after KIP-896, and where each became flexible (KIP-482).
    private static let windows: [(api: ApiKey, versions: ClosedRange<Int16>, flexibleSince: Int16)] = [
        (.produce, 3...13, 9), (.fetch, 4...17, 12), (.listOffsets, 1...11, 6), (.metadata, 0...13, 9),
        (.findCoordinator, 0...6, 3), (.apiVersions, 0...4, 3), (.createTopics, 2...7, 5), (.deleteTopics, 1...6, 4),
        (.offsetForLeaderEpoch, 2...4, 4), (.describeConfigs, 1...4, 4), (.createPartitions, 0...3, 2),
        (.describeCluster, 0...2, 0), (.joinGroup, 0...9, 6), (.syncGroup, 0...5, 4), (.heartbeat, 0...4, 4),
        (.leaveGroup, 0...5, 4), (.offsetCommit, 2...10, 8), (.offsetFetch, 1...10, 6), (.listGroups, 0...5, 3),
        (.describeGroups, 0...6, 5), (.deleteGroups, 0...2, 2), (.offsetDelete, 0...0, .max),
        (.consumerGroupHeartbeat, 0...1, 0), (.consumerGroupDescribe, 0...1, 0), (.initProducerID, 0...5, 2),
        (.describeProducers, 0...0, 0), (.deleteRecords, 0...2, 2), (.incrementalAlterConfigs, 0...1, 1),
        (.alterConfigs, 0...2, 2), (.describeLogDirs, 1...4, 2), (.describeTopicPartitions, 0...0, 0),
        (.listConfigResources, 0...1, 0), (.explainGroup, 0...0, 0),
        (.alterPartitionReassignments, 0...1, 0), (.listPartitionReassignments, 0...0, 0), (.electLeaders, 0...2, 2),
        (.describeQuorum, 0...2, 0), (.addRaftVoter, 0...1, 0), (.removeRaftVoter, 0...0, 0),
        (.describeMoves, 0...0, 0), (.balanceCluster, 0...0, 0),
    ]

    @Test(arguments: windows.indices)
    func everyAPIHasTheWindowOfItsProtocol(index: Int) {
        let (api, versions, flexibleSince) = Self.windows[index]
        for isRequest in [true, false] {
            for isEmpty in [true, false] {
                let described = Described.all.filter {
                    $0.api == api && $0.isRequest == isRequest && $0.isEmpty == isEmpty
                }
                #expect(described.map(\.version) == Array(versions))
            }
        }
        for version in versions {
            #expect(api.hasFlexibleRequestHeader(version: version) == (version >= flexibleSince))
            // Its reader may not know the broker's versions yet.
            let hasTags = version >= flexibleSince && api != .apiVersions
            #expect(api.hasFlexibleResponseHeader(version: version) == hasTags)
        }
    }

    @Test func noAPIIsLeftOut() {
        #expect(Set(Described.all.map(\.api)) == Set(Self.windows.map(\.api)))
        let flexible = (Int16(0)...Int16.max).filter { ApiKey(rawValue: $0).flexibleSince != nil }
        #expect(Set(flexible) == Set(Self.windows.map(\.api.rawValue)))
    }

    @Test
    func versionsOutsideTheWindowAreRefused() {
        #expect(throws: WireError.unsupportedVersion(.produce, 2)) {
            _ = try ProduceRequest.decode(ByteBuffer(), version: 2)
        }
        #expect(throws: WireError.unsupportedVersion(.fetch, 18)) {
            _ = try FetchResponse().encodeFrame(correlationID: 1, version: 18)
        }
    }
}

/// SplitMix64, so that a failure can be had again; bytes are drawn towards those that mean something.
struct Noise {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func byte() -> UInt8 {
        let draw = next()
        switch draw & 7 {
        case 0, 1, 2: return 0
        case 3, 4: return UInt8((draw >> 8) % 4)
        case 5: return 0xff
        default: return UInt8(truncatingIfNeeded: draw >> 8)
        }
    }
}

/// The files beside this one that Golden/generate.py wrote.
enum Golden {
    static func frame(_ message: Described) throws -> ByteBuffer {
        try bytes(file: "\(message.api)", line: "\(message.kind) \(message.version) ")
    }

    /// The bytes in the line that begins so.
    static func bytes(file: String, line start: String) throws -> ByteBuffer {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")
        let text = try String(contentsOf: folder.appendingPathComponent("\(file).hex"), encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(start) })
        let digits = Array(line.dropFirst(start.count))
        var bytes = ByteBuffer()
        for place in stride(from: 0, to: digits.count, by: 2) {
            bytes.writeInteger(try #require(UInt8(String(digits[place...place + 1]), radix: 16)))
        }
        return bytes
    }

    static func hex(_ bytes: ByteBuffer) -> String {
        bytes.readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
