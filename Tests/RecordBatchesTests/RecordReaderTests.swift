// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches
import Testing

@Suite struct RecordReaderTests {
    /// A record as the slow, obvious reader sees it.
    private struct Plain: Equatable {
        var timestampDelta: Int64
        var offsetDelta: Int64
        var key: [UInt8]?
        var value: [UInt8]?
        var headers: [[[UInt8]?]]
    }

    /// Reads byte by byte from the front of an array; `nil` stands for every fault.
    private struct ObviousReader {
        var rest: [UInt8]

        mutating func take(_ count: Int64) -> [UInt8]? {
            guard count >= 0, count <= rest.count else { return nil }
            defer { rest.removeFirst(Int(count)) }
            return Array(rest[..<Int(count)])
        }

        /// The shortest encoding of what the bytes say must be the bytes themselves.
        mutating func number(_ range: ClosedRange<Int64>) -> Int64? {
            guard let end = rest.prefix(10).firstIndex(where: { $0 < 0x80 }) else { return nil }
            let encoded = Array(rest[...end])
            var zigzag: UInt64 = 0
            for byte in encoded.reversed() { zigzag = zigzag << 7 | UInt64(byte & 0x7f) }
            let value = Int64(bitPattern: zigzag >> 1) ^ -Int64(bitPattern: zigzag & 1)
            guard varint(value) == encoded, range.contains(value) else { return nil }
            rest.removeFirst(encoded.count)
            return value
        }

        mutating func int32() -> Int64? { number(Int64(Int32.min)...Int64(Int32.max)) }

        mutating func field() -> [UInt8]?? {
            guard let length = int32() else { return nil }
            if length == -1 { return .some(nil) }
            return take(length).map { .some($0) }
        }

        mutating func record() -> Plain? {
            guard let length = int32(), let body = take(length) else { return nil }
            var inner = ObviousReader(rest: body)
            guard inner.take(1) != nil, let timestamp = inner.number(.min ... .max), let offset = inner.int32(),
                let key = inner.field(), let value = inner.field(), let count = inner.int32(), count >= 0
            else { return nil }
            var headers: [[[UInt8]?]] = []
            while headers.count < count {
                guard let name = inner.field(), let name, let value = inner.field() else { return nil }
                headers.append([name, value])
            }
            guard inner.rest.isEmpty else { return nil }
            return Plain(timestampDelta: timestamp, offsetDelta: offset, key: key, value: value, headers: headers)
        }

        mutating func section(_ count: Int) -> [Plain]? {
            var all: [Plain] = []
            for _ in 0..<count {
                guard let record = record() else { return nil }
                all.append(record)
            }
            return rest.isEmpty ? all : nil
        }
    }

    private func read(_ section: [UInt8], _ count: Int) -> [Plain]? {
        section.withUnsafeBytes { raw in
            var reader = RecordReader(raw, count: count)
            var all: [Plain] = []
            do {
                while let view = try reader.next() {
                    var headers: [[[UInt8]?]] = []
                    var headerReader = HeaderReader(raw, of: view)
                    while let (key, value) = headerReader.next() {
                        headers.append([Array(raw[key]), value.map { Array(raw[$0]) }])
                    }
                    all.append(
                        Plain(
                            timestampDelta: view.timestampDelta, offsetDelta: Int64(view.offsetDelta),
                            key: view.key.map { Array(raw[$0]) }, value: view.value.map { Array(raw[$0]) },
                            headers: headers))
                }
            } catch {
                return nil
            }
            return all
        }
    }

    private func randomSection(_ random: inout SeededRandom) -> (bytes: [UInt8], count: Int) {
        func field(_ random: inout SeededRandom) -> [UInt8] {
            let length = Int64(random.next() % 90) - 1
            return varint(length) + random.bytes(max(0, Int(length)))
        }
        let count = Int(random.next() % 6)
        var out: [UInt8] = []
        for index in 0..<count {
            let headerCount = Int64(random.next() % 4)
            var rest = field(&random) + field(&random) + varint(headerCount)
            for _ in 0..<headerCount { rest += varint(3) + random.bytes(3) + field(&random) }
            let delta = Int64(bitPattern: random.next()) >> Int64(random.next() % 64)
            out += record(timestampDelta: delta, offsetDelta: Int64(index), rest: rest)
        }
        return (out, count)
    }

    @Test(arguments: 0..<50)
    func agreesWithTheObviousReader(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        for round in 0..<60 {
            var (section, count) = randomSection(&random)
            if round % 3 != 0 && !section.isEmpty {
                for _ in 0...Int(random.next() % 2) {
                    section[Int(random.next() % UInt64(section.count))] = UInt8(truncatingIfNeeded: random.next())
                }
            }
            if round % 5 == 1 { section.removeLast(min(section.count, Int(random.next() % 5))) }
            if round % 7 == 1 { count += 1 }
            var obvious = ObviousReader(rest: section)
            let expected = obvious.section(count)
            #expect(read(section, count) == expected, "seed \(seed), round \(round)")
            if round % 3 == 0 && round % 5 != 1 && round % 7 != 1 { #expect(expected != nil) }
        }
    }

    @Test(arguments: [Int64(0), -1, 1, 63, 64, -64, -65, 1 << 31, .max, .min, .max - 1])
    func everyTimestampDeltaSurvives(delta: Int64) {
        #expect(read(record(timestampDelta: delta), 1)?.first?.timestampDelta == delta)
    }

    @Test func anErrorIsGivenAgain() {
        let section: [UInt8] = [2, 0]
        section.withUnsafeBytes { raw in
            var reader = RecordReader(raw, count: 1)
            for _ in 0..<2 { #expect(throws: BatchError.self) { try reader.next() } }
        }
    }

    @Test func buildersAndReadersAgree() throws {
        var random = SeededRandom(seed: 21)
        for codec in Codec.allCases {
            var builder = BatchBuilder()
            var written: [BatchRecord] = []
            var bound = EntryHead.size
            for index in 0..<200 {
                let key = random.next() % 3 == 0 ? nil : buffer(random.bytes(Int(random.next() % 40)))
                let filler = [UInt8](repeating: 7, count: Int(random.next() % 400))
                let value = random.next() % 5 == 0 ? nil : buffer(filler)
                let headers = (0..<Int(random.next() % 3)).map {
                    RecordHeader(key: "header \($0)", value: $0 == 1 ? nil : buffer("v"))
                }
                let time = Timestamp(milliseconds: Int64(random.next() % 1_000_000))
                builder.append(key: key, value: value, headers: headers, timestamp: time)
                bound += BatchBuilder.maximumSize(
                    key: key?.readableBytes ?? 0, value: value?.readableBytes ?? 0, headers: headers)
                #expect(builder.size <= bound)
                written.append(
                    BatchRecord(
                        offset: Offset(1000 + Int64(index)), timestamp: time, key: key, value: value, headers: headers))
            }
            let size = builder.size
            var batch = try builder.finish(codec: codec)
            #expect(builder.isEmpty && batch.readableBytes <= size)
            #expect(refusal(batch) == nil)
            EntryHead.assign(baseOffset: Offset(1000), term: .zero, in: &batch)
            var records = try BatchRecords(of: batch, limit: 1 << 20)
            #expect(records.head.codec == codec)
            var found: [BatchRecord] = []
            while let record = try records.next() { found.append(record) }
            #expect(found == written)
            builder.append(key: nil, value: nil, timestamp: Timestamp(milliseconds: 0))
            #expect(refusal(try builder.finish()) == nil, "a builder can be used again")
        }
    }

    @Test func whatDoesNotPackStaysUnpacked() throws {
        var random = SeededRandom(seed: 2)
        var builder = BatchBuilder()
        builder.append(key: nil, value: buffer(random.bytes(500)), timestamp: Timestamp(milliseconds: 0))
        let batch = try builder.finish(codec: .gzip)
        #expect(try BatchValidator.validate(produced: batch, limits: generous)[0].codec == Codec.none)
    }
}
