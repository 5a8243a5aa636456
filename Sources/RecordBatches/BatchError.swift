// SPDX-License-Identifier: Apache-2.0

/// Why bytes are not a batch that can be accepted, or read.
public struct BatchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What the caller can answer; the broker maps each to one Kafka error code.
    public enum Kind: Hashable, Sendable {
        /// The bytes are damaged or cut: CORRUPT_MESSAGE (2).
        case corrupt
        /// Intact bytes that say what a client may not say: INVALID_RECORD (87).
        case invalidRecord
        /// Larger than a limit, packed or unpacked: MESSAGE_TOO_LARGE (10).
        case tooLarge
        /// A codec number without a meaning, or a feature of a codec that is refused:
        /// UNSUPPORTED_COMPRESSION_TYPE (76).
        case unsupportedCompression
        /// A timestamp outside its bounds: INVALID_TIMESTAMP (32).
        case invalidTimestamp
    }

    public enum Reason: Hashable, Sendable {
        /// Fewer bytes than needed. The only reason that more bytes can cure.
        case truncated(needed: Int, available: Int)
        /// The batch length is below what a header needs, or the declared size is not the size at hand.
        case badLength(Int)
        case badMagic(Int8)
        case checksumMismatch(stored: UInt32, computed: UInt32)
        /// A header field that cannot be, such as a negative offset in a stored entry.
        case badHeader(StaticText)
        /// Produce carries exactly one batch for each partition; this many bytes follow the first.
        case severalBatches(extraBytes: Int)
        case noBatch
        case nonZeroBaseOffset(Int64)
        case badRecordCount(count: Int32, lastOffsetDelta: Int32)
        case controlBatch
        case reservedAttributes(UInt16)
        case inconsistentProducer(id: Int64, epoch: Int16, sequence: Int32)
        case badTimestamp(Int64)
        /// A codec number without a meaning, or one that the limits exclude.
        case refusedCodec(UInt8)
        /// Only a broker may say that a batch carries its append time.
        case appendTimeFromClient
        case batchTooLarge(size: Int, limit: Int)
        /// A record that does not parse, or is not where its place in the batch says; `index` counts from 0.
        case badRecord(index: Int, StaticText)
        case compression(CompressionError)
    }

    public let reason: Reason

    @inlinable
    public init(_ reason: Reason) { self.reason = reason }

    public var kind: Kind {
        switch reason {
        case .truncated, .badLength, .checksumMismatch, .badHeader: .corrupt
        // Kafka's `ProduceRequest.validateRecords` answers the old formats 0 and 1 with INVALID_RECORD, and its log
        // reader calls every other number damage.
        case .badMagic(let magic): magic == 0 || magic == 1 ? .invalidRecord : .corrupt
        case .severalBatches, .noBatch, .nonZeroBaseOffset, .badRecordCount, .controlBatch, .reservedAttributes,
            .inconsistentProducer, .badRecord:
            .invalidRecord
        case .badTimestamp, .appendTimeFromClient: .invalidTimestamp
        case .refusedCodec: .unsupportedCompression
        case .batchTooLarge: .tooLarge
        case .compression(let error):
            switch error {
            case .outputTooLarge: .tooLarge
            case .refusedFeature: .unsupportedCompression
            case .corrupt, .truncated, .trailingBytes, .failed: .corrupt
            }
        }
    }

    /// How many bytes from the start of the entry are needed, when more bytes are the cure.
    public var neededBytes: Int? {
        if case .truncated(let needed, _) = reason { needed } else { nil }
    }

    public var description: String {
        switch reason {
        case .truncated(let needed, let available): "\(needed) bytes needed, \(available) there"
        case .badLength(let length): "batch length \(length) is not possible here"
        case .badMagic(let magic): "magic \(magic); only format 2 is accepted"
        case .checksumMismatch(let stored, let computed):
            "checksum \(String(stored, radix: 16)) stored, \(String(computed, radix: 16)) computed"
        case .badHeader(let text): "\(text)"
        case .severalBatches(let extra): "one batch a partition is allowed; \(extra) bytes follow the first"
        case .noBatch: "no batch for the partition"
        case .nonZeroBaseOffset(let offset): "a produced batch has base offset 0, not \(offset)"
        case .badRecordCount(let count, let delta): "\(count) records with last offset delta \(delta)"
        case .controlBatch: "clients may not write control batches"
        case .reservedAttributes(let bits): "reserved attribute bits in 0x\(String(bits, radix: 16))"
        case .inconsistentProducer(let id, let epoch, let sequence):
            "producer id \(id), epoch \(epoch) and sequence \(sequence) do not go together"
        case .badTimestamp(let milliseconds): "timestamp \(milliseconds) is out of bounds"
        case .refusedCodec(let number): "codec \(number) is not accepted"
        case .appendTimeFromClient: "clients may not set the timestamp type to append time"
        case .batchTooLarge(let size, let limit): "a batch of \(size) bytes; the limit is \(limit)"
        case .badRecord(let index, let text): "record \(index): \(text)"
        case .compression(let error): "\(error)"
        }
    }
}

/// A literal sentence that can be compared and costs no allocation.
public struct StaticText: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    let text: StaticString

    public init(stringLiteral text: StaticString) { self.text = text }

    public static func == (left: Self, right: Self) -> Bool { left.description == right.description }
    public func hash(into hasher: inout Hasher) { hasher.combine(description) }
    public var description: String { text.description }
}
