// SPDX-License-Identifier: Apache-2.0

public import LogModel
import LogStorage

/// How the logs of a shard are read and checked in the background.
public struct ScrubSettings: Sendable {
    /// How much may be read in a second; `nil` lets it be (`storage.scrub.bytes.per.second`).
    public var bytesPerSecond: Int64?
    /// How long the shard rests between two passes, in nanoseconds.
    public var rest: UInt64

    public init(bytesPerSecond: Int64? = nil, rest: UInt64 = 10_000_000_000) {
        self.bytesPerSecond = bytesPerSecond
        self.rest = rest
    }
}

/// What one pass over all logs of a shard came to.
public struct ScrubReport: Hashable, Sendable {
    public internal(set) var bytes = ByteCount.zero
    public internal(set) var segments = 0
    /// Damaged parts that were not known before.
    public internal(set) var damaged = 0
    /// How long it took.
    public internal(set) var nanoseconds: UInt64 = 0
}

/// Reads all durable bytes of a shard's logs, one segment after the other, slowly and for ever: what has rotted
/// unnoticed on one disk must be found while the other copies are sound. What a read has met is looked at first.
final class Scrubber<Environment: ShardEnvironment> {
    private struct Run {
        let replica: Replica<Environment>
        let inspection: SegmentInspection<Environment.Files>
        /// A read has met damage here: nobody waits longer than needed.
        let isUrgent: Bool
        /// When the next step may begin; `nil` while one is under way.
        var next: Moment?
    }

    private unowned let shard: Shard<Environment>
    private let settings: ScrubSettings
    private var run: Run?
    private var suspicions: [(replica: Replica<Environment>, corruption: LogError.Corruption)] = []
    /// Which log the pass has come to, and how far in it.
    private var place: (partition: PartitionID, index: LogIndex)?
    private var passBegan: Moment?
    private var nextPass: Moment?
    private var report = ScrubReport()
    /// Read in this pass so far, against the clock.
    private var allowance: (since: Moment, bytes: Int64)?

    private static var slice: ByteCount { .mebibytes(1) }
    private static var suspicionsLimit: Int { 1_024 }

    init(_ shard: Shard<Environment>, _ settings: ScrubSettings) {
        self.shard = shard
        self.settings = settings
    }

    /// How far the pass under way has come: the log it reads. `nil` between passes.
    var progress: (partition: PartitionID, index: LogIndex)? { place }

    func suspect(_ corruption: LogError.Corruption, in replica: Replica<Environment>) {
        guard suspicions.count < Self.suspicionsLimit else { return }
        guard !suspicions.contains(where: { $0.replica === replica && $0.corruption.file == corruption.file }) else {
            return
        }
        suspicions.append((replica, corruption))
        if run == nil { shard.wake(at: shard.environment.now) }
    }

    func tick(now: Moment) {
        if let next = run?.next {
            if next <= now { step() }
            return
        }
        guard run == nil, !shard.isStopping else { return }
        while run == nil, !suspicions.isEmpty {
            let (replica, corruption) = suspicions.removeFirst()
            begin(replica, isUrgent: true) { log in try log.beginInspection(after: corruption) }
        }
        guard run == nil, settings.bytesPerSecond != nil else { return }
        guard let due = nextPass else {
            nextPass = now.advanced(byNanoseconds: settings.rest)
            return
        }
        if due <= now { goOn(now: now) }
    }

    /// Takes the next segment of the pass.
    private func goOn(now: Moment) {
        if passBegan == nil {
            passBegan = now
            allowance = (now, 0)
            report = ScrubReport()
        }
        for replica in shard.allReplicas where replica.stopped == nil {
            var from = LogIndex.zero
            if let place {
                if replica.id < place.partition { continue }
                if replica.id == place.partition { from = place.index }
            }
            begin(replica, isUrgent: false) { log in try log.beginInspection(atOrAfter: from) }
            guard let run else { continue }
            if place?.partition != replica.id { checkCheckpoint(of: replica) }
            place = (replica.id, run.inspection.base.advanced(by: 1))
            return
        }
        report.nanoseconds = passBegan.map { now.nanoseconds(since: $0) } ?? 0
        shard.environment.report(.scrubbed(report))
        (place, passBegan, allowance) = (nil, nil, nil)
        nextPass = now.advanced(byNanoseconds: settings.rest)
    }

    private func checkCheckpoint(of replica: Replica<Environment>) {
        let check = replica.log.checkpointCheck
        replica.inspections += 1
        shard.environment.submit({ check() }) { isReadable in
            replica.inspectionEnded()
            guard !isReadable, replica.stopped == nil, !self.shard.isClosed else { return }
            replica.log.rewriteCheckpoint()
            self.shard.markDirty(replica)
        }
    }

    private func begin(
        _ replica: Replica<Environment>, isUrgent: Bool,
        _ open: (PartitionLog<Environment.Files>) throws -> SegmentInspection<Environment.Files>?
    ) {
        guard replica.stopped == nil, let inspection = try? open(replica.log) else { return }
        replica.inspections += 1
        run = Run(replica: replica, inspection: inspection, isUrgent: isUrgent)
        step()
    }

    private func step() {
        guard let inspection = run?.inspection else { return }
        run?.next = nil
        let rate = run?.isUrgent == false ? settings.bytesPerSecond : nil
        let slice = ByteCount(rate.map { max(64 << 10, min(Self.slice.rawValue, $0 / 4)) } ?? Self.slice.rawValue)
        shard.environment.submit({ inspection.step(slice) }) { step in self.stepped(step) }
    }

    private func stepped(_ step: SegmentInspection<Environment.Files>.Step) {
        guard let run else { return }
        guard !shard.isClosed, run.replica.stopped == nil else { return end() }
        switch step {
        case .working(let bytes): pace(bytes)
        case .finished(let bytes):
            finish(run)
            end()
            if !run.isUrgent { report.segments += 1 }
            charge(bytes, isUrgent: run.isUrgent)
        case .failed(let error):
            end()
            run.replica.fail("the log could not be checked", error)
        }
    }

    private func finish(_ run: Run) {
        do throws(LogError) {
            let new = try run.replica.log.endInspection(run.inspection)
            report.damaged += new.count
            run.replica.noteDamage(new)
            // What is not damaged any more was cut.
            run.replica.updateDamage()
            try run.replica.log.recallProducers()
        } catch {
            run.replica.fail("the log could not be checked", error)
        }
    }

    private func end() {
        guard let ended = run else { return }
        run = nil
        ended.replica.inspectionEnded()
        if !suspicions.isEmpty { shard.wake(at: shard.environment.now) }
    }

    private func pace(_ bytes: ByteCount) {
        guard let run else { return }
        guard !run.isUrgent else { return step() }
        let next = charge(bytes, isUrgent: false)
        self.run?.next = next
        shard.wake(at: next)
    }

    /// Counts what was read, and gives when more may be.
    @discardableResult
    private func charge(_ bytes: ByteCount, isUrgent: Bool) -> Moment {
        let now = shard.environment.now
        guard !isUrgent, let rate = settings.bytesPerSecond, var spent = allowance else { return now }
        report.bytes += bytes
        spent.bytes += bytes.rawValue
        let (seconds, rest) = spent.bytes.quotientAndRemainder(dividingBy: rate)
        let wait = UInt64(seconds) * 1_000_000_000 + UInt64(Double(rest) / Double(rate) * 1e9)
        let next = max(now, spent.since.advanced(byNanoseconds: wait))
        // Time in which nothing was read is not saved up.
        if next == now { spent = (now, 0) }
        allowance = spent
        if run == nil { nextPass = next }
        shard.wake(at: next)
        return next
    }
}
