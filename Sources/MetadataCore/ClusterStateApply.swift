// SPDX-License-Identifier: Apache-2.0

public import LogModel
import Settings

extension ClusterState {
    /// Takes the committed command at `offset` of the metadata log, and says what it did.
    ///
    /// Total and deterministic. A command that the state forbids changes nothing but `end`; its proposer turns the
    /// refusal into an answer for its client. The rules here are part of the log's meaning: every version of Godwit
    /// must judge an old command alike, so whatever may change with time (policies, legal values of configs) is checked
    /// before a command is proposed and never here.
    ///
    /// - Complexity: O(*t* + *p*) in topics and the command's partitions.
    @discardableResult
    public mutating func apply(_ command: MetadataCommand, at offset: Offset) -> MetadataChange {
        guard offset >= end else { return .alreadyApplied }
        end = offset + RecordCount(1)
        if case .formCluster(let id) = command { return form(id) }
        guard clusterID != nil else { return .refused(.clusterNotFormed) }
        switch command {
        case .formCluster(let id): return form(id)
        case .registerNode(let node): return register(node, at: offset)
        case .createTopic(let topic): return create(topic, at: offset)
        case .deleteTopic(let id): return delete(id)
        case .createPartitions(let added): return add(added)
        case .alterTopicConfigs(let id, let configs):
            guard var topic = topics[id] else { return .refused(.unknownTopic(id)) }
            guard topic.configs != configs else { return .nothing }
            topic.configs = configs
            topics[id] = topic
            return .topicConfigsAltered(topic)
        case .changeTopicConfigs(let id, let changes): return change(id, changes)
        case .changeGroupConfigs(let group, let changes): return change(group, changes)
        case .allocateProducerIDs(let claim): return allocate(for: claim)
        case .reassign(let moves): return reassign(moves)
        case .completeReassignment(let partition, let voters): return complete(partition, voters)
        case .setNodeState(let node, let state): return set(state, of: node)
        case .removeNode(let node): return remove(node)
        case .wishVoter(let node, let wish): return note(wish, of: node)
        case .setRebalancing(let isWanted):
            guard isRebalancing != isWanted else { return .nothing }
            isRebalancing = isWanted
            return .rebalancingChanged(isWanted)
        }
    }

    private mutating func change(_ id: TopicID, _ changes: [ConfigChange]) -> MetadataChange {
        guard var topic = topics[id] else { return .refused(.unknownTopic(id)) }
        guard let configs = topic.configs.applying(changes) else { return .refused(.tooManyConfigs) }
        guard topic.configs != configs else { return .nothing }
        topic.configs = configs
        topics[id] = topic
        return .topicConfigsAltered(topic)
    }

    private mutating func change(_ group: String, _ changes: [ConfigChange]) -> MetadataChange {
        let old = groupConfigs(of: group)
        guard let configs = old.applying(changes) else { return .refused(.tooManyConfigs) }
        guard configs != old else { return .nothing }
        let at = configuredGroups.firstPosition { $0.name >= group }
        let isThere = at < configuredGroups.count && configuredGroups[at].name == group
        switch (isThere, configs.overrides.isEmpty) {
        case (true, true): configuredGroups.remove(at: at)
        case (true, false): configuredGroups[at].configs = configs
        case (false, _):
            guard configuredGroups.count < MetadataBounds.groups else { return .refused(.tooManyConfigs) }
            configuredGroups.insert(ConfiguredGroup(name: group, configs: configs), at: at)
        }
        return .groupConfigsChanged(group, configs)
    }

    private mutating func form(_ id: ClusterID) -> MetadataChange {
        if let clusterID { return clusterID == id ? .nothing : .refused(.clusterAlreadyFormed(clusterID)) }
        clusterID = id
        return .clusterFormed(id)
    }

    private mutating func register(_ node: NodeRegistration, at offset: Offset) -> MetadataChange {
        guard !wasRemoved(node.id, directory: node.directory) else {
            return .refused(.nodeWasRemoved(node.id))
        }
        let at = nodes.firstPosition { $0.id >= node.id }
        guard at < nodes.count, nodes[at].id == node.id else {
            nodes.insert(node, at: at)
            directoriesSince[node.id] = offset
            return .nodeRegistered(node, previous: nil)
        }
        let previous = nodes[at]
        guard previous != node else { return .nothing }
        nodes[at] = node
        if previous.directory != node.directory { directoriesSince[node.id] = offset }
        return .nodeRegistered(node, previous: previous)
    }

    private mutating func create(_ new: NewTopic, at offset: Offset) -> MetadataChange {
        if let existing = ids[new.name] {
            return existing == new.id ? .nothing : .refused(.topicAlreadyExists(new.name))
        }
        if let other = collisionKeys[new.name.collisionKey] { return .refused(.topicNameCollides(with: other)) }
        guard topics[new.id] == nil, new.id != .zero, new.id != .metadata else {
            return .refused(.topicIDInUse(new.id))
        }
        if let refusal = refusal(of: new.partitions, after: 0) { return .refused(refusal) }
        let topic = Topic(
            id: new.id, name: new.name, partitions: new.partitions, configs: new.configs, created: new.created,
            createdAt: offset)
        insert(topic)
        return .topicCreated(topic)
    }

    /// Adds a topic that is known to fit in.
    mutating func insert(_ topic: Topic) {
        topics[topic.id] = topic
        ids[topic.name] = topic.id
        collisionKeys[topic.name.collisionKey] = topic.name
        topicNames.insert(topic.name, at: topicNames.firstPosition { $0 >= topic.name })
        partitionCount += topic.partitions.count
    }

    private mutating func delete(_ id: TopicID) -> MetadataChange {
        guard let topic = topics.removeValue(forKey: id) else { return .refused(.unknownTopic(id)) }
        ids[topic.name] = nil
        collisionKeys[topic.name.collisionKey] = nil
        topicNames.remove(at: topicNames.firstPosition { $0 >= topic.name })
        partitionCount -= topic.partitions.count
        movingCount -= topic.partitions.count { $0.isMoving }
        return .topicDeleted(topic)
    }

    private mutating func add(_ added: AddedPartitions) -> MetadataChange {
        guard var topic = topics[added.topic] else { return .refused(.unknownTopic(added.topic)) }
        let count = topic.partitions.count
        guard count == added.after else { return .refused(.partitionCountChanged(now: count)) }
        if let refusal = refusal(of: added.partitions, after: count) { return .refused(refusal) }
        topic.partitions += added.partitions
        topics[topic.id] = topic
        partitionCount += added.partitions.count
        return .partitionsCreated(topic, from: count)
    }

    private mutating func allocate(for claim: ProducerIDClaim) -> MetadataChange {
        guard node(claim.node) != nil else { return .refused(.unknownNode(claim.node)) }
        guard nextProducerID <= Int64.max - ProducerIDBlock.size else { return .refused(.producerIDsExhausted) }
        let block = ProducerIDBlock(first: nextProducerID)
        nextProducerID += block.count
        return .producerIDsAllocated(block, for: claim)
    }

    /// Why these cannot be the placements of partitions that follow `count` others, if they cannot.
    func refusal(of placements: [PartitionPlacement], after count: Int) -> MetadataRefusal? {
        guard !placements.isEmpty, count + placements.count <= MetadataBounds.partitions else {
            return .invalidPlacement
        }
        for placement in placements {
            let replicas = placement.replicas
            guard (1...MetadataBounds.replicas).contains(replicas.count), Set(replicas).count == replicas.count else {
                return .invalidPlacement
            }
            for replica in replicas where node(replica) == nil { return .unknownNode(replica) }
        }
        return nil
    }
}
