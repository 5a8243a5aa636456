// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import GodwitClient
import LogModel
import NIOCore
import RecordBatches

/// `beginning`, `end`, `offset:N` or `timestamp:MS`.
struct From: ExpressibleByArgument {
    let point: StartingPoint

    init(_ point: StartingPoint) { self.point = point }

    init?(argument: String) {
        switch argument {
        case "beginning": point = .beginning
        case "end": point = .end
        default:
            let sides = argument.split(separator: ":", maxSplits: 1)
            guard sides.count == 2, let number = Int64(sides[1]), number >= 0 else { return nil }
            switch sides[0] {
            case "offset": point = .offset(number)
            case "timestamp": point = .timestamp(number)
            default: return nil
            }
        }
    }

    var defaultValueDescription: String { "end" }
}

struct ConsumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consume",
        abstract: "Print a topic's records.",
        discussion: """
            Examples:
              godwit consume events --from beginning --exit-at-end
              godwit consume events --partition 0 --partition 3 --from offset:100 --max 10
              godwit consume events --from timestamp:1767225600000 --format '%t %p/%o %k=%v\\n'
              godwit consume events --json | jq .value
              godwit consume events --group printers --from beginning

            With --group, the members of the group share the partitions, what has been printed is committed, and
            --from (beginning or end) counts where the group has no offset yet.

            In --format: %k key, %v value, %o offset, %p partition, %t timestamp in ms, %T topic, %h headers,
            %% a percent sign, \\n and \\t. In JSON, bytes that are not UTF-8 come in base64 as keyBase64, valueBase64.
            """)

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(name: [.customShort("o"), .long], help: "beginning, end, offset:N or timestamp:MILLISECONDS.")
    var from = From(.end)

    @Option(name: [.short, .long], help: "A partition; may be given several times (default: all).")
    var partition: [Int32] = []

    @Flag(name: [.customShort("e"), .long], help: "Stop at the end of what was there when the end was reached.")
    var exitAtEnd = false

    @Option(name: [.customShort("c"), .customLong("max")], help: "Stop after so many records.")
    var limit: Int?

    @Option(name: [.short, .long], help: ArgumentHelp("Read as a member of this group.", valueName: "name"))
    var group: String?

    @Option(name: [.short, .long], help: "How each record is printed.")
    var format = "%v\\n"

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        try validateTopic(topic)
        _ = try RecordFormat(format)
        if let limit, limit < 0 { throw ValidationError("--max counts from 0") }
        guard let group else { return }
        if group.isEmpty { throw ValidationError("--group wants a name") }
        if !partition.isEmpty { throw ValidationError("in a group the coordinator chooses the partitions") }
        guard from.point == .beginning || from.point == .end else {
            throw ValidationError("with --group, --from is beginning or end; `godwit group seek` goes elsewhere")
        }
    }

    func run() async throws {
        let format = try RecordFormat(format)
        try await connection.withClient { client in
            let described = try await findTopic(client, topic, patience: connection.timeout)
            let chosen = partition.isEmpty ? described.partitions.map(\.index) : partition
            for index in chosen where !described.partitions.contains(where: { $0.index == index }) {
                throw ClientError.invalid("topic '\(topic)' has no partition \(index)")
            }
            let places = Set(chosen).map { TopicPartition(topic: topic, partition: $0) }
            guard limit != 0 else { return }
            if let group { return try await print(group, client, format) }
            let consumer = Consumer(client)
            consumer.assign(places.map { ($0, from.point) })
            try await print(consumer, format, places)
            consumer.close()
        }
    }

    private func print(_ consumer: Consumer, _ format: RecordFormat, _ places: [TopicPartition]) async throws {
        var printer = Printer(command: self, format: format)
        defer { printer.output.flush() }
        var unfinished = Set(places)
        while let event = try await consumer.next() {
            switch event {
            case .end(let place, _):
                unfinished.remove(place)
                if exitAtEnd, unfinished.isEmpty { return }
            case .records(let chunk):
                guard !exitAtEnd || unfinished.contains(chunk.place) else { continue }
                _ = try printer.print(chunk)
                if printer.isDone { return }
            }
        }
    }

    /// Prints as a member of a group until a signal comes, and leaves it in an orderly way.
    private func print(_ group: String, _ client: KafkaClient, _ format: RecordFormat) async throws {
        var configuration = GroupConsumerConfiguration()
        configuration.offsetReset = from.point == .beginning ? .earliest : .latest
        let consumer = GroupConsumer(client, group: group, topics: [topic], configuration)
        let watch = Task {
            _ = await StopSignal.first()
            await consumer.close()
        }
        defer { watch.cancel() }
        var printer = Printer(command: self, format: format)
        defer { printer.output.flush() }
        do {
            var unfinished: Set<TopicPartition> = []
            reading: while let event = try await consumer.next() {
                switch event {
                case .assigned(let places):
                    unfinished.formUnion(places)
                    Terminal.note("Reading \(shortened(places)).")
                case .revoked(let places), .lost(let places):
                    unfinished.subtract(places)
                    Terminal.note("No longer reading \(shortened(places)).")
                case .end(let place, _):
                    unfinished.remove(place)
                    if exitAtEnd, unfinished.isEmpty { break reading }
                case .records(let chunk):
                    let end = try printer.print(chunk)
                    guard printer.isDone else { continue }
                    try await consumer.commit([chunk.place: end])
                    break reading
                }
            }
            await consumer.close()
        } catch {
            await consumer.close()
            throw error
        }
    }

    /// Prints records until it has printed enough or nobody reads any more.
    private struct Printer {
        private struct Enough: Error {}

        let command: ConsumeCommand
        let format: RecordFormat
        var output = OutputBuffer()
        private(set) var isDone = false
        private var printed = 0

        init(command: ConsumeCommand, format: RecordFormat) {
            self.command = command
            self.format = format
        }

        /// Gives the offset after the last record that was printed.
        mutating func print(_ chunk: FetchedChunk) throws -> Int64 {
            var end = chunk.end
            do {
                try chunk.forEachRecord { record in
                    if command.connection.json {
                        output.append(command.json(record, chunk.place.partition).line + "\n")
                    } else {
                        format.write(record, command.topic, chunk.place.partition, to: &output)
                    }
                    printed += 1
                    if printed == command.limit {
                        end = record.offset.rawValue + 1
                        throw Enough()
                    }
                }
            } catch is Enough {
                isDone = true
            }
            output.flush()
            // Whoever read the output is gone, as with `| head`.
            if !output.isOpen { isDone = true }
            return end
        }
    }

    fileprivate func json(_ record: BatchRecord, _ partition: Int32) -> JSON {
        var members: [(String, JSON)] = [
            ("topic", .string(topic)), ("partition", .int(partition)), ("offset", .int(record.offset.rawValue)),
            ("timestamp", .int(record.timestamp.milliseconds)), bytes("key", record.key), bytes("value", record.value),
        ]
        if !record.headers.isEmpty {
            members.append(
                (
                    "headers",
                    .array(record.headers.map { .object([("name", .string($0.key)), bytes("value", $0.value)]) })
                ))
        }
        return .object(members)
    }

    private func bytes(_ name: String, _ buffer: ByteBuffer?) -> (String, JSON) {
        guard let buffer else { return (name, .null) }
        if let text = String(validating: buffer.readableBytesView, as: UTF8.self) { return (name, .string(text)) }
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = base64(Array(buffer.readableBytesView), alphabet)
        while text.utf8.count % 4 != 0 { text += "=" }
        return (name + "Base64", .string(text))
    }
}

/// What `--format` says, taken apart once.
struct RecordFormat {
    private enum Part {
        case text([UInt8])
        case key, value, offset, partition, timestamp, topic, headers
    }

    private var parts: [Part] = []

    init(_ text: String) throws {
        var literal: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") || byte == UInt8(ascii: "\\"), let next = rest.popFirst() else {
                literal.append(byte)
                continue
            }
            let mark = Character(UnicodeScalar(next))
            if byte == UInt8(ascii: "\\") {
                switch mark {
                case "n": literal.append(10)
                case "t": literal.append(9)
                case "0": literal.append(0)
                case "\\": literal.append(next)
                default: literal += [byte, next]
                }
                continue
            }
            let part: Part
            switch mark {
            case "k": part = .key
            case "v": part = .value
            case "o": part = .offset
            case "p": part = .partition
            case "t": part = .timestamp
            case "T": part = .topic
            case "h": part = .headers
            case "%":
                literal.append(byte)
                continue
            default: throw ValidationError("--format knows no %\(mark)")
            }
            if !literal.isEmpty { parts.append(.text(literal)) }
            literal = []
            parts.append(part)
        }
        if !literal.isEmpty { parts.append(.text(literal)) }
    }

    func write(_ record: BatchRecord, _ topic: String, _ partition: Int32, to output: inout OutputBuffer) {
        for part in parts {
            switch part {
            case .text(let bytes): output.append(bytes)
            case .key: if let key = record.key { output.append(key.readableBytesView) }
            case .value: if let value = record.value { output.append(value.readableBytesView) }
            case .offset: output.append("\(record.offset)")
            case .partition: output.append("\(partition)")
            case .timestamp: output.append("\(record.timestamp.milliseconds)")
            case .topic: output.append(topic)
            case .headers:
                for (index, header) in record.headers.enumerated() {
                    output.append((index > 0 ? "," : "") + header.key + "=")
                    if let value = header.value { output.append(value.readableBytesView) }
                }
            }
        }
    }
}
