// SPDX-License-Identifier: Apache-2.0

public import LogModel
import LogStorage
import RaftCore
import RecordBatches

/// Why records could not be deleted.
public enum TrimFailure: Error, Hashable, Sendable {
    case notLeader
    /// The offset lies beyond the high watermark.
    case outOfRange
    case storageFailed
    /// The log may still begin later.
    case timedOut
    case unknownPartition
}

/// Somebody who waits until the log begins later.
struct WaitingTrim {
    /// Where the marker ends that says so.
    let end: LogIndex
    let deadline: Moment
    let completion: (Result<Offset, TrimFailure>) -> Void
}

extension Replica {
    /// Has the log begin at `offset` on all replicas (DeleteRecords, KIP-107), which may lie inside a batch.
    ///
    /// The start of a log is replicated like a record, as a marker, so no later leader shows what was deleted.
    ///
    /// - Parameters:
    ///   - offset: the first that is left; `nil` for the high watermark.
    ///   - completion: called once on this shard's loop, with where the log begins then, possibly before this returns.
    public func deleteRecords(
        before offset: Offset?, deadline: Moment, completion: @escaping (Result<Offset, TrimFailure>) -> Void
    ) {
        guard stopped == nil else { return completion(.failure(.storageFailed)) }
        guard let highWatermark, raft.acceptsProposals, !shard.isClosed else {
            return completion(.failure(.notLeader))
        }
        let offset = offset ?? highWatermark
        guard offset <= highWatermark else { return completion(.failure(.outOfRange)) }
        guard offset > logStart else { return completion(.success(logStart)) }
        appendTrim(to: offset)
        waitingTrims.append(WaitingTrim(end: log.end, deadline: deadline, completion: completion))
        shard.wake(at: deadline)
        // In a group of one, what was proposed may be committed already.
        answerTrims()
    }

    /// Appends the marker that moves the log's start, unless one that moves it as far is on its way.
    func appendTrim(to offset: Offset) {
        guard offset > log.lastTrim else { return }
        append(.logStart, payload: LogStartPayload.encode(offset))
    }

    /// What is committed has moved: markers among it count from now on.
    func settleTrims() {
        if log.settleTrims(below: raft.commit) {
            hidesSegments = true
            shard.markDirty(self)
        }
        answerTrims()
    }

    private func answerTrims() {
        guard let first = waitingTrims.first, first.end <= raft.commit, isLeader else { return }
        let answered = waitingTrims.prefix { $0.end <= raft.commit }
        waitingTrims.removeFirst(answered.count)
        for waiting in answered { waiting.completion(.success(logStart)) }
    }

    func failWaitingTrims(_ failure: TrimFailure) {
        let failed = waitingTrims
        waitingTrims = []
        for waiting in failed { waiting.completion(.failure(failure)) }
    }

    func expireWaitingTrims(now: Moment) {
        guard waitingTrims.contains(where: { $0.deadline <= now }) else { return }
        let expired = waitingTrims.filter { $0.deadline <= now }
        waitingTrims.removeAll { $0.deadline <= now }
        for waiting in expired { waiting.completion(.failure(.timedOut)) }
    }

    /// Removes the segments that nobody may read any more.
    func removeHiddenSegments() {
        hidesSegments = false
        guard stopped == nil, state == nil else { return }
        do throws(LogError) {
            guard let anchor = try log.removeHiddenSegments(committed: raft.commit) else { return }
            step(.logStartMoved(anchor))
            shard.environment.report(.retention(id, start: anchor))
        } catch {
            fail("old segments could not be removed", error)
        }
    }
}
