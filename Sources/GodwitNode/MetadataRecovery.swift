// SPDX-License-Identifier: Apache-2.0

package import Broker
package import Disk
package import LogModel
import LogStorage
package import Logging
import Replication

/// What is read of a node's metadata before its group is opened.
///
/// A snapshot that is missing and one that is damaged are two things: the log says everything that the first would, as
/// long as it begins at its beginning, but nothing here says what the second held. So:
///
///     snapshot   log begins    what is done
///     sound      anywhere      it is read, and the log from its end on
///     missing    at 0          the log is read
///     missing    later         the node does not start: something else than the disk has been at work
///     damaged    at 0          it is set aside, and the log is read
///     damaged    later         log and snapshot are given up and fetched from the peers; until then there is no vote
///     damaged    later, alone  the node does not start
package struct MetadataRecovery<Files: FileSystem> {
    private let directory: String
    private let files: Files
    private let logger: Logger

    package init(in directory: String, files: Files, logger: Logger) {
        self.directory = directory
        self.files = files
        self.logger = logger
    }

    /// - Parameter hasPeers: whether other nodes keep the metadata too.
    package func restore(hasPeers: Bool, now: Timestamp) throws(NodeError) -> MetadataSnapshot? {
        let snapshots = MetadataSnapshotFile(in: directory, files: files)
        let damage: MetadataSnapshot.Damage
        do {
            try snapshots.removeLeftovers()
            return try snapshots.read()
        } catch let found as MetadataSnapshot.Damage where found.isRot {
            damage = found
        } catch {
            throw .storage("\(directory)/snapshot cannot be read: \(error)")
        }
        do {
            let start = try logStart(now: now)
            if start == .some(.zero) {
                logger.error(
                    "the metadata snapshot is set aside, because all of the log is there",
                    metadata: ["reason": "\(damage)"])
            } else if hasPeers {
                logger.error(
                    "the metadata is given up and fetched from the peers; until then this node has no vote in it",
                    metadata: ["reason": "\(damage)"])
                try Rebuilding.discard(directory + "/log", in: files)
            } else {
                throw NodeError.storage(
                    "\(directory)/snapshot: \(damage); no other node has the metadata, and the log does not "
                        + "begin at its beginning: restore \(directory) from a copy")
            }
            // Last, so that a crash before this finds the damage again.
            try snapshots.setAside()
        } catch let error as NodeError {
            throw error
        } catch {
            throw .storage("\(directory) cannot be recovered: \(error)")
        }
        return nil
    }

    /// Where the log begins; `nil` when there is none.
    private func logStart(now: Timestamp) throws -> Offset? {
        let path = directory + "/log"
        guard try files.exists(path) else { return nil }
        let log = try PartitionLog.open(directory: path, in: files, limits: LogLimits(), now: now)
        defer { try? log.close() }
        return log.firstOffset
    }
}
