// SPDX-License-Identifier: Apache-2.0

import Disk
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
/// So it follows, stores and answers like any other, but neither votes nor stands until its disk holds everything that
/// a leader of the current term knows to be committed. That it is not so far yet must outlast a restart: a file beside
/// the log's directory says it, made durable before the directory is.
struct Rebuilding {
    private let file: String
    private let parent: String

    init(_ directory: String) {
        file = directory + ".rebuilding"
        parent = RealFileSystem.parent(of: directory)
    }

    /// Whether the replica is being rebuilt, or begins to be: no log is there, where one should be.
    func isUnderWay<Files: FileSystem>(
        _ assignment: ReplicaAssignment, in files: Files
    ) throws(DiskError) -> Bool {
        if try files.exists(file) { return true }
        guard assignment.mayHaveForgotten, try !files.exists(assignment.directory) else { return false }
        try begin(in: files)
        return true
    }

    func begin<Files: FileSystem>(in files: Files) throws(DiskError) {
        let marker = try files.open(file, .createOrOpen)
        try marker.synchronize()
        try files.synchronizeDirectory(parent)
    }

    func end<Files: FileSystem>(in files: Files) throws(DiskError) {
        guard try files.exists(file) else { return }
        try files.remove(file)
        try files.synchronizeDirectory(parent)
    }
}

extension Replica {
    /// Whether a letter must not go out, or come in: a replica that is being rebuilt does not vote, and one that is
    /// being stopped does not stand.
    ///
    /// Of two voters the other one has everything that was ever committed, so it may be voted for.
    func isWithheld(_ message: Message, isOwn: Bool) -> Bool {
        if isDamaged, isWithheldForDamage(message, isOwn: isOwn) { return true }
        guard isRebuilding || shard.isStopping else { return false }
        switch message {
        case .preVote, .vote: return isOwn || (isRebuilding && raft.members.voters.count > 2)
        case .timeoutNow: return !isOwn
        default: return false
        }
    }

    /// Ends the rebuilding once the disk holds everything committed up to an entry of the leader's own term: an
    /// earlier leader's commits all lie below it (raft paper §5.4).
    func endRebuildingIfCaughtUp() {
        guard isRebuilding, !endsRebuilding, raft.leader != shard.settings.node, isInformed else { return }
        guard log.durable >= raft.commit else { return }
        endRebuilding()
    }

    /// Whether a leader is known, and all that was committed before its term is known to be.
    public var isInformed: Bool {
        guard raft.leader != nil else { return false }
        let start = log.start.position
        let term = raft.commit == start.end ? start.term : log.terms.term(at: raft.commit.advanced(by: -1))
        return term == raft.term
    }

    /// To be called when it is known that nothing can have been forgotten, as in a cluster that has not formed yet.
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
                self.isRebuilding = false
                self.shard.environment.report(.rebuilt(self.id))
            case .failure(let error):
                self.stop("that the log is rebuilt could not be stored: \(error)")
            }
        }
    }
}
