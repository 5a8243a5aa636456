// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings

extension ClusterState {
    /// The whole state: version, end, cluster id, nodes, topics, since version 2 the next producer id, in version 3
    /// the configs of groups, and in version 4 what is on the move. Equal states give equal bytes: each is written in
    /// the lowest version that can say it, for nodes of before.
    ///
    /// There is no checksum in it: whoever stores or sends it adds one.
    /// - Complexity: O(*n*) in nodes and partitions.
    public func encodeSnapshot() -> [UInt8] {
        var writer = MetadataWriter()
        let version = snapshotVersion
        writer.byte(version)
        writer.varint(UInt64(end.rawValue))
        writer.byte(clusterID == nil ? 0 : 1)
        if let clusterID {
            writer.fixed(clusterID.high)
            writer.fixed(clusterID.low)
        }
        writer.count(nodes.count)
        for node in nodes {
            writer.registration(node)
            writer.varint(UInt64(directoriesSince[node.id]?.rawValue ?? 0))
        }
        writer.count(topicNames.count)
        for topic in allTopics {
            writer.text(topic.name.rawValue)
            writer.id(topic.id)
            writer.placements(topic.partitions)
            writer.configs(topic.configs)
            writer.fixed(UInt64(bitPattern: topic.created.milliseconds))
            writer.varint(UInt64(topic.createdAt.rawValue))
        }
        if version >= Self.producerIDsVersion { writer.varint(UInt64(nextProducerID)) }
        if version >= Self.groupConfigsVersion {
            writer.count(configuredGroups.count)
            for group in configuredGroups {
                writer.text(group.name)
                writer.overrides(group.configs.overrides)
            }
        }
        if version >= Self.movesVersion { writeMoves(to: &writer) }
        return writer.bytes
    }

    private static var producerIDsVersion: UInt8 { 2 }
    private static var groupConfigsVersion: UInt8 { 3 }
    private static var movesVersion: UInt8 { 4 }

    /// The lowest version that can say everything that is in the state.
    private var snapshotVersion: UInt8 {
        guard !snapshotNeedsMoves else { return Self.movesVersion }
        guard configuredGroups.isEmpty else { return Self.groupConfigsVersion }
        return nextProducerID == 0 ? metadataVersion : Self.producerIDsVersion
    }

    /// Whether there is something that only version 4 can say.
    var snapshotNeedsMoves: Bool {
        !drainingNodes.isEmpty || !removedNodes.isEmpty || isRebalancing || !voterWishes.isEmpty
            || allTopics.contains { !$0.partitions.allSatisfy(\.isPlain) }
    }

    /// Reads what `encodeSnapshot` wrote; anything that `apply` could not have made is refused.
    public init(snapshot: [UInt8]) throws(MetadataDecodingError) {
        var reader = MetadataReader(snapshot)
        let version = try reader.byte()
        guard (metadataVersion...Self.movesVersion).contains(version) else { throw .unknownVersion(version) }
        self.init()
        end = try reader.offset()
        switch try reader.byte() {
        case 0: clusterID = nil
        case 1: clusterID = ClusterID(high: try reader.fixed(), low: try reader.fixed())
        default: throw .malformed("the cluster id")
        }
        // 23 bytes: a registration with empty texts.
        for _ in 0..<(try reader.count(of: 23, max: MetadataBounds.nodes, "the count of nodes")) {
            let node = try reader.registration()
            guard nodes.last.map({ $0.id < node.id }) ?? true else { throw .malformed("the order of nodes") }
            let since = try reader.offset()
            guard since < end else { throw .malformed("when a node came") }
            nodes.append(node)
            directoriesSince[node.id] = since
        }
        // 31 bytes: a topic with a name of one letter and one partition on one node.
        for _ in 0..<(try reader.count(of: 31, max: MetadataBounds.topics, "the count of topics")) {
            try readTopic(from: &reader)
        }
        if version >= Self.producerIDsVersion {
            guard let next = Int64(exactly: try reader.varint()), next > 0 || version > Self.producerIDsVersion else {
                throw .malformed("the next producer id")
            }
            nextProducerID = next
        }
        if version >= Self.groupConfigsVersion { try readGroups(from: &reader) }
        if version >= Self.movesVersion {
            try readMoves(from: &reader)
        } else if version >= Self.groupConfigsVersion, configuredGroups.isEmpty {
            throw .malformed("the count of groups")
        }
        try reader.finish()
    }

    private mutating func readGroups(from reader: inout MetadataReader) throws(MetadataDecodingError) {
        // 4 bytes: an empty name and one empty override.
        for _ in 0..<(try reader.count(of: 4, max: MetadataBounds.groups, "the count of groups")) {
            let name = try reader.groupName()
            guard configuredGroups.last.map({ $0.name < name }) ?? true else { throw .malformed("the order of groups") }
            guard let configs = GroupConfigs(stored: try reader.overrides()), !configs.overrides.isEmpty else {
                throw .malformed("the group configs")
            }
            configuredGroups.append(ConfiguredGroup(name: name, configs: configs))
        }
    }

    private mutating func readTopic(from reader: inout MetadataReader) throws(MetadataDecodingError) {
        let name = try reader.topicName()
        let id = try reader.topicID()
        let partitions = try reader.placements()
        let configs = try reader.configs()
        let created = try reader.timestamp()
        let createdAt = try reader.offset()
        guard topicNames.last.map({ $0 < name }) ?? true else { throw .malformed("the order of topics") }
        guard clusterID != nil, topics[id] == nil, id != .zero, id != .metadata,
            collisionKeys[name.collisionKey] == nil, createdAt < end, refusal(of: partitions, after: 0) == nil
        else { throw .malformed("topic '\(name)'") }
        insert(
            Topic(
                id: id, name: name, partitions: partitions, configs: configs, created: created, createdAt: createdAt))
    }
}
