// SPDX-License-Identifier: Apache-2.0

package import Disk
import LogModel
import LogStorage
import RaftCore

/// A replica whose log was lost with its disk has forgotten what it acknowledged and for whom it voted. Were it to vote
/// now, it could help a peer to win that lacks what the two of them were a majority for:
///
///     a (leader)  1 2 3        3 is committed by a and b
///     b           1 2 3   ──▶  b's disk is replaced, a dies, and b and c elect c: 3 is lost
///     c           1 2
///
/// So it follows and stores like any other, but neither votes nor stands until its leader says that its disk holds
/// everything that was ever committed; its acknowledgements say that it is being rebuilt, and the leader counts them
/// only once it is certain that no later leader can have had this replica's promise: see `RaftNode.judgeMemory`. That
/// it is not so far yet must outlast a restart: a file beside the log's directory says it, made durable before the
/// directory is.
///
/// A replica that was not there when the group was founded is taken for one that has lost its log: it may have been a
/// member before, and then promised something.
package struct Rebuilding {
    private let file: String
    private let parent: String

    init(_ directory: String) {
        file = directory + ".rebuilding"
        parent = RealFileSystem.parent(of: directory)
    }

    /// Whether the replica is being rebuilt, or begins to be: no log is there, where one should be.
    func isUnderWay<Files: FileSystem>(
        _ assignment: ReplicaAssignment, on node: NodeID, in files: Files
    ) throws(DiskError) -> Bool {
        if try files.exists(file) { return true }
        guard assignment.mayHaveForgotten || !assignment.founders.contains(node),
            try !files.exists(assignment.directory)
        else { return false }
        let marker = try files.open(file, .createOrOpen)
        try marker.synchronize()
        try files.synchronizeDirectory(parent)
        return true
    }

    /// Gives up the log in `directory`, which is of no use by itself: from the next start on it is lost, and is fetched
    /// from the peers. Durable when it returns; may be done again after a crash in the middle.
    package static func discard<Files: FileSystem>(_ directory: String, in files: Files) throws(DiskError) {
        let rebuilding = Rebuilding(directory)
        let marker = try files.open(rebuilding.file, .createOrOpen)
        try marker.synchronize()
        try files.synchronizeDirectory(rebuilding.parent)
        try files.removeTree(directory)
        try files.synchronizeDirectory(rebuilding.parent)
    }

    func end<Files: FileSystem>(in files: Files) throws(DiskError) {
        guard try files.exists(file) else { return }
        try files.remove(file)
        try files.synchronizeDirectory(parent)
    }
}

extension Replica {
    /// Whether this replica has no vote yet because its log was lost.
    public var isRebuilding: Bool { raft.isRebuilding }

    /// Whether a letter must not go out, or come in: a replica that is being stopped does not stand.
    func isWithheld(_ message: Message, isOwn: Bool) -> Bool {
        guard shard.isStopping else { return false }
        switch message {
        case .preVote, .vote: return isOwn
        case .timeoutNow: return !isOwn
        default: return false
        }
    }

    /// Whether a leader is known, and all that was committed before its term is known to be.
    public var isInformed: Bool {
        guard raft.leader != nil else { return false }
        let start = log.start.position
        let term = raft.commit == start.end ? start.term : log.terms.term(at: raft.commit.advanced(by: -1))
        return term == raft.term
    }

    /// To be called when the leader says that nothing is missing any more, or it is known that nothing can have been
    /// forgotten, as in a cluster that has not formed yet.
    public func endRebuilding() {
        guard isRebuilding, !endsRebuilding else { return }
        endsRebuilding = true
        let files = shard.environment.files
        let rebuilding = Rebuilding(assignment.directory)
        shard.environment.submit({
            Result { () throws(DiskError) in try rebuilding.end(in: files) }
        }) { result in
            self.endsRebuilding = false
            switch result {
            case .success:
                self.step(.rebuilt)
                self.shard.environment.report(.rebuilt(self.id))
            case .failure(let error):
                self.stop("that the log is rebuilt could not be stored: \(error)")
            }
        }
    }
}
