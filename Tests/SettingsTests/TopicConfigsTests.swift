// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings
import Testing

@Suite struct TopicConfigsTests {
    @Test func everyConfigTakesItsOwnDefault() throws {
        for config in TopicConfig.all {
            #expect(try config.validated(config.initial) == config.initial)
            #expect(!config.documentation.isEmpty)
        }
        #expect(zip(TopicConfig.all, TopicConfig.all.dropFirst()).allSatisfy { $0.name < $1.name })
    }

    @Test func configsAreKeptInTheOrderOfTheirNames() throws {
        let configs = try TopicConfigs(validating: [("segment.bytes", " 16384 "), ("max.message.bytes", "5")])
        #expect(configs.overrides.map(\.name) == ["max.message.bytes", "segment.bytes"])
        #expect(configs.override(of: "segment.bytes") == "16384")
        #expect(TopicConfigs(stored: configs.overrides) == configs)
    }

    @Test(
        arguments: [
            ("no.such.config", "1", TopicConfigError.unknown("no.such.config")),
            ("retention.ms", nil, .missingValue("retention.ms")),
            ("retention.ms", "soon", .notANumber("retention.ms", value: "soon")),
            ("retention.ms", "99999999999999999999", .notANumber("retention.ms", value: "99999999999999999999")),
            ("retention.ms", "-2", .outOfBounds("retention.ms", value: "-2", bounds: -1...Int64.max)),
            ("min.insync.replicas", "0", .outOfBounds("min.insync.replicas", value: "0", bounds: 1...32_767)),
            (
                "message.timestamp.type", "Never",
                .notOneOf("message.timestamp.type", value: "Never", values: ["CreateTime", "LogAppendTime"])
            ),
        ] as [(String, String?, TopicConfigError)])
    func aBadConfigIsRefusedByName(name: String, value: String?, error: TopicConfigError) {
        #expect(throws: error) { try TopicConfigs(validating: [(name, value)]) }
    }

    @Test(arguments: [
        ("flush.messages", "1"), ("flush.ms", "1000"), ("preallocate", "true"),
        ("unclean.leader.election.enable", "true"), ("remote.storage.enable", "true"), ("segment.jitter.ms", "1"),
        ("leader.replication.throttled.replicas", "*"), ("segment.index.bytes", "1"),
    ])
    func whatKafkaHasAndGodwitHasNotIsRefusedWithTheReason(name: String, value: String) {
        #expect {
            try TopicConfigs(validating: [(name, value)])
        } throws: { error in
            guard case .notSupported(name, value, let reason)? = error as? TopicConfigError else { return false }
            return reason.count > 10
        }
    }

    @Test(arguments: [
        ("compression.type", "producer"),
        ("preallocate", "False"), ("flush.ms", "9223372036854775807"),
    ])
    func theOneValueOfAFixedConfigIsTaken(name: String, value: String) throws {
        #expect(try TopicConfigs(validating: [(name, value)]).overrides.count == 1)
    }

    @Test(
        arguments: [
            ([], .producer, nil),
            ([("compression.type", "producer"), ("compression.gzip.level", "1")], .producer, nil),
            ([("compression.type", "uncompressed")], .uncompressed, nil),
            ([("compression.type", "snappy")], .snappy, nil),
            ([("compression.type", "Gzip")], .gzip, nil),
            ([("compression.type", "gzip"), ("compression.gzip.level", "1")], .gzip, 1),
            ([("compression.type", "gzip"), ("compression.gzip.level", "-1")], .gzip, nil),
            ([("compression.type", "lz4"), ("compression.lz4.level", "9")], .lz4, nil),
            ([("compression.type", "lz4"), ("compression.lz4.level", "17")], .lz4, 17),
            ([("compression.type", "zstd"), ("compression.lz4.level", "4")], .zstd, nil),
            ([("compression.type", "zstd"), ("compression.zstd.level", "-7")], .zstd, -7),
        ] as [([(String, String?)], CompressionType, Int?)])
    func howBatchesAreStoredCanBeChosen(given: [(String, String?)], type: CompressionType, level: Int?) throws {
        let effective = try TopicConfigs(validating: given).effective(TopicDefaults())
        #expect(effective.compressionType == type && effective.compressionLevel == level)
    }

    @Test(arguments: [
        ("compression.type", "none"), ("compression.type", ""), ("compression.type", "brotli"),
        ("compression.gzip.level", "0"), ("compression.gzip.level", "10"), ("compression.gzip.level", "-2"),
        ("compression.lz4.level", "0"), ("compression.lz4.level", "18"),
        ("compression.zstd.level", "23"), ("compression.zstd.level", "-131073"),
    ])
    func aCodecOrLevelThatKafkaHasNotIsRefused(name: String, value: String) {
        #expect(throws: TopicConfigError.self) { try TopicConfigs(validating: [(name, value)]) }
    }

    @Test func whatIsDoneWithOldSegmentsCanBeChosen() throws {
        func effective(_ given: [(String, String?)]) throws -> EffectiveTopicConfigs {
            try TopicConfigs(validating: given).effective(TopicDefaults())
        }
        let initial = try effective([])
        #expect(initial.isDeleted && !initial.isCompacted && initial.minCleanableDirtyRatio == 0.5)
        #expect(initial.deleteRetentionMilliseconds == 86_400_000 && initial.maxCompactionLagMilliseconds == .max)
        let compact = try effective([("cleanup.policy", "Compact"), ("min.cleanable.dirty.ratio", "0.10")])
        #expect(!compact.isDeleted && compact.isCompacted && compact.minCleanableDirtyRatio == 0.1)
        let both = try effective([("cleanup.policy", " compact , delete"), ("delete.retention.ms", "7")])
        #expect(both.isDeleted && both.isCompacted && both.deleteRetentionMilliseconds == 7)
        for bad in ["", "compact,compact", "shrink", "compact,"] {
            #expect(throws: TopicConfigError.self, "\(bad)") {
                try TopicConfigs(validating: [("cleanup.policy", bad)])
            }
        }
        for bad in ["-0.1", "1.5", "nan", "half", ""] {
            #expect(throws: TopicConfigError.self, "\(bad)") {
                try TopicConfigs(validating: [("min.cleanable.dirty.ratio", bad)])
            }
        }
    }

    @Test func aConfigGivenTwiceIsRefused() {
        #expect(throws: TopicConfigError.repeated("segment.ms")) {
            try TopicConfigs(validating: [("segment.ms", "1"), ("segment.ms", "1")])
        }
    }

    @Test func defaultsAreKafkasUnlessTheNodeSaysOtherwise() throws {
        let kafka = TopicConfigs().effective(TopicDefaults())
        #expect(kafka.maxMessageBytes == ByteCount(1_048_588))
        #expect(kafka.minInsyncReplicas == 1)
        #expect(kafka.retentionMilliseconds == 604_800_000)
        #expect(kafka.retentionBytes == nil)
        #expect(kafka.segmentBytes == .gibibytes(1))
        #expect(kafka.segmentMilliseconds == 604_800_000)
        #expect(kafka.indexInterval == ByteCount(4_096))
        #expect(kafka.timestampType == .createTime)
        #expect(kafka.timestampBeforeMaxMilliseconds == .max)
        #expect(kafka.timestampAfterMaxMilliseconds == 3_600_000)

        let node = TopicDefaults(maxMessageBytes: ByteCount(1_000), segmentBytes: .mebibytes(2))
        #expect(TopicConfigs().effective(node).maxMessageBytes == ByteCount(1_000))
        #expect(TopicConfigs().effective(node).segmentBytes == .mebibytes(2))
    }

    @Test func overridesWin() throws {
        let configs = try TopicConfigs(validating: [
            ("max.message.bytes", "10"), ("retention.ms", "-1"), ("retention.bytes", "5"),
            ("message.timestamp.type", "logappendtime"), ("min.insync.replicas", "2"),
        ])
        let effective = configs.effective(TopicDefaults())
        #expect(effective.maxMessageBytes == ByteCount(10))
        #expect(effective.retentionMilliseconds == nil)
        #expect(effective.retentionBytes == ByteCount(5))
        #expect(effective.timestampType == .logAppendTime)
        #expect(effective.minInsyncReplicas == 2)
    }

    @Test func everyConfigIsDescribedWithWhereItsValueComesFrom() throws {
        var configs = try TopicConfigs(validating: [("segment.ms", "5")])
        let described = configs.described(TopicDefaults(segmentBytes: .mebibytes(2)))
        #expect(described.count == TopicConfig.all.count)
        let milliseconds = try #require(described.first { $0.config.name == "segment.ms" })
        #expect(milliseconds.value == "5" && milliseconds.initial == "604800000" && !milliseconds.isDefault)
        let bytes = try #require(described.first { $0.config.name == "segment.bytes" })
        #expect(bytes.value == "2097152" && bytes.isDefault && !bytes.isReadOnly)
        #expect(described.first { $0.config.name == "preallocate" }?.isReadOnly == true)

        try configs.remove("segment.ms")
        #expect(configs == TopicConfigs())
    }

    @Test func storedConfigsAreNotJudgedAgain() throws {
        let stored = [
            TopicConfigs.Override(name: "from.the.future", value: "x"),
            TopicConfigs.Override(name: "segment.bytes", value: "1"),
        ]
        let configs = try #require(TopicConfigs(stored: stored))
        #expect(configs.effective(TopicDefaults()).segmentBytes == .gibibytes(1))
        #expect(TopicConfigs(stored: stored.reversed()) == nil)
        #expect(TopicConfigs(stored: [stored[0], stored[0]]) == nil)
        let long = TopicConfigs.Override(name: "a", value: String(repeating: "x", count: 4_097))
        #expect(TopicConfigs(stored: [long]) == nil)
    }
}
