// SPDX-License-Identifier: Apache-2.0

import Broker
import GodwitNode
import LogModel
import LogStorage
import MetadataCore
import NIOCore
import RaftCore
import RecordBatches
import Replication

/// All that the checks know of one partition.
final class GroupWatch {
    let partition: PartitionID
    /// `nil` until the topic's name is known.
    var topicName: String?
    var consensus: ConsensusChecks
    var records = RecordChecks()
    var compaction = CompactionChecks()
    /// Whether clients of the simulation write to it.
    let isData: Bool
    /// The highest start that somebody who deletes records was told.
    var trimmed: Int64 = 0
    /// Leaders that came since somebody began to count.
    var elections = 0
    /// Somebody has asked to delete the topic.
    var isDoomed = false

    init(_ partition: PartitionID, nodes: Int, voters: [NodeID], isData: Bool) {
        self.partition = partition
        consensus = ConsensusChecks(nodes: nodes, voters: voters)
        self.isData = isData
    }
}

extension World {
    /// A log is open: what it holds is held against what was promised.
    func watch(_ partition: PartitionID, on machine: Machine) throws(Violation) {
        guard let replica = machine.cell?.shard.replica(partition) else { return }
        let group = group(of: replica)
        let log = replica.log
        let known = machine.hasRot ? group.consensus.replicas[machine.place].entries : []
        // The end of its log has rotted: it knows what it has lost, and starts as if its disk were new.
        if machine.hasRot, replica.isRebuilding { group.consensus.lost(machine.id) }
        // A cut that its leader had asked for met damage on its way, and was done when the log was opened.
        if machine.hasRot, log.end < group.consensus.replicas[machine.place].durable,
            !group.consensus.hasCommitted(from: log.end, at: machine.id)
        {
            try group.consensus.truncated(to: log.end, at: machine.id)
        }
        let entries = try read(log, from: log.start.position.end, of: group, or: known)
        try group.consensus.recovered(
            start: log.start.position, entries: entries, term: replica.term, at: machine.id)
        machine.watched.append(.init(replica: replica, group: group, terms: log.terms))
    }

    private func group(of replica: Replica<SimCellEnvironment>) -> GroupWatch {
        if let known = groups[replica.id] { return known }
        var name: String?
        for machine in machines where name == nil {
            name = machine.cell?.broker.view.cluster.topic(replica.id.topic)?.name.rawValue
        }
        let isData = replica.id != .metadata && name.map { climate.topics.contains($0) } ?? false
        let made = GroupWatch(
            replica.id, nodes: machines.count, voters: replica.raft.members.voters, isData: isData)
        made.topicName = name
        groups[replica.id] = made
        if let name { topicIDs[name] = replica.id.topic }
        return made
    }

    /// Replicas that the node keeps no more: their topic was deleted, or they were moved away.
    func forgetDropped(_ machine: Machine) {
        guard machine.watched.contains(where: { $0.replica.stopped != nil }), let shard = machine.cell?.shard else {
            return
        }
        for watched in machine.watched where shard.replica(watched.replica.id) !== watched.replica {
            watched.group.consensus.removed(machine.id)
        }
        machine.watched.removeAll { shard.replica($0.replica.id) !== $0.replica }
    }

    func observe(_ machine: Machine, _ index: Int) throws(Violation) {
        let replica = machine.watched[index].replica
        let group = machine.watched[index].group
        guard replica.stopped == nil else { return }
        let log = replica.log
        let id = machine.id
        let start = log.start.position
        let hasRestarted = hasRestarted(replica.id)
        if hasRestarted || start.end != group.consensus.replicas[machine.place].start {
            try group.consensus.startMoved(to: start, isRestart: hasRestarted, at: id)
            if hasRestarted { machine.watched[index].terms = TermTable() }
        }
        try followLog(log, machine, index)
        let raft = replica.raft
        let commit = raft.commit
        let last = group.consensus.replicas[machine.place].view
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
        if planted == .oldTermCommit, view.role == .leader, view.highWatermark == nil, let own = log.terms.rows.last,
            own.term == view.term, own.start > commit
        {
            view.commit = own.start
            view.commitOffset = log.offset(at: own.start)
        }
        guard last != view else { return try group.consensus.observe(view) }
        if last?.role != view.role || last?.term != view.term {
            say("\(id) \(name(replica.id)) \(view.role) in \(view.term)")
        }
        digest.add(machine.place &* 31 &+ index)
        digest.add(UInt64(view.term.rawValue.magnitude) << 40 ^ UInt64(view.commit.rawValue.magnitude) << 20)
        digest.add(UInt64(view.end.rawValue.magnitude) << 24 ^ UInt64(view.durable.rawValue.magnitude))
        digest.add(now)
        try group.consensus.observe(view)
        // Where a state machine's log begins is each replica's own affair: a snapshot holds what lies before.
        if view.highWatermark != nil, replica.id != .metadata {
            let shown = planted == .retractedStart && random.chance(perMille: 20) ? Offset.zero : replica.logStart
            try group.compaction.shown(shown, in: view.term, by: id)
        }
    }

    /// Finds out what was cut from a log and what was added to it since it was last looked at.
    private func followLog(
        _ log: PartitionLog<SimFileSystem>, _ machine: Machine, _ index: Int
    ) throws(Violation) {
        let group = machine.watched[index].group
        let terms = log.terms
        var mirrorEnd = group.consensus.replicas[machine.place].end
        if log.end < mirrorEnd || terms != machine.watched[index].terms {
            var before = machine.watched[index].terms
            before.dropPrefix(before: log.start.position.end)
            let same = zip(before.rows, terms.rows).prefix { $0 == $1 }.count
            var cut = log.end
            if same < before.rows.count { cut = min(cut, before.rows[same].start) }
            if same < terms.rows.count { cut = min(cut, terms.rows[same].start) }
            if cut < mirrorEnd {
                say("\(machine.id) cuts \(name(group.partition)) at \(cut), was \(mirrorEnd)")
                try group.consensus.truncated(to: cut, at: machine.id)
                mirrorEnd = cut
            }
            machine.watched[index].terms = terms
        }
        guard log.end > mirrorEnd else { return }
        for entry in try read(log, from: mirrorEnd, of: group) {
            try group.consensus.appended(entry, at: machine.id)
        }
    }

    /// All entries from `index` to the end of the log.
    ///
    /// - Parameter known: what the log held before its disk began to rot, in place of what cannot be read.
    ///
    /// What compaction has rewritten is given as it was: every replica compacts by itself, so the checks compare what
    /// all of them have held.
    private func read(
        _ log: PartitionLog<SimFileSystem>, from index: LogIndex, of group: GroupWatch, or known: [LoggedEntry] = []
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
                            entries += try group.consensus.originals(of: at..<next)
                        } else {
                            let name = group.isData && !head.isMarker ? BatchName(wire: head, bytes, at: position) : nil
                            var entry = LoggedEntry(head, at: at, called: name)
                            if head.kind == .membership {
                                entry.members = try MembershipPayload.decode(
                                    MarkerEntry.payload(of: bytes, at: position))
                            }
                            entries.append(entry)
                        }
                        position += head.totalSize
                        at = next
                    }
                }
            } catch let violation as Violation {
                throw violation
            } catch {
                // What has rotted is what it was, as far as the replica's part in its group goes.
                if let same = known.first(where: { $0.start == at && $0.term == log.terms.term(at: at) }) {
                    entries.append(same)
                    at = same.end
                    continue
                }
                throw Violation(.noLoss, "\(name(group.partition)) cannot be read at \(at): \(error)")
            }
        }
        return entries
    }
}

extension LoggedEntry {
    /// - Parameter name: of a client's batch; else it goes by its checksum.
    init(_ head: EntryHead, at index: LogIndex, called name: BatchName?) {
        self.init(
            start: index, end: index.advanced(by: head.slots), term: head.term, isMarker: head.isMarker,
            baseOffset: head.baseOffset, nextOffset: head.nextOffset, crc: head.crc,
            batch: name ?? BatchName(producer: -1, number: Int32(truncatingIfNeeded: head.crc)))
    }
}

extension BatchName {
    /// What a batch is called that came over the wire: an idempotent one by its producer id and sequence number, any
    /// other by what its first record's value says.
    init(wire head: EntryHead, _ bytes: ByteBuffer, at position: Int) {
        guard head.producerID < 0 else {
            self.init(producer: Self.firstRetrier + head.producerID, number: head.baseSequence)
            return
        }
        var records = try? BatchRecords(of: bytes, at: position, limit: 1 << 20, verifyingChecksum: false)
        var value = (try? records?.next())?.value ?? ByteBuffer()
        self.init(producer: value.readInteger() ?? -1, number: value.readInteger() ?? -1)
    }
}
