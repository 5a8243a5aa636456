// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Simulation
import Testing

func time(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }
func bytes(_ count: Int64) -> ByteCount { ByteCount(count) }

extension LogLimits {
    /// Small enough that a few batches meet every edge.
    static func small(
        segment: Int64 = 4_000, milliseconds: Int64 = 1 << 40, index: Int64 = 500, tail: Int64 = 0,
        checkpoint: Int64 = 1 << 40
    ) -> LogLimits {
        LogLimits(
            segmentBytes: bytes(segment), segmentMilliseconds: milliseconds, indexIntervalBytes: bytes(index),
            tailBytes: bytes(tail), checkpointBytes: bytes(checkpoint))
    }
}

/// A batch without a place yet.
func makeBatch(records: Int = 1, size: Int = 20, at milliseconds: Int64 = 0, codec: Codec = .none) throws -> ByteBuffer
{
    var builder = BatchBuilder()
    for number in 0..<records {
        let fill = UInt8(truncatingIfNeeded: Int(milliseconds) &+ number)
        builder.append(
            key: nil, value: ByteBuffer(repeating: fill, count: size), timestamp: time(milliseconds + Int64(number)))
    }
    return try builder.finish(codec: codec)
}

extension PartitionLog {
    /// Appends a batch where the log ends.
    func add(_ batch: ByteBuffer, term: Int32 = 1) throws {
        var batch = batch
        EntryHead.assign(baseOffset: endOffset, term: Term(term), in: &batch)
        append(batch, heads: [try EntryHead.parse(batch)])
    }

    func add(records: Int = 1, size: Int = 20, at milliseconds: Int64 = 0, term: Int32 = 1) throws {
        try add(try makeBatch(records: records, size: size, at: milliseconds), term: term)
    }

    func addMarker(term: Int32 = 1, kind: EntryKind = .leaderStart) throws {
        let payload = kind == .leaderStart ? LeaderStartPayload.encode(Term(term)) : ByteBuffer()
        let marker = MarkerEntry.encode(
            kind: kind, term: Term(term), nextOffset: endOffset, timestamp: time(0), payload: payload)
        append(marker, heads: [try EntryHead.parse(marker)])
    }

    /// Writes out and makes durable.
    func sync() throws {
        try writeOut()
        guard let ticket = beginSync() else { return }
        _ = try completeSync(ticket, ticket.run())
    }

    /// All entries, read as a follower would be sent them.
    func entries(limit: Int64 = 700) throws -> [[UInt8]] {
        var entries: [[UInt8]] = []
        var at = start.position.end
        while at < end {
            let slice = try read(from: at, limit: bytes(limit))
            #expect(slice.through.end > at, "a read always gets on")
            var size: Int64 = 0
            for buffer in slice.bytes {
                var position = buffer.readerIndex
                while position < buffer.writerIndex {
                    let head = try EntryHead.parse(buffer, at: position)
                    try head.verifyChecksum(buffer, at: position)
                    entries.append(buffer.getBytes(at: position, length: head.totalSize) ?? [])
                    position += head.totalSize
                }
                size += Int64(buffer.readableBytes)
            }
            #expect(size == slice.size.rawValue)
            #expect(slice.runs.last == slice.through)
            at = slice.through.end
        }
        return entries
    }

    /// All records' batches, fetched as a consumer would be sent them; their heads.
    func fetchAll(upTo: Offset? = nil, limit: Int64 = 900) throws -> [EntryHead] {
        var heads: [EntryHead] = []
        var at = start.offset
        let upTo = min(upTo ?? endOffset, endOffset)
        while at < upTo {
            let pieces = try fetch(from: at, upTo: upTo, limit: bytes(limit))
            let some = try pieces.flatMap { try $0.heads() }
            guard let last = some.last else {
                Issue.record("a fetch below the end gives something: \(at) of \(upTo)")
                return heads
            }
            #expect(some.count == 1 || pieces.reduce(0) { $0 + $1.size.rawValue } <= limit)
            heads += some
            at = last.nextOffset
        }
        return heads
    }
}

extension FetchPiece {
    func content() throws -> ByteBuffer {
        switch self {
        case .memory(let buffer): return buffer
        case .file(let range):
            var bytes = [UInt8](repeating: 0, count: Int(range.size.rawValue))
            let got = try bytes.withUnsafeMutableBufferPointer { (space) throws(DiskError) in
                try range.file.read(into: UnsafeMutableRawBufferPointer(space), at: range.position)
            }
            #expect(got == bytes.count)
            return ByteBuffer(bytes: bytes)
        }
    }

    func heads() throws -> [EntryHead] { try EntryHead.all(in: try content(), verifyingChecksums: true) }
}

/// Runs `work`, which must throw, and gives its error.
func refusal(_ work: () throws -> Void) -> LogError? {
    do {
        try work()
        Issue.record("it should have been refused")
    } catch let error as LogError {
        return error
    } catch {
        Issue.record("\(error)")
    }
    return nil
}

extension LogError {
    var isCorrupt: Bool { if case .corrupt = self { true } else { false } }
}

typealias SimLog = PartitionLog<SimFileSystem>

/// A simulated machine with the directory that logs live in.
func makeMachine(seed: UInt64 = 1) throws -> SimFileSystem {
    let files = SimFileSystem(seed: seed)
    try files.makeDirectory("/data")
    return files
}

func openLog(_ files: SimFileSystem, _ limits: LogLimits = .small()) throws -> SimLog {
    try SimLog.open(directory: "/data/p", in: files, limits: limits, now: time(0))
}
