// SPDX-License-Identifier: Apache-2.0

public import LogModel

/// The configs that a topic's owner has set: valid, in the order of their names. All others have their defaults.
public struct TopicConfigs: Hashable, Sendable {
    public struct Override: Hashable, Sendable {
        public let name: String
        public let value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The most overrides a topic can have, and the longest text of each part, so that stored ones are bounded.
    public static let countMax = 256
    public static let textBytesMax = 4_096

    /// Strictly ascending in name.
    public private(set) var overrides: [Override] = []

    /// No overrides.
    public init() {}

    /// Overrides as a client gives them, in any order.
    ///
    /// - Throws: the first complaint, in the order given.
    public init(validating given: [(name: String, value: String?)]) throws(TopicConfigError) {
        var seen: [String] = []
        for (name, value) in given {
            // The table is short, so a hostile list is refused at its first unknown name or repetition.
            guard !seen.contains(name) else { throw .repeated(name.clipped) }
            guard let value else { throw .missingValue(name.clipped) }
            try set(name, to: value)
            seen.append(name)
        }
    }

    /// Overrides as they were stored. They are not judged again: every node must hold the same whatever its version
    /// takes today. A value that this version cannot read counts as its default.
    ///
    /// - Returns: `nil` when they are not ascending or beyond the bounds, which only damage can cause.
    public init?(stored: [Override]) {
        guard stored.count <= Self.countMax else { return nil }
        for override in stored {
            guard override.name.utf8.count <= Self.textBytesMax, override.value.utf8.count <= Self.textBytesMax else {
                return nil
            }
        }
        for (earlier, later) in zip(stored, stored.dropFirst()) {
            guard earlier.name < later.name else { return nil }
        }
        overrides = stored
    }

    /// Sets one config (IncrementalAlterConfigs SET).
    public mutating func set(_ name: String, to value: String) throws(TopicConfigError) {
        guard let config = TopicConfig.named(name) else { throw .unknown(name.clipped) }
        let override = Override(name: name, value: try config.validated(value))
        if let at = overrides.firstIndex(where: { $0.name >= name }) {
            if overrides[at].name == name { overrides[at] = override } else { overrides.insert(override, at: at) }
        } else {
            overrides.append(override)
        }
    }

    /// Gives one config its default back (IncrementalAlterConfigs DELETE).
    public mutating func remove(_ name: String) throws(TopicConfigError) {
        guard TopicConfig.named(name) != nil else { throw .unknown(name.clipped) }
        overrides.removeAll { $0.name == name }
    }

    /// The override of `name`, if there is one.
    /// - Complexity: O(*n*) in overrides.
    public func override(of name: String) -> String? { overrides.first { $0.name == name }?.value }

    /// What holds for the topic.
    public func effective(_ defaults: TopicDefaults) -> EffectiveTopicConfigs {
        EffectiveTopicConfigs(self, defaults)
    }

    /// Every config with the value that holds, in the order of their names: what DescribeConfigs answers.
    public func described(_ defaults: TopicDefaults) -> [DescribedTopicConfig] {
        TopicConfig.all.map { config in
            let initial = defaults.value(of: config)
            let override = override(of: config.name)
            return DescribedTopicConfig(
                config: config, value: override ?? initial, initial: initial, override: override)
        }
    }
}

/// One config of one topic as a client is shown it.
public struct DescribedTopicConfig: Hashable, Sendable {
    public let config: TopicConfig
    /// What holds.
    public let value: String
    /// What holds without an override.
    public let initial: String
    public let override: String?

    public var isDefault: Bool { override == nil }
    public var isReadOnly: Bool { if case .onlyDefault = config.rule { true } else { false } }
}

/// The defaults of topic configs that come from a node's settings.
@frozen
public struct TopicDefaults: Hashable, Sendable {
    public var maxMessageBytes: ByteCount
    public var segmentBytes: ByteCount

    public init(
        maxMessageBytes: ByteCount = Setting.messageBytesMax.initial,
        segmentBytes: ByteCount = Setting.segmentBytes.initial
    ) {
        self.maxMessageBytes = maxMessageBytes
        self.segmentBytes = segmentBytes
    }

    public init(_ settings: NodeSettings) {
        self.init(
            maxMessageBytes: settings.requests.messageBytesMax, segmentBytes: settings.storage.segmentBytes)
    }

    func value(of config: TopicConfig) -> String {
        switch config.synonym {
        case TopicConfig.maxMessageBytes.synonym: "\(maxMessageBytes.rawValue)"
        case TopicConfig.segmentBytes.synonym: "\(segmentBytes.rawValue)"
        default: config.initial
        }
    }
}

/// Whose clock a record's timestamp comes from.
public enum TimestampType: String, Hashable, Sendable {
    case createTime = "CreateTime"
    case logAppendTime = "LogAppendTime"
}

/// How a topic's batches are stored.
public enum CompressionType: String, Hashable, Sendable {
    /// As the producer sent them.
    case producer
    case uncompressed
    case gzip
    case snappy
    case lz4
    case zstd
}

/// What holds for a topic, read out of its configs once and kept by value where it is needed often.
@frozen
public struct EffectiveTopicConfigs: Hashable, Sendable {
    public var maxMessageBytes: ByteCount
    public var minInsyncReplicas: Int
    /// `nil` keeps records forever.
    public var retentionMilliseconds: Int64?
    /// `nil` is without limit.
    public var retentionBytes: ByteCount?
    public var segmentBytes: ByteCount
    public var segmentMilliseconds: Int64
    public var fileDeleteDelayMilliseconds: Int64
    public var indexInterval: ByteCount
    public var timestampType: TimestampType
    public var timestampBeforeMaxMilliseconds: Int64
    public var timestampAfterMaxMilliseconds: Int64
    /// Whether old segments are deleted, by `retention.ms` and `retention.bytes`.
    public var isDeleted: Bool
    /// Whether only the last record of each key is kept.
    public var isCompacted: Bool
    public var deleteRetentionMilliseconds: Int64
    public var minCompactionLagMilliseconds: Int64
    public var maxCompactionLagMilliseconds: Int64
    public var minCleanableDirtyRatio: Double
    public var compressionType: CompressionType
    /// Of the codec that `compressionType` names; `nil` for the codec's own default.
    public var compressionLevel: Int?

    init(_ configs: TopicConfigs, _ defaults: TopicDefaults) {
        func number(_ config: TopicConfig) -> Int64 {
            if let text = configs.override(of: config.name), case .range(let range) = config.rule,
                let number = Int64(text), range.contains(number)
            {
                return number
            }
            return Int64(defaults.value(of: config)) ?? 0
        }
        func limit(_ config: TopicConfig) -> Int64? {
            let limit = number(config)
            return limit < 0 ? nil : limit
        }
        maxMessageBytes = ByteCount(number(.maxMessageBytes))
        minInsyncReplicas = Int(number(.minInsyncReplicas))
        retentionMilliseconds = limit(.retentionMilliseconds)
        retentionBytes = limit(.retentionBytes).map { ByteCount($0) }
        segmentBytes = ByteCount(number(.segmentBytes))
        segmentMilliseconds = number(.segmentMilliseconds)
        fileDeleteDelayMilliseconds = number(.fileDeleteDelay)
        indexInterval = ByteCount(number(.indexIntervalBytes))
        let timestamps = configs.override(of: TopicConfig.timestampType.name) ?? TopicConfig.timestampType.initial
        timestampType = TimestampType(rawValue: timestamps) ?? .createTime
        timestampBeforeMaxMilliseconds = number(.timestampBeforeMax)
        timestampAfterMaxMilliseconds = number(.timestampAfterMax)
        let policy = configs.override(of: TopicConfig.cleanupPolicy.name) ?? TopicConfig.cleanupPolicy.initial
        let policies = policy.split(separator: ",").map(\.trimmed)
        isCompacted = policies.contains("compact")
        isDeleted = policies.contains("delete")
        deleteRetentionMilliseconds = number(.deleteRetention)
        minCompactionLagMilliseconds = number(.minCompactionLag)
        maxCompactionLagMilliseconds = number(.maxCompactionLag)
        let ratio = configs.override(of: TopicConfig.minCleanableDirtyRatio.name).flatMap { Double($0) }
        minCleanableDirtyRatio = ratio ?? 0.5
        let compression = configs.override(of: TopicConfig.compressionType.name) ?? TopicConfig.compressionType.initial
        compressionType = CompressionType(rawValue: compression) ?? .producer
        let level: TopicConfig? =
            switch compressionType {
            case .producer, .uncompressed, .snappy: nil
            case .gzip: .gzipLevel
            case .lz4: .lz4Level
            case .zstd: .zstdLevel
            }
        // A level that is the default stands for the codec's usual way, which for LZ4 is not its level 9.
        compressionLevel = level.flatMap { level in
            configs.override(of: level.name).flatMap { $0 == level.initial ? nil : Int($0) }
        }
    }
}
