// SPDX-License-Identifier: Apache-2.0

package import Disk
import LogModel
import LogStorage
import NIOCore
import RaftCore
import RecordBatches

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

    /// What the marker says, if there is one.
    enum Claim: Hashable {
        case none
        /// Nothing is known of what was here.
        case lost
        /// Everything below was acknowledged. A log that was opened anew after its disk had failed, and still holds it,
        /// has forgotten nothing.
        case acknowledged(LogPosition)
    }

    /// Whether the replica is being rebuilt, or begins to be: no log is there, where one should be.
    func claim<Files: FileSystem>(
        _ assignment: ReplicaAssignment, on node: NodeID, in files: Files
    ) throws(DiskError) -> Claim {
        if try files.exists(file) { return try read(in: files) }
        guard assignment.mayHaveForgotten || !assignment.founders.contains(node),
            try !files.exists(assignment.directory)
        else { return .none }
        try begin(.lost, in: files)
        return .lost
    }

    /// Makes the marker, durably. Two different claims together say no more than that something is lost.
    func begin<Files: FileSystem>(_ claim: Claim, in files: Files) throws(DiskError) {
        let earlier = try files.exists(file) ? try read(in: files) : nil
        if earlier == nil || (earlier != .lost && earlier != claim) {
            let temporary = file + ".new"
            let marker = try files.open(temporary, .createOrOpen)
            try marker.truncate(to: .zero)
            if earlier == nil, case .acknowledged(let position) = claim {
                let bytes = Self.encode(position)
                try bytes.withUnsafeReadableBytes { (bytes) throws(DiskError) in
                    try marker.write([bytes], at: .zero)
                }
            }
            try marker.synchronize()
            try files.rename(temporary, to: file)
        }
        try files.synchronizeDirectory(parent)
    }

    /// Eight bytes of log index, four of term, four of CRC-32C, big-endian. An empty marker says that all is lost.
    private static let size = 16

    private static func encode(_ position: LogPosition) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeInteger(position.end.rawValue)
        bytes.writeInteger(position.term.rawValue)
        bytes.writeInteger(bytes.withUnsafeReadableBytes { CRC32C.checksum($0) })
        return bytes
    }

    private func read<Files: FileSystem>(in files: Files) throws(DiskError) -> Claim {
        let marker = try files.open(file, .readOnly)
        var bytes = ByteBuffer()
        _ = try bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.size) { (space) throws(DiskError) in
            try marker.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<Self.size]), at: .zero)
        }
        let end = bytes.readInteger(as: Int64.self)
        let term = bytes.readInteger(as: Int32.self)
        let crc = bytes.readInteger(as: UInt32.self)
        guard let end, end >= 0, let term, term >= 0, let crc else { return .lost }
        let position = LogPosition(term: Term(term), end: LogIndex(end))
        var written = Self.encode(position)
        written.moveReaderIndex(forwardBy: Self.size - 4)
        return written.readInteger(as: UInt32.self) == crc ? .acknowledged(position) : .lost
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

extension PartitionLog {
    /// Whether everything is here that a log which ended at `position` held: the same term at the same place.
    func holds(_ position: LogPosition) -> Bool {
        guard position.end > start.position.end else { return true }
        return position.end <= end && terms.term(at: position.end.advanced(by: -1)) == position.term
    }
}

extension Replica {
    /// Whether this replica has no vote yet because its log was lost.
    public var isRebuilding: Bool { raft.isRebuilding }

    /// Whether a letter must not go out, or come in: a replica that is being stopped does not stand, and one with a bad
    /// disk or damaged data does not because it is asked to.
    func isWithheld(_ message: Message, isOwn: Bool) -> Bool {
        if isDamaged || log.producersAreUnknown, isWithheldForDamage(message, isOwn: isOwn) { return true }
        switch message {
        case .preVote, .vote: return isOwn && shard.isStopping
        case .timeoutNow: return !isOwn && (shard.isStopping || !health.isFitToLead)
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
                self.fail("that the log is rebuilt could not be stored", error)
            }
        }
    }
}
