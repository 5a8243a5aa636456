// SPDX-License-Identifier: Apache-2.0

import LogModel
import LogStorage
import MetadataCore
import NIOCore
import Replication
import Settings

/// Turns what the cluster's state says about this node into the partitions that its shards keep.
struct Hosting: Sendable {
    let node: NodeID
    let shards: Int
    let topicsDirectory: String
    let directoryID: DirectoryID
    let defaults: TopicDefaults
    let tailBytes: ByteCount
    let unpackedBytes: ByteCount
    let producersMax: Int

    init(_ settings: NodeSettings, shards: Int, directory: DataDirectory) {
        node = settings.node.id
        self.shards = shards
        topicsDirectory = directory.topics
        let id = directory.identity.directory
        directoryID = DirectoryID(high: id.high, low: id.low)
        defaults = TopicDefaults(settings)
        tailBytes = settings.storage.tailBytes
        unpackedBytes = settings.requests.decompressedBytesMax
        producersMax = settings.storage.producersMax
    }

    /// Opens what is new on this shard and lets go what was deleted.
    func reconcile(_ cell: ShardCell, with state: ClusterState, deleted: [Topic]) {
        guard !cell.shard.isStopping else { return }
        for topic in deleted { drop(topic, from: cell) }
        for topic in state.allTopics {
            let configs = topic.configs.effective(defaults)
            let hasLost = state.hasLost(topic, on: node, directory: directoryID)
            for (index, placement) in topic.partitions.enumerated() where placement.replicas.contains(node) {
                let partition = PartitionID(topic: topic.id, index: Int32(index))
                guard partition.shard(of: shards) == cell.index else { continue }
                guard cell.shard.replica(partition) == nil, !cell.shard.isOpening(partition) else { continue }
                cell.shard.host(assignment(of: partition, placement, configs, hasLost: hasLost))
            }
        }
        dropUnknown(state, from: cell)
    }

    private func drop(_ topic: Topic, from cell: ShardCell) {
        for (index, placement) in topic.partitions.enumerated() where placement.replicas.contains(node) {
            let partition = PartitionID(topic: topic.id, index: Int32(index))
            guard partition.shard(of: shards) == cell.index else { continue }
            cell.shard.drop(partition, in: directory(of: partition))
        }
    }

    /// A snapshot says only what is left: partitions whose topic it does not know were deleted before it.
    private func dropUnknown(_ state: ClusterState, from cell: ShardCell) {
        for replica in cell.shard.allReplicas where replica.id != .metadata && state.topic(replica.id.topic) == nil {
            cell.shard.drop(replica.id, in: directory(of: replica.id))
        }
    }

    private func directory(of partition: PartitionID) -> String {
        DataDirectory.log(of: partition, in: topicsDirectory)
    }

    private func assignment(
        of partition: PartitionID, _ placement: PartitionPlacement, _ configs: EffectiveTopicConfigs, hasLost: Bool
    ) -> ReplicaAssignment {
        ReplicaAssignment(
            partition: partition, replicas: placement.replicas, directory: directory(of: partition),
            limits: LogLimits(
                segmentBytes: configs.segmentBytes, segmentMilliseconds: configs.segmentMilliseconds,
                indexIntervalBytes: configs.indexInterval, tailBytes: tailBytes, unpackedBytes: unpackedBytes,
                producersMax: producersMax),
            retention: .init(milliseconds: configs.retentionMilliseconds, bytes: configs.retentionBytes),
            // What only this node had is gone with its disk; there is nobody to wait for.
            mayHaveForgotten: hasLost && placement.replicas.count > 1)
    }
}
