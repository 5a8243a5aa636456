// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import NIOCore

struct BenchConsume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consume",
        abstract: "Measure reading a topic from its beginning to its end: records/s, MB/s, CPU time per GB.",
        discussion: """
            Bytes are counted as they are stored and travel, compressed if they are. Records are counted from the
            batches' headers; --unpack unpacks each one, as a program that uses them would.

            Examples:
              godwit bench consume
              godwit bench consume --topic events --verify --json
            """)

    @Option(help: "The topic.")
    var topic = "bench"

    @Option(help: "Bytes of one answer at most.")
    var fetchBytes = Size(bytes: 16 << 20)

    @Option(help: "Bytes of one partition in an answer at most.")
    var partitionBytes = Size(bytes: 8 << 20)

    @Option(help: "Stop after so many bytes.")
    var bytes: Size?

    @Flag(help: "Check each batch's checksum.")
    var verify = false

    @Flag(help: "Unpack each record.")
    var unpack = false

    @OptionGroup var local: LocalClusterOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        try validateTopic(topic)
        let sizes = 1...(100 << 20)
        guard sizes.contains(fetchBytes.bytes), sizes.contains(partitionBytes.bytes) else {
            throw ValidationError("--fetch-bytes and --partition-bytes are 1 to 100 MiB")
        }
    }

    func run() async throws {
        let cluster = try local.cluster()
        try await connection.withClient { client in
            let described = try await findTopic(client, topic, patience: connection.timeout)
            let places = described.partitions.map { TopicPartition(topic: topic, partition: $0.index) }
            let ends = try await client.admin.offsets(places, .latest)
            var configuration = ConsumerConfiguration()
            configuration.maxBytes = fetchBytes.bytes
            configuration.partitionBytes = partitionBytes.bytes
            configuration.bufferBytes = max(64 << 20, fetchBytes.bytes * 4)
            let consumer = Consumer(client, configuration)
            let meter = Cost(cluster)
            consumer.assign(places.map { ($0, .beginning) })
            let tally = try await read(consumer, until: ends)
            let cost = meter.figures(bytes: tally.bytes)
            consumer.close()
            if connection.json {
                Terminal.print(
                    JSON.object(
                        [("topic", .string(topic)), ("partitions", .int(places.count))] + tally.json
                            + [("cpu", cost.json)]
                    ).pretty)
            } else {
                Terminal.print(tally.line)
                if !cost.text.isEmpty { Terminal.print(cost.text) }
            }
        }
    }

    /// Reads to where the partitions ended when the reading began.
    private func read(_ consumer: Consumer, until ends: [TopicPartition: Int64]) async throws -> Tally {
        var tally = Tally()
        var open = ends.filter { $0.value > 0 }
        var progress = ProgressLine()
        var shown = tally.began
        while !open.isEmpty, tally.bytes < bytes?.bytes ?? .max, let event = try await consumer.next() {
            let place: TopicPartition
            let position: Int64
            switch event {
            case .records(let chunk):
                (place, position) = (chunk.place, chunk.end)
                tally.bytes += chunk.bytes.readableBytes
                tally.records += try count(chunk)
            case .end(let at, let offset): (place, position) = (at, offset)
            }
            if let end = open[place], position >= end { open[place] = nil }
            tally.ended = monotonicNanoseconds()
            if tally.ended - shown > 1_000_000_000 {
                shown = tally.ended
                progress.show(records: tally.records, bytes: tally.bytes)
            }
        }
        progress.clear()
        return tally
    }

    private func count(_ chunk: FetchedChunk) throws -> Int {
        guard unpack else { return Int(try chunk.tally(verifyingChecksums: verify)) }
        var records = 0
        try chunk.forEachRecord(verifyingChecksums: verify) { _ in records += 1 }
        return records
    }
}
