// SPDX-License-Identifier: Apache-2.0

/// RECORD BATCH, Kafka format v2 (KIP-98). All integers are big-endian.
///
///      at   size  field
///       0      8  base offset             assigned by the leader
///       8      4  batch length            bytes after this field: 49 or more
///      12      4  partition leader epoch  the Raft term, assigned by the leader
///      16      1  magic                   2
///      17      4  CRC-32C                 of bytes 21..<end, so what the leader assigns lies outside it
///      21      2  attributes              codec 0–2, timestamp type 3, transactional 4, control 5, delete horizon 6
///      23      4  last offset delta       highest record's offset minus the base offset
///      27      8  base timestamp          milliseconds since 1970
///      35      8  max timestamp
///      43      8  producer id             −1 without idempotence, and so the two below
///      51      2  producer epoch
///      53      4  base sequence
///      57      4  record count
///      61         the records, compressed together by the codec
///
/// MARKER, a private entry of the same frame which no client ever sees: attributes are exactly 0x4020, last offset
/// delta −1, record count 0, base offset the next record's; byte 61 is the `EntryKind`, the rest its payload.
///
/// Why the frame is shared: a segment stays a walkable Kafka segment, one checksum rule covers everything, and a
/// foreign tool that meets a marker sees an empty control batch.
package enum BatchLayout {
    static let baseOffset = 0
    static let batchLength = 8
    static let term = 12
    static let magic = 16
    static let checksum = 17
    static let attributes = 21
    static let lastOffsetDelta = 23
    static let baseTimestamp = 27
    static let maxTimestamp = 35
    static let producerID = 43
    static let producerEpoch = 51
    static let baseSequence = 53
    static let recordCount = 57
    package static let headerSize = 61

    /// What `batchLength` does not count: the base offset and itself.
    static let lengthPrefix = 12
    /// Where the bytes under the checksum begin.
    static let checked = attributes
    /// Where a marker says which `EntryKind` it is.
    static let markerKind = headerSize

    /// Name, place and width of every header field, in order; a test proves that they tile the header.
    package static let fields: [(name: StaticString, at: Int, size: Int)] = [
        ("base offset", baseOffset, 8), ("batch length", batchLength, 4), ("term", term, 4), ("magic", magic, 1),
        ("checksum", checksum, 4), ("attributes", attributes, 2), ("last offset delta", lastOffsetDelta, 4),
        ("base timestamp", baseTimestamp, 8), ("max timestamp", maxTimestamp, 8), ("producer id", producerID, 8),
        ("producer epoch", producerEpoch, 2), ("base sequence", baseSequence, 4), ("record count", recordCount, 4),
    ]
}

extension UnsafeRawBufferPointer {
    /// The big-endian integer at `place`. The caller has checked that it lies within.
    @inline(__always)
    func bigEndian<T: FixedWidthInteger & BitwiseCopyable>(at place: Int, as type: T.Type = T.self) -> T {
        assert(place >= 0 && place + MemoryLayout<T>.size <= count)
        return T(bigEndian: loadUnaligned(fromByteOffset: place, as: T.self))
    }

    /// The part `range` of these bytes. The caller has checked that it lies within.
    @inline(__always)
    func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[range])
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Writes `value` at `place`, which the caller has checked.
    @inline(__always)
    func setBigEndian<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at place: Int) {
        assert(place >= 0 && place + MemoryLayout<T>.size <= count)
        storeBytes(of: value.bigEndian, toByteOffset: place, as: T.self)
    }
}
