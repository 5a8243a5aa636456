// SPDX-License-Identifier: Apache-2.0

/// The attribute bits of a batch header, as they stand in it.
public struct BatchAttributes: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt16

    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    static let codecBits: UInt16 = 0x0007
    static let logAppendTimeBit: UInt16 = 0x0008
    static let transactionalBit: UInt16 = 0x0010
    static let controlBit: UInt16 = 0x0020
    static let deleteHorizonBit: UInt16 = 0x0040

    /// What marks a private entry: the control bit, which keeps foreign tools off, and one that Kafka does not use.
    public static let marker = BatchAttributes(rawValue: 0x4020)

    /// How the records are compressed; `nil` for the numbers 5 to 7, which nobody has given a meaning.
    public var codec: Codec? { Codec(rawValue: UInt8(rawValue & Self.codecBits)) }
    /// Whether `maxTimestamp` is the time of the append and stands for every record of the batch.
    public var isLogAppendTime: Bool { rawValue & Self.logAppendTimeBit != 0 }
    /// Whether the batch belongs to a transaction (KIP-98).
    public var isTransactional: Bool { rawValue & Self.transactionalBit != 0 }
    /// Whether the records are control records, which only brokers write. True of a marker too.
    public var isControl: Bool { rawValue & Self.controlBit != 0 }
    /// Whether `baseTimestamp` is the time at which compaction may drop tombstones (KIP-534).
    public var hasDeleteHorizon: Bool { rawValue & Self.deleteHorizonBit != 0 }
    /// Whether a bit is set that Kafka gives no meaning.
    public var hasReservedBits: Bool { rawValue & 0xff80 != 0 }
}
