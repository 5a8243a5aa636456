// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import NIOCore
import RecordBatches
import Synchronization

struct ProduceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "produce",
        abstract: "Send each line of standard input as a record.",
        discussion: """
            Examples:
              echo hello | godwit produce events
              godwit produce events --codec zstd < /var/log/dpkg.log
              printf 'anna:1\\nbert:2\\n' | godwit produce events --key-separator :
              echo x | godwit produce events --partition 3 --header source=cli --acks 1
            """)

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(
        name: [.customShort("K"), .long], help: "What stands between key and value; without it lines have no keys.")
    var keySeparator: String?

    @Option(name: [.customShort("z"), .long], help: "Compression: none, gzip, snappy, lz4 or zstd.")
    var codec = CodecName.none

    @Option(name: [.customShort("a"), .long], help: "Acknowledgements: 0, 1 or all.")
    var acks = Acks.all

    @Option(name: [.short, .long], help: "The partition (default: by key, or any).")
    var partition: Int32?

    @Option(name: [.customShort("H"), .long], help: ArgumentHelp("A header of every record.", valueName: "name=value"))
    var header: [String] = []

    @Option(help: ArgumentHelp("How long a batch waits for more records.", valueName: "time"))
    var linger = Span(seconds: 0.005)

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        try validateTopic(topic)
        _ = try headers()
        if keySeparator == "" { throw ValidationError("--key-separator is empty") }
        if let partition, partition < 0 { throw ValidationError("--partition counts from 0") }
    }

    private func headers() throws -> [RecordHeader] {
        try header.map { entry in
            let sides = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2 else { throw ValidationError("--header wants name=value, not '\(entry)'") }
            return RecordHeader(key: String(sides[0]), value: ByteBuffer(string: String(sides[1])))
        }
    }

    /// What became of the records.
    private struct Counts {
        var sent = 0
        var failed = 0
        var failure: ClientError?
        var byPartition: [Int32: Int] = [:]
    }

    func run() async throws {
        let headers = try headers()
        try await connection.withClient { client in
            let described = try await findTopic(client, topic, patience: connection.timeout)
            if let partition, !described.partitions.contains(where: { $0.index == partition }) {
                throw ClientError.invalid("topic '\(topic)' has no partition \(partition)")
            }
            var configuration = ProducerConfiguration()
            configuration.codec = codec.codec
            configuration.acks = acks.level
            configuration.linger = .nanoseconds(linger.nanoseconds)
            let producer = Producer(client, configuration)
            let result = try await send(producer, headers)
            if connection.json {
                Terminal.print(json(result).pretty)
            } else {
                Terminal.note("Produced \(grouped(result.sent)) records to \(topic).")
            }
            if result.failed > 0 {
                let why = result.failure.map { "\($0)" } ?? "no reason known"
                Terminal.note("godwit: \(grouped(result.failed)) records were not acknowledged: \(why)")
                throw ExitCode(1)
            }
        }
    }

    private func send(_ producer: Producer, _ headers: [RecordHeader]) async throws -> Counts {
        let tally = Tally()
        var lines = LineReader(limit: 64 << 20)
        while let some = try lines.next() {
            let now = wallMilliseconds()
            let records = some.map { record($0, headers, now) }
            try await producer.enqueue(contentsOf: records) { tally.add($0) }
        }
        await producer.close()
        return tally.counts.withLock { $0 }
    }

    /// The callbacks count here, on the client's loop.
    private final class Tally: Sendable {
        let counts = Mutex(Counts())

        func add(_ result: Result<RecordReceipt, ClientError>) {
            counts.withLock { counts in
                switch result {
                case .success(let receipt):
                    counts.sent += 1
                    counts.byPartition[receipt.place.partition, default: 0] += 1
                case .failure(let error):
                    counts.failed += 1
                    if counts.failure == nil { counts.failure = error }
                }
            }
        }
    }

    private func record(_ line: ArraySlice<UInt8>, _ headers: [RecordHeader], _ now: Int64) -> ProducerRecord {
        var key: ByteBuffer?
        var value = line
        if let keySeparator, let place = line.firstRange(of: Array(keySeparator.utf8)) {
            key = ByteBuffer(bytes: line[..<place.lowerBound])
            value = line[place.upperBound...]
        }
        return ProducerRecord(
            topic: topic, partition: partition, key: key, value: ByteBuffer(bytes: value), headers: headers,
            timestamp: now)
    }

    private func json(_ result: Counts) -> JSON {
        .object([
            ("topic", .string(topic)), ("records", .int(result.sent)), ("failed", .int(result.failed)),
            (
                "partitions",
                .array(
                    result.byPartition.sorted { $0.key < $1.key }.map { partition, count in
                        .object([("index", .int(partition)), ("records", .int(count))])
                    })
            ),
        ])
    }
}
