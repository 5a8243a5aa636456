// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore

/// A record's header: a name, and a value or none.
public struct RecordHeader: Hashable, Sendable {
    public var key: String
    public var value: ByteBuffer?

    public init(key: String, value: ByteBuffer?) {
        self.key = key
        self.value = value
    }
}

/// One record as a consumer sees it. Its buffers are slices of the batch, or of the unpacked section.
public struct BatchRecord: Hashable, Sendable {
    public var offset: Offset
    public var timestamp: Timestamp
    public var key: ByteBuffer?
    /// `nil` for a tombstone.
    public var value: ByteBuffer?
    public var headers: [RecordHeader]

    public init(
        offset: Offset, timestamp: Timestamp, key: ByteBuffer?, value: ByteBuffer?, headers: [RecordHeader] = []
    ) {
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
    }
}

/// The records of one batch, unpacked, ready to be read one by one.
///
///     var records = try BatchRecords(of: buffer, limit: 64 << 20)
///     while let record = try records.next() { … }
public struct BatchRecords: Sendable {
    public let head: EntryHead
    /// The unpacked records.
    public let section: ByteBuffer
    private var position = 0
    private var index = 0

    /// Takes the batch at the absolute index `index` of `buffer`, or at its reader index, and unpacks its records.
    ///
    /// - Parameters:
    ///   - limit: the most bytes the unpacked records may take; beyond it `.compression(.outputTooLarge)` is thrown.
    ///   - verifyingChecksum: whether the CRC is checked first.
    /// - Complexity: O(*n*) in the unpacked bytes when compressed, O(1) otherwise, plus the checksum.
    public init(
        of buffer: ByteBuffer, at index: Int? = nil, limit: Int, verifyingChecksum: Bool = true
    ) throws(BatchError) {
        let head = try EntryHead.parse(buffer, at: index)
        if verifyingChecksum { try head.verifyChecksum(buffer, at: index) }
        try self.init(of: buffer, head: head, at: index ?? buffer.readerIndex, limit: limit)
    }

    /// The same where the head is known and the checksum has been seen to.
    init(of buffer: ByteBuffer, head: EntryHead, at index: Int, limit: Int) throws(BatchError) {
        guard !head.isMarker else { throw BatchError(.badHeader("a marker has no records")) }
        guard
            let packed = buffer.getSlice(at: index + EntryHead.size, length: head.totalSize - EntryHead.size)
        else {
            throw BatchError(.truncated(needed: head.totalSize, available: buffer.writerIndex - index))
        }
        guard let codec = head.codec else {
            throw BatchError(.refusedCodec(UInt8(head.attributes.rawValue & 7)))
        }
        do throws(CompressionError) {
            section = codec == .none ? packed : try codec.decompress(packed, limit: limit)
        } catch {
            throw BatchError(.compression(error))
        }
        self.head = head
    }

    /// The next record, or `nil` after the last.
    public mutating func next() throws(BatchError) -> BatchRecord? {
        guard Int64(index) < head.recordCount.rawValue else {
            guard position == section.readableBytes else {
                throw BatchError(.badRecord(index: index, "bytes after the last record"))
            }
            return nil
        }
        let record = try read()
        index += 1
        return record
    }

    private mutating func read() throws(BatchError) -> BatchRecord {
        let (section, position, index) = (section, position, index)
        let (view, record) = try section.withUnsafeReadableBytes { (bytes) throws(BatchError) in
            let view: RecordView
            do throws(RecordFault) {
                view = try RecordReader.read(bytes, at: position)
            } catch {
                throw BatchError(.badRecord(index: index, error.text))
            }
            guard view.offsetDelta >= 0, Int64(view.offsetDelta) < head.slots else {
                throw BatchError(.badRecord(index: index, "an offset outside the batch"))
            }
            let timestamp = try timestamp(of: view, index: index)
            var headers: [RecordHeader] = []
            var reader = HeaderReader(bytes, of: view)
            while let (key, value) = reader.next() {
                headers.append(
                    RecordHeader(
                        key: String(decoding: bytes[key], as: UTF8.self), value: value.map { slice(section, $0) }))
            }
            let record = BatchRecord(
                offset: Offset(head.baseOffset.rawValue + Int64(view.offsetDelta)), timestamp: timestamp,
                key: view.key.map { slice(section, $0) }, value: view.value.map { slice(section, $0) },
                headers: headers)
            return (view, record)
        }
        self.position = view.range.upperBound
        return record
    }

    private func timestamp(of view: RecordView, index: Int) throws(BatchError) -> Timestamp {
        guard !head.attributes.isLogAppendTime else { return head.maxTimestamp }
        let (time, overflow) = head.baseTimestamp.milliseconds.addingReportingOverflow(view.timestampDelta)
        guard !overflow else { throw BatchError(.badRecord(index: index, "a timestamp out of range")) }
        return Timestamp(milliseconds: time)
    }
}

private func slice(_ section: ByteBuffer, _ range: Range<Int>) -> ByteBuffer {
    guard let slice = section.getSlice(at: section.readerIndex + range.lowerBound, length: range.count) else {
        preconditionFailure("a record lies within its section")
    }
    return slice
}
