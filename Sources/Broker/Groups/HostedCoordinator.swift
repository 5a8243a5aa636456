// SPDX-License-Identifier: Apache-2.0

import Disk
public import GroupCore
public import KafkaWire
import LogModel
import LogStorage
import NIOCore
import RecordBatches
import Replication
import Settings

/// How a request to a coordinator ends.
public enum GroupOutcome: Sendable {
    case reply(GroupReply)
    /// This is not, or not yet, or no longer, the group's coordinator.
    case refused(ErrorCode)
}

/// The coordinator of one partition of `__consumer_offsets` for one term of its leader.
///
///     waiting ──an entry of the term is committed──▶ loading ──the whole log is read──▶ active ──▶ closed
///
/// What the state machine writes is gathered for one turn of the loop and appended as one batch; what it answers is
/// held until everything it had written by then is committed, so that nothing is shown that could still be lost. When
/// leadership goes, all of it is thrown away: the log is the state.
final class HostedCoordinator<Environment: ShardEnvironment> {
    private enum Phase { case waiting, loading, active, closed }

    private struct Held {
        /// How many records must be committed first.
        let after: UInt64
        let call: UInt64
        let reply: GroupReply
    }

    let replica: Replica<Environment>
    let term: Term
    private let shard: Shard<Environment>
    private var core: GroupCoordinator
    private var phase = Phase.waiting
    private var watcher: CommitWatcher?
    private var loadsUntil = Offset.zero
    /// What became of the cluster's topics while the log was being read.
    private var topicsSince: TopicsImage?

    private var calls: [UInt64: (GroupOutcome) -> Void] = [:]
    private var nextCall: UInt64 = 1
    private var effects = GroupEffects()
    /// Records of this turn, not appended yet.
    private var gathered: [GroupRecord] = []
    /// Records ever gathered, and how many of them are committed.
    private var written: UInt64 = 0
    private var committed: UInt64 = 0
    private var held = CircularBuffer<Held>()
    /// Told when there are records to append at the end of the turn.
    private let wantsFlush: () -> Void

    /// How much of the log one step of loading takes.
    private static var slice: ByteCount { .mebibytes(1) }
    /// How large a batch of records grows before another is begun.
    private static var batchBytes: Int { 512 << 10 }

    init(
        of replica: Replica<Environment>, on shard: Shard<Environment>, core: GroupCoordinator,
        wantsFlush: @escaping () -> Void
    ) {
        self.replica = replica
        self.shard = shard
        self.core = core
        self.wantsFlush = wantsFlush
        term = replica.term
    }

    /// Whether this replica still leads in the term that the coordinator was made for.
    var isCurrent: Bool { phase != .closed && replica.isLeader && replica.term == term }
    var isActive: Bool { phase == .active && isCurrent }
    var deadline: Moment? { phase == .active ? core.deadline : nil }

    private var now: Moment { shard.environment.now }
    private var wallClock: Timestamp { shard.environment.wallClock }

    // MARK: - Loading

    func start() {
        let watcher = CommitWatcher { [unowned self] in self.loadWhenCommitted() }
        self.watcher = watcher
        replica.watch(watcher)
        loadsUntil = replica.log.endOffset
        loadWhenCommitted()
    }

    /// Until an entry of its own term is committed, a leader does not know how far its log is. A coordinator before
    /// this one may have ended in the same term, by a full disk, with records on their way: they may yet be committed,
    /// and are part of the groups as soon as they are in the leader's log.
    private func loadWhenCommitted() {
        guard phase == .waiting, isCurrent, let end = replica.highWatermark, end >= loadsUntil else { return }
        stopWatching()
        phase = .loading
        loadsUntil = end
        load(from: replica.logStart)
    }

    private func stopWatching() {
        guard let watcher else { return }
        replica.unwatch(watcher)
        self.watcher = nil
    }

    private func load(from next: Offset) {
        guard phase == .loading, isCurrent else { return close() }
        guard next < loadsUntil else { return finishLoading() }
        do throws(LogError) {
            let pieces = try replica.log.fetch(from: next, upTo: loadsUntil, limit: Self.slice, isCheckedLater: true)
            // A log that was cleaned to its end has nothing more to tell.
            guard !pieces.isEmpty else { return finishLoading() }
            shard.environment.submit({ Result { try LoadedRecords(pieces, from: next) } }) { result in
                self.replay(result, from: next)
            }
        } catch {
            guard case .corrupt(let what) = error else { return unreadable("\(error)") }
            waitForRepair(of: [what], from: next)
        }
    }

    private func replay(_ result: Result<LoadedRecords, any Error>, from: Offset) {
        guard phase == .loading, isCurrent else { return close() }
        switch result {
        case .failure(let error):
            guard error is BatchError else { return unreadable("\(error)") }
            // What came from the files was not checked before. The log says which part of them is damaged.
            waitForRepair(of: replica.log.suspects(from: from, size: Self.slice, detail: "\(error)"), from: from)
        case .success(let loaded):
            for record in loaded.records {
                core.replay(key: record.key, value: record.value, timestamp: record.timestamp)
            }
            guard loaded.next > from else { return unreadable("nothing could be read at offset \(from)") }
            load(from: loaded.next)
        }
    }

    /// A part of the log is damaged. It is repaired, or somebody else leads, and either is told.
    private func waitForRepair(of suspects: [LogError.Corruption], from next: Offset) {
        let watcher = CommitWatcher { [unowned self] in
            guard !self.isCurrent || !self.replica.isDamaged else { return }
            self.stopWatching()
            self.load(from: next)
        }
        self.watcher = watcher
        replica.watch(watcher)
        for suspect in suspects { replica.suspect(suspect) }
    }

    private func unreadable(_ reason: String) {
        close()
        replica.stop("the groups could not be read from the log: \(reason)")
    }

    private func finishLoading() {
        phase = .active
        core.loaded(now: now, wallClock: wallClock, into: &effects)
        if let topics = topicsSince {
            topicsSince = nil
            core.topicsChanged(topics, now: now, wallClock: wallClock, into: &effects)
        }
        carryOut()
    }

    // MARK: - Events

    func handle(
        _ request: GroupRequest, version: Int16, clientID: String, clientHost: String,
        done: @escaping (GroupOutcome) -> Void
    ) {
        guard isCurrent, replica.isInTouch else {
            if !isCurrent { close() }
            return done(.refused(.notCoordinator))
        }
        guard phase == .active else { return done(.refused(.coordinatorLoadInProgress)) }
        let call = GroupCall(id: nextCall, version: version, clientID: clientID, clientHost: clientHost)
        nextCall += 1
        calls[call.id] = request.isRead ? { self.answerOnceConfirmed($0, done) } : done
        core.handle(request, of: call, now: now, wallClock: wallClock, into: &effects)
        carryOut()
    }

    /// What was only read is answered once it is certain that nobody else coordinates (C14). What was written has been
    /// committed by then, which says as much.
    private func answerOnceConfirmed(_ outcome: GroupOutcome, _ done: @escaping (GroupOutcome) -> Void) {
        guard case .reply = outcome else { return done(outcome) }
        replica.confirmLeadership { isLeader in done(isLeader ? outcome : .refused(.notCoordinator)) }
    }

    func tick() {
        guard isActive, let deadline = core.deadline, deadline <= now else { return }
        core.tick(now: now, wallClock: wallClock, into: &effects)
        carryOut()
    }

    func topicsChanged(_ topics: TopicsImage) {
        guard isActive else { return topicsSince = topics }
        core.topicsChanged(topics, now: now, wallClock: wallClock, into: &effects)
        carryOut()
    }

    func configure(_ configs: [String: GroupConfigs]) { core.configure(configs) }

    func list() -> [ListGroupsResponse.Group] { core.list() }

    private func carryOut() {
        if !effects.records.isEmpty {
            if gathered.isEmpty { wantsFlush() }
            gathered.append(contentsOf: effects.records)
            written += UInt64(effects.records.count)
            effects.records.removeAll(keepingCapacity: true)
        }
        let replies = effects.replies
        effects.replies.removeAll(keepingCapacity: true)
        for (call, reply) in replies {
            if written == committed {
                answer(call, .reply(reply))
            } else {
                held.append(Held(after: written, call: call, reply: reply))
            }
        }
        if let deadline = core.deadline { shard.wake(at: deadline) }
    }

    private func answer(_ call: UInt64, _ outcome: GroupOutcome) {
        guard let done = calls.removeValue(forKey: call) else {
            preconditionFailure("a coordinator answers each call once")
        }
        done(outcome)
    }

    // MARK: - The log

    /// Appends what was gathered. To be called at the end of a turn.
    func flush() {
        guard !gathered.isEmpty else { return }
        let records = gathered
        gathered.removeAll(keepingCapacity: true)
        var after = written - UInt64(records.count)
        var builder = BatchBuilder()
        for (place, record) in records.enumerated() {
            builder.append(key: record.key, value: record.value, timestamp: wallClock)
            after += 1
            guard builder.size >= Self.batchBytes || place == records.count - 1 else { continue }
            append(&builder, through: after)
            guard phase == .active else { return }
        }
    }

    private func append(_ builder: inout BatchBuilder, through count: UInt64) {
        replica.produceOwn(&builder) { [weak self] outcome in
            switch outcome {
            case .stored: self?.committed(through: count)
            case .failed: self?.close()
            }
        }
    }

    private func committed(through count: UInt64) {
        guard phase != .closed else { return }
        // It may have been committed by the next leader: its coordinator may have given others by now what is promised
        // here.
        guard isCurrent else { return close() }
        committed = max(committed, count)
        while let first = held.first, first.after <= committed {
            held.removeFirst()
            answer(first.call, .reply(first.reply))
        }
    }

    // MARK: - The end

    /// Leadership is gone, or the log: whoever waits shall ask the next coordinator.
    func close() {
        guard phase != .closed else { return }
        phase = .closed
        stopWatching()
        held.removeAll()
        gathered.removeAll()
        let waiting = calls
        calls = [:]
        for call in waiting.keys.sorted() { waiting[call]?(.refused(.notCoordinator)) }
    }
}

extension GroupRequest {
    /// Whether it only asks what is so.
    fileprivate var isRead: Bool {
        switch self {
        case .offsetFetch, .describeGroup, .consumerGroupDescribe, .explain: true
        default: false
        }
    }
}
