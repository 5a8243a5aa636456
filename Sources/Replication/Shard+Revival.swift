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

extension Shard {
    /// How many logs are opened anew at a time, so that the I/O threads keep up with the others' syncs.
    private static var reopenedAtATime: Int { 2 }

    /// Has a fenced copy opened anew after a while.
    func reopenLater(_ partition: PartitionID) {
        let attempts = reopenings[partition]?.attempts ?? 0
        let pause = min(settings.disk.reopenFirst << UInt64(min(attempts, 20)), settings.disk.reopenLast)
        reopenings[partition] = Reopening(
            attempts: attempts + 1, next: environment.now.advanced(byNanoseconds: pause))
        environment.wake(at: environment.now.advanced(byNanoseconds: pause))
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
        let isAlone = old.raft.members.voters.count < 2
        let promise = DurablePromise(of: old.log)
        let wasRebuilding = old.isRebuilding
        environment.submit({
            ReopenedLog(
                assignment, in: files, now: now, keeping: promise, wasRebuilding: wasRebuilding, isAlone: isAlone)
        }) { outcome in
            guard !self.isClosed else { return }
            self.reopenings[old.id]?.isUnderWay = false
            guard let current = self.replica(old.id), current === old else { return self.dropReopened(old) }
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
        let pause = min(settings.disk.reopenFirst << UInt64(min(journalRevivals, 20)), settings.disk.reopenLast)
        journalRevivalDue = now.advanced(byNanoseconds: pause)
        guard let ticket = try? journal.beginRevival() else { return }
        journalSyncBegan = now
        environment.submit({ ticket.run() }) { result in
            self.journalSyncBegan = nil
            guard !self.isClosed, (try? self.journal.completeRevival(ticket, result)) != nil else { return }
            self.journalRevivals = 0
            for replica in self.allReplicas { replica.unpersisted = nil }
        }
    }
}

/// What a copy has acknowledged before its disk failed, to the last entry.
private struct DurablePromise: Sendable {
    let end: LogIndex
    let terms: TermTable

    init<Files: FileSystem>(of log: PartitionLog<Files>) {
        end = log.durable
        terms = log.terms
    }

    func isKept<Files: FileSystem>(by log: PartitionLog<Files>) -> Bool {
        guard log.end >= end else { return false }
        return Self.rows(terms, log.start.position.end, end) == Self.rows(log.terms, log.start.position.end, end)
    }

    private static func rows(_ table: TermTable, _ start: LogIndex, _ end: LogIndex) -> [TermTable.Row] {
        var table = table
        table.truncate(to: end)
        table.dropPrefix(before: start)
        return table.rows
    }
}

/// Carries a log that was opened anew from the I/O thread that did it to the loop that will own it.
private struct ReopenedLog<Files: FileSystem> {
    let result: Result<PartitionLog<Files>, LogError>
    let isRebuilding: Bool

    init(
        _ assignment: ReplicaAssignment, in files: Files, now: Timestamp, keeping promise: DurablePromise,
        wasRebuilding: Bool, isAlone: Bool
    ) {
        var isRebuilding = wasRebuilding
        result = Result { () throws(LogError) in
            let rebuilding = Rebuilding(assignment.directory)
            // Before anything is cut: if this process dies now, the next one must not take what is left for all.
            if !isAlone { try Self.onDisk { () throws(DiskError) in try rebuilding.begin(in: files) } }
            try PartitionLog.distrust(assignment.directory, in: files)
            let log = try PartitionLog.open(
                directory: assignment.directory, in: files, limits: assignment.limits, now: now)
            let isKept = promise.isKept(by: log)
            guard isKept || !isAlone else {
                let detail = "slots below \(promise.end) were acknowledged, \(log.end) are left"
                throw .corrupt(.init(file: assignment.directory, position: .zero, detail: detail))
            }
            if !isKept { isRebuilding = true }
            if !isRebuilding { try Self.onDisk { () throws(DiskError) in try rebuilding.end(in: files) } }
            return log
        }
        self.isRebuilding = isRebuilding
    }

    private static func onDisk(_ work: () throws(DiskError) -> Void) throws(LogError) {
        do throws(DiskError) { try work() } catch { throw .disk(error) }
    }
}
