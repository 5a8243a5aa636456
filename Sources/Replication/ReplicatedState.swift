// SPDX-License-Identifier: Apache-2.0

public import LogModel
public import NIOCore
public import RecordBatches

/// A state machine that lives in a group's log, such as the cluster's metadata.
///
/// Plain partitions have none: their log is the state.
public protocol ReplicatedState: AnyObject {
    /// One committed record batch, in log order. After a restart the log is applied again from its start.
    func apply(_ head: EntryHead, _ entry: ByteBuffer)
    /// The state after everything applied so far, for a follower that is too far behind.
    func snapshot() -> ByteBuffer
    /// Replaces the state by a leader's snapshot. Must be durable when it returns.
    /// - Throws: `SnapshotDamage` when the bytes cannot be read; the leader then sends them again. Anything else ends
    ///   the replica.
    func install(_ bytes: ByteBuffer, at anchor: LogAnchor) throws
    /// Leadership of the group came or went.
    func leadershipChanged(isLeader: Bool, term: Term)
}

/// The bytes of a snapshot are not what its writer wrote.
public protocol SnapshotDamage: Error {}
