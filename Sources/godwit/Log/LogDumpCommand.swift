// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches

/// `godwit log dump`: prints what lies in the files, entry by entry.
struct LogDumpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Print segments, entries, checkpoints, producers and votes.",
        discussion: """
            One line an entry: slot, offset, term, kind, records, bytes, codec, producer and whether the checksum
            matches. With --json each line is an object.
            """)

    @Argument(help: "A node's data directory, or one partition's.") var directory: String
    @Flag(help: "Print the records' keys and values too.") var records = false
    @Flag(help: "Print JSON, one object a line.") var json = false

    /// The most bytes one batch may unpack to.
    private static var unpackedLimit: Int { 64 << 20 }

    func run() async throws {
        let lock = try DirectoryLock(of: directory)
        let files = RealFileSystem()
        let places = try LogPlaces(below: directory, in: files)
        for log in places.logs {
            if !json { Terminal.print("== \(log)") }
            try LogDump(of: log, in: files) { show($0) }.run()
        }
        for journal in places.journals {
            if !json { Terminal.print("== \(journal)") }
            for (group, state) in try LogDump.journal(in: journal, fs: files) {
                let vote = state.vote.map { "\($0)" }
                print(
                    "vote  \(group)  \(state)",
                    [
                        ("type", .string("vote")), ("partition", .string("\(group)")),
                        ("term", .int(state.term.rawValue)), ("vote", .optional(vote)),
                    ])
            }
        }
        _ = consume lock
    }

    private func print(_ line: String, _ members: [(String, JSON)]) {
        Terminal.print(json ? JSON.object(members).line : line)
    }

    private func show(_ item: DumpedItem) {
        switch item {
        case .checkpoint(let file, let lines):
            for (name, value) in lines {
                print(
                    "checkpoint  \(name): \(value)",
                    [
                        ("type", .string("checkpoint")), ("file", .string(file)), ("name", .string(name)),
                        ("value", .string(value)),
                    ])
            }
        case .segment(let file, let size):
            print(
                "segment  \(file)  \(grouped(size.rawValue)) bytes",
                [("type", .string("segment")), ("file", .string(file)), ("bytes", .int(size.rawValue))])
        case .entry(let entry): show(entry)
        case .unreadable(let file, let bytes):
            print(
                "  at \(bytes.lowerBound): \(bytes.count) bytes that are no entry",
                [
                    ("type", .string("unreadable")), ("file", .string(file)), ("position", .int(bytes.lowerBound)),
                    ("bytes", .int(bytes.count)),
                ])
        case .producers(let file, let position, let producers):
            for producer in producers { show(producer, of: file, below: position) }
        case .damaged(let what):
            print(
                "damaged: \(what)",
                [("type", .string("damaged")), ("file", .string(what.file)), ("detail", .string(what.detail))])
        }
    }

    private func show(_ producer: DumpedProducer, of file: String, below position: LogPosition) {
        let sequence = producer.lastSequence.map { "\($0)" } ?? "-"
        let offset = producer.lastOffset.map { "\($0)" } ?? "-"
        print(
            "producer \(producer.id) epoch \(producer.epoch)  last sequence \(sequence) at offset \(offset)  "
                + "below \(position)",
            [
                ("type", .string("producer")), ("file", .string(file)), ("id", .int(producer.id)),
                ("epoch", .int(producer.epoch)), ("lastSequence", .optional(producer.lastSequence)),
                ("lastOffset", .optional(producer.lastOffset?.rawValue)),
            ])
    }

    private func show(_ entry: DumpedEntry) {
        let head = entry.head
        var line = "  at \(entry.position)  slot \(entry.index.map { "\($0)" } ?? "?")  offset \(head.baseOffset)"
        line += "  term \(head.term)  \(Self.kind(of: entry))  \(head.totalSize) bytes"
        if !head.isMarker {
            line += "  \(head.recordCount) records to \(head.lastOffset.map { "\($0)" } ?? "-")"
            line += "  codec \(head.codec.map { "\($0)" } ?? "unknown")"
        }
        if head.producerID >= 0 {
            line += "  producer \(head.producerID)/\(head.producerEpoch) from \(head.baseSequence)"
        }
        line += entry.isIntact ? "  crc ok" : "  CRC DOES NOT MATCH"
        print(
            line,
            [
                ("type", .string("entry")), ("position", .int(entry.position)),
                ("index", .optional(entry.index?.rawValue)), ("offset", .int(head.baseOffset.rawValue)),
                ("lastOffset", .optional(head.lastOffset?.rawValue)), ("term", .int(head.term.rawValue)),
                ("kind", .string(Self.kind(of: entry))), ("records", .int(head.recordCount.rawValue)),
                ("bytes", .int(head.totalSize)), ("codec", .optional(head.codec.map { "\($0)" })),
                ("maxTimestamp", .int(head.maxTimestamp.milliseconds)), ("producerId", .int(head.producerID)),
                ("producerEpoch", .int(head.producerEpoch)), ("baseSequence", .int(head.baseSequence)),
                ("crcOk", .bool(entry.isIntact)),
            ])
        if records, !head.isMarker, entry.isIntact { showRecords(of: entry) }
    }

    private static func kind(of entry: DumpedEntry) -> String {
        guard entry.head.isMarker else { return entry.head.isHole ? "hole" : "records" }
        guard entry.head.kind == .logStart,
            let offset = LogStartPayload.offset(in: entry.bytes, at: entry.bytes.readerIndex)
        else { return "\(entry.head.kind)" }
        return "logStart \(offset)"
    }

    private func showRecords(of entry: DumpedEntry) {
        do {
            var batch = try BatchRecords(of: entry.bytes, limit: Self.unpackedLimit)
            while let record = try batch.next() {
                let key = record.key.map { String(buffer: $0) }
                let value = record.value.map { String(buffer: $0) }
                print(
                    "    \(record.offset)  \(record.timestamp.milliseconds)  \(key ?? "null")  \(value ?? "null")",
                    [
                        ("type", .string("record")), ("offset", .int(record.offset.rawValue)),
                        ("timestamp", .int(record.timestamp.milliseconds)), ("key", .optional(key)),
                        ("value", .optional(value)), ("headers", .int(record.headers.count)),
                    ])
            }
        } catch {
            print(
                "    the records cannot be read: \(error)",
                [("type", .string("unreadable")), ("detail", .string("\(error)"))])
        }
    }
}
