// SPDX-License-Identifier: Apache-2.0

import Broker
import Disk
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import Replication
package import Settings

/// Turns what the cluster's state says about this node into the partitions that its shards keep.
package struct Hosting: Sendable {
    let node: NodeID
    let shards: Int
    let topicsDirectory: String
    let directoryID: DirectoryID
    let defaults: TopicDefaults
    let tailBytes: ByteCount
    let unpackedBytes: ByteCount
    let producersMax: Int

    package init(_ settings: NodeSettings, shards: Int, directory: any NodeMemory) {
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

    /// Opens what is new on this shard, lets go what was deleted, and sees to it that what has moved away goes in time.
    func reconcile(_ cell: NodeCell<some CellEnvironment>, with state: ClusterState, deleted: [Topic]) {
        guard !cell.shard.isStopping else { return }
        cell.hosting = self
        for topic in deleted { drop(topic, from: cell) }
        for topic in state.allTopics {
            let configs = topic.configs.effective(defaults)
            let hasLost = state.hasLost(topic, on: node, directory: directoryID)
            for (index, placement) in topic.partitions.enumerated() where placement.isKept(by: node) {
                let partition = PartitionID(topic: topic.id, index: Int32(index))
                guard partition.shard(of: shards) == cell.index else { continue }
                cell.moves.keep(partition)
                let wanted = assignment(of: partition, placement, configs, hasLost: hasLost)
                if let replica = cell.shard.replica(partition) {
                    if replica.assignment.keepsOtherwise(than: wanted) { replica.adopt(wanted) }
                } else if !cell.shard.isOpening(partition) {
                    cell.shard.host(wanted) { [unowned cell] _ in self.catchUp(partition, on: cell) }
                }
            }
        }
        dropUnknown(state, from: cell)
        for replica in cell.shard.allReplicas where replica.id != .metadata {
            guard let placement = state.placement(of: replica.id), !placement.isKept(by: node) else { continue }
            cell.moves.release(replica.id, now: cell.environment.now)
        }
    }

    /// A copy that nobody counts on any more goes.
    func letGo(of partition: PartitionID, on cell: NodeCell<some CellEnvironment>) {
        cell.shard.drop(partition, in: directory(of: partition))
    }

    /// The configs or the replicas may have been altered while the log was being opened.
    private func catchUp(_ partition: PartitionID, on cell: NodeCell<some CellEnvironment>) {
        let state = cell.broker.view.cluster
        guard let replica = cell.shard.replica(partition), let topic = state.topic(partition.topic),
            let placement = state.placement(of: partition)
        else { return }
        guard placement.isKept(by: node) else {
            return cell.moves.release(partition, now: cell.environment.now)
        }
        let wanted = assignment(of: partition, placement, topic.configs.effective(defaults), hasLost: false)
        if replica.assignment.keepsOtherwise(than: wanted) { replica.adopt(wanted) }
    }

    private func drop(_ topic: Topic, from cell: NodeCell<some CellEnvironment>) {
        for (index, placement) in topic.partitions.enumerated() {
            let partition = PartitionID(topic: topic.id, index: Int32(index))
            guard partition.shard(of: shards) == cell.index else { continue }
            guard placement.isKept(by: node) || cell.shard.replica(partition) != nil else { continue }
            cell.moves.forget(partition)
            cell.shard.drop(partition, in: directory(of: partition))
        }
    }

    /// A snapshot says only what is left: partitions whose topic it does not know were deleted before it.
    private func dropUnknown(_ state: ClusterState, from cell: NodeCell<some CellEnvironment>) {
        for replica in cell.shard.allReplicas where replica.id != .metadata && state.topic(replica.id.topic) == nil {
            cell.shard.drop(replica.id, in: directory(of: replica.id))
        }
    }

    /// Lets go of copies that moved away while this node was down, or that it was about to let go when it ended. Of
    /// topics that the state does not know nothing is touched: whose they are is for people to find out.
    func sweep(_ cell: NodeCell<some CellEnvironment>) {
        let files = cell.environment.files
        let topics = topicsDirectory
        cell.environment.submit({ (try? files.list(topics)) ?? [] }) { [unowned cell] names in
            let state = cell.broker.view.cluster
            let remains = names.filter { $0.hasSuffix(DepartedLog.suffix) }.map { "\(topics)/\($0)" }
            if cell.index == 0, !remains.isEmpty {
                // One that cannot be removed now is tried again at the next start.
                cell.environment.submit({ for path in remains { try? files.removeTree(path) } }) { _ in }
            }
            for partition in names.compactMap(DataDirectory.partition(ofLog:)) {
                guard partition.shard(of: shards) == cell.index, cell.shard.replica(partition) == nil,
                    !cell.shard.isOpening(partition), let placement = state.placement(of: partition),
                    !placement.isKept(by: node)
                else { continue }
                letGo(of: partition, on: cell)
            }
        }
    }

    private func directory(of partition: PartitionID) -> String {
        DataDirectory.log(of: partition, in: topicsDirectory)
    }

    private func assignment(
        of partition: PartitionID, _ placement: PartitionPlacement, _ configs: EffectiveTopicConfigs, hasLost: Bool
    ) -> ReplicaAssignment {
        ReplicaAssignment(
            partition: partition, founders: placement.founders, replicas: placement.wanted,
            isSettled: !placement.isMoving, directory: directory(of: partition),
            limits: LogLimits(
                segmentBytes: configs.segmentBytes, segmentMilliseconds: configs.segmentAge,
                indexIntervalBytes: configs.indexInterval, tailBytes: tailBytes, unpackedBytes: unpackedBytes,
                deleteDelayMilliseconds: configs.fileDeleteDelayMilliseconds,
                producersMax: producersMax),
            policy: LogPolicy(configs),
            // What only this node had is gone with its disk; there is nobody to wait for.
            mayHaveForgotten: hasLost && placement.hosts.count > 1)
    }
}

extension LogPolicy {
    init(_ configs: EffectiveTopicConfigs) {
        self.init()
        if configs.isDeleted {
            retention = Retention(milliseconds: configs.retentionMilliseconds, bytes: configs.retentionBytes)
        }
        if configs.isCompacted {
            compaction = CleaningRules(
                minDirtyShare: configs.minCleanableDirtyRatio, minLag: configs.minCompactionLagMilliseconds,
                maxLag: configs.maxCompactionLagMilliseconds, deleteRetention: configs.deleteRetentionMilliseconds)
        }
    }
}

extension EffectiveTopicConfigs {
    /// What is written to is not compacted, so a bound of the age at compaction bounds that of a segment too.
    fileprivate var segmentAge: Int64 {
        isCompacted ? min(segmentMilliseconds, maxCompactionLagMilliseconds) : segmentMilliseconds
    }
}
