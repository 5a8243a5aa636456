// SPDX-License-Identifier: Apache-2.0

/// A committed offset. Kafka's `OffsetCommitValue`, versions 0 to 4.
struct OffsetCommitValue: CoordinatorValue {
    static let versions: ClosedRange<Int16> = 0...4
    static let flexibleSince: Int16 = 4

    var offset: Int64
    /// −1 when the committer did not say.
    var leaderEpoch: Int32 = -1
    var metadata = ""
    /// In milliseconds since 1970.
    var commitTimestamp: Int64
    /// In milliseconds since 1970; −1 when the broker's retention decides.
    var expireTimestamp: Int64 = -1

    init(
        offset: Int64, leaderEpoch: Int32 = -1, metadata: String = "", commitTimestamp: Int64,
        expireTimestamp: Int64 = -1
    ) {
        self.offset = offset
        self.leaderEpoch = leaderEpoch
        self.metadata = metadata
        self.commitTimestamp = commitTimestamp
        self.expireTimestamp = expireTimestamp
    }

    /// Only version 1 has an expiry, and it has no leader epoch, so that is lost with it: as in Kafka.
    var versionToWrite: Int16 { expireTimestamp >= 0 ? 1 : 3 }
    var sizeHint: Int { 30 + metadata.utf8.count }

    init(from cursor: inout RecordCursor, version: Int16) throws(RecordCursor.Malformed) {
        offset = try cursor.int64()
        if version >= 3 { leaderEpoch = try cursor.int32() }
        metadata = try cursor.string()
        commitTimestamp = try cursor.int64()
        if version == 1 { expireTimestamp = try cursor.int64() }
        try cursor.tags()
    }

    func write(into builder: inout RecordBuilder) {
        builder.integer(offset)
        if versionToWrite >= 3 { builder.integer(leaderEpoch) }
        builder.string(metadata)
        builder.integer(commitTimestamp)
        if versionToWrite == 1 { builder.integer(expireTimestamp) }
    }
}
