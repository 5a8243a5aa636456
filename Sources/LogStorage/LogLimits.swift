// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// The sizes and times a log keeps to.
public struct LogLimits: Hashable, Sendable {
    /// A segment is ended before it would grow beyond this (`segment.bytes`).
    public var segmentBytes: ByteCount
    /// A segment is ended by a batch this much younger than its first one, in milliseconds (`segment.ms`).
    public var segmentMilliseconds: Int64
    /// How far apart the rows of the sparse index are (`index.interval.bytes`).
    public var indexIntervalBytes: ByteCount
    /// How much of what was last appended stays in memory for followers. What is not yet written out always does.
    public var tailBytes: ByteCount
    /// After how many synced bytes a sync also moves the point from which a crashed log is scanned.
    public var checkpointBytes: ByteCount
    /// The most memory that unpacking one batch may take, in lookups by time.
    public var unpackedBytes: ByteCount
    /// How many idempotent producers are remembered (`producers.per.partition.max`); those silent longest go first.
    public var producersMax: Int

    public init(
        segmentBytes: ByteCount = .gibibytes(1), segmentMilliseconds: Int64 = 7 * 24 * 3_600_000,
        indexIntervalBytes: ByteCount = .kibibytes(4), tailBytes: ByteCount = .mebibytes(4),
        checkpointBytes: ByteCount = .mebibytes(64), unpackedBytes: ByteCount = .mebibytes(64),
        producersMax: Int = 10_000
    ) {
        self.segmentBytes = segmentBytes
        self.segmentMilliseconds = segmentMilliseconds
        self.indexIntervalBytes = indexIntervalBytes
        self.tailBytes = tailBytes
        self.checkpointBytes = checkpointBytes
        self.unpackedBytes = unpackedBytes
        self.producersMax = producersMax
    }
}
