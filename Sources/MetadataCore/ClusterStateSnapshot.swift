// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings

extension ClusterState {
    /// The whole state: version, end, cluster id, nodes, topics, and since version 2 the next producer id. Equal states
    /// give equal bytes: a state without producer ids is written in version 1, which older nodes can read.
    ///
    /// There is no checksum in it: whoever stores or sends it adds one.
    /// - Complexity: O(*n*) in nodes and partitions.
    public func encodeSnapshot() -> [UInt8] {
        var writer = MetadataWriter()
        writer.byte(nextProducerID == 0 ? metadataVersion : Self.producerIDsVersion)
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
        if nextProducerID > 0 { writer.varint(UInt64(nextProducerID)) }
        return writer.bytes
    }

    private static var producerIDsVersion: UInt8 { 2 }

    /// Reads what `encodeSnapshot` wrote; anything that `apply` could not have made is refused.
    public init(snapshot: [UInt8]) throws(MetadataDecodingError) {
        var reader = MetadataReader(snapshot)
        let version = try reader.byte()
        guard version == metadataVersion || version == Self.producerIDsVersion else { throw .unknownVersion(version) }
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
            let next = try reader.varint()
            guard next > 0, let next = Int64(exactly: next) else { throw .malformed("the next producer id") }
            nextProducerID = next
        }
        try reader.finish()
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
