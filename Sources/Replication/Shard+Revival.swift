// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import RaftCore

// The way back of copies whose disk has failed: opened anew, read, checked, and what was read written once more.

/// A copy that waits to be opened anew.
struct Reopening {
    var attempts = 0
    var next: Moment
    var isUnderWay = false
}

/// A log that is tried again after the disk has refused to open it.
struct UnopenedLog {
    var attempts = 0
    var next: Moment
    var host: () -> Void
}

extension Shard {
    /// When a failed disk is tried again: each time after twice the pause, up to the longest.
    private func nextAttempt(after attempts: Int, now: Moment) -> Moment {
        let pause = min(settings.disk.reopenFirst << UInt64(min(attempts, 20)), settings.disk.reopenLast)
        return now.advanced(byNanoseconds: pause)
    }

    /// Tries a log again later that the disk has refused to open.
    func openLater(
        _ assignment: ReplicaAssignment, _ opened: @escaping (Result<Void, LogError>) -> Void
    ) {
        let attempts = unopened[assignment.partition]?.attempts ?? 0
        let next = nextAttempt(after: attempts, now: environment.now)
        unopened[assignment.partition] = UnopenedLog(attempts: attempts + 1, next: next) { [unowned self] in
            self.host(assignment, opened: opened)
        }
        environment.wake(at: next)
    }

    /// How often a log that cannot be read is tried again before it is fetched anew: a disk that is merely out of sorts
    /// has had its time, and a sector that is gone does not come back.
    static var readingPatience: Int { 8 }

    /// Opens what is due.
    func openRefused(now: Moment) {
        guard !unopened.isEmpty, !isStopping else { return }
        for partition in unopened.keys.sorted() {
            guard let log = unopened[partition], log.next <= now else { continue }
            unopened[partition]?.next = Moment(nanoseconds: .max)
            log.host()
        }
    }

    /// How many logs are opened anew at a time, so that the I/O threads keep up with the others' syncs.
    private static var reopenedAtATime: Int { 2 }

    /// Has a fenced copy opened anew after a while.
    func reopenLater(_ partition: PartitionID) {
        let attempts = reopenings[partition]?.attempts ?? 0
        let next = nextAttempt(after: attempts, now: environment.now)
        reopenings[partition] = Reopening(attempts: attempts + 1, next: next)
        environment.wake(at: next)
    }

    /// Opens what is due.
    func reopenFenced(now: Moment) {
        guard !isStopping else { return }
        reviveJournal(now: now)
        guard !reopenings.isEmpty, !journal.isFailed else { return }
        var underWay = reopenings.values.count { $0.isUnderWay }
        for partition in reopenings.keys.sorted() where underWay < Self.reopenedAtATime {
            guard let reopening = reopenings[partition], !reopening.isUnderWay, reopening.next <= now else { continue }
            guard let replica = replica(partition), case .fenced = replica.health else {
                reopenings[partition] = nil
                continue
            }
            // What its last work still does to its files comes first, and its vote is on disk before it speaks again.
            guard !replica.isBusyOnDisk, replica.unpersisted == nil else { continue }
            reopenings[partition]?.isUnderWay = true
            underWay += 1
            reopen(replica)
        }
    }

    private func reopen(_ old: Replica<Environment>) {
        let files = environment.files
        let now = environment.wallClock
        let assignment = old.assignment
        let node = settings.node
        let hasState = old.state != nil
        // One that knows of nobody yet, not even of itself, has everything to learn from others.
        let isAlone = old.raft.members.electors == [node]
        let promise = old.log.durablePosition
        let isWornOut = !isAlone && (reopenings[old.id]?.attempts ?? 0) >= Self.readingPatience
        environment.submit({
            ReopenedLog(
                assignment, on: node, in: files, now: now, hasState: hasState, keeping: promise, isAlone: isAlone,
                isWornOut: isWornOut)
        }) { outcome in
            let outcome = outcome.opened
            guard !self.isClosed else { return }
            self.reopenings[old.id]?.isUnderWay = false
            guard let current = self.replica(old.id), current === old else { return self.dropReopened(old) }
            if let (path, reason) = outcome.setAside {
                self.environment.report(.setAside(old.id, as: path, reason: reason))
            }
            switch outcome.result {
            case .success(let log): self.revive(old, log: log, isRebuilding: outcome.isRebuilding)
            case .failure(.corrupt(let what)):
                self.reopenings[old.id] = nil
                old.health = .halted(reason: "damaged: \(what)")
                self.environment.report(.stopped(old.id, reason: "damaged: \(what)"))
            case .failure(let error):
                self.environment.report(.fenced(old.id, reason: "still: \(error)"))
                self.reopenLater(old.id)
            }
        }
    }

    /// The partition was deleted while its log was being opened anew.
    private func dropReopened(_ old: Replica<Environment>) {
        reopenings[old.id] = nil
        guard replica(old.id) == nil else { return }
        drop(old.id, in: old.assignment.directory)
    }

    private func revive(_ old: Replica<Environment>, log: sending PartitionLog<Environment.Files>, isRebuilding: Bool) {
        Mark.hit("Shard.revived")
        reopenings[old.id] = nil
        replace(old, log: log, isRebuilding: isRebuilding)
        environment.report(.revived(old.id, summary: "\(log.recovery)"))
    }

    // MARK: - Votes

    /// Fences every group: no vote can be kept, so no letter that promises one may leave.
    func fenceAll(_ reason: String) {
        for replica in allReplicas { replica.fence(reason) }
    }

    /// Writes the votes of all groups anew, from memory, once the disk answers again.
    private func reviveJournal(now: Moment) {
        guard journal.isFailed, journalSyncBegan == nil, journalRevivalDue <= now else { return }
        journalRevivals += 1
        journalRevivalDue = nextAttempt(after: journalRevivals, now: now)
        guard let ticket = try? journal.beginRevival() else { return }
        journalSyncBegan = now
        let promised = promisedHardStates
        environment.submit({ ticket.run() }) { result in
            self.journalSyncBegan = nil
            guard !self.isClosed, (try? self.journal.completeRevival(ticket, result)) != nil else { return }
            self.journalRevivals = 0
            // Copies that were opened meanwhile are not fenced, and may have promised more since.
            for (replica, hardState) in promised { replica.hardStatePersisted(hardState) }
            if self.journal.isDirty { self.requestTurnEnd() }
        }
    }
}

/// Readies a log whose disk has failed, then opens it as at the start of a node.
struct ReopenedLog<Files: FileSystem> {
    let opened: OpenedLog<Files>

    /// - Parameters:
    ///   - promise: what the copy had acknowledged.
    ///   - isAlone: nobody else has a copy, so what is gone is gone.
    ///   - isWornOut: the disk has refused to read the log so often that it will not read it any more.
    init(
        _ assignment: ReplicaAssignment, on node: NodeID, in files: Files, now: Timestamp, hasState: Bool,
        keeping promise: LogPosition, isAlone: Bool, isWornOut: Bool
    ) {
        let readied = Result { () throws(LogError) in
            do throws(DiskError) {
                // Before anything is cut: if this process dies now, the next one must know what should be there.
                try Rebuilding(assignment.directory).begin(.acknowledged(promise), in: files)
            } catch {
                throw .disk(error)
            }
            try PartitionLog.distrust(assignment.directory, in: files)
        }
        if case .failure(let error) = readied {
            opened = OpenedLog(failure: error)
            return
        }
        let opened = OpenedLog(
            assignment, on: node, in: files, now: now, hasState: hasState, isWornOut: isWornOut)
        guard isAlone, opened.isRebuilding, case .success(let log) = opened.result else {
            self.opened = opened
            return
        }
        let detail = "slots below \(promise.end) were acknowledged, \(log.end) are left"
        self.opened = OpenedLog(
            failure: .corrupt(.init(file: assignment.directory, position: .zero, detail: detail)))
    }
}
