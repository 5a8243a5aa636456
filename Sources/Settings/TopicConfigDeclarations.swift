// SPDX-License-Identifier: Apache-2.0

// Kafka's topic configs (TopicConfig.java of 4.x), each once. Defaults are Kafka's.

extension TopicConfig {
    public static let maxMessageBytes = TopicConfig(
        "max.message.bytes", .int, "1048588", .range(0...(1 << 30)), synonym: "message.bytes.max",
        "The longest record batch accepted, as it is stored (after compression), in bytes.")

    public static let minInsyncReplicas = TopicConfig(
        "min.insync.replicas", .int, "1", .range(1...Int64(Int16.max)),
        "How many replicas must be alive for a produce with acks=all to be taken. Whatever it is, such a produce is "
            + "answered only when a majority of the replicas has it on disk.")

    public static let retentionMilliseconds = TopicConfig(
        "retention.ms", .long, "604800000", .range(-1...Int64.max),
        "How old records get before their segment is deleted, in milliseconds; -1 keeps them forever.")

    public static let retentionBytes = TopicConfig(
        "retention.bytes", .long, "-1", .range(-1...Int64.max),
        "How long the log of one partition gets before its oldest segments are deleted; -1 is without limit.")

    public static let segmentBytes = TopicConfig(
        "segment.bytes", .int, "1073741824", .range((16 << 10)...Int64(Int32.max)), synonym: "log.segment.bytes",
        "How long a segment of the log grows, in bytes. Retention deletes whole segments.")

    public static let segmentMilliseconds = TopicConfig(
        "segment.ms", .long, "604800000", .range(1...Int64.max),
        "How old a segment gets before a new one is begun even when it is not full, in milliseconds.")

    public static let fileDeleteDelay = TopicConfig(
        "file.delete.delay.ms", .long, "60000", .range(0...Int64.max),
        "How long a file that retention or DeleteRecords has taken out of the log stays on disk, in milliseconds.")

    public static let indexIntervalBytes = TopicConfig(
        "index.interval.bytes", .int, "4096", .range(0...Int64(Int32.max)),
        "How many bytes of records there are for one entry of the offset index.")

    public static let timestampType = TopicConfig(
        "message.timestamp.type", .string, "CreateTime", .oneOf(["CreateTime", "LogAppendTime"]),
        "Whether a record's timestamp is the producer's or the time at which the leader appended it.")

    public static let timestampBeforeMax = TopicConfig(
        "message.timestamp.before.max.ms", .long, "9223372036854775807", .range(0...Int64.max),
        "How far a record's timestamp may lie in the past, in milliseconds, when the producer gives it.")

    public static let timestampAfterMax = TopicConfig(
        "message.timestamp.after.max.ms", .long, "3600000", .range(0...Int64.max),
        "How far a record's timestamp may lie in the future, in milliseconds, when the producer gives it.")

    public static let cleanupPolicy = TopicConfig(
        "cleanup.policy", .list, "delete", .someOf(["compact", "delete"]),
        "What is done with old segments: they are deleted, or compacted to the last record of each key, or both.")

    public static let deleteRetention = TopicConfig(
        "delete.retention.ms", .long, "86400000", .range(0...Int64.max),
        "How long a record without a value, which deletes its key, is kept once it has been compacted, in milliseconds."
    )

    public static let minCompactionLag = TopicConfig(
        "min.compaction.lag.ms", .long, "0", .range(0...Int64.max),
        "How old a record is at least before it is compacted, in milliseconds.")

    public static let maxCompactionLag = TopicConfig(
        "max.compaction.lag.ms", .long, "9223372036854775807", .range(1...Int64.max),
        "How old a record gets before its log is compacted though little of it is new, in milliseconds.")

    public static let minCleanableDirtyRatio = TopicConfig(
        "min.cleanable.dirty.ratio", .double, "0.5", .share,
        "How much of a log, from 0 to 1, must be new before it is compacted again.")

    public static let compressionType = TopicConfig(
        "compression.type", .string, "producer",
        .oneOf(["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "How batches are stored: as the producer compressed them ('producer'), or all with one codec, or without. What "
            + "comes in another form is packed anew by the leader, which costs it time.")

    public static let gzipLevel = TopicConfig(
        "compression.gzip.level", .int, "-1", .oneOf(["-1"] + (1...9).map { "\($0)" }),
        "How hard gzip tries, from 1 to 9, where compression.type is gzip; -1 is its own default.")

    public static let lz4Level = TopicConfig(
        "compression.lz4.level", .int, "9", .range(1...17),
        "How hard LZ4 tries where compression.type is lz4. 9, the default, is its fast way; levels above 12 are 12.")

    public static let zstdLevel = TopicConfig(
        "compression.zstd.level", .int, "3", .range(-131_072...22),
        "How hard zstd tries where compression.type is zstd.")

    /// Every config, in the order of their names.
    public static let all: [TopicConfig] = (working + fixed).sorted { $0.name < $1.name }

    private static let working = [
        maxMessageBytes, minInsyncReplicas, retentionMilliseconds, retentionBytes, segmentBytes, segmentMilliseconds,
        fileDeleteDelay, indexIntervalBytes, timestampType, timestampBeforeMax, timestampAfterMax, compressionType,
        gzipLevel, lz4Level, zstdLevel, cleanupPolicy, deleteRetention, minCompactionLag, maxCompactionLag,
        minCleanableDirtyRatio,
    ]

    private static let fixed =
        fixedByDesign
        + [
            ("remote.storage.enable", .boolean, "false"), ("local.retention.ms", .long, "-2"),
            ("local.retention.bytes", .long, "-2"), ("remote.log.copy.disable", .boolean, "false"),
            ("remote.log.delete.on.disable", .boolean, "false"), ("remote.copy.lag.ms", .long, "0"),
            ("remote.copy.lag.bytes", .long, "0"),
        ].map { (name: String, kind: Kind, initial: String) in
            TopicConfig(
                name, kind, initial, .onlyDefault(reason: "there is no tiered storage yet"),
                "Has a meaning only with tiered storage.")
        }
        + ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"].map { name in
            TopicConfig(
                name, .list, "", .onlyDefault(reason: "replication is not throttled by lists of replicas"),
                "Replicas whose replication is throttled: none.")
        }

    private static let fixedByDesign = [
        TopicConfig(
            "flush.messages", .long, "9223372036854775807",
            .onlyDefault(reason: "flushing cannot be chosen: records are on disk before acks=all is answered"),
            "Godwit flushes in groups, always before it answers a produce with acks=all."),
        TopicConfig(
            "flush.ms", .long, "9223372036854775807",
            .onlyDefault(reason: "flushing cannot be chosen: records are on disk before acks=all is answered"),
            "Godwit flushes in groups, always before it answers a produce with acks=all."),
        TopicConfig(
            "preallocate", .boolean, "false",
            .onlyDefault(reason: "segments are not preallocated"), "Whether segments are created at full length."),
        TopicConfig(
            "segment.index.bytes", .int, "10485760",
            .onlyDefault(reason: "an index grows with its segment"), "The size of an offset index."),
        TopicConfig(
            "segment.jitter.ms", .long, "0",
            .onlyDefault(reason: "segments are rolled without jitter"),
            "How much earlier than segment.ms a segment may end, at random."),
        TopicConfig(
            "unclean.leader.election.enable", .boolean, "false",
            .onlyDefault(reason: "Raft never elects a replica that lacks acknowledged records"),
            "Whether a replica that lacks acknowledged records may lead: never."),
    ]
}
