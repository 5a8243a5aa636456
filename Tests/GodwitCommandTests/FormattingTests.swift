// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import LogModel
import NIOCore
import RecordBatches
import Testing

@testable import godwit

struct FormattingTests {
    @Test func jsonKeepsTheOrderOfItsMembers() {
        let value = JSON.object([("b", .int(1)), ("a", .array([.bool(true), .null])), ("c", .object([]))])
        #expect(value.line == #"{"b":1,"a":[true,null],"c":{}}"#)
        #expect(value.pretty == "{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null\n  ],\n  \"c\": {}\n}")
    }

    @Test func jsonTextsAreEscaped() {
        #expect(JSON.string("a\"\\\n\t\u{1}é\u{7f}").line == #""a\"\\\n\t\u0001é\u007f""#)
    }

    @Test func jsonNumbersAreWhatOtherProgramsRead() {
        #expect(JSON.double(1.5).line == "1.5")
        #expect(JSON.double(3).line == "3")
        #expect(JSON.double(0.12345).line == "0.123")
        #expect(JSON.double(.nan).line == "null")
        #expect(JSON.double(-0.0004).line == "-0.0")
        #expect(JSON.int(Int64.min).line == "-9223372036854775808")
    }

    @Test func columnsAreAligned() {
        var table = Table(("NAME", .left), ("COUNT", .right))
        table.add("a", "10")
        table.add("longer", "5")
        #expect(table.text == "NAME    COUNT\na          10\nlonger      5")
    }

    @Test func decimalsHaveAPointWhateverTheLocale() {
        #expect(decimal(1.005, 1) == "1.0")
        #expect(decimal(-0.25, 2) == "-0.25")
        #expect(decimal(12, 0) == "12")
        #expect(decimal(0.05, 2) == "0.05")
        #expect(decimal(.infinity, 2) == "-")
    }

    @Test func thousandsAreGrouped() {
        #expect(grouped(0) == "0")
        #expect(grouped(999) == "999")
        #expect(grouped(1_234_567) == "1,234,567")
        #expect(grouped(-1000) == "-1,000")
    }

    @Test(arguments: [("1024", 1024), ("64KiB", 65_536), ("1MB", 1_000_000), ("1m", 1 << 20), ("1.5k", 1536)])
    func sizesAreRead(text: String, bytes: Int) {
        #expect(Size(argument: text)?.bytes == bytes)
    }

    @Test(arguments: ["", "x", "-1", "1TB", "1e3", "99999999GB"])
    func whatIsNoSizeIsRefused(text: String) {
        #expect(Size(argument: text) == nil)
    }

    @Test func spansAndRatesAreRead() {
        #expect(Span(argument: "500ms")?.nanoseconds == 500_000_000)
        #expect(Span(argument: "2m")?.seconds == 120)
        #expect(Span(argument: "3")?.seconds == 3)
        #expect(Span(argument: "3 days") == nil)
        #expect(Rate(argument: "50k") == .perSecond(50_000))
        #expect(Rate(argument: "max") == .max)
        #expect(Rate(argument: "0") == nil)
    }

    @Test func topicIdsReadAsInOtherTools() {
        #expect(kafkaText(TopicID(high: 0, low: 1)) == "AAAAAAAAAAAAAAAAAAAAAQ")
        #expect(kafkaText(TopicID(high: .max, low: .max)) == "_____________________w")
    }

    @Test func recordsArePrintedAsTheFormatSays() throws {
        var builder = BatchBuilder()
        builder.append(
            key: ByteBuffer(string: "k"), value: ByteBuffer(string: "v"),
            headers: [RecordHeader(key: "h", value: ByteBuffer(string: "x"))], timestamp: Timestamp(milliseconds: 12))
        var records = try BatchRecords(of: stored(try builder.finish()), limit: 1000)
        let record = try #require(try records.next())
        #expect(try RecordFormat("%T/%p@%o %t %k=%v [%h] 100%%\\n").text(record, "t", 3) == "t/3@0 12 k=v [h=x] 100%\n")
        #expect(throws: (any Error).self) { try RecordFormat("%x") }
    }

    @Test func startingPointsAreRead() {
        #expect(From(argument: "beginning")?.point == .beginning)
        #expect(From(argument: "offset:12")?.point == .offset(12))
        #expect(From(argument: "timestamp:5")?.point == .timestamp(5))
        #expect(From(argument: "offset:-1") == nil)
        #expect(From(argument: "later") == nil)
    }

    @Test func everyCommandParsesItsExamples() throws {
        for line in [
            "topic create events --partitions 6 --replication-factor 3 --config retention.ms=86400000",
            "produce events --codec zstd", "consume events --from beginning --exit-at-end", "cluster status --json",
            "bench produce --rate 2000 --duration 60s --linger 0",
            "bench consume --topic events --verify --json",
            "bench failover --runs 10 --rate 2000 --partitions 6 --json",
        ] {
            _ = try Godwit.parseAsRoot(line.split(separator: " ").map(String.init))
        }
    }

    @Test(arguments: [
        "topic create", "topic create a/b", "produce events --acks 2", "consume events --format %q",
        "bench produce --compressibility 2", "bench failover --rate max", "bench failover --runs 2 --no-restart",
        "cluster status --bootstrap a:b",
    ])
    func wrongCallsAreRefused(line: String) {
        #expect(throws: (any Error).self) {
            _ = try Godwit.parseAsRoot(line.split(separator: " ").map(String.init))
        }
    }
}

extension RecordFormat {
    fileprivate func text(_ record: BatchRecord, _ topic: String, _ partition: Int32) -> String {
        var output = OutputBuffer()
        write(record, topic, partition, to: &output)
        return String(decoding: output.bytes, as: UTF8.self)
    }
}
