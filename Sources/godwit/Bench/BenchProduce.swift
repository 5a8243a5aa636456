// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import NIOCore
import RecordBatches

struct BenchProduce: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "produce",
        abstract: "Measure producing: records/s, MB/s, latencies, CPU time per GB.",
        discussion: """
            With --rate max (the default), batches made ahead are sent as fast as they are acknowledged, --in-flight of
            them for each partition, and latencies are those of batches. With a rate, each record is due at a time laid
            down ahead and its latency counts from that time, also when the cluster (or this program) was late.

            The codec only finds what --compressibility leaves to find: at 0, the default, nothing compresses, and
            batches travel uncompressed whatever --compression says.

            Examples:
              godwit bench produce --partitions 6 --replication-factor 3 --batch-bytes 1MiB --bytes 2GB
              godwit bench produce --rate 2000 --duration 60s --linger 0
              godwit bench produce --rate 50k --record-size 100 --compression zstd --compressibility 0.7
            """)

    @OptionGroup var target: BenchTopicOptions

    @Option(help: ArgumentHelp("Records a second, as 2000 or 50k, or max.", valueName: "rate"))
    var rate = Rate.max

    @Option(help: "Bytes of each record's value.")
    var recordSize = Size(bytes: 1024)

    @Option(help: "Bytes of a batch at most.")
    var batchBytes = Size(bytes: 1 << 20)

    @Option(help: "Which share of the payload compresses, from 0 to 1.")
    var compressibility = 0.0

    @Option(help: "none, gzip, snappy, lz4 or zstd.")
    var compression = CodecName.none

    @Option(help: "Acknowledgements: 0, 1 or all.")
    var acks = Acks.all

    @Option(help: "With a rate: how long a batch waits for more records.")
    var linger = Span(seconds: 0)

    @Option(help: "Batches of a partition that may be unanswered (default: 2 with --rate max, else 1).")
    var inFlight: Int?

    @Option(help: "Stop after so many bytes of values (default with --rate max: 1 GB).")
    var bytes: Size?

    @Option(help: "Stop after so many records.")
    var records: Int?

    @Option(help: "Stop after so long (default with a rate: 30 s).")
    var duration: Span?

    @Option(help: "Drop the figures of so long at the beginning.")
    var warmup = Span(seconds: 0)

    @OptionGroup var local: LocalClusterOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...(1 << 27)).contains(recordSize.bytes) else { throw ValidationError("--record-size is 1 to 128 MiB") }
        guard (1...(1 << 27)).contains(batchBytes.bytes) else { throw ValidationError("--batch-bytes is 1 to 128 MiB") }
        guard (0...1).contains(compressibility) else { throw ValidationError("--compressibility is 0 to 1") }
        if let inFlight, !(1...1000).contains(inFlight) { throw ValidationError("--in-flight is 1 to 1000") }
        if let records, records < 1 { throw ValidationError("--records is at least 1") }
    }

    private var limit: LoadLimit {
        var limit = LoadLimit()
        if let records { limit.records = records }
        if let bytes { limit.records = min(limit.records, max(1, bytes.bytes / recordSize.bytes)) }
        if let duration { limit.nanoseconds = duration.nanoseconds }
        guard records == nil, bytes == nil, duration == nil else { return limit }
        if rate == .max {
            limit.records = max(1, 1_000_000_000 / recordSize.bytes)
        } else {
            limit.nanoseconds = 30_000_000_000
        }
        return limit
    }

    func run() async throws {
        let cluster = try local.cluster()
        try await connection.withClient { client in
            let topic = try await target.prepare(client, patience: connection.timeout)
            let places = topic.partitions.map { TopicPartition(topic: topic.name, partition: $0.index) }
            let meter = Meter(cluster)
            let tally =
                switch rate {
                case .max: try await flood(client, places, meter)
                case .perSecond(let rate): await pace(client, rate, places, meter)
                }
            let cost = meter.cost.figures(bytes: tally.bytes)
            if connection.json {
                Terminal.print(json(tally, cost, topic).pretty)
            } else {
                Terminal.print(tally.line)
                Terminal.print((rate == .max ? "batches: " : "records: ") + tally.latencies.line)
                if !cost.text.isEmpty { Terminal.print(cost.text) }
            }
            if let failure = tally.failure {
                Terminal.note("godwit: \(grouped(tally.failed)) records were not acknowledged: \(failure)")
                throw ExitCode(1)
            }
        }
    }

    /// Costs are counted from when the figures begin.
    // SAFETY: written on the client's loop before the load ends, read after it.
    final class Meter: @unchecked Sendable {
        private let cluster: LocalCluster
        private(set) var cost: Cost

        init(_ cluster: LocalCluster) {
            self.cluster = cluster
            cost = Cost(cluster)
        }

        func begin() { cost = Cost(cluster) }
    }

    private func flood(_ client: KafkaClient, _ places: [TopicPartition], _ meter: Meter) async throws -> Tally {
        let pool = try Flood.makePool(
            places, recordSize: recordSize.bytes, batchBytes: batchBytes.bytes, compressibility: compressibility,
            codec: compression.codec)
        let inFlight = inFlight ?? 2
        let sender = BatchSender(client, acks: acks.level, inFlightPerPartition: inFlight)
        return await Flood(
            client, sender, pool: pool, inFlight: inFlight, limit: limit, warmup: warmup.nanoseconds,
            onWarm: { meter.begin() }
        ).run()
    }

    private func pace(
        _ client: KafkaClient, _ rate: Double, _ places: [TopicPartition], _ meter: Meter
    ) async -> Tally {
        var configuration = ProducerConfiguration()
        configuration.acks = acks.level
        configuration.codec = compression.codec
        configuration.batchBytes = batchBytes.bytes
        configuration.linger = .nanoseconds(linger.nanoseconds)
        configuration.inFlightPerPartition = inFlight ?? 1
        // Brokers remember five batches of a producer: more in flight go without numbers.
        configuration.isIdempotent = configuration.inFlightPerPartition <= 5
        let producer = Producer(client, configuration)
        let size = recordSize.bytes
        var payload = Payload(compressibility: compressibility, seed: 1)
        // Values are cut from one block, each from another place.
        let stock = ByteBuffer(bytes: payload.next(max(4 << 20, size * 2)))
        let topic = target.topic
        let load = PacedLoad(
            client, producer, rate: rate, recordSize: size, limit: limit, warmup: warmup.nanoseconds,
            onWarm: { meter.begin() },
            make: { sequence in
                let at = (sequence &* 64) % (stock.readableBytes - size)
                return ProducerRecord(
                    topic: topic, partition: places[sequence % places.count].partition,
                    value: stock.getSlice(at: at, length: size), timestamp: wallMilliseconds())
            })
        let tally = await load.run()
        await producer.close()
        return tally
    }

    private func json(_ tally: Tally, _ cost: Cost.Figures, _ topic: TopicDescription) -> JSON {
        .object(
            [
                ("topic", .string(topic.name)), ("partitions", .int(topic.partitions.count)),
                ("replicationFactor", .int(topic.partitions.first?.replicas.count ?? 0)),
                ("acks", .string(acks.defaultValueDescription)), ("recordSize", .int(recordSize.bytes)),
                ("batchBytes", .int(batchBytes.bytes)), ("compression", .string("\(compression.codec)")),
                ("compressibility", .double(compressibility)), ("rate", .string(rate.defaultValueDescription)),
            ] + tally.json + [("latencyMilliseconds", tally.latencies.json), ("cpu", cost.json)])
    }
}
