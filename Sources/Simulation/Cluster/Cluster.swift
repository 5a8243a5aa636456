// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import LogStorage
import NIOCore
import RaftCore
import RecordBatches
import Replication

/// A whole cluster, its network, its disks and its clock, on one thread. Everything that happens is drawn from a seed.
///
/// After every event the checks look at the node it happened on, and at the letters that left it.
final class Cluster {
    enum Event {
        case onNode(place: Int, life: Int, work: () -> Void)
        case free(() -> Void)
    }

    let climate: Climate
    let planted: PlantedFault?
    let topic = TopicID(high: 11, low: 22)
    /// `__consumer_offsets`, whose partitions are numbered behind those of the other.
    let offsetsTopic = TopicID(high: 33, low: 44)
    var random: SimRandom
    var now: UInt64 = 1_000_000_000
    var queue = EventQueue<Event>()
    var nodes: [SimNode] = []
    var network: Network
    var consensus: [ConsensusChecks]
    var records: [RecordChecks]
    var compaction: [CompactionChecks]
    var load: Load
    var digest = RunDigest()
    var statistics = SimulationReport.Statistics()
    var violation: Violation?
    var trace: ((String) -> Void)?
    var isCalm = false

    /// What happened during the event at hand, looked at once its node has been observed.
    private var departed: [Letter] = []
    private var restarted: [Int] = []
    var acknowledgements: [(partition: Int, batch: BatchName, offset: Offset)] = []
    /// Of partitions with a state machine: its digest at each offset.
    var folds: [[Offset: UInt64]]
    /// The latest word on who leads: the highest term wins.
    var leaders: [Leadership?]
    /// When the leader of each partition was elected.
    var leadsSince: [UInt64?]
    var calmSince: UInt64 = 0
    var groups: GroupWorld?
    /// Who should belong to each partition's group.
    var wishes: [[NodeID]]

    init(seed: UInt64, climate: Climate, planted: PlantedFault?) {
        self.climate = climate
        self.planted = planted
        random = SimRandom(seed: seed)
        network = Network(nodes: climate.nodes)
        consensus = Array(
            repeating: ConsensusChecks(nodes: climate.nodes, voters: climate.founders), count: climate.allPartitions)
        records = Array(repeating: RecordChecks(), count: climate.partitions)
        compaction = Array(repeating: CompactionChecks(), count: climate.allPartitions)
        folds = Array(repeating: [:], count: climate.allPartitions)
        leaders = Array(repeating: nil, count: climate.allPartitions)
        leadsSince = Array(repeating: nil, count: climate.allPartitions)
        wishes = (0..<climate.allPartitions).map { climate.placement(of: $0) }
        load = Load(climate: climate)
        for place in 0..<climate.nodes {
            nodes.append(
                SimNode(
                    id: NodeID(Int32(place)),
                    files: SimFileSystem(seed: random.next()),
                    clockOffset: random.next() % 1_000_000_000_000, nodes: climate.nodes,
                    partitions: climate.allPartitions))
            nodes[place].files.ignoresSync = planted == .lyingDisk && place == 0
        }
        groups = climate.groups.map { GroupWorld(cluster: self, climate: $0) }
    }

    /// Lets go of everything; nothing can be run afterwards.
    func dissolve() {
        queue = EventQueue()
        for place in nodes.indices {
            nodes[place].groups = nil
            nodes[place].shard = nil
        }
        groups?.dissolve()
    }

    func partition(_ number: Int) -> PartitionID {
        guard number >= climate.partitions else { return PartitionID(topic: topic, index: Int32(number)) }
        return PartitionID(topic: offsetsTopic, index: Int32(number - climate.partitions))
    }

    func number(of partition: PartitionID) -> Int {
        Int(partition.index) + (partition.topic == offsetsTopic ? climate.partitions : 0)
    }

    // MARK: - Events

    func schedule(on place: Int, life: Int, after delay: UInt64, _ work: @escaping () -> Void) {
        queue.schedule(.onNode(place: place, life: life, work: work), at: now + delay)
    }

    func schedule(after delay: UInt64, _ work: @escaping () -> Void) {
        queue.schedule(.free(work), at: now + delay)
    }

    /// Lets everything happen until `end`, or until a promise is broken. False when one was.
    @discardableResult
    func run(until end: UInt64, orUntil isDone: () -> Bool) -> Bool {
        while violation == nil, let time = queue.earliest, time <= end, let item = queue.next() {
            now = max(now, item.time)
            switch item.event {
            case .free(let work): work()
            case .onNode(let place, let life, let work):
                guard nodes[place].life == life, nodes[place].isUp else { continue }
                guard nodes[place].isPausedUntil <= now else {
                    queue.reschedule(.init(time: nodes[place].isPausedUntil, order: item.order, event: item.event))
                    continue
                }
                statistics.events += 1
                work()
                settle(place)
            }
            if isDone() { return violation == nil }
        }
        if violation == nil { now = max(now, end) }
        return violation == nil
    }

    @discardableResult
    func run(until end: UInt64) -> Bool { run(until: end, orUntil: { false }) }

    /// Looks at what an event has changed.
    private func settle(_ place: Int) {
        do throws(Violation) {
            for partition in 0..<climate.allPartitions where nodes[place].isOpen[partition] {
                try observe(place, partition)
            }
            restarted.removeAll(keepingCapacity: true)
            for letter in departed {
                try consensus[number(of: letter.group)].sent(
                    letter.message, from: nodes[letter.from].id, to: nodes[letter.to].id)
            }
            departed.removeAll(keepingCapacity: true)
            for answer in acknowledgements {
                let committed = consensus[answer.partition].committedEntry(startingAt: answer.offset)
                try records[answer.partition].acknowledged(answer.batch, at: answer.offset, committed: committed)
            }
            acknowledgements.removeAll(keepingCapacity: true)
        } catch {
            broke(error)
        }
    }

    func broke(_ error: Violation) {
        guard violation == nil else { return }
        var timed = error
        timed.time = now
        violation = timed
        say("BROKEN \(timed)")
    }

    func say(_ sentence: @autoclosure () -> String) {
        guard let trace else { return }
        let micros = now / 1_000
        trace("\(micros) µs  \(sentence())")
    }

    // MARK: - Observation

    private func observe(_ place: Int, _ number: Int) throws(Violation) {
        guard let replica = nodes[place].shard?.replica(partition(number)), replica.stopped == nil else { return }
        let log = replica.log
        let id = nodes[place].id
        let mirror = consensus[number].replicas[place]
        let start = log.start.position
        if restarted.contains(number) || start.end != mirror.start {
            try consensus[number].startMoved(to: start, isRestart: restarted.contains(number), at: id)
            if restarted.contains(number) { nodes[place].terms[number] = TermTable() }
        }
        try followLog(log, place, number)
        let raft = replica.raft
        let commit = raft.commit
        let last = consensus[number].replicas[place].view
        var view = ReplicaView(
            node: id, term: raft.term, role: raft.role, leader: raft.leader, commit: commit, durable: log.durable,
            start: start.end, end: log.end, highWatermark: replica.highWatermark,
            commitOffset: last?.commit == commit ? last?.commitOffset ?? .zero : log.offset(at: commit))
        view.members = planted == .membersOnCommit ? raft.members(at: commit) : raft.members
        if view.role == .leader {
            view.voters = raft.members.voters
            view.outgoing = raft.members.outgoing
            view.membersAtCommit = raft.members(at: commit)
        }
        planted?.distort(&view, random: &random)
        if last?.role != view.role || last?.term != view.term { say("\(id)/\(number) \(view.role) in \(view.term)") }
        if last != view {
            digest.add(place &* 31 &+ number)
            digest.add(UInt64(view.term.rawValue.magnitude) << 40 ^ UInt64(view.commit.rawValue.magnitude) << 20)
            digest.add(UInt64(view.end.rawValue.magnitude) << 24 ^ UInt64(view.durable.rawValue.magnitude))
            digest.add(now)
        }
        try consensus[number].observe(view)
        // Where a state machine's log begins is each replica's own affair: a snapshot holds what lies before.
        if view.highWatermark != nil, !(climate.isStateful && number == 0) {
            let shown = planted == .retractedStart && random.chance(perMille: 20) ? Offset.zero : replica.logStart
            try compaction[number].shown(shown, in: view.term, by: id)
        }
    }

    /// Whether a partition's log is compacted. A state machine needs all of its log.
    func isCompacted(_ number: Int) -> Bool {
        climate.isCompacted && number < climate.partitions && !(climate.isStateful && number == 0)
    }

    /// Finds out what was cut from a log and what was added to it since it was last looked at.
    private func followLog(_ log: PartitionLog<SimFileSystem>, _ place: Int, _ number: Int) throws(Violation) {
        let id = nodes[place].id
        let terms = log.terms
        var mirrorEnd = consensus[number].replicas[place].end
        if terms != nodes[place].terms[number] || log.end < mirrorEnd {
            var before = nodes[place].terms[number]
            before.dropPrefix(before: log.start.position.end)
            let same = zip(before.rows, terms.rows).prefix { $0 == $1 }.count
            var cut = log.end
            if same < before.rows.count { cut = min(cut, before.rows[same].start) }
            if same < terms.rows.count { cut = min(cut, terms.rows[same].start) }
            if cut < mirrorEnd {
                say("\(id)/\(number) cuts its log at \(cut), was \(mirrorEnd)")
                try consensus[number].truncated(to: cut, at: id)
                mirrorEnd = cut
            }
            nodes[place].terms[number] = terms
        }
        guard log.end > mirrorEnd else { return }
        for entry in try read(log, from: mirrorEnd, of: number) { try consensus[number].appended(entry, at: id) }
    }

    /// All entries from `index` to the end of the log.
    ///
    /// What compaction has rewritten is given as it was: every replica compacts by itself, so the checks compare what
    /// all of them have held.
    func read(
        _ log: PartitionLog<SimFileSystem>, from index: LogIndex, of number: Int
    ) throws(Violation) -> [LoggedEntry] {
        var entries: [LoggedEntry] = []
        var at = index
        while at < log.end {
            do {
                let slice = try log.read(from: at, limit: .mebibytes(1))
                for bytes in slice.bytes {
                    var position = bytes.readerIndex
                    for head in try EntryHead.all(in: bytes, verifyingChecksums: true) {
                        let next = at.advanced(by: head.slots)
                        if head.isCompacted {
                            guard isCompacted(number) else {
                                throw Violation(.retention, "slots \(at)..<\(next) were compacted")
                            }
                            entries += try consensus[number].originals(of: at..<next)
                        } else {
                            var entry = LoggedEntry(head, at: at)
                            if head.kind == .membership {
                                entry.members = try MembershipPayload.decode(
                                    MarkerEntry.payload(of: bytes, at: position))
                            }
                            entries.append(entry)
                        }
                        at = next
                        position += head.totalSize
                    }
                }
            } catch let violation as Violation {
                throw violation
            } catch {
                throw Violation(.noLoss, "a log cannot be read at \(at): \(error)")
            }
        }
        return entries
    }

    // MARK: - What the shards tell

    func learned(_ leadership: Leadership) {
        let number = number(of: leadership.partition)
        if let known = leaders[number], known.term > leadership.term { return }
        if let known = leaders[number], known.term == leadership.term, known.leader != nil { return }
        leaders[number] = leadership
    }

    func reported(_ event: ShardEvent, at place: Int) {
        say("\(nodes[place].id) \(event)")
        switch event {
        case .restarted(let partition, _): restarted.append(number(of: partition))
        case .stopped(let partition, let reason):
            // An opening takes its time: the disk that spoiled it may be well again when it is told.
            let wasOpening = reason.hasPrefix("the log could not be opened")
            guard !nodes[place].isDiskBad, !(wasOpening && nodes[place].hasHadBadDisk) else { return }
            // Told after the node has been observed, so that what made it stop is named first.
            schedule(after: 0) { self.broke(Violation(.stopped, "\(self.nodes[place].id), \(partition): \(reason)")) }
        case .fenced(let partition, let reason):
            let number = number(of: partition)
            nodes[place].isOpen[number] = false
            consensus[number].crashed(nodes[place].id)
            guard !nodes[place].hasHadBadDisk else { return }
            schedule(after: 0) { self.broke(Violation(.stopped, "\(self.nodes[place].id), \(partition): \(reason)")) }
        case .revived(let partition, _):
            statistics.revivals += 1
            opened(number(of: partition), at: place)
        case .disk: break
        case .badLetter: statistics.refusedLetters += 1
        case .becameLeader(let partition, _):
            statistics.elections += 1
            leadsSince[number(of: partition)] = now
        case .opened, .steppedDown, .retention, .cleaned, .cleaningFailed, .snapshotFailed, .rebuilding, .rebuilt,
            .membersChanged, .damaged, .repaired, .repairDelayed, .scrubbed, .setAside:
            break
        }
    }

    // MARK: - Letters

    func depart(_ letter: Letter) {
        departed.append(letter)
        var letter = letter
        planted?.forge(&letter.message, random: &random)
        post(letter)
    }
}

extension EntryHead {
    /// Whether compaction has been here: simulated producers send neither gaps nor horizons.
    var isCompacted: Bool { !isMarker && (recordCount.rawValue < slots || attributes.hasDeleteHorizon) }
}

extension LoggedEntry {
    init(_ head: EntryHead, at index: LogIndex) {
        self.init(
            start: index, end: index.advanced(by: head.slots), term: head.term, isMarker: head.isMarker,
            baseOffset: head.baseOffset, nextOffset: head.nextOffset, crc: head.crc,
            batch: BatchName(id: head.producerID, sequence: head.baseSequence))
    }
}
