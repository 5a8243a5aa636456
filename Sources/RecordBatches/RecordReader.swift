// SPDX-License-Identifier: Apache-2.0

/// One record inside an unpacked section, as places in the section's bytes.
public struct RecordView: Hashable, Sendable {
    /// The whole record, its length field included.
    public let range: Range<Int>
    /// Bits without a meaning so far.
    public let attributes: UInt8
    /// Milliseconds after the batch's base timestamp; may be negative.
    public let timestampDelta: Int64
    public let offsetDelta: Int32
    /// `nil` for a record without a key, which differs from an empty key.
    public let key: Range<Int>?
    /// `nil` for a tombstone.
    public let value: Range<Int>?
    public let headerCount: Int
    /// Where the headers lie; `HeaderReader` reads them.
    public let headers: Range<Int>
}

/// Reads the records of an unpacked section one after the other, without copying or allocating.
///
/// Gives exactly as many records as the header counts and refuses bytes that follow the last. After an error the
/// reader gives the same error again.
public struct RecordReader {
    private let bytes: UnsafeRawBufferPointer
    private let count: Int
    private var position = 0
    /// How many records have been read.
    public private(set) var index = 0

    /// - Parameters:
    ///   - section: the records, unpacked; must stay valid as long as the reader is used.
    ///   - count: the record count of the batch header.
    public init(_ section: UnsafeRawBufferPointer, count: Int) {
        bytes = section
        self.count = count
    }

    /// The next record, or `nil` after the last.
    public mutating func next() throws(BatchError) -> RecordView? {
        guard index < count else {
            guard position == bytes.count else {
                throw BatchError(.badRecord(index: index, "bytes after the last record"))
            }
            return nil
        }
        do throws(RecordFault) {
            let view = try Self.read(bytes, at: position)
            position = view.range.upperBound
            index += 1
            return view
        } catch {
            throw BatchError(.badRecord(index: index, error.text))
        }
    }

    @inline(__always)
    static func read(_ bytes: UnsafeRawBufferPointer, at start: Int) throws(RecordFault) -> RecordView {
        var cursor = VarintCursor(bytes, at: start, end: bytes.count)
        let length = Int(try cursor.varint())
        guard length >= 0, length <= cursor.end - cursor.at else { throw .length }
        cursor.end = cursor.at + length
        let attributes = try cursor.byte()
        let timestampDelta = try cursor.varlong()
        let offsetDelta = try cursor.varint()
        let key = try cursor.nullableField()
        let value = try cursor.nullableField()
        let headerCount = Int(try cursor.varint())
        // A header takes two bytes or more, so a larger count cannot be true and would only cost time.
        guard headerCount >= 0, headerCount <= (cursor.end - cursor.at) / 2 else { throw .headerCount }
        let headers = cursor.at..<cursor.end
        for _ in 0..<headerCount {
            guard try cursor.nullableField() != nil else { throw .headerKey }
            _ = try cursor.nullableField()
        }
        guard cursor.at == cursor.end else { throw .recordSize }
        return RecordView(
            range: start..<cursor.end, attributes: attributes, timestampDelta: timestampDelta,
            offsetDelta: offsetDelta, key: key, value: value, headerCount: headerCount, headers: headers)
    }
}

/// Reads the headers of one record that `RecordReader` gave.
public struct HeaderReader {
    private var cursor: VarintCursor
    private var remaining: Int

    /// - Parameter section: the same bytes that the record was read from.
    /// - Precondition: `record` was read from `section`.
    public init(_ section: UnsafeRawBufferPointer, of record: RecordView) {
        cursor = VarintCursor(section, at: record.headers.lowerBound, end: record.headers.upperBound)
        remaining = record.headerCount
    }

    /// Where the next header's key and value lie, or `nil` after the last.
    public mutating func next() -> (key: Range<Int>, value: Range<Int>?)? {
        guard remaining > 0 else { return nil }
        do throws(RecordFault) {
            guard let key = try cursor.nullableField() else { throw .headerKey }
            let value = try cursor.nullableField()
            remaining -= 1
            return (key, value)
        } catch {
            preconditionFailure("these headers have been read before, when the record was")
        }
    }
}
