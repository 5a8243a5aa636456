// SPDX-License-Identifier: Apache-2.0

import Disk
public import LogModel
public import LogStorage
public import NIOCore
public import RaftCore

/// One event loop's share of the node: it owns whole partitions, their Raft groups and their logs.
///
/// Work arrives as letters from peers, calls from the broker, completions of disk work, and ticks. All of it runs to
/// completion on this loop; what it causes to be written and sent is gathered and leaves at the end of the turn:
///
///     letters, produces, completions ─▶ step … step ─▶ endOfTurn: read and send ─▶ write ─▶ begin syncs ─▶ flush
public final class Shard<Environment: ShardEnvironment> {
    public let settings: ShardSettings
    public let environment: Environment
    let journal: HardStateJournal<Environment.Files>
    public private(set) var replicas: [PartitionID: Replica<Environment>] = [:]
    /// In the order of their ids, because what a shard does must not depend on the order of a hash table.
    private var ordered: [Replica<Environment>] = []
    /// Partitions whose logs are being opened on an I/O thread.
    private var opening: Set<PartitionID> = []
    private var closed: Set<PartitionID> = []
    /// Partitions whose files are being removed, and what is to be done once they are gone.
    private var removing: [PartitionID: () -> Void] = [:]

    private var dirty: [Replica<Environment>] = []
    private var wantingReplication: [Replica<Environment>] = []
    /// Since when a sync of the votes is under way.
    var journalSyncBegan: Moment?
    var journalRevivals = 0
    var journalRevivalDue = Moment.zero
    var disk = DiskWatch()
    var nextJudging: Moment?
    var nextLaggardsLook: Moment?
    private var lastTick = Moment.zero
    var catchUp = CatchUp()
    /// Replicas with followers that wait to be sent the past, and when they ask again.
    var waitingForCatchUp: [Replica<Environment>] = []
    var catchUpDue: Moment?
    var isDroppingBallast = false
    /// Peers that have let an offered leadership pass, and until when they are left alone.
    var unwilling: [NodeID: Unwillingness] = [:]
    /// Copies whose disk has failed.
    var reopenings: [PartitionID: Reopening] = [:]
    /// Logs that the disk has refused to open.
    var unopened: [PartitionID: UnopenedLog] = [:]
    private var turnEndRequested = false
    private(set) var connectedPeers: [NodeID: Moment] = [:]
    private var upkeep = Upkeep()
    private lazy var cleaner = Cleaner(self, settings.cleaner)
    private(set) lazy var scrubber = Scrubber(self, settings.scrub)
    private(set) lazy var repairs = Repairs(self)
    /// Leadership is being given away; nothing new begins.
    public private(set) var isStopping = false
    /// The logs are closed: whatever still arrives comes too late.
    public private(set) var isClosed = false

    public init(
        settings: ShardSettings, environment: Environment, journal: sending HardStateJournal<Environment.Files>
    ) {
        self.settings = settings
        self.environment = environment
        self.journal = journal
    }

    /// In the order of partition ids.
    public var allReplicas: [Replica<Environment>] { ordered }

    public func replica(_ partition: PartitionID) -> Replica<Environment>? { replicas[partition] }

    public func isOpening(_ partition: PartitionID) -> Bool { opening.contains(partition) }

    // MARK: - Hosting

    /// Starts to keep a partition: opens its log on an I/O thread, then joins its group.
    ///
    /// - Parameter opened: told on this loop once the replica takes part, or why it cannot.
    public func host(
        _ assignment: ReplicaAssignment, state: (any ReplicatedState)? = nil,
        opened: @escaping (Result<Void, LogError>) -> Void = { _ in }
    ) {
        let partition = assignment.partition
        guard removing[partition] == nil else {
            // It comes back before it is quite gone: the new log must not be opened among the old one's files.
            removing[partition] = { self.host(assignment, state: state, opened: opened) }
            return
        }
        guard replicas[partition] == nil, opening.insert(partition).inserted else { return }
        closed.remove(partition)
        let files = environment.files
        let now = environment.wallClock
        let node = settings.node
        let hasState = state != nil
        let isWornOut = (unopened[partition]?.attempts ?? 0) >= Self.readingPatience
        environment.submit({
            OpenedLog(assignment, on: node, in: files, now: now, hasState: hasState, isWornOut: isWornOut)
        }) { outcome in
            self.opening.remove(partition)
            guard !self.isClosed else { return }
            switch outcome.result {
            case .success(let log):
                guard !self.closed.contains(partition) else {
                    return self.removeFiles(of: partition, in: assignment.directory)
                }
                if let (path, reason) = outcome.setAside {
                    self.environment.report(.setAside(partition, as: path, reason: reason))
                }
                self.unopened[partition] = nil
                self.join(assignment, log: log, isRebuilding: outcome.isRebuilding, state: state)
                opened(.success(()))
            case .failure(.disk(let error)) where !hasState && !self.closed.contains(partition):
                self.environment.report(.fenced(partition, reason: "the log could not be opened: \(error)"))
                self.openLater(assignment, opened)
            case .failure(let error):
                self.environment.report(.stopped(partition, reason: "the log could not be opened: \(error)"))
                opened(.failure(error))
            }
        }
    }

    private func join(
        _ assignment: ReplicaAssignment, log: PartitionLog<Environment.Files>, isRebuilding: Bool,
        state: (any ReplicatedState)?
    ) {
        let replica = Replica(
            assignment, log: log, hardState: journal.state(of: assignment.partition), isRebuilding: isRebuilding,
            state: state, shard: self)
        environment.report(.opened(assignment.partition, summary: "\(log.recovery)"))
        take(in: replica)
    }

    /// Puts a copy of `old`'s partition, whose log was opened anew, in its place.
    func replace(_ old: Replica<Environment>, log: PartitionLog<Environment.Files>, isRebuilding: Bool) {
        let replica = Replica(
            old.assignment, log: log, hardState: journal.state(of: old.id), isRebuilding: isRebuilding,
            state: old.state, shard: self)
        if old.state != nil { replica.applied = max(old.applied, replica.applied) }
        ordered.removeAll { $0 === old }
        take(in: replica)
    }

    private func take(in replica: Replica<Environment>) {
        replicas[replica.id] = replica
        let place = ordered.firstIndex { replica.id < $0.id } ?? ordered.endIndex
        ordered.insert(replica, at: place)
        replica.adoptDiskHealth(diskHealth)
        if replica.isRebuilding { environment.report(.rebuilding(replica.id)) }
        if let reason = replica.stopped { environment.report(.stopped(replica.id, reason: reason)) }
        environment.learned(Leadership(partition: replica.id, term: replica.term, leader: nil))
        environment.wake(at: replica.raft.deadline)
        for peer in connectedPeers.keys.sorted() { replica.step(.peerConnected(peer)) }
        replica.noteDamage(replica.log.damage)
        replica.suspectProducers()
    }

    /// Ends the keeping of a partition that was deleted; its files go once no disk work is under way.
    ///
    /// - Parameter directory: where its log lies, for one that was deleted before it was opened here.
    public func drop(_ partition: PartitionID, in directory: String) {
        closed.insert(partition)
        unopened[partition] = nil
        // It may not come back after all.
        guard removing[partition] == nil else { return removing[partition] = {} }
        guard let replica = replicas.removeValue(forKey: partition) else {
            // A log that is being opened right now is removed when that is done.
            if !opening.contains(partition) { removeFiles(of: partition, in: directory) }
            return
        }
        ordered.removeAll { $0 === replica }
        let isBeingReopened = reopenings[partition]?.isUnderWay ?? false
        reopenings[partition] = nil
        replica.failWaitingProduces(.unknownPartition)
        replica.failWaitingTrims(.unknownPartition)
        replica.failConfirmations()
        replica.notifyWatchers()
        journal.forget(partition)
        replica.health = .halted(reason: "deleted")
        // A log that is being opened anew right now is removed when that is done.
        guard !isBeingReopened else { return }
        removing[partition] = {}
        if replica.isBusyOnDisk {
            replica.retirement = { self.removeFiles(of: partition, in: directory) }
        } else {
            removeFiles(of: partition, in: directory)
        }
    }

    private func removeFiles(of partition: PartitionID, in directory: String) {
        let files = environment.files
        if removing[partition] == nil { removing[partition] = {} }
        environment.submit({
            Result { () throws(DiskError) in
                try DepartedLog(directory).remove(in: files)
            }
        }) { result in
            self.removing.removeValue(forKey: partition)?()
            guard case .failure(let error) = result else { return }
            self.environment.report(.stopped(partition, reason: "its files could not be removed: \(error)"))
        }
    }

    // MARK: - Letters and peers

    /// One letter of a peer. Letters for groups that are not here are dropped.
    public func receive(_ message: Message, of group: PartitionID, payload: ByteBuffer?, from peer: NodeID) {
        guard !isClosed, let replica = replicas[group], replica.stopped == nil else { return }
        if case .repair(let letter) = message {
            return repairs.receive(letter, payload: payload ?? ByteBuffer(), for: replica, from: peer)
        }
        guard !replica.isWithheld(message, isOwn: false) else { return }
        switch message {
        case .append(let append):
            do throws(ReceivedEntries.Flaw) {
                let entries = try ReceivedEntries(payload ?? ByteBuffer(), of: append)
                guard hasRoom(for: entries, of: replica) else { return }
                try replica.checkPlace(of: entries, in: append)
                replica.step(.received(message, from: peer, changes: entries.changes), entries: entries)
            } catch {
                environment.report(.badLetter(group, from: peer, reason: "\(error)"))
            }
        case .snapshot:
            replica.step(.received(message, from: peer), entries: ReceivedEntries(state: payload ?? ByteBuffer()))
        default:
            replica.step(.received(message, from: peer))
        }
    }

    public func peerConnected(_ peer: NodeID) {
        guard !isClosed else { return }
        connectedPeers[peer] = environment.now
        for replica in ordered {
            replica.step(.peerConnected(peer))
        }
    }

    public func peerLost(_ peer: NodeID) {
        guard !isClosed else { return }
        connectedPeers[peer] = nil
        for replica in ordered { replica.step(.peerLost(peer)) }
    }

    // MARK: - Time

    /// Has `tick` called at `moment` or soon after.
    public func wake(at moment: Moment) { environment.wake(at: moment) }

    /// How often produces that wait are looked at: their timeouts are seconds.
    private static var expiryInterval: UInt64 { 50_000_000 }
    /// Upkeep has deadlines too, but none that minds being this late.
    private static var longestSleep: UInt64 { 200_000_000 }

    /// When `tick` has something to do again, if nothing else happens.
    /// - Complexity: O(*n*) in replicas.
    public func nextTick(after now: Moment) -> Moment {
        var next = now.advanced(byNanoseconds: Self.longestSleep)
        if let catchUpDue { next = min(next, catchUpDue) }
        let expiry = now.advanced(byNanoseconds: Self.expiryInterval)
        for replica in ordered where replica.stopped == nil {
            next = min(next, replica.raft.deadline)
            if replica.drive.since != nil {
                next = min(next, now.advanced(byNanoseconds: Replica<Environment>.driveInterval))
            }
            if !replica.waitingProduces.isEmpty || !replica.waitingTrims.isEmpty
                || !replica.waitingConfirmations.isEmpty
            {
                next = min(next, expiry)
            }
        }
        return next
    }

    /// Ticks when the last tick is long ago: whoever was stopped for a while learns so that its time as a leader is
    /// over before it answers what has been waiting for it.
    public func tickIfOverdue(now: Moment) {
        if now.nanoseconds(since: lastTick) >= settings.timing.electionTimeout / 2 { tick() }
    }

    /// To be called when `wake` has asked for it, or every few milliseconds.
    public func tick() {
        guard !isClosed else { return }
        let now = environment.now
        lastTick = now
        for replica in ordered {
            if replica.raft.deadline <= now { replica.step(.tick) }
            replica.expireWaitingProduces(now: now)
            replica.expireWaitingTrims(now: now)
            replica.expireConfirmations(now: now)
        }
        upkeep.run(on: self, now: now)
        watchDisk(now: now)
        resumeCatchUp(now: now)
        cleaner.tick(now: now)
        scrubber.tick(now: now)
        repairs.tick(now: now)
        if turnEndRequested == false { environment.flushLetters() }
    }

    // MARK: - The end of a turn

    func markDirty(_ replica: Replica<Environment>) {
        guard !replica.isMarkedDirty else { return }
        replica.isMarkedDirty = true
        dirty.append(replica)
        requestTurnEnd()
    }

    func markForReplication(_ replica: Replica<Environment>) {
        guard !replica.isMarkedForReplication else { return }
        replica.isMarkedForReplication = true
        wantingReplication.append(replica)
        requestTurnEnd()
    }

    /// Asks that `endOfTurn` be called when the work that is ready now has been done.
    public func requestTurnEnd() {
        guard !turnEndRequested else { return }
        turnEndRequested = true
        environment.requestTurnEnd()
    }

    /// Sends, writes and begins syncs for all that this turn has changed.
    public func endOfTurn() {
        turnEndRequested = false
        guard !isClosed else { return }
        let replicating = wantingReplication
        wantingReplication.removeAll(keepingCapacity: true)
        for replica in replicating {
            replica.isMarkedForReplication = false
            replica.replicate()
        }
        environment.flushLetters()
        syncJournal()
        let writing = dirty
        dirty.removeAll(keepingCapacity: true)
        for replica in writing {
            replica.isMarkedDirty = false
            replica.flush()
        }
    }

    /// What replicas have promised and is not known to be on disk.
    var promisedHardStates: [(Replica<Environment>, HardState)] {
        ordered.compactMap { replica in replica.unpersisted.map { (replica, $0) } }
    }

    private func syncJournal() {
        guard journalSyncBegan == nil, journal.isDirty else { return }
        let promised = promisedHardStates
        do throws(LogError) {
            guard let ticket = try journal.beginSync() else { return }
            journalSyncBegan = environment.now
            environment.submit({ ticket.run() }) { result in
                self.journalSyncBegan = nil
                guard !self.isClosed else { return }
                do throws(LogError) {
                    try self.journal.completeSync(ticket, result)
                } catch {
                    return self.fenceAll("votes could not be stored: \(error)")
                }
                for (replica, hardState) in promised { replica.hardStatePersisted(hardState) }
                if self.journal.isDirty { self.requestTurnEnd() }
            }
        } catch {
            // On a full disk the votes wait, and with them the letters that promise them.
            if error.isOutOfSpace, !journal.isFailed { return ranOutOfRoom() }
            fenceAll("votes could not be stored: \(error)")
        }
    }

    /// Takes note of how long a log's sync took.
    func noteSync(since began: Moment, wasOvertaken: Bool) {
        let now = environment.now
        disk.synced(in: now.nanoseconds(since: began), wasOvertaken: wasOvertaken, now: now)
    }

    // MARK: - Stopping

    /// Offers each leadership to the connected peer that has come furthest. From here on this shard takes none.
    ///
    /// To be called again and again until nothing is led: a peer may fail to catch up in time.
    public func handOver() {
        isStopping = true
        for replica in ordered where replica.isLeader && replica.raft.transferTarget == nil {
            let peers = replica.raft.members.voters.filter { $0 != settings.node && connectedPeers[$0] != nil }
            let matches = peers.map { (peer: $0, match: replica.raft.progress(of: $0)?.match ?? .zero) }
            guard let heir = matches.max(by: { $0.match < $1.match }) else { continue }
            replica.step(.transferLeadership(to: heir.peer))
        }
    }

    /// Writes, syncs and closes every log. Blocks; called once, when no more work will come.
    public func close() {
        isStopping = true
        isClosed = true
        for replica in ordered where replica.stopped == nil {
            do throws(LogError) {
                try replica.log.writeOut()
                try replica.log.close()
            } catch {
                replica.fail("the log could not be closed", error)
            }
        }
    }
}

extension Shard {
    /// Lets go of all replicas without a word to anybody, as when the process dies: state machines hold their shard.
    public func dissolve() {
        isClosed = true
        replicas = [:]
        ordered = []
        dirty = []
        wantingReplication = []
    }
}

/// Carries a freshly opened log from the I/O thread that opened it to the loop that will own it.
struct OpenedLog<Files: FileSystem> {
    let result: Result<PartitionLog<Files>, LogError>
    let isRebuilding: Bool
    /// The new name of a log that could not be opened, and why.
    let setAside: (path: String, reason: String)?

    init(failure: LogError) {
        result = .failure(failure)
        isRebuilding = false
        setAside = nil
    }

    /// - Parameters:
    ///   - hasState: a state machine is fed by the log. It cannot wait for a part in the middle: it has to know
    ///     everything before it decides.
    ///   - isWornOut: the disk has refused to read the log so often that it will not read it any more.
    init(
        _ assignment: ReplicaAssignment, on node: NodeID, in files: Files, now: Timestamp, hasState: Bool,
        isWornOut: Bool = false
    ) {
        let rebuilding = Rebuilding(assignment.directory)
        var aside: (path: String, reason: String)?
        var isForgetful = false
        result = Result { () throws(LogError) in
            let claim = try Self.onDisk { () throws(DiskError) in
                try rebuilding.claim(assignment, on: node, in: files)
            }
            let reason: String
            do throws(LogError) {
                let log = try Self.open(assignment, in: files, now: now)
                let isAsked = try Self.onDisk { () throws(DiskError) in
                    try SettingAside.isAsked(for: assignment.directory, in: files)
                }
                switch claim {
                case .none: break
                case .acknowledged(let position) where log.holds(position):
                    try Self.onDisk { () throws(DiskError) in try rebuilding.end(in: files) }
                case .acknowledged, .lost: isForgetful = true
                }
                guard assignment.replicas.count > 1 else { return log }
                if log.recovery.hasLostItsEnd {
                    // What it has acknowledged is forgotten, as if its disk were new: see `Rebuilding`. It need only
                    // be sent the end again.
                    try Self.onDisk { () throws(DiskError) in try rebuilding.begin(.lost, in: files) }
                    isForgetful = true
                    try log.acceptLoss()
                }
                if isAsked {
                    reason = "its damage could not be repaired entry by entry"
                } else if log.recovery.hasLostProducers {
                    reason = "what is known of its producers is damaged"
                } else if hasState, let damage = log.damage.first {
                    reason = "\(damage)"
                } else {
                    return log
                }
            } catch {
                // Without peers there is nobody to fetch it from.
                guard assignment.replicas.count > 1 else { throw error }
                switch error {
                case .corrupt(let what): reason = "\(what)"
                case .disk(let refusal) where isWornOut && refusal.isUnreadable:
                    Mark.hit("OpenedLog.gave-up")
                    reason = "\(refusal)"
                default: throw error
                }
            }
            let path = try Self.onDisk { () throws(DiskError) in
                try rebuilding.begin(.lost, in: files)
                return try SettingAside.run(assignment.directory, in: files)
            }
            isForgetful = true
            aside = (path, reason)
            return try Self.open(assignment, in: files, now: now)
        }
        isRebuilding = isForgetful
        setAside = aside
    }

    private static func open(
        _ assignment: ReplicaAssignment, in files: Files, now: Timestamp
    ) throws(LogError) -> PartitionLog<Files> {
        try PartitionLog.open(
            directory: assignment.directory, in: files, limits: assignment.limits, now: now,
            mayLoseItsEnd: assignment.replicas.count > 1)
    }

    private static func onDisk<Answer>(_ work: () throws(DiskError) -> Answer) throws(LogError) -> Answer {
        do throws(DiskError) {
            return try work()
        } catch {
            throw .disk(error)
        }
    }
}
