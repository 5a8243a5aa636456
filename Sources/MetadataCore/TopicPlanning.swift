// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import Settings

extension ClusterState {
    /// Names that Kafka and Godwit keep for themselves.
    public static let reservedTopicNames = [
        "__cluster_metadata", "__consumer_offsets", "__share_group_state", "__transaction_state",
    ]

    /// Topics that the cluster itself writes to: clients may read them, and are told that they are internal.
    public static let internalTopicNames: Set<String> = [
        "__consumer_offsets", "__share_group_state", "__transaction_state",
    ]

    /// More replicas than this make a group slow and no safer.
    public static let replicationFactorMax = 15

    /// Works out what CreateTopics asks for, each topic by itself: one that is refused does not touch the others.
    ///
    /// The rules and their errors are those of Kafka's controller (`ReplicationControlManager.createTopics`).
    /// - Parameters:
    ///   - usable: the nodes that are alive. A node that is not gets replicas only when there are too few others, and
    ///     as many replicas as make a majority must be alive.
    ///   - founders: the nodes that the configuration says form the cluster. Until all have registered, or were
    ///     removed, a topic with the default replication factor is refused rather than given fewer replicas for good.
    ///   - seed: makes placements differ that would otherwise all begin at the same node.
    ///   - mayBeInternal: whether the cluster itself asks, which makes its own topics.
    /// - Returns: one answer a request, in the order of `requests`.
    /// - Complexity: O(*r* + *p* · *n*) in replicas of the cluster, new replicas and nodes.
    public func planTopics(
        _ requests: [TopicRequest], settings: TopicSettings, usable: [NodeID], founders: [NodeID] = [], seed: UInt64,
        mayBeInternal: Bool = false
    ) -> [Result<PlannedTopic, TopicRefusal>] {
        var planner = TopicPlanner(self, settings: settings, usable: usable, founders: founders, seed: seed)
        planner.mayBeInternal = mayBeInternal
        let repeated = Self.repeated(requests.map(\.name))
        return requests.map { request in
            Result { () throws(TopicRefusal) in
                guard !repeated.contains(request.name) else {
                    throw TopicRefusal(.invalidRequest, "the request names the same topic more than once")
                }
                return try planner.plan(request)
            }
        }
    }

    /// Works out what CreatePartitions asks for, each topic by itself. The parameters are those of `planTopics`.
    public func planPartitions(
        _ requests: [PartitionsRequest], settings: TopicSettings, usable: [NodeID], seed: UInt64
    ) -> [Result<AddedPartitions, TopicRefusal>] {
        var planner = TopicPlanner(self, settings: settings, usable: usable, founders: [], seed: seed)
        let repeated = Self.repeated(requests.map(\.name))
        return requests.map { request in
            Result { () throws(TopicRefusal) in
                guard !repeated.contains(request.name) else {
                    throw TopicRefusal(.invalidRequest, "the request names the same topic more than once")
                }
                return try planner.plan(request)
            }
        }
    }

    /// The topic that DeleteTopics means by a name or, from version 6 on, by an id.
    public func topicToDelete(name: String?, id: TopicID) -> Result<Topic, TopicRefusal> {
        switch (name, id) {
        case (nil, .zero): .failure(TopicRefusal(.invalidRequest, "neither a topic's name nor its id is given"))
        case (nil, let id):
            topic(id).map { .success($0) } ?? .failure(TopicRefusal(.unknownTopic, "there is no topic with this id"))
        case (let name?, .zero): topic(named: name)
        case (_?, _): .failure(TopicRefusal(.invalidRequest, "give either a topic's name or its id"))
        }
    }

    func topic(named text: String) -> Result<Topic, TopicRefusal> {
        guard let name = try? TopicName(text), let topic = topic(named: name) else {
            return .failure(TopicRefusal(.unknownTopic, "there is no topic of this name"))
        }
        return .success(topic)
    }

    private static func repeated(_ names: [String]) -> Set<String> {
        var seen: Set<String> = []
        return Set(names.filter { !seen.insert($0).inserted })
    }
}

/// The work of one request, which counts what its earlier topics have taken.
private struct TopicPlanner {
    var mayBeInternal = false
    private let state: ClusterState
    private let settings: TopicSettings
    /// Founders that have not come yet.
    private let missing: [NodeID]
    private var placement: ReplicaPlacement
    private let usableCount: Int
    /// Topics planned so far, by collision key.
    private var planned: [String: TopicName] = [:]
    private var partitionsPlanned = 0

    init(_ state: ClusterState, settings: TopicSettings, usable: [NodeID], founders: [NodeID], seed: UInt64) {
        let alive = Set(usable)
        // A node that is being emptied is given nothing new.
        var loads = state.nodes.filter { state.state(of: $0.id) == .active }.map { node in
            ReplicaPlacement.Load(node: node.id, rack: node.rack, isUsable: alive.contains(node.id))
        }
        for topic in state.allTopics {
            for partition in topic.partitions {
                for (rank, replica) in partition.wanted.enumerated() {
                    let at = loads.firstPosition { $0.node >= replica }
                    guard at < loads.count, loads[at].node == replica else { continue }
                    loads[at].replicas += 1
                    if rank == 0 { loads[at].leaders += 1 }
                }
            }
        }
        self.state = state
        self.settings = settings
        missing = founders.filter { founder in
            state.node(founder) == nil && !state.removedNodes.contains { $0.id == founder }
        }
        usableCount = loads.count { $0.isUsable }
        placement = ReplicaPlacement(loads: loads, seed: seed)
    }

    mutating func plan(_ request: TopicRequest) throws(TopicRefusal) -> PlannedTopic {
        let name = try legalName(request.name)
        let configs = try legalConfigs(request.configs)
        let partitions =
            request.assignments.isEmpty ? try placed(request) : try assigned(request)
        planned[name.collisionKey] = name
        partitionsPlanned += partitions.count
        return PlannedTopic(name: name, partitions: partitions, configs: configs)
    }

    mutating func plan(_ request: PartitionsRequest) throws(TopicRefusal) -> AddedPartitions {
        let topic = try state.topic(named: request.name).get()
        guard !ClusterState.internalTopicNames.contains(topic.name.rawValue) else {
            throw TopicRefusal(
                .invalidTopic, "what lies where in '\(topic.name)' depends on its number of partitions, which is fixed")
        }
        let now = topic.partitions.count
        guard request.count > now else {
            let flaw = request.count == now ? "already has" : "cannot be cut below its"
            throw TopicRefusal(.invalidPartitions, "the topic \(flaw) \(now) partitions")
        }
        let count = Int(request.count) - now
        try checkRoom(for: count, inTopicAfter: now)
        let partitions: [PartitionPlacement]
        if let lists = request.assignments {
            guard lists.count == count else {
                throw TopicRefusal(
                    .invalidReplicaAssignment, "\(count) partitions are new, but \(lists.count) are assigned")
            }
            partitions = try legalPlacements(lists, replicationFactor: topic.replicationFactor)
        } else {
            try checkNodes(for: topic.replicationFactor)
            partitions = placement.place(
                count, replicationFactor: topic.replicationFactor, after: topic.partitions)
        }
        partitionsPlanned += count
        return AddedPartitions(topic: topic.id, after: now, partitions: partitions)
    }

    private func legalName(_ text: String) throws(TopicRefusal) -> TopicName {
        let name: TopicName
        do { name = try TopicName(text) } catch { throw TopicRefusal(.invalidTopic, error.description) }
        let isOurs = mayBeInternal && ClusterState.internalTopicNames.contains(text)
        guard isOurs || !ClusterState.reservedTopicNames.contains(text) else {
            throw TopicRefusal(.invalidTopic, "the name '\(name)' is reserved")
        }
        guard state.topic(named: name) == nil else {
            throw TopicRefusal(.topicAlreadyExists, "Topic '\(name)' already exists.")
        }
        if let other = state.collisionKeys[name.collisionKey] ?? planned[name.collisionKey] {
            throw TopicRefusal(.invalidTopic, "Topic '\(name)' collides with existing topic: \(other)")
        }
        guard state.topicNames.count + planned.count < settings.topicsMax else {
            throw TopicRefusal(.policyViolation, "the cluster may have \(settings.topicsMax) topics (topics.max)")
        }
        return name
    }

    private func legalConfigs(_ given: [TopicRequest.Config]) throws(TopicRefusal) -> TopicConfigs {
        let configs: TopicConfigs
        do {
            configs = try TopicConfigs(validating: given.map { ($0.name, $0.value) })
        } catch {
            throw TopicRefusal(.invalidConfig, error.description)
        }
        return try ClusterState.judged(configs, TopicDefaults())
    }

    private mutating func placed(_ request: TopicRequest) throws(TopicRefusal) -> [PartitionPlacement] {
        guard request.replicationFactor == -1 || request.replicationFactor > 0 else {
            throw TopicRefusal(
                .invalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
        }
        guard request.partitions == -1 || request.partitions > 0 else {
            throw TopicRefusal(
                .invalidPartitions, "Number of partitions must be larger than 0, or -1 to use the default value.")
        }
        let count = request.partitions == -1 ? settings.defaultPartitions : Int(request.partitions)
        try checkRoom(for: count, inTopicAfter: 0)
        let replicas = request.replicationFactor == -1 ? defaultReplicationFactor : Int(request.replicationFactor)
        try checkNodes(for: replicas)
        return placement.place(count, replicationFactor: replicas, after: [])
    }

    private var defaultReplicationFactor: Int {
        let chosen = settings.defaultReplicationFactor
        return chosen > 0 ? chosen : min(3, max(1, placement.loads.count + missing.count))
    }

    private func checkNodes(for replicas: Int) throws(TopicRefusal) {
        guard replicas <= ClusterState.replicationFactorMax else {
            throw TopicRefusal(
                .invalidReplicationFactor,
                "a partition has at most \(ClusterState.replicationFactorMax) replicas, not \(replicas)")
        }
        let nodes = placement.loads.count
        guard replicas <= nodes else {
            throw TopicRefusal(
                .invalidReplicationFactor,
                "\(replicas) replicas need as many nodes, and only \(nodes) have registered and stay"
                    + (missing.isEmpty ? "" : "; \(missing) of cluster.voters have not come yet: start them"))
        }
        guard usableCount > replicas / 2 else {
            throw TopicRefusal(
                .invalidReplicationFactor,
                "only \(usableCount) nodes are alive, fewer than a majority of \(replicas) replicas")
        }
    }

    private func checkRoom(for count: Int, inTopicAfter now: Int) throws(TopicRefusal) {
        guard now + count <= settings.partitionsPerTopicMax else {
            throw TopicRefusal(
                .policyViolation,
                "a topic may have \(settings.partitionsPerTopicMax) partitions (partitions.per.topic.max)")
        }
        guard partitionsPlanned + count <= settings.partitionsPerRequestMax else {
            throw TopicRefusal(
                .policyViolation,
                "a request may create \(settings.partitionsPerRequestMax) partitions (partitions.per.request.max)")
        }
        guard state.partitionCount + partitionsPlanned + count <= settings.partitionsMax else {
            throw TopicRefusal(
                .policyViolation, "the cluster may have \(settings.partitionsMax) partitions (partitions.max)")
        }
    }

    private func assigned(_ request: TopicRequest) throws(TopicRefusal) -> [PartitionPlacement] {
        guard request.replicationFactor == -1 else {
            throw TopicRefusal(
                .invalidRequest, "with manual assignments the replication factor must be -1")
        }
        guard request.partitions == -1 else {
            throw TopicRefusal(.invalidRequest, "with manual assignments the number of partitions must be -1")
        }
        try checkRoom(for: request.assignments.count, inTopicAfter: 0)
        let sorted = request.assignments.sorted { $0.partition < $1.partition }
        for (index, assignment) in sorted.enumerated() where assignment.partition != Int32(index) {
            if index > 0, sorted[index - 1].partition == assignment.partition {
                throw TopicRefusal(
                    .invalidReplicaAssignment, "partition \(assignment.partition) is assigned more than once")
            }
            throw TopicRefusal(
                .invalidReplicaAssignment, "partitions must be numbered from 0 without a gap: \(index) is missing")
        }
        return try legalPlacements(sorted.map(\.replicas), replicationFactor: nil)
    }

    private func legalPlacements(
        _ lists: [[Int32]], replicationFactor: Int?
    ) throws(TopicRefusal) -> [PartitionPlacement] {
        var placements: [PartitionPlacement] = []
        let factor = replicationFactor ?? lists.first?.count ?? 0
        for list in lists {
            guard !list.isEmpty else {
                throw TopicRefusal(.invalidReplicaAssignment, "a partition is assigned no replicas")
            }
            guard list.count <= ClusterState.replicationFactorMax else {
                throw TopicRefusal(
                    .invalidReplicaAssignment,
                    "a partition has at most \(ClusterState.replicationFactorMax) replicas")
            }
            guard list.count == factor else {
                throw TopicRefusal(
                    .invalidReplicaAssignment,
                    "one partition is assigned \(list.count) replicas and another has \(factor)")
            }
            guard Set(list).count == list.count else {
                throw TopicRefusal(.invalidReplicaAssignment, "a partition is assigned to one node more than once")
            }
            var replicas: [NodeID] = []
            for number in list {
                guard number >= 0, state.node(NodeID(number)) != nil else {
                    throw TopicRefusal(.invalidReplicaAssignment, "node \(number) has not registered")
                }
                replicas.append(NodeID(number))
            }
            placements.append(PartitionPlacement(replicas: replicas))
        }
        return placements
    }
}
