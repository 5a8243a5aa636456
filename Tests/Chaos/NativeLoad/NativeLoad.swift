// SPDX-License-Identifier: Apache-2.0
import Foundation
import GodwitClient
import LogModel
import NIOCore
import RecordBatches
import Synchronization

/// history-load --name NAME --client N --bootstrap LIST --topic NAME --partitions N --history PATH [--rate N]
///
/// GodwitClient under chaos: an idempotent producer, a reader of all partitions, and someone who asks for their ends,
/// each with a name of its own in one history of JSON lines (HistoryEvent). Runs until its standard input is closed, as
/// load.py does, whose records look the same.
@main
struct NativeLoad {
    struct Usage: Error { let sentence: String }

    let arguments: Arguments
    let client: KafkaClient
    let file: HistoryFile
    let ending = Ending()

    static func main() async {
        do {
            let arguments = try Arguments(CommandLine.arguments.dropFirst())
            var configuration = ClientConfiguration(bootstrap: arguments.bootstrap)
            configuration.requestTimeout = .seconds(3)
            configuration.deliveryTimeout = .seconds(60)
            let load = NativeLoad(
                arguments: arguments, client: KafkaClient(configuration), file: try HistoryFile(arguments.history))
            await load.run()
        } catch let usage as Usage {
            FileHandle.standardError.write(Data("history-load: \(usage.sentence)\n".utf8))
            exit(2)
        } catch {
            FileHandle.standardError.write(Data("history-load: \(error)\n".utf8))
            exit(1)
        }
    }

    func run() async {
        Thread.detachNewThread { [ending] in
            while let more = try? FileHandle.standardInput.read(upToCount: 4096), !more.isEmpty {}
            ending.tell()
        }
        let consumer = Consumer(client)
        await withTaskGroup { group in
            group.addTask { await produce() }
            group.addTask { await look() }
            group.addTask { await read(consumer) }
            await ending.wait()
            // The producer gets its answers before the others end.
            _ = await group.next()
            consumer.close()
        }
        await client.close()
    }

    // MARK: Producing

    private func produce() async {
        var configuration = ProducerConfiguration()
        configuration.inFlightPerPartition = 5
        let producer = Producer(client, configuration)
        let writer = HistoryWriter(file, client: "\(arguments.name).producer")
        writer.whole("open", began: HistoryFile.now())
        let interval = Duration.seconds(1) / arguments.rate
        var due = ContinuousClock.now
        var value = Int64(arguments.client) << 44
        var turn = 0
        while !ending.isTold {
            let partition = turn % arguments.partitions
            send(value, to: partition, producer, writer)
            turn += 1
            value += 1
            due = max(due.advanced(by: interval), ContinuousClock.now.advanced(by: .seconds(-1)))
            await pause(until: due)
        }
        await producer.close()
    }

    private func send(_ value: Int64, to partition: Int, _ producer: Producer, _ writer: HistoryWriter) {
        let log = "\(arguments.topic)-\(partition)"
        let op = writer.invoke("send", #","log":"\#(log)","value":\#(value)"#)
        let record = ProducerRecord(
            topic: arguments.topic, partition: Int32(partition), value: Payload.bytes(value),
            timestamp: Int64(Date().timeIntervalSince1970 * 1000))
        do {
            try producer.enqueue(record) { result in
                switch result {
                case .success(let receipt): writer.end("ok", op, #","offset":\#(receipt.offset ?? -1)"#)
                case .failure(let error): writer.end("info", op, error: error)
                }
            }
        } catch {
            // Nothing was taken: bufferFull or closed.
            writer.end("fail", op, error: error)
        }
    }

    /// Keeps a rate; nobody waits for something to have happened meanwhile.
    private func pause(until due: ContinuousClock.Instant) async {
        let rest = (due - .now).components
        let nanoseconds = rest.seconds * 1_000_000_000 + rest.attoseconds / 1_000_000_000
        guard nanoseconds > 0 else { return }
        try? await client.eventLoop.scheduleTask(in: .nanoseconds(nanoseconds)) {}.futureResult.get()
    }

    // MARK: Asking and reading

    private func look() async {
        let writer = HistoryWriter(file, client: "\(arguments.name).looker")
        var turn = 0
        while !ending.isTold {
            let place = TopicPartition(topic: arguments.topic, partition: Int32(turn % arguments.partitions))
            turn += 1
            let began = HistoryFile.now()
            do {
                let ends = try await client.admin.offsets([place], .latest, patience: 3000)
                if let end = ends[place] {
                    writer.whole("list-end", began: began, #","log":"\#(place)","offset":\#(end)"#)
                }
            } catch {
                writer.whole("list-end", "info", began: began, #","log":"\#(place)""#, error: error)
            }
            await pause(until: .now.advanced(by: .milliseconds(100)))
        }
    }

    private func read(_ consumer: Consumer) async {
        let writer = HistoryWriter(file, client: "\(arguments.name).reader")
        writer.whole("assign", began: HistoryFile.now())
        consumer.assign(
            (0..<arguments.partitions).map {
                (TopicPartition(topic: arguments.topic, partition: Int32($0)), .beginning)
            })
        while true {
            let began = HistoryFile.now()
            do {
                guard let event = try await consumer.next() else { return }
                guard case .records(let chunk) = event else { continue }
                var pairs: [String] = []
                try chunk.forEachRecord { record in
                    pairs.append("\(record.offset.rawValue),\(Payload.value(record.value))")
                }
                let read = #","read":[{"log":"\#(chunk.place)","records":[\#(pairs.joined(separator: ","))]}]"#
                if !pairs.isEmpty { writer.whole("poll", began: began, read) }
            } catch {
                writer.whole("poll", "info", began: began, error: error)
                return
            }
        }
    }
}

/// Whether standard input has been closed.
final class Ending: Sendable {
    private struct State {
        var isTold = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    var isTold: Bool { state.withLock(\.isTold) }

    func tell() {
        let waiting = state.withLock { state in
            state.isTold = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for each in waiting { each.resume() }
    }

    func wait() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isTold = state.withLock { state in
                if !state.isTold { state.waiting.append(continuation) }
                return state.isTold
            }
            if isTold { continuation.resume() }
        }
    }
}

struct Arguments {
    var name = ""
    var client = 0
    var bootstrap: [BrokerAddress] = []
    var topic = ""
    var partitions = 0
    var history = ""
    var rate = 50.0

    init(_ words: ArraySlice<String>) throws {
        var rest = words
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { throw NativeLoad.Usage(sentence: "\(option) needs a value") }
            switch option {
            case "--name": name = value
            case "--client": client = Int(value) ?? 0
            case "--bootstrap": bootstrap = BrokerAddress.list(value) ?? []
            case "--topic": topic = value
            case "--partitions": partitions = Int(value) ?? 0
            case "--history": history = value
            case "--rate": rate = Double(value) ?? 0
            default: throw NativeLoad.Usage(sentence: "unknown option \(option)")
            }
        }
        guard client > 0, partitions > 0, rate > 0, !bootstrap.isEmpty, !history.isEmpty, !topic.isEmpty else {
            throw NativeLoad.Usage(sentence: "--client, --bootstrap, --topic, --partitions and --history are needed")
        }
    }
}
