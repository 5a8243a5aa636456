// SPDX-License-Identifier: Apache-2.0

import LogModel
import NIOCore
import RecordBatches

/// CHECKPOINT FILE, version 3: what need not be found out by reading the log. All integers are big-endian.
///
///      at   size  field
///       0      4  magic, the letters "GLC3"
///       4      4  CRC-32C of everything after it
///       8      4  flags: 1 closed cleanly, 2 restarting (every segment is to be removed)
///      12      4  term of the start anchor
///      16      8  start: the first log index that is held
///      24      8  start: the first offset that is held
///      32      8  recovery point: everything below was durable when this was written
///      40      4  number of terms, t
///      44      4  number of markers, m
///      48      4  number of segments, s
///      52      4  number of trims, d
///      56      8  the first offset that committed trims have left
///      64      8  cleaned to: the log index below which compaction has looked at every record
///      72      4  number of memberships, g
///      76      4  bytes of all their payloads together, p
///      80  12 × t  terms: term (4), first log index (8)
///           8 × m  markers: log index
///          44 × s  segments: base index (8), bytes below the recovery point (8), index rows (8),
///                  first timestamp (8; Int64.min for none), greatest timestamp (8; Int64.min for none),
///                  generation (4)
///          16 × d  trims: log index of the marker (8), first offset left (8)
///      12 × g + p  memberships: log index of the marker (8; −1 for what holds at the start, which comes first),
///                  size of the payload (4), payload
///
/// Version 2, "GLC2", has no memberships: its tables begin at 72.
/// Version 1, "GLC1", has no trims, no `cleaned to` and no generations either: the tables begin at 52, a segment takes
/// 40.
///
/// Only what lies below the recovery point is in the tables: the rest is read from the segments, which are checked from
/// there on. Bytes below it are never cut: when they are missing or wrong, that is damage.
struct Checkpoint: Hashable {
    var isClean = false
    var isRestarting = false
    var start: LogAnchor
    var recoveryPoint: LogIndex
    var terms = TermTable()
    var markers: MarkerTable
    var segments: [SegmentSummary] = []
    var trims = TrimTable()
    var memberships = MembershipTable()
    var cleanedTo: LogIndex

    private static let magic: UInt32 = 0x474c_4333
    private static let secondMagic: UInt32 = 0x474c_4332
    private static let firstMagic: UInt32 = 0x474c_4331
    private static let headerSize = 80
    private static let firstHeaderSize = 52
    private static let segmentSize = 44
    private static let firstSegmentSize = 40
    private static let trimSize = 16
    private static let membershipHeadSize = 12
    private static let cleanFlag: UInt32 = 1
    private static let restartingFlag: UInt32 = 2
    /// What a reader takes at most.
    static let sizeLimit: Int64 = 256 << 20

    init(emptyAt start: LogAnchor) {
        self.start = start
        recoveryPoint = start.position.end
        cleanedTo = start.position.end
        markers = MarkerTable(start: start.position.end, offset: start.offset)
    }

    func encoded() -> ByteBuffer {
        let memberships = membershipRows
        let payloads = memberships.reduce(0) { $0 + $1.payload.count }
        let size =
            Self.headerSize + 12 * terms.rows.count + 8 * markers.slots.count + Self.segmentSize * segments.count
            + Self.trimSize * trims.rows.count + Self.membershipHeadSize * memberships.count + payloads
        var bytes = ByteBufferAllocator().buffer(capacity: size)
        bytes.writeInteger(Self.magic)
        bytes.writeInteger(0 as UInt32)
        bytes.writeInteger((isClean ? Self.cleanFlag : 0) | (isRestarting ? Self.restartingFlag : 0))
        bytes.writeInteger(start.position.term.rawValue)
        bytes.writeInteger(start.position.end.rawValue)
        bytes.writeInteger(start.offset.rawValue)
        bytes.writeInteger(recoveryPoint.rawValue)
        bytes.writeInteger(UInt32(terms.rows.count))
        bytes.writeInteger(UInt32(markers.slots.count))
        bytes.writeInteger(UInt32(segments.count))
        bytes.writeInteger(UInt32(trims.rows.count))
        bytes.writeInteger(trims.settled.rawValue)
        bytes.writeInteger(cleanedTo.rawValue)
        bytes.writeInteger(UInt32(memberships.count))
        bytes.writeInteger(UInt32(payloads))
        for row in terms.rows {
            bytes.writeInteger(row.term.rawValue)
            bytes.writeInteger(row.start.rawValue)
        }
        for slot in markers.slots { bytes.writeInteger(slot.rawValue) }
        for segment in segments {
            bytes.writeInteger(segment.base.rawValue)
            bytes.writeInteger(segment.size)
            bytes.writeInteger(Int64(segment.indexRows))
            bytes.writeInteger(segment.firstTimestamp ?? .min)
            bytes.writeInteger(segment.maxTimestamp)
            bytes.writeInteger(segment.generation)
        }
        for row in trims.rows {
            bytes.writeInteger(row.slot.rawValue)
            bytes.writeInteger(row.offset.rawValue)
        }
        for row in memberships {
            bytes.writeInteger(row.slot)
            bytes.writeInteger(UInt32(row.payload.count))
            bytes.writeBytes(row.payload)
        }
        let crc = bytes.withUnsafeReadableBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[8...])) }
        bytes.setInteger(crc, at: bytes.readerIndex + 4)
        return bytes
    }

    private var membershipRows: [(slot: Int64, payload: [UInt8])] {
        let rows = memberships.rows.map { (slot: $0.slot.rawValue, payload: $0.payload) }
        return memberships.atStart.map { [(slot: -1, payload: $0)] + rows } ?? rows
    }

    /// Why bytes are no checkpoint.
    struct Flaw: Error {
        let detail: String
        init(_ detail: String) { self.detail = detail }
    }

    init(decoding bytes: ByteBuffer) throws(Flaw) {
        var bytes = bytes
        guard bytes.readableBytes >= Self.firstHeaderSize, let magic = bytes.readInteger(as: UInt32.self),
            magic == Self.magic || magic == Self.secondMagic || magic == Self.firstMagic,
            let crc = bytes.readInteger(as: UInt32.self)
        else { throw Flaw("this is no checkpoint") }
        let isFirst = magic == Self.firstMagic
        guard bytes.withUnsafeReadableBytes({ CRC32C.checksum($0) }) == crc else {
            throw Flaw("the checksum does not match")
        }
        var reader = Reader(bytes: bytes)
        let flags = UInt32(bitPattern: try reader.int32())
        let startTerm = try reader.term()
        let startIndex = try reader.index()
        let startOffset = try reader.count64()
        let point = try reader.index()
        guard startIndex <= point else { throw Flaw("the recovery point lies before the start") }
        let (termCount, markerCount, segmentCount) = (try reader.count(), try reader.count(), try reader.count())
        let trimCount = isFirst ? 0 : try reader.count()
        let settled = Offset(isFirst ? 0 : try reader.count64())
        cleanedTo = isFirst ? startIndex : try reader.index()
        let (membershipCount, payloads) = magic == Self.magic ? (try reader.count(), try reader.count()) : (0, 0)
        // Counts are checked against the bytes at hand before anything is set aside for them.
        let segmentSize = isFirst ? Self.firstSegmentSize : Self.segmentSize
        let tables =
            12 * termCount + 8 * markerCount + segmentSize * segmentCount + Self.trimSize * trimCount
            + Self.membershipHeadSize * membershipCount + payloads
        guard reader.bytes.readableBytes == tables else {
            throw Flaw("the tables do not have the size that is said")
        }
        var rows: [TermTable.Row] = []
        for _ in 0..<termCount { rows.append(.init(term: try reader.term(), start: try reader.index())) }
        var slots: [LogIndex] = []
        for _ in 0..<markerCount { slots.append(try reader.index()) }
        guard let terms = TermTable(rows: rows) else { throw Flaw("the terms do not ascend") }
        let offset = Offset(startOffset)
        guard let markers = MarkerTable(start: startIndex, offset: offset, slots: slots) else {
            throw Flaw("the markers do not ascend")
        }
        for _ in 0..<segmentCount { segments.append(try reader.segment(hasGeneration: !isFirst)) }
        var trimRows: [TrimTable.Row] = []
        for _ in 0..<trimCount {
            trimRows.append(.init(slot: try reader.index(), offset: Offset(try reader.count64())))
        }
        guard let trims = TrimTable(settled: settled, rows: trimRows) else { throw Flaw("the trims do not ascend") }
        self.trims = trims
        memberships = try reader.memberships(membershipCount, start: startIndex)
        for (earlier, later) in zip(segments, segments.dropFirst()) where earlier.base >= later.base {
            throw Flaw("the segments do not ascend")
        }
        isClean = flags & Self.cleanFlag != 0
        isRestarting = flags & Self.restartingFlag != 0
        start = LogAnchor(position: LogPosition(term: startTerm, end: startIndex), offset: offset)
        recoveryPoint = point
        self.terms = terms
        self.markers = markers
    }

    private struct Reader {
        var bytes: ByteBuffer

        mutating func int32() throws(Flaw) -> Int32 {
            guard let value = bytes.readInteger(as: Int32.self) else { throw Flaw("too short") }
            return value
        }

        mutating func int64() throws(Flaw) -> Int64 {
            guard let value = bytes.readInteger(as: Int64.self) else { throw Flaw("too short") }
            return value
        }

        mutating func count() throws(Flaw) -> Int {
            let value = try int32()
            guard value >= 0 else { throw Flaw("a negative count") }
            return Int(value)
        }

        mutating func count64() throws(Flaw) -> Int64 {
            let value = try int64()
            guard value >= 0 else { throw Flaw("a negative number") }
            return value
        }

        mutating func index() throws(Flaw) -> LogIndex { LogIndex(try count64()) }

        mutating func term() throws(Flaw) -> Term {
            let value = try int32()
            guard value >= 0 else { throw Flaw("a negative term") }
            return Term(value)
        }

        mutating func memberships(_ count: Int, start: LogIndex) throws(Flaw) -> MembershipTable {
            var atStart: [UInt8]?
            var rows: [MembershipRow] = []
            for number in 0..<count {
                let (slot, size) = (try int64(), try self.count())
                guard let payload = bytes.readBytes(length: size) else { throw Flaw("too short") }
                if slot == -1, number == 0 {
                    atStart = payload
                } else if slot >= 0 {
                    rows.append(MembershipRow(slot: LogIndex(slot), payload: payload))
                } else {
                    throw Flaw("a negative number")
                }
            }
            guard bytes.readableBytes == 0 else { throw Flaw("bytes behind the last table") }
            guard let table = MembershipTable(atStart: atStart, rows: rows, start: start) else {
                throw Flaw("the memberships do not ascend")
            }
            return table
        }

        mutating func segment(hasGeneration: Bool) throws(Flaw) -> SegmentSummary {
            let (base, size, rows) = (try index(), try count64(), try count64())
            guard rows <= size else { throw Flaw("more index rows than bytes") }
            let (first, greatest) = (try int64(), try int64())
            let generation = hasGeneration ? try int32() : 0
            guard generation >= 0 else { throw Flaw("a negative generation") }
            return SegmentSummary(
                base: base, generation: generation, size: size, indexRows: Int(rows),
                firstTimestamp: first == .min ? nil : first, maxTimestamp: greatest)
        }
    }
}
