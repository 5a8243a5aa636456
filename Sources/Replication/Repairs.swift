// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RaftCore

/// Repairs the damaged logs of a shard from their peers, one segment at a time.
///
///     ask a peer for the first damaged entries ─▶ write the segment anew ─▶ needs more? ask ─▶ install ─▶ next
///          │ refused, silent: the next peer                 │ cannot: try again later
///          └ all have refused: later, or halt
///
/// Nothing is written before a peer has shown that it has the first of what is missing, and an answer is at most a
/// slice, so many damaged logs cost neither the disk nor memory much.
final class Repairs<Environment: ShardEnvironment> {
    private struct Run {
        let replica: Replica<Environment>
        var repair: LogRepair<Environment.Files>?
        /// What is asked for.
        var range: Range<LogIndex>
        var number: UInt64
        /// Whom to ask still, and who is being asked.
        var candidates: [NodeID]
        var asked: NodeID?
        var deadline: Moment?
        var refusals: [NodeID: RepairAnswer] = [:]
        /// Came before there was a repair to take it.
        var received: ByteBuffer?
        /// Entries may lack what compaction took.
        let acceptsCompacted: Bool
        var reason = "no other replica can be reached"
    }

    private unowned let shard: Shard<Environment>
    private var run: Run?
    private var numbers: UInt64 = 0

    private static var slice: ByteCount { .mebibytes(1) }
    private static var stepSize: ByteCount { .mebibytes(2) }
    private static var answerTime: UInt64 { 2_000_000_000 }
    /// After how many vain rounds nobody waits any longer for a replica that is down: about a minute.
    private static var patience: Int { 8 }
    private static var firstPause: UInt64 { 250_000_000 }
    private static var longestPause: UInt64 { 30_000_000_000 }

    init(_ shard: Shard<Environment>) { self.shard = shard }

    // MARK: - For peers

    func receive(
        _ letter: RepairLetter, payload: ByteBuffer, for replica: Replica<Environment>, from peer: NodeID
    ) {
        switch letter {
        case .request(let number, let range): answer(number, range, from: replica, to: peer)
        case .answer(let number, let answer): received(answer, number, payload, of: replica, from: peer)
        }
    }

    private func answer(
        _ number: UInt64, _ range: Range<LogIndex>, from replica: Replica<Environment>, to peer: NodeID
    ) {
        var answer = RepairAnswer.unable
        var payload: [ByteBuffer] = []
        do throws(LogError) {
            switch try replica.log.readForRepair(
                from: range.lowerBound, before: range.upperBound, limit: Self.slice)
            {
            case .entries(let bytes):
                answer = .entries
                payload = [bytes]
            case .damaged(let what):
                answer = .damaged
                replica.suspect(what)
            case .absent: answer = .absent
            }
        } catch {
            replica.fail("the log could not be read for \(peer)", error)
        }
        shard.environment.send(
            .repair(.answer(number: number, answer)), of: replica.id, payload: payload, to: peer)
        shard.requestTurnEnd()
    }

    // MARK: - For this node's logs

    func tick(now: Moment) {
        for replica in shard.allReplicas where replica.isDamaged && replica.stopped == nil {
            replica.considerStanding(now: now)
        }
        if let run {
            // While there is no deadline a job is under way, and its end goes on.
            guard let deadline = run.deadline else { return }
            if run.replica.stopped != nil { return abandon(nil) }
            if deadline <= now { askNext() }
            return
        }
        guard !shard.isStopping, !shard.isClosed else { return }
        let waiting = shard.allReplicas.filter { replica in
            replica.isDamaged && replica.stopped == nil && replica.damageState.nextAttempt <= now
        }
        guard let first = waiting.min(by: { $0.damageState.nextAttempt < $1.damageState.nextAttempt }) else { return }
        begin(first)
    }

    private func begin(_ replica: Replica<Environment>) {
        guard let damage = replica.log.damage.first else { return replica.updateDamage() }
        // Older values of keys may stand in what was never cleaned here, while a peer has dropped what deleted them.
        let isCompacted = replica.assignment.policy.compaction != nil
        let isCleaned = replica.log.isCleaned(below: damage.range.upperBound)
        run = Run(
            replica: replica, range: damage.range, number: 0, candidates: [],
            acceptsCompacted: !isCompacted || isCleaned)
        ask(for: damage.range)
    }

    /// Asks for entries, first whoever has answered last.
    private func ask(for range: Range<LogIndex>) {
        guard let run else { return }
        var candidates = peers(of: run.replica)
        if let source = run.asked, let place = candidates.firstIndex(of: source) {
            candidates.remove(at: place)
            candidates.insert(source, at: 0)
        }
        self.run?.range = range
        self.run?.candidates = candidates
        self.run?.refusals = [:]
        askNext()
    }

    /// The other replicas that can be reached, the leader last: it has other things to do.
    private func peers(of replica: Replica<Environment>) -> [NodeID] {
        let members = replica.raft.members
        let peers = (members.voters + members.learners).filter { peer in
            peer != shard.settings.node && shard.connectedPeers[peer] != nil
        }
        return peers.filter { $0 != replica.leader } + peers.filter { $0 == replica.leader }
    }

    private func askNext() {
        guard var current = run else { return }
        guard !current.candidates.isEmpty else { return giveUp() }
        let peer = current.candidates.removeFirst()
        numbers += 1
        current.number = numbers
        current.asked = peer
        let deadline = shard.environment.now.advanced(byNanoseconds: Self.answerTime)
        current.deadline = deadline
        run = current
        shard.environment.send(
            .repair(.request(number: numbers, range: current.range)), of: current.replica.id, payload: [], to: peer)
        shard.requestTurnEnd()
        shard.wake(at: deadline)
    }

    private func received(
        _ answer: RepairAnswer, _ number: UInt64, _ payload: ByteBuffer, of replica: Replica<Environment>,
        from peer: NodeID
    ) {
        guard let run, run.replica === replica, run.number == number, run.asked == peer, run.deadline != nil else {
            return
        }
        self.run?.deadline = nil
        guard answer == .entries, payload.readableBytes > 0 else {
            self.run?.refusals[peer] = answer
            self.run?.reason = "\(peer) has them \(answer)"
            return askNext()
        }
        guard let repair = run.repair else {
            self.run?.received = payload
            return beginWriting()
        }
        supply(payload, to: repair)
    }

    private func beginWriting() {
        guard let run else { return }
        do throws(LogError) {
            // The end of a log that is being written to has to be durable first.
            guard let repair = try run.replica.log.beginRepair() else { return park("it is being written to") }
            run.replica.inspections += 1
            self.run?.repair = repair
            step()
        } catch {
            park("\(error)")
        }
    }

    private func step() {
        guard let repair = run?.repair else { return }
        shard.environment.submit({ repair.step(Self.stepSize) }) { step in self.stepped(step) }
    }

    private func stepped(_ step: LogRepair<Environment.Files>.Step) {
        guard let run, !shard.isClosed else { return }
        guard run.replica.stopped == nil else { return abandon(nil) }
        switch step {
        case .working: self.step()
        case .needs(let range):
            guard let repair = run.repair else { return }
            let received = run.received
            self.run?.received = nil
            if let received, run.range.lowerBound == range.lowerBound { return supply(received, to: repair) }
            ask(for: range)
        case .repaired(let segment): install(segment)
        case .failed(let error):
            // What was sound when it was looked at is not any more.
            run.replica.suspect(after: error)
            abandon("\(error)")
        }
    }

    private func supply(_ bytes: ByteBuffer, to repair: LogRepair<Environment.Files>) {
        guard let accepts = run?.acceptsCompacted else { return }
        // Copied, because it lies in a frame that this loop goes on reading.
        let own = ByteBuffer(bytes: bytes.readableBytesView)
        shard.environment.submit({ repair.supply(own, acceptsCompacted: accepts) }) { refusal in
            guard let run = self.run, !self.shard.isClosed else { return }
            guard run.replica.stopped == nil else { return self.abandon(nil) }
            switch refusal {
            case nil: self.step()
            case .storage(let error): self.abandon("\(error)")
            case .wrong(let reason):
                let peer = run.asked ?? self.shard.settings.node
                self.shard.environment.report(
                    .badLetter(run.replica.id, from: peer, reason: "entries for a repair: \(reason)"))
                self.run?.reason = reason
                self.askNext()
            case .compacted:
                self.run?.refusals[run.asked ?? self.shard.settings.node] = .absent
                self.run?.reason = "all copies that could be asked are compacted there, and this one is not"
                self.askNext()
            }
        }
    }

    private func install(_ segment: RepairedSegment) {
        guard let run else { return }
        do throws(LogError) {
            let swap = try run.replica.log.install(segment)
            let base = run.repair?.base ?? run.range.lowerBound
            shard.environment.submit({ swap.run() }) { isDone in
                guard let run = self.run, !self.shard.isClosed else { return }
                run.replica.log.swapEnded(swap, isDone: isDone)
                self.run = nil
                run.replica.inspectionEnded()
                guard run.replica.stopped == nil else { return }
                Mark.hit("Repairs.installed")
                run.replica.damageState.attempts = 0
                self.shard.environment.report(.repaired(run.replica.id, segment: base))
                run.replica.updateDamage()
                self.shard.wake(at: self.shard.environment.now)
            }
        } catch {
            run.replica.fail("a repaired segment could not be taken in", error)
            abandon("\(error)")
        }
    }

    // MARK: - When it cannot be done

    /// Everybody has been asked in vain.
    private func giveUp() {
        guard let run else { return }
        let voters = run.replica.raft.members.voters
        var lost = run.refusals.filter { $0.value == .damaged && voters.contains($0.key) }.count
        if voters.contains(shard.settings.node) { lost += 1 }
        // A replica that cannot be reached may have them, and gets some time to come back.
        let isLastWord = run.refusals.count >= voters.count - 1 || run.replica.damageState.attempts >= Self.patience
        guard lost < voters.count / 2 + 1 || !isLastWord else {
            let damage = run.replica.log.damage.first { $0.range.overlaps(run.range) }
            let replica = run.replica
            abandon(nil)
            return replica.halt(for: damage, lost: lost)
        }
        // Nobody has them any more as they were, but somebody leads, with a log that needs none of them.
        let others = voters.filter { $0 != shard.settings.node }
        let isHopeless = others.allSatisfy { run.refusals[$0] == .absent || run.refusals[$0] == .damaged }
        if isHopeless, run.refusals.values.contains(.absent), run.replica.isFollowing {
            let replica = run.replica
            abandon(nil)
            return replica.fetchAnew(run.reason)
        }
        if isHopeless, !others.isEmpty, run.replica.isLeader {
            // What nobody else has any more it can send nobody, and clients wait for it. Another leads without.
            Mark.hit("Repairs.gave-up-leadership")
            let replica = run.replica
            abandon(nil)
            return replica.fence("the log is damaged in a part that no other replica has, so another has to lead")
        }
        abandon(run.reason)
    }

    private func park(_ reason: String) {
        guard let replica = run?.replica else { return }
        run = nil
        let pause = min(Self.longestPause, Self.firstPause << UInt64(min(replica.damageState.attempts, 10)))
        replica.damageState.attempts += 1
        let next = shard.environment.now.advanced(byNanoseconds: pause)
        replica.damageState.nextAttempt = next
        shard.environment.report(.repairDelayed(replica.id, reason: reason))
        shard.wake(at: next)
    }

    /// Removes what was begun, then lets others be repaired.
    private func abandon(_ reason: String?) {
        guard let run else { return }
        guard let repair = run.repair else {
            if let reason { park(reason) } else { self.run = nil }
            return
        }
        self.run?.repair = nil
        self.run?.deadline = nil
        shard.environment.submit({ repair.abandon() }) { _ in
            run.replica.inspectionEnded()
            if let reason { self.park(reason) } else { self.run = nil }
            self.shard.wake(at: self.shard.environment.now)
        }
    }
}

extension Replica {
    /// Has the whole log set aside and sent again by the leader: see `Rebuilding`.
    func fetchAnew(_ reason: String) {
        let files = shard.environment.files
        let directory = assignment.directory
        inspections += 1
        shard.environment.submit({
            Result { () throws(DiskError) in try SettingAside.ask(for: directory, in: files) }
        }) { result in
            self.inspectionEnded()
            guard self.stopped == nil, !self.shard.isClosed else { return }
            switch result {
            case .success: self.fence("the log is fetched anew, because its damage cannot be repaired: \(reason)")
            case .failure(let error): self.fail("that the log is to be fetched anew could not be stored", error)
            }
        }
    }

    /// The typed end of a partition of which a majority has lost the same entries.
    func halt(for damage: LogDamage?, lost: Int) {
        Mark.hit("Replica.halted-for-damage")
        let what = damage.map { "\($0)" } ?? "entries are damaged"
        let voters = raft.members.voters.count
        let advice =
            voters == 1
            ? "there is no other replica: restore the file from a backup while the node is stopped, or give the "
                + "partition's data up by deleting its topic"
            : "\(lost) of \(voters) replicas have lost the same: start the nodes that are down, or restore the file "
                + "from a backup while this node is stopped, then restart it"
        stop("halted, and nothing was deleted: \(what); \(advice)")
    }
}
