// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
public import LogStorage
import NIOCore
public import RaftCore
import RecordBatches

/// One partition's copy on this node: asks `RaftNode` what to do and does it, in the one order that is safe.
///
/// The only place where Raft meets the log and the network. It holds no rules of its own. Everything here runs to
/// completion on the shard's loop; nothing suspends, so nothing can change underneath.
public final class Replica<Environment: ShardEnvironment> {
    public private(set) var assignment: ReplicaAssignment
    public internal(set) var raft: RaftNode
    public let log: PartitionLog<Environment.Files>
    unowned let shard: Shard<Environment>
    let state: (any ReplicatedState)?

    /// What can be relied upon of this copy and of the disk below it.
    public internal(set) var health = ReplicaHealth.sound
    /// Why this replica has stopped, when it has. A stopped replica neither votes, stores nor serves.
    public var stopped: String? { health.stopReason }

    var endsRebuilding = false
    /// Since when this replica leads, while it does.
    var leadsSince: Moment?

    var output = RaftNode.Output()
    /// Hard state that is recorded but not yet known to be on disk.
    var unpersisted: HardState?
    /// Letters that promise `unpersisted`, or something stored under it.
    var heldLetters: [Envelope] = []
    /// Produces that wait for their commit, in log order.
    var waitingProduces = WaitingProduces()
    var watchers: [CommitWatcher] = []
    /// In the order in which they have asked.
    var waitingConfirmations: [WaitingConfirmation] = []
    var drive = MembershipDrive()
    /// Who should belong to the group.
    public private(set) var wantedMembers: WantedMembers
    /// Deletes of records that wait for their commit, in log order.
    var waitingTrims: [WaitingTrim] = []
    /// Committed trims may have hidden whole segments.
    var hidesSegments = false
    /// Compaction has a job under way in this log's directory.
    var isBeingCleaned = false
    /// The sync that is under way: since when, and what it will have made durable at most.
    var syncUnderWay: (began: Moment, target: LogIndex)?
    /// The disk had no room for the end of the log, which waits in memory.
    var lacksRoom = false
    var lastOffer: LeadershipOffer?
    var waitsForCatchUp = false
    /// Leader: the peers that do not keep up.
    public internal(set) var laggards = Laggards()
    /// Leader: nobody else can have been asked to lead before this moment; see `isInTouch`.
    var inTouchUntil = Moment.zero
    /// How many checks and repairs have one.
    var inspections = 0
    var damageState = DamageState()
    var isMarkedDirty = false
    var isMarkedForReplication = false
    /// Everything below has been handed to `state`.
    var applied: LogIndex
    /// Told when the last of a replica's disk work is over and it may be deleted.
    var retirement: (() -> Void)?

    init(
        _ assignment: ReplicaAssignment, log: PartitionLog<Environment.Files>, hardState: HardState,
        isRebuilding: Bool, state: (any ReplicatedState)?, shard: Shard<Environment>
    ) {
        self.assignment = assignment
        wantedMembers = WantedMembers(voters: assignment.replicas, learners: assignment.learners)
        self.log = log
        self.shard = shard
        self.state = state
        let start = log.start.position.end
        self.applied = start
        let logged = LoggedMembership(of: log)
        let isCertain = isRebuilding && assignment.knowsMembers
        self.raft = RaftNode(
            id: shard.settings.node, group: assignment.partition,
            members: RaftMembers(
                voters: isCertain ? assignment.replicas : assignment.founders, preferred: assignment.replicas),
            timing: shard.settings.timing, limits: shard.settings.limits, restoring: hardState,
            log: RaftLogView(
                start: log.start, end: log.end, durable: log.durable, terms: log.terms, membersAtStart: logged?.atStart,
                changes: logged?.changes ?? []),
            commit: start, seed: shard.settings.seed ^ UInt64(bitPattern: Int64(assignment.partition.hashForSeed)),
            now: shard.environment.now, eagerCommit: state != nil, isRebuilding: isRebuilding,
            knowsMembers: isCertain)
        if logged == nil { health = .halted(reason: "who belongs to the group cannot be read from the log") }
    }

    public var id: PartitionID { assignment.partition }
    public var isLeader: Bool { stopped == nil && raft.isLeader }
    public var term: Term { raft.term }
    public var leader: NodeID? { raft.leader }

    /// The first offset that is not committed: consumers see what lies below.
    ///
    /// `nil` on a new leader until an entry of its own term is committed: what an earlier leader has shown may lie
    /// beyond the commit index known here (raft dissertation §6.4).
    public var highWatermark: Offset? {
        guard isLeader, raft.hasCommittedInTerm else { return nil }
        #if MUTANTS
            if Mutant.isActive("T-C14") { return log.endOffset }
        #endif
        return log.offset(at: raft.commit)
    }

    /// The first offset that may be read: what lies before was deleted, by retention or by request.
    public var logStart: Offset { log.firstOffset }

    /// Keeps the log by other rules from now on, its limits and its policy, as the topic's configs say them, and with
    /// others: where this replica leads, it sees to it that the wanted replicas become the members.
    ///
    /// - Precondition: the rules are for this partition. Where in the node it is kept does not change.
    public func adopt(_ rules: ReplicaAssignment) {
        precondition(rules.partition == id, "rules are adopted by the partition they are for")
        assignment.limits = rules.limits
        assignment.policy = rules.policy
        assignment.replicas = rules.replicas
        assignment.learners = rules.learners
        assignment.isSettled = rules.isSettled
        raft.prefer(rules.replicas)
        wantedMembers = WantedMembers(voters: rules.replicas, learners: rules.learners)
        driveMembers()
        log.limits = rules.limits
    }

    // MARK: - Events

    /// Runs one event to completion.
    func step(_ event: RaftNode.Event, entries: ReceivedEntries? = nil) {
        guard stopped == nil else { return }
        output.reset()
        raft.handle(event, now: shard.environment.now, into: &output)
        let work = output
        shard.environment.wake(at: work.deadline)
        perform(work, entries: entries)
        if !waitingConfirmations.isEmpty { answerConfirmations() }
    }

    private func perform(_ work: RaftNode.Output, entries: ReceivedEntries?) {
        if let hardState = work.persist {
            shard.journal.record(hardState, for: id)
            unpersisted = hardState
            shard.requestTurnEnd()
        }
        do throws(LogError) {
            if let end = work.truncate {
                Mark.hit("Replica.truncated")
                try log.truncate(to: end)
                suspectProducers()
                failProduces(cutAt: end)
            }
            if let from = work.storeFrom, let entries { store(entries, from: from) }
        } catch {
            // What Raft has decided must be done: without it the log is read anew.
            if case .corrupt = error { return fence("the log could not be cut: \(error)") }
            return fail("the log could not be written", error)
        }
        for envelope in work.send { post(envelope) }
        if unpersisted == nil {
            for envelope in work.sendOncePersisted { post(envelope) }
        } else {
            heldLetters.append(contentsOf: work.sendOncePersisted)
        }
        if let fault = work.fault { return stop(fault) }
        if work.wantsAppend { shard.markForReplication(self) }
        if let snapshot = work.installSnapshot { install(snapshot, bytes: entries?.bytes) }
        if let change = work.roleChange { roleChanged(change) }
        if work.committed != nil { commitMoved() }
        if work.appendLeaderStart != nil { beginTerm() }
        if let members = work.membersCommitted { membersSettled(members) }
        if let members = work.appendMembers { appendMembers(members) }
        if work.endRebuilding { endRebuilding() }
    }

    /// Appends the first entry of this term. A state machine outlives the copy of its log that a failed disk took away:
    /// what it was fed is committed, though the copy that was opened anew may not know it. A peer that needs a snapshot
    /// before it can hold anything of this term could not be sent one otherwise.
    private func beginTerm() {
        if applied > raft.commit { step(.applied(through: applied)) }
        append(.leaderStart, payload: LeaderStartPayload.encode(raft.term))
    }

    private func post(_ envelope: Envelope) {
        guard !isWithheld(envelope.message, isOwn: true) else { return }
        shard.environment.send(envelope.message, of: id, payload: [], to: envelope.to)
        shard.requestTurnEnd()
    }

    private func store(_ entries: ReceivedEntries, from: LogIndex) {
        guard let (bytes, heads) = entries.suffix(from: from) else {
            preconditionFailure("asked to store from \(from), which is no boundary of what was received")
        }
        // A small slice must not keep the whole frame it came in alive for as long as the log keeps its tail.
        let isSparse = bytes.storageCapacity > 4 * bytes.readableBytes
        log.append(isSparse ? ByteBuffer(bytes: bytes.readableBytesView) : bytes, heads: heads)
        shard.markDirty(self)
    }

    /// Appends a marker as this term's leader.
    func append(_ kind: EntryKind, payload: ByteBuffer = ByteBuffer(), members: RaftMembers? = nil) {
        let marker = MarkerEntry.encode(
            kind: kind, term: raft.term, nextOffset: log.endOffset, timestamp: shard.environment.wallClock,
            payload: payload)
        guard let head = try? EntryHead.parse(marker) else {
            preconditionFailure("our own marker must be readable")
        }
        log.append(marker, heads: [head])
        shard.markDirty(self)
        step(.proposed(end: log.end, members: members))
    }

    private func roleChanged(_ change: RaftNode.RoleChange) {
        switch change {
        case .becameLeader(let term):
            laggards = Laggards()
            leadsSince = shard.environment.now
            // Only the one voter of a group leads while it is being rebuilt: nobody has what was lost.
            if isRebuilding { endRebuilding() }
            // Whoever is elected has just heard from a majority.
            inTouchUntil = shard.environment.now.advanced(byNanoseconds: shard.settings.timing.electionTimeout)
            shard.environment.report(.becameLeader(id, term))
            state?.leadershipChanged(isLeader: true, term: term)
        case .steppedDown(let term):
            if !waitingProduces.isEmpty { Mark.hit("Replica.voted-out-with-waiting-produces") }
            leadsSince = nil
            inTouchUntil = .zero
            shard.environment.report(.steppedDown(id, term))
            awaitFateOfProduces()
            failWaitingTrims(.notLeader)
            failConfirmations()
            drive = MembershipDrive()
            state?.leadershipChanged(isLeader: false, term: term)
            notifyWatchers()
        case .leaderChanged:
            failWaitingTrims(.notLeader)
            notifyWatchers()
        }
        shard.environment.learned(Leadership(partition: id, term: raft.term, leader: raft.leader))
    }

    // MARK: - Disk

    /// The hard state recorded as `hardState` is on disk: what promised it may leave.
    func hardStatePersisted(_ hardState: HardState) {
        guard unpersisted == hardState else { return }
        unpersisted = nil
        let letters = heldLetters
        heldLetters.removeAll(keepingCapacity: true)
        for envelope in letters { post(envelope) }
        step(.persisted(hardState))
    }

    /// Writes what is pending and, unless one is under way, begins a sync.
    func flush() {
        guard stopped == nil else { return }
        do throws(LogError) {
            try log.writeOut()
            lacksRoom = false
        } catch {
            guard error.isOutOfSpace else { return fail("the log could not be written", error) }
            // What has found no room was cut off again, and waits in memory.
            lacksRoom = true
            shard.ranOutOfRoom()
        }
        if hidesSegments { removeHiddenSegments() }
        guard stopped == nil, syncUnderWay == nil, let ticket = log.beginSync() else { return }
        syncUnderWay = (shard.environment.now, log.end)
        shard.environment.submit({ ticket.run() }) { result in self.synced(ticket, result) }
    }

    private func synced(_ ticket: SyncTicket<Environment.Files>, _ result: Result<Void, DiskError>) {
        let sync = syncUnderWay
        syncUnderWay = nil
        retireIfIdle()
        guard stopped == nil, !shard.isClosed else { return }
        do throws(LogError) {
            let before = log.durable
            let durable = try log.completeSync(ticket, result)
            if log.isDirty, !lacksRoom { shard.markDirty(self) }
            if let sync, durable > before { shard.noteSync(since: sync.began, wasOvertaken: durable <= raft.commit) }
            step(.durable(through: durable))
        } catch {
            fail("the disk refused to keep the log", error)
        }
    }

    /// Tells who waits for it that no disk work is left.
    func retireIfIdle() {
        guard !isBusyOnDisk, let retirement else { return }
        self.retirement = nil
        retirement()
    }

    var isBusyOnDisk: Bool { syncUnderWay != nil || isBeingCleaned || inspections > 0 }

    // MARK: - Snapshots

    private func install(_ snapshot: Snapshot, bytes: ByteBuffer?) {
        let anchor = snapshot.anchor
        // The first version sent nothing beside the snapshot of a plain partition.
        let producers = state == nil ? bytes.flatMap { $0.readableBytes > 0 ? $0 : nil } : nil
        if let producers, !log.canAdoptProducers(producers, at: anchor) {
            let reason = "the producers before \(anchor) cannot be read"
            shard.environment.report(.badLetter(id, from: raft.leader ?? shard.settings.node, reason: reason))
            return step(.snapshotRefused)
        }
        do {
            if let state { try state.install(bytes ?? ByteBuffer(), at: anchor) }
            let members = snapshot.members == .none ? nil : MembershipPayload.encode(snapshot.members)
            try log.restart(at: anchor, membership: members.map { Array($0.readableBytesView) })
            failWaitingProduces(.timedOut)
            if let producers { try log.adoptProducers(producers) }
        } catch let damage as any SnapshotDamage {
            shard.environment.report(.badLetter(id, from: raft.leader ?? shard.settings.node, reason: "\(damage)"))
            return step(.snapshotRefused)
        } catch {
            return fail("the leader's snapshot could not be installed", error)
        }
        applied = anchor.position.end
        shard.environment.report(.restarted(id, at: anchor))
        step(.snapshotInstalled(anchor))
    }
}

extension PartitionID {
    /// A stable mix of the whole id (Swift's own hashing differs from process to process).
    var hashForSeed: Int {
        var mixed = topic.high ^ (topic.low &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(UInt32(bitPattern: index))
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int(truncatingIfNeeded: mixed ^ (mixed >> 31))
    }

    /// Which of `count` shards keeps this partition.
    public func shard(of count: Int) -> Int {
        precondition(count > 0, "a node has at least one shard")
        return self == .metadata ? 0 : Int(UInt(bitPattern: hashForSeed) % UInt(count))
    }
}
