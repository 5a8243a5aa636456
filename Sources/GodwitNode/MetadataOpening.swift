// SPDX-License-Identifier: Apache-2.0

package import Broker
import LogModel
import LogStorage
package import Logging
import MetadataCore
package import NIOCore
import Replication
package import Settings

extension NodeCell {
    /// The metadata log is small, and only whole segments go when a snapshot covers them.
    private static var metadataSegment: ByteCount { .mebibytes(1) }

    /// Opens the metadata group here, on shard 0, and puts the controller's residence between it and the node.
    ///
    /// - Parameters:
    ///   - restored: what the snapshot file held, if there was one.
    ///   - random: what ids and the order of placements are drawn from.
    ///   - opened: told on this loop once the group's log is open, or why it cannot be.
    package func openMetadata(
        _ cells: [NIOLoopBound<NodeCell>], settings: NodeSettings, directory: any NodeMemory,
        restored: MetadataSnapshot?, random: any RandomNumberGenerator = SystemRandomNumberGenerator(), logger: Logger,
        opened: @escaping (Result<Void, any Error>) -> Void
    ) {
        var ids = random
        let controller = Controller(
            shard: shard, snapshots: MetadataSnapshotFile(in: directory.metadata, files: environment.files),
            restored: restored, drawID: { TopicID(high: ids.next(), low: ids.next()) },
            publish: { [unowned self] _, deleted in self.residence?.stateChanged(deleted: deleted) })
        let residence = ControllerResidence(
            controller: controller, cells: cells, home: self,
            hosting: Hosting(settings, shards: cells.count, directory: directory), settings: settings,
            directory: directory, random: random, logger: logger)
        self.residence = residence
        // Peers may have connected before anybody was there to hear of it.
        residence.connectionsChanged()
        // Who is to belong to the group later, its leader decides: see `ControllerResidence.keepVoters`.
        let founders = residence.founders
        let assignment = ReplicaAssignment(
            partition: .metadata, founders: founders, replicas: [], directory: directory.metadata + "/log",
            limits: LogLimits(segmentBytes: Self.metadataSegment),
            mayHaveForgotten: founders.count > 1 || directory.identity.cluster != nil)
        shard.host(assignment, state: controller) { [unowned self] outcome in
            switch outcome {
            case .success:
                let start = shard.replica(.metadata)?.logStart ?? .zero
                guard start <= controller.nextOffset else {
                    let reason =
                        "the metadata log begins at \(start), but the snapshot ends at \(controller.nextOffset): "
                        + "delete this node's data directory and let its peers rebuild it"
                    return opened(.failure(NodeError.storage(reason)))
                }
                opened(.success(()))
            case .failure(let error):
                opened(.failure(NodeError.storage("the metadata log cannot be opened: \(error)")))
            }
        }
        controller.publishRestored()
    }
}
