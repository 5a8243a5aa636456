// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Simulation
import Testing

/// A record with a key, as compaction sees it. `value` is `nil` for a tombstone.
struct Keyed: Hashable {
    var key: String?
    var value: String?
    var time: Int64 = 0

    init(_ key: String?, _ value: String?, at time: Int64 = 0) {
        self.key = key
        self.value = value
        self.time = time
    }
}

/// A record as it is found.
struct Found: Hashable, CustomStringConvertible {
    var offset: Int64
    var record: Keyed

    init(_ offset: Int64, _ record: Keyed) {
        self.offset = offset
        self.record = record
    }

    var description: String { "\(offset):\(record.key ?? "-")=\(record.value ?? "gone")@\(record.time)" }
}

func keyedBatch(_ records: [Keyed], codec: Codec = .none, producer: ProducerStamp? = nil) throws -> ByteBuffer {
    var builder = BatchBuilder()
    for record in records {
        builder.append(
            key: record.key.map { ByteBuffer(string: $0) }, value: record.value.map { ByteBuffer(string: $0) },
            timestamp: time(record.time))
    }
    return try builder.finish(codec: codec, producer: producer)
}

extension PartitionLog {
    func add(
        _ records: [Keyed], codec: Codec = .none, producer: ProducerStamp? = nil, term: Int32 = 1
    ) throws {
        try add(try keyedBatch(records, codec: codec, producer: producer), term: term)
    }

    func addTrim(to offset: Int64, term: Int32 = 1) throws {
        let marker = MarkerEntry.encode(
            kind: .logStart, term: Term(term), nextOffset: endOffset, timestamp: time(0),
            payload: LogStartPayload.encode(Offset(offset)))
        append(marker, heads: [try EntryHead.parse(marker)])
    }

    /// Everything a consumer can read.
    func found(from: Offset? = nil, limit: Int64 = 700) throws -> [Found] {
        var found: [Found] = []
        var at = max(from ?? firstOffset, firstOffset)
        let first = at
        while at < endOffset {
            let pieces = try fetch(from: at, upTo: endOffset, limit: bytes(limit))
            var next = at
            for piece in pieces {
                var content = try piece.content()
                while content.readableBytes > 0 {
                    var records = try BatchRecords(of: content, limit: 1 << 20)
                    while let record = try records.next() {
                        guard record.offset >= first else { continue }
                        found.append(
                            Found(
                                record.offset.rawValue,
                                Keyed(
                                    record.key.map { String(buffer: $0) }, record.value.map { String(buffer: $0) },
                                    at: record.timestamp.milliseconds)))
                    }
                    next = records.head.nextOffset
                    content.moveReaderIndex(forwardBy: records.head.totalSize)
                }
            }
            guard next > at else {
                Issue.record("a fetch at \(at) of \(endOffset) gets on")
                return found
            }
            at = next
        }
        return found
    }

    /// Cleans to the end of what may be cleaned.
    @discardableResult
    func clean(
        now: Int64 = 0, committed: LogIndex? = nil, rules: CleaningRules = CleaningRules(minDirtyShare: 0),
        map: Int64 = 1 << 20, keeping: [Offset] = [], slice: Int64 = 1_000
    ) throws -> CleaningOutcome? {
        let begun = try beginCleaning(
            now: time(now), committed: committed ?? end, rules: rules, mapSize: bytes(map), keeping: keeping,
            seed: (1, 2))
        guard let begun else { return nil }
        while true {
            switch begun.step(bytes(slice)) {
            case .working: continue
            case .cleaned(let segment, _):
                let swap = try install(segment)
                swapEnded(swap, isDone: swap.run())
                if !isCleaning {
                    begun.abandon()
                    return nil
                }
            case .finished(let outcome):
                endCleaning(outcome)
                return outcome
            case .failed(let error):
                endCleaning(nil)
                throw error
            }
        }
    }
}
