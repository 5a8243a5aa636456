// SPDX-License-Identifier: Apache-2.0

public import LogModel
import LogStorage
import RaftCore
import Synchronization

/// What compaction may take of a node.
public struct CleanerSettings: Sendable {
    /// The memory for keys, of the whole node (`log.cleaner.dedupe.buffer.size`).
    public var mapSize: ByteCount
    /// How much may be read and written in a second; `nil` is without limit (`log.cleaner.io.max.bytes.per.second`).
    public var bytesPerSecond: Int64?
    /// How often logs are looked at, in nanoseconds.
    public var interval: UInt64
    /// What keys are hashed with: a secret, so that nobody can make two keys look alike.
    public var keySeed: (UInt64, UInt64)
    /// Shared by all shards of a node.
    public var gate: CleanerGate

    public init(
        mapSize: ByteCount = .mebibytes(64), bytesPerSecond: Int64? = nil, interval: UInt64 = 15_000_000_000,
        keySeed: (UInt64, UInt64), gate: CleanerGate = CleanerGate()
    ) {
        self.mapSize = mapSize
        self.bytesPerSecond = bytesPerSecond
        self.interval = interval
        self.keySeed = keySeed
        self.gate = gate
    }
}

/// Lets one shard of a node clean at a time: the memory for keys exists once.
public final class CleanerGate: Sendable {
    private let isTaken = Atomic<Bool>(false)

    public init() {}

    func enter() -> Bool {
        isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    }

    func leave() { isTaken.store(false, ordering: .releasing) }
}

/// Cleans the compacted logs of one shard, one at a time, the one first of which the greatest share has changed.
final class Cleaner<Environment: ShardEnvironment> {
    private struct Run {
        let replica: Replica<Environment>
        let cleaning: LogCleaning<Environment.Files>
        let began: Moment
        /// Read so far.
        var bytes: Int64 = 0
        /// When the next step may begin; `nil` while one is under way.
        var next: Moment?
    }

    private unowned let shard: Shard<Environment>
    private let settings: CleanerSettings
    private var nextLook: Moment?
    private var run: Run?
    /// Logs that the disk would not let us clean: the others come first.
    private var failing: Set<PartitionID> = []

    /// One step: short enough for the I/O threads' other work.
    private static var slice: ByteCount { .mebibytes(2) }

    init(_ shard: Shard<Environment>, _ settings: CleanerSettings) {
        self.shard = shard
        self.settings = settings
    }

    func tick(now: Moment) {
        if let next = run?.next {
            if next <= now { step() }
            return
        }
        guard run == nil, !shard.isStopping else { return }
        guard let due = nextLook else {
            nextLook = now.advanced(byNanoseconds: settings.interval)
            return
        }
        if due <= now { look(now: now) }
    }

    private func look(now: Moment) {
        nextLook = now.advanced(byNanoseconds: settings.interval)
        guard let (replica, rules) = filthiest() else {
            failing.removeAll()
            return
        }
        guard settings.gate.enter() else { return }
        let log = replica.log
        do throws(LogError) {
            let cleaning = try log.beginCleaning(
                now: shard.environment.wallClock, committed: replica.raft.commit, rules: rules,
                mapSize: settings.mapSize, keeping: log.rememberedBatchOffsets(below: replica.raft.commit),
                seed: settings.keySeed)
            guard let cleaning else { return settings.gate.leave() }
            replica.isBeingCleaned = true
            run = Run(replica: replica, cleaning: cleaning, began: now)
            step()
        } catch {
            settings.gate.leave()
            failed(replica, error)
        }
    }

    private func filthiest() -> (Replica<Environment>, CleaningRules)? {
        let now = shard.environment.wallClock
        var best: (replica: Replica<Environment>, rules: CleaningRules, share: Double)?
        for replica in shard.allReplicas where replica.stopped == nil && !failing.contains(replica.id) {
            guard let rules = replica.assignment.policy.compaction else { continue }
            guard let share = replica.log.cleanableShare(now: now, committed: replica.raft.commit, rules: rules) else {
                continue
            }
            if share > (best?.share ?? -1) { best = (replica, rules, share) }
        }
        return best.map { ($0.replica, $0.rules) }
    }

    private func step() {
        guard let cleaning = run?.cleaning else { return }
        run?.next = nil
        // No slice takes more than a quarter of a second's allowance, so that the rate is kept within a second too.
        let allowed = settings.bytesPerSecond.map { max(1, min(Self.slice.rawValue, $0 / 4)) }
        let slice = ByteCount(allowed ?? Self.slice.rawValue)
        shard.environment.submit({ cleaning.step(slice) }) { step in self.stepped(step) }
    }

    private func stepped(_ step: CleaningStep) {
        guard let run, !shard.isClosed else { return }
        // Deleted, or stopped by an error of its own: what was begun goes.
        guard run.replica.stopped == nil else { return abandon() }
        switch step {
        case .working(let bytes): goOn(after: bytes)
        case .cleaned(let segment, let bytes): install(segment, bytes)
        case .finished(let outcome):
            run.replica.log.endCleaning(outcome)
            if run.replica.log.isDirty { shard.markDirty(run.replica) }
            shard.environment.report(.cleaned(run.replica.id, outcome))
            // There may be more to do.
            nextLook = shard.environment.now
            end()
        case .failed(let error):
            run.replica.log.endCleaning(nil)
            let replica = run.replica
            end()
            failed(replica, error)
        }
    }

    private func install(_ segment: CleanedSegment, _ bytes: ByteCount) {
        guard let run else { return }
        do throws(LogError) {
            let swap = try run.replica.log.install(segment)
            shard.environment.submit({ swap.run() }) { isDone in
                guard let run = self.run, !self.shard.isClosed else { return }
                run.replica.log.swapEnded(swap, isDone: isDone)
                if run.replica.stopped == nil, run.replica.log.isCleaning {
                    self.goOn(after: bytes)
                } else {
                    self.abandon()
                }
            }
        } catch {
            let replica = run.replica
            abandon()
            failed(replica, error)
        }
    }

    private func goOn(after bytes: ByteCount) {
        guard var current = run else { return }
        current.bytes += bytes.rawValue
        let now = shard.environment.now
        current.next = now
        if let rate = settings.bytesPerSecond {
            let (seconds, rest) = current.bytes.quotientAndRemainder(dividingBy: rate)
            let wait = UInt64(seconds) * 1_000_000_000 + UInt64(Double(rest) / Double(rate) * 1e9)
            current.next = max(now, current.began.advanced(byNanoseconds: wait))
        }
        run = current
        if let next = current.next, next > now { shard.wake(at: next) } else { step() }
    }

    /// Gives up what is under way.
    private func abandon() {
        guard let run else { return }
        run.replica.log.endCleaning(nil)
        let cleaning = run.cleaning
        shard.environment.submit({ cleaning.abandon() }) { _ in self.end() }
    }

    private func end() {
        guard let ended = run else { return }
        run = nil
        settings.gate.leave()
        ended.replica.isBeingCleaned = false
        ended.replica.retireIfIdle()
        if let nextLook { shard.wake(at: nextLook) }
    }

    private func failed(_ replica: Replica<Environment>, _ error: LogError) {
        guard replica.stopped == nil else { return }
        if case .disk = error {
            failing.insert(replica.id)
            shard.environment.report(.cleaningFailed(replica.id, reason: "\(error)"))
        } else {
            replica.fail("the log could not be cleaned", error)
        }
    }
}
