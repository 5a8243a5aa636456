// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import MetadataCore
import NIOCore
import RecordBatches
import Settings
import Testing

/// Topics with a `compression.type` of their own: batches are stored in the topic's form, in the order they came.
@Suite struct RepackingTests {
    private func stored(_ node: OneNode, from offset: Int64 = 0) throws -> ByteBuffer {
        let fetched = try node.ask(fetchRequest(from: offset), version: 12)
        guard case .bytes(let bytes) = fetched.only?.records else { return ByteBuffer() }
        return bytes
    }

    private func codecs(_ bytes: ByteBuffer) throws -> [Codec?] {
        var codecs: [Codec?] = []
        var at = bytes.readerIndex
        while at < bytes.writerIndex {
            let head = try EntryHead.parse(bytes, at: at)
            codecs.append(head.codec)
            at += head.totalSize
        }
        return codecs
    }

    /// A batch of an idempotent producer, `count` records long.
    private func numbered(_ sequence: Int32, count: Int, codec: Codec) throws -> ByteBuffer {
        var builder = BatchBuilder()
        for number in 0..<count {
            builder.append(
                key: nil, value: ByteBuffer(string: "\(Int(sequence) + number) " + String(repeating: "-", count: 40)),
                timestamp: Timestamp(milliseconds: 1_700_000_000_000))
        }
        return try builder.finish(codec: codec, producer: ProducerStamp(id: 7, epoch: 0, baseSequence: sequence))
    }

    @Test(arguments: ["uncompressed", "gzip", "snappy", "lz4", "zstd"], Codec.allCases)
    func batchesAreStoredInTheTopicsForm(type: String, sent: Codec) throws {
        let node = try OneNode()
        try node.topic("events", configs: [("compression.type", type)])
        let values = (0..<50).map { "value \($0)" }
        let answer = try node.ask(produceRequest(try batch(values, codec: sent)), version: 9)
        #expect(answer.only?.error == ErrorCode.none && answer.only?.baseOffset == 0)
        #expect(try codecs(stored(node)) == [Codec(name: type)])
        #expect(try node.ask(fetchRequest(from: 0), version: 12).only?.values == values)
    }

    @Test func aBatchOfTheTopicsCodecStaysAsItIs() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("compression.type", "gzip"), ("compression.gzip.level", "1")])
        let sent = try batch((0..<50).map { "value \($0)" }, codec: .gzip)
        let asked = try node.begin(produceRequest(sent, acks: 1), version: 9)
        #expect(asked.response?.only?.error == ErrorCode.none, "nothing had to be waited for")
        node.settle()
        let got = try stored(node)
        #expect(
            got.getSlice(at: 16, length: got.readableBytes - 16)
                == sent.getSlice(at: 16, length: sent.readableBytes - 16))
    }

    /// A producer has up to five batches on their way. The second here needs no packing and would be first.
    @Test func batchesAreAppendedInTheOrderInWhichTheyCame() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("compression.type", "gzip")])
        var asked: [OneNode.Asked<ProduceResponse>] = []
        for (sequence, codec) in [(0, Codec.lz4), (10, .gzip), (20, .none), (30, .gzip)] as [(Int32, Codec)] {
            asked.append(
                try node.begin(produceRequest(try numbered(sequence, count: 10, codec: codec)), version: 9))
        }
        #expect(asked.allSatisfy { !$0.isAnswered })
        node.settle()
        #expect(asked.map { $0.response?.only?.error } == Array(repeating: ErrorCode.none, count: 4))
        #expect(asked.map { $0.response?.only?.baseOffset } == [0, 10, 20, 30])
        #expect(try codecs(stored(node)) == [.gzip, .gzip, .gzip, .gzip])
    }

    @Test func theOrderOutlastsAChangeOfTheConfig() throws {
        let node = try OneNode()
        let id = try node.topic("events", configs: [("compression.type", "gzip")])
        let first = try node.begin(produceRequest(try numbered(0, count: 10, codec: .lz4)), version: 9)
        node.apply(.changeTopicConfigs(id, [ConfigChange(name: "compression.type", value: nil)]))
        let second = try node.begin(produceRequest(try numbered(10, count: 10, codec: .lz4)), version: 9)
        node.settle()
        #expect(first.response?.only?.baseOffset == 0 && second.response?.only?.baseOffset == 10)
        #expect(try codecs(stored(node)) == [.gzip, .lz4])
        let third = try node.begin(produceRequest(try numbered(20, count: 10, codec: .lz4), acks: 1), version: 9)
        #expect(third.response?.only?.baseOffset == 20, "nobody is in the line any more")
    }

    @Test func aBatchThatCannotBeStoredIsRefusedAndTheNextIsNot() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("compression.type", "uncompressed"), ("max.message.bytes", "2000")])
        var damaged = try batch((0..<50).map { "value \($0)" }, codec: .gzip)
        let last = damaged.writerIndex - 1
        damaged.setInteger((damaged.getInteger(at: last, as: UInt8.self) ?? 0) ^ 1, at: last)
        let growing = try batch([String(repeating: "x", count: 5_000)], codec: .zstd)
        let asked = try [damaged, growing, batch(["sound"], codec: .none)].map {
            try node.begin(produceRequest($0), version: 9)
        }
        node.settle()
        #expect(asked.map { $0.response?.only?.error } == [.corruptMessage, .messageTooLarge, ErrorCode.none])
        #expect(try node.ask(fetchRequest(from: 0), version: 12).only?.values == ["sound"])
    }

    @Test func theBrokersTimeIsWrittenIntoWhatIsStored() throws {
        let node = try OneNode()
        try node.topic(
            "events", configs: [("compression.type", "zstd"), ("message.timestamp.type", "LogAppendTime")])
        let answer = try node.ask(produceRequest(try batch(["a", "b"], at: 1_000)), version: 9)
        #expect(answer.only?.logAppendTime == node.environment.wallClock.milliseconds)
        let head = try EntryHead.parse(stored(node))
        #expect(head.codec == .zstd && head.attributes.isLogAppendTime)
        #expect(head.maxTimestamp == node.environment.wallClock)
        #expect(try node.ask(fetchRequest(from: 0), version: 12).only?.values == ["a", "b"])
    }

    @Test func aProducerWithoutAcksIsServedToo() throws {
        let node = try OneNode()
        try node.topic("events", configs: [("compression.type", "zstd")])
        let asked = try node.begin(produceRequest(try batch(["a"]), acks: 0), version: 9)
        node.settle()
        #expect(asked.gotNothing)
        #expect(try codecs(stored(node)) == [.zstd])
    }
}
