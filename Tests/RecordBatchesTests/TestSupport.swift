// SPDX-License-Identifier: Apache-2.0

import CCRC32C
import LogModel
import NIOCore
import RecordBatches

/// SplitMix64: the same seed gives the same numbers on every machine.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

/// The bytes that hexadecimal digits stand for; white space between them is skipped.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

func buffer(_ bytes: some Sequence<UInt8>) -> ByteBuffer { ByteBuffer(bytes: bytes) }
func buffer(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }
func bytes(_ buffer: ByteBuffer) -> [UInt8] { Array(buffer.readableBytesView) }
func crc(_ data: [UInt8]) -> UInt32 { data.withUnsafeBytes { CRC32C.checksum($0) } }

/// A batch of `count` records, some with headers, keys and tombstones.
func sampleBatch(count: Int = 5, codec: Codec = .none, producer: ProducerStamp? = nil) throws -> ByteBuffer {
    var builder = BatchBuilder()
    for index in 0..<count {
        let headers = index % 2 == 0 ? [] : [RecordHeader(key: "h\(index)", value: buffer("x"))]
        builder.append(
            key: index % 3 == 0 ? nil : buffer("key\(index)"), value: index % 4 == 3 ? nil : buffer("value \(index)"),
            headers: headers, timestamp: Timestamp(milliseconds: 1_700_000_000_000 + Int64(index * 7 % 5)))
    }
    return try builder.finish(codec: codec, producer: producer)
}

/// A sound uncompressed batch, changed by `edit` and then given a checksum that fits.
func tampered(
    _ original: ByteBuffer? = nil, sealing: Bool = true, _ edit: (inout [UInt8]) -> Void
) throws -> ByteBuffer {
    var data = bytes(try original ?? sampleBatch())
    edit(&data)
    if sealing { seal(&data) }
    return buffer(data)
}

func seal(_ data: inout [UInt8]) { put(crc(Array(data[21...])), at: 17, in: &data) }

func put<T: FixedWidthInteger>(_ value: T, at place: Int, in data: inout [UInt8]) {
    withUnsafeBytes(of: value.bigEndian) { data.replaceSubrange(place..<place + $0.count, with: $0) }
}

/// A batch around hand-made records, for what `BatchBuilder` would never write.
func frame(section: [UInt8], count: Int32, attributes: UInt16 = 0, baseTimestamp: Int64 = 0) -> ByteBuffer {
    var data = [UInt8](repeating: 0, count: 61)
    put(Int32(49 + section.count), at: 8, in: &data)
    put(Int32(-1), at: 12, in: &data)
    data[16] = 2
    put(attributes, at: 21, in: &data)
    put(count - 1, at: 23, in: &data)
    put(baseTimestamp, at: 27, in: &data)
    put(baseTimestamp, at: 35, in: &data)
    put(Int64(-1), at: 43, in: &data)
    put(Int16(-1), at: 51, in: &data)
    put(Int32(-1), at: 53, in: &data)
    put(count, at: 57, in: &data)
    data += section
    seal(&data)
    return buffer(data)
}

/// A zigzag varint, shortest form.
func varint(_ value: Int64) -> [UInt8] {
    var zigzag = UInt64(bitPattern: value << 1 ^ value >> 63)
    var out: [UInt8] = []
    while zigzag >= 0x80 {
        out.append(UInt8(zigzag & 0x7f) | 0x80)
        zigzag >>= 7
    }
    return out + [UInt8(zigzag)]
}

/// One record around hand-made fields after its length.
func record(
    attributes: UInt8 = 0, timestampDelta: Int64 = 0, offsetDelta: Int64 = 0, rest: [UInt8] = [1, 1, 0]
) -> [UInt8] {
    let body = [attributes] + varint(timestampDelta) + varint(offsetDelta) + rest
    return varint(Int64(body.count)) + body
}

func errorOf(_ body: () throws(BatchError) -> Void) -> BatchError? {
    do throws(BatchError) { try body() } catch { return error }
    return nil
}

let generous = BatchLimits(maximumSize: 1 << 24, depth: .all(unpackedLimit: 1 << 24))

func refusal(_ batch: ByteBuffer, _ limits: BatchLimits = generous) -> BatchError? {
    errorOf { () throws(BatchError) in _ = try BatchValidator.validate(produced: batch, limits: limits) }
}

func accepted(_ batch: ByteBuffer) throws -> EntryHead {
    let heads = try BatchValidator.validate(produced: batch, limits: generous)
    precondition(heads.count == 1)
    return heads[0]
}
