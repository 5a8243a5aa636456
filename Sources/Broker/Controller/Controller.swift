// SPDX-License-Identifier: Apache-2.0

import Disk
import KafkaWire
public import LogModel
import LogStorage
public import MetadataCore
public import NIOCore
public import RecordBatches
public import Replication

/// Why a metadata command did not take effect.
public enum ProposalFailure: Error, Sendable {
    /// This node does not lead the metadata group (any more); the command may or may not come into force.
    case notController
    /// The state machine refused it; nothing has changed.
    case refused(MetadataRefusal)
    /// The committed bytes are no command of this version.
    case unreadable(MetadataDecodingError)
}

/// This node's member of the metadata group, and while it leads, the one that decides about topics and nodes.
///
/// Lives on shard 0. What is committed is applied to `state` and published to all loops; what clients ask for is
/// planned here, proposed to the group, and answered once it is applied.
public final class Controller<Environment: ShardEnvironment>: ReplicatedState {
    let shard: Shard<Environment>
    let snapshots: MetadataSnapshotFile<Environment.Files>
    public private(set) var state: ClusterState
    /// Records below are in `state`.
    public private(set) var nextOffset: Offset
    /// When the members of the metadata group were last seen to have all of its log.
    var caughtUp: [NodeID: Timestamp] = [:]
    /// Changes of its voters that somebody waits for.
    var waitingVoters: [VoterWait] = []
    /// A proposal about moves is under way.
    var isPacing = false
    var nextPace: Moment?
    private var proposals: [Offset: (Result<Void, ProposalFailure>) -> Void] = [:]
    /// Told each new state and the topic that went with it, if one did, on shard 0's loop.
    private let publish: (_ state: ClusterState, _ deleted: Topic?) -> Void
    /// Told of each block of producer ids that is given to a node, on shard 0's loop.
    public var producerIDsAllocated: (ProducerIDBlock, ProducerIDClaim) -> Void = { _, _ in }
    /// Told when this node comes to lead the metadata group, or does no longer.
    public var leadershipMoved: (_ isLeader: Bool) -> Void = { _ in }
    /// Nodes that are being registered.
    var joining: Set<NodeID> = []
    /// Draws what must be drawn: ids of topics and of the cluster.
    private let drawID: () -> TopicID
    private var appliedSinceSnapshot = 0
    private var snapshotUnderWay = false
    /// The nodes have changed since the last snapshot began. A node that starts finds its peers by it, so it does not
    /// wait until there are enough commands.
    private var nodesChanged = false
    /// Counts the snapshots taken over from a leader.
    private var installs = 0

    /// After how many applied commands the state is written out and the log before it given up.
    private static var snapshotInterval: Int { 1_000 }

    /// - Parameter restored: what `MetadataSnapshotFile.read` found, if anything.
    public init(
        shard: Shard<Environment>, snapshots: MetadataSnapshotFile<Environment.Files>,
        restored: MetadataSnapshot?, drawID: @escaping () -> TopicID,
        publish: @escaping (_ state: ClusterState, _ deleted: Topic?) -> Void
    ) {
        self.shard = shard
        self.snapshots = snapshots
        self.state = restored?.state ?? ClusterState()
        self.nextOffset = restored?.nextOffset ?? .zero
        self.drawID = drawID
        self.publish = publish
    }

    /// The state as it was restored, for the first view; not confirmed by the group yet.
    public func publishRestored() { publish(state, nil) }

    var replica: Replica<Environment>? { shard.replica(.metadata) }
    public var isLeader: Bool { replica?.isLeader ?? false }
    public var leader: NodeID? { replica?.leader }

    func newTopicID() -> TopicID {
        while true {
            let id = drawID()
            if id.high != 0, state.topic(id) == nil { return id }
        }
    }

    // MARK: - Proposing

    /// Proposes a command; `done` is called on this loop when it has been applied, or will not be.
    public func propose(_ command: MetadataCommand, done: @escaping (Result<Void, ProposalFailure>) -> Void) {
        guard let replica, replica.isLeader else { return done(.failure(.notController)) }
        var builder = BatchBuilder()
        builder.append(
            key: nil, value: ByteBuffer(bytes: command.encode()), headers: [], timestamp: shard.environment.wallClock)
        replica.produceOwn(&builder, limit: Self.commandLimit) { outcome in
            switch outcome {
            // Commits are answered before they are applied, so the result is still to come.
            case .stored(let baseOffset, _, _): self.proposals[baseOffset] = done
            case .failed: done(.failure(.notController))
            }
        }
    }

    // MARK: - ReplicatedState

    public func apply(_ head: EntryHead, _ entry: ByteBuffer) {
        guard head.baseOffset >= nextOffset else { return }
        nextOffset = head.nextOffset
        let done = proposals.removeValue(forKey: head.baseOffset)
        do throws(MetadataDecodingError) {
            let command = try MetadataCommand(decoding: Self.value(of: entry))
            switch state.apply(command, at: head.baseOffset) {
            case .refused(let refusal):
                done?(.failure(.refused(refusal)))
            case .producerIDsAllocated(let block, let claim):
                producerIDsAllocated(block, claim)
                done?(.success(()))
            case .topicDeleted(let topic):
                publish(state, topic)
                done?(.success(()))
            case .nodeRegistered, .nodeRemoved:
                nodesChanged = true
                publish(state, nil)
                done?(.success(()))
            default:
                publish(state, nil)
                done?(.success(()))
            }
        } catch {
            // Every node sees the same bytes, so all skip the same command, for instance one of a later version.
            done?(.failure(.unreadable(error)))
        }
        appliedSinceSnapshot += 1
        if isSnapshotDue { writeSnapshot() }
    }

    private var isSnapshotDue: Bool { nodesChanged || appliedSinceSnapshot >= Self.snapshotInterval }

    /// The largest command, unpacked: a topic of some hundred thousand partitions.
    private static var commandLimit: Int { 64 << 20 }

    /// The one record's value. Empty, and so unreadable, when there is none.
    private static func value(of entry: ByteBuffer) -> [UInt8] {
        do throws(BatchError) {
            var records = try BatchRecords(of: entry, limit: commandLimit, verifyingChecksum: false)
            return try records.next()?.value.map { Array($0.readableBytesView) } ?? []
        } catch {
            return []
        }
    }

    public func snapshot() -> ByteBuffer { MetadataSnapshot(state: state, nextOffset: nextOffset).encoded() }

    public func install(_ bytes: ByteBuffer, at anchor: LogAnchor) throws {
        let snapshot = try MetadataSnapshot(decoding: bytes)
        // A state never goes back: what an older one does not know yet would pass for deleted.
        guard snapshot.nextOffset > nextOffset || state.clusterID == nil else { return }
        try snapshots.stage(bytes, by: .leader)
        try snapshots.adopt(from: .leader)
        installs += 1
        state = snapshot.state
        nextOffset = snapshot.nextOffset
        publish(state, nil)
    }

    public func leadershipChanged(isLeader: Bool, term: Term) {
        defer { leadershipMoved(isLeader) }
        guard !isLeader else { return }
        let lost = proposals
        proposals = [:]
        caughtUp = [:]
        failWaitingVoters()
        for offset in lost.keys.sorted() { lost[offset]?(.failure(.notController)) }
    }

    /// Writes the state out on an I/O thread, then lets the log before it go.
    private func writeSnapshot() {
        guard !snapshotUnderWay, let replica else { return }
        snapshotUnderWay = true
        appliedSinceSnapshot = 0
        nodesChanged = false
        let bytes = snapshot()
        let file = snapshots
        let covered = nextOffset
        let before = installs
        shard.environment.submit({ Result { () throws(DiskError) in try file.stage(bytes, by: .own) } }) { result in
            self.snapshotUnderWay = false
            var hasFailed = false
            defer { if self.isSnapshotDue, !hasFailed { self.writeSnapshot() } }
            // A leader's snapshot that came meanwhile is newer than this one and must not be replaced by it.
            guard self.installs == before else { return }
            do throws(DiskError) {
                try result.get()
                try file.adopt(from: .own)
                replica.dropLog(before: covered)
            } catch {
                // The one before it and the log behind that are as they were. It is tried again with the next command.
                hasFailed = true
                self.nodesChanged = true
                self.shard.environment.report(.snapshotFailed(replica.id, reason: "\(error)"))
            }
        }
    }
}
