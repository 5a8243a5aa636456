// SPDX-License-Identifier: Apache-2.0

public import Disk
public import LogModel
public import LogStorage
public import NIOCore
public import RaftCore

/// Everything a shard needs from the world outside: time, disk, threads and the way to its peers.
///
/// The node's own environment stands on an event loop and real files; the simulator's on a virtual clock, disk and
/// network. All calls are made, and all completions arrive, on the shard's own loop.
public protocol ShardEnvironment: AnyObject, SendableMetatype {
    associatedtype Files: FileSystem

    var files: Files { get }
    /// The monotonic clock.
    var now: Moment { get }
    /// The wall clock: for record timestamps and retention, never for decisions of consensus.
    var wallClock: Timestamp { get }

    /// Queues one letter; it leaves at the next `flushLetters()`. A letter to a peer without a connection is dropped:
    /// Raft copes with loss.
    func send(_ message: Message, of group: PartitionID, payload: [ByteBuffer], to peer: NodeID)
    /// Sends what was queued: one write a peer and lane.
    func flushLetters()
    /// Asks that `Shard.endOfTurn()` be called once, when the work that is ready now has been done.
    func requestTurnEnd()
    /// Asks that `Shard.tick()` be called at `moment` or soon after, though it would be called later otherwise.
    /// May be asked often: only the earliest moment counts. An environment that ticks all the time need do nothing.
    func wake(at moment: Moment)
    /// Runs `job` on an I/O thread, then `completion` on the shard's loop with what it answered.
    func submit<Answer>(
        _ job: @escaping @Sendable () -> sending Answer, then completion: @escaping (sending Answer) -> Void)
    /// Tells the node that a replica here has learnt who leads its partition.
    func learned(_ leadership: Leadership)
    /// Tells the node that a group led here has other members for certain. It may be told so more than once.
    func membersCommitted(_ partition: PartitionID, _ members: RaftMembers)
    /// Says something an operator should know.
    func report(_ event: ShardEvent)
}

extension ShardEnvironment {
    /// An environment that keeps no metadata has nobody to tell.
    public func membersCommitted(_ partition: PartitionID, _ members: RaftMembers) {}
}

/// Who leads a partition, as of a term. The highest term wins.
public struct Leadership: Hashable, Sendable {
    public let partition: PartitionID
    public let term: Term
    /// `nil` while nobody is known to lead in `term`.
    public let leader: NodeID?
    /// Replicas that have not kept up with the leader, ascending.
    public let lagging: [NodeID]

    public init(partition: PartitionID, term: Term, leader: NodeID?, lagging: [NodeID] = []) {
        self.lagging = lagging
        self.partition = partition
        self.term = term
        self.leader = leader
    }
}

/// What a shard tells the node's log.
public enum ShardEvent: Sendable {
    case opened(PartitionID, summary: String)
    case becameLeader(PartitionID, Term)
    case steppedDown(PartitionID, Term)
    /// This replica has stopped itself: its disk or its data cannot be trusted any more.
    case stopped(PartitionID, reason: String)
    /// The disk has failed this replica, which takes no part until its log has been opened anew.
    case fenced(PartitionID, reason: String)
    /// A fenced replica's log was opened anew and checked, and it takes part again.
    case revived(PartitionID, summary: String)
    /// The disk has become full or slow, or is neither any more.
    case disk(ReplicaHealth)
    /// A peer sent what no correct peer sends; the letter was dropped.
    case badLetter(PartitionID, from: NodeID, reason: String)
    case retention(PartitionID, start: LogAnchor)
    case cleaned(PartitionID, CleaningOutcome)
    /// Compaction has met an error of the disk, and will try again.
    case cleaningFailed(PartitionID, reason: String)
    case restarted(PartitionID, at: LogAnchor)
    /// A state machine's snapshot could not be written; its log stays whole, and it will be tried again.
    case snapshotFailed(PartitionID, reason: String)
    /// The log that should be here is lost; it is fetched from the peers, and until then this replica has no vote.
    case rebuilding(PartitionID)
    case rebuilt(PartitionID)
    /// Who belongs to the group, for certain.
    case membersChanged(PartitionID, RaftMembers)
    /// Bytes that were durable are wrong, or gone; they are fetched from the peers.
    case damaged(PartitionID, LogDamage)
    /// A damaged segment, the one that begins at this slot, is whole again.
    case repaired(PartitionID, segment: LogIndex)
    /// A damaged part could not be repaired yet; it will be tried again.
    case repairDelayed(PartitionID, reason: String)
    /// All logs of the shard were read and checked once.
    case scrubbed(ScrubReport)
    /// A log that cannot be read at all was given another name; it is fetched anew from the peers.
    case setAside(PartitionID, as: String, reason: String)
}
