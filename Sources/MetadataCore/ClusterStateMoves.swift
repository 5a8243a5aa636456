// SPDX-License-Identifier: Apache-2.0

import LogModel

/// Moves of partitions, and nodes that leave.
extension ClusterState {
    mutating func reassign(_ moves: [PartitionMove]) -> MetadataChange {
        guard !moves.isEmpty, moves.count <= MetadataBounds.moves, Set(moves.map(\.partition)).count == moves.count
        else { return .refused(.invalidPlacement) }
        for move in moves {
            if let refusal = refusal(of: move) { return .refused(refusal) }
        }
        var changed: [PartitionID] = []
        for move in moves {
            let placement = topics[move.partition.topic]?.partitions[Int(move.partition.index)]
            guard let placement else { continue }
            let next = placement.moved(to: move.target ?? placement.replicas)
            guard next != placement else { continue }
            replace(move.partition, by: next)
            changed.append(move.partition)
        }
        return changed.isEmpty ? .nothing : .placementsChanged(changed)
    }

    private func refusal(of move: PartitionMove) -> MetadataRefusal? {
        guard let placement = placement(of: move.partition) else { return .unknownPartition(move.partition) }
        guard let target = move.target else {
            return placement.target == nil ? .noReassignmentInProgress(move.partition) : nil
        }
        guard (1...MetadataBounds.replicas).contains(target.count), Set(target).count == target.count else {
            return .invalidPlacement
        }
        return target.first { node($0) == nil }.map { .unknownNode($0) }
    }

    mutating func complete(_ partition: PartitionID, _ voters: [NodeID]) -> MetadataChange {
        guard let placement = placement(of: partition) else { return .refused(.unknownPartition(partition)) }
        guard Set(voters) == Set(placement.wanted), voters.count == placement.wanted.count else {
            return .refused(.votersNotWanted(partition))
        }
        guard placement.isMoving else { return .nothing }
        replace(partition, by: placement.completed())
        return .placementsChanged([partition])
    }

    mutating func replace(_ partition: PartitionID, by placement: PartitionPlacement) {
        let index = Int(partition.index)
        guard let old = topics[partition.topic]?.partitions[index] else { return }
        movingCount += (placement.isMoving ? 1 : 0) - (old.isMoving ? 1 : 0)
        topics[partition.topic]?.partitions[index] = placement
    }

    mutating func set(_ state: NodeState, of node: NodeID) -> MetadataChange {
        guard let current = self.state(of: node) else { return .refused(.unknownNode(node)) }
        guard current != state else { return .nothing }
        switch state {
        case .active: drainingNodes.removeAll { $0 == node }
        case .draining: drainingNodes.insert(node, at: drainingNodes.firstPosition { $0 >= node })
        }
        return .nodeStateChanged(node, state)
    }

    mutating func remove(_ id: NodeID) -> MetadataChange {
        guard let node = node(id) else { return .refused(.unknownNode(id)) }
        let kept = partitions(on: id).count
        guard kept == 0 else { return .refused(.nodeKeepsReplicas(id, count: kept)) }
        nodes.removeAll { $0.id == id }
        drainingNodes.removeAll { $0 == id }
        voterWishes.removeAll { $0.id == id }
        directoriesSince[id] = nil
        removedNodes.append(RemovedNode(id: id, directory: node.directory))
        if removedNodes.count > MetadataBounds.removedNodes { removedNodes.removeFirst() }
        return .nodeRemoved(node)
    }

    mutating func note(_ wish: VoterWish?, of id: NodeID) -> MetadataChange {
        guard node(id) != nil else { return .refused(.unknownNode(id)) }
        guard voterWishes.first(where: { $0.id == id })?.wish != wish else { return .nothing }
        voterWishes.removeAll { $0.id == id }
        if let wish {
            voterWishes.insert(
                WishedVoter(id: id, wish: wish), at: voterWishes.firstPosition { $0.id >= id })
        }
        return .voterWished(id, wish)
    }

    // MARK: - In a snapshot

    /// Only what is not plain is written, so that a snapshot of a cluster at rest is as long as ever.
    func writeMoves(to writer: inout MetadataWriter) {
        let topics = allTopics
        writer.count(topics.reduce(0) { $0 + $1.partitions.count { !$0.isPlain } })
        for topic in topics {
            for (index, placement) in topic.partitions.enumerated() where !placement.isPlain {
                writer.partition(PartitionID(topic: topic.id, index: Int32(index)))
                writer.nodes(placement.founders)
                writer.byte(placement.target == nil ? 0 : 1)
                if let target = placement.target { writer.nodes(target) }
                writer.nodes(placement.leaving)
            }
        }
        writer.count(drainingNodes.count)
        for node in drainingNodes { writer.node(node) }
        writer.count(removedNodes.count)
        for removed in removedNodes {
            writer.node(removed.id)
            writer.fixed(removed.directory.high)
            writer.fixed(removed.directory.low)
        }
        writer.byte(isRebalancing ? 1 : 0)
        writer.count(voterWishes.count)
        for voter in voterWishes {
            writer.node(voter.id)
            writer.byte(voter.wish.rawValue)
        }
    }

    mutating func readMoves(from reader: inout MetadataReader) throws(MetadataDecodingError) {
        // 20 bytes: a partition that somebody has moved, and nothing else.
        var last: (name: TopicName, index: Int32)?
        for _ in 0..<(try reader.count(of: 20, max: MetadataBounds.partitions, "the count of moved partitions")) {
            let partition = try reader.partition()
            guard let topic = topics[partition.topic], let old = placement(of: partition) else {
                throw .malformed("a moved partition")
            }
            if let last, (last.name, last.index) >= (topic.name, partition.index) {
                throw .malformed("the order of moved partitions")
            }
            last = (topic.name, partition.index)
            let founders = try reader.nodes()
            let target = try reader.flag("a move") ? try reader.nodes() : nil
            let placement = PartitionPlacement(
                replicas: old.replicas, founders: founders, target: target, leaving: try reader.nodes())
            guard isPossible(placement) else { throw .malformed("a moved partition") }
            replace(partition, by: placement)
        }
        for _ in 0..<(try reader.count(of: 1, max: MetadataBounds.nodes, "the count of draining nodes")) {
            let id = try reader.node()
            guard node(id) != nil, drainingNodes.last.map({ $0 < id }) ?? true else {
                throw .malformed("the draining nodes")
            }
            drainingNodes.append(id)
        }
        for _ in 0..<(try reader.count(of: 17, max: MetadataBounds.removedNodes, "the count of removed nodes")) {
            let id = try reader.node()
            let directory = DirectoryID(high: try reader.fixed(), low: try reader.fixed())
            removedNodes.append(RemovedNode(id: id, directory: directory))
        }
        isRebalancing = try reader.flag("a wish for balance")
        for _ in 0..<(try reader.count(of: 2, max: MetadataBounds.nodes, "the count of wished voters")) {
            let id = try reader.node()
            guard node(id) != nil, voterWishes.last.map({ $0.id < id }) ?? true,
                let wish = VoterWish(rawValue: try reader.byte())
            else { throw .malformed("the wished voters") }
            voterWishes.append(WishedVoter(id: id, wish: wish))
        }
        guard snapshotNeedsMoves, clusterID != nil else { throw .malformed("the count of moved partitions") }
    }

    /// Whether `apply` could have made it.
    private func isPossible(_ placement: PartitionPlacement) -> Bool {
        let staying = placement.replicas + (placement.target ?? [])
        guard !placement.isPlain, placement.founders.isEmpty || Set(placement.founders) == Set(placement.replicas),
            placement.founders.isEmpty || placement.founders.count == placement.replicas.count,
            placement.leaving == placement.leaving.sorted(), Set(placement.leaving).count == placement.leaving.count,
            placement.leaving.allSatisfy({ node($0) != nil && !staying.contains($0) })
        else { return false }
        guard let target = placement.target else { return true }
        return !target.isEmpty && Set(target).count == target.count && Set(target) != Set(placement.replicas)
            && target.allSatisfy { node($0) != nil }
    }
}
