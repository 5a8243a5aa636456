// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import LogModel
import LogStorage
import Logging
import NIOCore
import NIOPosix
import RaftCore
import Replication
import Transport

/// A shard's world on a real node: its event loop, real files, an I/O thread pool and the links to its peers.
final class NodeEnvironment: CellEnvironment {
    let node: NodeID
    let files = RealFileSystem()
    let loop: any EventLoop
    private let threads: NIOThreadPool
    let links: PeerLinks
    private let logger: Logger
    /// Set once, right after the shard is made; both live as long as the node.
    var endOfTurn: () -> Void = {}
    var tick: () -> Void = {}
    private var steadyClock = SteadyWallClock()
    private var nextTick: (moment: Moment, task: Scheduled<Void>)?
    var leadershipLearned: (Leadership) -> Void = { _ in }

    init(node: NodeID, loop: any EventLoop, threads: NIOThreadPool, links: PeerLinks, logger: Logger) {
        self.node = node
        self.loop = loop
        self.threads = threads
        self.links = links
        self.logger = logger
    }

    var now: Moment { Moment(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    var wallClock: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let wall = Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
        clock_gettime(CLOCK_BOOTTIME, &time)
        let elapsed = Moment(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
        let wasDoubted = steadyClock.doubtedJump != nil
        let steady = steadyClock.time(wall: wall, elapsed: elapsed)
        if !wasDoubted, let jump = steadyClock.doubtedJump {
            logger.error("the machine's clock has jumped; it is not believed yet", metadata: ["ms": "\(jump)"])
        }
        return steady
    }

    func send(_ message: Message, of group: PartitionID, payload: [ByteBuffer], to peer: NodeID) {
        links.send(message, of: group, payload: payload, to: peer)
    }

    func flushLetters() { links.flush() }

    func requestTurnEnd() {
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.execute { bound.value.endOfTurn() }
    }

    /// Timers closer together than this are worth no wake-up of their own.
    private static let wakeSpacing: UInt64 = 1_000_000
    private static let longestSleep: UInt64 = 1_000_000_000

    func wake(at moment: Moment) {
        if let nextTick, nextTick.moment <= moment { return }
        nextTick?.task.cancel()
        let now = now
        let latest = now.advanced(byNanoseconds: Self.longestSleep)
        let moment = min(max(moment, now.advanced(byNanoseconds: Self.wakeSpacing)), latest)
        let bound = NIOLoopBound(self, eventLoop: loop)
        let task = loop.scheduleTask(deadline: .uptimeNanoseconds(moment.nanoseconds)) {
            bound.value.nextTick = nil
            bound.value.tick()
        }
        nextTick = (moment, task)
    }

    /// Ends the ticking for good.
    func stopTicking() {
        tick = {}
        nextTick?.task.cancel()
    }

    func submit<Answer>(
        _ job: @escaping @Sendable () -> sending Answer, then completion: @escaping (sending Answer) -> Void
    ) {
        let bound = NIOLoopBound(completion, eventLoop: loop)
        let loop = self.loop
        threads.submit { state in
            guard case .active = state else { return }
            let handover = Handover(job())
            loop.execute { bound.value(handover.take()) }
        }
    }

    func learned(_ leadership: Leadership) { leadershipLearned(leadership) }

    func report(_ event: ShardEvent) {
        switch event {
        case .opened(let partition, let summary):
            logger.info("opened", metadata: ["partition": "\(partition)", "recovery": "\(summary)"])
        case .becameLeader(let partition, let term):
            logger.info("became leader", metadata: ["partition": "\(partition)", "term": "\(term)"])
        case .steppedDown(let partition, let term):
            logger.info("stepped down", metadata: ["partition": "\(partition)", "term": "\(term)"])
        case .stopped(let partition, let reason):
            logger.error("replica stopped", metadata: ["partition": "\(partition)", "reason": "\(reason)"])
        case .fenced(let partition, let reason):
            logger.error(
                "replica fenced until its log has been checked",
                metadata: ["partition": "\(partition)", "reason": "\(reason)"])
        case .revived(let partition, let summary):
            logger.notice("replica revived", metadata: ["partition": "\(partition)", "recovery": "\(summary)"])
        case .disk(let health):
            logger.log(level: health == .sound ? .notice : .error, "the disk has changed: \(health)")
        case .badLetter(let partition, let peer, let reason):
            logger.warning(
                "dropped a letter", metadata: ["partition": "\(partition)", "from": "\(peer)", "reason": "\(reason)"])
        case .retention(let partition, let start):
            logger.info("old segments removed", metadata: ["partition": "\(partition)", "start": "\(start)"])
        case .cleaned(let partition, let outcome):
            logger.info(
                "compacted",
                metadata: [
                    "partition": "\(partition)", "read": "\(outcome.bytesRead)", "kept": "\(outcome.recordsKept)",
                    "dropped": "\(outcome.recordsDropped)",
                ])
            if outcome.batchesUnread > 0 {
                logger.warning(
                    "batches that cannot be read are kept as they are",
                    metadata: ["partition": "\(partition)", "batches": "\(outcome.batchesUnread)"])
            }
        case .snapshotFailed(let partition, let reason):
            logger.error(
                "the snapshot could not be written, to be tried again",
                metadata: ["partition": "\(partition)", "reason": "\(reason)"])
        case .cleaningFailed(let partition, let reason):
            logger.warning("compaction failed", metadata: ["partition": "\(partition)", "reason": "\(reason)"])
        case .restarted(let partition, let anchor):
            logger.notice("log restarted", metadata: ["partition": "\(partition)", "at": "\(anchor)"])
        case .rebuilding(let partition):
            logger.notice(
                "rebuilding from the peers, without a vote until it has caught up",
                metadata: ["partition": "\(partition)"])
        case .rebuilt(let partition):
            logger.notice("rebuilt, votes again", metadata: ["partition": "\(partition)"])
        case .membersChanged(let partition, let members):
            logger.notice("members changed", metadata: ["partition": "\(partition)", "members": "\(members)"])
        case .damaged, .repaired, .repairDelayed, .scrubbed, .setAside: reportDamage(event)
        }
    }
}

extension NodeEnvironment {
    private func reportDamage(_ event: ShardEvent) {
        switch event {
        case .damaged(let partition, let damage):
            logger.error("damaged, to be repaired", metadata: ["partition": "\(partition)", "damage": "\(damage)"])
        case .repaired(let partition, let segment):
            logger.notice("repaired", metadata: ["partition": "\(partition)", "segment": "\(segment)"])
        case .repairDelayed(let partition, let reason):
            logger.warning("not repaired yet", metadata: ["partition": "\(partition)", "reason": "\(reason)"])
        case .scrubbed(let report):
            logger.info(
                "all logs checked",
                metadata: [
                    "bytes": "\(report.bytes)", "segments": "\(report.segments)", "damaged": "\(report.damaged)",
                    "seconds": "\(report.nanoseconds / 1_000_000_000)",
                ])
        case .setAside(let partition, let path, let reason):
            logger.error(
                "a log was set aside, to be fetched anew",
                metadata: ["partition": "\(partition)", "kept as": "\(path)", "reason": "\(reason)"])
        default: break
        }
    }
}

/// Carries one value from the I/O thread that made it to the loop that will own it.
// SAFETY: the value is written before `loop.execute` and read after it, by one thread each, and never shared.
private final class Handover<Value>: @unchecked Sendable {
    private var value: Value?

    init(_ value: consuming sending Value) { self.value = value }

    func take() -> sending Value {
        guard let taken = value else { preconditionFailure("a handover is taken once") }
        value = nil
        // SAFETY: nobody else holds the value any more.
        nonisolated(unsafe) let only = taken
        return only
    }
}
