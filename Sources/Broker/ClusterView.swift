// SPDX-License-Identifier: Apache-2.0

import GroupCore
import KafkaWire
public import LogModel
public import MetadataCore
import RecordBatches
public import Settings

/// What one loop knows of the cluster: its topics, who leads them, and which nodes are alive.
///
/// A value: each loop has its own copy, replaced when the cluster changes.
public struct ClusterView: Sendable {
    public let node: NodeID
    public private(set) var cluster = ClusterState()
    public private(set) var leaders = LeaderTable()
    /// This node and those it has a connection to, in order of their ids.
    public private(set) var alive: [NodeID]
    /// Whether this node has had no word of the cluster for so long that others know better who leads what.
    public private(set) var isCutOff = false
    /// Replicas that do not keep up, as the leaders say. Partitions without any are not there.
    private var laggards: [PartitionID: [NodeID]] = [:]
    private var topicsByName: [String: TopicView] = [:]
    private var topicsByID: [TopicID: TopicView] = [:]
    /// In order of their names.
    private(set) var topics: [TopicView] = []

    /// Counts the cluster's states seen.
    private(set) var revision = 0

    private let defaults: TopicDefaults

    public init(node: NodeID, defaults: TopicDefaults) {
        self.node = node
        self.defaults = defaults
        alive = [node]
    }

    // MARK: - Change

    public mutating func replace(cluster state: ClusterState) {
        cluster = state
        revision += 1
        topics = state.allTopics.map { TopicView($0, defaults) }
        topicsByName = Dictionary(uniqueKeysWithValues: topics.map { ($0.name, $0) })
        topicsByID = Dictionary(uniqueKeysWithValues: topics.map { ($0.id, $0) })
    }

    public mutating func note(_ partition: PartitionID, term: Term, leader: NodeID?, lagging: [NodeID] = []) {
        leaders.learn(partition, term: term, leader: leader)
        // Nobody else has a word on who leads a partition kept here in the same term.
        if leader == nil { leaders.withdraw(partition, term: term, leader: node) }
        // Only the word of the leader that is known counts.
        guard let leader, let known = leaders[partition], known.term == term, known.leader == leader else { return }
        laggards[partition] = lagging.isEmpty ? nil : lagging
    }

    /// Whether a replica has kept up with its leader, as far as this node knows.
    func isInSync(_ replica: NodeID, of partition: PartitionID) -> Bool {
        alive.contains(replica) && laggards[partition]?.contains(replica) != true
    }

    public mutating func replace(alive nodes: [NodeID]) { alive = nodes }

    public mutating func replace(isCutOff: Bool) { self.isCutOff = isCutOff }

    // MARK: - Look-up

    /// The topics as group coordination sees them.
    /// - Complexity: O(*n* log *n*) in topics, plus O(partitions).
    var topicsImage: TopicsImage {
        TopicsImage(
            topics.map { topic in
                TopicsImage.Topic(
                    id: topic.id, name: topic.name,
                    partitionRacks: topic.partitions.map { replicas in replicas.compactMap { cluster.node($0)?.rack } })
            })
    }

    /// The nodes that clients are told of: those that are alive, but all when this node cannot know.
    var offered: [NodeRegistration] { cluster.nodes.filter { isCutOff || alive.contains($0.id) } }

    func topic(named name: String) -> TopicView? { topicsByName[name] }

    func topic(id: TopicID) -> TopicView? { topicsByID[id] }

    /// Who leads a partition; `nil` when nobody does or the last known leader is gone.
    public func leader(of partition: PartitionID) -> (node: NodeID, term: Term)? {
        guard let known = leaders[partition], let leader = known.leader, alive.contains(leader) else { return nil }
        return (leader, known.term)
    }

    /// The nodes that are given a replica of a partition by a move.
    func adding(to partition: PartitionID) -> [NodeID] {
        guard cluster.movingCount > 0 else { return [] }
        return cluster.placement(of: partition)?.adding ?? []
    }

    /// The node whose word on topics counts: the leader of the metadata group.
    public var controller: NodeID? { leader(of: .metadata)?.node }

    /// Where a client that asked the wrong node should go (KIP-951).
    func leaderHint(of partition: PartitionID) -> (leader: LeaderIDAndEpoch, endpoint: NodeEndpoint)? {
        guard let (leader, term) = leader(of: partition), leader != node, let place = cluster.node(leader) else {
            return nil
        }
        var endpoint = NodeEndpoint()
        endpoint.nodeID = leader.rawValue
        endpoint.host = place.kafka.host
        endpoint.port = Int32(place.kafka.port)
        endpoint.rack = place.rack
        return (LeaderIDAndEpoch(leaderID: leader.rawValue, leaderEpoch: term.rawValue), endpoint)
    }
}

/// One topic with its configs made ready for the hot path.
struct TopicView: Sendable {
    let id: TopicID
    let name: String
    /// The nodes that keep each partition, the preferred leader first; during a move both the old and the new ones.
    let partitions: [[NodeID]]
    let configs: EffectiveTopicConfigs
    let overrides: TopicConfigs
    /// What every batch is packed with when it is stored, `nil` for what it came with.
    let storedCodec: Codec?

    init(_ topic: Topic, _ defaults: TopicDefaults) {
        id = topic.id
        name = topic.name.rawValue
        partitions = topic.partitions.map(\.hosts)
        overrides = topic.configs
        configs = topic.configs.effective(defaults)
        storedCodec = Codec(name: configs.compressionType.rawValue)
    }

    /// Whether only the cluster itself writes to it.
    var isInternal: Bool { ClusterState.internalTopicNames.contains(name) }

    func hasPartition(_ index: Int32) -> Bool { index >= 0 && Int(index) < partitions.count }

    /// What a batch for this topic must keep to, if it arrives now.
    ///
    /// - Parameter unpackedLimit: the most bytes that a batch may unpack to where its records must be seen.
    func batchLimits(now: Timestamp, produceVersion: Int16, unpackedLimit: Int) -> BatchLimits {
        let sensible = BatchLimits.sensibleTimestamps
        let (before, below) = now.milliseconds.subtractingReportingOverflow(configs.timestampBeforeMaxMilliseconds)
        let (after, above) = now.milliseconds.addingReportingOverflow(configs.timestampAfterMaxMilliseconds)
        // Times are not judged where the broker writes its own over them (KIP-32).
        let judged = configs.timestampType == .createTime
        let earliest = judged && !below ? max(before, sensible.lowerBound) : sensible.lowerBound
        let latest = judged && !above ? min(after, sensible.upperBound) : sensible.upperBound
        return BatchLimits(
            maximumSize: Int(configs.maxMessageBytes.rawValue), timestamps: earliest...max(earliest, latest),
            allowsZstd: produceVersion >= 7,
            depth: configs.isCompacted ? .all(unpackedLimit: unpackedLimit) : .uncompressed,
            requiresKeys: configs.isCompacted)
    }
}
