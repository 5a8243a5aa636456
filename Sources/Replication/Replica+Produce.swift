// SPDX-License-Identifier: Apache-2.0

public import LogModel
import LogStorage
public import NIOCore
import RaftCore
public import RecordBatches

/// When a producer wants its answer (Kafka's `acks`).
public enum Acknowledgement: Hashable, Sendable {
    /// Never: the request has no answer.
    case none
    /// As soon as the leader has it.
    case leader
    /// Once it is committed, and so durable on a majority. Asks that at least this many voters be in touch.
    case all(minimumInSync: Int)
}

extension Replica {
    /// Appends one validated batch and answers as `acknowledgement` asks.
    ///
    /// - Parameters:
    ///   - batch: exactly one batch that `BatchValidator` has passed; its offset and term are written here.
    ///   - stampsTime: whether the topic wants the time of appending instead of the producer's (KIP-32).
    ///   - deadline: when to answer `timedOut`; the batch may be committed all the same.
    ///   - completion: called once, on this shard's loop, possibly before `produce` returns.
    public func produce(
        _ batch: ByteBuffer, head: EntryHead, acknowledgement: Acknowledgement, stampsTime: Bool, deadline: Moment,
        completion: @escaping (ProduceOutcome) -> Void
    ) {
        guard health.takesRecords else { return completion(.failed(.storageFailed)) }
        place(
            batch, head: head, acknowledgement: acknowledgement, stampsTime: stampsTime, deadline: deadline,
            completion: completion)
    }

    private func place(
        _ batch: ByteBuffer, head: EntryHead, acknowledgement: Acknowledgement, stampsTime: Bool, deadline: Moment,
        completion: @escaping (ProduceOutcome) -> Void
    ) {
        guard isInTouch, raft.acceptsProposals, !shard.isClosed else { return completion(.failed(.notLeader)) }
        if case .all(let minimum) = acknowledgement, raft.activeVoters(now: shard.environment.now) < minimum {
            return completion(.failed(.notEnoughReplicas))
        }
        let verdict = log.verdict(on: head)
        if case .duplicate(let original) = verdict {
            return answerRetry(of: original, acknowledgement, stampsTime, deadline, completion)
        }
        if let failure = refusal(of: verdict, head) {
            // That something is stored is not to be believed before it is committed.
            let end = verdict == .oldDuplicate ? log.end : .zero
            return settle(.failed(failure), once: end, acknowledgement, deadline, completion)
        }
        var bytes = batch
        var placed = head
        let baseOffset = log.endOffset
        let now = shard.environment.wallClock
        if stampsTime { placed = head.stampAppendTime(now, in: &bytes) }
        EntryHead.assign(baseOffset: baseOffset, term: raft.term, in: &bytes)
        log.append(bytes, heads: [placed.assigned(baseOffset: baseOffset, term: raft.term)])
        shard.markDirty(self)
        let stored = ProduceOutcome.stored(
            baseOffset: baseOffset, logStart: logStart, appendTime: stampsTime ? now : nil)
        switch acknowledgement {
        case .all:
            wait(for: stored, until: log.end, term: raft.term, deadline, completion)
            step(.proposed(end: log.end))
        case .leader, .none:
            step(.proposed(end: log.end))
            completion(stored)
        }
    }

    /// Appends records that the cluster writes for itself, such as a group's or the metadata's.
    ///
    /// Only the loss of leadership ends the wait: to give up earlier would leave it open what is in force.
    ///
    /// - Parameters:
    ///   - builder: holds at least one record; it is empty afterwards.
    ///   - limit: the largest batch that can be read back, in bytes. A larger one is a broken invariant.
    ///   - completion: as of `produce`.
    public func produceOwn(
        _ builder: inout BatchBuilder, limit: Int = EntryHead.maximumTotalSize,
        completion: @escaping (ProduceOutcome) -> Void
    ) {
        let limits = BatchLimits(maximumSize: limit)
        guard let batch = try? builder.finish(),
            let head = try? BatchValidator.validate(produced: batch, limits: limits).first
        else {
            preconditionFailure("our own records make a valid batch")
        }
        // The reserve of a full disk is there for them; what has found no room at all waits in memory, and is enough.
        guard stopped == nil, !lacksRoom else { return completion(.failed(.storageFailed)) }
        place(
            batch, head: head, acknowledgement: .all(minimumInSync: 1), stampsTime: false,
            deadline: Moment(nanoseconds: .max), completion: completion)
    }

    /// Gives a retry its original's answer, once that is committed. A leader knows the producers of its whole log, so
    /// the original may be an earlier leader's.
    private func answerRetry(
        of original: RememberedBatch, _ acknowledgement: Acknowledgement, _ stampsTime: Bool, _ deadline: Moment,
        _ completion: @escaping (ProduceOutcome) -> Void
    ) {
        let stored = ProduceOutcome.stored(
            baseOffset: original.baseOffset, logStart: logStart, appendTime: stampsTime ? original.timestamp : nil)
        settle(stored, once: log.end(of: original), acknowledgement, deadline, completion)
    }

    /// Tells `outcome` at once, or to one who wants all acknowledgements once everything below `end` is committed.
    private func settle(
        _ outcome: ProduceOutcome, once end: LogIndex, _ acknowledgement: Acknowledgement, _ deadline: Moment,
        _ completion: @escaping (ProduceOutcome) -> Void
    ) {
        guard case .all = acknowledgement, end > raft.commit,
            let term = log.terms.term(at: LogIndex(end.rawValue - 1))
        else { return completion(outcome) }
        wait(for: outcome, until: end, term: term, deadline, completion)
    }

    private func wait(
        for outcome: ProduceOutcome, until end: LogIndex, term: Term, _ deadline: Moment,
        _ completion: @escaping (ProduceOutcome) -> Void
    ) {
        waitingProduces.append(
            .init(end: end, term: term, stored: outcome, completion: completion, deadline: deadline))
        shard.wake(at: deadline)
    }

    /// The commit index moved. Whoever does not lead any more sees by the term whether the next leader has kept what
    /// was written here.
    func answerCommittedProduces() {
        for waiting in waitingProduces.take(committed: raft.commit) {
            #if MUTANTS
                if Mutant.isActive("T-C7") {
                    waiting.completion(waiting.stored)
                    continue
                }
            #endif
            if raft.isLeader {
                waiting.completion(waiting.stored)
                continue
            }
            guard let term = log.terms.term(at: LogIndex(waiting.end.rawValue - 1)) else {
                waiting.completion(.failed(.timedOut))
                continue
            }
            waiting.completion(term == waiting.term ? waiting.stored : .failed(.notLeader))
        }
    }

    /// How long whoever was voted out waits to learn what became of what it has written.
    private static var fateTime: UInt64 { 2_000_000_000 }

    /// Leadership is gone; what was written may survive all the same. "Not the leader" would tell a producer that it
    /// was not written: one that does not retry what may have been would then write it twice. So those who wait go on
    /// for a while, until the next leader's log says what became of it.
    func awaitFateOfProduces() {
        guard !waitingProduces.isEmpty else { return }
        let deadline = shard.environment.now.advanced(byNanoseconds: Self.fateTime)
        waitingProduces.limit(to: deadline)
        shard.wake(at: deadline)
    }

    /// The log was cut at `end`: what lay behind is certain never to be read.
    func failProduces(cutAt end: LogIndex) {
        #if MUTANTS
            if Mutant.isActive("T-C7") { return }
        #endif
        for waiting in waitingProduces.take(cutAt: end) { waiting.completion(.failed(.notLeader)) }
    }

    private func refusal(of verdict: ProducerVerdict, _ head: EntryHead) -> ProduceFailure? {
        switch verdict {
        case .inOrder, .duplicate: nil
        case .oldDuplicate: .duplicateSequence
        // Whoever was voted out unawares lacks what its successor has taken, and would refuse what is in order.
        case .outOfOrder where !raft.isInCloseTouch(now: shard.environment.now): .notLeader
        case .unknownProducer where !raft.isInCloseTouch(now: shard.environment.now): .notLeader
        case .unknownProducer: .unknownProducer(logStart: logStart)
        case .outOfOrder(let expected): .outOfOrderSequence(got: head.baseSequence, expected: expected)
        case .staleEpoch(let current): .staleProducerEpoch(got: head.producerEpoch, current: current)
        }
    }

    /// Ends every produce that still waits. What it wrote may or may not survive.
    func failWaitingProduces(_ failure: ProduceFailure) {
        for waiting in waitingProduces.takeAll() { waiting.completion(.failed(failure)) }
    }

    func expireWaitingProduces(now: Moment) {
        guard !waitingProduces.isEmpty else { return }
        for waiting in waitingProduces.take(expiredAt: now) { waiting.completion(.failed(.timedOut)) }
    }
}
